//! Strings that may be null, a number, an array of parts, or an object that contains the text. Borrowed if unescaped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::dialect::openai::members::{Members, read};

/// A string, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// Returns the text, or an empty string.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor { inside: &["text", "content", "summary", "reasoning", "thinking"] })
    }
}

/// A keyword: a string, or an object with a `type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word<'a>(Text<'a>);

impl Word<'_> {
    /// Returns the keyword, or an empty string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor { inside: &["type", "reason", "name"] }).map(Self)
    }
}

struct TextVisitor {
    /// Members of an object that may contain the text.
    inside: &'static [&'static str],
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, an array of parts, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut joined = String::new();
        while let Some(part) = sequence.next_element::<Text<'de>>()? {
            joined.push_str(part.as_str());
        }
        Ok(Text(Some(Cow::Owned(joined))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Text(None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if found.as_str().is_empty() && self.inside.contains(&&*key) {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A finite number, or a string that contains one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub Option<f64>);

impl Number {
    /// Returns the number if it is an integer.
    pub fn whole(self) -> Option<i64> {
        self.0.filter(|number| number.fract() == 0.0 && number.abs() < 1e15).map(|number| number as i64)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(Number(Some(value as f64)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number(Some(value as f64)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
        Ok(Number(Some(value).filter(|value| value.is_finite())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.trim().parse().ok().filter(|value: &f64| value.is_finite())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Number, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

/// Content of a message: text, or parts of which some may be thoughts (Mistral).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The text.
    pub text: Text<'a>,
    /// The thoughts among the parts.
    pub thoughts: String,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartsVisitor)
    }
}

/// Visitor for everything that is neither array nor object.
const PLAIN: TextVisitor = TextVisitor { inside: &[] };

impl<'a> From<Text<'a>> for Parts<'a> {
    fn from(text: Text<'a>) -> Self {
        Self { text, thoughts: String::new() }
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, an array of parts, or null")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        PLAIN.visit_borrowed_str(text).map(Parts::from)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        PLAIN.visit_str(text).map(Parts::from)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Parts::default())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Parts::default())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        PLAIN.visit_i64(value).map(Parts::from)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        PLAIN.visit_u64(value).map(Parts::from)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        PLAIN.visit_f64(value).map(Parts::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let (mut text, mut thoughts) = (String::new(), String::new());
        while let Some(part) = sequence.next_element::<Parts<'de>>()? {
            text.push_str(part.text.as_str());
            thoughts.push_str(&part.thoughts);
        }
        Ok(Parts { text: Text(Some(Cow::Owned(text))), thoughts })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let Part { kind, text, thoughts } = read(map)?;
        let kind = kind.as_str();
        if kind.contains("think") || kind.contains("reason") {
            let thoughts = if thoughts.as_str().is_empty() { text } else { thoughts };
            return Ok(Parts { text: Text(None), thoughts: thoughts.as_str().to_owned() });
        }
        Ok(Parts { text, thoughts: thoughts.as_str().to_owned() })
    }
}

#[derive(Default)]
struct Part<'a> {
    kind: Word<'a>,
    text: Text<'a>,
    thoughts: Text<'a>,
}

impl<'de> Members<'de> for Part<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "type" => self.kind = map.next_value()?,
            "text" | "content" if self.text.as_str().is_empty() => self.text = map.next_value()?,
            "thinking" | "reasoning" | "summary" => self.thoughts = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
