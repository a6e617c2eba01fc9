//! Language models: the request, its chunks, and the summary by the system model.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{BackwardsRequest, InvokeType};
use crate::protocol::lenient::{lenient, null_default};
use crate::protocol::{
    Content, ContentPart, FinishReason, LlmDelta, LlmUsage, ModelType, PromptMessage, Tool, ToolCall, ToolChoice,
};

/// A language model of the workspace, as a `model-selector` parameter names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The provider's full name (`langgenius/openai/openai`).
    pub provider: String,
    /// The model.
    pub model: String,
    /// `chat` or `completion`.
    #[serde(default = "chat", deserialize_with = "mode")]
    pub mode: String,
    /// Parameters by rule name.
    #[serde(default, deserialize_with = "null_default")]
    pub completion_params: Map<String, Value>,
}

impl ModelConfig {
    /// A chat model with its default parameters.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into(), mode: chat(), completion_params: Map::new() }
    }

    /// Sets a parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.completion_params.insert(name.into(), value.into());
        self
    }
}

fn chat() -> String {
    "chat".to_owned()
}

/// The daemon rejects an empty mode.
fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mode = Option::<String>::deserialize(deserializer)?;
    Ok(mode.filter(|mode| !mode.is_empty()).unwrap_or_else(chat))
}

/// `llm`, and with a schema `llm_structured_output`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LlmInvocation {
    #[serde(flatten)]
    model: ModelConfig,
    model_type: ModelType,
    prompt_messages: Vec<PromptMessage>,
    /// Functions that the model may call.
    pub tools: Option<Vec<Tool>>,
    /// Whether and which tool must be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Texts at which the model stops.
    pub stop: Option<Vec<String>>,
    /// Whether the response comes as it is made.
    pub stream: bool,
    /// The schema of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output_schema: Option<Map<String, Value>>,
}

impl LlmInvocation {
    /// A call without tools. The providers' private JSON in the messages is left out: the daemon cannot read it here.
    pub fn new(model: ModelConfig, mut messages: Vec<PromptMessage>, stream: bool) -> Self {
        messages.iter_mut().for_each(remove_private);
        Self {
            model,
            model_type: ModelType::Llm,
            prompt_messages: messages,
            tools: None,
            tool_choice: None,
            stop: None,
            stream,
            structured_output_schema: None,
        }
    }
}

fn remove_private(message: &mut PromptMessage) {
    message.opaque_body = None;
    let Content::Parts(parts) = &mut message.content else { return };
    for part in parts {
        match part {
            ContentPart::Text(text) => text.opaque_body = None,
            other => {
                if let Some(media) = other.media_mut() {
                    media.opaque_body = None;
                }
            }
        }
    }
}

impl BackwardsRequest for LlmInvocation {
    type Response = LlmChunk;

    fn invoke_type(&self) -> InvokeType {
        match self.structured_output_schema {
            Some(_) => InvokeType::LlmStructuredOutput,
            None => InvokeType::Llm,
        }
    }
}

/// One step of a language model's response.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "WireChunk")]
#[non_exhaustive]
pub struct LlmChunk {
    /// The model that responds.
    pub model: String,
    /// New text, parts or tool calls; usage and finish reason on the last chunk.
    pub delta: LlmDelta,
    /// The object that follows the schema, once it is complete.
    pub structured_output: Option<Map<String, Value>>,
}

impl LlmChunk {
    /// The new text.
    pub fn text(&self) -> String {
        self.delta.content.text()
    }
}

#[derive(Deserialize)]
struct WireChunk {
    #[serde(default, deserialize_with = "null_default")]
    model: String,
    #[serde(default, deserialize_with = "lenient")]
    system_fingerprint: Option<String>,
    delta: WireDelta,
    #[serde(default, deserialize_with = "lenient")]
    structured_output: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct WireDelta {
    message: WireMessage,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<LlmUsage>,
    #[serde(default, deserialize_with = "lenient")]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default, deserialize_with = "null_default")]
    content: Content,
    #[serde(default, deserialize_with = "null_default")]
    tool_calls: Vec<ToolCall>,
    #[serde(default)]
    opaque_body: Option<Value>,
}

impl From<WireChunk> for LlmChunk {
    fn from(chunk: WireChunk) -> Self {
        let WireChunk { model, system_fingerprint, delta, structured_output } = chunk;
        let WireDelta { message, usage, finish_reason } = delta;
        let not_empty = |text: &String| !text.is_empty();
        Self {
            model,
            structured_output,
            delta: LlmDelta {
                content: message.content,
                tool_calls: message.tool_calls,
                opaque_body: message.opaque_body,
                finish_reason: finish_reason.filter(not_empty).map(FinishReason::from),
                usage: usage.map(Box::new),
                system_fingerprint: system_fingerprint.filter(not_empty),
            },
        }
    }
}

/// `system_summary`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SummaryInvocation {
    /// The text to be summarized.
    pub text: String,
    /// What the summary is for.
    pub instruction: String,
}

impl SummaryInvocation {
    /// A summary of a text.
    pub fn new(text: impl Into<String>, instruction: impl Into<String>) -> Self {
        Self { text: text.into(), instruction: instruction.into() }
    }

    /// Characters below which the SDK returns the text itself.
    pub const MIN_TEXT_CHARACTERS: usize = 1024;
}

impl BackwardsRequest for SummaryInvocation {
    type Response = SummaryResult;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::SystemSummary
    }
}

/// See [`SummaryInvocation`].
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct SummaryResult {
    /// The summary.
    #[serde(default, deserialize_with = "null_default")]
    pub summary: String,
}
