//! JSON of careless upstreams, read so that what is odd costs itself alone, and nothing costs more than its length.
//!
//! | what comes | what is read |
//! |---|---|
//! | `NaN`, `Infinity`, `None`, a number beyond all numbers | `null` |
//! | half a surrogate pair | U+FFFD; joined with its other half where the next event brings it ([`Reader`]) |
//! | control characters in a text, escapes that are none | themselves |
//! | a member twice | the last one |
//! | `finish_reason` for `finishReason` | the same member ([`Named`]) |
//! | a value of another type than the member's | the member's default ([`fit`], [`or_default`], [`list`]) |
//! | more values than fit into [`MAX_MEMORY_BYTES`] | an error |
//!
//! Well-formed JSON is read at once into its type; only what cannot be read so is repaired and read once more.
//! Not for what the daemon sends: that is strict where it is not `protocol::lenient`.

mod fields;
mod repair;

pub use fields::{Named, first, fit, list, or_default, places};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Value};

use crate::steps;
use repair::Half;

/// Most bytes that the values of one text may take in memory, by a generous estimate.
pub const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Reads one text.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    Reader::new(&[]).read(text)
}

/// Reads the texts of one stream, one after the other.
#[derive(Debug)]
pub struct Reader {
    /// Members whose texts go on in the next event.
    continued: &'static [&'static str],
    half: Half,
}

impl Reader {
    /// A reader of a stream in which the texts of these members go on from event to event: `text`, or `parts/text` for
    /// those alone that `parts` holds.
    pub fn new(continued: &'static [&'static str]) -> Self {
        Self { continued, half: None }
    }

    /// Reads the next text.
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

    /// The next text as a strict reader takes it, for types that borrow from it and hold no more than they are asked to.
    pub fn repaired(&mut self, text: &str) -> String {
        repair::repair(text, self.continued, &mut self.half)
    }

    /// Whether the next text begins with the second half of a character.
    pub fn goes_on(&self) -> bool {
        self.half.is_some()
    }

    /// What stands for half a character whose other half never came; asked at the end of the stream.
    pub fn rest(&mut self) -> Option<char> {
        self.half.take().map(|_| char::REPLACEMENT_CHARACTER)
    }
}

fn whole<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = T::deserialize(Named(&mut deserializer))?;
    deserializer.end().map(|()| found)
}

/// Bytes that the values of a text take beside their own letters: an object has a table, a list a block, each value
/// a place.
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
