//! Capabilities of a model that Dify's declaration cannot express, read from the `gemini` section of the model's YAML
//! file. Facts that Google changes belong in that file, not here.

use serde::Deserialize;
use serde_json::Value;

pub use dify_plugin_gemini::Surface;

use dify_plugin::declare::ModelSchema;

/// How thinking is controlled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not controllable; no field is sent.
    None,
    /// By the field `thinkingBudget`.
    Budget,
    /// By the field `thinkingLevel`.
    #[default]
    Level,
}

/// Capabilities of a model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelProfile {
    /// How thinking is controlled.
    pub thinking: Thinking,
    /// Whether thinking can be turned off (budget 0).
    pub thinking_off: bool,
    /// Minimum budget other than 0 (off) and -1 (the model decides).
    pub min_budget: i64,
    /// Whether temperature, top-p, top-k and penalties are sent.
    pub sampling: bool,
    /// `TEXT`, `IMAGE`, `AUDIO`; if empty, the field is not sent.
    pub response_modalities: Vec<String>,
    /// Whether the model supports system instructions; otherwise their text precedes the first user message.
    pub system_instruction: bool,
    /// Whether the model rejects conversations that end with a model turn.
    pub refuses_prefill: bool,
    /// Whether function calls must be sent back with their signatures.
    pub needs_signatures: bool,
    /// Whether functions and Google tools can be combined.
    pub combines_tools: bool,
    /// Whether a JSON Schema and tools can be combined.
    pub combines_schema: bool,
    /// Whether full JSON Schemas are supported; otherwise they are reduced to the OpenAPI subset.
    pub full_schemas: bool,
    /// Whether call IDs are sent back to the server.
    pub sends_call_ids: bool,
    /// Whether a response may continue over several requests (long decode), after a long time of thinking.
    pub long_decode: bool,
    /// Whether the model supports Office files.
    pub office_files: bool,
    /// Minimum number of tokens in an explicit cache; `None` if the model does not support caches.
    pub cache_minimum: Option<u64>,
    /// Prices in addition to the input and output prices.
    pub price: crate::dialect::gemini::response::price::PriceDetails,
    /// Error message that replaces requests to a retired model.
    pub retired: Option<String>,
}

impl Default for ModelProfile {
    fn default() -> Self {
        Self {
            thinking: Thinking::Level,
            thinking_off: false,
            min_budget: 1,
            sampling: true,
            response_modalities: Vec::new(),
            system_instruction: true,
            refuses_prefill: false,
            needs_signatures: true,
            combines_tools: true,
            combines_schema: true,
            full_schemas: true,
            sends_call_ids: true,
            long_decode: false,
            office_files: false,
            cache_minimum: None,
            price: crate::dialect::gemini::response::price::PriceDetails::default(),
            retired: None,
        }
    }
}

impl ModelProfile {
    /// Parses the `gemini` section of a model's YAML file.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        match model.extra.get("gemini") {
            Some(Value::Null) | None => Ok(Self::default()),
            Some(value) => Self::deserialize(value),
        }
    }

    /// Whether images of the model must be sent back with a signature.
    pub fn signs_images(&self) -> bool {
        self.needs_signatures && self.response_modalities.iter().any(|modality| modality == "IMAGE")
    }
}
