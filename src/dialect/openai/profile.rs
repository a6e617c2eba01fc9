//! Which variant of the dialect an upstream speaks: switches, no code.

use serde_json::{Map, Value};

/// Everything in which compatible upstreams differ on the way in. The default is OpenAI's own form without tools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Chat or plain completion.
    pub mode: Mode,
    /// How pictures are sent.
    pub image: ImageForm,
    /// How films are sent.
    pub video: VideoForm,
    /// How recordings are sent.
    pub audio: AudioForm,
    /// How documents are sent.
    pub document: DocumentForm,
    /// How tools are offered and their history is written.
    pub tools: ToolForm,
    /// How an answer by a schema is asked for.
    pub structured: StructuredForm,
    /// Where the thinking switch goes.
    pub thinking: ThinkingForm,
    /// Name of `max_tokens` on the wire.
    pub max_tokens: MaxTokensName,
    /// Whether data is sent rather than a URL, when a part has both: the upstream cannot reach Dify's files.
    pub prefer_inline: bool,
    /// Whether the thoughts of answers with calls go back, in `reasoning_content`.
    pub returns_thoughts: bool,
    /// What goes with earlier calls whose thought signature is not known.
    pub signatures: SignatureForm,
    /// Whether all system messages become one in front.
    pub system_first: bool,
    /// Whether the upstream is known to leave calls in the text, for want of a parser of the model's format. Of any other
    /// they are read only where it says itself that a call was made, or where the answer is nothing else.
    pub leaks_calls: bool,
    /// Whether a stream is asked for its usage (`stream_options`).
    pub include_usage: bool,
    /// Whether the end user's id is sent.
    pub send_user: bool,
    /// Parameters that are renamed: from our name to the upstream's.
    pub renames: Vec<(String, String)>,
    /// Parameters that are never sent.
    pub dropped: Vec<String>,
    /// Members added to every body; they win over parameters.
    pub extra_body: Map<String, Value>,
}

/// Chat or plain completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `/chat/completions` with messages.
    #[default]
    Chat,
    /// `/completions` with one prompt.
    Completion,
}

impl Mode {
    /// Path below the API's root.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Completion => "completions",
        }
    }
}

/// Pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageForm {
    /// `{"type":"image_url","image_url":{"url","detail"}}`
    #[default]
    ImageUrl,
    /// The same without `detail`.
    ImageUrlWithoutDetail,
    /// An error that says so.
    Refused,
}

/// Films.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoForm {
    /// An error that says so.
    #[default]
    Refused,
    /// `{"type":"video_url","video_url":{"url"}}` (vLLM, Xinference, Qwen).
    VideoUrl,
    /// As a picture.
    ImageUrl,
}

/// Recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioForm {
    /// An error that says so.
    #[default]
    Refused,
    /// `{"type":"audio_url","audio_url":{"url"}}` (vLLM, Xinference).
    AudioUrl,
    /// `{"type":"input_audio","input_audio":{"data","format"}}` (OpenAI).
    InputAudio,
    /// As a picture.
    ImageUrl,
}

/// Documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentForm {
    /// An error that says so.
    #[default]
    Refused,
    /// `{"type":"file","file":{"filename","file_data"}}`
    File,
}

/// Tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolForm {
    /// Tools are not offered, and calls in answers are passed over.
    #[default]
    None,
    /// `tools`, `tool_calls`, role `tool`.
    ToolCall,
    /// `functions`, `function_call`, role `function`.
    FunctionCall,
}

/// An answer by a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StructuredForm {
    /// `response_format` of type `json_schema`.
    #[default]
    Native,
    /// `response_format` of type `json_object`, and the schema in the system message.
    JsonObject,
    /// The schema in the system message only.
    Prompt,
    /// Both: enforced where the engine can, asked for where it cannot.
    NativeAndPrompt,
}

/// Where `enable_thinking` and `reasoning_effort` go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThinkingForm {
    /// `chat_template_kwargs.enable_thinking` and `.thinking`.
    pub template_kwargs: bool,
    /// `enable_thinking` at the top.
    pub top_level: bool,
    /// `thinking: {"type": "enabled" | "disabled"}`.
    pub object: bool,
}

impl ThinkingForm {
    /// Whether the upstream has any switch.
    pub fn is_switchable(self) -> bool {
        self.template_kwargs || self.top_level || self.object
    }
}

/// Thought signatures of earlier calls, which Gemini wants behind some gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureForm {
    /// Those that are known.
    #[default]
    Known,
    /// The documented value where none is known.
    Completed,
    /// The documented value in place of all.
    Replaced,
}

/// Name of the output limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensName {
    /// `max_tokens`
    #[default]
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
    /// By the model's name: reasoning models of OpenAI take the second.
    Auto,
}

impl MaxTokensName {
    /// The name for this model.
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
