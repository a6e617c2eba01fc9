//! The values of a call that facts refer to: the credentials, under the names that are in use now, and the model's name.
//! What it is not: the form, which the runtime has completed before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::facts::{Custom, OneOrMany};
use super::template::{MODEL, Values};
use dify_plugin::protocol::Credentials;

/// The values of a call.
pub struct CallValues<'c> {
    /// The credentials.
    pub credentials: Cow<'c, Credentials>,
    /// The value of `{model}`.
    pub model: &'c str,
}

impl<'c> CallValues<'c> {
    /// Reads credentials; those with a former name get the current one unless it is filled in.
    pub fn new(credentials: &'c Credentials, model: &'c str, former: &BTreeMap<String, String>) -> Self {
        let mut credentials = Cow::Borrowed(credentials);
        for (old, new) in former {
            if credentials.get(new).is_none()
                && let Some(value) = credentials.get_raw(old).map(str::to_owned)
            {
                credentials.to_mut().set(new.clone(), value);
            }
        }
        Self { credentials, model }
    }

    /// Adds what the facts say about the form of models that users add.
    pub fn add_custom(&mut self, custom: &Custom) {
        for (name, value) in &custom.defaults {
            if self.credentials.get(name).is_none() {
                self.credentials.to_mut().set(name.clone(), value.0.clone());
            }
        }
        for (name, value) in &custom.fixed {
            self.credentials.to_mut().set(name.clone(), value.0.clone());
        }
    }

    /// Whether all conditions are met; a blank credential meets none.
    pub fn meet(&self, conditions: &BTreeMap<String, OneOrMany>) -> bool {
        conditions.iter().all(|(name, values)| {
            self.credentials.get(name).is_some_and(|value| values.0.iter().any(|expected| expected.trim() == value))
        })
    }
}

impl Values for CallValues<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == MODEL {
            return Some(Cow::Borrowed(self.model)).filter(|name| !name.is_empty());
        }
        match (self.credentials.get(name), self.credentials.get_raw(name)) {
            (Some(value), _) => Some(Cow::Borrowed(value)),
            // A line break alone is a value, as of a separator.
            (None, Some(raw)) if raw.contains('\n') => Some(Cow::Borrowed(raw)),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_former_names_defaults_and_fixed_values() {
        let former = BTreeMap::from([("old".to_owned(), "new".to_owned())]);
        let credentials =
            Credentials::from_pairs([("old", "1"), ("mode", "completion"), ("blank", " "), ("line", "\n")]);
        let mut values = CallValues::new(&credentials, "m", &former);
        let custom = serde_json::json!({"defaults": {"size": 8, "new": 2}, "fixed": {"mode": "chat"}});
        values.add_custom(&serde_json::from_value(custom).unwrap());
        let value = |name| values.value(name).map(Cow::into_owned);
        for (name, expected) in [
            ("new", Some("1")),
            ("size", Some("8")),
            ("mode", Some("chat")),
            ("model", Some("m")),
            ("blank", None),
            ("line", Some("\n")),
            ("none", None),
        ] {
            assert_eq!(value(name).as_deref(), expected, "{name}");
        }
        let credentials = Credentials::from_pairs([("old", "1"), ("new", "2")]);
        assert_eq!(CallValues::new(&credentials, "m", &former).value("new").as_deref(), Some("2"));
    }

    #[test]
    fn meets_conditions() {
        let credentials = Credentials::from_pairs([("a", "1"), ("b", "x")]);
        let values = CallValues::new(&credentials, "m", &BTreeMap::new());
        for (conditions, expected) in [
            (serde_json::json!({}), true),
            (serde_json::json!({"a": 1}), true),
            (serde_json::json!({"a": ["2", "1"], "b": "x"}), true),
            (serde_json::json!({"a": 1, "b": "y"}), false),
            (serde_json::json!({"c": "1"}), false),
        ] {
            assert_eq!(values.meet(&serde_json::from_value(conditions.clone()).unwrap()), expected, "{conditions}");
        }
    }
}
