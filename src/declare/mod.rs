//! What a plugin declares on disk: manifest, providers, models, prices. Types here; loading and checking in [`load`].
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go`, `plugin_declaration.go`,
//! and the stricter entities of `langgenius/graphon: src/graphon/model_runtime/`.

pub mod i18n;
pub mod model;
pub mod price;
pub mod provider;

pub use i18n::I18n;
pub use model::{FetchFrom, ModelFeature, ModelSchema, ParameterRule, ParameterType, Pricing};
pub use provider::{CredentialField, CredentialForm, ProviderDeclaration};

/// A provider with its models, as loaded from files.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedProvider {
    /// The provider.
    pub declaration: ProviderDeclaration,
    /// Its models, in the order Dify lists them.
    pub models: Vec<ModelSchema>,
}
