//! A field of a form as Dify draws it, and a form of such fields: the data that the workbench's page is given. How a declaration
//! becomes one is in the modules of the engines.

use serde::Serialize;
use serde_json::{Value, json};

use crate::declare::codes::Code;
use crate::declare::i18n::I18n;
use crate::declare::provider::ShowOn;

/// What Dify makes of a declaration at one place.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Note {
    pub code: &'static str,
    pub message: String,
    pub file: String,
    pub line: Option<usize>,
    pub path: String,
}

/// A value that can be chosen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Choice {
    pub value: String,
    pub label: Value,
    pub icon: Option<String>,
    pub show_on: Vec<ShowOn>,
}

/// A field.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Field {
    pub variable: String,
    /// The type as declared.
    #[serde(rename = "type")]
    pub kind: String,
    pub control: &'static str,
    pub label: Value,
    /// Whether a star is drawn.
    pub required: bool,
    pub placeholder: Value,
    pub help: Value,
    pub help_drawn_as: Option<&'static str>,
    pub url: Value,
    pub default: Value,
    /// What a new form starts with.
    pub initial: Value,
    pub options: Vec<Choice>,
    pub show_on: Vec<ShowOn>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub step: Option<f64>,
    pub max_length: Option<u64>,
    pub multiple: bool,
    /// A switch before the label, without which the value is not sent.
    #[serde(rename = "switch")]
    pub has_switch: bool,
    /// A choice between a constant and a variable.
    pub variable_switch: bool,
    pub scope: Option<String>,
    pub schema: Value,
    /// Index of the field that is drawn in its place.
    pub drawn_from: Option<usize>,
    /// Whether nothing at all is drawn.
    pub hidden: bool,
    pub line: Option<usize>,
    pub path: String,
    pub notes: Vec<Note>,
    /// Notes that are not written out yet.
    #[serde(skip)]
    pub found: Vec<(Code, String)>,
}

impl Field {
    /// A field of Dify itself, which no file declares.
    pub fn own(variable: &str, label: [&str; 2], required: bool) -> Self {
        Self {
            variable: variable.to_owned(),
            kind: "text-input".to_owned(),
            control: "text",
            label: both(label),
            required,
            ..Self::default()
        }
    }

    pub fn note(&mut self, code: Code, message: impl Into<String>) {
        self.found.push((code, message.into()));
    }
}

/// A form, and which of Dify's components draws it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Form {
    pub engine: &'static str,
    pub fields: Vec<Field>,
}

/// A text of Dify in both languages that are compared with it.
pub(super) fn both([english, chinese]: [&str; 2]) -> Value {
    json!({"en_US": english, "zh_Hans": chinese})
}

/// A text of a model plugin: only two languages reach the browser.
pub(super) fn two(text: &I18n) -> Value {
    match &text.zh_hans {
        Some(chinese) => json!({"en_US": text.en_us, "zh_Hans": chinese}),
        None => json!({"en_US": text.en_us}),
    }
}

/// A text of another plugin.
pub(super) fn four(text: &I18n) -> Value {
    json!(text)
}

/// An optional text.
pub(super) fn maybe(text: Option<&I18n>, write: fn(&I18n) -> Value) -> Value {
    text.filter(|text| !text.en_us.is_empty()).map_or(Value::Null, write)
}
