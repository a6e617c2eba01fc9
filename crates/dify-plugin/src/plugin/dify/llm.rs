//! Language models.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};

use super::{Calls, Dify, DifyError};
use crate::protocol::backwards::{LlmChunk, LlmCollector, LlmInvocation, LlmResult, ModelConfig, SummaryInvocation};
use crate::protocol::{PromptMessage, Tool, ToolChoice};

impl Dify {
    /// A call of a language model: add messages, then [`Llm::stream`] or [`Llm::whole`].
    pub fn llm(&self, model: &ModelConfig) -> Llm {
        Llm {
            dify: self.clone(),
            model: model.clone(),
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            stop: Vec::new(),
            schema: None,
        }
    }

    /// A summary by the workspace's system model. A text below 1,024 characters is its own summary.
    pub async fn summary(&self, text: &str, instruction: &str) -> Result<String, DifyError> {
        if text.chars().nth(SummaryInvocation::MIN_TEXT_CHARACTERS - 1).is_none() {
            return Ok(text.to_owned());
        }
        let request = SummaryInvocation { text: text.to_owned(), instruction: instruction.to_owned() };
        Ok(self.call_once(request).await?.summary)
    }
}

/// A call of a language model that is being described.
#[must_use = "nothing is sent before `stream` or `whole`"]
pub struct Llm {
    dify: Dify,
    model: ModelConfig,
    messages: Vec<PromptMessage>,
    tools: Vec<Tool>,
    tool_choice: Option<ToolChoice>,
    stop: Vec<String>,
    schema: Option<Map<String, Value>>,
}

impl Llm {
    /// Adds instructions.
    pub fn system(self, text: impl Into<String>) -> Self {
        self.messages([PromptMessage::system(text.into())])
    }

    /// Adds what the user says.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.messages([PromptMessage::user(text.into())])
    }

    /// Adds messages.
    pub fn messages(mut self, messages: impl IntoIterator<Item = PromptMessage>) -> Self {
        self.messages.extend(messages);
        self
    }

    /// Adds functions that the model may call.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Whether and which tool must be called.
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Adds a text at which the model stops.
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Sets a parameter of the model.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.model.completion_params.insert(name.into(), value.into());
        self
    }

    /// Requests a response that follows this JSON schema; see [`LlmResult::structured_output`].
    pub fn structured(mut self, schema: Map<String, Value>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sends the call; the response comes as it is made.
    pub async fn stream(self) -> Result<LlmStream, DifyError> {
        self.chunks(true).await
    }

    /// Sends the call and waits for the whole response.
    pub async fn whole(self) -> Result<LlmResult, DifyError> {
        self.chunks(false).await?.whole().await
    }

    /// Sends the call; without `is_streamed`, the whole response is one chunk.
    pub(crate) async fn chunks(self, is_streamed: bool) -> Result<LlmStream, DifyError> {
        self.send(is_streamed).await.map(LlmStream)
    }

    async fn send(self, stream: bool) -> Result<Calls<LlmChunk>, DifyError> {
        let mut request = LlmInvocation::new(self.model, self.messages, stream);
        request.tools = Some(self.tools).filter(|tools| !tools.is_empty());
        request.tool_choice = self.tool_choice;
        request.stop = Some(self.stop).filter(|stop| !stop.is_empty());
        request.structured_output_schema = self.schema;
        self.dify.call(request).await
    }
}

/// The chunks of a language model's response.
pub struct LlmStream(Calls<LlmChunk>);

impl LlmStream {
    /// The next chunk, once it is there; `None` once the response is complete.
    pub async fn next(&mut self) -> Option<Result<LlmChunk, DifyError>> {
        self.0.next().await
    }

    /// What is left of the response, joined.
    pub async fn whole(mut self) -> Result<LlmResult, DifyError> {
        let mut whole = LlmCollector::default();
        while let Some(chunk) = self.next().await {
            whole.push(chunk?);
        }
        Ok(whole.finish())
    }
}

impl Stream for LlmStream {
    type Item = Result<LlmChunk, DifyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}
