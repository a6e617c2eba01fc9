//! Finds keys that facts cannot have, all of them, by the JSON Schema of the facts. What it is not: a validator; types are
//! checked when the facts are read.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::facts;
use dify_plugin::names::similar;

/// A key that is unknown: the path of the map that contains it, its name, and the keys that the map can have.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// Path of the key.
    pub path: String,
    /// What is expected.
    pub message: String,
}

/// Returns the schema of the facts, which is made once.
fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(facts::schema)
}

/// Removes all unknown keys of a provider's facts and returns them.
pub fn take_unknown_keys(facts: &mut Value) -> Vec<UnknownKey> {
    let mut walk = Walk { root: schema(), path: Vec::new(), found: Vec::new() };
    walk.value(facts, schema());
    walk.found
}

/// Removes all unknown keys of a model's own block and returns them.
pub fn take_unknown_model_keys(block: &mut Value) -> Vec<UnknownKey> {
    let root = schema();
    let mut walk = Walk { root, path: Vec::new(), found: Vec::new() };
    if let Some(of_model) = root.pointer("/properties/models/additionalProperties") {
        walk.value(block, of_model);
    }
    walk.found
}

struct Walk<'s> {
    root: &'s Value,
    path: Vec<String>,
    found: Vec<UnknownKey>,
}

impl<'s> Walk<'s> {
    /// Returns the alternatives of a schema with references followed, those of `anyOf` included.
    fn alternatives(&self, schema: &'s Value, all: &mut Vec<&'s Value>) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = self.root.pointer(reference.trim_start_matches('#'))
        {
            self.alternatives(target, all);
        }
        for name in ["anyOf", "oneOf", "allOf"] {
            for inner in schema.get(name).and_then(Value::as_array).into_iter().flatten() {
                self.alternatives(inner, all);
            }
        }
        if schema.get("properties").is_some()
            || schema.get("additionalProperties").is_some()
            || schema.get("items").is_some()
        {
            all.push(schema);
        }
    }

    fn value(&mut self, value: &mut Value, schema: &'s Value) {
        match value {
            Value::Object(map) if map.contains_key("by") && !self.has_key(schema, "by") => self.choice(map, schema),
            Value::Object(map) => self.map(map, schema),
            Value::Array(items) => {
                let mut all = Vec::new();
                self.alternatives(schema, &mut all);
                if let Some(inner) = all.into_iter().find_map(|schema| schema.get("items")) {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.path.push(index.to_string());
                        self.value(item, inner);
                        self.path.pop();
                    }
                }
            }
            _ => {}
        }
    }

    fn has_key(&self, schema: &'s Value, key: &str) -> bool {
        let mut all = Vec::new();
        self.alternatives(schema, &mut all);
        all.iter().any(|schema| schema.get("properties").is_some_and(|properties| properties.get(key).is_some()))
    }

    /// Looks into the branches of a choice by a credential, each of which is a value of its own.
    fn choice(&mut self, map: &mut Map<String, Value>, schema: &'s Value) {
        if let Some(Value::Object(cases)) = map.get_mut("when") {
            self.path.push("when".to_owned());
            for (key, value) in cases {
                self.path.push(key.clone());
                self.value(value, schema);
                self.path.pop();
            }
            self.path.pop();
        }
        if let Some(other) = map.get_mut("else") {
            self.path.push("else".to_owned());
            self.value(other, schema);
            self.path.pop();
        }
    }

    fn map(&mut self, map: &mut Map<String, Value>, schema: &'s Value) {
        let mut all = Vec::new();
        self.alternatives(schema, &mut all);
        all.retain(|schema| schema.get("properties").is_some() || schema.get("additionalProperties").is_some());
        // Only a schema that says which keys a map has is of use.
        if all.is_empty() {
            return;
        }
        let property = |key: &str| {
            all.iter().find_map(|schema| schema.get("properties").and_then(|properties| properties.get(key)))
        };
        let open = all.iter().find_map(|schema| schema.get("additionalProperties").filter(|open| **open != false));
        let keys: Vec<String> = map.keys().cloned().collect();
        for key in keys {
            match property(&key).or(open) {
                Some(inner) => {
                    self.path.push(key.clone());
                    if let Some(value) = map.get_mut(&key) {
                        self.value(value, inner);
                    }
                    self.path.pop();
                }
                None => {
                    map.shift_remove(&key);
                    let known = all.iter().filter_map(|schema| schema.get("properties").and_then(Value::as_object));
                    let known: Vec<&str> = known.flat_map(|properties| properties.keys().map(String::as_str)).collect();
                    let path = self.path.iter().map(String::as_str).chain([key.as_str()]).collect::<Vec<_>>().join(".");
                    self.found.push(UnknownKey { path, message: unknown(&key, &known) });
                }
            }
        }
    }
}

/// Returns the message about an unknown name, with the one that was probably meant or all that are known.
pub fn unknown(name: &str, known: &[&str]) -> String {
    match similar(name, known.iter().copied()) {
        Some(meant) => format!("unknown key `{name}`; did you mean `{meant}`?"),
        None => {
            let mut known = known.to_vec();
            known.sort_unstable();
            format!("unknown key `{name}`; expected one of {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_all_unknown_keys() {
        let mut facts = json!({
            "base_ulr": "x",
            "auth": {"credentail": "k", "in": "bearer"},
            "headers": {"X-Any": "v"},
            "paths": {"chat": "c"},
            "base_url": {"by": "c", "when": {"a": "b"}, "esle": "d"},
            "validate": {"lmm": "m"},
            "custom": {"rules": [{"name": "temperature", "anything": 1}], "fature": []},
            "models": {"m-*": {"chta": {}, "auth": {"by": "c", "when": {"a": {"plase": 1}}}}},
        });
        let found = take_unknown_keys(&mut facts);
        let paths: Vec<&str> = found.iter().map(|key| key.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "base_ulr",
                "auth.credentail",
                "paths.chat",
                "base_url.esle",
                "validate.lmm",
                "custom.fature",
                "models.m-*.chta",
                "models.m-*.auth.when.a.plase"
            ]
        );
        assert!(found[0].message.contains("did you mean `base_url`?"), "{found:?}");
        assert!(found[2].message.contains("expected one of completion, llm"), "{found:?}");
        assert_eq!(take_unknown_keys(&mut facts), []);
        let mut block = json!({"chat": {}, "validate": "none"});
        assert_eq!(take_unknown_model_keys(&mut block)[0].path, "validate");
    }
}
