//! Declarations as JSON for the daemon's debugging port: languages filled in, models as a list, positions by type.
//!
//! Source: `dify-plugin-daemon: internal/core/debugging_runtime/`, `pkg/entities/plugin_entities/model_declaration.go`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rules::MOST_FIELDS;
use super::{Declarations, LoadedProvider};
use crate::protocol::ModelType;
use crate::protocol::registration::Registration;

/// Everything that registers one provider: derived manifest, declaration, the icons that both name.
pub fn registration(declarations: &Declarations, loaded: &LoadedProvider) -> std::io::Result<Registration> {
    let manifest = declarations.manifest.derive(&loaded.declaration, &loaded.file);
    let mut icons = BTreeSet::from([manifest.text("icon"), manifest.text("icon_dark")]);
    icons.extend(loaded.declaration.icons());
    let mut assets = Vec::new();
    for icon in icons.into_iter().filter(|icon| !icon.is_empty()) {
        let bytes = std::fs::read(declarations.directory.join("_assets").join(icon))?;
        assets.push((icon.to_owned(), bytes));
    }
    let mut manifest = Value::Object(manifest.0);
    fill_languages(&mut manifest);
    Ok(Registration { manifest, provider: provider(loaded), assets })
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
    let mut room = MOST_FIELDS.saturating_sub(fields.iter().filter(|field| field["required"] == true).count());
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
