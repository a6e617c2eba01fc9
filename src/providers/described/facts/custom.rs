//! Facts about models that users add: their schema comes from well-known fields of the form and from these keys. What it is
//! not: the schema itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use dify_plugin::declare::ModelFeature;

/// The schema of models that users add.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Custom {
    /// Parameter rules as in a model's file, each with an optional `when`. Default: temperature, top_p, both penalties and max_tokens.
    pub rules: Option<Vec<CustomRule>>,
    /// Features that every model has in addition to those that its form selects.
    #[schemars(with = "Vec<String>")]
    pub features: Vec<ModelFeature>,
    /// Values of credentials that are blank or that the form does not have, as `context_size: 8000`.
    pub defaults: BTreeMap<String, Scalar>,
    /// Values of credentials, whatever the form says, as `mode: chat`.
    pub fixed: BTreeMap<String, Scalar>,
}

/// A text, number or boolean, as the text that a form would contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(Self(value.to_string())),
            _ => Err(serde::de::Error::custom("expected a text, a number or a boolean")),
        }
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A text or a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(items) => {
                items.into_iter().map(|item| Scalar::deserialize(item).map(|scalar| scalar.0)).collect::<Result<_, _>>()
            }
            single => Scalar::deserialize(single).map(|scalar| vec![scalar.0]),
        }
        .map(Self)
        .map_err(|_: serde_json::Error| serde::de::Error::custom("expected a text or a list of texts"))
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean", "array"], "items": { "type": ["string", "number", "boolean"] }
        })
    }
}

/// A parameter rule of a model that a user adds.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomRule {
    /// Credentials with the values for which the rule exists; all must match.
    pub when: BTreeMap<String, OneOrMany>,
    /// The rule as in a model's file; a `default`, `min`, `max` or `options` may be a template.
    pub rule: Map<String, Value>,
}

impl<'de> Deserialize<'de> for CustomRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rule = Map::<String, Value>::deserialize(deserializer)?;
        let when = match rule.remove("when") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(when) => serde_json::from_value(when).map_err(|error| {
                serde::de::Error::custom(format!("`when` must be a map from credentials to values: {error}"))
            })?,
        };
        if !rule.get("name").is_some_and(Value::is_string) {
            return Err(serde::de::Error::custom("a rule needs a `name`"));
        }
        Ok(Self { when, rule })
    }
}

impl JsonSchema for CustomRule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CustomRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let when = generator.subschema_for::<BTreeMap<String, OneOrMany>>();
        schemars::json_schema!({
            "type": "object", "required": ["name"], "additionalProperties": true,
            "properties": { "name": { "type": "string" }, "when": when }
        })
    }
}
