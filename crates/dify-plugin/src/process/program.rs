//! The plugin that a command line is for: its name and its code. Everything that differs between plugins comes from here.

#[cfg(feature = "commands")]
use std::path::Path;
use std::sync::Arc;

use crate::config::machine::MachineAccess;
use crate::declare::permission::Permissions;
use crate::declare::{Declarations, Manifest, Problems, Severity};
use crate::model::{Dialect, Provider, Variables};
use crate::plugin::Plugin;
use crate::runtime::Registry;
use crate::runtime::described::{self, AllDescribed};

/// What a plugin gives its command line.
#[derive(Clone)]
pub struct Program {
    /// Name of the executable, as Cargo builds it.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its model providers, the main one first. They get what their credential forms may use of this machine.
    pub models: fn(MachineAccess) -> Vec<Arc<dyn Provider>>,
    /// The wire dialects that serve declarations without code of their own, by facts in YAML.
    pub dialects: &'static [&'static dyn Dialect],
    /// The code of its tools, endpoints, agent strategies, datasources and triggers.
    pub plugin: Plugin,
}

impl Program {
    /// Joins the declarations with the code that serves them. Fails if one has no counterpart in the other.
    pub(crate) fn registry(&self, declarations: Declarations, machine: MachineAccess) -> anyhow::Result<Registry> {
        let permissions = Permissions::of_manifest(&declarations.manifest);
        let user_agent = self.user_agent(&declarations.manifest);
        let mut code = self.providers(machine);
        let AllDescribed { providers, problems } = described::providers(&declarations, &code, self.dialects);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            problems.0.into_iter().partition(|problem| problem.severity == Severity::Error);
        warnings.iter().for_each(|problem| tracing::warn!(%problem, "facts about a provider"));
        if !errors.is_empty() {
            return Err(Problems(errors).into());
        }
        code.extend(providers.into_iter().map(|described| described.provider));
        let registry = Registry::new(declarations.providers, code)?;
        let registry = registry.with_declared_plugin(declarations.kinds, self.plugin.clone())?;
        Ok(registry.with_permissions(permissions).with_user_agent(user_agent))
    }

    /// The declarations of a plugin's directory, unless Dify would reject them, and every problem: those that Dify would have,
    /// what differs from the code, and what is wrong with facts about providers.
    #[cfg(feature = "commands")]
    pub(crate) fn inspect(&self, directory: &Path) -> (Option<Declarations>, Problems) {
        let (declarations, Problems(mut problems)) = self.plugin.inspect(directory);
        if let Some(declarations) = &declarations {
            problems.extend(self.described(declarations).problems.0);
        }
        (declarations, Problems(problems))
    }

    /// Whether a provider has code.
    #[cfg(feature = "commands")]
    pub(crate) fn has_code(&self, provider: &str) -> bool {
        self.providers(MachineAccess::default()).iter().any(|known| known.name() == provider)
    }

    /// The providers that their declarations describe, and what is wrong with the facts.
    #[cfg(feature = "commands")]
    pub(crate) fn described(&self, declarations: &Declarations) -> AllDescribed {
        described::providers(declarations, &self.providers(MachineAccess::default()), self.dialects)
    }

    /// All model providers with code, the main one first.
    fn providers(&self, machine: MachineAccess) -> Vec<Arc<dyn Provider>> {
        (self.models)(machine).into_iter().chain(self.plugin.models().iter().cloned()).collect()
    }

    /// How the plugin introduces itself to other servers: by its executable where that has a version of its own, otherwise
    /// by its manifest.
    fn user_agent(&self, manifest: &Manifest) -> String {
        match self.version {
            "" => {
                let (name, version) = (manifest.text("name"), manifest.text("version"));
                format!("{name}/{version} dify-plugin/{}", env!("CARGO_PKG_VERSION"))
            }
            version => format!("{}/{version}", self.name),
        }
    }

    /// The variables of the environment that stand for credential fields of a provider.
    pub(crate) fn variables(&self, provider: &str) -> Variables {
        let models = self.providers(MachineAccess::default());
        models.iter().find(|model| model.name() == provider).map_or(&[], |model| model.variables())
    }

    /// The provider that is meant where none is named: the main one, if the plugin's directory declares it.
    pub(crate) fn main_provider(&self, registry: &Registry) -> Option<String> {
        let models = self.providers(MachineAccess::default());
        let mut names = models.iter().map(|model| model.name());
        let with_code = names.find(|name| registry.get(name).is_some()).map(str::to_owned);
        with_code.or_else(|| registry.names().into_iter().next())
    }
}
