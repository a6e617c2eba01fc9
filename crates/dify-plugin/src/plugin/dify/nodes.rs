//! Workflow nodes that a plugin can run alone.

use super::{Dify, DifyError};
use crate::protocol::backwards::{
    ModelConfig, NodeResult, ParameterExtractorInvocation, ParameterType, QuestionClass, QuestionClassifierInvocation,
    RequestedParameter,
};

impl Dify {
    /// Extracts parameters from a text: add them, then [`ParameterExtractor::run`].
    pub fn parameter_extractor(&self, model: &ModelConfig, query: impl Into<String>) -> ParameterExtractor {
        let request = ParameterExtractorInvocation {
            parameters: Vec::new(),
            model: model.clone().into(),
            query: query.into(),
            instruction: String::new(),
        };
        ParameterExtractor { dify: self.clone(), request }
    }

    /// Finds the class of a text: add classes, then [`QuestionClassifier::run`].
    pub fn question_classifier(&self, model: &ModelConfig, query: impl Into<String>) -> QuestionClassifier {
        let request = QuestionClassifierInvocation {
            classes: Vec::new(),
            model: model.clone().into(),
            query: query.into(),
            instruction: String::new(),
        };
        QuestionClassifier { dify: self.clone(), request }
    }
}

/// An extraction that is being described.
#[must_use = "nothing is sent before `run`"]
pub struct ParameterExtractor {
    dify: Dify,
    request: ParameterExtractorInvocation,
}

impl ParameterExtractor {
    /// Adds a parameter that may be absent.
    pub fn parameter(self, name: impl Into<String>, r#type: ParameterType, description: impl Into<String>) -> Self {
        self.with(RequestedParameter::new(name, r#type, description))
    }

    /// Adds a parameter.
    pub fn with(mut self, parameter: RequestedParameter) -> Self {
        self.request.parameters.push(parameter);
        self
    }

    /// What else the model must know.
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.request.instruction = instruction.into();
        self
    }

    /// Sends the call. The outputs contain the parameters.
    pub async fn run(self) -> Result<NodeResult, DifyError> {
        self.dify.call_once(self.request).await
    }
}

/// A classification that is being described.
#[must_use = "nothing is sent before `run`"]
pub struct QuestionClassifier {
    dify: Dify,
    request: QuestionClassifierInvocation,
}

impl QuestionClassifier {
    /// Adds a class.
    pub fn class(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.request.classes.push(QuestionClass { id: id.into(), name: name.into() });
        self
    }

    /// What else the model must know.
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.request.instruction = instruction.into();
        self
    }

    /// Sends the call. The outputs contain `class_id` and `class_name`.
    pub async fn run(self) -> Result<NodeResult, DifyError> {
        self.dify.call_once(self.request).await
    }
}
