//! What a plugin declares on disk: manifest, the providers of every kind, models, prices. Types here; loading and checking
//! in [`mod@load`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go`, `plugin_declaration.go`,
//! and the stricter entities of `langgenius/graphon: src/graphon/model_runtime/`.

pub mod agent;
pub mod code;
pub mod codes;
pub mod config;
pub mod datasource;
#[cfg(feature = "commands")]
pub mod diagnostic;
mod drawn;
pub mod endpoint;
pub mod files;
mod glob;
pub mod i18n;
pub mod identity;
pub mod kind;
pub mod kinds;
pub mod labels;
pub mod load;
pub mod manifest;
pub mod model;
pub mod parameter;
pub mod parameters;
pub mod permission;
#[cfg_attr(not(feature = "models"), path = "without_price.rs")]
pub mod price;
pub mod problem;
pub mod provider;
pub mod remote;
pub mod rules;
#[cfg(feature = "commands")]
pub mod schema;
pub mod settings;
pub mod shape;
mod shared;
pub mod source;
pub mod template;
pub mod tool;
pub mod trigger;
pub mod versions;
pub mod yaml;

use std::collections::BTreeMap;

use serde_json::Value;

pub use codes::Code;
#[cfg(feature = "commands")]
pub(crate) use drawn::{view, warnings as shown_differently};
pub use i18n::I18n;
pub use kind::PluginKind;
pub use kinds::KindDeclarations;
pub use load::{Declarations, check, load};
pub(crate) use load::{fill_lines, inspect, unowned};
#[cfg(feature = "commands")]
pub(crate) use load::{inspect_published, sidecar_file};
pub use manifest::Manifest;
pub use model::{FetchFrom, ModelFeature, ModelSchema, ParameterRule, ParameterType};
pub use price::Pricing;
pub use problem::{Problem, Problems, Severity};
pub use provider::{CredentialField, CredentialForm, ProviderDeclaration};

/// A provider with its models, as loaded from files.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadedProvider {
    /// The provider.
    pub declaration: ProviderDeclaration,
    /// Its models, in the order Dify lists them.
    pub models: Vec<ModelSchema>,
    /// Path of its file in the package.
    pub file: String,
    /// Files of its models and positions.
    pub model_files: Vec<String>,
    /// The file of each of its models, in the same order.
    pub sources: Vec<String>,
    /// The files beside its own with facts about it.
    pub sidecars: Vec<Sidecar>,
    /// Those of its files that refer to shared blocks, with the blocks expanded, as they are packaged.
    pub expanded: BTreeMap<String, Value>,
    /// The oldest Dify version that must be able to read the declarations.
    pub minimum: versions::DifyVersion,
}

impl LoadedProvider {
    /// A provider that no files declare, for every Dify version.
    pub fn new(declaration: ProviderDeclaration, models: Vec<ModelSchema>) -> Self {
        let minimum = versions::DifyVersion::NEWEST;
        let (file, model_files, sources, sidecars, expanded) = Default::default();
        Self { declaration, models, file, model_files, sources, sidecars, expanded, minimum }
    }
}

/// Facts about a provider in a file beside its own, `provider/NAME.KEY.yaml`: data for the code that the key names. Dify does
/// not read it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sidecar {
    /// The key in its name.
    pub key: String,
    /// Path of the file in the package.
    pub file: String,
    /// The facts, shared blocks expanded.
    pub facts: Value,
}

impl Sidecar {
    /// Facts that no file holds.
    pub fn new(key: impl Into<String>, facts: Value) -> Self {
        Self { key: key.into(), file: String::new(), facts }
    }
}
