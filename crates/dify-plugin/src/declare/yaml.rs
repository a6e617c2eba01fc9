//! Parses untrusted YAML. For deeply nested input the parser takes much longer than linear time, so size and depth are
//! checked first.

mod edit;
pub(super) mod nodes;
mod path;
mod write;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::codes::Code;

pub use edit::{Document, NotEditable};
pub use write::{write, write_plain};

/// Maximum size of a text that is parsed, in bytes. The largest declarations have some thirty kilobytes.
pub const MAX_YAML_BYTES: u64 = 1024 * 1024;

/// Maximum nesting of lists and maps. Declarations have some ten levels.
const DEEPEST: usize = 64;

/// Parses YAML directly into JSON. A duplicate key is an error, because the daemon's parser rejects it too, except in
/// `extra`, which the daemon does not read. The error is the parser's, which may quote the text.
pub fn parse(text: &str) -> Result<Value, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() as u64 > MAX_YAML_BYTES {
        return Err(Error::TooLarge);
    }
    if let Some(line) = too_deep(text) {
        return Err(Error::TooDeep(line));
    }
    AnyValue { place: Place::Root }.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(Error::Syntax)
}

/// The message about a key that its mapping has already.
const SECOND: &str = "is here a second time";

/// Why a text is not parsed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is too large.
    #[error("is larger than {MAX_YAML_BYTES} bytes")]
    TooLarge,
    /// It nests too deeply, at this line.
    #[error("nests deeper than {DEEPEST} levels at line {0}")]
    TooDeep(usize),
    /// It is not valid YAML.
    #[error("is not YAML: {0}")]
    Syntax(serde_yaml::Error),
}

impl Error {
    /// The code of its problem.
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge | Self::TooDeep(_) => Code::Limits,
            Self::Syntax(error) if error.to_string().contains(SECOND) => Code::RepeatedKey,
            Self::Syntax(_) => Code::NotYaml,
        }
    }
}

/// Deserializes a value without duplicate keys.
#[derive(Clone, Copy)]
struct AnyValue {
    place: Place,
}

/// Position of a value in its file.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The complete file.
    Root,
    /// A part that the daemon reads.
    Inside,
    /// In the `extra` of the file, where the last of equal keys is used.
    Extra,
}

impl Place {
    /// Returns the position of a member.
    fn of(self, key: &str) -> Self {
        match self {
            Self::Root if key == "extra" => Self::Extra,
            Self::Root | Self::Inside => Self::Inside,
            Self::Extra => Self::Extra,
        }
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let item_seed = Self { place: self.place.of("") };
        while let Some(item) = access.next_element_seed(item_seed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(NewKey { map: &map, is_lenient: self.place == Place::Extra })? {
            let value = access.next_value_seed(Self { place: self.place.of(&key) })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Reads a key that the mapping does not have yet. An error here has the key's line.
struct NewKey<'a> {
    map: &'a Map<String, Value>,
    is_lenient: bool,
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        match self.map.contains_key(key) && !self.is_lenient {
            true => Err(E::custom(format!("key `{}` {SECOND}", key.escape_debug()))),
            false => Ok(key.to_owned()),
        }
    }
}

/// Finds the line where brackets, or indicators of lists and keys in one line, nest too deeply. Brackets in strings
/// count too: no ordinary text has so many open ones.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (number, line) in text.lines().enumerate() {
        let is_mark = |word: &&str| matches!(*word, "-" | "?" | ":") || word.starts_with(['!', '&']);
        let marks = line.split_whitespace().take_while(is_mark).count();
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return Some(number + 1);
            }
        }
        if marks > DEEPEST {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_long_is_refused_at_once() {
        let deep = [
            format!("a: {}", "[".repeat(30_000)),
            format!("a: {}", "{a: ".repeat(30_000)),
            "- ".repeat(30_000),
            "? ".repeat(30_000),
            format!("{}\n", "[\n".repeat(30_000)),
            format!("a: {}", "[{".repeat(30_000)),
            "- &a ".repeat(20_000),
        ];
        for text in deep {
            assert!(matches!(parse(&text), Err(Error::TooDeep(_))), "{}", &text[..10]);
        }
        assert!(matches!(parse(&"# comment\n".repeat(200_000)), Err(Error::TooLarge)));
    }

    #[test]
    fn what_declarations_say_is_read() {
        let dashes = format!("a: text {}", "- ".repeat(1000));
        for text in [&dashes, "a: [[1], {b: 2}]", "a: 'text with [ and { and - ? :'", "\u{feff}a: 1", "- - - x", ""] {
            assert!(parse(text).is_ok(), "{text}");
        }
        assert!(matches!(parse("a: [").unwrap_err(), Error::Syntax(_)));
    }

    #[test]
    fn a_key_is_there_once_where_the_daemon_reads() {
        for (text, is_read) in [
            ("a: 1\na: 2", false),
            ("a: {b: 1, b: 2}", false),
            ("a: [{b: 1, b: 2}]", false),
            ("a: {extra: {b: 1, b: 2}}", false),
            ("extra: 1\nextra: 2", false),
            ("extra: {b: 1, b: 2}", true),
            ("extra: [{b: {c: 1, c: 2}}]", true),
        ] {
            assert_eq!(parse(text).is_ok(), is_read, "{text}");
        }
        assert_eq!(parse("extra: {b: 1, b: 2}").unwrap(), serde_json::json!({"extra": {"b": 2}}));
    }
}
