//! What code expects of its parameters, read from the JSON schema of its type. How that differs from the declarations is in
//! [`super::code`].

use serde_json::Value;

use super::parameter::ParameterKind;

/// The key of a schema that names Dify's parameter type.
pub const TYPE_KEY: &str = "x-dify-type";

/// Beginning of the keys of a schema that are for Dify.
const KEYS: &str = "x-dify-";

/// The parameters that code reads.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Shape {
    /// Description of the whole type.
    pub description: Option<String>,
    /// The parameters, in the order of the code.
    pub fields: Vec<Field>,
    /// Whether the code takes parameters that it does not name.
    pub is_open: bool,
}

/// A parameter that code reads.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// Name of the value.
    pub name: String,
    /// Type of the value.
    pub kind: ParameterKind,
    /// Whether the code names exactly this type, not only values of its form.
    pub is_exact: bool,
    /// Whether it is a list of such values.
    pub multiple: bool,
    /// Whether the code fails without it.
    pub required: bool,
    /// Its value when it is absent.
    pub default: Option<Value>,
    /// The values of an enum, with their descriptions.
    pub options: Vec<(String, Option<String>)>,
    /// The range that the code states.
    pub range: Range,
    /// The range of the Rust type.
    pub limits: Range,
    /// Its description.
    pub description: Option<String>,
    /// `x-dify-form`.
    pub form: Option<String>,
    /// `x-dify-scope`.
    pub scope: Option<String>,
    /// `x-dify-precision`.
    pub precision: Option<i64>,
    /// `x-dify-label`.
    pub label: Option<String>,
    /// `x-dify-llm-description`.
    pub llm_description: Option<String>,
    /// Keys for Dify that are unknown or have no valid value.
    pub invalid_keys: Vec<String>,
}

/// The least and the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Range {
    /// The least.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl Shape {
    /// Reads the schema of a parameter type, in which every type is written out.
    pub fn of_schema(schema: &Value) -> Self {
        let schema = without_null(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let fields = properties.into_iter().flatten();
        let fields = fields.map(|(name, schema)| Field::new(name, schema, required.iter().any(|known| known == name)));
        let is_struct = json_type(schema) == Some("object")
            && ["oneOf", "anyOf", "allOf"].iter().all(|key| schema.get(key).is_none());
        let takes_more = schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
        let is_unit = json_type(schema) == Some("null");
        Self {
            description: text(schema, "description").map(prose),
            fields: fields.collect(),
            is_open: takes_more || !(is_struct || is_unit),
        }
    }
}

impl Field {
    fn new(name: &str, schema: &Value, required: bool) -> Self {
        let inner = without_null(schema);
        let item = inner.get("items").filter(|_| json_type(inner) == Some("array")).map(without_null);
        let key = |key: &str| schema.get(key).or_else(|| inner.get(key));
        let key_text = |name: &str| key(&format!("{KEYS}{name}")).and_then(Value::as_str).map(str::to_owned);
        let stated = kind_key(schema).or_else(|| kind_key(inner));
        let of_items = item.and_then(kind_key);
        let options = options(item.unwrap_or(inner));
        let (kind, is_exact, multiple) = match (stated, of_items, item) {
            (Some(kind), _, item) => (kind, true, item.is_some() && CHOICES.contains(&kind)),
            (None, Some(ParameterKind::File), _) => (ParameterKind::Files, true, false),
            (None, Some(kind @ ParameterKind::ToolsSelector), _) => (kind, true, false),
            (None, Some(kind @ ParameterKind::DynamicSelect), _) => (kind, true, true),
            (None, _, Some(_)) if !options.is_empty() => (ParameterKind::Select, true, true),
            (None, _, Some(_)) => (ParameterKind::Array, false, false),
            (None, _, None) if !options.is_empty() => (ParameterKind::Select, true, false),
            (None, _, None) => (plain_kind(inner), false, false),
        };
        let (range, limits) = ranges(inner);
        Self {
            name: name.to_owned(),
            kind,
            is_exact,
            multiple,
            required,
            default: key("default").filter(|default| !default.is_null()).cloned(),
            options,
            range,
            limits,
            description: key("description").and_then(Value::as_str).map(str::to_owned).map(prose),
            form: key_text("form"),
            scope: key_text("scope"),
            precision: key(&format!("{KEYS}precision")).and_then(Value::as_i64),
            label: key_text("label"),
            llm_description: key_text("llm-description"),
            invalid_keys: invalid_keys(schema).chain(item.into_iter().flat_map(invalid_keys)).collect(),
        }
    }
}

/// Types whose values are chosen from a list, one or several.
const CHOICES: [ParameterKind; 3] = [ParameterKind::Select, ParameterKind::DynamicSelect, ParameterKind::Checkbox];

fn kind_key(schema: &Value) -> Option<ParameterKind> {
    serde_json::from_value(schema.get(TYPE_KEY)?.clone()).ok()
}

/// The keys for Dify that `check` cannot use.
fn invalid_keys(schema: &Value) -> impl Iterator<Item = String> {
    let is_valid = |(key, value): &(&String, &Value)| match key.strip_prefix(KEYS) {
        None => true,
        Some("type") => kind_key(schema).is_some(),
        Some("form") => value.as_str().is_some_and(|form| ["llm", "form", "schema"].contains(&form)),
        Some("scope" | "label" | "llm-description") => value.is_string(),
        Some("precision") => value.is_i64(),
        Some(_) => false,
    };
    let keys: Vec<String> = schema
        .as_object()
        .into_iter()
        .flatten()
        .filter(|member| !is_valid(member))
        .map(|(key, _)| key.clone())
        .collect();
    keys.into_iter()
}

fn plain_kind(schema: &Value) -> ParameterKind {
    match json_type(schema) {
        Some("string") => ParameterKind::String,
        Some("integer" | "number") => ParameterKind::Number,
        Some("boolean") => ParameterKind::Boolean,
        Some("array") => ParameterKind::Array,
        Some("object") => ParameterKind::Object,
        _ => ParameterKind::Any,
    }
}

/// The values of an enum of units; empty for any other type.
fn options(schema: &Value) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let parts = match schema.get("oneOf").and_then(Value::as_array) {
        Some(parts) => parts.as_slice(),
        None => std::slice::from_ref(schema),
    };
    for part in parts {
        let values =
            part.get("const").into_iter().chain(part.get("enum").and_then(Value::as_array).into_iter().flatten());
        let before = found.len();
        for value in values.filter(|value| !value.is_null()) {
            let Some(value) = value.as_str() else { return Vec::new() };
            let description = text(part, "description").filter(|_| part.get("const").is_some());
            found.push((value.to_owned(), description.map(|text| first_line(&text))));
        }
        if found.len() == before {
            return Vec::new();
        }
    }
    found
}

/// The range that the code states, and that of the Rust type.
fn ranges(schema: &Value) -> (Range, Range) {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let step = if json_type(schema) == Some("integer") { 1.0 } else { 0.0 };
    let min = number("minimum").or_else(|| number("exclusiveMinimum").map(|min| min + step));
    let max = number("maximum").or_else(|| number("exclusiveMaximum").map(|max| max - step));
    let limits = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "int8" => (Some(f64::from(i8::MIN)), Some(f64::from(i8::MAX))),
        "int16" => (Some(f64::from(i16::MIN)), Some(f64::from(i16::MAX))),
        "int32" => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
        "uint8" => (Some(0.0), Some(f64::from(u8::MAX))),
        "uint16" => (Some(0.0), Some(f64::from(u16::MAX))),
        "uint32" => (Some(0.0), Some(f64::from(u32::MAX))),
        format if format.starts_with("uint") => (Some(0.0), None),
        _ => (None, None),
    };
    let stated_max = max.filter(|max| Some(*max) != limits.1);
    // Zero is in the schema of every unsigned integer. With a largest value it is half of a range.
    let stated_min = min.filter(|min| Some(*min) != limits.0 || (*min == 0.0 && stated_max.is_some()));
    (Range { min: stated_min, max: stated_max }, Range { min: limits.0, max: limits.1 })
}

/// The schema of the value that an optional one has.
pub(crate) fn without_null(schema: &Value) -> &Value {
    let is_null = |schema: &&Value| schema.get("type").is_some_and(|kind| kind == "null");
    let choices = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match choices {
        [value, null] if is_null(&null) => value,
        [null, value] if is_null(&null) => value,
        _ => schema,
    }
}

/// The type of a schema's values, null apart.
pub(crate) fn json_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    }
}

fn text(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A doc comment as a text for users: the lines of a paragraph are one.
fn prose(comment: String) -> String {
    let paragraphs = comment.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The first line of a doc comment as a label.
fn first_line(comment: &str) -> String {
    let line = comment.lines().next().unwrap_or_default().trim();
    line.strip_suffix('.').unwrap_or(line).to_owned()
}

/// A name as a label: `max_results` is `Max results`.
pub fn label_of_name(name: &str) -> String {
    let mut label = String::new();
    let mut before = ' ';
    for character in name.chars() {
        let is_break = matches!(character, '_' | '-' | '.' | ' ');
        if (is_break || (character.is_uppercase() && before.is_lowercase()))
            && !label.is_empty()
            && !label.ends_with(' ')
        {
            label.push(' ');
        }
        if !is_break {
            match label.is_empty() {
                true => label.extend(character.to_uppercase()),
                false if before.is_lowercase() => label.extend(character.to_lowercase()),
                false => label.push(character),
            }
        }
        before = character;
    }
    label.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
