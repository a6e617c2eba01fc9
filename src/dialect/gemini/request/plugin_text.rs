//! Removes text that the plugin itself added to an earlier response before it goes back to a model: thinking blocks,
//! and the list of sources at the end.
//!
//! It recognizes the formats that this plugin writes ([`ThinkWriter`](crate::dialect::think::ThinkWriter),
//! [`Grounding`](crate::dialect::gemini::grounding::Grounding)), and a thinking block at the start of a response from any source. A tag
//! that the model wrote in a sentence or code block is kept.

use std::borrow::Cow;

use crate::dialect::think::CLOSE;

/// Start of a thinking block, as this plugin and Dify write it.
const BEGIN: &str = "<think>\n";

/// End of a thinking block that this plugin wrote.
const END: &str = "\n</think>";

/// Start or end of a code block.
const FENCE: &str = "```";

/// Returns the text of an earlier response as the model wrote it.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    let text = without_leading_block(text);
    match without_blocks(text) {
        Cow::Borrowed(text) => Cow::Borrowed(without_lists(text)),
        Cow::Owned(text) => Cow::Owned(without_lists(&text).to_owned()),
    }
}

/// Removes the leading thinking blocks; a block without an end extends to the end of the text.
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

/// Removes thinking blocks in the plugin's format that are outside of code blocks.
fn without_blocks(text: &str) -> Cow<'_, str> {
    let (mut kept, mut from, mut searched) = (String::new(), 0, 0);
    let mut in_listing = false;
    // If an opening tag has no end, no later one has: the text is searched only once.
    while let Some(at) = text[searched..].find(BEGIN).map(|at| searched + at) {
        in_listing ^= text[searched..at].matches(FENCE).count() % 2 == 1;
        if in_listing {
            searched = at + BEGIN.len();
            continue;
        }
        // The newline of the opening tag may be that of the closing tag.
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

/// Removes the sections at the end that list sources.
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

/// `[1] [title](URL)` or `[1] title`.
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
    fn removes_blocks_of_the_plugin_and_keeps_tags_of_the_model() {
        for (text, expected) in [
            ("<think>\nsecret\n</think>answer", "answer"),
            ("<think>\nsecret\n</think>\n\nanswer", "answer"),
            ("<think>\nsecret</think>answer", "answer"),
            ("<think>\na\n</think><think>\nb\n</think>answer", "answer"),
            ("Part one. <think>\nsecret\n</think>Part two.", "Part one. Part two."),
            ("<think>\na\n</think>One. <think>\nb\n</think>Two. <think>\nc\n</think>", "One. Two. "),
            ("<think>\ncut off", ""),
            ("", ""),
            // Text of the model about the tag.
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
            assert_eq!(strip(text), expected, "{text}");
        }
    }

    #[test]
    fn recognizes_the_output_of_the_writer() {
        let (mut writer, mut out) = (ThinkWriter::new(ThinkPolicy::Show), String::new());
        writer.thought("first secret", &mut out);
        writer.text("One. ", &mut out);
        writer.thought("second secret\n", &mut out);
        writer.text("Two.", &mut out);
        writer.finish(false, &mut out);
        assert_eq!(strip(&out), "One. Two.", "{out}");
    }

    #[test]
    fn removes_source_lists_and_keeps_paragraphs_of_the_model() {
        let mut sources = Grounding::default();
        let grounding = json!({"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"title": "Notes"}}],
            "webSearchQueries": ["größe?", "b"]});
        sources.add(serde_json::from_value(grounding).unwrap(), 0);
        sources.add_quoted(serde_json::from_value(json!([{"uri": "https://q", "title": ""}])).unwrap());
        let unread = json!([{"retrievedUrl": "https://pay", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"}]);
        sources.pages(serde_json::from_value(unread).unwrap());
        let answer = "It is large.\n\nAnd old.";
        assert_eq!(strip(&format!("{answer}{}", sources.list())), answer, "{}", sources.list());
        for kept in [
            "Sources:\n[1] [a](b)",
            "See:\n\nSources:\nmy own memory",
            "See:\n\nSources:\n[1] Smith 2020\n[2] Jones 2021",
            "Well.\n\nCould not read your mind",
            "Well.\n\nSearch suggestions: none",
        ] {
            assert_eq!(strip(kept), kept);
        }
    }
}
