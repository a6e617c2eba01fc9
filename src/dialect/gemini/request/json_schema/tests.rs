//! Tests of the reduction to the subset: single cases and generated schemas.

use proptest::prelude::*;

use super::*;

fn reduced(schema: Value) -> Value {
    subset(schema.as_object().unwrap(), &mut Budget::default()).unwrap()
}

#[test]
fn converts_what_the_subset_can_express() {
    let cases = [
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "exclusiveMinimum": 0}}, "required": ["a"], "additionalProperties": false, "$schema": "x"}),
            json!({"type": "OBJECT", "required": ["a"], "properties": {"a": {"type": "INTEGER", "minimum": 1}}}),
        ),
        (json!({"type": ["string", "null"]}), json!({"nullable": true, "type": "STRING"})),
        (json!({"type": ["string", "number"]}), json!({"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]})),
        (json!({"const": "x"}), json!({"type": "STRING", "enum": ["x"]})),
        (json!({"enum": ["a", null]}), json!({"nullable": true, "type": "STRING", "enum": ["a"]})),
        (json!({"type": "integer", "enum": [1, 2]}), json!({"type": "INTEGER", "description": "One of: 1, 2"})),
        (json!({"type": "array"}), json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        (
            json!({"oneOf": [{"type": "null"}, {"type": "object", "properties": {"x": true}}]}),
            json!({"nullable": true, "type": "OBJECT", "properties": {"x": {"type": "STRING"}}}),
        ),
        (
            json!({"$defs": {"A/b": {"type": "boolean"}}, "type": "object", "properties": {"x": {"$ref": "#/$defs/A~1b", "description": "d"}}}),
            json!({"type": "OBJECT", "properties": {"x": {"type": "BOOLEAN", "description": "d"}}}),
        ),
        (
            json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "number"}}, "required": ["b"]}]}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}}, "required": ["b"]}),
        ),
    ];
    for (schema, expected) in cases {
        assert_eq!(reduced(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn removes_what_the_subset_does_not_allow() {
    for (schema, expected) in [
        (json!({"type": "string", "enum": ["", "a"]}), json!({"type": "STRING", "enum": ["a"]})),
        (json!({"type": "string", "enum": [""]}), json!({"type": "STRING"})),
        (
            json!({"type": "any", "description": null, "items": null}),
            json!({"type": "STRING", "items": {"type": "STRING"}}),
        ),
        (json!({"type": "dynamic-select", "enum": null}), json!({"type": "STRING"})),
        (json!({"properties": {"a": null}}), json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}})),
        (
            json!({"items": {"$ref": "#/$defs/gone", "description": "d"}, "type": "array"}),
            json!({"type": "ARRAY", "items": {"type": "OBJECT", "description": "d"}}),
        ),
        (
            json!({"$defs": {"o": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
            "type": "object", "properties": {"o": {"$ref": "#/$defs/o", "title": "t", "properties": {"b": {"type": "string"}}}}}),
            json!({"type": "OBJECT", "properties": {"o": {"type": "OBJECT", "title": "t", "required": ["a"],
                "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}}}}}),
        ),
    ] {
        assert_eq!(reduced(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn recursive_schemas_terminate() {
    let schema =
        json!({"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
    assert!(reduced(schema).to_string().len() < 4000);
}

#[test]
fn unwraps_text_and_reports_invalid_text() {
    let bare = json!({"type": "object"});
    for text in [
        bare.to_string(),
        json!({"name": "n", "schema": bare}).to_string(),
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": bare}}).to_string(),
    ] {
        assert_eq!(from_text(&text).unwrap().map(Value::Object), Some(bare.clone()), "{text}");
    }
    // A property named `schema` is not a wrapper.
    let own = json!({"type": "object", "properties": {"schema": {}}});
    assert_eq!(Value::Object(unwrap(own.as_object().unwrap().clone())), own);
    assert_eq!(from_text("  ").unwrap(), None);
    for wrong in ["{", "[1]", "7", "\"x\""] {
        assert!(from_text(wrong).unwrap_err().message.contains("json_schema"), "{wrong}");
    }
}

fn any_schema(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(null)),
        Just(json!(["string", "null"])),
        Just(json!("object")),
        Just(json!("array")),
        Just(json!("#/properties/a")),
        Just(json!(1)),
        Just(json!({})),
    ];
    leaf.prop_recursive(depth, 40, 4, |inner| {
        let key = prop::sample::select(vec![
            "type",
            "properties",
            "items",
            "anyOf",
            "oneOf",
            "allOf",
            "$ref",
            "enum",
            "const",
            "a",
            "required",
        ]);
        prop_oneof![
            prop::collection::vec((key, inner.clone()), 0..5).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
    .boxed()
}

fn check(schema: &Value) {
    let Some(map) = schema.as_object() else { panic!("not an object: {schema}") };
    for key in ["$ref", "oneOf", "allOf", "const", "additionalProperties", "$defs"] {
        assert!(!map.contains_key(key), "{key} in {schema}");
    }
    assert!(map.get("type").is_none_or(Value::is_string), "{schema}");
    map.get("items").into_iter().for_each(check);
    map.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values).for_each(check);
    map.get("anyOf").and_then(Value::as_array).into_iter().flatten().for_each(check);
}

proptest! {
    #[test]
    fn any_schema_reduces_to_a_valid_one(schema in any_schema(5)) {
        if let Value::Object(map) = &schema {
            check(&subset(map, &mut Budget::default()).unwrap());
        }
    }
}
