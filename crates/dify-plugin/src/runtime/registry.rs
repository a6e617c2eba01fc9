//! Which code serves which declaration: provider name → declaration, predefined models, implementation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::declare::permission::Permissions;
use crate::declare::versions::DifyVersion;
use crate::declare::{LoadedProvider, ModelSchema, ProviderDeclaration};
use crate::model::Provider;
use crate::plugin::Plugin;
use crate::protocol::ModelType;
use crate::upstream::Upstream;

/// Every provider of this process, and the way out that they share.
pub struct Registry {
    providers: BTreeMap<String, Entry>,
    plugin: Plugin,
    permissions: Option<Arc<Permissions>>,
    upstream: Upstream,
}

/// One provider: what it declares and the code behind it.
pub struct Entry {
    /// The declaration.
    pub declaration: Arc<ProviderDeclaration>,
    /// The code.
    pub provider: Arc<dyn Provider>,
    /// Declared models in the order Dify lists them.
    pub models: Arc<[Arc<ModelSchema>]>,
    /// The oldest Dify that must be able to read what the provider says of a model.
    pub minimum: DifyVersion,
    by_name: HashMap<(ModelType, String), Arc<ModelSchema>>,
}

/// A declaration without code.
#[derive(Debug, thiserror::Error)]
#[error("provider `{name}` is declared, but this executable has no code for it; it has: {known}")]
pub struct UnknownProvider {
    /// The declared name.
    pub name: String,
    /// What there is code for.
    pub known: String,
}

impl Registry {
    /// Joins declarations and code. Code without a declaration is not served.
    pub fn new(declared: Vec<LoadedProvider>, code: Vec<Arc<dyn Provider>>) -> Result<Self, UnknownProvider> {
        let mut providers = BTreeMap::new();
        for loaded in declared {
            let name = loaded.declaration.provider.clone();
            let provider = code.iter().find(|provider| provider.name() == name).cloned().ok_or_else(|| {
                let known: Vec<_> = code.iter().map(|provider| provider.name()).collect();
                UnknownProvider { name: name.clone(), known: known.join(", ") }
            })?;
            let models: Arc<[_]> = loaded.models.into_iter().map(Arc::new).collect();
            let by_name = models.iter().map(|model| ((model.model_type, model.model.clone()), model.clone())).collect();
            let (declaration, minimum) = (Arc::new(loaded.declaration), loaded.minimum);
            providers.insert(name, Entry { declaration, provider, models, minimum, by_name });
        }
        Ok(Self { providers, plugin: Plugin::new(), permissions: None, upstream: Upstream::new() })
    }

    /// Sets the way out.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = upstream;
        self
    }

    /// The way out that all sessions share.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Adds the code of kinds other than models.
    #[must_use]
    pub fn with_plugin(mut self, plugin: Plugin) -> Self {
        self.plugin = plugin;
        self
    }

    /// Sets what the manifest lets the plugin do in Dify.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(Arc::new(permissions));
        self
    }

    /// What the manifest lets the plugin do in Dify, where it is known.
    pub fn permissions(&self) -> Option<&Arc<Permissions>> {
        self.permissions.as_ref()
    }

    /// The code of kinds other than models.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// A provider by its short name; a longer form (`author/plugin/name`) is accepted.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.providers.get(name).or_else(|| self.providers.get(name.rsplit('/').next()?))
    }

    /// The names of all providers.
    pub fn names(&self) -> Vec<String> {
        self.providers.keys().cloned().collect()
    }

    /// The declaration of a provider.
    pub fn declaration(&self, name: &str) -> Option<Arc<ProviderDeclaration>> {
        self.get(name).map(|entry| entry.declaration.clone())
    }

    /// The declared models of a provider, in the order Dify lists them.
    pub fn models(&self, name: &str) -> &[Arc<ModelSchema>] {
        self.get(name).map(|entry| &entry.models[..]).unwrap_or_default()
    }
}

impl Entry {
    /// A declared model.
    pub fn model(&self, model_type: ModelType, name: &str) -> Option<Arc<ModelSchema>> {
        self.by_name.get(&(model_type, name.to_owned())).cloned()
    }
}
