//! How the parts of a response end: the name after `Action:`, JSON, and the text itself.

use dify_plugin::serde_json::Value;

use super::{Outcome, Parser, State};
use crate::react::action::{Action, clean, is_name};
use crate::react::json::{Capture, Captured};
use crate::react::marker::{self, Found, Marker};

/// Bytes of a line that may be the name of a tool with what is around it.
const MAX_HEAD_BYTES: usize = 256;

/// Bytes of a fence with the name of a language.
const MAX_FENCE_BYTES: usize = 40;

impl Parser {
    /// After `Action:`, up to the JSON or the end of a name's line.
    pub(super) fn take_head(&mut self, character: char, answer: &mut String) {
        let State::Action { head, mark } = &mut self.state else { return };
        let is_within_line = mark.is_some();
        if matches!(character, '{' | '[') && (is_fence(head) || !is_within_line && is_name(head)) {
            let name = (!is_fence(head)).then(|| clean(head).to_owned());
            let mut capture = Capture::default();
            capture.push(character);
            self.state = State::Json { name, capture };
            return;
        }
        if head.is_empty() && character.is_whitespace() {
            return;
        }
        head.push(character);
        if matches!(character, ':' | '：') && self.end_head_at_marker() {
            return;
        }
        let State::Action { head, .. } = &self.state else { return };
        if !is_fence(head) && (character == '\n' || is_within_line) {
            self.end_head(answer);
        }
    }

    /// Another marker follows `Action:`, or an input follows its name on the same line.
    fn end_head_at_marker(&mut self) -> bool {
        let State::Action { head, .. } = &mut self.state else { return false };
        if head.len() > MAX_HEAD_BYTES {
            return false;
        }
        if let Found::Marker { marker, closes, .. } = marker::read(head, true) {
            let mark = std::mem::take(head);
            (self.state, self.is_line_start) = (State::Thought, true);
            self.mark(marker, mark, closes);
            return true;
        }
        let starts = head.match_indices(char::is_whitespace).map(|(at, blank)| at + blank.len());
        let input = starts.into_iter().find(|start| {
            matches!(marker::read(&head[*start..], true), Found::Marker { marker: Marker::ActionInput, .. })
        });
        let Some(name) = input.map(|start| head[..start].to_owned()).filter(|name| is_name(name)) else { return false };
        self.state = State::Input { name: clean(&name).to_owned(), text: String::new() };
        true
    }

    /// The line after `Action:` is complete: a name, or no action at all.
    fn end_head(&mut self, answer: &mut String) {
        let State::Action { head, mark } = std::mem::replace(&mut self.state, State::Thought) else { return };
        match mark {
            None if is_name(&head) => {
                self.is_line_start = true;
                self.state = State::AwaitsInput { name: clean(&head).to_owned(), head: String::new() };
            }
            // A sentence about an action is a part of the thought.
            None => {
                self.is_line_start = head.ends_with('\n');
                self.is_word_start = self.is_line_start;
                self.thought.push_str(&head);
            }
            Some(mark) => {
                self.thought.push_str(&mark);
                self.thought.push(' ');
                (self.is_line_start, self.is_word_start) = (false, true);
                for character in head.chars() {
                    self.take(character, answer);
                }
            }
        }
    }

    pub(super) fn end_json(&mut self) {
        let State::Json { name, capture } = std::mem::replace(&mut self.state, State::Thought) else { return };
        let captured = if capture.is_hopeless() { Captured::Broken } else { capture.finish() };
        match (captured, name) {
            (Captured::Value(input), Some(name)) if !name.is_empty() => self.act(Action::new(&name, input)),
            (Captured::Value(value), _) => match Action::read(&value, &self.tools) {
                Some(action) => self.act(action),
                None => self.state = State::Done(Outcome::Malformed(capture.raw)),
            },
            // `Action: search[the weather]`
            (_, Some(name)) if capture.raw.starts_with('[') && capture.raw.ends_with(']') => {
                let text = capture.raw[1..capture.raw.len() - 1].trim().to_owned();
                self.act(Action::new(&name, Value::String(text)));
            }
            _ => self.state = State::Done(Outcome::Malformed(capture.raw)),
        }
    }

    /// JSON without a marker is complete.
    pub(super) fn end_bare(&mut self) {
        let State::Bare(capture) = std::mem::replace(&mut self.state, State::Thought) else { return };
        let action = match capture.finish() {
            Captured::Value(value) => Action::read(&value, &self.tools),
            _ => None,
        };
        match action.filter(|action| action.is_answer() || self.tools.contains(&action.name)) {
            Some(action) => self.candidate = Some(action),
            None => self.thought.push_str(&capture.raw),
        }
        (self.is_line_start, self.is_word_start) = (false, false);
    }

    pub(super) fn act(&mut self, action: Action) {
        self.state = State::Done(action_or_answer(action));
    }

    /// The text is over.
    pub(super) fn end(&mut self, answer: &mut String) {
        self.drain(true, answer);
        match &mut self.state {
            State::Json { capture, .. } => match capture.finish() {
                Captured::Cut => self.state = State::Done(Outcome::Malformed(std::mem::take(&mut capture.raw))),
                _ => self.end_json(),
            },
            // It was no JSON: what is in it may be a marker.
            State::Bare(capture) => {
                let raw = std::mem::take(&mut capture.raw);
                (self.state, self.reads_bare) = (State::Thought, false);
                self.thought.push('{');
                for character in raw.chars().skip(1) {
                    self.take(character, answer);
                }
                self.end(answer);
            }
            State::Action { head, mark } => {
                let is_empty = is_fence(head);
                if is_empty {
                    let text = mark.take().unwrap_or_default();
                    self.state = State::Thought;
                    self.thought.push_str(&text);
                } else {
                    self.end_head(answer);
                    self.end(answer);
                }
            }
            State::AwaitsInput { name, .. } => {
                let action = Action::new(name, Value::Null);
                self.act(action);
            }
            State::Input { name, text } if name.is_empty() => {
                let outcome = Outcome::Malformed(std::mem::take(text));
                self.state = State::Done(outcome);
            }
            State::Input { name, text } => {
                let action = input_action(name, text);
                self.act(action);
            }
            State::Thought | State::Answer { .. } | State::Done(_) => {}
        }
    }
}

/// Whether a text is nothing but the beginning of a fence with the name of a language.
pub(super) fn is_fence(text: &str) -> bool {
    if text.len() > MAX_FENCE_BYTES {
        return false;
    }
    let word = text.trim_start_matches('`');
    match text.len() - word.len() {
        0 => word.trim().is_empty(),
        1 | 2 => word.is_empty(),
        _ => word.trim_end().chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character)),
    }
}

/// An action whose input is a text: without quotation marks and fences around it.
pub(super) fn input_action(name: &str, text: &str) -> Action {
    let text = text.trim().trim_matches('`').trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Action::new(name, Value::String(text.to_owned()))
}

pub(super) fn action_or_answer(action: Action) -> Outcome {
    if action.is_answer() { Outcome::Answer(action.into_answer()) } else { Outcome::Action(action) }
}
