//! Wire types of the Gemini API. Requests are serialized without nulls and unknown keys, because the server rejects
//! both. Responses are parsed leniently: a member of an unexpected type loses only that member, and every array has a
//! maximum length.
//!
//! This file contains the requests, and the turns that both directions share.

mod grounding;
mod response;
mod usage;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use grounding::{
    CitationMetadata, GroundingChunk, GroundingMetadata, GroundingSupport, MAX_SOURCES, Segment, UrlContextMetadata,
    UrlMetadata, WebSource,
};
pub use response::{Candidate, GenerateContentResponse, ModelStatus, PromptFeedback, SafetyRating};
pub use usage::{ModalityTokens, UsageMetadata};

use dify_plugin::codec::json;

/// Maximum number of parts in one event.
const MAX_PARTS: usize = 8192;

/// Body of `generateContent` and `streamGenerateContent`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateContentRequest {
    /// System instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<Content>,
    /// Conversation.
    pub contents: Vec<Content>,
    /// Function declarations and Google tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Whether a function must be called, and which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<Value>,
    /// Safety settings, one per category.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub safety_settings: Vec<SafetySetting>,
    /// Sampling, thinking and response format.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub generation_config: Map<String, Value>,
    /// `standard`, `flex` or `priority`. Source: google-genai 3.6.1 of 18 November 2026, `models.py`, sends it to both
    /// services; to Vertex AI with `v1beta1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Billing labels. Source: google-genai 3.6.1 of 18 November 2026, `models.py`, sends them to both services.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String, Value>,
    /// Whether Google may store the request and its response, overriding the project's setting; Gemini Developer API
    /// only. Source: Gemini API changelog of 26 October 2026; google-genai 3.6.1, `models.py` (Vertex AI rejects it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// Name of the context cache: `cachedContents/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_content: Option<String>,
    /// Continues a response that did not fit into one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
}

/// Threshold of a harm category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SafetySetting {
    /// `HARM_CATEGORY_…`
    pub category: &'static str,
    /// `BLOCK_…` or `OFF`.
    pub threshold: &'static str,
}

/// A turn of the conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// `user` or `model`; absent in a system instruction.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub role: Option<String>,
    /// Parts of the turn.
    #[serde(default, deserialize_with = "json::list::<MAX_PARTS, _, _>")]
    pub parts: Vec<Part>,
}

/// A part of a turn: one type of data, and its metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Part {
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub text: Option<String>,
    /// Whether the text is a thought.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub thought: Option<bool>,
    /// Opaque; sent back as exactly the string that was received.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub thought_signature: Option<String>,
    /// Inline data in Base64.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub inline_data: Option<Blob>,
    /// A URL that the server reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub file_data: Option<FileData>,
    /// A function call.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub function_call: Option<FunctionCall>,
    /// The result of a function call.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub function_response: Option<FunctionResponse>,
    /// Code that the model wrote and ran.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub executable_code: Option<ExecutableCode>,
    /// Output of the code.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub code_execution_result: Option<CodeExecutionResult>,
    /// A call of a tool that the service runs itself; sent back unchanged.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub tool_call: Option<Value>,
    /// The result of such a call; sent back unchanged.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub tool_response: Option<Value>,
    /// Transcript of an audio file, as returned by transcription models.
    #[serde(skip_serializing, deserialize_with = "json::fit")]
    pub audio_transcription: Option<AudioTranscription>,
    /// Speaker and style of a text, for text-to-speech models.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub speech_metadata: Option<Value>,
    /// Clip and frame rate of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_metadata: Option<Value>,
    /// Media resolution of this image or video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_resolution: Option<Value>,
}

impl Part {
    /// Splits the part into parts with one type of data each; the signature goes with the last. An empty text next to
    /// another type is dropped, because some gateways write every member.
    pub fn by_kind(mut self) -> Vec<Self> {
        self.audio_transcription.take_if(|turn| turn.text.is_empty());
        let others = [
            self.audio_transcription.is_some(),
            self.inline_data.is_some() || self.file_data.is_some(),
            self.executable_code.is_some(),
            self.code_execution_result.is_some(),
            self.function_call.is_some(),
            self.tool_call.is_some() || self.tool_response.is_some(),
        ];
        let kinds = others.iter().filter(|is_there| **is_there).count();
        if kinds == 0 || (kinds == 1 && self.text.is_none()) {
            return vec![self];
        }
        let thought = self.thought;
        let text = self.text.take().filter(|text| !text.is_empty());
        let mut parts = vec![
            Self { text, ..Self::default() },
            Self { audio_transcription: self.audio_transcription.take(), ..Self::default() },
            Self { executable_code: self.executable_code.take(), ..Self::default() },
            Self { code_execution_result: self.code_execution_result.take(), ..Self::default() },
            Self { inline_data: self.inline_data.take(), file_data: self.file_data.take(), ..Self::default() },
            Self { function_call: self.function_call.take(), ..Self::default() },
            Self { tool_call: self.tool_call.take(), tool_response: self.tool_response.take(), ..Self::default() },
        ];
        parts.retain(|part| *part != Self::default());
        parts.iter_mut().for_each(|part| part.thought = thought);
        if let Some(last) = parts.last_mut() {
            last.thought_signature = self.thought_signature;
        }
        parts
    }

    /// Creates a text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// Transcript of an audio file, or of one speaker's turn in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AudioTranscription {
    /// The text.
    #[serde(deserialize_with = "json::or_default")]
    pub text: String,
}

/// Inline data and its type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Blob {
    /// Media type.
    #[serde(deserialize_with = "json::or_default")]
    pub mime_type: String,
    /// Base64 data.
    #[serde(deserialize_with = "json::or_default")]
    pub data: String,
}

/// A URL and the type of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileData {
    /// Media type; may be absent for YouTube.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub mime_type: Option<String>,
    /// The URL.
    #[serde(deserialize_with = "json::or_default")]
    pub file_uri: String,
}

/// A function call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionCall {
    /// Call ID; some services send none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// Function name; absent in later fragments.
    #[serde(deserialize_with = "json::or_default")]
    pub name: String,
    /// Arguments; absent for a function without parameters.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "arguments")]
    pub args: Option<Map<String, Value>>,
    /// Fragments of arguments, on Vertex AI.
    #[serde(skip_serializing, deserialize_with = "json::list::<MAX_PARTS, _, _>")]
    pub partial_args: Vec<PartialArg>,
    /// Whether more fragments of this call follow.
    #[serde(skip_serializing, deserialize_with = "json::fit")]
    pub will_continue: Option<bool>,
}

impl FunctionCall {
    /// Returns the approximate size in bytes.
    pub fn length(&self) -> usize {
        let arguments = self.args.as_ref().filter(|arguments| !arguments.is_empty());
        let fragments = self.partial_args.iter();
        let fragments = fragments.map(|it| it.json_path.len() + it.string_value.as_ref().map_or(0, String::len) + 128);
        self.name.len()
            + arguments.map_or(0, |arguments| length(arguments.values()) + arguments.len() * 128)
            + fragments.sum::<usize>()
    }
}

/// Returns the approximate size of values in bytes.
fn length<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(items) => length(items.iter()),
        Value::Object(members) => length(members.values()) + members.keys().map(|key| key.len() + 128).sum::<usize>(),
        _ => 0,
    };
    values.map(|value| of(value) + size_of::<Value>()).sum()
}

/// A fragment of a call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialArg {
    /// `$.city`, `$.list[0].name`.
    #[serde(deserialize_with = "json::or_default")]
    pub json_path: String,
    /// A string, appended to earlier fragments at the same path.
    #[serde(deserialize_with = "json::fit")]
    pub string_value: Option<String>,
    /// A number.
    #[serde(deserialize_with = "json::fit")]
    pub number_value: Option<serde_json::Number>,
    /// A boolean.
    #[serde(deserialize_with = "json::fit")]
    pub bool_value: Option<bool>,
}

/// The result of a function call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionResponse {
    /// Call ID.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// Function name.
    #[serde(deserialize_with = "json::or_default")]
    pub name: String,
    /// Always an object: `output` or `error`.
    #[serde(deserialize_with = "json::or_default")]
    pub response: Map<String, Value>,
    /// Media of the result.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "json::list::<MAX_PARTS, _, _>")]
    pub parts: Vec<Part>,
}

/// Code that the model wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutableCode {
    /// ID of the execution.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// `PYTHON`.
    #[serde(deserialize_with = "json::or_default")]
    pub language: String,
    /// The code.
    #[serde(deserialize_with = "json::or_default")]
    pub code: String,
}

/// The result of running code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeExecutionResult {
    /// ID of the execution.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "json::fit")]
    pub id: Option<String>,
    /// `OUTCOME_OK`, `OUTCOME_FAILED`, `OUTCOME_DEADLINE_EXCEEDED`.
    #[serde(deserialize_with = "json::or_default")]
    pub outcome: String,
    /// The output.
    #[serde(deserialize_with = "json::or_default")]
    pub output: String,
}

/// Accepts an object and leaves it unchanged.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(json::fit::<D, Map<String, Value>>(deserializer)?.map(Value::Object))
}

/// Deserializes the arguments of a call. An object encoded as a string is parsed; a truncated one is an error, because
/// a call must not be made with incomplete arguments.
fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(arguments) => Ok(Some(arguments)),
        Value::String(text) if text.trim_start().starts_with('{') => match json::read(text.trim()) {
            Ok(arguments) => Ok(Some(arguments)),
            Err(_) => Err(serde::de::Error::custom("the arguments of a function call are truncated or invalid JSON")),
        },
        _ => Ok(None),
    }
}
