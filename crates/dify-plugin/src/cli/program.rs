//! The plugin that a command line is for: its name and its code. All that is not the same for every plugin comes from here.

use std::sync::Arc;

use crate::config::machine::MachineAccess;
use crate::model::{Provider, Variables};
use crate::runtime::Registry;

/// What a plugin gives its command line.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Name of the executable, as Cargo builds it.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its model providers, the main one first. They get what their credential forms may use of this machine.
    pub models: fn(MachineAccess) -> Vec<Arc<dyn Provider>>,
}

impl Program {
    /// The variables of the environment that stand for credential fields of a provider.
    pub(super) fn variables(&self, provider: &str) -> Variables {
        let models = (self.models)(MachineAccess::default());
        models.iter().find(|model| model.name() == provider).map_or(&[], |model| model.variables())
    }

    /// The provider that is meant where none is named: the main one, if the plugin's directory declares it.
    pub(super) fn main_provider(&self, registry: &Registry) -> Option<String> {
        let models = (self.models)(MachineAccess::default());
        let mut names = models.iter().map(|model| model.name());
        names.find(|name| registry.get(name).is_some()).map(str::to_owned)
    }
}
