//! The plugin that a command line is for: its name and its code. Everything that differs between plugins comes from here.

use std::sync::Arc;

use crate::config::machine::MachineAccess;
use crate::declare::permission::Permissions;
use crate::declare::{Declarations, Manifest};
use crate::model::{Provider, Variables};
use crate::plugin::Plugin;
use crate::runtime::Registry;

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
    /// The code of its tools, endpoints, agent strategies, datasources and triggers.
    pub plugin: Plugin,
}

impl Program {
    /// Joins the declarations with the code that serves them. Fails if one has no counterpart in the other.
    pub(crate) fn registry(&self, declarations: Declarations, machine: MachineAccess) -> anyhow::Result<Registry> {
        let permissions = Permissions::of_manifest(&declarations.manifest);
        let user_agent = self.user_agent(&declarations.manifest);
        let registry = Registry::new(declarations.providers, self.providers(machine))?;
        let registry = registry.with_declared_plugin(declarations.kinds, self.plugin.clone())?;
        Ok(registry.with_permissions(permissions).with_user_agent(user_agent))
    }

    /// All model providers, the main one first.
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
        names.find(|name| registry.get(name).is_some()).map(str::to_owned)
    }
}
