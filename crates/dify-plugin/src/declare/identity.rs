//! Who a provider or a part of one is: author, name, label, icon. What it does is not part of the identity.

use serde::{Deserialize, Serialize};

use super::i18n::I18n;

/// The identity of a provider of tools, agent strategies, datasources or triggers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderIdentity {
    /// Who made it.
    pub author: String,
    /// Short name; the `provider` of every request.
    pub name: String,
    /// Name shown.
    pub label: I18n,
    /// One sentence. Tools and triggers take the manifest's when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<I18n>,
    /// File name in `_assets`.
    pub icon: String,
    /// File name in `_assets`, on a dark page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_dark: Option<String>,
    /// Tags. Tools and triggers take the manifest's when there are none.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The identity of a tool, an agent strategy, a datasource or an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// Who made it.
    pub author: String,
    /// Short name; the `tool`, `agent_strategy`, `datasource` or `event` of every request.
    pub name: String,
    /// Name shown.
    pub label: I18n,
    /// File name in `_assets`; only a datasource has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}
