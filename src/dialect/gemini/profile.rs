//! What a model takes, beyond what Dify's declaration can say: read from the `gemini` key of the model's YAML. Facts that
//! Google changes live in that data, not here.

use serde::Deserialize;
use serde_json::Value;

use dify_plugin::declare::ModelSchema;

/// Which of Google's services is spoken to; they refuse each other's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The Gemini developer API.
    #[default]
    Developer,
    /// Vertex AI in a project and location.
    Vertex,
    /// Vertex AI with a key and without a project.
    VertexExpress,
}

impl Surface {
    /// Either form of Vertex AI.
    pub fn is_vertex(self) -> bool {
        !matches!(self, Self::Developer)
    }
}

/// How thinking is controlled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not at all; no field is sent.
    None,
    /// `thinkingBudget`.
    Budget,
    /// `thinkingLevel`.
    #[default]
    Level,
}

/// What a model takes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelProfile {
    /// How thinking is controlled.
    pub thinking: Thinking,
    /// Whether thinking can be switched off (budget 0).
    pub thinking_off: bool,
    /// Smallest budget other than 0 (off) and -1 (the model decides).
    pub min_budget: i64,
    /// Whether temperature, top-P, top-K and penalties are sent.
    pub sampling: bool,
    /// `TEXT`, `IMAGE`, `AUDIO`; empty sends nothing.
    pub response_modalities: Vec<String>,
    /// Whether the model takes a system instruction; else its text stands before the first of the user's.
    pub system_instruction: bool,
    /// Whether a final model turn is refused.
    pub refuses_prefill: bool,
    /// Whether a call must come back with its signature.
    pub needs_signatures: bool,
    /// Whether functions and Google's own tools go together.
    pub combines_tools: bool,
    /// Whether a JSON schema and tools go together.
    pub combines_schema: bool,
    /// Whether full JSON Schemas are understood; else they are reduced to the OpenAPI subset.
    pub full_schemas: bool,
    /// Whether call ids go back to the server.
    pub sends_call_ids: bool,
    /// Whether an answer may go on over several requests (long decode), and think long before it begins.
    pub long_decode: bool,
    /// Whether the model reads Office files as they are.
    pub office_files: bool,
    /// Tokens that an explicit cache must have at least; nothing where the model has none.
    pub cache_minimum: Option<u64>,
    /// Prices beyond input and output.
    pub price: super::price::PriceDetails,
    /// ErrorText in place of a call when the model is gone.
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
            price: super::price::PriceDetails::default(),
            retired: None,
        }
    }
}

impl ModelProfile {
    /// The profile in a model's YAML.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        match model.extra.get("gemini") {
            Some(Value::Null) | None => Ok(Self::default()),
            Some(value) => Self::deserialize(value),
        }
    }

    /// Whether pictures of the model must come back with a signature.
    pub fn signs_images(&self) -> bool {
        self.needs_signatures && self.response_modalities.iter().any(|modality| modality == "IMAGE")
    }
}
