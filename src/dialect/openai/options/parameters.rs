//! Conversions of model parameters from Dify's names and values to those of an API, and rules by which a parameter excludes or
//! sets another. Pure functions on JSON; what a parameter means is not known here.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};

use crate::dialect::openai::form_values;
use dify_plugin::error::InvokeError;

/// Conversion of one parameter. The keys are applied in the order in which they are listed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Conversion {
    /// Value of a parameter that the user did not set.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Value")]
    pub unset: Option<Value>,
    /// The values that are sent; others are not.
    pub only: Option<Vec<Value>>,
    /// Replacements of values, by the value as a text. A replacement may be `null`, which is sent.
    pub values: Map<String, Value>,
    /// Form of the value.
    #[serde(rename = "as")]
    pub form: Option<ValueForm>,
    /// The entry of `tools` with `as: tool`.
    pub tool: Option<Map<String, Value>>,
    /// Name of the parameter in the request, or a path of names with dots; `false`: it is not sent. Default: its own name.
    pub to: Target,
}

/// Form of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueForm {
    /// An object: `{"type": "enabled"}` for true, `{"type": "disabled"}` for false, any other text as the type.
    Switch,
    /// The JSON value that a text contains.
    Json,
    /// An entry in `tools`, if the value is true.
    Tool,
    /// The number that a text contains.
    Number,
}

/// Where a parameter is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Under its own name.
    #[default]
    Own,
    /// At a path of names, separated by dots.
    Path(String),
    /// Nowhere.
    Nowhere,
}

/// Drops or sets parameters if others have certain values.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterRule {
    /// Parameters with a value, or with a list of values of which one matches; all parameters must match. `null` is a parameter that is
    /// not set.
    pub when: Map<String, Value>,
    /// Parameters that are not sent.
    pub drop: Vec<String>,
    /// Parameters that are set.
    pub set: Map<String, Value>,
}

/// Conversions by parameter, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversions(pub Vec<(String, Conversion)>);

impl Conversions {
    /// Returns the conversion of a parameter.
    pub fn get(&self, name: &str) -> Option<&Conversion> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, conversion)| conversion)
    }

    /// Sets the values of parameters that the user did not set.
    pub fn fill(&self, parameters: &mut Map<String, Value>) {
        for (name, conversion) in &self.0 {
            if let Some(value) = &conversion.unset
                && !parameters.contains_key(name)
            {
                parameters.insert(name.clone(), value.clone());
            }
        }
    }

    /// Converts the parameters; entries for `tools` are appended to `tools`. Fails if a text is not what its form requires.
    pub fn apply(&self, parameters: &mut Map<String, Value>, tools: &mut Vec<Value>) -> Result<(), InvokeError> {
        // All are taken out first, so that one may get the former name of another.
        let taken: Vec<_> = self
            .0
            .iter()
            .filter_map(|(name, conversion)| Some((name, conversion, parameters.shift_remove(name)?)))
            .collect();
        for (name, conversion, value) in taken {
            if let Some(value) = conversion.convert(name, value, tools)? {
                conversion.place(name, value, parameters);
            }
        }
        Ok(())
    }
}

impl Conversion {
    /// Whether the parameter is converted to a switch object.
    pub fn is_switch(&self) -> bool {
        self.form == Some(ValueForm::Switch)
    }

    /// Whether it says how the parameter is sent, not only which values it has.
    pub fn says_how(&self) -> bool {
        self.form.is_some() || self.to != Target::Own || !self.values.is_empty()
    }

    fn convert(&self, name: &str, value: Value, tools: &mut Vec<Value>) -> Result<Option<Value>, InvokeError> {
        if self.only.as_ref().is_some_and(|only| !only.iter().any(|allowed| is_same(allowed, &value))) {
            return Ok(None);
        }
        if let Some(replacement) = self.values.get(as_text(&value).as_ref()) {
            return self.formed(name, replacement.clone(), tools);
        }
        self.formed(name, value, tools)
    }

    fn formed(&self, name: &str, value: Value, tools: &mut Vec<Value>) -> Result<Option<Value>, InvokeError> {
        let wrong = |what: &str| InvokeError::bad_request(format!("parameter `{name}` is not {what}"));
        let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        match (self.form, value) {
            (None, value) => Ok(Some(value)),
            (Some(_), Value::Null) => Ok(None),
            (Some(_), _) if is_blank => Ok(None),
            (Some(ValueForm::Switch), value) => Ok(Some(match switched(&value) {
                Some(on) => json!({ "type": if on { "enabled" } else { "disabled" } }),
                None if value.is_object() => value,
                None => json!({ "type": value }),
            })),
            (Some(ValueForm::Json), Value::String(text)) => {
                serde_json::from_str(&text).map(Some).map_err(|error| wrong(&format!("valid JSON: {error}")))
            }
            (Some(ValueForm::Number), Value::String(text)) => serde_json::from_str::<serde_json::Number>(text.trim())
                .map(|number| Some(Value::Number(number)))
                .map_err(|_| wrong("a number")),
            (Some(ValueForm::Json | ValueForm::Number), value) => Ok(Some(value)),
            (Some(ValueForm::Tool), value) => {
                if switched(&value) == Some(true) {
                    tools.extend(self.tool.clone().map(Value::Object));
                }
                Ok(None)
            }
        }
    }

    fn place(&self, name: &str, value: Value, parameters: &mut Map<String, Value>) {
        match &self.to {
            Target::Nowhere => {}
            Target::Own => {
                parameters.insert(name.to_owned(), value);
            }
            Target::Path(path) => form_values::insert(parameters, path, value),
        }
    }
}

/// Applies the rules in order.
pub fn apply_rules(rules: &[ParameterRule], parameters: &mut Map<String, Value>) {
    for rule in rules {
        let matches = rule.when.iter().all(|(name, wanted)| {
            let value = parameters.get(name).unwrap_or(&Value::Null);
            match wanted {
                Value::Array(any) => any.iter().any(|wanted| is_same(wanted, value)),
                wanted => is_same(wanted, value),
            }
        });
        if matches {
            parameters.retain(|name, _| !rule.drop.contains(name));
            parameters.extend(rule.set.clone());
        }
    }
}

/// Returns the meaning of a switch: on, off, or none.
pub fn switched(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "enabled" => Some(true),
            "false" | "off" | "disabled" => Some(false),
            _ => None,
        },
        Value::Object(object) => object.get("type").and_then(|kind| switched_kind(kind.as_str()?)),
        _ => None,
    }
}

fn switched_kind(kind: &str) -> Option<bool> {
    match kind {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

/// Whether two values are equal; a form's `true` is a text.
fn is_same(left: &Value, right: &Value) -> bool {
    left == right || (!left.is_null() && !right.is_null() && as_text(left) == as_text(right))
}

fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Keeps a `null` that is written.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(false) => Ok(Self::Nowhere),
            Value::String(path) if path.split('.').all(|name| !name.is_empty()) => Ok(Self::Path(path)),
            _ => Err(de::Error::custom("must be a name, a path of names such as `reasoning.effort`, or false")),
        }
    }
}

impl JsonSchema for Target {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "const": false }] })
    }
}

impl<'de> Deserialize<'de> for Conversions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::<String, Value>::deserialize(deserializer)?;
        let read = |(name, value): (String, Value)| match Conversion::deserialize(value) {
            Ok(conversion) => Ok((name, conversion)),
            Err(error) => Err(de::Error::custom(format!("`{name}`: {error}"))),
        };
        map.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl JsonSchema for Conversions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Conversions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        std::collections::BTreeMap::<String, Conversion>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(conversions: Value, parameters: Value) -> Result<(Value, Vec<Value>), String> {
        let conversions: Conversions = serde_json::from_value(conversions).map_err(|error| error.to_string())?;
        let Value::Object(mut parameters) = parameters else { unreachable!("cases are objects") };
        let mut tools = Vec::new();
        conversions.fill(&mut parameters);
        conversions.apply(&mut parameters, &mut tools).map_err(|error| error.message)?;
        Ok((Value::Object(parameters), tools))
    }

    #[test]
    fn converts_parameters() {
        let enabled = json!({"thinking": {"type": "enabled"}});
        for (conversions, parameters, expected) in [
            (json!({"a": {"to": "b"}}), json!({"a": 1, "c": 2}), json!({"c": 2, "b": 1})),
            (json!({"a": {"to": "b"}, "b": {"to": "a"}}), json!({"a": 1, "b": 2}), json!({"b": 1, "a": 2})),
            (json!({"a": {"to": false}}), json!({"a": 1}), json!({})),
            (
                json!({"a": {"to": "x.y.z"}, "b": {"to": "x.y.w"}}),
                json!({"a": 1, "b": 2}),
                json!({"x": {"y": {"z": 1, "w": 2}}}),
            ),
            (json!({"a": {"to": "x.y"}}), json!({"x": 3, "a": 1}), json!({"x": {"y": 1}})),
            (json!({"thinking": {"unset": true, "as": "switch"}}), json!({}), enabled.clone()),
            (json!({"thinking": {"as": "switch"}}), json!({}), json!({})),
            (json!({"thinking": {"as": "switch"}}), json!({"thinking": "enabled"}), enabled.clone()),
            (json!({"thinking": {"as": "switch"}}), json!({"thinking": {"type": "enabled"}}), enabled),
            (
                json!({"t": {"as": "switch", "to": "thinking"}}),
                json!({"t": "auto"}),
                json!({"thinking": {"type": "auto"}}),
            ),
            (json!({"e": {"only": ["high"], "to": "r.e"}}), json!({"e": "low"}), json!({})),
            (json!({"e": {"only": ["high"], "to": "r.e"}}), json!({"e": "high"}), json!({"r": {"e": "high"}})),
            (
                json!({"mode": {"values": {"true": "reasoning", "false": null}, "to": "prompt_mode"}}),
                json!({"mode": false}),
                json!({"prompt_mode": null}),
            ),
            (json!({"n": {"values": {"dynamic": -1}}}), json!({"n": "dynamic"}), json!({"n": -1})),
            (json!({"s": {"as": "json"}}), json!({"s": "{\"a\": [1]}"}), json!({"s": {"a": [1]}})),
            (json!({"s": {"as": "json"}}), json!({"s": " "}), json!({})),
            (json!({"n": {"as": "number"}}), json!({"n": " 1.5"}), json!({"n": 1.5})),
        ] {
            let (converted, tools) = run(conversions.clone(), parameters.clone()).unwrap();
            assert_eq!((converted, tools.len()), (expected, 0), "{conversions} {parameters}");
        }
    }

    #[test]
    fn a_switched_parameter_becomes_a_tool() {
        let search = json!({"web": {"as": "tool", "tool": {"type": "web_search"}}});
        for (parameters, expected) in [
            (json!({"web": true}), vec![json!({"type": "web_search"})]),
            (json!({"web": false}), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(run(search.clone(), parameters).unwrap(), (json!({}), expected));
        }
    }

    #[test]
    fn names_the_parameter_that_is_wrong() {
        for (conversions, parameters, expected) in [
            (json!({"s": {"as": "json"}}), json!({"s": "{"}), "parameter `s` is not valid JSON"),
            (json!({"n": {"as": "number"}}), json!({"n": "many"}), "parameter `n` is not a number"),
            (json!({"n": {"to": "a..b"}}), json!({}), "`n`: must be a name"),
            (json!({"n": {"name": "a"}}), json!({}), "unknown field `name`"),
        ] {
            let error = run(conversions, parameters).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rules_drop_and_set() {
        let rules: Vec<ParameterRule> = serde_json::from_value(json!([
            {"when": {"thinking": true}, "drop": ["top_p"]},
            {"when": {"thinking": ["disabled", false]}, "set": {"effort": "minimal"}},
            {"when": {"thinking": null}, "set": {"unset": 1}},
        ]))
        .unwrap();
        for (parameters, expected) in [
            (json!({"thinking": true, "top_p": 1}), json!({"thinking": true})),
            (json!({"thinking": "true", "top_p": 1}), json!({"thinking": "true"})),
            (json!({"thinking": false, "top_p": 1}), json!({"thinking": false, "top_p": 1, "effort": "minimal"})),
            (json!({"top_p": 1}), json!({"top_p": 1, "unset": 1})),
        ] {
            let Value::Object(mut map) = parameters.clone() else { unreachable!("cases are objects") };
            apply_rules(&rules, &mut map);
            assert_eq!(Value::Object(map), expected, "{parameters}");
        }
    }
}
