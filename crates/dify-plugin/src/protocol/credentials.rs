//! The credential form of a request: names and values that must never be printed.
//!
//! The values are secret from deserialization on: `Debug` shows names only, and there is no `Serialize`.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

use crate::error::InvokeError;

/// Form values by variable name. Empty and null values count as absent. Clones share them until one is changed.
#[derive(Clone, Default)]
pub struct Credentials(Arc<BTreeMap<String, SecretString>>);

impl Credentials {
    /// Builds credentials from pairs; for tests and the command line.
    pub fn from_pairs<I, K, V>(pairs: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), SecretString::from(value.into())));
        Self(Arc::new(pairs.collect()))
    }

    /// Returns the trimmed value of a field, or `None` if it is absent or blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_raw(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Returns the value exactly as it was typed, whitespace included.
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(ExposeSecret::expose_secret)
    }

    /// Returns the value of a field, or an error with its name.
    pub fn require(&self, name: &str) -> Result<&str, InvokeError> {
        self.get(name).ok_or_else(|| InvokeError::credentials(format!("credential `{name}` is required")))
    }

    /// Parses a number field. Blank is `None`; anything but a finite number is an error with the name of the field.
    pub fn number(&self, name: &str) -> Result<Option<f64>, InvokeError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(InvokeError::credentials(format!("credential `{name}` must be a number"))),
        }
    }

    /// Parses a boolean field: `true`, `yes`, `on`, `1`, `enabled` and `supported` in any case are true; blank is the
    /// default.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |text| {
            matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1" | "enabled" | "supported")
        })
    }

    /// Returns the names of the fields that are filled in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Sets a field; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        Arc::make_mut(&mut self.0).insert(name.into(), SecretString::from(value.into()));
    }

    /// Whether both have the same fields with the same values.
    pub fn matches(&self, other: &Self) -> bool {
        let same = |((name, value), (other, found)): ((&String, &SecretString), (&String, &SecretString))| {
            name == other && value.expose_secret() == found.expose_secret()
        };
        Arc::ptr_eq(&self.0, &other.0) || self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(same)
    }

    /// Returns the length of all names and values in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.expose_secret().len()).sum()
    }

    /// Returns a per-process hash of the credentials, for use as a cache key. It must not leave the process.
    pub fn fingerprint(&self) -> u64 {
        use std::hash::BuildHasher;
        use std::sync::OnceLock;
        static STATE: OnceLock<std::collections::hash_map::RandomState> = OnceLock::new();
        let mut hasher = STATE.get_or_init(Default::default).build_hasher();
        for (name, value) in &*self.0 {
            name.hash(&mut hasher);
            value.expose_secret().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Writes the values as they are, for the one response that returns credentials to Dify.
pub(super) fn serialize_exposed<S: Serializer>(credentials: &Credentials, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(credentials.0.iter().map(|(name, value)| (name, value.expose_secret())))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Fields)
    }
}

/// Reads the form, or null.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Credentials;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_none<E: de::Error>(self) -> Result<Credentials, E> {
        Ok(Credentials::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Credentials, E> {
        Ok(Credentials::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Credentials, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Credentials, A::Error> {
        let mut read = BTreeMap::new();
        while let Some(name) = fields.next_key()? {
            match fields.next_value::<FieldValue>()?.0 {
                Some(text) => read.insert(name, text),
                // The last one counts.
                None => read.remove(&name),
            };
        }
        Ok(Credentials(Arc::new(read)))
    }
}

/// A value of the form: text, or the JSON of anything else; null is absent.
struct FieldValue(Option<SecretString>);

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text).map(Self)
    }
}

struct Text;

fn json(value: impl Into<Value>) -> Option<SecretString> {
    Some(SecretString::from(value.into().to_string()))
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<SecretString>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(json(value))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(json(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(json(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(json(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(values)).map(json)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(members)).map(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the form was before it was read without an intermediate value.
    fn by_value(json: &str) -> Option<BTreeMap<String, String>> {
        let fields: Option<BTreeMap<String, Value>> = serde_json::from_str(json).ok()?;
        let texts = fields.unwrap_or_default().into_iter().filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        });
        Some(texts.collect())
    }

    #[test]
    fn values_are_texts_or_the_json_of_anything_else() {
        for json in [
            r#"{"a":"text","b":"\u00e9 \n","c":null,"d":true,"e":-1,"f":18446744073709551615,"g":1.50,"h":1e300}"#,
            r#"{"a":{"z":[1,{"b":null}],"a":"\""},"b":[],"c":[[1.0]],"d":{}}"#,
            r#"{"a":"1","a":null}"#,
            r#"{"a":null,"a":"2"}"#,
            "{}",
            "null",
            "[]",
            "\"text\"",
            "5",
            r#"{"a":}"#,
        ] {
            let read = serde_json::from_str::<Credentials>(json).ok().map(|read| {
                read.0.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
            });
            assert_eq!(read, by_value(json), "{json}");
            let from_value = serde_json::from_str::<Value>(json).ok().map(serde_json::from_value::<Credentials>);
            assert_eq!(from_value.is_some_and(|read| read.is_ok()), read.is_some(), "{json}");
        }
    }

    #[test]
    fn credentials_match_if_every_field_does() {
        let one = Credentials::from_pairs([("a", "1"), ("b", "2")]);
        assert!(one.matches(&one.clone()) && one.matches(&Credentials::from_pairs([("b", "2"), ("a", "1")])));
        for other in [
            &[("a", "1")][..],
            &[("a", "1"), ("b", "3")],
            &[("a", "1"), ("c", "2")],
            &[("a", "1"), ("b", "2"), ("c", "3")],
        ] {
            let other = Credentials::from_pairs(other.iter().copied());
            assert!(!one.matches(&other) && !other.matches(&one), "{other:?}");
        }
        let mut changed = one.clone();
        changed.set("a", "4");
        assert_eq!((one.get("a"), changed.get("a")), (Some("1"), Some("4")), "a clone is changed alone");
    }
}
