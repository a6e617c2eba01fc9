//! JSON Schemas for functions and answers: passed on whole where the service reads them, else reduced to its subset.
//!
//! The subset is OpenAPI's: one upper-case type, `nullable`, `anyOf`; no references, `oneOf`, `allOf`, `const` or
//! `additionalProperties`. What cannot be said in it is widened, never made stricter.
//! Source: Gemini API, `Schema` and `FunctionDeclaration`.

mod check;

use serde_json::{Map, Value, json};

pub use check::check;

use crate::error::InvokeError;

/// Deepest schema that is followed; references may go round in circles.
const DEEPEST: usize = 24;

/// Keywords that mean the same in the subset.
const KEPT: [&str; 16] = [
    "format",
    "title",
    "description",
    "enum",
    "minItems",
    "maxItems",
    "required",
    "propertyOrdering",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "default",
];

/// Reads a schema that a user or Dify wrote as text: bare, or wrapped as `{"name": …, "schema": {…}}`. Blank is none.
pub fn from_text(text: &str) -> Result<Option<Map<String, Value>>, InvokeError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        InvokeError::bad_request(format!("parameter `json_schema` is not JSON: {error}"))
            .with_hint("It must be a JSON Schema such as {\"type\": \"object\", \"properties\": {…}}.")
    })?;
    match value {
        Value::Object(map) => Ok(Some(unwrap(map))),
        Value::Null => Ok(None),
        other => Err(InvokeError::bad_request(format!(
            "parameter `json_schema` must be a JSON object, found {}",
            crate::protocol::lenient::kind_of(&other)
        ))),
    }
}

/// Takes the schema out of the wrapper that Dify and OpenAI use.
pub fn unwrap(mut map: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(inner)) = map.get_mut("json_schema") {
        return unwrap(std::mem::take(inner));
    }
    let is_schema =
        ["type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum"].iter().any(|key| map.contains_key(*key));
    match map.get_mut("schema") {
        Some(Value::Object(inner)) if !is_schema => std::mem::take(inner),
        _ => map,
    }
}

/// Whether an object schema declares no property: such a function has no parameters.
pub fn is_empty(schema: &Map<String, Value>) -> bool {
    let structure = ["$ref", "anyOf", "oneOf", "allOf", "additionalProperties", "patternProperties"];
    schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty)
        && !structure.iter().any(|key| schema.contains_key(*key))
}

/// A full schema without what is only bookkeeping.
pub fn full(mut schema: Map<String, Value>) -> Value {
    schema.remove("$schema");
    schema.remove("$id");
    Value::Object(schema)
}

/// The schema in the service's subset.
pub fn subset(schema: &Map<String, Value>) -> Value {
    Value::Object(reduce(schema, schema, 0))
}

fn reduce(schema: &Map<String, Value>, root: &Map<String, Value>, depth: usize) -> Map<String, Value> {
    let mut out = Map::new();
    if depth >= DEEPEST {
        out.insert("type".to_owned(), json!("OBJECT"));
        return out;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| find(root, path)) {
        let mut merged = reduce(target, root, depth + 1);
        if let Some(description) = schema.get("description") {
            merged.insert("description".to_owned(), description.clone());
        }
        return merged;
    }
    types(schema, &mut out);
    for key in KEPT {
        if let Some(value) = schema.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    fixed_values(schema, &mut out);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let reduced = properties.iter().filter_map(|(name, value)| Some((name.clone(), below(value, root, depth)?)));
        out.insert("properties".to_owned(), Value::Object(reduced.collect()));
    }
    if let Some(items) = schema.get("items").and_then(|items| below(items, root, depth)) {
        out.insert("items".to_owned(), items);
    } else if out.get("type") == Some(&json!("ARRAY")) {
        out.insert("items".to_owned(), json!({"type": "STRING"}));
    }
    alternatives(schema, root, depth, &mut out);
    if !out.contains_key("type") && !out.contains_key("anyOf") {
        let guess = if out.contains_key("properties") { "OBJECT" } else { "STRING" };
        out.insert("type".to_owned(), json!(guess));
    }
    out
}

fn below(value: &Value, root: &Map<String, Value>, depth: usize) -> Option<Value> {
    match value {
        Value::Object(map) => Some(Value::Object(reduce(map, root, depth + 1))),
        Value::Bool(true) => Some(json!({"type": "STRING"})),
        _ => None,
    }
}

/// One type stays, a list becomes `anyOf`, null becomes `nullable`.
fn types(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let nullable = names.iter().any(|name| name.eq_ignore_ascii_case("null"));
    let rest: Vec<String> =
        names.iter().filter(|name| !name.eq_ignore_ascii_case("null")).map(|name| name.to_ascii_uppercase()).collect();
    if nullable || schema.get("nullable") == Some(&json!(true)) {
        out.insert("nullable".to_owned(), json!(true));
    }
    match rest.as_slice() {
        [] => {}
        [one] => {
            out.insert("type".to_owned(), json!(one));
        }
        several => {
            let branches: Vec<Value> = several
                .iter()
                .map(|name| match name.as_str() {
                    "ARRAY" => json!({"type": name, "items": {"type": "STRING"}}),
                    _ => json!({"type": name}),
                })
                .collect();
            out.insert("anyOf".to_owned(), Value::Array(branches));
        }
    }
}

/// The subset's `enum` holds text only; `const` is an `enum` of one.
fn fixed_values(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    let values = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.clone(),
        (_, Some(value)) => vec![value.clone()],
        _ => return,
    };
    out.remove("enum");
    if values.iter().any(Value::is_null) {
        out.insert("nullable".to_owned(), json!(true));
    }
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    if !texts.is_empty() {
        out.entry("type").or_insert_with(|| json!("STRING"));
        out.insert("enum".to_owned(), json!(texts));
        return;
    }
    let numbers: Vec<String> = values.iter().filter(|value| !value.is_null()).map(Value::to_string).collect();
    if !numbers.is_empty() {
        let note = format!("One of: {}", numbers.join(", "));
        let text = match out.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description} {note}"),
            None => note,
        };
        out.insert("description".to_owned(), json!(text));
    }
}

fn alternatives(schema: &Map<String, Value>, root: &Map<String, Value>, depth: usize, out: &mut Map<String, Value>) {
    for branch in schema.get("allOf").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        for (key, value) in reduce(branch, root, depth + 1) {
            match (out.get_mut(&key), value) {
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
                (Some(_), _) => {}
                (None, value) => {
                    out.insert(key, value);
                }
            }
        }
    }
    for key in ["anyOf", "oneOf"] {
        let Some(branches) = schema.get(key).and_then(Value::as_array) else { continue };
        let is_null = |branch: &Value| branch.get("type") == Some(&json!("null"));
        if branches.iter().any(is_null) {
            out.insert("nullable".to_owned(), json!(true));
        }
        let mut reduced: Vec<Value> =
            branches.iter().filter(|branch| !is_null(branch)).filter_map(|branch| below(branch, root, depth)).collect();
        if let ([Value::Object(only)], true) = (reduced.as_mut_slice(), !out.contains_key("type")) {
            for (name, value) in std::mem::take(only) {
                out.entry(name).or_insert(value);
            }
        } else if !reduced.is_empty() {
            out.insert("anyOf".to_owned(), Value::Array(reduced));
        }
    }
}

/// `#/$defs/Name`, `#/definitions/Name`: any local path.
fn find<'a>(root: &'a Map<String, Value>, path: &str) -> Option<&'a Map<String, Value>> {
    let mut steps = path.strip_prefix("#/")?.split('/');
    let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let mut place = root.get(&unescape(steps.next()?))?;
    for step in steps {
        place = place.get(unescape(step))?;
    }
    place.as_object()
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
