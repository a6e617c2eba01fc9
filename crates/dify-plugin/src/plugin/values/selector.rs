//! Models and apps of the workspace that a user has selected, ready for calls back into Dify.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::PromptMessage;
use crate::protocol::backwards::{ModelConfig, ModelName};
use crate::protocol::lenient::{lenient, null_default};

/// A model of the workspace (`model-selector`). It dereferences to the [`ModelConfig`] that [`super::super::Dify::llm`] uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelSelector {
    /// Which model, and its parameters.
    #[serde(flatten)]
    pub config: ModelConfig,
    /// Type of the model, such as `llm`.
    #[serde(default, deserialize_with = "null_default")]
    pub model_type: String,
    /// The conversation so far, for agent strategies with the feature `history-messages`.
    #[serde(default, rename = "history_prompt_messages", deserialize_with = "lenient")]
    pub history: Vec<PromptMessage>,
    /// What Dify knows of the model: its features, limits and parameters.
    #[serde(default, deserialize_with = "lenient")]
    pub entity: Option<Map<String, Value>>,
}

impl ModelSelector {
    /// Returns whether the model has a feature, such as `tool-call` or `vision`.
    pub fn has_feature(&self, name: &str) -> bool {
        let features = self.entity.as_ref().and_then(|entity| entity.get("features")?.as_array());
        features.is_some_and(|features| features.iter().any(|feature| feature == name))
    }
}

impl Deref for ModelSelector {
    type Target = ModelConfig;

    fn deref(&self) -> &ModelConfig {
        &self.config
    }
}

impl From<ModelSelector> for ModelConfig {
    fn from(selector: ModelSelector) -> Self {
        selector.config
    }
}

impl From<&ModelSelector> for ModelName {
    fn from(selector: &ModelSelector) -> Self {
        (&selector.config).into()
    }
}

/// An app of the workspace (`app-selector`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppSelector {
    /// The app's ID.
    pub app_id: String,
    /// The inputs that the user filled in.
    #[serde(default, deserialize_with = "null_default")]
    pub inputs: Map<String, Value>,
    /// The files that the user added.
    #[serde(default, deserialize_with = "null_default")]
    pub files: Vec<Value>,
}

impl From<&AppSelector> for String {
    fn from(selector: &AppSelector) -> Self {
        selector.app_id.clone()
    }
}
