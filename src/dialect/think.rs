//! Normalizes thoughts in a response to one form, `<think>\n…\n</think>` before the text.
//!
//! Upstreams send thoughts in a separate field, as tags in the text, as text with a closing tag only, or as an empty
//! block.
//! [`ThinkWriter`] accepts both types of text in any split and writes each block exactly once, or filters it if the
//! user
//! switched thinking off. Tags count only at the start of a response; elsewhere they are part of its text.
//! [`strip_thoughts`] removes the blocks from a conversation's earlier responses.
//! Source: Dify shows a leading `<think>` block of a message collapsed; `dify-plugin-sdks:
//! interfaces/model/large_language_model.py`.

use dify_plugin::steps;

/// Opening tag of a block.
pub const OPEN: &str = "<think>";
/// Closing tag of a block.
pub const CLOSE: &str = "</think>";

/// Maximum number of bytes that are buffered while waiting for a closing tag without an opening one.
const MAX_BUFFERED_BYTES: usize = 512 * 1024;

/// What to do with thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkPolicy {
    /// Show them.
    #[default]
    Show,
    /// Show them; the opening tag may be missing because the model's template already wrote it.
    /// Text is then buffered until it is clear whether it belongs to a block.
    ShowUnopened,
    /// Show them; the model's template writes the opening tag, so a response begins with thoughts, and they are shown
    /// immediately. A complete response without any tag contained no thoughts; it is emitted again as the response.
    Opened,
    /// Show those of the separate field; tags in the text are text.
    FieldOnly,
    /// The user switched thinking off: filter them. If nothing else was sent, they are the response.
    Hide,
}

/// Receives the output, with thoughts and response text separated.
pub trait Sink {
    /// Adds part of a block, including its tags.
    fn thoughts(&mut self, text: &str);
    /// Adds part of the response text.
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

/// How the thoughts of a response began, if this was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With the model's own tag.
    Tag,
    /// Without a tag, because the template wrote it.
    Unopened,
    /// There were no thoughts.
    NoThoughts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Only blanks so far: a tag may follow.
    Start,
    /// Between tags in the text.
    InTags,
    /// In the response text.
    Response,
}

/// Writes thoughts and text in the normalized form: push both, then finish.
#[derive(Debug)]
pub struct ThinkWriter {
    policy: ThinkPolicy,
    place: Place,
    /// Text that may be (part of) a tag, or an unopened block.
    held: String,
    /// How many bytes of `held` are known to be blank, and how many to contain no closing tag.
    blank: usize,
    searched: usize,
    field: FieldTags,
    /// Whether the block in the text was opened by [`ThinkPolicy::Opened`] only, and its text, which may be the
    /// response.
    is_assumed: bool,
    assumed: Option<String>,
    beginning: Option<Beginning>,
    /// Whether a block is open in the output.
    open: bool,
    /// Blanks in a block that are written only if more thoughts follow.
    blanks: String,
    /// Thoughts under [`ThinkPolicy::Hide`].
    hidden: String,
    /// Whether any response text was written.
    has_response: bool,
    /// A blank or hidden block was dropped, so the whitespace after it is dropped, too.
    skip_blanks: bool,
}

impl ThinkWriter {
    /// Creates a writer at the start of a response.
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
            has_response: false,
            skip_blanks: false,
        }
    }

    /// Returns the number of buffered bytes.
    pub fn held(&self) -> usize {
        let assumed = self.assumed.as_ref().map_or(0, String::len);
        self.held.len() + self.blanks.len() + self.hidden.len() + self.field.blanks.len() + assumed
    }

    /// Returns how the thoughts in the text began.
    pub fn beginning(&self) -> Option<Beginning> {
        self.beginning
    }

    /// Notes that the upstream has a separate field for thoughts: text is text, even without an opening tag.
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

    /// Adds thoughts of a separate field, or of parts that are marked as thoughts. Tags around them are removed.
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
            if !self.has_response {
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

    /// Adds text of the response. Tags at its start are recognized.
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

    /// Closes an open block, because tool calls follow.
    pub fn close<S: Sink>(&mut self, out: &mut S) {
        self.end_field(out);
        if std::mem::take(&mut self.open) {
            out.thoughts("\n");
            out.thoughts(CLOSE);
            self.blanks.clear();
        }
    }

    /// Notes that the response ended regularly and consists of text only: without any tag, all of it is the response.
    pub fn end_whole<S: Sink>(&mut self, out: &mut S) {
        if self.is_assumed {
            self.beginning = Some(Beginning::NoThoughts);
            self.end_assumed(out);
        } else if self.policy == ThinkPolicy::ShowUnopened && !self.held.trim().is_empty() {
            self.beginning = Some(Beginning::NoThoughts);
        }
    }

    /// Emits as the response what was taken for thoughts.
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

    /// Ends the response: buffered text is written, an open block is closed.
    /// `other_output` is whether there is output in addition to the text (tool calls).
    pub fn finish<S: Sink>(&mut self, other_output: bool, out: &mut S) {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::InTags => self.write_thought(&held, out),
            Place::Start | Place::Response => self.answer(&held, out),
        }
        self.close(out);
        if !self.has_response && !other_output && !self.hidden.is_empty() {
            let hidden = std::mem::take(&mut self.hidden);
            out.thoughts(hidden.trim());
        }
    }

    /// Consumes text as far as its meaning is clear. The rest must be passed again, with more text after it.
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

    /// Recognizes the start of a response; `None` if more text is needed.
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

    /// Keeps text that may turn out to be the response.
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
        // Several blocks may be hidden; only one is shown.
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
        if !self.has_response && !text.trim_start().is_empty() {
            self.has_response = true;
            self.hidden = String::new();
        }
        out.answer(text);
    }
}

/// Removes tags that servers leave around the thoughts of a field: one at the start and one at the end. Others are
/// text.
#[derive(Debug, Default)]
struct FieldTags {
    /// Something other than a tag was seen.
    begun: bool,
    /// Number of matched characters of a tag: of the opening one at the start, then of a closing one.
    matched: usize,
    /// Blanks after a closing tag.
    blanks: String,
}

impl FieldTags {
    fn take(&mut self, mut text: &str, mut write: impl FnMut(&str)) {
        steps::count(text.len());
        if !self.begun {
            if self.matched == 0 {
                text = text.trim_start();
            }
            text = self.read_on(OPEN, text);
            if self.matched < OPEN.len() {
                if text.is_empty() {
                    return;
                }
                write(&OPEN[..self.matched]);
            }
            (self.begun, self.matched) = (true, 0);
        }
        while !text.is_empty() {
            if self.matched == CLOSE.len() {
                let rest = text.trim_start();
                self.blanks.push_str(&text[..text.len() - rest.len()]);
                if rest.is_empty() {
                    return;
                }
                // More text follows, so the tag is text.
                write(CLOSE);
                write(&std::mem::take(&mut self.blanks));
                (self.matched, text) = (0, rest);
                continue;
            }
            if self.matched == 0 {
                let plain = memchr::memchr(b'<', text.as_bytes()).unwrap_or(text.len());
                write(&text[..plain]);
                text = &text[plain..];
            }
            text = self.read_on(CLOSE, text);
            if self.matched < CLOSE.len() && !text.is_empty() {
                write(&CLOSE[..std::mem::take(&mut self.matched)]);
            }
        }
    }

    /// Matches a tag as far as the text continues it.
    fn read_on<'t>(&mut self, tag: &str, text: &'t str) -> &'t str {
        let more = tag.as_bytes()[self.matched..].iter().zip(text.as_bytes()).take_while(|(tag, text)| tag == text);
        let more = more.count();
        self.matched += more;
        &text[more..]
    }

    /// Returns the matched characters of an incomplete tag.
    fn rest(self) -> &'static str {
        match self.begun {
            false => &OPEN[..self.matched],
            true if self.matched < CLOSE.len() => &CLOSE[..self.matched],
            true => "",
        }
    }
}

/// Returns how many bytes at the end of a text may be the start of a tag.
pub(super) fn partial_tag(text: &str, tag: &str) -> usize {
    let longest = text.len().min(tag.len() - 1);
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&tag.as_bytes()[..*length])).unwrap_or(0)
}

/// Returns an earlier response without the blocks at its start. A block that never ends is everything.
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

    /// `T`: thoughts, `A`: text, `F`: the field exists, `C`: calls follow, `E`: the response ends regularly.
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
    fn writes_one_block_for_every_input_form() {
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
    fn reports_how_thoughts_began() {
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
    fn limits_the_text_that_may_be_the_response() {
        let (mut writer, mut out) = (ThinkWriter::new(ThinkPolicy::Opened), String::new());
        for _ in 0..=MAX_BUFFERED_BYTES / 1024 {
            writer.text(&"x".repeat(1024), &mut out);
            assert!(writer.held() <= MAX_BUFFERED_BYTES);
        }
    }

    #[test]
    fn strips_thoughts_from_the_history() {
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
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(format!("{kind}{}", &text[from..cut]));
                from = cut;
            }
            chunks.push(format!("{kind}{}", &text[from..]));
            chunks.push(end);
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            prop_assert_eq!(run(policy, &chunks), whole);
        }
    }

    #[test]
    fn takes_linear_time() {
        use ThinkPolicy::{FieldOnly, Hide, Opened, Show, ShowUnopened};
        let chunks: [(&str, &str); 9] = [
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
            for (kind, chunk) in chunks {
                let name = format!("{policy:?} {kind}{chunk}");
                // In one chunk, and in many.
                steps::assert_linear(
                    &name,
                    |size| format!("{kind}x{}", chunk.repeat(size)),
                    |text| drop(run(policy, &[&text])),
                );
                let many = |size| vec![format!("{kind}{chunk}"); size];
                steps::assert_linear(&name, many, |chunks| {
                    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
                    run(policy, &chunks);
                });
            }
        }
    }
}
