//! The tools that the user selected for an agent: what a model is offered, and the calls that it requests. A call never
//! fails: what went wrong is the text that the model reads, so that it can react.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::timeout;

use super::observation::Observation;
use crate::plugin::{Dify, DifyError, Message, SelectedTool};
use crate::protocol::{PromptMessage, Tool, ToolCall};

/// Bytes of a result that a model reads, if the strategy sets no other limit: about 60,000 tokens of English.
const MAX_RESULT_BYTES: usize = 256 * 1024;

/// Calls that run at the same time.
const MAX_CONCURRENT_CALLS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// The tools of an agent, each under a name of its own.
///
/// ```
/// use dify_plugin::plugin::agent::ToolSet;
/// use dify_plugin::prelude::*;
/// use dify_plugin::protocol::ToolCall;
///
/// async fn weather(call: &Call, selected: Vec<SelectedTool>) -> String {
///     let tools = ToolSet::new(&call.dify, selected);
///     let requested = ToolCall::function("1", "forecast", r#"{"place": "Riga"}"#);
///     // If there is no such tool, the text says which tools there are.
///     tools.call(&requested).await.text
/// }
/// ```
pub struct ToolSet {
    dify: Dify,
    tools: Vec<(String, SelectedTool)>,
    max_result_bytes: usize,
    concurrency: NonZeroUsize,
    timeout: Option<Duration>,
}

/// What came of a call that a model requested.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ToolResult {
    /// What was requested.
    pub call: ToolCall,
    /// The arguments that the tool got, the values that the user has fixed among them.
    pub arguments: Map<String, Value>,
    /// What the model reads.
    pub text: String,
    /// The messages for the user: files, images, links to files. Hand them on with
    /// [`Messages::forward`](crate::plugin::Messages::forward).
    pub files: Vec<Message>,
    /// Whether the call failed; the text says why.
    pub is_error: bool,
}

impl ToolResult {
    /// The result as a message of the conversation.
    pub fn message(&self) -> PromptMessage {
        PromptMessage::tool(&self.call, self.text.as_str())
    }
}

impl ToolSet {
    /// All tools that the user selected. Of two with the same name, the second is offered as `name_2`.
    pub fn new(dify: &Dify, selected: Vec<SelectedTool>) -> Self {
        let mut tools: Vec<(String, SelectedTool)> = Vec::with_capacity(selected.len());
        for tool in selected {
            let own = tool.identity.name.clone();
            let is_free = |name: &str| tools.iter().all(|(taken, _)| taken != name);
            let name = if is_free(&own) {
                own
            } else {
                (2..=tools.len() + 2).map(|number| format!("{own}_{number}")).find(|name| is_free(name)).unwrap_or(own)
            };
            tools.push((name, tool));
        }
        let dify = dify.clone();
        Self { dify, tools, max_result_bytes: MAX_RESULT_BYTES, concurrency: MAX_CONCURRENT_CALLS, timeout: None }
    }

    /// Keeps the tools with these names; all of them if there are no names.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Self {
        self.tools
            .retain(|(name, tool)| names.is_empty() || names.contains(name) || names.contains(&tool.identity.name));
        self
    }

    /// Sets how many bytes of a result the model reads; 256 KiB by default.
    #[must_use]
    pub fn max_result_bytes(mut self, bytes: usize) -> Self {
        self.max_result_bytes = bytes;
        self
    }

    /// Sets how many calls run at the same time; 16 by default.
    #[must_use]
    pub fn concurrency(mut self, calls: NonZeroUsize) -> Self {
        self.concurrency = calls;
        self
    }

    /// Sets how long a call may take from now on; the model reads that it took longer. Without it, the limit is Dify's own
    /// of 240 s.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    /// How many calls run at the same time.
    pub(super) fn concurrent_calls(&self) -> usize {
        self.concurrency.get()
    }

    /// Whether there are no tools.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The names under which the tools are offered.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|(name, _)| name.as_str())
    }

    /// The tool of a name.
    pub fn get(&self, name: &str) -> Option<&SelectedTool> {
        self.tools.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
    }

    /// The tools as a model is offered them.
    pub fn prompt_tools(&self) -> Vec<Tool> {
        self.tools.iter().map(|(name, tool)| Tool { name: name.clone(), ..tool.prompt_tool() }).collect()
    }

    /// Calls a tool with the arguments that the model wrote.
    pub async fn call(&self, requested: &ToolCall) -> ToolResult {
        let failed = |arguments, text| ToolResult {
            call: requested.clone(),
            arguments,
            text,
            files: Vec::new(),
            is_error: true,
        };
        let name = &requested.function.name;
        let Some(tool) = self.get(name) else { return failed(Map::new(), self.unknown(name)) };
        let mut arguments = match read_arguments(&requested.function.arguments) {
            Ok(arguments) => arguments,
            Err(problem) => {
                let text = format!("The arguments for `{name}` are not a JSON object: {problem}. Call it again.");
                return failed(Map::new(), text);
            }
        };
        let running = self.invoke(tool, arguments.clone());
        let outcome = match self.timeout {
            None => running.await,
            Some(limit) => match timeout(limit, running).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let text =
                        format!("The tool `{name}` did not finish within {} s, and was given up.", limit.as_secs());
                    return failed(arguments, text);
                }
            },
        };
        arguments.extend(tool.runtime_parameters.clone());
        match outcome {
            Ok(observation) => {
                let (text, files) = observation.finish();
                ToolResult { call: requested.clone(), arguments, text, files, is_error: false }
            }
            Err(error) => failed(arguments, format!("The tool `{name}` failed: {error}")),
        }
    }

    async fn invoke(&self, tool: &SelectedTool, arguments: Map<String, Value>) -> Result<Observation, DifyError> {
        let mut observation = Observation::new(self.max_result_bytes);
        let mut messages = tool.invocation(&self.dify, arguments).stream().await?;
        while let Some(message) = messages.next().await {
            observation.push(message?, tool.provider_type == "workflow");
        }
        Ok(observation)
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
        match names.is_empty() {
            true => format!("There is no tool `{name}`, and no other tool."),
            false => format!("There is no tool `{name}`. The tools are {}.", names.join(", ")),
        }
    }
}

/// The arguments of a call; a model that has none to give writes nothing, or null.
fn read_arguments(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(format!("found {}", crate::protocol::lenient::kind_of(&other))),
        Err(error) if error.is_eof() => Err("the text ends too early".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
