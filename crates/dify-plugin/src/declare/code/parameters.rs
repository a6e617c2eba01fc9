//! The parameters of one part: what the code reads, and what its file declares. Names, types, what is required, options and
//! ranges are compared; texts and defaults belong to the file, unless the code cannot read the default.

use serde_json::{Value, json};

use super::texts::{self, number};
use super::{Difference, Fix};
use crate::declare::kind::PluginKind;
use crate::declare::parameter::ParameterKind;
use crate::declare::problem::Severity;
use crate::declare::rules::parameter_types;
use crate::declare::shape::{Field, Shape};
use crate::declare::versions::{self, DifyVersion};

/// Where the parameters of a part are declared.
pub(super) struct Place<'a> {
    pub(super) kind: PluginKind,
    pub(super) file: &'a str,
    /// Path of the part with its last dot; empty for a file of its own.
    pub(super) prefix: &'a str,
    /// The part as it is written.
    pub(super) part: &'a Value,
    /// Whether parameters that the code does not have may stay.
    pub(super) keep: bool,
}

impl Place<'_> {
    fn difference(&self, path: &str, message: String, change: String, fix: Fix) -> Difference {
        let (file, path) = (self.file.to_owned(), format!("{}{path}", self.prefix));
        Difference { file, path, severity: Severity::Error, message, change, fix }
    }

    /// The first Dify that knows the types of the parameters.
    pub(super) fn since(&self, shape: &Shape) -> DifyVersion {
        let declared = self.part.get("parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let since = shape.fields.iter().filter_map(|field| {
            let declared = declared.iter().find(|parameter| name_of(parameter) == Some(&field.name));
            let declared = declared
                .and_then(|parameter| versions::since(parameter_types(self.kind), parameter.get("type")?.as_str()?));
            declared.or_else(|| versions::since(parameter_types(self.kind), self.written_kind(field)?.name()))
        });
        since.max().unwrap_or(DifyVersion::OLDEST)
    }

    /// Compares the declared parameters with those of the code.
    pub(super) fn compare(&self, shape: &Shape) -> Vec<Difference> {
        let mut found = Vec::new();
        let declared = self.part.get("parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let index_of = |name: &str| declared.iter().position(|parameter| name_of(parameter) == Some(name));
        // Others may be known only while Dify runs.
        let is_whole = !flag(self.part, "has_runtime_parameters");
        let mut before = None;
        for field in &shape.fields {
            for key in &field.invalid_keys {
                let message = format!(
                    "the code of parameter `{}` uses `{key}`, which is unknown or has no valid value",
                    field.name
                );
                found.push(self.difference("parameters", message, String::new(), Fix::None));
            }
            match index_of(&field.name) {
                Some(index) => {
                    self.field(field, index, &declared[index], &mut found);
                    before = Some(index);
                }
                None if is_whole => self.missing(field, before.map_or(0, |index| index + 1), &mut found),
                None => {}
            }
        }
        for (index, parameter) in declared.iter().enumerate().rev().filter(|_| !shape.is_open && !self.keep) {
            let Some(name) = name_of(parameter) else { continue };
            let is_first = index_of(name) == Some(index);
            if is_first && shape.fields.iter().any(|field| field.name == name) {
                continue;
            }
            let message = match is_first {
                true => format!("the code does not read parameter `{name}`"),
                false => format!("parameter `{name}` is declared a second time"),
            };
            let change = format!("parameter `{name}` removed, with its texts");
            found.push(self.difference(&format!("parameters[{index}]"), message, change, Fix::Remove));
        }
        found
    }

    fn missing(&self, field: &Field, index: usize, found: &mut Vec<Difference>) {
        let name = &field.name;
        match self.written_kind(field) {
            Some(kind) => {
                let message = format!("the code reads parameter `{name}` (`{}`), which is not declared", kind.name());
                let new = texts::parameter(self.kind, field, kind);
                let change = format!("parameter `{name}` added");
                found.push(self.difference("parameters", message, change, Fix::Insert(index, new)));
            }
            None => found.push(self.no_such_type("parameters", field)),
        }
    }

    fn no_such_type(&self, path: &str, field: &Field) -> Difference {
        let (name, list) = (field.kind.name(), self.kind.parts_key().replace('_', " "));
        let message =
            format!("the code reads parameter `{}` as `{name}`, a type that Dify has not for {list}", field.name);
        self.difference(path, message, String::new(), Fix::None)
    }

    /// The type that is declared for a field.
    fn written_kind(&self, field: &Field) -> Option<ParameterKind> {
        let is_known = |kind: &ParameterKind| versions::since(parameter_types(self.kind), kind.name()).is_some();
        let other = match field.kind {
            ParameterKind::Array | ParameterKind::Object => Some(ParameterKind::Any),
            ParameterKind::Date => Some(ParameterKind::String),
            ParameterKind::DateRange => Some(ParameterKind::Object),
            _ => None,
        };
        [Some(field.kind), other].into_iter().flatten().find(is_known)
    }

    /// Whether code of a field can read the values of a declared type.
    fn is_read(&self, field: &Field, declared: ParameterKind) -> bool {
        use ParameterKind as K;
        if declared == field.kind || Some(declared) == self.written_kind(field) {
            return true;
        }
        let others: &[K] = match field.kind {
            _ if field.is_exact => &[],
            K::String => &[K::SecretInput, K::Select, K::DynamicSelect, K::Checkbox, K::Date],
            K::Array => &[K::Files, K::ToolsSelector, K::Select, K::DynamicSelect, K::Checkbox],
            K::Object => &[K::File, K::AppSelector, K::ModelSelector, K::DateRange],
            K::Any => return true,
            _ => &[],
        };
        others.contains(&declared)
    }

    fn field(&self, field: &Field, index: usize, declared: &Value, found: &mut Vec<Difference>) {
        let name = &field.name;
        let mut differs = |key: &str, message: String, value: Option<Value>| {
            let change = match &value {
                Some(value) => format!("parameter `{name}`: `{key}` is now {}", shown(value)),
                None => format!("parameter `{name}`: `{key}` removed"),
            };
            let fix = value.map_or(Fix::Remove, Fix::Set);
            let message = format!("parameter `{name}`: {message}");
            found.push(self.difference(&format!("parameters[{index}].{key}"), message, change, fix));
        };
        let text = |key: &str| declared.get(key).and_then(Value::as_str);
        let kind_name = text("type").unwrap_or_default();
        let known: Option<ParameterKind> = serde_json::from_value(json!(kind_name)).ok();
        let is_right = known.is_some_and(|known| self.is_read(field, known));
        let kind = match (is_right, self.written_kind(field)) {
            (true, _) => known.unwrap_or(field.kind),
            (false, Some(kind)) => {
                let found = if kind_name.is_empty() { "none".to_owned() } else { format!("`{kind_name}`") };
                differs(
                    "type",
                    format!("the code reads type `{}`, found {found}", kind.name()),
                    Some(json!(kind.name())),
                );
                let is_scoped =
                    matches!(kind, ParameterKind::AppSelector | ParameterKind::ModelSelector | ParameterKind::Any);
                if !is_scoped && declared.get("scope").is_some() {
                    differs("scope", "a scope belongs to another type".to_owned(), None);
                }
                kind
            }
            (false, None) => return found.push(self.no_such_type(&format!("parameters[{index}].type"), field)),
        };
        let has_default = declared.get("default").is_some_and(|default| !default.is_null());
        let is_required = flag(declared, "required");
        if field.required && !is_required && !has_default {
            differs("required", "the code requires it".to_owned(), Some(json!(true)));
        }
        if !field.required && is_required {
            differs("required", "the code does not require it".to_owned(), Some(json!(false)));
        }
        let is_list = field.multiple || field.kind == ParameterKind::Array;
        let can_be_list = matches!(kind, ParameterKind::Select | ParameterKind::DynamicSelect);
        match flag(declared, "multiple") {
            false if can_be_list && is_list => {
                differs("multiple", "the code reads several values".to_owned(), Some(json!(true)));
            }
            true if can_be_list && !is_list && field.kind != ParameterKind::Any => {
                differs("multiple", "the code reads one value".to_owned(), Some(json!(false)));
            }
            true if !can_be_list && !is_right => {
                differs("multiple", "several values belong to another type".to_owned(), None);
            }
            _ => {}
        }
        if let Some(default) = declared.get("default").filter(|default| !default.is_null())
            && !is_readable(field, kind, default)
        {
            differs("default", "the code cannot read the default".to_owned(), None);
        }
        let stated = [
            ("form", field.form.as_ref().filter(|_| self.kind == PluginKind::Tool).map(|form| json!(form))),
            ("scope", field.scope.as_ref().map(|scope| json!(scope))),
            ("precision", field.precision.map(|precision| json!(precision))),
        ];
        for (key, value) in stated {
            if let Some(value) = value.filter(|value| declared.get(key) != Some(value)) {
                differs(key, format!("the code has {}", shown(&value)), Some(value));
            }
        }
        if kind == ParameterKind::Number {
            self.range(field, index, declared, found);
        }
        if field.kind == ParameterKind::Select {
            self.options(field, index, declared, found);
        }
    }

    /// A range that lets values through that the code does not take is an error; a narrower one is a choice.
    fn range(&self, field: &Field, index: usize, declared: &Value, found: &mut Vec<Difference>) {
        let bounds = [
            ("min", field.range.min, field.limits.min, 1.0, "least"),
            ("max", field.range.max, field.limits.max, -1.0, "largest"),
        ];
        for (key, stated, limit, direction, word) in bounds {
            let value = declared.get(key).and_then(Value::as_f64);
            let is_beyond = |bound: f64| value.is_some_and(|value| (value - bound) * direction < 0.0);
            let (bound, severity) = match (stated, limit, value) {
                (Some(bound), _, None) => (bound, Severity::Error),
                (Some(bound), _, Some(value)) if value != bound => {
                    (bound, if is_beyond(bound) { Severity::Error } else { Severity::Warning })
                }
                (None, Some(limit), Some(_)) if is_beyond(limit) => (limit, Severity::Error),
                _ => continue,
            };
            let name = &field.name;
            let declared = value.map_or_else(|| "none".to_owned(), |value| number(value).to_string());
            let message =
                format!("parameter `{name}`: the {word} value of the code is {}, found {declared}", number(bound));
            let change = format!("parameter `{name}`: `{key}` is now {}", number(bound));
            let path = format!("parameters[{index}].{key}");
            let difference = self.difference(&path, message, change, Fix::Set(number(bound)));
            found.push(Difference { severity, ..difference });
        }
    }

    fn options(&self, field: &Field, index: usize, declared: &Value, found: &mut Vec<Difference>) {
        let name = &field.name;
        let path = format!("parameters[{index}].options");
        let options = declared.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let values: Vec<String> =
            options.iter().map(|option| plain(option.get("value").unwrap_or(&Value::Null))).collect();
        for (place, value) in values.iter().enumerate().rev() {
            if !field.options.iter().any(|(known, _)| known == value) {
                let message = format!("parameter `{name}`: the code does not know option `{value}`");
                let change = format!("parameter `{name}`: option `{value}` removed, with its label");
                found.push(self.difference(&format!("{path}[{place}]"), message, change, Fix::Remove));
            }
        }
        let mut before = 0;
        for (value, label) in &field.options {
            match values.iter().position(|known| known == value) {
                Some(place) => before = place + 1,
                None => {
                    let message = format!("parameter `{name}`: option `{value}` of the code is missing");
                    let change = format!("parameter `{name}`: option `{value}` added");
                    let fix = Fix::Insert(before, texts::option(value, label.as_deref()));
                    found.push(self.difference(&path, message, change, fix));
                }
            }
        }
    }
}

fn name_of(parameter: &Value) -> Option<&str> {
    parameter.get("name")?.as_str()
}

fn flag(declared: &Value, key: &str) -> bool {
    match declared.get(key) {
        Some(Value::String(text)) => crate::declare::rules::as_flag(text).unwrap_or_default(),
        value => value.and_then(Value::as_bool).unwrap_or_default(),
    }
}

/// An option's value as the text that the daemon makes of it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shown(value: &Value) -> String {
    format!("`{}`", plain(value))
}

/// Whether the code can read a default of the file.
fn is_readable(field: &Field, kind: ParameterKind, default: &Value) -> bool {
    match kind {
        ParameterKind::Number => {
            default.is_number()
                || default.as_str().is_some_and(|text| text.is_empty() || text.trim().parse::<f64>().is_ok())
        }
        ParameterKind::Select if field.kind == ParameterKind::Select => {
            let values = default.as_array().map_or_else(|| std::slice::from_ref(default), Vec::as_slice);
            let is_known = |value: &Value| {
                let value = plain(value);
                value.is_empty() || field.options.iter().any(|(known, _)| *known == value)
            };
            values.iter().all(is_known)
        }
        _ => true,
    }
}
