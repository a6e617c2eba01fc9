//! `POST /v1/chat/completions`: the request, and its translation into a call of a language model. No I/O.

mod content;
mod format;
mod message;
mod parameters;
mod tools;

pub use content::{Attachment, Source};
pub use format::Schema;
pub use parameters::{Parameters, check_choices, check_logprobs, stops};

use dify_plugin::protocol::{PromptMessage, Tool, ToolChoice};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::read::{Texts, required};
use format::ResponseFormat;
use message::Message;

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChatRequest {
    pub model: Option<String>,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    stop: Option<Texts>,
    tools: Option<Vec<tools::Definition>>,
    tool_choice: Option<tools::Choice>,
    response_format: Option<ResponseFormat>,
    functions: Option<Vec<Value>>,
    modalities: Option<Vec<String>>,
    n: Option<u64>,
    logprobs: Option<bool>,
    top_logprobs: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    seed: Option<i64>,
    reasoning_effort: Option<String>,
    /// Of apps: the inputs of this request.
    inputs: Option<Map<String, Value>>,
    /// Of apps: names the conversation.
    conversation_id: Option<String>,
    metadata: Option<Map<String, Value>>,
}

/// See [`Mode`].
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    include_usage: Option<bool>,
}

/// How the response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One JSON object.
    Whole,
    /// Server-sent events, with a last one about the usage if the client requests it.
    Stream { include_usage: bool },
}

impl Mode {
    pub fn of(stream: Option<bool>, options: Option<StreamOptions>) -> Self {
        let include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
        if stream.unwrap_or(false) { Self::Stream { include_usage } } else { Self::Whole }
    }
}

/// A request for a language model.
#[derive(Debug)]
pub struct ModelCall {
    pub messages: Vec<PromptMessage>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub stop: Vec<String>,
    /// By Dify's names.
    pub parameters: Parameters,
    /// The schema that the response must follow.
    pub schema: Option<Schema>,
}

/// A request for an app.
#[derive(Debug)]
pub struct AppCall {
    /// What the user says, with the earlier messages in front of it where the app does not know them.
    pub query: String,
    /// The files of the last message.
    pub attachments: Vec<Attachment>,
    pub inputs: Map<String, Value>,
    /// The client's name of the conversation.
    pub conversation: Option<String>,
}

impl ChatRequest {
    pub fn mode(&self) -> Mode {
        Mode::of(self.stream, self.stream_options)
    }

    /// What neither models nor apps can do.
    fn check(&self) -> Result<(), ApiError> {
        parameters::check_choices("n", self.n)?;
        parameters::check_logprobs(self.logprobs, self.top_logprobs)?;
        if self.functions.as_ref().is_some_and(|functions| !functions.is_empty()) {
            return Err(ApiError::unsupported("functions", "`functions` are not supported: use `tools`."));
        }
        if self.modalities.iter().flatten().any(|modality| modality != "text") {
            return Err(ApiError::unsupported("modalities", "Only the modality `text` is supported."));
        }
        Ok(())
    }

    /// Translates the request for a language model.
    pub fn into_model_call(self) -> Result<ModelCall, ApiError> {
        self.check()?;
        let messages = message::prompt(required(self.messages, "messages")?)?;
        let tools = tools::definitions(self.tools.unwrap_or_default())?;
        let tool_choice = self.tool_choice.map(|choice| tools::choice(choice, &tools)).transpose()?;
        let mut parameters = Parameters::default();
        parameters.set("temperature", self.temperature);
        parameters.set("top_p", self.top_p);
        parameters.set("top_k", self.top_k);
        parameters.set("max_tokens", self.max_completion_tokens.or(self.max_tokens));
        parameters.set("presence_penalty", self.presence_penalty);
        parameters.set("frequency_penalty", self.frequency_penalty);
        parameters.set("seed", self.seed);
        parameters.set("reasoning_effort", self.reasoning_effort);
        let schema = match self.response_format {
            Some(format) => format.apply(&mut parameters, !tools.is_empty())?,
            None => None,
        };
        let stop = parameters::stops(self.stop)?;
        Ok(ModelCall { messages, tools, tool_choice, stop, parameters, schema })
    }

    /// Translates the request for an app. `header` is the client's name of the conversation beside the body.
    pub fn into_app_call(self, header: Option<&str>) -> Result<AppCall, ApiError> {
        self.check()?;
        if self.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
            return Err(ApiError::unsupported("tools", "Apps of Dify have tools of their own; send no `tools`."));
        }
        if self.response_format.as_ref().is_some_and(|format| !format.is_text()) {
            let message = "Apps of Dify decide the form of their answers; send no `response_format`.";
            return Err(ApiError::unsupported("response_format", message));
        }
        let of_metadata = || self.metadata.as_ref()?.get("conversation_id")?.as_str().map(str::to_owned);
        let conversation = self.conversation_id.or_else(of_metadata).or_else(|| header.map(str::to_owned));
        let conversation = conversation.filter(|id| !id.is_empty());
        if conversation.as_ref().is_some_and(|id| id.len() > 256) {
            return Err(ApiError::invalid("`conversation_id` is longer than 256 bytes.").with_param("conversation_id"));
        }
        let messages = required(self.messages, "messages")?;
        let (query, attachments) = message::query(messages, conversation.is_some())?;
        Ok(AppCall { query, attachments, inputs: self.inputs.unwrap_or_default(), conversation })
    }
}
