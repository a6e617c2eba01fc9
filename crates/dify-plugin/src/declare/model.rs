//! A model as Dify sees it: features, properties, parameter rules, price.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::i18n::I18n;
use super::price::Pricing;
use super::versions::{self, DifyVersion, Kind};
use crate::protocol::ModelType;

/// A model's declaration, from a YAML file or created at run time for `get_ai_model_schemas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelSchema {
    /// Model ID.
    pub model: String,
    /// Displayed name.
    pub label: I18n,
    /// Model type.
    pub model_type: ModelType,
    /// Features.
    #[serde(default)]
    pub features: Vec<ModelFeature>,
    /// Declared in a file, or created by the user.
    #[serde(default)]
    pub fetch_from: FetchFrom,
    /// `mode`, `context_size`, `max_chunks`, `voices` …: a closed set of keys.
    #[serde(default)]
    pub model_properties: Map<String, Value>,
    /// Hidden in lists; existing uses keep working.
    #[serde(default)]
    pub deprecated: bool,
    /// Parameters that users may set.
    #[serde(default)]
    pub parameter_rules: Vec<ParameterRule>,
    /// Price.
    #[serde(default)]
    pub pricing: Option<Pricing>,
    /// Keys that Dify does not know: data for the provider's code, never sent.
    #[serde(flatten, skip_serializing)]
    pub extra: Map<String, Value>,
}

impl ModelSchema {
    /// Creates a customizable model without features, rules and price.
    pub fn customizable(model: impl Into<String>, model_type: ModelType) -> Self {
        let model = model.into();
        Self {
            label: I18n::same(model.clone()),
            model,
            model_type,
            features: Vec::new(),
            fetch_from: FetchFrom::CustomizableModel,
            model_properties: Map::new(),
            deprecated: false,
            parameter_rules: Vec::new(),
            pricing: None,
            extra: Map::new(),
        }
    }

    /// Whether the model has this feature.
    pub fn has(&self, feature: ModelFeature) -> bool {
        self.features.contains(&feature)
    }

    /// Returns the rule of a parameter.
    pub fn rule(&self, name: &str) -> Option<&ParameterRule> {
        self.parameter_rules.iter().find(|rule| rule.name == name)
    }

    /// Returns an integer property (`context_size`), written as a number or as a string.
    pub fn number_property(&self, key: &str) -> Option<u64> {
        match self.model_properties.get(key)? {
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(|float| float as u64)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Features of a model; the closed set of the Dify API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModelFeature {
    /// Tool calls, one at a time.
    ToolCall,
    /// Concurrent tool calls.
    MultiToolCall,
    /// Returns its thoughts.
    AgentThought,
    /// Image input.
    Vision,
    /// Streams tool calls.
    StreamToolCall,
    /// Document input.
    Document,
    /// Video input.
    Video,
    /// Audio input.
    Audio,
    /// Structured output.
    StructuredOutput,
    /// Long-running tasks, which are polled.
    Polling,
}

impl ModelFeature {
    /// Returns the first Dify version that supports the feature.
    pub fn since(self) -> DifyVersion {
        let name = serde_json::to_value(self).unwrap_or_default();
        name.as_str().and_then(|name| versions::since(Kind::Feature, name)).unwrap_or(DifyVersion::OLDEST)
    }
}

/// Origin of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FetchFrom {
    /// From a YAML file.
    #[default]
    PredefinedModel,
    /// Created by the user.
    CustomizableModel,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ParameterType {
    /// A number.
    Float,
    /// An integer.
    Int,
    /// One line of text.
    String,
    /// A boolean.
    Boolean,
    /// Several lines of text.
    Text,
}

/// A parameter that users may set. After loading, the template's defaults are filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterRule {
    /// Name in `model_parameters`.
    pub name: String,
    /// One of Dify's eight templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_template: Option<String>,
    /// Displayed name.
    pub label: I18n,
    /// Type of the value.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<I18n>,
    /// Whether a value is required; the default is used if there is none.
    #[serde(default)]
    pub required: bool,
    /// Default value, a scalar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Decimal places of a float.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u32>,
    /// Allowed values; any if empty.
    #[serde(default)]
    pub options: Vec<String>,
}

impl ParameterRule {
    /// Creates a rule with a name, a label and a type.
    pub fn new(name: impl Into<String>, label: I18n, kind: ParameterType) -> Self {
        Self {
            name: name.into(),
            use_template: None,
            label,
            kind,
            help: None,
            required: false,
            default: None,
            min: None,
            max: None,
            precision: None,
            options: Vec::new(),
        }
    }

    /// Sets the range.
    #[must_use]
    pub fn range(mut self, min: f64, max: f64) -> Self {
        self.min = Some(min);
        self.max = Some(max);
        self
    }

    /// Sets the default.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn help(mut self, help: I18n) -> Self {
        self.help = Some(help);
        self
    }

    /// Sets the allowed values.
    #[must_use]
    pub fn options<I: IntoIterator<Item = S>, S: Into<String>>(mut self, options: I) -> Self {
        self.options = options.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the template.
    #[must_use]
    pub fn template(mut self, name: impl Into<String>) -> Self {
        self.use_template = Some(name.into());
        self
    }

    /// Sets the decimal places.
    #[must_use]
    pub fn precision(mut self, places: u32) -> Self {
        self.precision = Some(places);
        self
    }
}
