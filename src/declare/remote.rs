//! Declarations as JSON for the daemon's debugging port: languages filled in, models as a list, positions by type.
//!
//! Source: `dify-plugin-daemon: internal/core/debugging_runtime/`, `pkg/entities/plugin_entities/model_declaration.go`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rules::MAX_REMOTE_FORM_FIELDS;
use super::{Declarations, LoadedProvider, files};
use crate::protocol::ModelType;
use crate::protocol::registration::Registration;

/// Under which name a plugin is registered for debugging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// One of its own, and labels that say so. The daemon takes an installed plugin of the same id over when a debugged one
    /// connects, and *uninstalls* it from the workspace when that one disconnects.
    #[default]
    Own,
    /// That of the installed plugin.
    Real,
}

/// The port takes 50 MB of all of them.
const MAX_ICON_BYTES: u64 = 16 * 1024 * 1024;

/// What a debugged plugin's name ends in, and its labels.
const NAME_SUFFIX: &str = "-debug";
const LABEL_SUFFIX: &str = " (debug)";

/// Longest name of a plugin.
const MAX_NAME_CHARACTERS: usize = 128;

/// Gives a manifest and its provider a name and labels of their own. The provider's name stays: requests come back under it.
fn rename(manifest: &mut Value, provider: &mut Value) {
    if let Some(Value::String(name)) = manifest.get_mut("name") {
        name.truncate(name.floor_char_boundary(MAX_NAME_CHARACTERS - NAME_SUFFIX.len()));
        name.push_str(NAME_SUFFIX);
    }
    for labels in [manifest, provider].map(|value| value.get_mut("label").and_then(Value::as_object_mut)) {
        for label in labels.into_iter().flat_map(Map::values_mut) {
            if let Value::String(label) = label {
                label.push_str(LABEL_SUFFIX);
            }
        }
    }
}

/// Everything that registers one provider: derived manifest, declaration, the icons that both name.
pub fn registration(
    declarations: &Declarations,
    loaded: &LoadedProvider,
    identity: Identity,
) -> std::io::Result<Registration> {
    let manifest = declarations.manifest.derive(&loaded.declaration, &loaded.file);
    let mut icons = BTreeSet::from([manifest.text("icon"), manifest.text("icon_dark")]);
    icons.extend(loaded.declaration.icons());
    let mut assets = Vec::new();
    for icon in icons.into_iter().filter(|icon| !icon.is_empty()) {
        let asset = format!("_assets/{icon}");
        let bytes = files::read(&declarations.directory, &asset, MAX_ICON_BYTES);
        let bytes = bytes.map_err(|why| std::io::Error::other(format!("{asset} {why}")))?;
        assets.push((icon.to_owned(), bytes));
    }
    let mut manifest = Value::Object(manifest.0);
    fill_languages(&mut manifest);
    let mut provider = provider(loaded);
    if identity == Identity::Own {
        rename(&mut manifest, &mut provider);
    }
    Ok(Registration { manifest, provider, assets })
}

/// The provider declaration, with the key `models` always there.
pub fn provider(loaded: &LoadedProvider) -> Value {
    let mut value = json!(loaded.declaration);
    fill_languages(&mut value);
    for form in ["provider_credential_schema", "model_credential_schema"] {
        if let Some(Value::Array(fields)) = value.pointer_mut(&format!("/{form}/credential_form_schemas")) {
            shorten(fields);
        }
    }
    let mut position = Map::new();
    for kind in ModelType::ALL {
        let names: Vec<&str> =
            loaded.models.iter().filter(|model| model.model_type == kind).map(|model| model.model.as_str()).collect();
        if !names.is_empty() {
            position.insert(kind.yaml_key().to_owned(), json!(names));
        }
    }
    value["models"] = json!(loaded.models);
    if !position.is_empty() {
        value["position"] = Value::Object(position);
    }
    value
}

/// Keeps what the port takes: required fields first, then optional ones, in their order.
fn shorten(fields: &mut Vec<Value>) {
    let mut room =
        MAX_REMOTE_FORM_FIELDS.saturating_sub(fields.iter().filter(|field| field["required"] == true).count());
    fields.retain(|field| {
        let keep = field["required"] == true || room > 0;
        if field["required"] != true {
            room = room.saturating_sub(1);
        }
        keep
    });
}

/// Gives every text object its missing languages, as the reference does before it sends.
pub fn fill_languages(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(english) = map.get("en_US").filter(|text| text.is_string()).cloned() {
                for language in ["zh_Hans", "pt_BR", "ja_JP"] {
                    let entry = map.entry(language).or_insert(Value::Null);
                    if entry.as_str().is_none_or(str::is_empty) {
                        *entry = english.clone();
                    }
                }
                return;
            }
            map.values_mut().for_each(fill_languages);
        }
        Value::Array(items) => items.iter_mut().for_each(fill_languages),
        _ => {}
    }
}
