//! Tools: of plugins, workflows, APIs and MCP servers.

use serde_json::{Map, Value};

use super::{Calls, Dify, DifyError};
use crate::protocol::backwards::{ToolInvocation, ToolType};
use crate::protocol::tool_message::Message;

impl Dify {
    /// A call of a tool: add parameters, then [`ToolCallback::stream`] or [`ToolCallback::whole`].
    ///
    /// Files of the tool come as links to what Dify has stored; hand such messages on as they are.
    pub fn tool(&self, tool_type: ToolType, provider: impl Into<String>, tool: impl Into<String>) -> ToolCallback {
        ToolCallback { dify: self.clone(), request: ToolInvocation::new(tool_type, provider, tool) }
    }
}

/// A call of a tool that is being described.
#[must_use = "nothing is sent before `stream` or `whole`"]
pub struct ToolCallback {
    dify: Dify,
    request: ToolInvocation,
}

impl ToolCallback {
    /// Sets a parameter.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.request.tool_parameters.insert(name.into(), value.into());
        self
    }

    /// Sets parameters.
    pub fn parameters(mut self, parameters: Map<String, Value>) -> Self {
        self.request.tool_parameters.extend(parameters);
        self
    }

    /// Whose credentials are used. By default those that the user chose for the provider in the session.
    pub fn credential(mut self, id: impl Into<String>) -> Self {
        self.request.credential_id = Some(id.into());
        self
    }

    /// Sends the call; the messages come as the tool sends them.
    pub async fn stream(mut self) -> Result<Calls<Message>, DifyError> {
        let facts = &self.dify.facts;
        self.request.app_id = facts.app_id.as_deref().map(str::to_owned);
        if self.request.credential_id.is_none() {
            let chosen = facts.tool_credentials.get(&self.request.provider).and_then(Value::as_str);
            self.request.credential_id = chosen.filter(|id| !id.is_empty()).map(str::to_owned);
        }
        self.dify.call(self.request).await
    }

    /// Sends the call and waits for all messages.
    pub async fn whole(self) -> Result<Vec<Message>, DifyError> {
        self.stream().await?.all().await
    }
}
