//! Repairs a full JSON Schema: removes or rewrites what the service would reject although it adds no constraint.
//!
//! An unresolved reference becomes a schema that allows anything (some clients drop `$defs` but keep `$ref`). A
//! resolved reference keeps at most a description next to it; with other siblings, its target is inserted instead. A
//! recursive schema remains a reference. Null members, empty `enum`s and invalid types are removed. The repair never
//! fails and never makes a schema stricter. Source: Gemini API, `FunctionDeclaration.parametersJsonSchema` (which
//! keywords may appear next to `$ref`).

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};

use super::{Budget, MAX_DEPTH, find, merged, scopes};

/// Keywords that may appear next to a reference.
const REF_SIBLINGS: [&str; 2] = ["description", "default"];

/// Keywords that add no constraint, and `definitions`, whose schemas are moved to `$defs`.
const DROPPED: [&str; 7] = ["$schema", "$id", "id", "$comment", "$dynamicRef", "$recursiveRef", "definitions"];

/// Type names that clients use, and what they mean. Other names are ignored.
const TYPES: [(&str, &str); 20] = [
    ("object", "object"),
    ("array", "array"),
    ("string", "string"),
    ("number", "number"),
    ("integer", "integer"),
    ("boolean", "boolean"),
    ("null", "null"),
    ("dict", "object"),
    ("map", "object"),
    ("list", "array"),
    ("str", "string"),
    ("text", "string"),
    ("text-input", "string"),
    ("secret-input", "string"),
    ("select", "string"),
    ("dynamic-select", "string"),
    ("float", "number"),
    ("double", "number"),
    ("int", "integer"),
    ("bool", "boolean"),
];

/// Returns the schema without what the service would reject.
pub fn full(schema: &Map<String, Value>, budget: &mut Budget) -> Value {
    let schema = scopes::absolute(schema);
    let schema = &*schema;
    let shared = schema.get("$defs").and_then(Value::as_object);
    let taken = shared.into_iter().flat_map(Map::keys).cloned().collect();
    let mut repair =
        Repair { root: schema, names: HashMap::new(), taken, moved: VecDeque::new(), inside: Vec::new(), budget };
    let mut whole = repair.object(schema, true);
    // Moved schemas may contain further references.
    while let Some((name, path)) = repair.moved.pop_front() {
        let found = find(schema, &path).map(|target| repair.object(target, false)).unwrap_or_default();
        if let Some(shared) = whole.entry("$defs").or_insert_with(|| json!({})).as_object_mut() {
            shared.insert(name, Value::Object(found));
        }
    }
    Value::Object(whole)
}

struct Repair<'a> {
    root: &'a Map<String, Value>,
    /// Names in `$defs` of schemas that are defined elsewhere, by path.
    names: HashMap<String, String>,
    /// All names in `$defs`.
    taken: HashSet<String>,
    /// Names and paths of schemas that are still to be moved.
    moved: VecDeque<(String, String)>,
    /// Paths of the references that are being resolved.
    inside: Vec<String>,
    budget: &'a mut Budget,
}

impl Repair<'_> {
    fn schema(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(self.object(map, false)),
            Value::Bool(_) => value.clone(),
            // Dify sends booleans as strings for some models.
            Value::String(text) if text.eq_ignore_ascii_case("true") => true.into(),
            Value::String(text) if text.eq_ignore_ascii_case("false") => false.into(),
            _ => json!({}),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, at_root: bool) -> Map<String, Value> {
        match schema.get("$ref") {
            Some(reference) => self.reference(schema, reference.as_str().unwrap_or_default(), at_root),
            None => self.members(schema),
        }
    }

    fn members(&mut self, schema: &Map<String, Value>) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in schema {
            let kept = match (key.as_str(), value) {
                (key, _) if DROPPED.contains(&key) => None,
                // These are values, not schemas, and may be null.
                ("default" | "const" | "example" | "examples", _) => Some(value.clone()),
                (_, Value::Null) => None,
                ("type", _) => types(value),
                ("enum", _) => value.as_array().filter(|values| !values.is_empty()).map(|_| value.clone()),
                ("required", _) => value
                    .as_array()
                    .map(|names| Value::Array(names.iter().filter(|name| name.is_string()).cloned().collect())),
                ("properties" | "patternProperties" | "$defs" | "dependentSchemas", _) => {
                    value.as_object().map(|map| {
                        Value::Object(map.iter().map(|(name, value)| (name.clone(), self.schema(value))).collect())
                    })
                }
                ("anyOf" | "oneOf" | "allOf" | "prefixItems", _) | ("items", Value::Array(_)) => {
                    let branches = value.as_array().filter(|branches| !branches.is_empty());
                    branches.map(|branches| branches.iter().map(|branch| self.schema(branch)).collect())
                }
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "contains"
                    | "propertyNames"
                    | "if"
                    | "then"
                    | "else"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "unevaluatedProperties",
                    _,
                ) => Some(self.schema(value)),
                _ => Some(value.clone()),
            };
            if let Some(kept) = kept {
                out.insert(key.clone(), kept);
            }
        }
        out
    }

    /// The root also contains `$defs`, so it cannot be a reference itself.
    fn reference(&mut self, schema: &Map<String, Value>, path: &str, at_root: bool) -> Map<String, Value> {
        let mut beside = schema.clone();
        beside.remove("$ref");
        let root = self.root;
        let Some(target) = find(root, path) else {
            tracing::warn!(reference = path, "unresolved schema reference; replaced by a schema that allows anything");
            return self.members(&beside);
        };
        let alone =
            !at_root && beside.iter().all(|(key, value)| REF_SIBLINGS.contains(&key.as_str()) || value.is_null());
        let goes_on = path != "#" && self.inside.len() < MAX_DEPTH && !self.inside.iter().any(|inside| inside == path);
        if !alone && goes_on && self.budget.reserve(target) {
            self.inside.push(path.to_owned());
            let found = self.object(&merged(target, beside), at_root);
            self.inside.pop();
            return found;
        }
        if at_root {
            return self.members(&beside);
        }
        let mut out = Map::from_iter([("$ref".to_owned(), Value::String(self.place(path)))]);
        out.extend(REF_SIBLINGS.iter().filter_map(|key| Some(((*key).to_owned(), beside.get(*key)?.clone()))));
        out.retain(|key, value| key == "default" || !value.is_null());
        out
    }

    /// Returns the path in `$defs` of the schema at a path.
    fn place(&mut self, path: &str) -> String {
        if path == "#" || path.strip_prefix("#/$defs/").is_some_and(|name| !name.contains('/')) {
            return path.to_owned();
        }
        if let Some(name) = self.names.get(path) {
            return format!("#/$defs/{name}");
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        let plain: String =
            last.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
        let mut name = plain.clone();
        while !self.taken.insert(name.clone()) {
            name = format!("{plain}_{}", self.taken.len());
        }
        self.names.insert(path.to_owned(), name.clone());
        self.moved.push_back((name.clone(), path.to_owned()));
        format!("#/$defs/{name}")
    }
}

/// Returns the types by their JSON Schema names; `None` if none is valid.
fn types(value: &Value) -> Option<Value> {
    let known = |name: &Value| name.as_str().and_then(type_name).map(Value::from);
    match value {
        Value::Array(names) => {
            // A single invalid type makes the schema accept every type.
            let types: Option<Vec<Value>> = names.iter().map(known).collect();
            types.filter(|types| !types.is_empty()).map(Value::Array)
        }
        name => known(name),
    }
}

/// Returns the JSON Schema type for a client's type name.
pub(super) fn type_name(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, meant)| *meant)
}

#[cfg(test)]
#[path = "full/tests.rs"]
mod tests;
