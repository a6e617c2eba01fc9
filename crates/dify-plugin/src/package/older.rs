//! Adapts a provider to an older Dify by omitting features that it does not know. Files are not changed; the package is
//! written from the result.

use super::PackageError;
use crate::declare::versions::{self, DifyVersion};
use crate::declare::{Declarations, LoadedProvider, files, yaml};

/// Returns the provider for a minimum Dify version, or an error if a model requires a feature that this version lacks.
pub fn suit(
    declarations: &Declarations,
    loaded: &LoadedProvider,
    version: DifyVersion,
) -> Result<LoadedProvider, PackageError> {
    let mut suited = LoadedProvider { minimum: version, ..loaded.clone() };
    for path in &loaded.model_files {
        let value = match loaded.expanded.get(path) {
            Some(value) => value.clone(),
            None => read(declarations, path)?,
        };
        // A `_position.yaml` is not a model.
        let serde_json::Value::Object(mut model) = value else { continue };
        let changed = versions::suit(&mut model, version).map_err(|feature| {
            PackageError::Wrong(format!(
                "{path} needs the feature `{feature}`, which Dify {version} cannot read; package this provider for a newer one"
            ))
        })?;
        if changed {
            suited.expanded.insert(path.clone(), model.into());
        }
    }
    Ok(suited)
}

fn read(declarations: &Declarations, path: &str) -> Result<serde_json::Value, PackageError> {
    let wrong = |why: String| PackageError::Wrong(format!("{path} {why}"));
    let bytes = files::read(&declarations.directory, path, yaml::MAX_YAML_BYTES).map_err(wrong)?;
    yaml::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| wrong(error.to_string()))
}
