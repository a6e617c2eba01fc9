//! The model that the user selected for an agent, called as Dify's own agents call it. What it is asked is the strategy's.

use serde_json::{Value, json};

use crate::plugin::dify::LlmStream;
use crate::plugin::{Dify, DifyError, ModelSelector};
use crate::protocol::{PromptMessage, Tool};

/// Bytes of a prompt that are counted as a token, for the room that is left for the response: fewer than those of English,
/// about those of Chinese.
const BYTES_PER_TOKEN: usize = 3;

/// Tokens that a response is left with, however long the prompt is.
const MIN_RESPONSE_TOKENS: u64 = 16;

/// The language model of an agent.
///
/// ```
/// use dify_plugin::plugin::agent::Model;
/// use dify_plugin::prelude::*;
/// use dify_plugin::protocol::PromptMessage;
///
/// async fn answer(call: &Call, selected: ModelSelector, query: &str) -> Result<String, PluginError> {
///     let model = Model::new(&call.dify, selected).stop("Observation:");
///     let response = model.stream(&[PromptMessage::user(query)], Vec::new()).await?.whole().await?;
///     Ok(response.text())
/// }
/// ```
pub struct Model {
    dify: Dify,
    selector: ModelSelector,
    stop: Vec<String>,
}

impl Model {
    /// The model of a `model-selector`. Stop words among its parameters are sent as such.
    pub fn new(dify: &Dify, mut selector: ModelSelector) -> Self {
        let stop = match selector.config.completion_params.shift_remove("stop") {
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(word)) if !word.is_empty() => vec![word],
            _ => Vec::new(),
        };
        Self { dify: dify.clone(), selector, stop }
    }

    /// Adds a text at which the model stops.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !self.stop.contains(&text) {
            self.stop.push(text);
        }
        self
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.selector.model
    }

    /// The full name of its provider.
    pub fn provider(&self) -> &str {
        &self.selector.provider
    }

    /// Returns whether the model has a feature, such as `vision` or `stream-tool-call`.
    pub fn has_feature(&self, name: &str) -> bool {
        self.selector.has_feature(name)
    }

    /// The conversation so far, for strategies with the feature `history-messages`.
    pub fn history(&self) -> &[PromptMessage] {
        &self.selector.history
    }

    /// Calls the model. The response of one that cannot stream tool calls comes as one chunk when it is offered tools.
    pub async fn stream(&self, messages: &[PromptMessage], tools: Vec<Tool>) -> Result<LlmStream, DifyError> {
        let is_streamed = tools.is_empty() || self.has_feature("stream-tool-call");
        let mut request = self.dify.llm(&self.selector).messages(messages.to_vec()).tools(tools);
        for word in &self.stop {
            request = request.stop(word);
        }
        if let Some(tokens) = self.response_tokens(messages) {
            request = request.parameter("max_tokens", tokens);
        }
        request.chunks(is_streamed).await
    }

    /// The parameter `max_tokens`, where the prompt leaves less room for the response than the user selected: several servers
    /// reject such a request.
    fn response_tokens(&self, messages: &[PromptMessage]) -> Option<u64> {
        let selected = self.selector.completion_params.get("max_tokens")?.as_u64()?;
        let context = self.selector.entity.as_ref()?.get("model_properties")?.get("context_size")?.as_u64()?;
        let bytes: usize = messages.iter().map(|message| message.content.text().len()).sum();
        let room = context.saturating_sub((bytes / BYTES_PER_TOKEN) as u64);
        (selected > room && selected < context).then(|| room.max(MIN_RESPONSE_TOKENS))
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Model({})", json!(self.selector.model))
    }
}
