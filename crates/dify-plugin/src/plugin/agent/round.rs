//! A round of an agent in its log, as Dify's users know it: `ROUND 1`, with the model's thought and each call of a tool
//! below it. The calls of a round run at the same time; their results come in the order in which they were requested.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::{AgentMessages, Model, Span, ToolResult, ToolSet};
use crate::plugin::PluginError;
use crate::protocol::{LlmUsage, ToolCall};

/// One round. It is shown as failed if it is dropped unfinished.
///
/// ```
/// use dify_plugin::plugin::agent::{Model, Round, ToolSet};
/// use dify_plugin::prelude::*;
/// use dify_plugin::protocol::PromptMessage;
/// use dify_plugin::serde_json::json;
///
/// /// Asks the model once, and calls the tools that it requests.
/// async fn round(
///     model: &Model,
///     tools: &ToolSet,
///     messages: &mut Vec<PromptMessage>,
///     out: &mut AgentMessages,
/// ) -> Result<(), PluginError> {
///     let round = Round::start(out, 1).await?;
///     let thought = round.thought(model).await?;
///     let response = model.stream(messages, tools.prompt_tools()).await?.whole().await?;
///     thought.finish(json!({"output": response.text()})).await?;
///     messages.push(response.message());
///     for result in round.call(tools, &response.tool_calls, out).await? {
///         messages.push(result.message());
///     }
///     round.finish(json!({"output": response.text()})).await
/// }
/// ```
pub struct Round(Span);

impl Round {
    /// Begins a round.
    pub async fn start(out: &AgentMessages, number: u32) -> Result<Self, PluginError> {
        Ok(Self(out.log(format!("ROUND {number}")).start().await?))
    }

    /// Begins the entry of a call of the model; see [`Span::set_usage`].
    pub async fn thought(&self, model: &Model) -> Result<Span, PluginError> {
        self.0.child(format!("{} Thought", model.name())).metadata("provider", model.provider()).start().await
    }

    /// Calls the tools, and hands the files that they return to the user. The results are in the order of the calls. An
    /// error is one of the session: what fails in a tool is in its result.
    pub async fn call(
        &self,
        tools: &ToolSet,
        calls: &[ToolCall],
        out: &mut AgentMessages,
    ) -> Result<Vec<ToolResult>, PluginError> {
        // A list, because a future with a lazy iterator in it could not be sent to another thread.
        let mut running = Vec::with_capacity(calls.len());
        for requested in calls {
            running.push(self.call_one(tools, requested));
        }
        let running = stream::iter(running).buffered(tools.concurrent_calls());
        // Files are sent once all calls are done: a call that is not waited for could keep others from going on.
        let mut results: Vec<ToolResult> = running.try_collect().await?;
        for result in &mut results {
            for file in std::mem::take(&mut result.files) {
                if let Err(error) = out.forward(file.clone()).await {
                    result.text.push_str(&format!("\nThe file could not be shown to the user: {error}"));
                } else {
                    result.files.push(file);
                }
            }
        }
        Ok(results)
    }

    async fn call_one(&self, tools: &ToolSet, requested: &ToolCall) -> Result<ToolResult, PluginError> {
        let name = &requested.function.name;
        let provider = tools.get(name).map_or("", |tool| &tool.identity.provider);
        let span = self.0.child(format!("CALL {name}")).metadata("provider", provider).start().await?;
        let result = tools.call(requested).await;
        let data = json!({"output": shown(&result)});
        match result.is_error {
            true => span.fail_with(&result.text, data).await?,
            false => span.finish(data).await?,
        }
        Ok(result)
    }

    /// Shows what the round's call of the model used, if that is known.
    pub fn set_usage<'a>(&mut self, usage: impl Into<Option<&'a LlmUsage>>) {
        self.0.set_usage(usage);
    }

    /// The round is done; `data` is shown.
    pub async fn finish(self, data: impl Serialize) -> Result<(), PluginError> {
        self.0.finish(data).await
    }

    /// The round failed.
    pub async fn fail(self, error: impl std::fmt::Display) -> Result<(), PluginError> {
        self.0.fail(error).await
    }
}

/// A result as Dify's own agents log it.
fn shown(result: &ToolResult) -> Value {
    json!({
        "tool_call_id": result.call.id,
        "tool_call_name": result.call.function.name,
        "tool_call_input": result.arguments,
        "tool_response": result.text,
    })
}
