//! The providers of this repository as they are declared, with the blocks that their files share; read once.

use std::path::Path;
use std::sync::LazyLock;

use dify_plugin::declare::{self, ProviderDeclaration};

/// All of them.
pub fn declarations() -> &'static [ProviderDeclaration] {
    static ALL: LazyLock<Vec<ProviderDeclaration>> = LazyLock::new(|| {
        let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        declared.providers.into_iter().map(|loaded| loaded.declaration).collect()
    });
    &ALL
}

/// One of them.
pub fn declaration(provider: &str) -> ProviderDeclaration {
    declarations().iter().find(|declaration| declaration.provider == provider).unwrap().clone()
}
