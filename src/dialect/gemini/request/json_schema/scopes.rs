//! Rewrites references to definitions of a nested schema: some clients put schemas with their own `$defs` into
//! properties of another schema. The references become paths from the root.
//!
//! This module does not resolve references, nor handle unresolved ones.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{MAX_EXPANDED_BYTES, find};

/// Returns the schema with all such references rewritten as paths from the root.
pub(super) fn absolute(schema: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let mut search =
        Search { root: schema, steps: Vec::new(), scopes: Vec::new(), found: Vec::new(), room: MAX_EXPANDED_BYTES };
    search.object(schema);
    if search.found.is_empty() {
        return Cow::Borrowed(schema);
    }
    let found = search.found;
    let mut whole = Value::Object(schema.clone());
    for (place, reference) in found {
        if let Some(known) = whole.pointer_mut(&place) {
            *known = Value::String(reference);
        }
    }
    match whole {
        Value::Object(whole) => Cow::Owned(whole),
        _ => Cow::Borrowed(schema),
    }
}

struct Search<'a> {
    root: &'a Map<String, Value>,
    /// Path of the current position.
    steps: Vec<Cow<'a, str>>,
    /// Enclosing schemas with their own definitions, and the number of path steps to each.
    scopes: Vec<(usize, &'a Map<String, Value>)>,
    /// Pointers to the references, and their new values.
    found: Vec<(String, String)>,
    /// Remaining bytes for the new references.
    room: usize,
}

impl<'a> Search<'a> {
    fn object(&mut self, schema: &'a Map<String, Value>) {
        let scopes = self.scopes.len();
        if ["$defs", "definitions"].iter().any(|key| schema.get(*key).is_some_and(Value::is_object)) {
            self.scopes.push((self.steps.len(), schema));
        }
        if let Some(path) = schema.get("$ref").and_then(Value::as_str).filter(|path| find(self.root, path).is_none()) {
            self.reference(path);
        }
        for (key, value) in schema {
            // Values, not schemas.
            if !matches!(key.as_str(), "default" | "const" | "enum" | "example" | "examples") {
                self.below(Cow::Borrowed(key), value);
            }
        }
        self.scopes.truncate(scopes);
    }

    fn below(&mut self, step: Cow<'a, str>, value: &'a Value) {
        self.steps.push(step);
        match value {
            Value::Object(map) => self.object(map),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(Cow::Owned(index.to_string()), item);
                }
            }
            _ => {}
        }
        self.steps.pop();
    }

    fn reference(&mut self, path: &str) {
        let scope = self.scopes.iter().rev().find(|(_, scope)| find(scope, path).is_some());
        let Some((depth, _)) = scope.copied() else { return };
        let length = self.steps.iter().map(|step| 2 * (step.len() + 1)).sum::<usize>() + path.len();
        let Some(room) = self.room.checked_sub(length) else { return };
        self.room = room;
        let pointer = |steps: &[Cow<'_, str>]| {
            steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect::<String>()
        };
        let scope = pointer(&self.steps[..depth]).replace('%', "%25");
        self.found.push((format!("{}/$ref", pointer(&self.steps)), format!("#{scope}{}", &path[1..])));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Budget, full, subset};
    use super::*;

    fn object(schema: Value) -> Map<String, Value> {
        schema.as_object().unwrap().clone()
    }

    #[test]
    fn references_resolve_to_the_nearest_enclosing_definition() {
        let inner = |kind: &str| json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": kind}}});
        let cases = [
            // A schema with its own definitions in a property.
            (json!({"properties": {"p": inner("integer")}}), "/properties/p", "#/properties/p/$defs/A"),
            // Deeper, in an array, under another name.
            (
                json!({"properties": {"a/b %": {"definitions": {"A": {"type": "integer"}},
                    "items": {"anyOf": [{"$ref": "#/definitions/A"}]}}}}),
                "/properties/a~1b %/items/anyOf/0",
                "#/properties/a~1b %25/definitions/A",
            ),
            // The nearer one of two definitions.
            (
                json!({"properties": {"o": {"$defs": {"A": {"type": "string"}}, "properties": {"p": inner("integer")}}}}),
                "/properties/o/properties/p",
                "#/properties/o/properties/p/$defs/A",
            ),
            // Definitions of the root take precedence.
            (
                json!({"$defs": {"A": {"type": "integer"}}, "properties": {"p": inner("string")}}),
                "/properties/p",
                "#/$defs/A",
            ),
            // Unknown definitions and invalid references.
            (json!({"properties": {"p": {"$ref": "#/$defs/B"}}}), "/properties/p", "#/$defs/B"),
            (
                json!({"properties": {"p": {"$defs": {"A": {}}, "default": {"$ref": "#/$defs/A"}}}}),
                "/properties/p/default",
                "#/$defs/A",
            ),
        ];
        for (schema, place, expected) in cases {
            let schema = object(schema);
            let whole = Value::Object(absolute(&schema).into_owned());
            assert_eq!(whole.pointer(place).unwrap()["$ref"], expected, "{whole}");
        }
    }

    #[test]
    fn the_repaired_schema_contains_the_definition() {
        let schema = object(json!({"type": "object", "properties": {"p": {"type": "array",
            "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}}));
        let reduced = subset(&schema, &mut Budget::default()).unwrap();
        assert_eq!(reduced["properties"]["p"]["items"]["properties"]["n"]["type"], "INTEGER", "{reduced}");
        let whole = full(&schema, &mut Budget::default());
        let reference = whole["properties"]["p"]["items"]["$ref"].as_str().unwrap();
        let target = find(whole.as_object().unwrap(), reference).unwrap();
        assert_eq!(target["properties"]["n"]["type"], "integer", "{whole}");
    }

    #[test]
    fn long_paths_stay_within_the_budget() {
        let references: Vec<Value> = (0..5000).map(|_| json!({"$ref": "#/$defs/A"})).collect();
        let schema = object(json!({"properties": {"p".repeat(10_000): {"$defs": {"A": {}}, "anyOf": references}}}));
        let whole = absolute(&schema);
        assert!(serde_json::to_string(&*whole).unwrap().len() < 4 * MAX_EXPANDED_BYTES);
    }
}
