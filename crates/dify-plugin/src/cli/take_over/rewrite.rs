//! Writes the directory of the native plugin: declarations as published, without what the facts leave out, the facts beside the
//! provider's file, the manifest in its native form, pages and notices.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::scratch::Scratch;
use super::{Identity, TakenProvider, notice};
use crate::declare::load::privacy_file;
use crate::declare::versions::{DifyVersion, Minimum};
use crate::declare::{Declarations, LoadedProvider, files, sidecar_file, yaml};
use crate::model::LeftOut;
use crate::protocol::ModelType;

/// The member of facts that names what they leave out. What is left out is not in the directory, so neither is this.
const LEFT_OUT: &str = "left_out";

/// Maximum size of a file that is copied, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The page that Dify shows.
const README: &str = "README.md";

/// Writes everything. A provider comes with the key of its dialect and its facts.
pub(super) fn write(
    scratch: &Scratch,
    declarations: &Declarations,
    providers: &[(TakenProvider, String, String)],
    identity: &Identity,
) -> anyhow::Result<()> {
    let manifest = manifest(declarations, providers.iter().map(|(provider, ..)| provider), identity);
    scratch.write("manifest.yaml", yaml::write(&Value::Object(manifest)).as_bytes())?;
    let mut copied = BTreeSet::new();
    for key in ["icon", "icon_dark"] {
        copied.insert(format!("_assets/{}", declarations.manifest.text(key)));
    }
    copied.extend(privacy_file(declarations.manifest.text("privacy")).map(str::to_owned));
    for (provider, key, facts) in providers {
        let (loaded, left_out) = (&provider.loaded, &provider.left_out);
        copied.extend(loaded.declaration.icons().map(|icon| format!("_assets/{icon}")));
        provider_file(scratch, declarations, loaded, key, left_out)?;
        models(scratch, declarations, loaded, left_out)?;
        scratch.write(&sidecar_file(&loaded.file, key), without_left_out(facts)?.as_bytes())?;
    }
    for file in copied.iter().filter(|file| !file.ends_with('/')) {
        // A missing one is a warning about the declarations.
        if let Ok(bytes) = files::read(&declarations.directory, file, MAX_FILE_BYTES) {
            scratch.write(file, &bytes)?;
        }
    }
    pages(scratch, declarations)?;
    notice::write(scratch, declarations, providers.iter().map(|(provider, ..)| provider))
}

/// The manifest in its native form. The packager adds the architectures.
fn manifest<'p>(
    declarations: &Declarations,
    providers: impl Iterator<Item = &'p TakenProvider>,
    identity: &Identity,
) -> Map<String, Value> {
    let mut manifest = declarations.manifest.0.clone();
    for (key, replaced) in [("author", &identity.author), ("name", &identity.name)] {
        if let Some(replaced) = replaced {
            manifest.insert(key.to_owned(), replaced.as_str().into());
        }
    }
    if let Some(meta) = manifest.get_mut("meta").and_then(Value::as_object_mut) {
        // The daemon starts the launcher of the package with Python, which starts the executable.
        meta.insert("runner".to_owned(), json!({"language": "python", "version": "3.12", "entrypoint": "main"}));
        if let Some(version) = newer_dify(declarations, providers) {
            meta.insert("minimum_dify_version".to_owned(), version.to_string().into());
        }
    }
    manifest
}

/// The Dify version that the served models need, if it is newer than the one that the manifest names.
pub(super) fn newer_dify<'p>(
    declarations: &Declarations,
    providers: impl Iterator<Item = &'p TakenProvider>,
) -> Option<DifyVersion> {
    let served = providers.flat_map(|TakenProvider { loaded, left_out, .. }| {
        let models = loaded.models.iter();
        models.filter(|model| !is_left_out(left_out, model.model_type, Some(&model.model)))
    });
    let needed = served.flat_map(|model| &model.features).map(|feature| feature.since()).max()?;
    (needed > Minimum::of_manifest(&declarations.manifest.0).version).then_some(needed)
}

/// Copies a provider's file. It changes only if a whole model type is left out, or if it has facts of its own.
fn provider_file(
    scratch: &Scratch,
    declarations: &Declarations,
    loaded: &LoadedProvider,
    key: &str,
    left_out: &[LeftOut],
) -> anyhow::Result<()> {
    let types: Vec<ModelType> = ModelType::ALL.into_iter().filter(|kind| is_left_out(left_out, *kind, None)).collect();
    let has_facts = loaded.declaration.extra.contains_key(key);
    if types.is_empty() && !has_facts && !loaded.expanded.contains_key(&loaded.file) {
        return scratch.write(&loaded.file, &read(declarations, &loaded.file)?);
    }
    let mut value = value(declarations, loaded, &loaded.file)?;
    let Some(provider) = value.as_object_mut() else { bail!("{} must be an object", loaded.file) };
    provider.shift_remove(key);
    if let Some(supported) = provider.get_mut("supported_model_types").and_then(Value::as_array_mut) {
        supported.retain(|name| !types.iter().any(|kind| name.as_str() == Some(kind.as_str())));
    }
    if let Some(groups) = provider.get_mut("models").and_then(Value::as_object_mut) {
        groups.retain(|group, _| !types.iter().any(|kind| kind.yaml_key() == group));
    }
    scratch.write(&loaded.file, yaml::write(&value).as_bytes())
}

/// Copies the files of models and positions that are served.
fn models(
    scratch: &Scratch,
    declarations: &Declarations,
    loaded: &LoadedProvider,
    left_out: &[LeftOut],
) -> anyhow::Result<()> {
    for file in &loaded.model_files {
        if left_out.is_empty() && !loaded.expanded.contains_key(file) {
            scratch.write(file, &read(declarations, file)?)?;
            continue;
        }
        let mut contents = value(declarations, loaded, file)?;
        match &mut contents {
            Value::Array(names) => {
                let gone = |name: &Value| name.as_str().is_some_and(|name| is_position_gone(loaded, left_out, name));
                let before = names.len();
                names.retain(|name| !gone(name));
                if names.len() != before {
                    scratch.write(file, yaml::write(&contents).as_bytes())?;
                    continue;
                }
            }
            Value::Object(model) => {
                let name = model.get("model").and_then(Value::as_str);
                let kind = model.get("model_type").and_then(Value::as_str);
                let kind = ModelType::ALL.into_iter().find(|known| Some(known.as_str()) == kind);
                if kind.is_some_and(|kind| is_left_out(left_out, kind, name)) {
                    continue;
                }
            }
            _ => {}
        }
        match loaded.expanded.get(file) {
            Some(expanded) => scratch.write(file, yaml::write(expanded).as_bytes())?,
            None => scratch.write(file, &read(declarations, file)?)?,
        }
    }
    Ok(())
}

/// Whether a model type, or a model of it, is left out.
pub(super) fn is_left_out(left_out: &[LeftOut], kind: ModelType, model: Option<&str>) -> bool {
    left_out.iter().any(|left| {
        left.model_type == kind && left.model.as_deref().is_none_or(|name| model.is_some_and(|model| model == name))
    })
}

/// Whether no model of this name remains.
fn is_position_gone(loaded: &LoadedProvider, left_out: &[LeftOut], name: &str) -> bool {
    let mut named = loaded.models.iter().filter(|model| model.model == name).peekable();
    named.peek().is_some() && named.all(|model| is_left_out(left_out, model.model_type, Some(name)))
}

fn without_left_out(facts: &str) -> anyhow::Result<String> {
    let mut document = yaml::Document::parse(facts).map_err(|error| anyhow::anyhow!("the facts: {error}"))?;
    if document.get(LEFT_OUT).is_none() {
        return Ok(facts.to_owned());
    }
    if document.remove(LEFT_OUT).is_ok() {
        return Ok(document.text().to_owned());
    }
    let mut value = document.value().clone();
    if let Some(facts) = value.as_object_mut() {
        facts.shift_remove(LEFT_OUT);
    }
    Ok(yaml::write(&value))
}

/// Copies the pages and notices that the directory has. Dify requires a page.
fn pages(scratch: &Scratch, declarations: &Declarations) -> anyhow::Result<()> {
    let directory = &declarations.directory;
    for file in ["PRIVACY.md", "LICENSE", "NOTICE"] {
        if directory.join(file).is_file() {
            scratch.write(file, &read(declarations, file)?)?;
        }
    }
    let page = match directory.join(README).is_file() {
        true => read(declarations, README)?,
        false => format!("# {}\n", declarations.manifest.text("name")).into_bytes(),
    };
    scratch.write(README, &page)?;
    for entry in std::fs::read_dir(directory.join("readme")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Other names are not read by Dify, and rejected by the packager.
        if name.starts_with("README_") && name.ends_with(".md") && entry.path().is_file() {
            let file = format!("readme/{name}");
            scratch.write(&file, &read(declarations, &file)?)?;
        }
    }
    Ok(())
}

fn value(declarations: &Declarations, loaded: &LoadedProvider, file: &str) -> anyhow::Result<Value> {
    if let Some(expanded) = loaded.expanded.get(file) {
        return Ok(expanded.clone());
    }
    let text = String::from_utf8(read(declarations, file)?).with_context(|| format!("{file} is not UTF-8"))?;
    yaml::parse(&text).map_err(|error| anyhow::anyhow!("{file} {error}"))
}

fn read(declarations: &Declarations, file: &str) -> anyhow::Result<Vec<u8>> {
    files::read(&declarations.directory, file, MAX_FILE_BYTES).map_err(|why| anyhow::anyhow!("{file} {why}"))
}
