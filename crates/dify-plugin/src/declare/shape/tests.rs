//! Parameter types of authors, as their schemas describe them.

use std::collections::HashMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::{Map, json};

use super::*;

fn shape<T: JsonSchema>() -> Shape {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    Shape::of_schema(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum Unit {
    Metric,
    /// Degrees Fahrenheit.
    ///
    /// In a few countries.
    Imperial,
    #[serde(rename = "K")]
    Kelvin,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Bare {
    A,
    B,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
enum Mixed {
    A,
    B(u8),
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Inner {
    #[serde(rename = "innerName")]
    inner_name: Option<u32>,
}

/// The weather
/// of some days.
///
/// With wind.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct All {
    /// A city
    /// or a village.
    place: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[schemars(range(min = 1, max = 7))]
    days: Option<u8>,
    #[schemars(range(min = 0, max = 100))]
    percent: u32,
    #[schemars(range(max = 10))]
    few: i8,
    #[schemars(range(min = -0.5))]
    ratio: f64,
    count: NonZeroU32,
    plain: u16,
    #[serde(default = "yes")]
    flag: bool,
    #[serde(default)]
    unit: Option<Unit>,
    units: Vec<Unit>,
    bare: Bare,
    maybe_bare: Option<Bare>,
    mixed: Option<Mixed>,
    tags: Option<Vec<String>>,
    map: HashMap<String, String>,
    any: Value,
    #[schemars(extend("x-dify-type" = "checkbox", "x-dify-form" = "form", "x-dify-label" = "Pick"))]
    picks: Vec<Bare>,
    #[schemars(extend("x-dify-type" = "secret-input"))]
    key: Option<String>,
    #[schemars(extend("x-dify-typ" = "file", "x-dify-form" = "forms"))]
    wrong: Option<String>,
    #[serde(skip)]
    skipped: u8,
    #[serde(flatten)]
    inner: Inner,
}

fn yes() -> bool {
    true
}

#[test]
fn fields_are_what_the_code_reads() {
    use ParameterKind as K;
    let shape = shape::<All>();
    assert_eq!(shape.description.as_deref(), Some("The weather of some days.\nWith wind."));
    assert!(!shape.is_open);
    let rows: Vec<_> = shape
        .fields
        .iter()
        .map(|field| {
            (field.name.as_str(), field.kind, field.required, field.multiple, field.range.min, field.range.max)
        })
        .collect();
    let row = |name, kind, required| (name, kind, required, false, None, None);
    assert_eq!(
        rows,
        [
            row("place", K::String, true),
            row("type", K::String, false),
            ("days", K::Number, false, false, Some(1.0), Some(7.0)),
            ("percent", K::Number, true, false, Some(0.0), Some(100.0)),
            ("few", K::Number, true, false, None, Some(10.0)),
            ("ratio", K::Number, true, false, Some(-0.5), None),
            ("count", K::Number, true, false, Some(1.0), None),
            row("plain", K::Number, true),
            row("flag", K::Boolean, false),
            row("unit", K::Select, false),
            ("units", K::Select, true, true, None, None),
            row("bare", K::Select, true),
            row("maybe_bare", K::Select, false),
            row("mixed", K::Any, false),
            row("tags", K::Array, false),
            row("map", K::Object, true),
            row("any", K::Any, true),
            ("picks", K::Checkbox, true, true, None, None),
            row("key", K::SecretInput, false),
            row("wrong", K::String, false),
            row("innerName", K::Number, false),
        ]
    );
    let field = |name: &str| shape.fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(field("place").description.as_deref(), Some("A city or a village."));
    assert_eq!(field("flag").default, Some(json!(true)));
    assert_eq!(field("plain").limits, Range { min: Some(0.0), max: Some(65535.0) });
    let options = |name: &str| {
        let options = field(name).options.iter();
        options.map(|(value, label)| (value.as_str(), label.as_deref())).collect::<Vec<_>>()
    };
    let mut units = options("unit");
    units.sort_unstable();
    assert_eq!(units, [("K", None), ("imperial", Some("Degrees Fahrenheit")), ("metric", None)]);
    assert_eq!(options("unit"), options("units"));
    assert_eq!(options("maybe_bare"), [("a", None), ("b", None)]);
    assert_eq!((field("picks").form.as_deref(), field("picks").label.as_deref()), (Some("form"), Some("Pick")));
    let mut invalid = field("wrong").invalid_keys.clone();
    invalid.sort_unstable();
    assert_eq!(invalid, ["x-dify-form", "x-dify-typ"]);
}

#[test]
fn types_that_name_no_parameters_compare_none() {
    #[derive(Deserialize, JsonSchema)]
    struct Nothing {}
    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct More {
        a: u8,
        #[serde(flatten)]
        others: Map<String, Value>,
    }
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Strict {}
    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    #[allow(dead_code)]
    enum Tagged {
        A { a: u8 },
        B,
    }
    for (name, shape, is_open, count) in [
        ("Nothing", shape::<Nothing>(), false, 0),
        ("unit", shape::<()>(), false, 0),
        ("Strict", shape::<Strict>(), false, 0),
        ("Map", shape::<Map<String, Value>>(), true, 0),
        ("Value", shape::<Value>(), true, 0),
        ("HashMap", shape::<HashMap<String, u8>>(), true, 0),
        ("More", shape::<More>(), true, 1),
        ("Tagged", shape::<Tagged>(), true, 0),
    ] {
        assert_eq!((shape.is_open, shape.fields.len()), (is_open, count), "{name}");
    }
}

#[test]
fn names_become_labels() {
    for (name, label) in [
        ("place", "Place"),
        ("max_results", "Max results"),
        ("maxResults", "Max results"),
        ("api-key", "Api key"),
        ("URL", "URL"),
        ("K", "K"),
        ("_private", "Private"),
        ("größe", "Größe"),
        ("", ""),
    ] {
        assert_eq!(label_of_name(name), label, "{name}");
    }
}
