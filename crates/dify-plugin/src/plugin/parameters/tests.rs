//! Values that Dify, a terminal or a model may send, read into types of authors. How declared values are cast is tested
//! with `cast`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::plugin::{DynamicSelect, File, Secret};

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Metric,
    /// Degrees Fahrenheit
    Imperial,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Part {
    count: u32,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct All {
    text: String,
    note: Option<String>,
    days: Option<u8>,
    ratio: f32,
    flag: bool,
    maybe: Option<bool>,
    unit: Option<Unit>,
    units: Vec<Unit>,
    tags: Vec<String>,
    numbers: Vec<i64>,
    part: Option<Part>,
    parts: Vec<Part>,
    map: HashMap<String, u8>,
    any: Value,
    file: Option<File>,
    files: Vec<File>,
    secret: Option<Secret>,
    choice: Option<DynamicSelect>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Needed {
    text: String,
    count: u8,
    unit: Unit,
    part: Part,
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[test]
fn values_are_read_where_python_would_take_them() {
    for (name, value, expected) in [
        ("text", json!(5), "\"5\""),
        ("text", json!(""), "\"\""),
        ("text", json!(null), "\"\""),
        ("note", json!(true), "Some(\"true\")"),
        ("note", json!(""), "Some(\"\")"),
        ("note", json!(null), "None"),
        ("days", json!("5"), "Some(5)"),
        ("days", json!(" 5 "), "Some(5)"),
        ("days", json!(5.0), "Some(5)"),
        ("days", json!("5.0"), "Some(5)"),
        ("days", json!(""), "None"),
        ("ratio", json!("0.5"), "0.5"),
        ("ratio", json!(""), "0.0"),
        ("ratio", json!(null), "0.0"),
        ("flag", json!("yes"), "true"),
        ("flag", json!("False"), "false"),
        ("flag", json!(1), "true"),
        ("flag", json!(""), "false"),
        ("maybe", json!("0"), "Some(false)"),
        ("maybe", json!(""), "None"),
        ("unit", json!(""), "None"),
        ("unit", json!("imperial"), "Some(Imperial)"),
        ("units", json!("metric"), "[Metric]"),
        ("units", json!("[\"metric\", \"imperial\"]"), "[Metric, Imperial]"),
        ("units", json!(""), "[]"),
        ("tags", json!([1, true, "x"]), "[\"1\", \"true\", \"x\"]"),
        ("tags", json!("x"), "[\"x\"]"),
        ("numbers", json!(["1", 2.0]), "[1, 2]"),
        ("part", json!("{\"count\": \"3\"}"), "Some(Part { count: 3 })"),
        ("part", json!(""), "None"),
        ("parts", json!({"count": 4.0}), "[Part { count: 4 }]"),
        ("map", json!({"a": "1"}), "{\"a\": 1}"),
        ("any", json!([null]), "Array [Null]"),
        ("file", json!([{"url": "https://x/1?sign=s", "size": null}]), "Some(File { url: \"https://x/1\""),
        ("file", json!(""), "None"),
        ("files", json!({"url": "u"}), "[File { url: \"u\""),
        ("secret", json!(12345), "Some(Secret)"),
        ("choice", json!(7), "Some(DynamicSelect(\"7\"))"),
    ] {
        let values = object(json!({name: value, "unknown": ""}));
        let all: All = read(values).unwrap_or_else(|error| panic!("{name}: {value}: {error:?}"));
        let text = format!("{all:?}");
        let at = text.find(&format!(" {name}: ")).unwrap() + name.len() + 3;
        assert!(text[at..].starts_with(expected), "{name}: {value}: {}", &text[at..]);
    }
}

#[test]
fn what_cannot_be_read_is_named_by_its_path() {
    let whole = json!({"text": "x", "count": 1, "unit": "metric", "part": {"count": 1}});
    let read = |values: Value| read::<Needed>(object(values));
    assert!(read(whole.clone()).is_ok());
    for (name, value, path) in [
        ("count", json!("many"), "`count`"),
        ("count", json!(300), "`count`"),
        ("count", json!(1.5), "`count`"),
        ("count", json!(null), "`count`"),
        ("count", json!(""), "`count`"),
        ("unit", json!("kelvin"), "`unit`"),
        ("unit", json!(null), "`unit`"),
        ("part", json!({"count": []}), "`part.count`"),
        ("part", json!("nothing"), "`part`"),
    ] {
        let mut values = whole.clone();
        values[name] = value.clone();
        let error = read(values).unwrap_err();
        assert!(error.message.contains(&format!("parameter {path}")), "{name}: {value}: {}", error.message);
    }
    assert_eq!(read(json!({"text": null, "count": "2", "unit": "metric", "part": {"count": 1}})).unwrap().text, "");
}

#[test]
fn types_that_are_no_struct_take_what_they_are_given() {
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    enum Tagged {
        A { size: u8 },
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Tree {
        size: u8,
        children: Vec<Tree>,
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Nothing {}
    assert_eq!(read::<Map<String, Value>>(object(json!({"a": ""}))).unwrap(), object(json!({"a": ""})));
    assert!(read::<Nothing>(object(json!({"a": ""}))).is_ok());
    let Tagged::A { size } = read(object(json!({"kind": "A", "size": 1}))).unwrap();
    assert_eq!(size, 1);
    let tree: Tree = read(object(json!({"size": "1", "children": "[]"}))).unwrap();
    assert_eq!((tree.size, tree.children.len()), (1, 0));
}
