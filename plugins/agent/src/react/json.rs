//! Captures a JSON value that arrives character by character, as models write it: with line breaks within strings, and
//! sometimes without its end. Pure.

use dify_plugin::serde_json::{self, Value};

/// Nesting that a value may have; serde_json's own limit is close to it.
const MAX_DEPTH: usize = 120;

/// A value that begins with `{` or `[` and is not complete.
#[derive(Clone, Debug, Default)]
pub(super) struct Capture {
    /// What was written, as it was.
    pub(super) raw: String,
    /// The same with line breaks in strings escaped.
    json: String,
    /// What closes the open brackets.
    open: Vec<char>,
    is_in_string: bool,
    is_escaped: bool,
}

/// How a capture ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Captured {
    Value(Value),
    /// The text is no JSON.
    Broken,
    /// The text ends within a string: what was to follow is unknown.
    Cut,
}

impl Capture {
    /// Takes the next character; returns whether the value is complete.
    pub(super) fn push(&mut self, character: char) -> bool {
        self.raw.push(character);
        if self.is_in_string {
            if self.is_escaped {
                self.is_escaped = false;
                self.json.push(character);
            } else if character < ' ' {
                self.json.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                self.is_escaped = character == '\\';
                self.is_in_string = character != '"';
                self.json.push(character);
            }
            return false;
        }
        self.json.push(character);
        match character {
            '"' => self.is_in_string = true,
            '{' => self.open.push('}'),
            '[' => self.open.push(']'),
            '}' | ']' if self.open.last() == Some(&character) => {
                self.open.pop();
            }
            _ => {}
        }
        self.open.is_empty()
    }

    /// Whether no value can come of it any more.
    pub(super) fn is_hopeless(&self) -> bool {
        self.open.len() > MAX_DEPTH
    }

    /// The value. Brackets that are missing at the end are added.
    pub(super) fn finish(&self) -> Captured {
        if self.is_in_string {
            return Captured::Cut;
        }
        let closing: String = self.open.iter().rev().collect();
        let json = format!("{}{closing}", self.json.trim_end().trim_end_matches(',').to_owned());
        serde_json::from_str(&json).map_or(Captured::Broken, Captured::Value)
    }
}
