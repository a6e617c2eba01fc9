//! Settings for the variants of the dialect that upstreams support.

use serde_json::{Map, Value};

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
    /// Whether the thoughts of responses with tool calls are sent back in `reasoning_content`.
    pub returns_thoughts: bool,
    /// What is sent with earlier calls whose thought signature is unknown.
    pub signatures: SignatureForm,
    /// Whether all system messages are merged into one at the start.
    pub system_first: bool,
    /// Whether the upstream is known to leave tool calls in the text because it has no parser for the model's format.
    /// For
    /// others, such calls are read only if the finish reason reports a call or the response contains nothing else.
    pub leaks_calls: bool,
    /// Whether streaming requests ask for usage (`stream_options`).
    pub include_usage: bool,
    /// Whether the ID of the end user is sent.
    pub send_user: bool,
    /// Parameters to rename: from Dify's name to the upstream's.
    pub renames: Vec<(String, String)>,
    /// Parameters that are never sent.
    pub dropped: Vec<String>,
    /// Members added to every body; they override parameters.
    pub extra_body: Map<String, Value>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageForm {
    /// `{"type":"image_url","image_url":{"url","detail"}}`
    #[default]
    ImageUrl,
    /// As `ImageUrl`, without `detail`.
    ImageUrlWithoutDetail,
    /// Not supported; an error.
    Unsupported,
}

/// Format of videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoForm {
    /// Not supported; an error.
    #[default]
    Unsupported,
    /// `{"type":"video_url","video_url":{"url"}}` (vLLM, Xinference, Qwen).
    VideoUrl,
    /// In the format of an image.
    ImageUrl,
}

/// Format of audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioForm {
    /// Not supported; an error.
    #[default]
    Unsupported,
    /// `{"type":"audio_url","audio_url":{"url"}}` (vLLM, Xinference).
    AudioUrl,
    /// `{"type":"input_audio","input_audio":{"data","format"}}` (OpenAI).
    InputAudio,
    /// In the format of an image.
    ImageUrl,
}

/// Format of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentForm {
    /// Not supported; an error.
    #[default]
    Unsupported,
    /// `{"type":"file","file":{"filename","file_data"}}`
    File,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StructuredForm {
    /// `response_format` of type `json_schema`.
    #[default]
    Native,
    /// `response_format` of type `json_object`, and the schema in the system message.
    JsonObject,
    /// The schema in the system message only.
    Prompt,
    /// `Native` and `Prompt`: enforced where the engine supports it, requested in the prompt otherwise.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
