//! A provider of tools and its tools. How a tool is called is in the protocol.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/tool_declaration.go`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{ConfigField, OAuthSchema};
use super::i18n::I18n;
use super::identity::{Identity, ProviderIdentity};
use super::parameter::Parameter;

/// A provider of tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolProviderDeclaration {
    /// Who it is.
    pub identity: ProviderIdentity,
    /// Its credentials.
    #[serde(default)]
    pub credentials_schema: Vec<ConfigField>,
    /// Its OAuth, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_schema: Option<OAuthSchema>,
    /// Its tools.
    #[serde(default)]
    pub tools: Vec<ToolDeclaration>,
}

impl ToolProviderDeclaration {
    /// The tool of this name.
    pub fn tool(&self, name: &str) -> Option<&ToolDeclaration> {
        self.tools.iter().find(|tool| tool.identity.name == name)
    }
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDeclaration {
    /// Who it is.
    pub identity: Identity,
    /// What it does.
    pub description: ToolDescription,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The variables it gives, as a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    /// Whether Dify asks the plugin for further parameters.
    #[serde(default)]
    pub has_runtime_parameters: bool,
}

/// What a tool does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDescription {
    /// For users.
    pub human: I18n,
    /// For models.
    pub llm: String,
}
