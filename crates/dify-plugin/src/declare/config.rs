//! Fields that users and administrators fill in: credentials of tools, datasources and triggers, clients of OAuth, settings
//! of endpoints, properties of subscriptions. The forms of model providers are in [`super::provider`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/config.go`, `oauth.go`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::i18n::I18n;

/// A field of a form; Dify calls it `ProviderConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigField {
    /// Name of the value.
    pub name: String,
    /// Type of the field.
    #[serde(rename = "type")]
    pub kind: ConfigFieldType,
    /// What a selector offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whether it must be filled in.
    #[serde(default)]
    pub required: bool,
    /// Value when nothing is filled in: text, a number, true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Values of a select field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<ConfigOption>,
    /// Whether several values can be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Label shown.
    pub label: I18n,
    /// Explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<I18n>,
    /// Example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<I18n>,
    /// Link of the explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl ConfigField {
    /// Whether Dify stores the value encrypted and hides it.
    pub fn is_secret(&self) -> bool {
        self.kind == ConfigFieldType::SecretInput
    }
}

/// Types of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConfigFieldType {
    /// Text that is hidden.
    SecretInput,
    /// Text.
    TextInput,
    /// One of a list.
    Select,
    /// True or false.
    Boolean,
    /// An app of the workspace.
    AppSelector,
    /// A model of the workspace.
    ModelSelector,
    /// Tools of the workspace.
    #[serde(rename = "array[tools]")]
    ToolsSelector,
}

/// A value of a select field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigOption {
    /// The value.
    pub value: String,
    /// Label shown.
    pub label: I18n,
}

/// What OAuth needs and what it gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OAuthSchema {
    /// What an administrator enters once: the client's id and secret.
    #[serde(default)]
    pub client_schema: Vec<ConfigField>,
    /// What `get_credentials` gives. Only secrets among these are stored encrypted.
    #[serde(default)]
    pub credentials_schema: Vec<ConfigField>,
}
