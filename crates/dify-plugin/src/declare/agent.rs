//! A provider of agent strategies and its strategies. How a strategy runs is in the protocol.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/agent_declaration.go`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::i18n::I18n;
use super::identity::{Identity, ProviderIdentity};
use super::parameter::Parameter;

/// A provider of agent strategies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentStrategyProviderDeclaration {
    /// Who it is.
    pub identity: ProviderIdentity,
    /// Its strategies.
    #[serde(default)]
    pub strategies: Vec<AgentStrategyDeclaration>,
}

impl AgentStrategyProviderDeclaration {
    /// The strategy of this name.
    pub fn strategy(&self, name: &str) -> Option<&AgentStrategyDeclaration> {
        self.strategies.iter().find(|strategy| strategy.identity.name == name)
    }
}

/// An agent strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentStrategyDeclaration {
    /// Who it is.
    pub identity: Identity,
    /// What it does.
    pub description: I18n,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The variables it gives, as a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    /// What Dify may do for it: `history-messages` sends the conversation along.
    #[serde(default)]
    pub features: Vec<String>,
}
