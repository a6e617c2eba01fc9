//! Tools of Dify: of plugins, workflows, APIs and MCP servers. Their messages are those that a tool sends.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{BackwardsRequest, InvokeType};
use crate::protocol::tool_message::Message;

/// Where a tool comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ToolType {
    /// A plugin.
    Builtin,
    /// A workflow that is published as a tool.
    Workflow,
    /// An API that a user described.
    Api,
    /// An MCP server; its identifier is the provider.
    Mcp,
}

impl ToolType {
    /// Reads the name that tool selectors use. `plugin` is another word for `builtin`.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "builtin" | "plugin" => Some(Self::Builtin),
            "workflow" => Some(Self::Workflow),
            "api" => Some(Self::Api),
            "mcp" => Some(Self::Mcp),
            _ => None,
        }
    }
}

/// `tool`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ToolInvocation {
    tool_type: ToolType,
    /// The provider's full name.
    pub provider: String,
    tool: String,
    /// Parameters by name.
    pub tool_parameters: Map<String, Value>,
    /// The app of the session; today's daemon drops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Whose credentials are used, where the provider has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
}

impl ToolInvocation {
    /// A tool without parameters.
    pub fn new(tool_type: ToolType, provider: impl Into<String>, tool: impl Into<String>) -> Self {
        Self {
            tool_type,
            provider: provider.into(),
            tool: tool.into(),
            tool_parameters: Map::new(),
            app_id: None,
            credential_id: None,
        }
    }
}

impl BackwardsRequest for ToolInvocation {
    type Response = Message;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Tool
    }
}
