//! Declarations as JSON for the daemon's debugging port: languages filled in, models as a list, positions by type.
//!
//! Source: `dify-plugin-daemon: internal/core/debugging_runtime/`, `pkg/entities/plugin_entities/model_declaration.go`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rules::MAX_REMOTE_FORM_FIELDS;
use super::{Declarations, LoadedProvider, Manifest, PluginKind, files};
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

/// Gives a manifest and its providers' labels a name of their own. A provider's name stays: requests come back under it.
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

/// Everything that registers one provider: derived manifest, declaration, the icons that both name.
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

/// Everything that registers the kinds beside models, which one connection serves: the manifest, a declaration of each kind,
/// the icons that they name.
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

/// The icons that a manifest and its declarations name.
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
