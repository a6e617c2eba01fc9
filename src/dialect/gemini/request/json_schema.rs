//! JSON Schemas for functions and responses: repaired where the service supports full schemas ([`full`]), otherwise
//! reduced to its subset.
//!
//! The subset is that of OpenAPI: one type in upper case, `nullable`, `anyOf`; no references, `oneOf`, `allOf`, `const`
//! or `additionalProperties`. What it cannot express is widened, never made stricter. Source: Gemini API, `Schema` and
//! `FunctionDeclaration`.

mod check;
mod full;
mod scopes;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

pub use check::check;
pub use full::full;

use dify_plugin::error::InvokeError;

/// Maximum nesting depth of a schema; references may be circular.
const MAX_DEPTH: usize = 24;

/// Approximate maximum of bytes that references may add to all schemas of one request. References can multiply: each
/// level may contain the one below several times.
const MAX_EXPANDED_BYTES: usize = 1024 * 1024;

/// Remaining bytes that references may add.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_EXPANDED_BYTES)
    }
}

impl Budget {
    /// Accounts for a copy of a referenced schema; returns false if the budget is exhausted.
    fn reserve(&mut self, target: &Map<String, Value>) -> bool {
        let Some(left) = left_by_map(target, self.0) else { return false };
        self.0 = left;
        true
    }
}

/// Returns how many of `room` bytes remain after a value.
fn left_by(value: &Value, room: usize) -> Option<usize> {
    match value {
        Value::String(text) => room.checked_sub(text.len() + 2),
        Value::Array(items) => items.iter().try_fold(room.checked_sub(2)?, |room, item| left_by(item, room)),
        Value::Object(map) => left_by_map(map, room),
        _ => room.checked_sub(4),
    }
}

fn left_by_map(map: &Map<String, Value>, room: usize) -> Option<usize> {
    map.iter().try_fold(room.checked_sub(2)?, |room, (key, value)| left_by(value, room.checked_sub(key.len() + 4)?))
}

/// References would add more bytes than a request may contain.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

impl TooLarge {
    /// Returns the error, naming the owner of the schema (``function `f` ``).
    pub fn of(self, owner: &str) -> InvokeError {
        InvokeError::bad_request(format!(
            "the schema of {owner} is larger than {MAX_EXPANDED_BYTES} bytes once its references are resolved"
        ))
        .with_hint("Write it with fewer references, or choose a Gemini 2.5 or later model, which supports references.")
    }
}

/// Keywords with the same meaning in the subset.
const SHARED_KEYWORDS: [&str; 16] = [
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

/// Parses a schema that a user or Dify wrote as text: bare, or wrapped as `{"name": …, "schema": {…}}`. Blank text is
/// `None`.
pub fn from_text(text: &str) -> Result<Option<Map<String, Value>>, InvokeError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        InvokeError::bad_request(format!("parameter `json_schema` is not valid JSON: {error}"))
            .with_hint("It must be a JSON Schema such as {\"type\": \"object\", \"properties\": {…}}.")
    })?;
    match value {
        Value::Object(map) => Ok(Some(unwrap(map))),
        Value::Null => Ok(None),
        other => Err(InvokeError::bad_request(format!(
            "parameter `json_schema` must be a JSON object, found {}",
            dify_plugin::protocol::lenient::kind_of(&other)
        ))),
    }
}

/// Removes the wrapper that Dify and OpenAI put around a schema.
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

/// Whether an object schema declares no properties: such a function has no parameters.
pub fn is_empty(schema: &Map<String, Value>) -> bool {
    let structure = ["$ref", "anyOf", "oneOf", "allOf", "additionalProperties", "patternProperties"];
    schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty)
        && !structure.iter().any(|key| schema.contains_key(*key))
}

/// Converts a schema to the subset of the service.
pub fn subset(schema: &Map<String, Value>, budget: &mut Budget) -> Result<Value, TooLarge> {
    let schema = scopes::absolute(schema);
    let mut reduction = Reduction { root: &schema, inside: Vec::new(), budget };
    reduction.reduce(&schema, 0).map(Value::Object)
}

struct Reduction<'a> {
    root: &'a Map<String, Value>,
    /// Paths of the references that are being resolved.
    inside: Vec<String>,
    budget: &'a mut Budget,
}

impl Reduction<'_> {
    fn reduce(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Map<String, Value>, TooLarge> {
        let mut out = Map::new();
        if depth >= MAX_DEPTH {
            out.insert("type".to_owned(), json!("OBJECT"));
            return Ok(out);
        }
        if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(schema, path, depth);
        }
        types(schema, &mut out);
        for key in SHARED_KEYWORDS {
            if let Some(value) = schema.get(key).filter(|value| !value.is_null()) {
                out.insert(key.to_owned(), value.clone());
            }
        }
        fixed_values(schema, &mut out);
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let mut reduced = Map::new();
            for (name, value) in properties {
                if let Some(value) = self.below(value, depth)? {
                    reduced.insert(name.clone(), value);
                }
            }
            out.insert("properties".to_owned(), Value::Object(reduced));
        }
        let items = schema.get("items").map(|items| self.below(items, depth)).transpose()?.flatten();
        if let Some(items) = items {
            out.insert("items".to_owned(), items);
        } else if out.get("type") == Some(&json!("ARRAY")) {
            out.insert("items".to_owned(), json!({"type": "STRING"}));
        }
        self.alternatives(schema, depth, &mut out)?;
        if !out.contains_key("type") && !out.contains_key("anyOf") {
            let guess = if out.contains_key("properties") { "OBJECT" } else { "STRING" };
            out.insert("type".to_owned(), json!(guess));
        }
        Ok(out)
    }

    /// Resolves a reference and adds its sibling keywords. An unresolved or circular reference becomes a plain object.
    fn reference(
        &mut self,
        schema: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, TooLarge> {
        let mut beside = schema.clone();
        beside.remove("$ref");
        let root = self.root;
        match find(root, path) {
            Some(target) if !self.inside.iter().any(|inside| inside == path) => {
                if !self.budget.reserve(target) {
                    return Err(TooLarge);
                }
                self.inside.push(path.to_owned());
                let found = self.reduce(&merged(target, beside), depth + 1);
                self.inside.pop();
                found
            }
            _ => {
                beside.entry("type").or_insert_with(|| json!("object"));
                self.reduce(&beside, depth + 1)
            }
        }
    }

    fn below(&mut self, value: &Value, depth: usize) -> Result<Option<Value>, TooLarge> {
        Ok(match value {
            Value::Object(map) => Some(Value::Object(self.reduce(map, depth + 1)?)),
            Value::Bool(true) | Value::Null => Some(json!({"type": "STRING"})),
            _ => None,
        })
    }

    fn alternatives(
        &mut self,
        schema: &Map<String, Value>,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), TooLarge> {
        for branch in schema.get("allOf").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
            for (key, value) in self.reduce(branch, depth + 1)? {
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
            let mut reduced = Vec::new();
            for branch in branches.iter().filter(|branch| !is_null(branch)) {
                reduced.extend(self.below(branch, depth)?);
            }
            if let ([Value::Object(only)], true) = (reduced.as_mut_slice(), !out.contains_key("type")) {
                for (name, value) in std::mem::take(only) {
                    out.entry(name).or_insert(value);
                }
            } else if !reduced.is_empty() {
                out.insert("anyOf".to_owned(), Value::Array(reduced));
            }
        }
        Ok(())
    }
}

/// A single type is kept, an array of types becomes `anyOf`, and null becomes `nullable`.
fn types(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let names: Vec<&str> = names.iter().filter_map(|name| full::type_name(name)).collect();
    let nullable = names.contains(&"null");
    let rest: Vec<String> =
        names.iter().filter(|name| **name != "null").map(|name| name.to_ascii_uppercase()).collect();
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

/// The subset's `enum` contains strings only; `const` is an `enum` of one value.
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
    // The subset rejects empty strings in `enum`.
    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).collect();
    if !texts.is_empty() {
        out.entry("type").or_insert_with(|| json!("STRING"));
        out.insert("enum".to_owned(), json!(texts));
        return;
    }
    let numbers: Vec<String> =
        values.iter().filter(|value| !value.is_null() && !value.is_string()).map(Value::to_string).collect();
    if !numbers.is_empty() {
        let note = format!("One of: {}", numbers.join(", "));
        let text = match out.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description} {note}"),
            None => note,
        };
        out.insert("description".to_owned(), json!(text));
    }
}

/// Merges a referenced schema with the siblings of the reference, which take precedence.
fn merged(target: &Map<String, Value>, beside: Map<String, Value>) -> Map<String, Value> {
    let mut merged = target.clone();
    for (key, value) in beside {
        match (key.as_str(), merged.get_mut(&key), value) {
            (_, _, Value::Null) => {}
            ("properties", Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            ("required", Some(Value::Array(known)), Value::Array(more)) => {
                known.extend(more);
                let mut seen = std::collections::HashSet::new();
                known.retain(|name| name.as_str().is_none_or(|name| seen.insert(name.to_owned())));
            }
            (_, _, value) => {
                merged.insert(key, value);
            }
        }
    }
    merged
}

/// Resolves a local path: `#`, `#/$defs/Name`, `#/definitions/Name`. Other paths are not supported.
fn find<'a>(root: &'a Map<String, Value>, path: &str) -> Option<&'a Map<String, Value>> {
    if path == "#" {
        return Some(root);
    }
    let unescape = |step: &str| {
        let decoded = percent_decode_str(step).decode_utf8().unwrap_or(Cow::Borrowed(step));
        decoded.replace("~1", "/").replace("~0", "~")
    };
    let mut steps = path.strip_prefix("#/")?.split('/');
    let mut place = root.get(&unescape(steps.next()?))?;
    for step in steps {
        let step = unescape(step);
        place = match place {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            other => other.get(&step)?,
        };
    }
    place.as_object()
}

#[cfg(test)]
#[path = "json_schema/tests.rs"]
mod tests;
