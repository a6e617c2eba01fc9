//! Thoughts in an answer: one form out, `<think>\n…\n</think>` in front of the text, whatever form comes in.
//!
//! Upstreams send thoughts in a field of their own, as tags in the text, as text with a closing tag only, or as an empty
//! block. [`ThinkWriter`] takes both kinds of text in any pieces and writes each block exactly once, or filters it
//! when the user switched thinking off. Tags count where they lead an answer; anywhere else they are its words.
//! [`strip_thoughts`] removes the blocks from a conversation's earlier answers.
//! Source: Dify shows a message's leading `<think>` block folded; `dify-plugin-sdks: interfaces/model/large_language_model.py`.

use dify_plugin::steps;

/// Opens a block.
pub const OPEN: &str = "<think>";
/// Closes a block.
pub const CLOSE: &str = "</think>";

/// Longest text that is held back in wait for a closing tag without an opening one.
const MAX_BUFFERED_BYTES: usize = 512 * 1024;

/// What to do with thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkPolicy {
    /// Show them.
    #[default]
    Show,
    /// Show them; the opening tag may be missing because the model's template already wrote it.
    /// Text is then held back until it is clear what it is.
    ShowUnopened,
    /// Show them; the model's template writes the opening tag: an answer begins with thoughts, and they are shown as they
    /// come. One that is whole without any tag was no thought; it is given once more, as the answer that it is.
    Opened,
    /// Show those that come as such; tags in the text are text.
    FieldOnly,
    /// The user switched thinking off: filter them. When nothing else was said, they are the answer.
    Hide,
}

/// What takes the text, with a difference between what the model thinks and what it says.
pub trait Sink {
    /// A part of a block, tags included.
    fn thoughts(&mut self, text: &str);
    /// A part of the answer.
    fn answer(&mut self, text: &str);
}

impl Sink for String {
    fn thoughts(&mut self, text: &str) {
        self.push_str(text);
    }

    fn answer(&mut self, text: &str) {
        self.push_str(text);
    }
}

/// How the thoughts of an answer began, where that was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With a tag of the model's own.
    Tag,
    /// Without a tag: the template wrote it.
    Unopened,
    /// There were none.
    NoThoughts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but blanks so far: a tag may follow.
    Start,
    /// Between tags in the text.
    InTags,
    /// Plain answer.
    Response,
}

/// Push thoughts and text, take out text; finish.
#[derive(Debug)]
pub struct ThinkWriter {
    policy: ThinkPolicy,
    place: Place,
    /// Text that may be (part of) a tag, or an unopened block.
    held: String,
    /// How much of `held` is known to be blank, and how much to hold no closing tag.
    blank: usize,
    searched: usize,
    field: FieldTags,
    /// Whether the block in the text has no opening tag but [`ThinkPolicy::Opened`], and its text, which may be an answer.
    is_assumed: bool,
    assumed: Option<String>,
    beginning: Option<Beginning>,
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
            place: if policy == ThinkPolicy::FieldOnly { Place::Response } else { Place::Start },
            held: String::new(),
            blank: 0,
            searched: 0,
            field: FieldTags::default(),
            is_assumed: false,
            assumed: None,
            beginning: None,
            open: false,
            blanks: String::new(),
            hidden: String::new(),
            answered: false,
            skip_blanks: false,
        }
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        let assumed = self.assumed.as_ref().map_or(0, String::len);
        self.held.len() + self.blanks.len() + self.hidden.len() + self.field.blanks.len() + assumed
    }

    /// How the thoughts in the text began.
    pub fn beginning(&self) -> Option<Beginning> {
        self.beginning
    }

    /// The upstream keeps thoughts in a field of their own: text is text, even without an opening tag.
    pub fn separate_field<S: Sink>(&mut self, out: &mut S) {
        if matches!(self.policy, ThinkPolicy::ShowUnopened | ThinkPolicy::Opened) {
            self.policy = ThinkPolicy::Show;
            if self.is_assumed {
                return self.end_assumed(out);
            }
            let held = std::mem::take(&mut self.held);
            (self.blank, self.searched) = (0, 0);
            self.text(&held, out);
        }
    }

    /// Takes thoughts of a field of their own, or of parts that are marked as such. Tags around them are left out.
    pub fn thought<S: Sink>(&mut self, text: &str, out: &mut S) {
        let mut field = std::mem::take(&mut self.field);
        field.take(text, |text| self.write_thought(text, out));
        self.field = field;
    }

    fn write_thought<S: Sink>(&mut self, text: &str, out: &mut S) {
        if text.is_empty() {
            return;
        }
        if self.policy == ThinkPolicy::Hide {
            if !self.answered {
                self.hidden.push_str(text);
            }
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
            out.thoughts(&self.blanks);
            out.thoughts(trimmed);
        } else {
            self.open = true;
            out.thoughts(OPEN);
            out.thoughts("\n");
            out.thoughts(trimmed.trim_start());
        }
        self.blanks.clear();
        self.blanks.push_str(&text[trimmed.len()..]);
    }

    /// Takes text of the answer; tags in front of it are recognised.
    pub fn text<S: Sink>(&mut self, text: &str, out: &mut S) {
        if text.is_empty() {
            return;
        }
        if self.place == Place::Response {
            return self.answer(text, out);
        }
        if self.held.is_empty() {
            let read = self.read(text, out);
            self.held.push_str(&text[read..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.push_str(text);
            let read = self.read(&held, out);
            held.drain(..read);
            self.held = held;
        }
    }

    /// Calls follow: an open block ends here.
    pub fn close<S: Sink>(&mut self, out: &mut S) {
        self.end_field(out);
        if std::mem::take(&mut self.open) {
            out.thoughts("\n");
            out.thoughts(CLOSE);
            self.blanks.clear();
        }
    }

    /// The answer ends by itself, with nothing beside the text: what has no tag at all is the answer.
    pub fn end_whole<S: Sink>(&mut self, out: &mut S) {
        if self.is_assumed {
            self.beginning = Some(Beginning::NoThoughts);
            self.end_assumed(out);
        } else if self.policy == ThinkPolicy::ShowUnopened && !self.held.trim().is_empty() {
            self.beginning = Some(Beginning::NoThoughts);
        }
    }

    /// Gives what was taken for thoughts as the answer.
    fn end_assumed<S: Sink>(&mut self, out: &mut S) {
        self.is_assumed = false;
        let held = std::mem::take(&mut self.held);
        self.write_thought(&held, out);
        self.close(out);
        self.place = Place::Response;
        if let Some(text) = self.assumed.take() {
            self.answer(text.trim_start(), out);
            self.answer(&held, out);
        }
    }

    /// The answer is over: what is held back is written, an open block is closed.
    /// `other_output`: whether there is an answer besides the text (calls).
    pub fn finish<S: Sink>(&mut self, other_output: bool, out: &mut S) {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::InTags => self.write_thought(&held, out),
            Place::Start | Place::Response => self.answer(&held, out),
        }
        self.close(out);
        if !self.answered && !other_output && !self.hidden.is_empty() {
            let hidden = std::mem::take(&mut self.hidden);
            out.thoughts(hidden.trim());
        }
    }

    /// Reads text as far as it is clear what it is; the rest is to be given again, with more behind it.
    fn read<S: Sink>(&mut self, text: &str, out: &mut S) -> usize {
        let mut at = 0;
        loop {
            let rest = &text[at..];
            match self.place {
                Place::Response => {
                    self.answer(rest, out);
                    return text.len();
                }
                Place::InTags => {
                    let end = memchr::memmem::find(rest.as_bytes(), CLOSE.as_bytes());
                    steps::count(end.unwrap_or(rest.len()));
                    let inside = end.unwrap_or_else(|| rest.len() - partial_tag(rest, CLOSE));
                    self.end_field(out);
                    self.write_thought(&rest[..inside], out);
                    self.assume(&rest[..inside]);
                    at += inside;
                    if end.is_none() {
                        return at;
                    }
                    at += CLOSE.len();
                    if std::mem::take(&mut self.is_assumed) {
                        self.beginning = Some(Beginning::Unopened);
                        self.assumed = None;
                    }
                    self.end_of_block(out);
                }
                Place::Start => match self.read_start(rest, out) {
                    Some(read) => at += read,
                    None => return at,
                },
            }
        }
    }

    /// Recognises what an answer begins with; `None` when more is needed.
    fn read_start<S: Sink>(&mut self, text: &str, out: &mut S) -> Option<usize> {
        let unknown = &text[self.blank..];
        let blank = text.len() - unknown.trim_start().len();
        steps::count(blank - self.blank + 1);
        let (begins, searched) = (&text[blank..], std::mem::take(&mut self.searched));
        self.blank = 0;
        if begins.starts_with(OPEN) {
            self.place = Place::InTags;
            self.beginning = self.beginning.or(Some(Beginning::Tag));
            return Some(blank + OPEN.len());
        }
        if OPEN.starts_with(begins) {
            self.blank = blank;
            return None;
        }
        if self.policy == ThinkPolicy::Opened {
            self.place = Place::InTags;
            (self.is_assumed, self.assumed) = (true, Some(String::new()));
            return Some(blank);
        }
        if self.policy == ThinkPolicy::ShowUnopened && text.len() <= MAX_BUFFERED_BYTES {
            steps::count(text.len() - searched);
            let Some(end) = memchr::memmem::find(&text.as_bytes()[searched..], CLOSE.as_bytes()) else {
                (self.blank, self.searched) = (blank, text.len().saturating_sub(CLOSE.len() - 1));
                return None;
            };
            let end = searched + end;
            self.beginning = Some(Beginning::Unopened);
            self.end_field(out);
            self.write_thought(&text[..end], out);
            self.end_of_block(out);
            return Some(end + CLOSE.len());
        }
        self.place = Place::Response;
        Some(0)
    }

    /// Keeps what may turn out to be the answer.
    fn assume(&mut self, text: &str) {
        if let Some(assumed) = self.assumed.as_mut().filter(|_| self.is_assumed) {
            assumed.push_str(text);
            if assumed.len() > MAX_BUFFERED_BYTES {
                self.assumed = None;
            }
        }
    }

    fn end_of_block<S: Sink>(&mut self, out: &mut S) {
        self.skip_blanks = !self.open;
        self.close(out);
        // What is hidden may come in several blocks; what is shown has one.
        self.place = if self.policy == ThinkPolicy::Hide { Place::Start } else { Place::Response };
    }

    fn end_field<S: Sink>(&mut self, out: &mut S) {
        let rest = std::mem::take(&mut self.field).rest();
        self.write_thought(rest, out);
    }

    fn answer<S: Sink>(&mut self, text: &str, out: &mut S) {
        let text = if self.skip_blanks { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        steps::count(text.len());
        self.skip_blanks = false;
        self.close(out);
        if !self.answered && !text.trim_start().is_empty() {
            self.answered = true;
            self.hidden = String::new();
        }
        out.answer(text);
    }
}

/// Tags that servers leave around the thoughts of a field: one in front and one at the end. Others are words.
#[derive(Debug, Default)]
struct FieldTags {
    /// Something came that is no tag.
    begun: bool,
    /// Letters of a tag that came so far: of the opening one before anything else, then of a closing one.
    letters: usize,
    /// Blanks behind a closing tag.
    blanks: String,
}

impl FieldTags {
    fn take(&mut self, mut text: &str, mut write: impl FnMut(&str)) {
        steps::count(text.len());
        if !self.begun {
            if self.letters == 0 {
                text = text.trim_start();
            }
            text = self.read_on(OPEN, text);
            if self.letters < OPEN.len() {
                if text.is_empty() {
                    return;
                }
                write(&OPEN[..self.letters]);
            }
            (self.begun, self.letters) = (true, 0);
        }
        while !text.is_empty() {
            if self.letters == CLOSE.len() {
                let rest = text.trim_start();
                self.blanks.push_str(&text[..text.len() - rest.len()]);
                if rest.is_empty() {
                    return;
                }
                // More follows: it was no end.
                write(CLOSE);
                write(&std::mem::take(&mut self.blanks));
                (self.letters, text) = (0, rest);
                continue;
            }
            if self.letters == 0 {
                let plain = memchr::memchr(b'<', text.as_bytes()).unwrap_or(text.len());
                write(&text[..plain]);
                text = &text[plain..];
            }
            text = self.read_on(CLOSE, text);
            if self.letters < CLOSE.len() && !text.is_empty() {
                write(&CLOSE[..std::mem::take(&mut self.letters)]);
            }
        }
    }

    /// Follows a tag as far as the text goes on like it.
    fn read_on<'t>(&mut self, tag: &str, text: &'t str) -> &'t str {
        let more = tag.as_bytes()[self.letters..].iter().zip(text.as_bytes()).take_while(|(tag, text)| tag == text);
        let more = more.count();
        self.letters += more;
        &text[more..]
    }

    /// The letters of a tag that did not come whole.
    fn rest(self) -> &'static str {
        match self.begun {
            false => &OPEN[..self.letters],
            true if self.letters < CLOSE.len() => &CLOSE[..self.letters],
            true => "",
        }
    }
}

/// How many bytes at the end of a text may be the beginning of a tag.
pub(super) fn partial_tag(text: &str, tag: &str) -> usize {
    let longest = text.len().min(tag.len() - 1);
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&tag.as_bytes()[..*length])).unwrap_or(0)
}

/// An earlier answer without its thoughts: the blocks that lead it. A block that never ends was all there was.
pub fn strip_thoughts(text: &str) -> &str {
    let mut rest = text;
    while let Some(inside) = rest.trim_start().strip_prefix(OPEN) {
        match inside.find(CLOSE) {
            Some(at) => rest = inside[at + CLOSE.len()..].trim_start(),
            None => return "",
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `T:` thoughts, `A:` text, `F` the field exists, `C` calls follow, `E` the answer ends by itself.
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
                ("E", _) => writer.end_whole(&mut out),
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
        use ThinkPolicy::{FieldOnly, Hide, Opened, Show, ShowUnopened};
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
            (Show, &["Aa</think>b<think>c</think>"], "a</think>b<think>c</think>"),
            (Show, &["T<think>hm", "T end</think>", "Aok"], "<think>\nhm end\n</think>ok"),
            (Show, &["T\n<thi", "Tnk>hm</thi", "Tnk>\n", "Aok"], "<think>\nhm\n</think>ok"),
            (Show, &["T<think></think>", "Aok"], "ok"),
            (Show, &["T<thi", "Aok"], "<think>\n<thi\n</think>ok"),
            (Show, &["Ta </thi", "Aok"], "<think>\na </thi\n</think>ok"),
            (Show, &["Ta </think> b", "T < c <", "T/ d", "Aok"], "<think>\na </think> b < c </ d\n</think>ok"),
            (Show, &["Ta", "Ab", "T<think>c</think>", "Ad"], "<think>\na\n</think>b<think>\nc\n</think>d"),
            (Show, &["Ta</think>", "C", "T<think>b"], "<think>\na\n</think><think>\nb\n</think>"),
            (FieldOnly, &["A<think> is a tag, ", "A</think> too"], "<think> is a tag, </think> too"),
            (FieldOnly, &["Thm", "A<think>x</think>"], "<think>\nhm\n</think><think>x</think>"),
            (ShowUnopened, &["Ahm, well", "A</thi", "Ank>\n\nHello"], "<think>\nhm, well\n</think>\n\nHello"),
            (ShowUnopened, &["Ano tags at all"], "no tags at all"),
            (ShowUnopened, &["F", "Atext </think> text"], "text </think> text"),
            (ShowUnopened, &["A<think>hm</think>x"], "<think>\nhm\n</think>x"),
            (Opened, &["Ahm, ", "Awell</thi", "Ank>\n\nHello"], "<think>\nhm, well\n</think>\n\nHello"),
            (Opened, &["A\n<think>hm</think>Hello", "E"], "<think>\nhm\n</think>Hello"),
            (Opened, &["A</think>Hello", "E"], "Hello"),
            (Opened, &["Ahm, ", "Awell"], "<think>\nhm, well\n</think>"),
            (Opened, &["Ahm, ", "Awell", "C"], "<think>\nhm, well\n</think>"),
            (Opened, &["A\nNo tags ", "Aat all", "E"], "<think>\nNo tags at all\n</think>No tags at all"),
            (Opened, &["Aa < b </th", "E"], "<think>\na < b </th\n</think>a < b </th"),
            (Opened, &["F", "AHello", "E"], "Hello"),
            (Opened, &["AHello", "Thm", "A, you", "E"], "<think>\nHello\n</think>Hello<think>\nhm\n</think>, you"),
            (Hide, &["Thm", "AHello"], "Hello"),
            (Hide, &["A<think>hm</think>\n\nHello"], "Hello"),
            (Hide, &["A<think>a</think>\n<thi", "Ank>b</think>\n\nHello"], "Hello"),
            (Hide, &["Aone <thi", "Ank>hm</thi", "Ank> two"], "one <think>hm</think> two"),
            (Hide, &["APut `<think>` first. ", "AThe rest."], "Put `<think>` first. The rest."),
            (Hide, &["A<think>hm</think>Put `<think>` first."], "Put `<think>` first."),
            (Hide, &["A<think>hm</think>`<think>` opens, </think> closes."], "`<think>` opens, </think> closes."),
            (Hide, &["T<think>The answer</think>"], "The answer"),
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
    fn how_thoughts_began_is_seen() {
        use Beginning::{NoThoughts, Tag, Unopened};
        use ThinkPolicy::{Opened, Show, ShowUnopened};
        for (policy, text, expected) in [
            (Show, "<think>hm</think>Hello", Some(Tag)),
            (Show, "Hello", None),
            (ShowUnopened, "<think>hm</think>Hello", Some(Tag)),
            (ShowUnopened, "hm</think>Hello", Some(Unopened)),
            (ShowUnopened, "Hello", Some(NoThoughts)),
            (ShowUnopened, "", None),
            (Opened, "<think>hm", Some(Tag)),
            (Opened, "hm</think>Hello", Some(Unopened)),
            (Opened, "Hello", Some(NoThoughts)),
            (Opened, "", None),
        ] {
            let (mut writer, mut out) = (ThinkWriter::new(policy), String::new());
            writer.text(text, &mut out);
            writer.end_whole(&mut out);
            assert_eq!(writer.beginning(), expected, "{policy:?} {text}");
        }
    }

    #[test]
    fn what_may_be_the_answer_is_not_kept_for_ever() {
        let (mut writer, mut out) = (ThinkWriter::new(ThinkPolicy::Opened), String::new());
        for _ in 0..=MAX_BUFFERED_BYTES / 1024 {
            writer.text(&"x".repeat(1024), &mut out);
            assert!(writer.held() <= MAX_BUFFERED_BYTES);
        }
    }

    #[test]
    fn history_loses_its_thoughts() {
        let cases = [
            ("Hello", "Hello"),
            ("<think>\nhm\n</think>\n\nHello", "Hello"),
            ("<think>a</think><think>b</think>Hello", "Hello"),
            ("write `</think>` and answer", "write `</think>` and answer"),
            ("<think>a</think>\nwrite `<think>x</think>`", "write `<think>x</think>`"),
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
            policy in prop::sample::select(vec![
                ThinkPolicy::Show,
                ThinkPolicy::ShowUnopened,
                ThinkPolicy::Opened,
                ThinkPolicy::Hide,
                ThinkPolicy::FieldOnly,
            ]),
            kind in "[AT]",
            end in "[EC]",
        ) {
            let text: String = parts.concat();
            let whole = run(policy, &[&format!("{kind}{text}"), &end]);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(format!("{kind}{}", &text[from..cut]));
                from = cut;
            }
            pieces.push(format!("{kind}{}", &text[from..]));
            pieces.push(end);
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(policy, &pieces), whole);
        }
    }

    #[test]
    fn twice_the_text_is_twice_the_work() {
        use ThinkPolicy::{FieldOnly, Hide, Opened, Show, ShowUnopened};
        let pieces: [(&str, &str); 9] = [
            ("A", " "),
            ("A", "<think>"),
            ("A", "<think></think>"),
            ("A", "</think>"),
            ("A", "words < of > an answer"),
            ("T", " "),
            ("T", "<think>"),
            ("T", "</think> "),
            ("T", "words < of thoughts"),
        ];
        for policy in [Show, ShowUnopened, Opened, FieldOnly, Hide] {
            for (kind, piece) in pieces {
                let name = format!("{policy:?} {kind}{piece}");
                // In one piece, and in many.
                steps::assert_linear(
                    &name,
                    |size| format!("{kind}x{}", piece.repeat(size)),
                    |text| drop(run(policy, &[&text])),
                );
                let many = |size| vec![format!("{kind}{piece}"); size];
                steps::assert_linear(&name, many, |pieces| {
                    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                    run(policy, &pieces);
                });
            }
        }
    }
}
