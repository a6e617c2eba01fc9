//! Reads tool calls that a server left in the text because it has no parser for the model's format.
//!
//! Text is emitted up to a tag that opens a call (`formats`). From there it is buffered until the end and then parsed
//! (`reading`). Text that cannot be parsed, or that names a tool that was not offered, is emitted unchanged. A quoted
//! tag
//! (`quotes`) opens nothing. Applies only to the response itself, never to thoughts, and only if tools were offered.
//!
//! Unless the upstream is known to leave calls in the text, a response must contain nothing but calls: between other
//! text
//! they are only examples. If it is known to, a response that is JSON with a tool's name and arguments is a call, too
//! (`bare`).

mod bare;
mod formats;
mod quotes;
mod reading;

use self::bare::Beginning;
use self::quotes::Quotes;
use self::reading::Offered;
use dify_plugin::protocol::{FinishReason, Tool, ToolCall};
use dify_plugin::steps;

/// Filter for tool calls in the text: push text, take out text; at the end, take the calls.
#[derive(Debug)]
pub struct TextToolCalls {
    offered: Offered,
    /// Whether the upstream is known to leave calls in the text.
    leaks: bool,
    held: String,
    place: Place,
    /// The buffered text was preceded by blanks only.
    alone: bool,
    quotes: Quotes,
}

/// State of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Only blanks so far.
    Start,
    /// In plain text; the buffer contains less than a tag.
    Text,
    /// Everything from a tag on is buffered.
    Tag,
    /// The whole response is buffered: it may be a call without a tag.
    Bare,
}

impl TextToolCalls {
    /// Creates a filter for calls of these tools; `leaks` is whether the upstream is known to leave calls in the text.
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

    /// Returns the number of buffered bytes.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Adds text and emits what is certainly plain text.
    pub fn push(&mut self, text: &str, out: &mut String) {
        steps::count(text.len());
        if matches!(self.place, Place::Tag | Place::Bare) {
            self.held.push_str(text);
            return;
        }
        // The buffer contains less than a tag, or the start of a bare call.
        steps::count(self.held.len());
        let text = std::mem::take(&mut self.held) + text;
        match self.place {
            Place::Start => self.start(&text, out),
            _ => self.search(&text, out),
        }
    }

    /// Classifies the start of a response.
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

    /// Emits text up to a tag, or to what may become one.
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

    /// Emits an incomplete tag, because something other than response text follows.
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

    /// Ends the response: returns the tool calls found in the buffered text if the finish reason or their position
    /// allows it,
    /// or emits the text unchanged.
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
