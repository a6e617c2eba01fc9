//! Tests of the schema repair: single cases, hostile references, and generated schemas.

use proptest::prelude::*;

use super::*;

fn put_right(schema: Value) -> Value {
    full(schema.as_object().unwrap(), &mut Budget::default())
}

#[test]
fn references_are_resolved_and_have_no_siblings() {
    let opt = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let list = |items: Value| json!({"type": "object", "properties": {"l": {"type": "array", "items": items}}});
    let with = |items: Value| {
        let mut schema = list(items);
        schema["$defs"] = json!({ "Opt": opt });
        schema
    };
    for (name, schema, expected) in [
        ("valid references are kept", with(json!({"$ref": "#/$defs/Opt"})), with(json!({"$ref": "#/$defs/Opt"}))),
        (
            "with allowed siblings",
            with(json!({"$ref": "#/$defs/Opt", "description": "d", "default": null})),
            with(json!({"$ref": "#/$defs/Opt", "description": "d", "default": null})),
        ),
        ("lost", list(json!({"$ref": "#/$defs/Tag"})), list(json!({}))),
        (
            "unresolved, with a description",
            list(json!({"$ref": "#/definitions/Tag", "description": "d"})),
            list(json!({"description": "d"})),
        ),
        ("to another document", list(json!({"$ref": "https://example.org/s.json#/a"})), list(json!({}))),
        ("not a string", list(json!({"$ref": 5, "type": "string"})), list(json!({"type": "string"}))),
        (
            "with a title",
            with(json!({"$ref": "#/$defs/Opt", "title": "t"})),
            with(json!({"type": "object", "properties": {"a": {"type": "string"}}, "title": "t"})),
        ),
        (
            "with a type and more properties",
            with(json!({"$ref": "#/$defs/Opt", "type": "object", "properties": {"b": {}}, "required": ["b"]})),
            with(json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["b"]})),
        ),
        (
            "into `definitions`",
            json!({"items": {"$ref": "#/definitions/A~1b%20c"}, "definitions": {"A/b c": {"type": "string"}}}),
            json!({"items": {"$ref": "#/$defs/A_1b_20c"}, "$defs": {"A_1b_20c": {"type": "string"}}}),
        ),
        (
            "into another property",
            json!({"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}}),
            json!({"properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}),
        ),
        (
            "a recursive schema",
            json!({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}}),
            json!({"properties": {"next": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}}),
        ),
        (
            "a recursive schema with a title",
            json!({"items": {"$ref": "#/$defs/n", "title": "t"}, "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n", "title": "u"}}}}}),
            json!({"items": {"properties": {"next": {"$ref": "#/$defs/n"}}, "title": "t"},
                "$defs": {"n": {"properties": {"next": {"properties": {"next": {"$ref": "#/$defs/n"}}, "title": "u"}}}}}),
        ),
    ] {
        assert_eq!(put_right(schema.clone()), expected, "{name}: {schema}");
    }
}

#[test]
fn members_without_meaning_are_removed() {
    for (schema, expected) in [
        (json!({"$schema": "s", "$id": "i", "type": "object"}), json!({"type": "object"})),
        (
            json!({"properties": {"a": null, "b": 5, "c": "true", "d": {"description": null, "enum": null, "type": null}}}),
            json!({"properties": {"a": {}, "b": {}, "c": true, "d": {}}}),
        ),
        (json!({"items": null, "anyOf": [], "enum": [], "default": null}), json!({"default": null})),
        (json!({"enum": ["", 1, null], "const": null}), json!({"enum": ["", 1, null], "const": null})),
        (json!({"type": "any"}), json!({})),
        (json!({"type": "dynamic-select"}), json!({"type": "string"})),
        (json!({"type": "model-selector", "description": "d"}), json!({"description": "d"})),
        (json!({"type": ["STRING", "null"]}), json!({"type": ["string", "null"]})),
        (json!({"type": ["string", "any"]}), json!({})),
        (json!({"required": ["a", 5, null]}), json!({"required": ["a"]})),
        // A property may have the name of a keyword.
        (
            json!({"properties": {"$ref": {"type": "any"}, "type": {"type": "string"}, "enum": {}}}),
            json!({"properties": {"$ref": {}, "type": {"type": "string"}, "enum": {}}}),
        ),
    ] {
        assert_eq!(put_right(schema.clone()), expected, "{schema}");
    }
}

/// Each level contains several references to the one below.
fn levels(width: usize, depth: usize, more: Value) -> Value {
    let mut shared = Map::new();
    for level in 0..depth {
        let mut link = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        link.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let properties: Map<String, Value> = (0..width).map(|at| (format!("p{at}"), link.clone())).collect();
        shared.insert(format!("l{level}"), json!({"type": "object", "properties": properties}));
    }
    shared.insert(format!("l{depth}"), json!({"type": "string"}));
    json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/l0", "title": "t"}}, "$defs": shared})
}

#[test]
fn references_cannot_make_a_request_large() {
    for schema in [levels(6, 9, json!({"title": "t"})), levels(6, 9, json!({})), levels(30, 20, json!({"title": "t"}))]
    {
        let found = put_right(schema.clone()).to_string();
        assert!(found.len() < 4 * 1024 * 1024, "{}", found.len());
        assert!(super::super::subset(schema.as_object().unwrap(), &mut Budget::default()).is_err());
    }
    // A long string behind many references.
    let long = "d".repeat(100_000);
    let properties: Map<String, Value> =
        (0..1000).map(|at| (format!("p{at}"), json!({"$ref": "#/$defs/t", "title": "t"}))).collect();
    let schema = json!({"properties": properties, "$defs": {"t": {"description": long}}});
    assert!(put_right(schema).to_string().len() < 4 * 1024 * 1024);
}

/// Generates JSON with schema keywords.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        prop::sample::select(vec!["string", "any", "#/$defs/a", "#/definitions/b", "#/properties/c", "#", "x"])
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "type",
        "$ref",
        "properties",
        "$defs",
        "definitions",
        "items",
        "anyOf",
        "enum",
        "required",
        "a",
        "b",
        "c",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Collects unresolved references and references with disallowed siblings.
fn collect_problems(schema: &Value, root: &Value, problems: &mut Vec<String>) {
    let Value::Object(map) = schema else { return };
    if let Some(reference) = map.get("$ref") {
        let path = reference.as_str().unwrap_or("not a string");
        if path != "#" && root.pointer(&path[1..]).is_none() {
            problems.push(format!("{path} is unresolved"));
        }
        if map.keys().any(|key| !["$ref", "description", "default"].contains(&key.as_str())) {
            problems.push(format!("{path} has siblings: {schema}"));
        }
    }
    for (key, value) in map {
        match (key.as_str(), value) {
            ("properties" | "$defs", Value::Object(inner)) => {
                inner.values().for_each(|value| collect_problems(value, root, problems));
            }
            ("anyOf", Value::Array(items)) => items.iter().for_each(|item| collect_problems(item, root, problems)),
            ("items", value) => collect_problems(value, root, problems),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn repairs_any_schema(schema in any_schema()) {
        if let Value::Object(map) = &schema {
            let found = full(map, &mut Budget::default());
            let mut problems = Vec::new();
            collect_problems(&found, &found, &mut problems);
            prop_assert!(problems.is_empty(), "{problems:?} in {found} of {schema}");
            let _ = super::super::subset(map, &mut Budget::default());
        }
    }
}
