//! The parameters of both strategies, by the names of Dify's own plugin.

use dify_plugin::prelude::*;
use dify_plugin::protocol::lenient::null_default;
use dify_plugin::serde_json::{self, Value};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::deadline::{Deadline, LIMIT};

/// Parameters of `strategies/function_calling.yaml`.
#[derive(Deserialize, JsonSchema)]
#[schemars(transform = require)]
pub(crate) struct FunctionCallingParameters {
    pub(crate) model: ModelSelector,
    pub(crate) allowed_tools: Option<Value>,
    #[serde(default, deserialize_with = "null_default")]
    pub(crate) tools: Vec<SelectedTool>,
    #[serde(default, deserialize_with = "null_default")]
    pub(crate) instruction: String,
    pub(crate) context: Option<Value>,
    pub(crate) query: String,
    pub(crate) files: Option<Value>,
    #[schemars(range(min = 1, max = 500))]
    pub(crate) maximum_iterations: u32,
}

/// Parameters of `strategies/ReAct.yaml`.
#[derive(Deserialize, JsonSchema)]
#[schemars(transform = require)]
pub(crate) struct ReActParameters {
    pub(crate) model: ModelSelector,
    pub(crate) allowed_tools: Option<Value>,
    #[serde(default, deserialize_with = "null_default")]
    pub(crate) tools: Vec<SelectedTool>,
    #[serde(default, deserialize_with = "null_default")]
    pub(crate) instruction: String,
    pub(crate) context: Option<Value>,
    pub(crate) query: String,
    #[schemars(range(min = 1, max = 500))]
    pub(crate) maximum_iterations: u32,
}

/// The form requires tools and an instruction; an app that was imported may have neither.
fn require(schema: &mut Schema) {
    for name in ["tools", "instruction"] {
        if let Some(Value::Object(property)) = schema.get_mut("properties").and_then(|of| of.get_mut(name)) {
            property.remove("default");
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.push(name.into());
        }
    }
}

/// The names of the parameter `allowed_tools`: a list, the same as JSON text, or one name. None are no restriction.
pub(crate) fn tool_names(value: Option<&Value>) -> Result<Vec<String>, PluginError> {
    let wrong = || PluginError::bad_request("`allowed_tools` must be a list of names of tools");
    let named = |name: &str| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(list @ Value::Array(_)) => tool_names(Some(&list)),
            _ => Ok(named(text).into_iter().collect()),
        },
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            Ok(names.ok_or_else(wrong)?.into_iter().filter_map(named).collect())
        }
        Some(_) => Err(wrong()),
    }
}

/// Rejects a number of iterations that the form does not allow.
pub(crate) fn check_iterations(maximum: u32) -> Result<u32, PluginError> {
    if (1..=500).contains(&maximum) {
        return Ok(maximum);
    }
    Err(PluginError::bad_request(format!("`maximum_iterations` is {maximum}; it must be between 1 and 500")))
}

/// Why the model has to answer now, without tools; none in a round in which it may call them.
pub(crate) fn closing(round: u32, maximum: u32, deadline: Deadline) -> Option<String> {
    if round > maximum {
        return Some(format!("The maximum number of iterations ({maximum}) is reached."));
    }
    deadline.is_near().then(|| format!("The time of this run is nearly over: {LIMIT}."))
}

/// Arguments as JSON, or as the text that they are.
pub(crate) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use dify_plugin::serde_json::json;

    use super::*;

    #[test]
    fn allowed_tools_are_read_in_every_form_that_a_variable_may_have() {
        let rows = [
            (Value::Null, Some(vec![])),
            (json!([]), Some(vec![])),
            (json!(["a", " b ", ""]), Some(vec!["a", "b"])),
            (json!("[\"a\", \"b\"]"), Some(vec!["a", "b"])),
            (json!("a"), Some(vec!["a"])),
            (json!("  "), Some(vec![])),
            (json!([1]), None),
            (json!({"a": 1}), None),
        ];
        for (value, expected) in rows {
            let found = tool_names(Some(&value)).ok();
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(found, expected, "{value}");
        }
    }
}
