//! Responses to the daemon: result items of each action, serialized strictly (no null where the daemon or the API
//! rejects it).
//!
//! Source: `dify-plugin-daemon: pkg/entities/model_entities/*.go`, `dify-plugin-sdks: src/dify_plugin/entities/model/*.py`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::message::{Content, ContentPart, ToolCall};

/// One step of a provider's stream. `model` and `index` are added when it is sent.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LlmDelta {
    /// New text or parts; empty text when this step carries only calls or usage.
    pub content: Content,
    /// New tool calls, complete or fragments that repeat the ID.
    pub tool_calls: Vec<ToolCall>,
    /// Private JSON to be returned with the message.
    pub opaque_body: Option<Value>,
    /// Why the response ended; last step only.
    pub finish_reason: Option<FinishReason>,
    /// Usage and price; once, last step only. In a box, because most steps have none.
    pub usage: Option<Box<LlmUsage>>,
    /// The server's fingerprint of the model build.
    pub system_fingerprint: Option<String>,
}

impl LlmDelta {
    /// Creates a step of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), ..Self::default() }
    }

    /// Creates a step of text and media.
    pub fn parts(parts: Vec<ContentPart>) -> Self {
        Self { content: Content::Parts(parts), ..Self::default() }
    }

    /// Creates a step of tool calls.
    pub fn calls(tool_calls: Vec<ToolCall>) -> Self {
        Self { tool_calls, ..Self::default() }
    }

    /// Creates the last step, without content.
    pub fn end(finish_reason: FinishReason, usage: impl Into<Box<LlmUsage>>) -> Self {
        Self { finish_reason: Some(finish_reason), usage: Some(usage.into()), ..Self::default() }
    }

    /// Sets the content.
    #[must_use]
    pub fn with_content(mut self, content: impl Into<Content>) -> Self {
        self.content = content.into();
        self
    }

    /// Sets the private JSON to be returned with the message.
    #[must_use]
    pub fn with_opaque_body(mut self, body: Option<Value>) -> Self {
        self.opaque_body = body;
        self
    }
}

/// Why a response ended, in Dify's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model finished.
    Stop,
    /// The output limit was reached.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// A filter stopped the response.
    ContentFilter,
    /// Any other reason, as reported by the server.
    Other(String),
}

impl FinishReason {
    /// Returns the value on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for FinishReason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other(word),
        }
    }
}

impl Serialize for FinishReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Tokens and price of one LLM call. Decimals are strings in the format of the Python SDK; `latency` is in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LlmUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Price per prompt unit.
    pub prompt_unit_price: DecimalText,
    /// Tokens per unit as a factor (`0.000001`: per million).
    pub prompt_price_unit: DecimalText,
    /// Price of the prompt.
    pub prompt_price: DecimalText,
    /// Tokens of the response.
    pub completion_tokens: u64,
    /// Price per response unit.
    pub completion_unit_price: DecimalText,
    /// Tokens per unit as a factor.
    pub completion_price_unit: DecimalText,
    /// Price of the response.
    pub completion_price: DecimalText,
    /// Total tokens.
    pub total_tokens: u64,
    /// Total price.
    pub total_price: DecimalText,
    /// Currency: `USD`, `RMB`.
    pub currency: String,
    /// Seconds from request to end; the runtime fills it in when it is 0.
    pub latency: f64,
}

/// A decimal number as a string; `0.0` by default, as the Python SDK writes an unknown price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DecimalText(pub String);

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) if !text.is_empty() => Self(text),
            Value::Number(number) => Self(number.to_string()),
            _ => Self::default(),
        })
    }
}

impl Default for DecimalText {
    fn default() -> Self {
        Self("0.0".to_owned())
    }
}

/// One line of an LLM response.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct LlmChunk<'a> {
    /// Echo of the request's model; never empty.
    pub model: &'a str,
    /// Always `[]`.
    pub prompt_messages: [(); 0],
    /// See [`LlmDelta::system_fingerprint`].
    pub system_fingerprint: Option<&'a str>,
    /// Step.
    pub delta: LlmChunkDelta<'a>,
}

/// See [`LlmChunk`].
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct LlmChunkDelta<'a> {
    /// Number of the chunk, from 0.
    pub index: u64,
    /// New part of the response.
    pub message: AssistantMessage<'a>,
    /// Last chunk only.
    pub usage: Option<&'a LlmUsage>,
    /// Last chunk only.
    pub finish_reason: Option<&'a FinishReason>,
}

/// Message of the model.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct AssistantMessage<'a> {
    /// Always `assistant`.
    pub role: &'static str,
    /// Never null.
    pub content: &'a Content,
    /// Always null.
    pub name: Option<&'a str>,
    /// Never null.
    pub tool_calls: &'a [ToolCall],
    /// Private JSON of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<&'a Value>,
}

impl<'a> AssistantMessage<'a> {
    /// Creates the message of one step.
    pub fn of(delta: &'a LlmDelta) -> Self {
        Self {
            role: "assistant",
            content: &delta.content,
            name: None,
            tool_calls: &delta.tool_calls,
            opaque_body: delta.opaque_body.as_ref(),
        }
    }
}

impl<'a> LlmChunk<'a> {
    /// Creates the line of one step.
    pub fn of(model: &'a str, index: u64, delta: &'a LlmDelta) -> Self {
        Self {
            model,
            prompt_messages: [],
            system_fingerprint: delta.system_fingerprint.as_deref(),
            delta: LlmChunkDelta {
                index,
                message: AssistantMessage::of(delta),
                usage: delta.usage.as_deref(),
                finish_reason: delta.finish_reason.as_ref(),
            },
        }
    }
}

/// Tokens and price of one embedding call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EmbeddingUsage {
    /// Tokens of the texts.
    pub tokens: u64,
    /// Total tokens.
    pub total_tokens: u64,
    /// Price per unit.
    pub unit_price: DecimalText,
    /// Tokens per unit as a factor.
    pub price_unit: DecimalText,
    /// Total price.
    pub total_price: DecimalText,
    /// Currency: `USD`, `RMB`.
    pub currency: String,
    /// Seconds; the runtime fills it in when it is 0.
    pub latency: f64,
}

/// Vectors, one per text, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EmbeddingResult {
    /// Echo of the request's model; the runtime fills it in when it is empty.
    pub model: String,
    /// Vectors.
    pub embeddings: Vec<Vec<f32>>,
    /// Usage and price.
    pub usage: EmbeddingUsage,
}

impl EmbeddingResult {
    /// Vectors of the requested model.
    pub fn new(embeddings: Vec<Vec<f32>>, usage: EmbeddingUsage) -> Self {
        Self { model: String::new(), embeddings, usage }
    }
}

/// Documents, most relevant first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RerankResult {
    /// Echo of the request's model; the runtime fills it in when it is empty.
    pub model: String,
    /// Best match first.
    pub docs: Vec<RerankDocument>,
}

impl RerankResult {
    /// Documents, ranked by the requested model.
    pub fn new(docs: Vec<RerankDocument>) -> Self {
        Self { model: String::new(), docs }
    }
}

/// One document of a [`RerankResult`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RerankDocument {
    /// Index in the request.
    pub index: usize,
    /// Text.
    pub text: String,
    /// Relevance score.
    pub score: f64,
}

impl RerankDocument {
    /// A document with its score.
    pub fn new(index: usize, text: impl Into<String>, score: f64) -> Self {
        Self { index, text: text.into(), score }
    }
}

/// A chunk of speech audio: bytes here, hexadecimal on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioChunk {
    /// Content; the chunks joined in order are the file.
    pub bytes: bytes::Bytes,
    /// `audio/mpeg`, when known.
    pub mime_type: Option<String>,
}

impl AudioChunk {
    /// Audio of this type.
    pub fn new(bytes: impl Into<bytes::Bytes>, mime_type: Option<String>) -> Self {
        Self { bytes: bytes.into(), mime_type }
    }
}

/// A voice that a user can choose; both fields are never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Voice {
    /// Name shown.
    pub name: String,
    /// ID that is used in `invoke_tts`.
    pub value: String,
}

impl Voice {
    /// A voice.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Response of `start_polling` and `check_polling`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PollingResponse {
    /// Still running.
    Running {
        /// State for the next check; never empty.
        plugin_state: Map<String, Value>,
        /// Seconds until the next check.
        next_check_after_seconds: Option<u64>,
        /// Seconds until the task times out.
        expires_after_seconds: Option<u64>,
        /// Maximum number of checks.
        max_attempts: Option<u64>,
    },
    /// Done. The delta must contain usage.
    Succeeded(Box<LlmDelta>),
    /// Error message.
    Failed(String),
}

/// `{"result": …}` of validation, speech-to-text and moderation.
#[derive(Clone, Debug, Serialize)]
pub struct ResultResponse<T> {
    /// Result.
    pub result: T,
}

/// `{"result": true, "credentials": {…}}`: a validation that corrected some of the credentials. Dify stores these in place of
/// the fields that it sent.
#[derive(Serialize)]
pub struct ValidatedResponse<'a> {
    /// Always true.
    pub result: bool,
    /// The corrected fields.
    #[serde(serialize_with = "super::credentials::serialize_exposed")]
    pub credentials: &'a super::Credentials,
}

/// `{"num_tokens": …}`: a number for an LLM, an array for embeddings.
#[derive(Clone, Debug, Serialize)]
pub struct NumTokensResponse<T> {
    /// Count or counts.
    pub num_tokens: T,
}

/// `{"voices": […]}`.
#[derive(Clone, Debug, Serialize)]
pub struct VoicesResponse {
    /// Never null.
    pub voices: Vec<Voice>,
}
