//! Files beside a provider's file that hold facts about it for one reader: `provider/NAME.KEY.yaml` next to
//! `provider/NAME.yaml`. The daemon and Dify do not read them. What the facts mean is not known here.

use std::path::Path;

use serde_json::Value;

use super::Loader;
use crate::declare::codes::Code;
use crate::declare::manifest::Manifest;
use crate::declare::problem::Problem;
use crate::declare::shared::Scope;
use crate::declare::{Declarations, Sidecar, files};

const SUFFIX: &str = ".yaml";

/// Maximum number of entries of a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

impl Loader<'_> {
    /// Reads the sidecars of a provider's file.
    pub(super) fn sidecars(&mut self, file: &str, manifest: &Manifest, scope: &Scope) -> Vec<Sidecar> {
        let listed = manifest.provider_files();
        let mut sidecars = Vec::new();
        for (path, owner, key) in candidates(self.directory, file) {
            if owner != stem(file) || listed.contains(&path) {
                continue;
            }
            let Some(facts) = self.object(&path) else { continue };
            let Some((facts, _)) = self.expand(&path, facts, scope) else { continue };
            sidecars.push(Sidecar { key, file: path, facts: Value::Object(facts) });
        }
        sidecars
    }
}

/// Names the sidecars of these keys that are beside no provider's file.
pub(crate) fn unowned(declarations: &Declarations, keys: &[&str]) -> Vec<Problem> {
    let listed = declarations.manifest.provider_files();
    let mut found: Vec<(String, String)> = Vec::new();
    for file in &listed {
        for (path, owner, key) in candidates(&declarations.directory, file) {
            let is_known = listed.contains(&path)
                || listed.iter().any(|file| stem(file) == owner)
                || found.iter().any(|(known, _)| *known == path);
            if !is_known && keys.contains(&key.as_str()) {
                found.push((path, owner));
            }
        }
    }
    let problem = |(path, owner): (String, String)| {
        let message = format!(
            "belongs to {owner}{SUFFIX}, which the manifest does not list under `plugins.models`; facts are in the file that \
             has the name of the provider's file, one of {}",
            listed.join(", ")
        );
        Problem::new(Code::UnownedFacts, &path, "", message)
    };
    found.into_iter().map(problem).collect()
}

/// A provider's file without its extension.
fn stem(file: &str) -> &str {
    file.strip_suffix(SUFFIX).or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
}

/// Returns the path of a provider's sidecar.
#[cfg(feature = "commands")]
pub(crate) fn sidecar_file(file: &str, key: &str) -> String {
    format!("{}.{key}{SUFFIX}", stem(file))
}

/// Returns the files in the directory of a provider's file that are named as sidecars, sorted: path, the provider's file
/// without extension that each belongs to, and key.
fn candidates(directory: &Path, file: &str) -> Vec<(String, String, String)> {
    let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
    let path = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    let mut found = Vec::new();
    // A directory outside of the package is not listed.
    if !parent.is_empty() && !files::is_plain(parent) {
        return found;
    }
    for entry in std::fs::read_dir(directory.join(parent)).into_iter().flatten().flatten().take(MAX_ENTRIES) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((owner, key)) = name.strip_suffix(SUFFIX).and_then(|stem| stem.rsplit_once('.')) else { continue };
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !owner.is_empty() && !key.is_empty() && key.bytes().all(is_key) {
            found.push((path(&name), path(owner), key.to_owned()));
        }
    }
    found.sort();
    found
}
