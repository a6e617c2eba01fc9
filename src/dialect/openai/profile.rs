//! Settings for the variants of the dialect that upstreams support.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::options::parameters::switched;
use super::options::{Conversions, ParameterRule};

/// Everything in which the request formats of compatible upstreams differ. The default is OpenAI's own format without
/// tools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Chat or completion mode.
    pub mode: Mode,
    /// Format of images.
    pub image: ImageForm,
    /// Format of videos.
    pub video: VideoForm,
    /// Format of audio.
    pub audio: AudioForm,
    /// Format of documents.
    pub document: DocumentForm,
    /// Format of tools and of their history.
    pub tools: ToolForm,
    /// How structured output is requested.
    pub structured: StructuredForm,
    /// Position of the thinking switch.
    pub thinking: ThinkingForm,
    /// Wire name of `max_tokens`.
    pub max_tokens: MaxTokensName,
    /// Whether data is preferred to a URL if a part has both, because the upstream cannot reach Dify's files.
    pub prefer_inline: bool,
    /// Whether `tool_choice` is sent with tools even if the app did not choose.
    pub always_chooses: bool,
    /// Whether thoughts are left out of responses.
    pub hides_thoughts: bool,
    /// When the thoughts of earlier responses are sent back in `reasoning_content`.
    pub reasoning_back: ReasoningBack,
    /// What happens to the messages of a conversation.
    pub history: History,
    /// What is sent with earlier calls whose thought signature is unknown.
    pub signatures: SignatureForm,
    /// Whether the upstream is known to leave tool calls in the text because it has no parser for the model's format.
    /// For
    /// others, such calls are read only if the finish reason reports a call or the response contains nothing else.
    pub leaks_calls: bool,
    /// Whether streaming requests ask for usage (`stream_options`).
    pub include_usage: bool,
    /// Where the ID of the end user is sent; nowhere if absent.
    pub user: Option<UserForm>,
    /// Which stop sequences are sent.
    pub stop: StopForm,
    /// Whether responses are streamed.
    pub stream: StreamForm,
    /// Conversions of parameters.
    pub parameters: Conversions,
    /// Rules that drop or set parameters, before their conversion.
    pub rules: Vec<ParameterRule>,
    /// Members added to every body; they override parameters.
    pub extra_body: Map<String, Value>,
    /// Texts that are removed from responses.
    pub strip: Vec<String>,
}

/// When the thoughts of earlier responses are sent back in `reasoning_content`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningBack {
    /// Never.
    #[default]
    Never,
    /// With responses that contain tool calls, even if the thoughts are unknown.
    WithCalls,
    /// With every response whose thoughts are known.
    WhenKnown,
    /// With every response, even if the thoughts are unknown.
    Always,
}

/// What happens to the messages of a conversation, which some upstreams expect in a strict order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Consecutive user or assistant messages are merged, with this text between them.
    pub merge: Option<String>,
    /// Messages without content and calls are left out.
    pub drops_empty: bool,
    /// What happens to system messages.
    pub system: SystemForm,
}

/// What happens to system messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemForm {
    /// They stay where they are.
    #[default]
    Keep,
    /// All are merged into one at the start.
    First,
    /// They are left out.
    Drop,
}

/// Where the ID of the end user is sent, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UserForm {
    /// The member. Default: `user`.
    pub field: String,
    /// Maximum length in characters; a longer ID is cut.
    pub longest: Option<usize>,
    /// The ID is replaced with its hash, in hexadecimal digits.
    pub hash: Option<UserHash>,
}

impl Default for UserForm {
    fn default() -> Self {
        Self { field: "user".to_owned(), longest: None, hash: None }
    }
}

impl UserForm {
    /// Returns the value that is sent for a user.
    pub fn value<'u>(&self, user: &'u str) -> Cow<'u, str> {
        let id = match self.hash {
            Some(UserHash::Sha256) => Cow::Owned(hex::encode(Sha256::digest(user))),
            None => Cow::Borrowed(user),
        };
        match self.longest.and_then(|longest| id.char_indices().nth(longest)) {
            Some((end, _)) => Cow::Owned(id[..end].to_owned()),
            None => id,
        }
    }
}

/// Hash of a user's ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserHash {
    /// SHA-256.
    Sha256,
}

/// Which stop sequences are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopForm {
    /// All.
    #[default]
    All,
    /// The first ones, up to this number.
    AtMost(usize),
}

/// Whether responses are streamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StreamForm {
    /// As the app asks.
    #[default]
    AsAsked,
    /// Never.
    Never,
    /// As the app asks, unless this boolean parameter is false.
    Parameter(String),
}

impl StreamForm {
    /// Whether a request is streamed that the app asks to be streamed or not.
    pub fn streams(&self, asked: bool, parameters: &Map<String, Value>) -> bool {
        match self {
            Self::AsAsked => asked,
            Self::Never => false,
            Self::Parameter(name) => asked && parameters.get(name).and_then(switched) != Some(false),
        }
    }
}

/// Chat or completion mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Messages.
    #[default]
    Chat,
    /// A single prompt.
    Completion,
}

/// Format of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageForm {
    /// `{"type":"image_url","image_url":{"url","detail"}}`
    #[default]
    #[serde(rename = "url")]
    ImageUrl,
    /// As `url`, without `detail`.
    #[serde(rename = "url_without_detail")]
    ImageUrlWithoutDetail,
    /// As `url`, with the Base64 data alone as the URL, if the data is known.
    Base64,
    /// A line of text that names the file.
    Text,
    /// Not supported; an error.
    #[serde(rename = "refuse")]
    Unsupported,
}

/// Format of videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VideoForm {
    /// Not supported; an error.
    #[default]
    #[serde(rename = "refuse")]
    Unsupported,
    /// `{"type":"video_url","video_url":{"url"}}` (vLLM, Xinference, Qwen).
    #[serde(rename = "url", alias = "video_url")]
    VideoUrl,
    /// As `url`, with the Base64 data alone as the URL, if the data is known.
    Base64,
    /// In the format of an image.
    #[serde(rename = "as_image")]
    ImageUrl,
    /// A line of text that names the file.
    Text,
}

/// Format of audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioForm {
    /// Not supported; an error.
    #[default]
    #[serde(rename = "refuse")]
    Unsupported,
    /// `{"type":"audio_url","audio_url":{"url"}}` (vLLM, Xinference).
    #[serde(rename = "url", alias = "audio_url")]
    AudioUrl,
    /// `{"type":"input_audio","input_audio":{"data","format"}}` (OpenAI).
    InputAudio,
    /// In the format of an image.
    #[serde(rename = "as_image")]
    ImageUrl,
    /// A line of text that names the file.
    Text,
}

/// Format of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentForm {
    /// Not supported; an error.
    #[default]
    #[serde(rename = "refuse")]
    Unsupported,
    /// `{"type":"file","file":{"filename","file_data"}}`
    File,
    /// A line of text that names the file.
    Text,
}

/// Format of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolForm {
    /// Tools are not offered, and tool calls in responses are ignored.
    #[default]
    None,
    /// `tools`, `tool_calls`, role `tool`.
    ToolCall,
    /// `functions`, `function_call`, role `function`.
    FunctionCall,
}

/// Format of structured output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StructuredForm {
    /// `response_format` of type `json_schema`.
    #[default]
    Native,
    /// `response_format` of type `json_object`, and the schema in the system message.
    JsonObject,
    /// The schema in the system message only.
    Prompt,
    /// `Native` and `Prompt`: enforced where the engine supports it, requested in the prompt otherwise.
    #[serde(rename = "both")]
    NativeAndPrompt,
}

/// Position of `enable_thinking` and `reasoning_effort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThinkingForm {
    /// `chat_template_kwargs.enable_thinking` and `.thinking`.
    pub template_kwargs: bool,
    /// `enable_thinking` at the top level.
    pub top_level: bool,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    pub object: bool,
}

impl ThinkingForm {
    /// Whether the upstream has a thinking switch.
    pub fn is_switchable(self) -> bool {
        self.template_kwargs || self.top_level || self.object
    }
}

/// Thought signatures of earlier calls, which Gemini requires behind some gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureForm {
    /// Send the known ones.
    #[default]
    Known,
    /// Send the known ones, and the documented placeholder for others.
    Completed,
    /// Send the documented placeholder for all.
    Replaced,
}

/// Wire name of the output limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensName {
    /// `max_tokens`
    #[default]
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
    /// Depends on the model name: OpenAI's reasoning models require `max_completion_tokens`.
    Auto,
}

impl MaxTokensName {
    /// Returns the name for this model.
    pub fn for_model(self, model: &str) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::Auto => {
                let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
                let reasoning = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| {
                    name.strip_prefix(family).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
                });
                if reasoning { "max_completion_tokens" } else { "max_tokens" }
            }
        }
    }
}
