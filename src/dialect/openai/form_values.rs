//! Kinds of values that several forms of this dialect contain: a text or `false`, and members at a path.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Maximum number of names in a path.
const MAX_PATH_NAMES: usize = 8;

/// Inserts a member at a path of names that are separated by dots. What is on the path and no object is replaced.
pub fn insert(members: &mut Map<String, Value>, path: &str, value: Value) {
    let mut members = members;
    let mut names = path.splitn(MAX_PATH_NAMES, '.').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            members.insert(name.to_owned(), value);
            return;
        }
        let inner = members.entry(name).or_insert(Value::Null);
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        match inner {
            Value::Object(inner) => members = inner,
            _ => return,
        }
    }
}

/// A text, or `false` for something that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOrFalse {
    /// The text.
    Text(String),
    /// `false`.
    False,
}

impl<'de> Deserialize<'de> for TextOrFalse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFalseVisitor;
        impl Visitor<'_> for TextOrFalseVisitor {
            type Value = TextOrFalse;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<TextOrFalse, E> {
                if value { Err(E::invalid_value(Unexpected::Bool(true), &self)) } else { Ok(TextOrFalse::False) }
            }

            fn visit_str<E>(self, text: &str) -> Result<TextOrFalse, E> {
                Ok(TextOrFalse::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(TextOrFalseVisitor)
    }
}

impl JsonSchema for TextOrFalse {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "text_or_false".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"const": false}]})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inserts_at_paths() {
        let mut members = Map::new();
        for (path, value) in
            [("a", json!(1)), ("b.c", json!(2)), ("b.d.e", json!(3)), ("a.x", json!(4)), ("", json!(5))]
        {
            insert(&mut members, path, value);
        }
        assert_eq!(Value::Object(members), json!({"a": {"x": 4}, "b": {"c": 2, "d": {"e": 3}}, "": 5}));
        // The number of dots does not become the depth of the body.
        let mut members = Map::new();
        insert(&mut members, &".".repeat(1_000_000), json!(1));
        assert!(Value::Object(members).to_string().len() > 999_000);
    }

    #[test]
    fn reads_texts_or_false() {
        let read = |value: Value| serde_json::from_value::<TextOrFalse>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(false)), Ok(TextOrFalse::False));
        assert_eq!(read(json!("top_k")), Ok(TextOrFalse::Text("top_k".to_owned())));
        for odd in [json!(true), json!(1), json!(null), json!([])] {
            assert!(read(odd.clone()).unwrap_err().contains("a text or false"), "{odd}");
        }
    }
}
