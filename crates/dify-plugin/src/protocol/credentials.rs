//! The credential form of a request: names and values that must never be printed.
//!
//! The values are secret from deserialization on: `Debug` shows names only, and there is no `Serialize`.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
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
        let fields = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
        let texts = fields.into_iter().filter_map(|(name, value)| {
            let text = match value {
                Value::Null => return None,
                Value::String(text) => text,
                other => other.to_string(),
            };
            Some((name, SecretString::from(text)))
        });
        Ok(Self(Arc::new(texts.collect())))
    }
}
