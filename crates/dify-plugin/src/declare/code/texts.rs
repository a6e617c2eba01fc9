//! New declarations: what the code knows, and texts made of its names and comments. Texts that a file has are not changed.

use serde_json::{Map, Value, json};

use super::{CodePart, CodeProvider};
use crate::declare::kind::PluginKind;
use crate::declare::parameter::ParameterKind;
use crate::declare::rules::explanation_key;
use crate::declare::shape::{Field, label_of_name};

/// Characters of a text in one language that Dify accepts.
const MAX_TEXT_CHARS: usize = 1023;

fn english(text: &str) -> Value {
    json!({"en_US": text.chars().take(MAX_TEXT_CHARS).collect::<String>()})
}

/// A number without a fraction is an integer.
pub(super) fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 9e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}

/// A parameter of this type.
pub(super) fn parameter(kind: PluginKind, field: &Field, parameter_kind: ParameterKind) -> Value {
    let label = field.label.clone().unwrap_or_else(|| label_of_name(&field.name));
    let text = field.description.clone();
    let mut new = Map::new();
    new.insert("name".to_owned(), json!(field.name));
    new.insert("type".to_owned(), json!(parameter_kind.name()));
    new.insert("required".to_owned(), json!(field.required));
    if field.multiple && matches!(parameter_kind, ParameterKind::Select | ParameterKind::DynamicSelect) {
        new.insert("multiple".to_owned(), json!(true));
    }
    if let Some(default) = default(field, parameter_kind) {
        new.insert("default".to_owned(), default);
    }
    for (key, bound) in [("min", field.range.min), ("max", field.range.max)] {
        if let Some(bound) = bound {
            new.insert(key.to_owned(), number(bound));
        }
    }
    if let Some(precision) = field.precision {
        new.insert("precision".to_owned(), json!(precision));
    }
    if parameter_kind == ParameterKind::Select || parameter_kind == ParameterKind::Checkbox {
        let options: Vec<Value> = field.options.iter().map(|(value, label)| option(value, label.as_deref())).collect();
        new.insert("options".to_owned(), json!(options));
    }
    if let Some(scope) = &field.scope {
        new.insert("scope".to_owned(), json!(scope));
    }
    if kind == PluginKind::Tool {
        new.insert("form".to_owned(), json!(field.form.as_deref().unwrap_or("llm")));
    }
    new.insert("label".to_owned(), english(&label));
    let explanation = match (explanation_key(kind), text.as_deref()) {
        ((key, _), Some(text)) => Some((key, text)),
        ((key, true), None) => Some((key, label.as_str())),
        ((_, false), None) => None,
    };
    if let Some((key, text)) = explanation {
        new.insert(key.to_owned(), english(text));
    }
    if kind == PluginKind::Tool {
        let text = field.llm_description.clone().or(text).unwrap_or(label);
        new.insert("llm_description".to_owned(), json!(text));
    }
    Value::Object(new)
}

/// An option of a select.
pub(super) fn option(value: &str, label: Option<&str>) -> Value {
    let label = label.map_or_else(|| label_of_name(value), str::to_owned);
    json!({"value": value, "label": english(&label)})
}

/// The default of the code, where Dify can show it.
fn default(field: &Field, kind: ParameterKind) -> Option<Value> {
    let default = field.default.as_ref().filter(|_| !field.required && !field.multiple)?;
    let is_shown = match (kind, default) {
        (ParameterKind::Number, Value::Number(number)) => {
            let number = number.as_f64()?;
            field.range.min.is_none_or(|min| number >= min) && field.range.max.is_none_or(|max| number <= max)
        }
        (ParameterKind::Boolean, Value::Bool(_)) => true,
        (ParameterKind::String, Value::String(text)) => !text.is_empty(),
        (ParameterKind::Select, Value::String(text)) => field.options.iter().any(|(value, _)| value == text),
        _ => false,
    };
    is_shown.then(|| default.as_f64().filter(|_| default.is_f64()).map_or_else(|| default.clone(), number))
}

/// The file of a provider that has none. Its parts are added afterwards.
pub(super) fn provider(code: &CodeProvider, manifest: &Value) -> Value {
    if code.kind == PluginKind::Endpoint {
        return json!({"settings": [], "endpoints": [{"path": "/", "method": "GET"}]});
    }
    let label = manifest.get("label").cloned().unwrap_or_else(|| english(&label_of_name(&code.name)));
    let description = manifest.get("description").cloned().unwrap_or_else(|| label.clone());
    let mut new = json!({"identity": {
        "author": author(manifest),
        "name": code.name,
        "label": label,
        "description": description,
        "icon": manifest.get("icon").and_then(Value::as_str).unwrap_or("icon.svg"),
    }});
    match code.kind {
        PluginKind::Datasource => {
            new["provider_type"] = json!(code.provider_type);
            new["credentials_schema"] = json!([]);
        }
        PluginKind::Trigger => {
            new["subscription_schema"] = json!([]);
            new["subscription_constructor"] = json!({"parameters": []});
        }
        _ => {}
    }
    new[code.kind.parts_key()] = json!([]);
    new
}

/// The file of a part that has none. Its parameters are added afterwards.
pub(super) fn part(kind: PluginKind, code: &CodePart, manifest: &Value) -> Value {
    let label = label_of_name(&code.name);
    let text = code.parameters.as_ref().and_then(|shape| shape.description.clone()).unwrap_or_else(|| label.clone());
    let description = match kind {
        PluginKind::Tool => json!({"human": english(&text), "llm": text}),
        _ => english(&text),
    };
    json!({
        "identity": {"author": author(manifest), "name": code.name, "label": english(&label)},
        "description": description,
        "parameters": [],
    })
}

fn author(manifest: &Value) -> &str {
    manifest.get("author").and_then(Value::as_str).filter(|author| !author.is_empty()).unwrap_or("unknown")
}
