//! Tool calls that a server left in the text because it has no parser for the model's format.
//!
//! Text is passed on until a tag that opens a call (`formats`); from there it is held back to the end and read
//! (`reading`). What cannot be read, or names a tool that was not offered, is released as text. A tag that is quoted
//! (`quotes`) opens nothing. Only for the answer itself, never for thoughts, and only when tools were offered.
//!
//! Where the upstream is not known to leave calls in the text, an answer must be nothing but calls: among words they are
//! an example of one. Of an upstream that is known to, an answer that is JSON with a tool's name and arguments is a call
//! too (`bare`).

mod bare;
mod formats;
mod quotes;
mod reading;

use self::bare::Beginning;
use self::quotes::Quotes;
use self::reading::Offered;
use dify_plugin::protocol::{FinishReason, Tool, ToolCall};
use dify_plugin::steps;

/// Push text, take out text; at the end take the calls.
#[derive(Debug)]
pub struct TextToolCalls {
    offered: Offered,
    /// Whether the upstream is known to leave calls in the text.
    leaks: bool,
    held: String,
    place: Place,
    /// Nothing but blanks came before what is held.
    alone: bool,
    quotes: Quotes,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but blanks so far.
    Start,
    /// Text; what is held is less than a tag.
    Text,
    /// Everything from a tag on is held.
    Tag,
    /// The whole answer is held: it may be a call without a tag.
    Bare,
}

impl TextToolCalls {
    /// Looks for calls of these tools; `leaks` is whether the upstream is known to leave calls in the text.
    pub fn new(tools: &[Tool], leaks: bool) -> Self {
        Self {
            offered: Offered::new(tools),
            leaks,
            held: String::new(),
            place: Place::Start,
            alone: true,
            quotes: Quotes::default(),
        }
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes text; what is certainly text comes out.
    pub fn push(&mut self, text: &str, out: &mut String) {
        steps::count(text.len());
        if matches!(self.place, Place::Tag | Place::Bare) {
            self.held.push_str(text);
            return;
        }
        // What is held is less than a tag, or the first word of a call.
        steps::count(self.held.len());
        let text = std::mem::take(&mut self.held) + text;
        match self.place {
            Place::Start => self.start(&text, out),
            _ => self.search(&text, out),
        }
    }

    /// Judges the beginning of an answer.
    fn start(&mut self, text: &str, out: &mut String) {
        let begins = text.trim_start();
        self.release(&text[..text.len() - begins.len()], out);
        if begins.is_empty() {
            return;
        }
        let beginning = match self.leaks {
            true => bare::beginning(begins, &self.offered),
            false => Beginning::Text,
        };
        match beginning {
            Beginning::Unknown => self.held.push_str(begins),
            Beginning::Call => {
                self.place = Place::Bare;
                self.held.push_str(begins);
            }
            Beginning::Text => {
                self.place = Place::Text;
                self.search(begins, out);
            }
        }
    }

    /// Passes on text up to a tag, or to what may become one.
    fn search(&mut self, text: &str, out: &mut String) {
        let mut from = 0;
        for at in formats::candidates(text) {
            let rest = &text[at..];
            let is_tag = formats::opening_at(rest).is_some();
            if !is_tag && !formats::may_open(rest) {
                continue;
            }
            self.release(&text[from..at], out);
            from = at;
            if is_tag && self.quotes.is_quoted() {
                continue;
            }
            if is_tag {
                self.place = Place::Tag;
            }
            break;
        }
        let rest = &text[from..];
        if self.place == Place::Tag || formats::may_open(rest) && !rest.is_empty() {
            self.held.push_str(rest);
        } else {
            self.release(rest, out);
        }
    }

    /// Something else follows than text of the answer: no tag goes on behind it.
    pub fn settle(&mut self, out: &mut String) {
        if matches!(self.place, Place::Start | Place::Text) && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.place = Place::Text;
            self.release(&held, out);
        }
    }

    fn release(&mut self, text: &str, out: &mut String) {
        steps::count(text.len());
        self.quotes.push(text);
        self.alone &= text.trim_start().is_empty();
        out.push_str(text);
    }

    /// The answer ended for this reason: the calls in what was held, when they can be read and either count among words or
    /// are alone; else the text of it.
    pub fn finish(&mut self, reason: Option<&FinishReason>, out: &mut String) -> Vec<ToolCall> {
        let count_among_words = self.leaks || reason == Some(&FinishReason::ToolCalls);
        let is_cut = reason == Some(&FinishReason::Length);
        let held = std::mem::take(&mut self.held);
        let read = match std::mem::replace(&mut self.place, Place::Text) {
            Place::Tag if count_among_words || self.alone => reading::read(&held, &self.offered, is_cut),
            Place::Bare => reading::read_bare(&held, &self.offered).map(|calls| (calls, String::new())),
            _ => None,
        };
        match read {
            Some((calls, text)) if count_among_words || text.trim().is_empty() => {
                out.push_str(&text);
                calls
            }
            _ => {
                out.push_str(&held);
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
