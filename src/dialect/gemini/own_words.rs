//! What the plugin itself added to an earlier answer does not go back to a model as its words: blocks of thoughts, and the
//! list of sources behind the answer.
//!
//! It knows the forms that this plugin writes ([`ThinkWriter`](crate::dialect::think::ThinkWriter),
//! [`Grounding`](super::grounding::Grounding)) and one more: a block that opens an answer, whoever wrote it. A tag that the model
//! itself wrote, in a sentence or a listing, stays.

use std::borrow::Cow;

use crate::dialect::think::CLOSE;

/// How a block begins, in this plugin and in Dify's own.
const BEGIN: &str = "<think>\n";

/// How a block ends that this plugin wrote.
const END: &str = "\n</think>";

/// Begins and ends a listing.
const FENCE: &str = "```";

/// An earlier answer's text as the model said it.
pub(super) fn of(text: &str) -> Cow<'_, str> {
    let text = without_leading_block(text);
    match without_blocks(text) {
        Cow::Borrowed(text) => Cow::Borrowed(without_lists(text)),
        Cow::Owned(text) => Cow::Owned(without_lists(&text).to_owned()),
    }
}

/// The text behind the blocks that it begins with; a block without an end is all of it.
fn without_leading_block(text: &str) -> &str {
    let mut rest = text;
    while let Some(inside) = rest.trim_start().strip_prefix(BEGIN) {
        match inside.find(CLOSE) {
            Some(at) => rest = inside[at + CLOSE.len()..].trim_start(),
            None => return "",
        }
    }
    rest
}

/// The text without the blocks in it that have the plugin's own form and stand outside of listings.
fn without_blocks(text: &str) -> Cow<'_, str> {
    let (mut kept, mut from, mut searched) = (String::new(), 0, 0);
    let mut in_listing = false;
    // An opening tag without an end tells that no later one has any: the text is searched once.
    while let Some(at) = text[searched..].find(BEGIN).map(|at| searched + at) {
        in_listing ^= text[searched..at].matches(FENCE).count() % 2 == 1;
        if in_listing {
            searched = at + BEGIN.len();
            continue;
        }
        // The line end of the opening tag may be that of the closing one.
        let inside = at + BEGIN.len() - 1;
        let Some(end) = text[inside..].find(END).map(|end| inside + end + END.len()) else { break };
        kept.push_str(&text[from..at]);
        (from, searched) = (end, end);
    }
    match from {
        0 => Cow::Borrowed(text),
        from => Cow::Owned(kept + &text[from..]),
    }
}

/// The text without the sections that list sources at its end.
fn without_lists(text: &str) -> &str {
    let mut rest = text;
    while let Some((before, last)) = rest.rsplit_once("\n\n") {
        if !is_list(last) {
            break;
        }
        rest = before;
    }
    rest
}

fn is_list(section: &str) -> bool {
    let entries = section.strip_prefix("Sources:\n").or_else(|| section.strip_prefix("Quoted from:\n"));
    if let Some(entries) = entries {
        return entries.contains("](") && entries.lines().all(is_entry);
    }
    (section.starts_with("Search suggestions: [") && section.contains("](https://www.google.com/search?q="))
        || (section.starts_with("Could not read http") && section.ends_with(')') && !section.contains('\n'))
}

/// `[1] [title](address)` or `[1] title`.
fn is_entry(line: &str) -> bool {
    let number = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    number.is_some_and(|(number, name)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()) && !name.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::gemini::grounding::Grounding;
    use crate::dialect::think::{ThinkPolicy, ThinkWriter};

    #[test]
    fn blocks_of_the_plugin_go_and_the_models_own_tags_stay() {
        for (said, expected) in [
            ("<think>\nsecret\n</think>answer", "answer"),
            ("<think>\nsecret\n</think>\n\nanswer", "answer"),
            ("<think>\nsecret</think>answer", "answer"),
            ("<think>\na\n</think><think>\nb\n</think>answer", "answer"),
            ("Part one. <think>\nsecret\n</think>Part two.", "Part one. Part two."),
            ("<think>\na\n</think>One. <think>\nb\n</think>Two. <think>\nc\n</think>", "One. Two. "),
            ("<think>\ncut off", ""),
            ("", ""),
            // What the model said about the tag.
            (
                "Use the `<think>` tag, then write `</think>` and answer.",
                "Use the `<think>` tag, then write `</think>` and answer.",
            ),
            ("<think> opens a block and </think> ends it.", "<think> opens a block and </think> ends it."),
            ("Then write `</think>` and answer.", "Then write `</think>` and answer."),
            ("Say:\n```\n<think>\nhm\n</think>\n```\nDone.", "Say:\n```\n<think>\nhm\n</think>\n```\nDone."),
            ("Say:\n```\nx\n```\n<think>\nhm\n</think>Done.", "Say:\n```\nx\n```\nDone."),
            ("One. <think>\nnever closed", "One. <think>\nnever closed"),
        ] {
            assert_eq!(of(said), expected, "{said}");
        }
    }

    #[test]
    fn what_the_writer_writes_is_found() {
        let (mut writer, mut out) = (ThinkWriter::new(ThinkPolicy::Show), String::new());
        writer.thought("first secret", &mut out);
        writer.text("One. ", &mut out);
        writer.thought("second secret\n", &mut out);
        writer.text("Two.", &mut out);
        writer.finish(false, &mut out);
        assert_eq!(of(&out), "One. Two.", "{out}");
    }

    #[test]
    fn lists_of_sources_go_and_the_models_own_paragraphs_stay() {
        let mut sources = Grounding::default();
        let grounding = json!({"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"title": "Notes"}}],
            "webSearchQueries": ["größe?", "b"]});
        sources.add(serde_json::from_value(grounding).unwrap(), 0);
        sources.quote(serde_json::from_value(json!([{"uri": "https://q", "title": ""}])).unwrap());
        let unread = json!([{"retrievedUrl": "https://pay", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"}]);
        sources.pages(serde_json::from_value(unread).unwrap());
        let answer = "It is large.\n\nAnd old.";
        assert_eq!(of(&format!("{answer}{}", sources.list())), answer, "{}", sources.list());
        for kept in [
            "Sources:\n[1] [a](b)",
            "See:\n\nSources:\nmy own memory",
            "See:\n\nSources:\n[1] Smith 2020\n[2] Jones 2021",
            "Well.\n\nCould not read your mind",
            "Well.\n\nSearch suggestions: none",
        ] {
            assert_eq!(of(kept), kept);
        }
    }
}
