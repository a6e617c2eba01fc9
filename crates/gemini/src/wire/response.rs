//! A response or one of its stream events: candidates, prompt feedback, the model that responded. `response` interprets
//! it.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{CitationMetadata, Content, GroundingMetadata, UrlContextMetadata, UsageMetadata};
use dify_plugin::codec::json;
use dify_plugin::error::clip;

/// Maximum number of candidates that a request may ask for.
const MAX_CANDIDATES: usize = 8;

/// An event of a stream, or a complete response. Every member may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateContentResponse {
    /// Candidates; only the first is used.
    #[serde(deserialize_with = "json::first::<MAX_CANDIDATES, _, _>")]
    pub candidates: Vec<Candidate>,
    /// Why the prompt was blocked.
    #[serde(deserialize_with = "json::fit")]
    pub prompt_feedback: Option<PromptFeedback>,
    /// Cumulative token counts; the last event counts.
    #[serde(deserialize_with = "json::fit")]
    pub usage_metadata: Option<UsageMetadata>,
    /// The model that responded.
    #[serde(deserialize_with = "json::fit")]
    pub model_version: Option<String>,
    /// Lifecycle stage of that model.
    #[serde(deserialize_with = "json::fit")]
    pub model_status: Option<ModelStatus>,
    /// Google's ID of the response.
    #[serde(deserialize_with = "json::fit")]
    pub response_id: Option<String>,
    /// An error in a response with HTTP status 200.
    pub error: Option<Value>,
    /// The event itself, if a gateway wraps it.
    #[serde(deserialize_with = "json::fit")]
    pub response: Option<Box<GenerateContentResponse>>,
}

impl GenerateContentResponse {
    /// Returns the event itself, without the wrapper of a gateway.
    pub fn unwrapped(mut self) -> Self {
        while self.candidates.is_empty()
            && self.error.is_none()
            && let Some(inner) = self.response.take()
        {
            self = *inner;
        }
        self
    }

    /// Whether it contains nothing that belongs to a response.
    pub fn is_blank(&self) -> bool {
        self.candidates.is_empty()
            && self.prompt_feedback.is_none()
            && self.usage_metadata.is_none()
            && self.model_version.is_none()
            && self.response_id.is_none()
            && self.error.is_none()
            && self.response.is_none()
    }
}

/// Lifecycle stage of a model. Source: google-genai 3.6.1, `types.py`; Gemini Developer API only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelStatus {
    /// `STABLE`, `DEPRECATED`, `RETIRED` …
    #[serde(deserialize_with = "json::or_default")]
    pub model_stage: String,
    /// Retirement time in RFC 3339 format.
    #[serde(deserialize_with = "json::fit")]
    pub retirement_time: Option<String>,
    /// Description of the stage.
    #[serde(deserialize_with = "json::or_default")]
    pub message: String,
}

/// A candidate response, or a delta of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// Index of the candidate.
    #[serde(deserialize_with = "json::fit")]
    pub index: Option<u64>,
    /// New parts.
    #[serde(deserialize_with = "json::fit")]
    pub content: Option<Content>,
    /// Finish reason.
    #[serde(deserialize_with = "finish_reason")]
    pub finish_reason: Option<String>,
    /// Description of the finish reason.
    #[serde(deserialize_with = "json::fit")]
    pub finish_message: Option<String>,
    /// Safety ratings by category.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub safety_ratings: Vec<SafetyRating>,
    /// Grounding metadata of a search.
    #[serde(deserialize_with = "json::fit")]
    pub grounding_metadata: Option<GroundingMetadata>,
    /// Pages that were fetched.
    #[serde(deserialize_with = "json::fit")]
    pub url_context_metadata: Option<UrlContextMetadata>,
    /// Recited sources, under either member name.
    #[serde(deserialize_with = "json::fit")]
    pub citation_metadata: Option<CitationMetadata>,
    /// Token with which the same request is to be continued.
    #[serde(deserialize_with = "json::fit")]
    pub continuation_token: Option<String>,
}

/// Why a prompt was blocked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptFeedback {
    /// `SAFETY`, `PROHIBITED_CONTENT` …
    #[serde(deserialize_with = "block_reason")]
    pub block_reason: Option<String>,
    /// Description of the block reason; Vertex AI only.
    #[serde(deserialize_with = "json::fit")]
    pub block_reason_message: Option<String>,
    /// Safety ratings by category.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub safety_ratings: Vec<SafetyRating>,
}

/// Safety rating of a category.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SafetyRating {
    /// `HARM_CATEGORY_…`
    #[serde(deserialize_with = "json::or_default")]
    pub category: String,
    /// `NEGLIGIBLE` to `HIGH`.
    #[serde(deserialize_with = "json::or_default")]
    pub probability: String,
    /// Whether this rating caused the block.
    #[serde(deserialize_with = "json::or_default")]
    pub blocked: bool,
}

/// Maximum bytes of an enum value.
const MAX_ENUM_VALUE_BYTES: usize = 64;

/// Deserializes a finish reason. A value that is not an enum value counts as an unknown reason: the response has ended.
fn finish_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    /// Numeric values that all services share.
    const NUMBERED: [&str; 6] = ["", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"];
    Ok(match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => None,
        other => enum_value(&other, &NUMBERED).unwrap_or_else(|| Some("OTHER".to_owned())),
    })
}

/// Deserializes a block reason. A value that is not an enum value does not count as a block.
fn block_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    const NUMBERED: [&str; 6] = ["", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"];
    Ok(enum_value(&Value::deserialize(deserializer)?, &NUMBERED).unwrap_or_default())
}

/// Returns an enum value; some gateways send its number. An empty string is no value; `None` if the JSON value is
/// neither a string nor a number.
fn enum_value(value: &Value, numbered: &[&str]) -> Option<Option<String>> {
    let text = match value {
        Value::String(text) => clip(text.trim(), MAX_ENUM_VALUE_BYTES).to_ascii_uppercase(),
        Value::Number(number) => {
            let place = number.as_u64().and_then(|number| usize::try_from(number).ok());
            place.and_then(|place| numbered.get(place)).copied().unwrap_or("OTHER").to_owned()
        }
        _ => return None,
    };
    Some(Some(text).filter(|text| !text.is_empty()))
}
