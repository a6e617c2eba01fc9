//! Maps provider names to declarations, predefined models and implementations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::completed_forms::CompletedForms;
use crate::declare::permission::Permissions;
use crate::declare::versions::DifyVersion;
use crate::declare::{KindDeclarations, LoadedProvider, ModelSchema, ProviderDeclaration};
use crate::model::Provider;
use crate::plugin::Plugin;
use crate::protocol::ModelType;
use crate::upstream::Upstream;

/// All providers of this process, and the HTTP client that they share.
#[derive(Default)]
pub struct Registry {
    providers: BTreeMap<String, Entry>,
    plugin: Plugin,
    declared: KindDeclarations,
    permissions: Option<Arc<Permissions>>,
    upstream: Upstream,
    user_agent: Option<String>,
}

/// A provider: its declaration and implementation.
pub struct Entry {
    /// Declaration.
    pub declaration: Arc<ProviderDeclaration>,
    /// Implementation.
    pub provider: Arc<dyn Provider>,
    /// Declared models, in the order in which Dify lists them.
    pub models: Arc<[Arc<ModelSchema>]>,
    /// Minimum Dify version that must be able to read the provider's model schemas.
    pub minimum: DifyVersion,
    by_name: HashMap<(ModelType, String), Arc<ModelSchema>>,
    /// What was worked out for credentials of earlier calls.
    pub(super) forms: CompletedForms,
}

/// A declaration without an implementation.
#[derive(Debug, thiserror::Error)]
#[error("provider `{name}` is declared, but this executable does not implement it; available: {known}")]
pub struct UnknownProvider {
    /// Declared name.
    pub name: String,
    /// Implemented providers.
    pub known: String,
}

/// Declarations and code of kinds other than models that do not agree.
#[derive(Debug, thiserror::Error)]
#[error("the declarations and the code do not agree:\n{}", .0.join("\n"))]
pub struct UnservedKinds(pub Vec<String>);

impl Registry {
    /// Joins declarations and implementations. An implementation without a declaration is ignored.
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
            providers.insert(
                name,
                Entry { declaration, provider, models, minimum, by_name, forms: CompletedForms::default() },
            );
        }
        Ok(Self { providers, ..Self::default() })
    }

    /// Names the user agent of the HTTP client, whichever that is.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: String) -> Self {
        self.upstream = self.upstream.with_user_agent(&user_agent);
        self.user_agent = Some(user_agent);
        self
    }

    /// Sets the HTTP client.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = match &self.user_agent {
            Some(user_agent) => upstream.with_user_agent(user_agent),
            None => upstream,
        };
        self
    }

    /// Returns the HTTP client that all sessions share.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Adds the code of the plugin kinds other than models.
    #[must_use]
    pub fn with_plugin(mut self, plugin: Plugin) -> Self {
        self.plugin = plugin;
        self
    }

    /// Adds the code of kinds other than models with what the package declares of them: they must agree.
    pub fn with_declared_plugin(mut self, declared: KindDeclarations, plugin: Plugin) -> Result<Self, UnservedKinds> {
        let differences = plugin.differences(&declared);
        if !differences.is_empty() {
            return Err(UnservedKinds(differences));
        }
        (self.plugin, self.declared) = (plugin, declared);
        Ok(self)
    }

    /// What the package declares of kinds other than models.
    pub fn declared(&self) -> &KindDeclarations {
        &self.declared
    }

    /// Sets the permissions in the manifest.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(Arc::new(permissions));
        self
    }

    /// Returns the permissions in the manifest, if they are known.
    pub fn permissions(&self) -> Option<&Arc<Permissions>> {
        self.permissions.as_ref()
    }

    /// Returns the code of the plugin kinds other than models.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Returns a provider by its short name; the long form (`author/plugin/name`) is accepted too.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.providers.get(name).or_else(|| self.providers.get(name.rsplit('/').next()?))
    }

    /// Returns the names of all providers.
    pub fn names(&self) -> Vec<String> {
        self.providers.keys().cloned().collect()
    }

    /// Returns the declaration of a provider.
    pub fn declaration(&self, name: &str) -> Option<Arc<ProviderDeclaration>> {
        self.get(name).map(|entry| entry.declaration.clone())
    }

    /// Returns the declared models of a provider, in the order in which Dify lists them.
    pub fn models(&self, name: &str) -> &[Arc<ModelSchema>] {
        self.get(name).map(|entry| &entry.models[..]).unwrap_or_default()
    }
}

impl Entry {
    /// Returns a declared model.
    pub fn model(&self, model_type: ModelType, name: &str) -> Option<Arc<ModelSchema>> {
        self.by_name.get(&(model_type, name.to_owned())).cloned()
    }
}
