//! A group of HTTP endpoints. The daemon passes every path and method on: what is declared here is only shown to users, and
//! the plugin routes.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/endpoint_declaration.go`.

use serde::{Deserialize, Serialize};

use super::config::ConfigField;

/// The endpoints of a plugin and the settings that they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointGroupDeclaration {
    /// What users set when they add an endpoint.
    #[serde(default)]
    pub settings: Vec<ConfigField>,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: Vec<EndpointDeclaration>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointDeclaration {
    /// Its path, with the pattern of the plugin's own router.
    pub path: String,
    /// Its method.
    pub method: EndpointMethod,
    /// Whether Dify does not show it.
    #[serde(default)]
    pub hidden: bool,
}

/// Methods that the daemon passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum EndpointMethod {
    Head,
    Get,
    Post,
    Put,
    Delete,
    Options,
}

impl EndpointMethod {
    /// The names of all of them.
    pub const NAMES: [&str; 6] = ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"];
}
