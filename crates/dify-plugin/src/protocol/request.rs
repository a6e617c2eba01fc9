//! Requests of the daemon to a model plugin: one variant per action, decoded leniently.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/model.go`, `dify-plugin-sdks: src/dify_plugin/core/entities/plugin/request.py`.

use std::time::Duration;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::credentials::Credentials;
use super::flat::with_target;
use super::invocation::{Invocation, actions};
use super::lenient::{
    empty_string_as_none, hex_bytes, null_default, object_or_json_text, seconds, zero_as_none, zero_float_as_none,
};
use super::message::{PromptMessage, Tool, ToolChoice};

/// Model types of Dify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModelType {
    /// Large language model.
    Llm,
    /// Text embedding.
    TextEmbedding,
    /// Rerank.
    Rerank,
    /// Speech to text.
    Speech2text,
    /// Moderation.
    Moderation,
    /// Text to speech.
    Tts,
}

impl ModelType {
    /// All model types, in Dify's order.
    pub const ALL: [Self; 6] =
        [Self::Llm, Self::TextEmbedding, Self::Rerank, Self::Speech2text, Self::Moderation, Self::Tts];

    /// Returns the name on the wire (`text-embedding`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::TextEmbedding => "text-embedding",
            Self::Rerank => "rerank",
            Self::Speech2text => "speech2text",
            Self::Moderation => "moderation",
            Self::Tts => "tts",
        }
    }

    /// Returns the key in a provider YAML (`text_embedding`).
    pub fn yaml_key(self) -> &'static str {
        match self {
            Self::TextEmbedding => "text_embedding",
            other => other.as_str(),
        }
    }
}

/// Provider, model and credentials of a request. Every request except the provider's validation has them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Short provider name in the declaration (`google`).
    pub provider: String,
    /// Model ID.
    pub model: String,
    /// Credentials of the user.
    pub credentials: Credentials,
    /// End user of the app; may be empty.
    pub user_id: String,
}

impl Target {
    /// A model without a user.
    pub fn new(provider: impl Into<String>, model: impl Into<String>, credentials: Credentials) -> Self {
        Self { provider: provider.into(), model: model.into(), credentials, user_id: String::new() }
    }
}

with_target! {
    /// `invoke_llm` and `start_polling`.
    pub struct LlmRequest {
        /// Parameters by rule name. After dispatch: validated and completed by the model's rules.
        #[serde(default, deserialize_with = "null_default")]
        pub model_parameters: Map<String, Value>,
        /// The conversation.
        #[serde(default, deserialize_with = "null_default")]
        pub prompt_messages: Vec<PromptMessage>,
        /// Functions that the model may call.
        #[serde(default, deserialize_with = "null_default")]
        pub tools: Vec<Tool>,
        /// Whether and which tool must be called.
        #[serde(default)]
        pub tool_choice: Option<ToolChoice>,
        /// Stop sequences.
        #[serde(default, deserialize_with = "null_default")]
        pub stop: Vec<String>,
        /// JSON Schema of the response, from Dify's structured output.
        #[serde(default, deserialize_with = "object_or_json_text")]
        pub json_schema: Option<Map<String, Value>>,
        /// Whether the caller wants a stream. The response is always a stream on the wire.
        #[serde(default = "yes", deserialize_with = "stream_flag")]
        pub stream: bool,
        /// Maximum time until the first text, thought or tool call of a stream.
        #[serde(default, deserialize_with = "seconds")]
        pub first_token_timeout: Option<Duration>,
    }
}

impl LlmRequest {
    /// A conversation without parameters and tools, whose response is a stream.
    pub fn new(target: Target, prompt_messages: Vec<PromptMessage>) -> Self {
        Self {
            target,
            model_parameters: Map::new(),
            prompt_messages,
            tools: Vec::new(),
            tool_choice: None,
            stop: Vec::new(),
            json_schema: None,
            stream: true,
            first_token_timeout: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn stream_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(true))
}

with_target! {
    /// `get_llm_num_tokens`.
    pub struct LlmNumTokensRequest {
        /// The conversation.
        #[serde(default, deserialize_with = "null_default")]
        pub prompt_messages: Vec<PromptMessage>,
        /// Functions that the model may call.
        #[serde(default, deserialize_with = "null_default")]
        pub tools: Vec<Tool>,
    }
}

/// Purpose of an embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EmbeddingInputType {
    /// A text to be found.
    #[default]
    #[serde(alias = "")]
    Document,
    /// A text to search with.
    Query,
}

with_target! {
    /// `invoke_text_embedding`.
    pub struct TextEmbeddingRequest {
        /// Texts; each becomes one vector.
        #[serde(default, deserialize_with = "null_default")]
        pub texts: Vec<String>,
        /// Documents or queries.
        #[serde(default, deserialize_with = "null_default")]
        pub input_type: EmbeddingInputType,
    }
}

impl TextEmbeddingRequest {
    /// Texts to be found.
    pub fn new(target: Target, texts: Vec<String>) -> Self {
        Self { target, texts, input_type: EmbeddingInputType::Document }
    }
}

with_target! {
    /// `get_text_embedding_num_tokens`.
    pub struct TextEmbeddingNumTokensRequest {
        /// Texts; each gets one count.
        #[serde(default, deserialize_with = "null_default")]
        pub texts: Vec<String>,
    }
}

/// A text or image of a multimodal embedding or rerank request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MultimodalContent {
    /// Text; or Base64, a data URI or a URL of an image.
    #[serde(default, deserialize_with = "null_default")]
    pub content: String,
    /// Type of the content.
    #[serde(default, deserialize_with = "null_default")]
    pub content_type: MultimodalContentType,
}

impl MultimodalContent {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: text.into(), content_type: MultimodalContentType::Text }
    }

    /// An image: Base64, a data URI or a URL.
    pub fn image(image: impl Into<String>) -> Self {
        Self { content: image.into(), content_type: MultimodalContentType::Image }
    }
}

/// See [`MultimodalContent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MultimodalContentType {
    /// Text.
    #[default]
    #[serde(alias = "")]
    Text,
    /// An image.
    Image,
}

with_target! {
    /// `invoke_multimodal_embedding`.
    pub struct MultimodalEmbeddingRequest {
        /// Contents; each becomes one vector.
        #[serde(default, deserialize_with = "null_default")]
        pub documents: Vec<MultimodalContent>,
        /// Documents or queries.
        #[serde(default, deserialize_with = "null_default")]
        pub input_type: EmbeddingInputType,
    }
}

with_target! {
    /// `invoke_rerank`.
    pub struct RerankRequest {
        /// Query.
        #[serde(default, deserialize_with = "null_default")]
        pub query: String,
        /// Texts to rank.
        #[serde(default, deserialize_with = "null_default")]
        pub docs: Vec<String>,
        /// Minimum score; the daemon's 0 means "none".
        #[serde(default, deserialize_with = "zero_float_as_none")]
        pub score_threshold: Option<f64>,
        /// Maximum number of results; the daemon's 0 means "all".
        #[serde(default, deserialize_with = "zero_as_none")]
        pub top_n: Option<u64>,
    }
}

impl RerankRequest {
    /// A ranking of all documents.
    pub fn new(target: Target, query: impl Into<String>, docs: Vec<String>) -> Self {
        Self { target, query: query.into(), docs, score_threshold: None, top_n: None }
    }
}

with_target! {
    /// `invoke_multimodal_rerank`.
    pub struct MultimodalRerankRequest {
        /// Query.
        pub query: MultimodalContent,
        /// Texts or images to rank.
        #[serde(default, deserialize_with = "null_default")]
        pub docs: Vec<MultimodalContent>,
        /// Minimum score; the daemon's 0 means "none".
        #[serde(default, deserialize_with = "zero_float_as_none")]
        pub score_threshold: Option<f64>,
        /// Maximum number of results; the daemon's 0 means "all".
        #[serde(default, deserialize_with = "zero_as_none")]
        pub top_n: Option<u64>,
    }
}

with_target! {
    /// `invoke_tts`.
    pub struct TtsRequest {
        /// Text to speak.
        #[serde(default, deserialize_with = "null_default")]
        pub content_text: String,
        /// The voice's `value`.
        #[serde(default, deserialize_with = "empty_string_as_none")]
        pub voice: Option<String>,
    }
}

impl TtsRequest {
    /// Text to speak with the default voice.
    pub fn new(target: Target, content_text: impl Into<String>) -> Self {
        Self { target, content_text: content_text.into(), voice: None }
    }
}

with_target! {
    /// `get_tts_model_voices`.
    pub struct TtsVoicesRequest {
        /// Only voices of this language (`en-US`).
        #[serde(default, deserialize_with = "empty_string_as_none")]
        pub language: Option<String>,
    }
}

with_target! {
    /// `invoke_speech2text`.
    pub struct Speech2TextRequest {
        /// Audio file; hexadecimal on the wire, bytes here.
        #[serde(deserialize_with = "hex_bytes")]
        pub file: Vec<u8>,
    }
}

impl Speech2TextRequest {
    /// An audio file.
    pub fn new(target: Target, file: Vec<u8>) -> Self {
        Self { target, file }
    }
}

with_target! {
    /// `invoke_moderation`.
    pub struct ModerationRequest {
        /// Text to check.
        #[serde(default, deserialize_with = "null_default")]
        pub text: String,
    }
}

impl ModerationRequest {
    /// A text.
    pub fn new(target: Target, text: impl Into<String>) -> Self {
        Self { target, text: text.into() }
    }
}

/// `validate_provider_credentials`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct ValidateProviderRequest {
    /// Short provider name.
    pub provider: String,
    /// Credentials of the user.
    #[serde(default, deserialize_with = "null_default")]
    pub credentials: Credentials,
}

with_target! {
    /// `validate_model_credentials` and `get_ai_model_schemas`.
    pub struct ModelRequest {
        /// Model type.
        pub model_type: ModelType,
    }
}

impl ModelRequest {
    /// A request about a model of this type.
    pub fn new(target: Target, model_type: ModelType) -> Self {
        Self { target, model_type }
    }
}

with_target! {
    /// `check_polling`.
    pub struct CheckPollingRequest {
        /// State returned by the last response.
        #[serde(default, deserialize_with = "null_default")]
        pub plugin_state: Map<String, Value>,
    }
}

/// Every action of a model plugin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// `invoke_llm`
    InvokeLlm(LlmRequest),
    /// `get_llm_num_tokens`
    LlmNumTokens(LlmNumTokensRequest),
    /// `invoke_text_embedding`
    TextEmbedding(TextEmbeddingRequest),
    /// `invoke_multimodal_embedding`
    MultimodalEmbedding(MultimodalEmbeddingRequest),
    /// `get_text_embedding_num_tokens`
    TextEmbeddingNumTokens(TextEmbeddingNumTokensRequest),
    /// `invoke_rerank`
    Rerank(RerankRequest),
    /// `invoke_multimodal_rerank`
    MultimodalRerank(MultimodalRerankRequest),
    /// `invoke_tts`
    Tts(TtsRequest),
    /// `get_tts_model_voices`
    TtsVoices(TtsVoicesRequest),
    /// `invoke_speech2text`
    Speech2Text(Speech2TextRequest),
    /// `invoke_moderation`
    Moderation(ModerationRequest),
    /// `validate_provider_credentials`
    ValidateProvider(ValidateProviderRequest),
    /// `validate_model_credentials`
    ValidateModel(ModelRequest),
    /// `get_ai_model_schemas`
    ModelSchema(ModelRequest),
    /// `start_polling`
    StartPolling(LlmRequest),
    /// `check_polling`
    CheckPolling(CheckPollingRequest),
}

/// Why a request could not be parsed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Unknown request type.
    #[error("unknown request type `{found}`; expected one of {known}")]
    UnknownType {
        /// Requested type.
        found: String,
        /// Supported types.
        known: String,
    },
    /// Unknown action.
    #[error("unknown action `{action}`; expected one of {known}")]
    UnknownAction {
        /// Requested action.
        action: String,
        /// Supported actions.
        known: String,
    },
    /// A field that cannot be parsed.
    #[error("cannot parse `{action}`: field `{path}`: {reason}")]
    Field {
        /// The action.
        action: String,
        /// Path of the field below `data`.
        path: String,
        /// Description of the problem.
        reason: String,
    },
    /// `type` and `action` cannot be parsed.
    #[error("cannot parse the request: {0}")]
    Malformed(String),
}

/// Members that are read before a request is decoded, to know its timeout.
#[derive(Debug, Deserialize)]
pub struct Glance {
    /// Short provider name.
    #[serde(default, deserialize_with = "null_default")]
    pub provider: String,
    /// Model ID.
    #[serde(default, deserialize_with = "null_default")]
    pub model: String,
    /// Whether the response is streamed.
    #[serde(default = "yes", deserialize_with = "stream_flag")]
    pub stream: bool,
    /// Maximum time until the first text, thought or tool call of a stream.
    #[serde(default, deserialize_with = "seconds")]
    pub first_token_timeout: Option<Duration>,
}

impl Glance {
    /// Reads these members from a request that has such a timeout; returns the default for others.
    pub fn of(data: &str) -> Option<Self> {
        memchr::memmem::find(data.as_bytes(), b"\"first_token_timeout\"")?;
        serde_json::from_str(data).ok()
    }
}

actions! { Request:
    "invoke_llm" => InvokeLlm,
    "get_llm_num_tokens" => LlmNumTokens,
    "invoke_text_embedding" => TextEmbedding,
    "invoke_multimodal_embedding" => MultimodalEmbedding,
    "get_text_embedding_num_tokens" => TextEmbeddingNumTokens,
    "invoke_rerank" => Rerank,
    "invoke_multimodal_rerank" => MultimodalRerank,
    "invoke_tts" => Tts,
    "get_tts_model_voices" => TtsVoices,
    "invoke_speech2text" => Speech2Text,
    "invoke_moderation" => Moderation,
    "validate_provider_credentials" => ValidateProvider,
    "validate_model_credentials" => ValidateModel,
    "get_ai_model_schemas" => ModelSchema,
    "start_polling" => StartPolling,
    "check_polling" => CheckPolling,
}

impl Request {
    /// Decodes the `data` of a `request` envelope to a model plugin.
    pub fn parse(data: &str) -> Result<Self, RequestError> {
        match Invocation::parse(data)? {
            Invocation::Model(request) => Ok(request),
            other => {
                Err(RequestError::UnknownType { found: other.access_type().to_owned(), known: "model".to_owned() })
            }
        }
    }

    /// Returns model and credentials; absent for the provider's validation.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::InvokeLlm(request) | Self::StartPolling(request) => Some(&request.target),
            Self::LlmNumTokens(request) => Some(&request.target),
            Self::TextEmbedding(request) => Some(&request.target),
            Self::MultimodalEmbedding(request) => Some(&request.target),
            Self::TextEmbeddingNumTokens(request) => Some(&request.target),
            Self::Rerank(request) => Some(&request.target),
            Self::MultimodalRerank(request) => Some(&request.target),
            Self::Tts(request) => Some(&request.target),
            Self::TtsVoices(request) => Some(&request.target),
            Self::Speech2Text(request) => Some(&request.target),
            Self::Moderation(request) => Some(&request.target),
            Self::ValidateModel(request) | Self::ModelSchema(request) => Some(&request.target),
            Self::CheckPolling(request) => Some(&request.target),
            Self::ValidateProvider(_) => None,
        }
    }

    /// Returns the model type; absent for the provider's validation.
    pub fn model_type(&self) -> Option<ModelType> {
        match self {
            Self::InvokeLlm(_) | Self::StartPolling(_) | Self::CheckPolling(_) | Self::LlmNumTokens(_) => {
                Some(ModelType::Llm)
            }
            Self::TextEmbedding(_) | Self::MultimodalEmbedding(_) | Self::TextEmbeddingNumTokens(_) => {
                Some(ModelType::TextEmbedding)
            }
            Self::Rerank(_) | Self::MultimodalRerank(_) => Some(ModelType::Rerank),
            Self::Tts(_) | Self::TtsVoices(_) => Some(ModelType::Tts),
            Self::Speech2Text(_) => Some(ModelType::Speech2text),
            Self::Moderation(_) => Some(ModelType::Moderation),
            Self::ValidateModel(request) | Self::ModelSchema(request) => Some(request.model_type),
            Self::ValidateProvider(_) => None,
        }
    }

    /// Returns the short provider name.
    pub fn provider(&self) -> &str {
        match (self, self.target()) {
            (Self::ValidateProvider(request), _) => &request.provider,
            (_, Some(target)) => &target.provider,
            (_, None) => "",
        }
    }

    /// Returns the credentials of the user.
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::ValidateProvider(request) => Some(&request.credentials),
            other => other.target().map(|target| &target.credentials),
        }
    }
}
