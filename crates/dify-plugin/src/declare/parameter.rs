//! Parameters of tools, agent strategies, datasources, events and subscriptions: one type for all of them. Which type of
//! parameter a kind takes is a table of the rules. The parameters of models are [`super::model::ParameterRule`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/tool_declaration.go`, `agent_declaration.go`,
//! `datasource_declaration.go`, `trigger_declaration.go`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::i18n::I18n;

/// A parameter. What a kind does not know is left out of its registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parameter {
    /// Name of the value.
    pub name: String,
    /// Label shown.
    pub label: I18n,
    /// Type of the value.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// Who gives the value; of tools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ParameterForm>,
    /// Whether a value must be given.
    #[serde(default)]
    pub required: bool,
    /// Value when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Decimal places of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<i64>,
    /// Whether several options can be chosen.
    #[serde(default, skip_serializing_if = "is_false")]
    pub multiple: bool,
    /// Values of a select or checkbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<ParameterOption>,
    /// What a selector offers, or which types `any` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Explanation for users; of tools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_description: Option<I18n>,
    /// Explanation for the model that fills it in; of tools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_description: Option<String>,
    /// Explanation; of datasources, events and subscriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<I18n>,
    /// Explanation; of agent strategies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<I18n>,
    /// Lets users generate the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_generate: Option<AutoGenerate>,
    /// Whether the text may contain variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

impl Parameter {
    /// A parameter that need not be given.
    pub fn new(name: impl Into<String>, label: I18n, kind: ParameterKind) -> Self {
        Self {
            name: name.into(),
            label,
            kind,
            form: None,
            required: false,
            default: None,
            min: None,
            max: None,
            precision: None,
            multiple: false,
            options: Vec::new(),
            scope: None,
            human_description: None,
            llm_description: None,
            description: None,
            help: None,
            auto_generate: None,
            template: None,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Types of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParameterKind {
    /// Text.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of a list, or several.
    Select,
    /// Text that is hidden.
    SecretInput,
    /// A file.
    File,
    /// Files.
    Files,
    /// An app of the workspace.
    AppSelector,
    /// A model of the workspace.
    ModelSelector,
    /// Tools of the workspace.
    #[serde(rename = "array[tools]")]
    ToolsSelector,
    /// A value of any type, or of the types of its scope.
    Any,
    /// One of a list that the plugin gives when it is opened.
    DynamicSelect,
    /// Several of a few.
    Checkbox,
    /// A list.
    Array,
    /// An object.
    Object,
    /// A day.
    Date,
    /// A first and a last day.
    DateRange,
}

impl ParameterKind {
    /// Its name in a declaration.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Select => "select",
            Self::SecretInput => "secret-input",
            Self::File => "file",
            Self::Files => "files",
            Self::AppSelector => "app-selector",
            Self::ModelSelector => "model-selector",
            Self::ToolsSelector => "array[tools]",
            Self::Any => "any",
            Self::DynamicSelect => "dynamic-select",
            Self::Checkbox => "checkbox",
            Self::Array => "array",
            Self::Object => "object",
            Self::Date => "date",
            Self::DateRange => "date-range",
        }
    }
}

/// Who gives the value of a tool's parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ParameterForm {
    /// An administrator, when the tool is added.
    Schema,
    /// A user, before the run.
    Form,
    /// The model, during the run.
    Llm,
}

/// A value that can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterOption {
    /// The value.
    pub value: String,
    /// Label shown.
    pub label: I18n,
    /// URL of an icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// How the text of a parameter is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AutoGenerate {
    /// What is generated.
    #[serde(rename = "type")]
    pub kind: AutoGenerateType,
}

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AutoGenerateType {
    /// Instructions of a prompt.
    PromptInstruction,
}

/// Whether a text may contain variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Template {
    /// Whether it may.
    #[serde(default)]
    pub enabled: bool,
}
