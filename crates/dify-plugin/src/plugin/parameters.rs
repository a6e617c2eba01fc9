//! From the values that Dify sends to an author's type. The Dify API has cast most of them; a value that it has not (a call
//! at the terminal, a model's arguments, a form that was saved before) is cast here as the type's schema requires.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::PluginError;
use super::cast::cast_value;
use crate::declare::parameter::ParameterKind;
use crate::declare::shape::{TYPE_KEY, json_type, without_null};

/// Reads the parameters of a tool, a strategy, a datasource or an event.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(values: Map<String, Value>) -> Result<T, PluginError> {
    let values = Value::Object(values);
    T::deserialize(&values).or_else(|_| read_strictly(&fit(&schema::<T>(), values)))
}

/// The JSON schema of a parameter type, with every type that it contains written out.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn read_strictly<T: DeserializeOwned>(values: &Value) -> Result<T, PluginError> {
    serde_path_to_error::deserialize(values).map_err(|error| {
        let (path, reason) = (error.path().to_string(), crate::protocol::lenient::reason(error.inner()));
        PluginError::bad_request(match path.as_str() {
            "." | "" => format!("cannot read the parameters: {reason}"),
            path => format!("cannot read parameter `{path}`: {reason}"),
        })
    })
}

/// Casts a value to what its schema requires. A value that cannot be cast stays, so that the error names it.
fn fit(schema: &Value, value: Value) -> Value {
    let schema = without_null(schema);
    let Some(kind) = kind_of(schema) else { return value };
    let value = cast_value(kind, value.clone()).unwrap_or(value);
    match value {
        Value::Object(members) => Value::Object(fit_members(schema, members)),
        Value::Array(items) => match schema.get("items") {
            Some(schema) => items.into_iter().map(|item| fit(schema, item)).collect(),
            None => Value::Array(items),
        },
        // A model writes 2.0 where an integer is meant.
        Value::Number(number) if json_type(schema) == Some("integer") => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).into(),
            _ => Value::Number(number),
        },
        value => value,
    }
}

/// Casts the members of an object. What Dify sends for something that was not filled in is absent.
fn fit_members(schema: &Value, members: Map<String, Value>) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_name = |name: &str| schema.get("properties")?.get(name);
    let mut fitted = Map::new();
    for (name, value) in members {
        let Some(member) = of_name(&name).or_else(|| schema.get("additionalProperties")) else {
            fitted.insert(name, value);
            continue;
        };
        let is_required = required.iter().any(|required| *required == name);
        let is_text = json_type(without_null(member)) == Some("string") && member.get("enum").is_none();
        let value = match value {
            Value::Null if is_required && is_text => Value::from(""),
            value @ Value::Null if is_required => value,
            Value::Null => continue,
            Value::String(text) if text.is_empty() && !is_required && !accepts_empty(member) => continue,
            value => value,
        };
        fitted.insert(name, fit(member, value));
    }
    fitted
}

/// Whether an empty string is a value of its own, and not what an empty field of a form is.
fn accepts_empty(schema: &Value) -> bool {
    let schema = without_null(schema);
    let options = schema.get("enum").and_then(Value::as_array);
    let is_text = json_type(schema) == Some("string") && schema.get("oneOf").is_none();
    options.map_or(is_text, |options| options.iter().any(|option| option == ""))
}

/// The rules by which a value of a schema is cast.
fn kind_of(schema: &Value) -> Option<ParameterKind> {
    let named = schema.get(TYPE_KEY).filter(|_| json_type(schema) != Some("array"));
    if let Some(kind) = named.and_then(|kind| serde_json::from_value(kind.clone()).ok()) {
        return Some(match kind {
            // Each item of such a list, not the list.
            ParameterKind::ToolsSelector => ParameterKind::Object,
            kind => kind,
        });
    }
    match json_type(schema)? {
        "string" => Some(ParameterKind::String),
        "integer" | "number" => Some(ParameterKind::Number),
        "boolean" => Some(ParameterKind::Boolean),
        "array" => Some(ParameterKind::Array),
        "object" => Some(ParameterKind::Object),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
