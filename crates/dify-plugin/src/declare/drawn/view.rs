//! A plugin as Dify 1.14 shows it, as data for the workbench's page: card, forms, lists of models, parts. What is drawn wrong is
//! noted at its place. Whether the declarations are right is not decided here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::credentials;
use super::field::{maybe, two};
use super::models;
use super::parts;
use super::place::{Place, note};
use super::texts;
use crate::declare::codes::Code;
use crate::declare::i18n::I18n;
use crate::declare::problem::Problem;
use crate::declare::provider::ConfigurateMethod;
use crate::declare::{Declarations, LoadedProvider, PluginKind};

/// The version whose source was read.
const DIFY: &str = "1.14.2";

/// Plugins whose models have presets of parameters.
const PRESETS: [&str; 2] = ["openai", "azure_openai"];

/// The view of a plugin, with the notes among its problems.
pub(crate) fn view(declarations: &Declarations, problems: &[Problem]) -> Value {
    let texts = texts::problems(declarations);
    let problems = &[problems, texts.as_slice()].concat();
    let mut kinds: Vec<&str> = declarations.kinds.kinds().map(word).collect();
    if !declarations.providers.is_empty() {
        kinds.insert(0, "model");
    }
    let only_models = declarations.kinds.is_empty();
    let languages: &[&str] = if only_models { &["en_US", "zh_Hans"] } else { &["en_US", "zh_Hans", "ja_JP", "pt_BR"] };
    let mut providers: Vec<Value> =
        declarations.providers.iter().map(|provider| model_provider(declarations, provider, problems)).collect();
    providers.extend(parts::providers(declarations, problems));
    json!({
        "dify": DIFY,
        "kinds": kinds,
        "languages": languages,
        "card": card(declarations, problems, &kinds),
        "providers": providers,
        // Some are in no part that is drawn.
        "texts": {"notes": texts.iter().map(note).collect::<Vec<_>>()},
    })
}

/// What Dify shows differently than declared, by the notes of a view, beyond the problems that are known.
pub(crate) fn warnings(view: &Value, problems: &[Problem]) -> Vec<Problem> {
    let mut found = Vec::new();
    collect(view, &mut found);
    let key = |problem: &Problem| (problem.code, problem.file.clone(), problem.path.clone());
    let mut known: std::collections::HashSet<_> = problems.iter().map(key).collect();
    found.retain(|problem| known.insert(key(problem)));
    found
}

/// The notes of a part of the view.
fn collect(value: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Array(notes) if name == "notes" => found.extend(notes.iter().filter_map(problem_of)),
                    value => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn problem_of(note: &Value) -> Option<Problem> {
    let text = |key: &str| note.get(key).and_then(Value::as_str);
    let mut problem =
        Problem::new(Code::named(text("code")?)?, text("file")?, text("path")?, text("message")?.to_owned());
    problem.line = note.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
    Some(problem)
}

/// The word for a kind in the view.
pub(super) fn word(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Model => "model",
        PluginKind::Tool => "tool",
        PluginKind::Endpoint => "endpoint",
        PluginKind::AgentStrategy => "agent-strategy",
        PluginKind::Datasource => "datasource",
        PluginKind::Trigger => "trigger",
    }
}

/// The address of an icon for the page.
pub(super) fn icon(name: Option<&str>) -> Option<String> {
    name.filter(|name| !name.is_empty()).map(|name| format!("_assets/{name}"))
}

fn card(declarations: &Declarations, problems: &[Problem], kinds: &[&str]) -> Value {
    let manifest = &declarations.manifest;
    let text = |key: &str| manifest.0.get(key).cloned().unwrap_or_default();
    let category = kinds.iter().copied().find(|kind| *kind != "endpoint").unwrap_or("extension");
    let place = Place::new(&declarations.directory, "manifest.yaml", problems, false);
    let mut found = Vec::new();
    if manifest.text("icon_dark").is_empty() {
        found.push((Code::NoDarkIcon, "the light icon is shown on a dark card: there is no `icon_dark`".to_owned()));
    }
    json!({
        "author": manifest.text("author"),
        "name": manifest.text("name"),
        "version": manifest.text("version"),
        "label": text("label"),
        "description": text("description"),
        "icon": icon(Some(manifest.text("icon"))),
        "icon_dark": icon(Some(manifest.text("icon_dark"))),
        "category": category,
        "tags": manifest.0.get("tags").cloned().unwrap_or_else(|| json!([])),
        "minimum_dify_version": manifest.0.get("meta").and_then(|meta| meta.get("minimum_dify_version")),
        "notes": place.notes("icon", found),
    })
}

fn model_provider(declarations: &Declarations, provider: &LoadedProvider, problems: &[Problem]) -> Value {
    let declared = &provider.declaration;
    let place_of = |file| Place::new(&declarations.directory, file, problems, provider.expanded.contains_key(file));
    let place = place_of(&provider.file);
    let raw =
        provider.expanded.get(&provider.file).cloned().unwrap_or_else(|| parts::read(declarations, &provider.file));
    let has = |method| declared.configurate_methods.contains(&method);
    let predefined = has(ConfigurateMethod::PredefinedModel);
    let customizable = has(ConfigurateMethod::CustomizableModel);
    let credentials = declared.provider_credential_schema.as_ref().filter(|_| predefined).map(|form| {
        let path = "provider_credential_schema.credential_form_schemas";
        credentials::of_models(&form.credential_form_schemas, &place, path, &raw["provider_credential_schema"])
    });
    let model_credentials = declared.model_credential_schema.as_ref().filter(|_| customizable).map(|form| {
        let path = "model_credential_schema.credential_form_schemas";
        json!({
            "upper": credentials::upper(form, &declared.supported_model_types),
            "form": credentials::of_models(&form.credential_form_schemas, &place, path, &raw["model_credential_schema"]),
        })
    });
    let manifest = &declarations.manifest;
    let presets = manifest.text("author") == "langgenius" && PRESETS.contains(&declared.provider.as_str());
    let listed: Vec<Value> = models::order(provider)
        .into_iter()
        .map(|index| {
            let file = provider.sources.get(index).map_or("", String::as_str);
            models::model(&provider.models[index], presets, &place_of(file))
        })
        .collect();
    let small = |icon: &Option<I18n>| icon.as_ref().map(|icon| icon.en_us.clone());
    json!({
        "kind": "model",
        "name": declared.provider,
        "label": two(&declared.label),
        "description": maybe(declared.description.as_ref(), two),
        "icon": icon(small(&declared.icon_small).as_deref()),
        "icon_dark": icon(small(&declared.icon_small_dark).as_deref()),
        "languages": ["en_US", "zh_Hans"],
        "types": declared.supported_model_types.iter().map(|kind| json!({"value": kind.as_str(), "badge": models::badge(*kind)})).collect::<Vec<_>>(),
        "methods": declared.configurate_methods,
        "help": declared.help.as_ref().map(|help| json!({"text": two(&help.title), "url": two(&help.url)})),
        "has_credential_panel": predefined,
        "has_add_model": customizable,
        "credentials": credentials,
        "model_credentials": model_credentials,
        "models": listed,
        "notes": provider_notes(provider, &place),
    })
}

/// What of a provider is declared and not shown.
fn provider_notes(provider: &LoadedProvider, place: &Place<'_>) -> Vec<super::field::Note> {
    let declared = &provider.declaration;
    let mut notes = Vec::new();
    let unseen: BTreeMap<&str, bool> = [
        ("icon_large", declared.icon_large.is_some()),
        ("background", declared.background.is_some()),
        ("description", declared.description.is_some()),
    ]
    .into();
    for (key, _) in unseen.into_iter().filter(|(_, is_there)| *is_there) {
        notes.extend(place.notes(key, vec![(Code::NotDrawn, format!("`{key}` is shown nowhere in Dify {DIFY}"))]));
    }
    if declared.icon_small.is_some() && declared.icon_small_dark.is_none() {
        let message = "the light icon is shown on a dark card: there is no `icon_small_dark`".to_owned();
        notes.extend(place.notes("icon_small", vec![(Code::NoDarkIcon, message)]));
    }
    for key in ["label", "help", "supported_model_types", "configurate_methods", "models"] {
        notes.extend(place.notes(key, Vec::new()));
    }
    notes
}
