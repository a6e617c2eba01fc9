//! Checks whether a JSON Schema is valid: its types exist, its members have the right type, and its references can be
//! resolved.
//!
//! Its meaning is left to the service. Source: JSON Schema 2020-12, "Core" and "Validation".

use serde_json::{Map, Value};

use super::{MAX_DEPTH, find};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::lenient::kind_of;

const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// Rejects an invalid schema; the error names the position.
pub fn check(schema: &Map<String, Value>) -> Result<(), InvokeError> {
    Checker { root: schema }.object(schema, "", 0).map_err(|why| {
        InvokeError::bad_request(format!("parameter `json_schema` is not a valid JSON Schema: {why}"))
            .with_hint("It must be a JSON Schema such as {\"type\": \"object\", \"properties\": {…}}.")
    })
}

struct Checker<'a> {
    root: &'a Map<String, Value>,
}

impl Checker<'_> {
    fn object(&self, schema: &Map<String, Value>, place: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("`{place}` is nested more than {MAX_DEPTH} levels deep"));
        }
        // A null member counts as absent.
        for (key, value) in schema.iter().filter(|(_, value)| !value.is_null()) {
            let here = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            match key.as_str() {
                "type" => types(value, &here)?,
                "properties" | "patternProperties" | "$defs" | "definitions" => {
                    for (name, inner) in expect(value.as_object(), value, &here, "an object")? {
                        self.schema(inner, &format!("{here}.{name}"), depth)?;
                    }
                }
                "anyOf" | "oneOf" | "allOf" | "prefixItems" => self.list(value, &here, depth)?,
                "items" if value.is_array() => self.list(value, &here, depth)?,
                "items" | "not" | "additionalProperties" => self.schema(value, &here, depth)?,
                "required" => {
                    let names = expect(value.as_array(), value, &here, "an array of strings")?;
                    if !names.iter().all(Value::is_string) {
                        return Err(format!("`{here}` must be an array of strings"));
                    }
                }
                "enum" => drop(expect(value.as_array(), value, &here, "an array")?),
                "$ref" => self.reference(value, &here)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn list(&self, value: &Value, place: &str, depth: usize) -> Result<(), String> {
        let items = expect(value.as_array(), value, place, "an array of schemas")?;
        items.iter().enumerate().try_for_each(|(index, item)| self.schema(item, &format!("{place}[{index}]"), depth))
    }

    fn schema(&self, value: &Value, place: &str, depth: usize) -> Result<(), String> {
        match value {
            Value::Object(map) => self.object(map, place, depth + 1),
            Value::Bool(_) => Ok(()),
            // Dify sends booleans as strings for some models.
            Value::String(text) if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") => Ok(()),
            other => Err(format!("`{place}` must be a schema (an object), found {}", kind_of(other))),
        }
    }

    fn reference(&self, value: &Value, place: &str) -> Result<(), String> {
        match value.as_str() {
            Some(path) if find(self.root, path).is_some() => Ok(()),
            Some(path) => Err(format!("`{place}` is an unresolved reference: {path}")),
            None => Err(format!("`{place}` must be a string, found {}", kind_of(value))),
        }
    }
}

fn types(value: &Value, place: &str) -> Result<(), String> {
    let names: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |names| names.iter().collect());
    for name in names {
        let known = name.as_str().is_some_and(|name| TYPES.iter().any(|known| known.eq_ignore_ascii_case(name)));
        if !known {
            return Err(format!("`{place}` must be one of {}, found {name}", TYPES.join(", ")));
        }
    }
    Ok(())
}

fn expect<'v, T>(found: Option<&'v T>, value: &Value, place: &str, wanted: &str) -> Result<&'v T, String> {
    found.ok_or_else(|| format!("`{place}` must be {wanted}, found {}", kind_of(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_position_in_the_schema() {
        let shared = json!({"type": "object", "$defs": {"node": {"type": ["object", "null"],
            "properties": {"next": {"$ref": "#/$defs/node"}, "any": true}, "required": ["next"]}},
            "properties": {"list": {"type": "ARRAY", "items": {"$ref": "#/$defs/node"}}, "word": {"enum": ["a", 1]}},
            "additionalProperties": "false"});
        for good in [json!({}), json!({"type": "string"}), json!({"$ref": "#"}), shared] {
            check(good.as_object().unwrap()).unwrap();
        }
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({ "items": deep });
        }
        for (bad, expected) in [
            (json!({"type": "objekt"}), "`type` must be one of object, array"),
            (json!({"type": 5}), "found 5"),
            (json!({"properties": {"a": {"type": ["string", "text"]}}}), "`properties.a.type`"),
            (json!({"properties": {"a": 5}}), "`properties.a` must be a schema"),
            (json!({"properties": ["a"]}), "`properties` must be an object, found"),
            (json!({"required": "a"}), "`required` must be an array of strings"),
            (json!({"items": {"anyOf": [{"type": "x"}]}}), "`items.anyOf[0].type`"),
            (json!({"oneOf": {}}), "`oneOf` must be an array of schemas"),
            (json!({"enum": "a"}), "`enum` must be an array"),
            (
                json!({"properties": {"a": {"$ref": "#/$defs/b"}}}),
                "`properties.a.$ref` is an unresolved reference: #/$defs/b",
            ),
            (deep, "nested more than"),
        ] {
            let error = check(bad.as_object().unwrap()).unwrap_err();
            assert!(error.message.contains(expected), "{expected}: {error}");
        }
    }
}
