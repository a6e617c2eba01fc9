//! What goes back to the daemon: result items of each action, written strictly (no null where the daemon or the API refuses one).
//!
//! Source: `dify-plugin-daemon: pkg/entities/model_entities/*.go`, `dify-plugin-sdks: src/dify_plugin/entities/model/*.py`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::message::{Content, ToolCall};

/// What a provider yields while it answers: one step of the stream. `model` and `index` are added on the way out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmDelta {
    /// New text or parts; empty text when this step carries only calls or usage.
    pub content: Content,
    /// New tool calls, whole or fragments that repeat the id.
    pub tool_calls: Vec<ToolCall>,
    /// Private JSON to be handed back with the message.
    pub opaque_body: Option<Value>,
    /// Why the answer ended; last step only.
    pub finish_reason: Option<FinishReason>,
    /// What it cost; once, last step only.
    pub usage: Option<LlmUsage>,
    /// The upstream's fingerprint of the model build.
    pub system_fingerprint: Option<String>,
}

impl LlmDelta {
    /// A step of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), ..Self::default() }
    }
}

/// Why an answer ended, in Dify's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The output limit was reached.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// A filter stopped the answer.
    ContentFilter,
    /// Anything else, in the upstream's word.
    Other(String),
}

impl FinishReason {
    /// The word on the wire.
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

/// Tokens and price of one LLM call. Decimals are texts, as the reference prints them; `latency` is in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlmUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Price of one prompt unit.
    pub prompt_unit_price: DecimalText,
    /// Tokens to unit (`0.000001`: per million).
    pub prompt_price_unit: DecimalText,
    /// Price of the prompt.
    pub prompt_price: DecimalText,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Price of one answer unit.
    pub completion_unit_price: DecimalText,
    /// Tokens to unit.
    pub completion_price_unit: DecimalText,
    /// Price of the answer.
    pub completion_price: DecimalText,
    /// Both together.
    pub total_tokens: u64,
    /// Price of both.
    pub total_price: DecimalText,
    /// `USD`, `RMB`.
    pub currency: String,
    /// Seconds from request to end; the runtime fills it in when it is 0.
    pub latency: f64,
}

/// A decimal number as text; `0.0` by default, as the reference writes a price that is not known.
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

/// One line of an LLM answer.
#[derive(Debug, Serialize)]
pub struct LlmChunk<'a> {
    /// Echo of the request's model; never empty.
    pub model: &'a str,
    /// Always `[]`.
    pub prompt_messages: [(); 0],
    /// See [`LlmDelta::system_fingerprint`].
    pub system_fingerprint: Option<&'a str>,
    /// The step.
    pub delta: LlmChunkDelta<'a>,
}

/// See [`LlmChunk`].
#[derive(Debug, Serialize)]
pub struct LlmChunkDelta<'a> {
    /// Number of the chunk, from 0.
    pub index: u64,
    /// The new part of the answer.
    pub message: AssistantMessage<'a>,
    /// Last chunk only.
    pub usage: Option<&'a LlmUsage>,
    /// Last chunk only.
    pub finish_reason: Option<&'a FinishReason>,
}

/// What the model says.
#[derive(Debug, Serialize)]
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
    /// The message of one step.
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
    /// The line of one step.
    pub fn of(model: &'a str, index: u64, delta: &'a LlmDelta) -> Self {
        Self {
            model,
            prompt_messages: [],
            system_fingerprint: delta.system_fingerprint.as_deref(),
            delta: LlmChunkDelta {
                index,
                message: AssistantMessage::of(delta),
                usage: delta.usage.as_ref(),
                finish_reason: delta.finish_reason.as_ref(),
            },
        }
    }
}

/// Tokens and price of one embedding call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingUsage {
    /// Tokens of the texts.
    pub tokens: u64,
    /// The same.
    pub total_tokens: u64,
    /// Price of one unit.
    pub unit_price: DecimalText,
    /// Tokens to unit.
    pub price_unit: DecimalText,
    /// Price of the call.
    pub total_price: DecimalText,
    /// `USD`, `RMB`.
    pub currency: String,
    /// Seconds; the runtime fills it in when it is 0.
    pub latency: f64,
}

/// Vectors, one per text and in its order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingResult {
    /// Echo of the request's model; the runtime fills it in when it is empty.
    pub model: String,
    /// The vectors.
    pub embeddings: Vec<Vec<f32>>,
    /// What they cost.
    pub usage: EmbeddingUsage,
}

/// Documents in order of relevance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RerankResult {
    /// Echo of the request's model; the runtime fills it in when it is empty.
    pub model: String,
    /// Best first.
    pub docs: Vec<RerankDocument>,
}

/// One document of a [`RerankResult`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RerankDocument {
    /// Its place in the request.
    pub index: usize,
    /// Its text.
    pub text: String,
    /// How well it fits.
    pub score: f64,
}

/// A piece of spoken audio: bytes here, hexadecimal on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioChunk {
    /// The bytes; joined in order they are the file.
    pub bytes: bytes::Bytes,
    /// `audio/mpeg`, when known.
    pub mime_type: Option<String>,
}

/// A voice that a user can choose; both fields are never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voice {
    /// Name shown.
    pub name: String,
    /// Id handed back in `invoke_tts`.
    pub value: String,
}

/// Answer of `start_polling` and `check_polling`.
#[derive(Clone, Debug, PartialEq)]
pub enum PollingResponse {
    /// Not done yet.
    Running {
        /// Handed back with the next check; never empty.
        plugin_state: Map<String, Value>,
        /// Seconds until the next check.
        next_check_after_seconds: Option<u64>,
        /// Seconds until the task is given up.
        expires_after_seconds: Option<u64>,
        /// How often to check at most.
        max_attempts: Option<u64>,
    },
    /// Done. The delta must carry usage.
    Succeeded(Box<LlmDelta>),
    /// Failed, and why.
    Failed(String),
}

/// `{"result": …}` of validation, speech-to-text and moderation.
#[derive(Clone, Debug, Serialize)]
pub struct ResultResponse<T> {
    /// The result.
    pub result: T,
}

/// `{"num_tokens": …}`: a number for an LLM, a list for embeddings.
#[derive(Clone, Debug, Serialize)]
pub struct NumTokensResponse<T> {
    /// The count or counts.
    pub num_tokens: T,
}

/// `{"voices": […]}`.
#[derive(Clone, Debug, Serialize)]
pub struct VoicesResponse {
    /// Never null.
    pub voices: Vec<Voice>,
}
