//! A block of facts of the dialect: its typed form, resolved with the credentials of a call. What it is not: the meaning of
//! its keys, which the dialect defines.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::dynamic::Dynamic;
use super::template::Values;
use dify_plugin::error::InvokeError;

/// A block `T`, some of whose values may depend on credentials.
#[derive(Clone, Debug)]
pub struct Block<T> {
    dynamic: Option<Dynamic>,
    fixed: Option<Arc<T>>,
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self { dynamic: None, fixed: None }
    }
}

impl<T: DeserializeOwned + Default> Block<T> {
    /// Whether the facts have the block.
    pub fn is_given(&self) -> bool {
        self.dynamic.is_some() || self.fixed.is_some()
    }

    /// Returns the block for these values, or an error with the credential that makes it invalid.
    pub fn resolve(&self, name: &str, values: &dyn Values) -> Result<Arc<T>, InvokeError> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let Some(dynamic) = &self.dynamic else { return Ok(Arc::default()) };
        let value = dynamic.resolve(values).unwrap_or_default();
        serde_path_to_error::deserialize::<_, T>(value).map(Arc::new).map_err(|error| {
            let path = error.path().to_string();
            let field = dynamic.names().into_iter().find(|(at, _)| path.starts_with(at.trim_end_matches(".by")));
            // The parser's own message may quote the value.
            match field {
                Some((_, field)) => {
                    InvokeError::credentials(format!("credential `{field}` has a value that is not supported"))
                }
                None => InvokeError::credentials("the values of the form do not fit together"),
            }
            .with_hint(format!("It decides about `{name}.{path}` of the provider."))
        })
    }

    /// Returns the block in every variant that can be checked without credentials.
    pub fn each(&self) -> Vec<Arc<T>> {
        match (&self.fixed, &self.dynamic) {
            (Some(fixed), _) => vec![fixed.clone()],
            (None, Some(dynamic)) => {
                let variants = dynamic.variants().into_iter();
                variants.filter_map(|value| serde_json::from_value(value).ok().map(Arc::new)).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// Returns the paths and names of the credentials on which the block depends.
    pub fn names(&self) -> Vec<(String, &str)> {
        self.dynamic.iter().flat_map(Dynamic::names).collect()
    }
}

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for Block<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(Self::default());
        }
        let dynamic = Dynamic::read(&value).map_err(|wrong| {
            let all: Vec<String> = wrong.into_iter().map(|(path, what)| located(&path, &what)).collect();
            D::Error::custom(all.join("; "))
        })?;
        if let Some(value) = dynamic.as_fixed() {
            return read(value.clone()).map(|fixed| Self { dynamic: None, fixed: Some(Arc::new(fixed)) });
        }
        for variant in dynamic.variants() {
            read::<T, D::Error>(variant)?;
        }
        Ok(Self { dynamic: Some(dynamic), fixed: None })
    }
}

fn read<T: DeserializeOwned, E: Error>(value: Value) -> Result<T, E> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| E::custom(located(&error.path().to_string(), &error.inner().to_string())))
}

/// Returns a message that names a place below the block, as [`place_in`] finds it again.
fn located(path: &str, what: &str) -> String {
    match path {
        "" | "." => what.to_owned(),
        path => format!("`{path}`: {what}"),
    }
}

/// Splits the place that a message of a block begins with from the rest.
pub fn place_in(message: &str) -> (&str, &str) {
    message
        .strip_prefix('`')
        .and_then(|rest| rest.split_once("`: "))
        .filter(|(path, _)| !path.contains(' '))
        .unwrap_or(("", message))
}

impl<T: JsonSchema> JsonSchema for Block<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        batch: Option<u64>,
        names: BTreeMap<String, bool>,
    }

    fn block(value: Value) -> Result<Block<Options>, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn is_read_once_or_for_each_call() {
        let values = |name: &str| (name == "size").then(|| "7".to_owned());
        let options = |batch| Options { batch, ..Options::default() };
        for (value, expected) in [
            (json!(null), options(None)),
            (json!({"batch": 3}), options(Some(3))),
            (json!({"batch": "{size}"}), options(Some(7))),
            (json!({"batch": "{none}"}), options(None)),
            (json!({"batch": {"by": "size", "when": {"7": 1}, "else": 2}}), options(Some(1))),
        ] {
            assert_eq!(*block(value.clone()).unwrap().resolve("b", &values).unwrap(), expected, "{value}");
        }
        let error =
            block(json!({"batch": "{size}"})).unwrap().resolve("embedding", &|_: &str| Some("secret".to_owned()));
        let error = error.unwrap_err();
        assert!(error.message.contains("`size`") && !error.detail().contains("secret"), "{error}");
    }

    #[test]
    fn names_the_place_of_an_error() {
        for (value, path) in [
            (json!({"batch": "x"}), "batch"),
            (json!({"names": {"a": 1}}), "names.a"),
            (json!({"batch": {"by": "size", "when": {"7": "x"}}}), "batch"),
            (json!({"batch": {"by": "size", "when": {"7": 1}, "else": "x"}}), "batch"),
            (json!({"names": {"a": "{x"}}), "names.a"),
        ] {
            let error = block(value.clone()).unwrap_err();
            assert_eq!(place_in(&error).0, path, "{value}: {error}");
        }
    }
}
