//! Which schema is for which file of a plugin, by what the manifest and its providers name.

use std::path::Path;

use serde_json::Value;

use super::Schema;
use crate::declare::kind::PluginKind;
use crate::declare::{Manifest, files, glob, yaml};

/// Maximum size of a file that is searched for the names of others.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A file of a plugin, or a pattern of files, and its schema.
pub struct SchemaFile {
    /// Path or pattern, from the plugin's directory.
    pub path: String,
    /// Name of the schema.
    pub schema: &'static Schema,
}

impl SchemaFile {
    /// Returns the files of a plugin that it is for: those that a pattern of models matches, or the file itself.
    pub fn paths(&self, directory: &Path) -> Vec<String> {
        match self.schema.name {
            "model" => glob::model_files(directory, &self.path).unwrap_or_default(),
            _ => vec![self.path.clone()],
        }
    }
}

/// Returns the files of a plugin with their schemas. What cannot be read names nothing.
pub fn files_of(directory: &Path) -> Vec<SchemaFile> {
    let mut found = Vec::new();
    let mut add = |path: &str, name: &str| {
        if let Some(schema) = Schema::of(name) {
            found.push(SchemaFile { path: path.to_owned(), schema });
        }
    };
    add("manifest.yaml", "manifest");
    let Some(Value::Object(manifest)) = read(directory, "manifest.yaml") else { return found };
    let manifest = Manifest(manifest);
    for kind in PluginKind::ALL {
        let (provider, part) = names(kind);
        for file in manifest.files_of(kind) {
            add(&file, provider);
            let Some(content) = read(directory, &file) else { continue };
            match &content[kind.parts_key()] {
                Value::Object(types) if kind == PluginKind::Model => {
                    for group in types.values() {
                        let patterns = group["predefined"].as_array().into_iter().flatten().filter_map(Value::as_str);
                        patterns.for_each(|pattern| add(pattern, part));
                        group["position"].as_str().into_iter().for_each(|path| add(path, "position"));
                    }
                }
                Value::Array(paths) => paths.iter().filter_map(Value::as_str).for_each(|path| add(path, part)),
                _ => {}
            }
        }
    }
    found
}

/// The schemas of a kind's providers and parts.
pub(super) fn names(kind: PluginKind) -> (&'static str, &'static str) {
    match kind {
        PluginKind::Model => ("model-provider", "model"),
        PluginKind::Tool => ("tool-provider", "tool"),
        PluginKind::Endpoint => ("endpoint-group", "endpoint"),
        PluginKind::AgentStrategy => ("agent-provider", "agent-strategy"),
        PluginKind::Datasource => ("datasource-provider", "datasource"),
        PluginKind::Trigger => ("trigger-provider", "event"),
    }
}

fn read(directory: &Path, path: &str) -> Option<Value> {
    let bytes = files::read(directory, path, MAX_FILE_BYTES).ok()?;
    yaml::parse(&String::from_utf8_lossy(&bytes)).ok()
}
