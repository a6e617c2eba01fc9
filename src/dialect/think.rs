//! Thoughts in an answer: one form out, `<think>\n…\n</think>` in front of the text, whatever form comes in.
//!
//! Upstreams send thoughts in a field of their own, as tags in the text, as text with a closing tag only, or as an empty
//! block. [`ThinkWriter`] takes both kinds of text in any pieces and writes each block exactly once, or filters it
//! when the user switched thinking off. [`strip_thoughts`] removes the blocks from a conversation's earlier answers.
//! Source: Dify shows a message's leading `<think>` block folded; `dify-plugin-sdks: interfaces/model/large_language_model.py`.

/// Opens a block.
pub const OPEN: &str = "<think>";
/// Closes a block.
pub const CLOSE: &str = "</think>";

/// Longest text that is held back in wait for a closing tag without an opening one.
const LONGEST_HELD: usize = 512 * 1024;

/// What to do with thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkPolicy {
    /// Show them.
    #[default]
    Show,
    /// Show them; the opening tag may be missing because the model's template already wrote it.
    /// Text is then held back until it is clear what it is.
    ShowUnopened,
    /// The user switched thinking off: filter them. When nothing else was said, they are the answer.
    Hide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but blanks so far: a tag may follow.
    Start,
    /// Between tags in the text.
    InTags,
    /// Plain answer.
    Answer,
}

/// Push thoughts and text, take out text; finish.
#[derive(Debug)]
pub struct ThinkWriter {
    policy: ThinkPolicy,
    place: Place,
    /// Text that may be (part of) a tag, or an unopened block.
    held: String,
    /// How much of `held` is known to hold no closing tag.
    searched: usize,
    /// Whether a block is open in the output.
    open: bool,
    /// Blanks within a block that are written only when more thoughts follow.
    blanks: String,
    /// Thoughts under [`ThinkPolicy::Hide`].
    hidden: String,
    /// Whether anything of the answer itself was written.
    answered: bool,
    /// A block was dropped because it was blank or hidden: the blanks behind it go too.
    skip_blanks: bool,
}

impl ThinkWriter {
    /// A writer at the beginning of an answer.
    pub fn new(policy: ThinkPolicy) -> Self {
        Self {
            policy,
            place: Place::Start,
            held: String::new(),
            searched: 0,
            open: false,
            blanks: String::new(),
            hidden: String::new(),
            answered: false,
            skip_blanks: false,
        }
    }

    /// The upstream keeps thoughts in a field of their own: text is text, even without an opening tag.
    pub fn separate_field(&mut self, out: &mut String) {
        if self.policy == ThinkPolicy::ShowUnopened {
            self.policy = ThinkPolicy::Show;
            let held = std::mem::take(&mut self.held);
            self.text(&held, out);
        }
    }

    /// Takes thoughts.
    pub fn thought(&mut self, text: &str, out: &mut String) {
        if text.is_empty() {
            return;
        }
        if self.policy == ThinkPolicy::Hide {
            self.hidden.push_str(text);
            return;
        }
        let trimmed = text.trim_end();
        if trimmed.is_empty() {
            if self.open {
                self.blanks.push_str(text);
            }
            return;
        }
        if self.open {
            out.push_str(&self.blanks);
            out.push_str(trimmed);
        } else {
            self.open = true;
            out.push_str(OPEN);
            out.push('\n');
            out.push_str(trimmed.trim_start());
        }
        self.blanks.clear();
        self.blanks.push_str(&text[trimmed.len()..]);
    }

    /// Takes text of the answer; tags in it are recognised.
    pub fn text(&mut self, text: &str, out: &mut String) {
        if text.is_empty() {
            return;
        }
        if self.place == Place::Answer && self.policy != ThinkPolicy::Hide {
            return self.answer(text, out);
        }
        self.held.push_str(text);
        while self.step(out) {}
    }

    /// Calls follow: an open block ends here.
    pub fn close(&mut self, out: &mut String) {
        if std::mem::take(&mut self.open) {
            out.push('\n');
            out.push_str(CLOSE);
            self.blanks.clear();
        }
    }

    /// The answer is over: what is held back is written, an open block is closed.
    /// `other_output`: whether there is an answer besides the text (calls).
    pub fn finish(&mut self, other_output: bool, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::InTags => self.thought(&held, out),
            Place::Start | Place::Answer if !held.is_empty() => self.answer(&held, out),
            Place::Start | Place::Answer => {}
        }
        self.close(out);
        if !self.answered && !other_output && !self.hidden.is_empty() {
            let hidden = std::mem::take(&mut self.hidden);
            out.push_str(hidden.trim());
        }
    }

    /// Recognises one tag in what is held; false when more is needed.
    fn step(&mut self, out: &mut String) -> bool {
        match self.place {
            Place::Start => self.step_start(out),
            Place::InTags => self.step_in_tags(out),
            Place::Answer => self.step_answer(out),
        }
    }

    fn step_start(&mut self, out: &mut String) -> bool {
        let trimmed = self.held.trim_start();
        if let Some(rest) = trimmed.strip_prefix(OPEN) {
            self.held = rest.to_owned();
            self.place = Place::InTags;
            return !self.held.is_empty();
        }
        if OPEN.starts_with(trimmed) {
            return false;
        }
        if self.policy == ThinkPolicy::ShowUnopened && self.held.len() <= LONGEST_HELD {
            let Some(at) = memchr::memmem::find(&self.held.as_bytes()[self.searched..], CLOSE.as_bytes()) else {
                self.searched = self.held.len().saturating_sub(CLOSE.len() - 1);
                return false;
            };
            let at = self.searched + at;
            let rest = self.held.split_off(at + CLOSE.len());
            let thoughts = std::mem::replace(&mut self.held, rest);
            self.thought(&thoughts[..at], out);
            self.end_of_block(out);
            return !self.held.is_empty();
        }
        self.place = Place::Answer;
        if self.policy == ThinkPolicy::Hide {
            return true;
        }
        let held = std::mem::take(&mut self.held);
        self.answer(&held, out);
        false
    }

    fn step_in_tags(&mut self, out: &mut String) -> bool {
        if let Some(at) = self.held.find(CLOSE) {
            let rest = self.held.split_off(at + CLOSE.len());
            let thoughts = std::mem::replace(&mut self.held, rest);
            self.thought(&thoughts[..at], out);
            self.end_of_block(out);
            return !self.held.is_empty();
        }
        let keep = partial_tag(&self.held, CLOSE);
        let tail = self.held.split_off(self.held.len() - keep);
        let thoughts = std::mem::replace(&mut self.held, tail);
        self.thought(&thoughts, out);
        false
    }

    /// Under [`ThinkPolicy::Hide`] a block may open anywhere.
    fn step_answer(&mut self, out: &mut String) -> bool {
        if let Some(at) = self.held.find(OPEN) {
            let rest = self.held.split_off(at + OPEN.len());
            let text = std::mem::replace(&mut self.held, rest);
            self.answer(&text[..at], out);
            self.place = Place::InTags;
            return !self.held.is_empty();
        }
        let keep = partial_tag(&self.held, OPEN);
        let tail = self.held.split_off(self.held.len() - keep);
        let text = std::mem::replace(&mut self.held, tail);
        self.answer(&text, out);
        false
    }

    fn end_of_block(&mut self, out: &mut String) {
        self.skip_blanks = !self.open;
        self.close(out);
        self.place = Place::Answer;
        if self.policy != ThinkPolicy::Hide {
            let held = std::mem::take(&mut self.held);
            self.answer(&held, out);
        }
    }

    fn answer(&mut self, text: &str, out: &mut String) {
        let text = if self.skip_blanks { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        self.skip_blanks = false;
        self.close(out);
        self.answered |= !text.trim().is_empty();
        out.push_str(text);
    }
}

/// How many bytes at the end of a text may be the beginning of a tag.
pub(super) fn partial_tag(text: &str, tag: &str) -> usize {
    let longest = text.len().min(tag.len() - 1);
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&tag.as_bytes()[..*length])).unwrap_or(0)
}

/// An earlier answer without its thoughts: the leading block goes, and everything before a lone closing tag.
pub fn strip_thoughts(text: &str) -> &str {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let Some(inside) = trimmed.strip_prefix(OPEN) else {
            return match rest.find(CLOSE) {
                Some(at) if !rest[..at].contains(OPEN) => rest[at + CLOSE.len()..].trim_start(),
                _ => rest,
            };
        };
        match inside.find(CLOSE) {
            Some(at) => rest = inside[at + CLOSE.len()..].trim_start(),
            None => return "",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `T:` thoughts, `A:` text, `F` the field exists, `C` calls follow.
    fn run(policy: ThinkPolicy, steps: &[&str]) -> String {
        let mut writer = ThinkWriter::new(policy);
        let mut out = String::new();
        let mut calls = false;
        for step in steps {
            match step.split_at(1) {
                ("T", text) => {
                    writer.separate_field(&mut out);
                    writer.thought(text, &mut out);
                }
                ("A", text) => writer.text(text, &mut out),
                ("C", _) => {
                    calls = true;
                    writer.close(&mut out);
                }
                _ => writer.separate_field(&mut out),
            }
        }
        writer.finish(calls, &mut out);
        out
    }

    #[test]
    fn one_block_whatever_comes_in() {
        use ThinkPolicy::{Hide, Show, ShowUnopened};
        let cases: &[(ThinkPolicy, &[&str], &str)] = &[
            (Show, &["AHello"], "Hello"),
            (Show, &["A\n\nHello"], "\n\nHello"),
            (
                Show,
                &["T\n", "TThe user", "T says hi.\n", "A\n\nHello"],
                "<think>\nThe user says hi.\n</think>\n\nHello",
            ),
            (Show, &["Ta", "T", "Tb", "A", "Tc", "Ad"], "<think>\nabc\n</think>d"),
            (Show, &["A<think>\nhm\n</think>\n\nHello"], "<think>\nhm\n</think>\n\nHello"),
            (Show, &["A<thi", "Ank>hm</th", "Aink>Hello"], "<think>\nhm\n</think>Hello"),
            (Show, &["A<think>\n\n</think>\n\nHello"], "Hello"),
            (Show, &["T\n", "AHello"], "Hello"),
            (Show, &["Thm", "C"], "<think>\nhm\n</think>"),
            (Show, &["A<think>never closed"], "<think>\nnever closed\n</think>"),
            (Show, &["Thm"], "<think>\nhm\n</think>"),
            (Show, &["A<thorough"], "<thorough"),
            (Show, &["A<thi"], "<thi"),
            (Show, &["Aan answer with <think> in it"], "an answer with <think> in it"),
            (Show, &["Thm", "A<think>hm</think>x"], "<think>\nhmhm\n</think>x"),
            (ShowUnopened, &["Ahm, well", "A</thi", "Ank>\n\nHello"], "<think>\nhm, well\n</think>\n\nHello"),
            (ShowUnopened, &["Ano tags at all"], "no tags at all"),
            (ShowUnopened, &["F", "Atext </think> text"], "text </think> text"),
            (ShowUnopened, &["A<think>hm</think>x"], "<think>\nhm\n</think>x"),
            (Hide, &["Thm", "AHello"], "Hello"),
            (Hide, &["A<think>hm</think>\n\nHello"], "Hello"),
            (Hide, &["Aone <thi", "Ank>hm</thi", "Ank> two"], "one two"),
            (Hide, &["A<think>never closed"], "never closed"),
            (Hide, &["TThe answer landed here"], "The answer landed here"),
            (Hide, &["Thm", "C"], ""),
            (Hide, &["Aa < b"], "a < b"),
        ];
        for (policy, steps, expected) in cases {
            assert_eq!(run(*policy, steps), *expected, "{policy:?} {steps:?}");
        }
    }

    #[test]
    fn history_loses_its_thoughts() {
        let cases = [
            ("Hello", "Hello"),
            ("<think>\nhm\n</think>\n\nHello", "Hello"),
            ("<think>a</think><think>b</think>Hello", "Hello"),
            ("lost opening</think>\nHello", "Hello"),
            ("<think>cut", ""),
            ("text with <think>a</think> inside", "text with <think>a</think> inside"),
            (" keeps blanks ", " keeps blanks "),
        ];
        for (text, expected) in cases {
            assert_eq!(strip_thoughts(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(
            parts in proptest::collection::vec("(<think>|</think>|<thi|nk>|[a-c<> \n]{0,3}|é)", 0..10),
            cuts in proptest::collection::vec(0usize..60, 0..10),
            policy in 0..3,
        ) {
            let policy = [ThinkPolicy::Show, ThinkPolicy::ShowUnopened, ThinkPolicy::Hide][policy as usize];
            let text: String = parts.concat();
            let whole = run(policy, &[&format!("A{text}")]);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(format!("A{}", &text[from..cut]));
                from = cut;
            }
            pieces.push(format!("A{}", &text[from..]));
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(policy, &pieces), whole);
        }
    }
}
