//! Declarations as JSON for the daemon's debugging port: languages filled in, models as an array, positions by type.
//!
//! Source: `dify-plugin-daemon: internal/core/debugging_runtime/`, `pkg/entities/plugin_entities/model_declaration.go`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rules::MAX_REMOTE_FORM_FIELDS;
use super::{Declarations, LoadedProvider, Manifest, PluginKind, files};
use crate::protocol::ModelType;
use crate::protocol::registration::Registration;

/// The ID under which a plugin is registered for debugging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// A separate ID, and labels that show it. The daemon replaces an installed plugin of the same ID when a debugged
    /// one connects, and *uninstalls* it from the workspace when that one disconnects.
    #[default]
    Own,
    /// The ID of the installed plugin.
    Real,
}

/// Maximum total size of assets: the port accepts 50 MB.
const MAX_ICON_BYTES: u64 = 16 * 1024 * 1024;

/// Suffix of the name and the labels of a debugged plugin.
const NAME_SUFFIX: &str = "-debug";
const LABEL_SUFFIX: &str = " (debug)";

/// Maximum length of a plugin's name.
const MAX_NAME_CHARACTERS: usize = 128;

/// Adds the suffix to a manifest and the labels of its providers. Names of providers are unchanged, because requests
/// contain them.
fn rename<'a>(manifest: &'a mut Value, providers: impl IntoIterator<Item = &'a mut Value>) {
    if let Some(Value::String(name)) = manifest.get_mut("name") {
        name.truncate(name.floor_char_boundary(MAX_NAME_CHARACTERS - NAME_SUFFIX.len()));
        name.push_str(NAME_SUFFIX);
    }
    for labels in manifest.get_mut("label").into_iter().chain(providers) {
        for label in labels.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Value::String(label) = label {
                label.push_str(LABEL_SUFFIX);
            }
        }
    }
}

/// Returns everything that registers one provider: derived manifest, declaration, and the icons of both.
pub fn registration(
    declarations: &Declarations,
    loaded: &LoadedProvider,
    identity: Identity,
) -> std::io::Result<Registration> {
    let manifest = declarations.manifest.derive(&loaded.declaration, &loaded.file);
    let assets = assets(declarations, &manifest, loaded.declaration.icons())?;
    let mut manifest = Value::Object(manifest.0);
    fill_languages(&mut manifest);
    let mut provider = provider(loaded);
    if identity == Identity::Own {
        rename(&mut manifest, [&mut provider["label"]]);
    }
    let declarations = vec![(PluginKind::Model.registration_event(), json!([provider]))];
    Ok(Registration { manifest, declarations, assets })
}

/// Returns everything that registers the plugin types other than models, which share one connection: the manifest, a
/// declaration of each type, and their icons.
pub fn kinds_registration(declarations: &Declarations, identity: Identity) -> std::io::Result<Registration> {
    let assets = assets(declarations, &declarations.manifest, declarations.kinds.icons().into_iter())?;
    let mut manifest = Value::Object(declarations.manifest.0.clone());
    fill_languages(&mut manifest);
    let mut events = declarations.kinds.events();
    if identity == Identity::Own {
        rename(&mut manifest, events.iter_mut().filter_map(|(_, data)| data.pointer_mut("/0/identity/label")));
    }
    Ok(Registration { manifest, declarations: events, assets })
}

/// Reads the icons of a manifest and its declarations.
fn assets<'a>(
    declarations: &Declarations,
    manifest: &'a Manifest,
    named: impl Iterator<Item = &'a str>,
) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut icons = BTreeSet::from([manifest.text("icon"), manifest.text("icon_dark")]);
    icons.extend(named);
    let mut assets = Vec::new();
    for icon in icons.into_iter().filter(|icon| !icon.is_empty()) {
        let asset = format!("_assets/{icon}");
        let bytes = files::read(&declarations.directory, &asset, MAX_ICON_BYTES);
        let bytes = bytes.map_err(|why| std::io::Error::other(format!("{asset} {why}")))?;
        assets.push((icon.to_owned(), bytes));
    }
    Ok(assets)
}

/// Returns the provider declaration; the key `models` is always present.
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

/// Keeps the fields that the port accepts: required ones first, then optional ones, in order.
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

/// Fills in the missing languages of every text, as the Python SDK does before it sends it.
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
