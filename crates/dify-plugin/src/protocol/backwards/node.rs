//! Workflow nodes that a plugin can run alone: the parameter extractor and the question classifier.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BackwardsRequest, InvokeType, ModelConfig};
use crate::protocol::lenient::null_default;

/// The model of a node; named otherwise than that of a model call.
#[derive(Clone, Debug, Serialize)]
pub struct NodeModel {
    provider: String,
    name: String,
    mode: String,
    completion_params: Map<String, Value>,
}

impl From<ModelConfig> for NodeModel {
    fn from(config: ModelConfig) -> Self {
        let ModelConfig { provider, model, mode, completion_params } = config;
        Self { provider, name: model, mode, completion_params }
    }
}

/// What an extracted value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum ParameterType {
    /// Text.
    #[serde(rename = "string")]
    String,
    /// A number.
    #[serde(rename = "number")]
    Number,
    /// True or false.
    #[serde(rename = "bool")]
    Bool,
    /// One of the options.
    #[serde(rename = "select")]
    Select,
    /// Texts.
    #[serde(rename = "array[string]")]
    Strings,
    /// Numbers.
    #[serde(rename = "array[number]")]
    Numbers,
    /// Objects.
    #[serde(rename = "array[object]")]
    Objects,
}

/// A value to be extracted.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RequestedParameter {
    /// Its name in the outputs.
    pub name: String,
    /// What it is.
    pub r#type: ParameterType,
    /// The values of a `select`.
    pub options: Vec<String>,
    /// What the model looks for.
    pub description: String,
    /// Whether it must be found.
    pub required: bool,
}

impl RequestedParameter {
    /// A value that may be absent.
    pub fn new(name: impl Into<String>, r#type: ParameterType, description: impl Into<String>) -> Self {
        Self { name: name.into(), r#type, options: Vec::new(), description: description.into(), required: false }
    }

    /// It must be found.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Sets the values of a `select`.
    #[must_use]
    pub fn with_options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options = options.into_iter().map(Into::into).collect();
        self
    }
}

/// `node_parameter_extractor`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ParameterExtractorInvocation {
    /// What is extracted.
    pub parameters: Vec<RequestedParameter>,
    /// The model.
    pub model: NodeModel,
    /// The text.
    pub query: String,
    /// What else the model must know.
    pub instruction: String,
}

impl BackwardsRequest for ParameterExtractorInvocation {
    type Response = NodeResult;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::NodeParameterExtractor
    }
}

/// A class that a text can belong to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QuestionClass {
    /// Its ID in the outputs.
    pub id: String,
    /// What it is, for the model.
    pub name: String,
}

/// `node_question_classifier`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QuestionClassifierInvocation {
    /// The classes.
    pub classes: Vec<QuestionClass>,
    /// The model.
    pub model: NodeModel,
    /// The text.
    pub query: String,
    /// What else the model must know.
    pub instruction: String,
}

impl BackwardsRequest for QuestionClassifierInvocation {
    type Response = NodeResult;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::NodeQuestionClassifier
    }
}

/// What a node did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct NodeResult {
    /// How it came to its outputs.
    #[serde(default, deserialize_with = "null_default")]
    pub process_data: Map<String, Value>,
    /// What it was given.
    #[serde(default, deserialize_with = "null_default")]
    pub inputs: Map<String, Value>,
    /// The extracted parameters (beside `__is_success` and `__reason`), or `class_name` and `class_id`.
    #[serde(default, deserialize_with = "null_default")]
    pub outputs: Map<String, Value>,
}
