//! A provider of datasources and its datasources. The provider's type decides which actions Dify calls.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/datasource_declaration.go`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{ConfigField, OAuthSchema};
use super::i18n::I18n;
use super::identity::{Identity, ProviderIdentity};
use super::parameter::Parameter;

/// A provider of datasources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasourceProviderDeclaration {
    /// Who it is.
    pub identity: ProviderIdentity,
    /// Its credentials.
    #[serde(default)]
    pub credentials_schema: Vec<ConfigField>,
    /// Its OAuth, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_schema: Option<OAuthSchema>,
    /// What it is a source of.
    pub provider_type: DatasourceType,
    /// Its datasources.
    #[serde(default)]
    pub datasources: Vec<DatasourceDeclaration>,
}

impl DatasourceProviderDeclaration {
    /// The datasource of this name.
    pub fn datasource(&self, name: &str) -> Option<&DatasourceDeclaration> {
        self.datasources.iter().find(|datasource| datasource.identity.name == name)
    }
}

/// What a provider is a source of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DatasourceType {
    /// Pages of web sites.
    WebsiteCrawl,
    /// Documents of a service.
    OnlineDocument,
    /// Files of a service.
    OnlineDrive,
}

impl DatasourceType {
    /// The names of all of them.
    pub const NAMES: [&str; 3] = ["website_crawl", "online_document", "online_drive"];
}

/// A datasource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasourceDeclaration {
    /// Who it is.
    pub identity: Identity,
    /// What it gives.
    pub description: I18n,
    /// Its parameters. The debugging port wants the list even when it is empty.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// What the datasource node offers to later nodes, as a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
}
