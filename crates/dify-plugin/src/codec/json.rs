//! Lenient parser for the JSON of servers: a malformed value affects only its own member, and parsing takes time linear
//! in the input.
//!
//! | input | result |
//! |---|---|
//! | `NaN`, `Infinity`, `None`, a number out of range | `null` |
//! | half a surrogate pair | U+FFFD; joined with its other half if that is in the next event ([`Reader`]) |
//! | control characters in a string, invalid escapes | themselves |
//! | a duplicate member | the last one |
//! | `finish_reason` for `finishReason` | the same member ([`Named`]) |
//! | a value of another type than the member's | the member's default ([`fit`], [`or_default`], [`list`]) |
//! | more values than fit into [`MAX_MEMORY_BYTES`] | an error |
//!
//! Well-formed JSON is deserialized directly into its type; other JSON is repaired and parsed again. Not for messages
//! from the daemon: those are parsed strictly, except for `protocol::lenient`.

mod fields;
mod repair;

pub use fields::{Named, first, fit, list, or_default, places};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Value};

use crate::steps;
use repair::Half;

/// Maximum number of bytes that the values of one text may take in memory, by a generous estimate.
pub const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Parses one text.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    Reader::new(&[]).read(text)
}

/// Parses the texts of one stream in order.
#[derive(Debug)]
pub struct Reader {
    /// Members whose strings continue in the next event.
    continued: &'static [&'static str],
    half: Half,
}

impl Reader {
    /// Creates a reader of a stream in which the strings of these members continue from event to event: `text`, or
    /// `parts/text` for a `text` inside of `parts` only.
    pub fn new(continued: &'static [&'static str]) -> Self {
        Self { continued, half: None }
    }

    /// Parses the next text.
    pub fn read<T: DeserializeOwned>(&mut self, text: &str) -> Result<T, Error> {
        if estimate(text) > MAX_MEMORY_BYTES {
            return Err(Error::custom(format!("its values take more than {MAX_MEMORY_BYTES} bytes")));
        }
        if !self.goes_on()
            && let Ok(found) = whole(text)
        {
            return Ok(found);
        }
        T::deserialize(Named(serde_json::from_str::<Value>(&self.repaired(text))?))
    }

    /// Repairs the next text for a strict parser, for types that borrow from it.
    pub fn repaired(&mut self, text: &str) -> String {
        repair::repair(text, self.continued, &mut self.half)
    }

    /// Whether the next text starts with the second half of a character.
    pub fn goes_on(&self) -> bool {
        self.half.is_some()
    }

    /// Returns the replacement for half a character whose other half never came; called at the end of the stream.
    pub fn rest(&mut self) -> Option<char> {
        self.half.take().map(|_| char::REPLACEMENT_CHARACTER)
    }
}

fn whole<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = T::deserialize(Named(&mut deserializer))?;
    deserializer.end().map(|()| found)
}

/// Estimates the bytes that the values of a text take in addition to their strings: an object has a table, an array a
/// block, each value a slot.
fn estimate(text: &str) -> usize {
    let bytes = text.as_bytes();
    steps::count(bytes.len());
    let (mut at, mut total) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        total += match byte {
            b'{' => 600,
            b'[' => 160,
            b',' => 72,
            b'"' => {
                at = repair::end_of_text(bytes, at) + 1;
                0
            }
            _ => 0,
        };
    }
    total
}

#[cfg(test)]
mod tests;
