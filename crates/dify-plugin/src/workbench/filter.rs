//! What Dify's API makes of the values of a model's form before a plugin gets them: hidden fields go, defaults are filled in, and
//! what is not allowed is refused. Values of other kinds are not its business.
//!
//! Source: `langgenius/graphon: src/graphon/model_runtime/schema_validators/common_validator.py`.

use serde_json::{Map, Value};

/// The form of a key in a view: that of `model/PROVIDER`, or of `model/PROVIDER/TYPE/MODEL` with its type.
fn form<'v>(view: &'v Value, key: &str) -> Option<(&'v Vec<Value>, Option<String>)> {
    let mut parts = key.split('/');
    let (kind, name) = (parts.next()?, parts.next()?);
    let mut providers = view["providers"].as_array()?.iter();
    let provider = providers.find(|provider| provider["kind"] == kind && provider["name"] == name)?;
    if kind != "model" {
        return None;
    }
    let model_type = parts.next();
    let form = if model_type.is_some() { &provider["model_credentials"]["form"] } else { &provider["credentials"] };
    Some((form["fields"].as_array()?, model_type.map(str::to_owned)))
}

/// The values that a plugin gets, or why Dify refuses them. Those of a form that is not declared stay as they are.
pub(super) fn passed(view: &Value, key: &str, sent: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let Some((fields, model_type)) = form(view, key) else { return Ok(sent) };
    let mut seen = sent;
    seen.extend(model_type.map(|model_type| ("__model_type".to_owned(), model_type.into())));
    let holds = |condition: &Value| {
        condition["variable"].as_str().is_some_and(|variable| seen.get(variable) == Some(&condition["value"]))
    };
    let mut passed = Map::new();
    for field in fields {
        let variable = field["variable"].as_str().unwrap_or_default();
        let is_shown = field["show_on"].as_array().is_none_or(|conditions| conditions.iter().all(holds));
        // Names of Dify's own fields begin so.
        if variable.starts_with("__") || !is_shown {
            continue;
        }
        match value(field, variable, seen.get(variable).filter(|value| !is_empty(value)))? {
            Some(value) => passed.insert(variable.to_owned(), value),
            None => continue,
        };
    }
    Ok(passed)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// The value of a field that is shown; none if the plugin gets nothing.
fn value(field: &Value, variable: &str, sent: Option<&Value>) -> Result<Option<Value>, String> {
    let Some(sent) = sent else {
        return match &field["default"] {
            _ if field["required"] == true => Err(format!("Variable {variable} is required")),
            default if is_empty(default) => Ok(None),
            default => Ok(Some(default.clone())),
        };
    };
    let Some(text) = sent.as_str() else { return Err(format!("Variable {variable} should be string")) };
    if let Some(length) = field["max_length"].as_u64()
        && text.chars().count() as u64 > length
    {
        return Err(format!("Variable {variable} length should not be greater than {length}"));
    }
    let options = field["options"].as_array().filter(|options| !options.is_empty());
    match field["type"].as_str() {
        Some("select" | "radio") if options.is_some_and(|all| all.iter().all(|option| option["value"] != text)) => {
            Err(format!("Variable {variable} is not in options"))
        }
        // Only true is kept.
        Some("switch") => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true.into())),
            "false" => Ok(None),
            _ => Err(format!("Variable {variable} should be true or false")),
        },
        _ => Ok(Some(sent.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> Value {
        let on = |variable: &str, value: &str| json!([{"variable": variable, "value": value}]);
        let fields = json!([
            {"variable": "__authorization_name__", "type": "text-input"},
            {"variable": "key", "type": "secret-input", "required": true},
            {"variable": "region", "type": "select", "default": "eu", "options": [{"value": "eu"}, {"value": "us"}]},
            {"variable": "only_us", "type": "text-input", "required": true, "show_on": on("region", "us")},
            {"variable": "short", "type": "text-input", "max_length": 3},
            {"variable": "toggle", "type": "switch"},
            {"variable": "voice", "type": "text-input", "default": "anna", "show_on": on("__model_type", "tts")},
        ]);
        json!({"providers": [
            {"kind": "model", "name": "p", "credentials": {"fields": fields}, "model_credentials": {"form": {"fields": fields}}},
            {"kind": "tool", "name": "t", "credentials": {"fields": fields}},
        ]})
    }

    #[test]
    fn a_plugin_gets_what_dify_passes_on() {
        let cases = [
            ("model/p", json!({"key": "k"}), Ok(json!({"key": "k", "region": "eu"}))),
            ("model/p", json!({"key": "", "region": "us"}), Err("Variable key is required")),
            ("model/p", json!({"key": "k", "region": "us"}), Err("Variable only_us is required")),
            ("model/p", json!({"key": "k", "only_us": "x"}), Ok(json!({"key": "k", "region": "eu"}))),
            ("model/p", json!({"key": "k", "region": "xx"}), Err("Variable region is not in options")),
            ("model/p", json!({"key": "k", "short": "äöü"}), Ok(json!({"key": "k", "region": "eu", "short": "äöü"}))),
            (
                "model/p",
                json!({"key": "k", "short": "long"}),
                Err("Variable short length should not be greater than 3"),
            ),
            ("model/p", json!({"key": 7}), Err("Variable key should be string")),
            ("model/p", json!({"key": "k", "toggle": "TRUE"}), Ok(json!({"key": "k", "region": "eu", "toggle": true}))),
            ("model/p", json!({"key": "k", "toggle": "false"}), Ok(json!({"key": "k", "region": "eu"}))),
            ("model/p", json!({"key": "k", "toggle": "yes"}), Err("Variable toggle should be true or false")),
            ("model/p", json!({"key": "k", "unknown": "x"}), Ok(json!({"key": "k", "region": "eu"}))),
            ("model/p/tts/m", json!({"key": "k"}), Ok(json!({"key": "k", "region": "eu", "voice": "anna"}))),
            ("model/p/llm/a/b", json!({"key": "k"}), Ok(json!({"key": "k", "region": "eu"}))),
            ("model/other", json!({"any": 1}), Ok(json!({"any": 1}))),
            ("tool/t", json!({"any": 1}), Ok(json!({"any": 1}))),
            ("", json!({}), Ok(json!({}))),
        ];
        for (key, sent, expected) in cases {
            let found = passed(&view(), key, sent.as_object().unwrap().clone());
            let expected = expected.map(|values| values.as_object().unwrap().clone()).map_err(str::to_owned);
            assert_eq!(found, expected, "{key} {sent}");
        }
    }
}
