//! A provider of triggers: what a subscription needs, how one is made, and the events that start workflows.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/trigger_declaration.go`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{ConfigField, OAuthSchema};
use super::i18n::I18n;
use super::identity::{Identity, ProviderIdentity};
use super::parameter::Parameter;

/// A provider of triggers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TriggerProviderDeclaration {
    /// Who it is.
    pub identity: ProviderIdentity,
    /// What a user enters for a subscription made by hand, and the properties that every subscription stores.
    #[serde(default)]
    pub subscription_schema: Vec<ConfigField>,
    /// How the plugin makes subscriptions itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_constructor: Option<SubscriptionConstructor>,
    /// Its events.
    #[serde(default)]
    pub events: Vec<EventDeclaration>,
}

impl TriggerProviderDeclaration {
    /// The event of this name.
    pub fn event(&self, name: &str) -> Option<&EventDeclaration> {
        self.events.iter().find(|event| event.identity.name == name)
    }
}

/// How a plugin makes subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionConstructor {
    /// What a user chooses for a new subscription.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Credentials by API key.
    #[serde(default)]
    pub credentials_schema: Vec<ConfigField>,
    /// Credentials by OAuth, if it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_schema: Option<OAuthSchema>,
}

/// An event that starts workflows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventDeclaration {
    /// Who it is.
    pub identity: Identity,
    /// What happened.
    pub description: I18n,
    /// What a workflow chooses of it.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The variables it gives, as a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
}
