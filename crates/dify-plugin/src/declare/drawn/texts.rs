//! Texts that users of a language do not see, in every file of a plugin: of languages that do not reach the page, and those that
//! others of the file have and one has not.
//!
//! Source: `langgenius/graphon: src/graphon/model_runtime/entities/common_entities.py`,
//! `langgenius/dify: api/core/tools/entities/common_entities.py`.

#[cfg(feature = "commands")]
use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[cfg(feature = "commands")]
use super::parts;
#[cfg(feature = "commands")]
use crate::declare::{Code, Declarations, Problem, fill_lines};

/// Languages of the texts of models that do not reach the page.
const LOST_OF_MODELS: [&str; 2] = ["pt_BR", "ja_JP"];

/// Languages that reach the page and may be missing, of models and of all other kinds.
#[cfg(feature = "commands")]
const SHOWN: [&[&str]; 2] = [&["zh_Hans"], &["zh_Hans", "pt_BR", "ja_JP"]];

/// Members without texts that Dify shows: what code reads, schemas, and names of files by language.
const WITHOUT_TEXTS: &[&str] = &[
    "extra",
    "output_schema",
    "input_schema",
    "model_properties",
    "icon_small",
    "icon_small_dark",
    "icon_large",
    "icon_large_dark",
];

/// Returns the places of texts that no page shows, in a file of a model provider.
pub(in crate::declare) fn never_shown(document: &Map<String, Value>) -> Vec<String> {
    let mut texts = Vec::new();
    collect(document, "", &mut texts);
    let places = texts.iter().flat_map(|(path, text)| {
        let lost = LOST_OF_MODELS.into_iter().filter(|language| text.contains_key(*language));
        lost.map(move |language| format!("{path}.{language}"))
    });
    places.collect()
}

/// Returns the places of texts without a language that others of the file have, and what is wrong there.
#[cfg(feature = "commands")]
fn missing(document: &Map<String, Value>, is_model: bool) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    collect(document, "", &mut texts);
    let has = |text: &Map<String, Value>, language: &str| {
        text.get(language).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    let shown = if is_model { SHOWN[0] } else { SHOWN[1] };
    let used: Vec<&str> =
        shown.iter().copied().filter(|language| texts.iter().any(|(_, text)| has(text, language))).collect();
    // A page in another language is rarely there.
    let texts = texts.into_iter().filter(|(path, _)| !path.ends_with(".url"));
    let found = texts.filter_map(|(path, text)| {
        let missing: Vec<&str> = used.iter().copied().filter(|language| !has(text, language)).collect();
        let languages = Some(missing.join(" and ")).filter(|languages| !languages.is_empty())?;
        Some((path, format!("has no text in {languages}, unlike others of this file: Dify shows the English one")))
    });
    found.collect()
}

/// The texts of a plugin without a language that others of their file have, in every file of providers, models and parts.
#[cfg(feature = "commands")]
pub(super) fn problems(declarations: &Declarations) -> Vec<Problem> {
    let mut files: BTreeMap<String, bool> = BTreeMap::new();
    for provider in &declarations.providers {
        files.extend(provider.sources.iter().chain([&provider.file]).map(|file| (file.clone(), true)));
    }
    for kind in declarations.kinds.kinds() {
        for file in declarations.manifest.files_of(kind) {
            let provider = parts::read(declarations, &file);
            let parts = provider[kind.parts_key()].as_array().into_iter().flatten().filter_map(Value::as_str);
            files.extend(parts.map(|part| (part.to_owned(), false)));
            files.insert(file, false);
        }
    }
    let mut found = Vec::new();
    for (file, is_model) in files {
        let expanded = declarations.providers.iter().find_map(|provider| provider.expanded.get(&file)).cloned();
        if let Value::Object(document) = expanded.unwrap_or_else(|| parts::read(declarations, &file)) {
            let missing = missing(&document, is_model).into_iter();
            found.extend(missing.map(|(path, message)| Problem::new(Code::LostText, &file, &path, message)));
        }
    }
    fill_lines(&declarations.directory, &mut found);
    found
}

/// The texts by language below a mapping, with their paths.
fn collect<'v>(members: &'v Map<String, Value>, prefix: &str, found: &mut Vec<(String, &'v Map<String, Value>)>) {
    for (name, value) in members.iter().filter(|(name, _)| !WITHOUT_TEXTS.contains(&name.as_str())) {
        collect_value(value, format!("{prefix}{name}"), found);
    }
}

fn collect_value<'v>(value: &'v Value, path: String, found: &mut Vec<(String, &'v Map<String, Value>)>) {
    match value {
        Value::Object(text) if text.get("en_US").is_some_and(Value::is_string) => found.push((path, text)),
        Value::Object(members) => collect(members, &format!("{path}."), found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_value(item, format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
#[cfg(feature = "commands")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_found_wherever_dify_shows_them() {
        let (both, english) = (json!({"en_US": "a", "zh_Hans": "b"}), json!({"en_US": "a"}));
        // Whether it is a model's, a file, and the places that are named.
        for (is_model, document, expected) in [
            (true, json!({"label": {"en_US": "a", "ja_JP": "b"}}), &["label.ja_JP"][..]),
            (true, json!({"help": {"title": {"en_US": "a", "pt_BR": "b"}}}), &["help.title.pt_BR"]),
            (true, json!({"parameter_rules": [{"label": both}, {"label": english}]}), &["parameter_rules[1].label"]),
            (true, json!({"label": both, "help": {"title": both, "url": english}}), &[]),
            (true, json!({"label": both, "icon_small": {"en_US": "a.svg"}}), &[]),
            (true, json!({"label": both, "model_properties": {"voices": english}}), &[]),
            // The parts and settings of other kinds reach the page in four languages.
            (false, json!({"label": {"en_US": "a", "ja_JP": "b"}}), &[]),
            (
                false,
                json!({"identity": {"label": both}, "parameters": [{"human_description": english}]}),
                &["parameters[0].human_description"],
            ),
            (
                false,
                json!({"description": {"human": both}, "parameters": [{"options": [{"label": english}]}]}),
                &["parameters[0].options[0].label"],
            ),
            (
                false,
                json!({"credentials_schema": {"key": {"label": both, "placeholder": english}}}),
                &["credentials_schema.key.placeholder"],
            ),
            (
                false,
                json!({"settings": [{"label": both}, {"label": {"en_US": "a", "zh_Hans": ""}}]}),
                &["settings[1].label"],
            ),
            (
                false,
                json!({"subscription_constructor": {"parameters": [{"label": both, "help": english}]}}),
                &["subscription_constructor.parameters[0].help"],
            ),
            (false, json!({"label": both, "output_schema": {"properties": english}, "extra": {"a": english}}), &[]),
            (false, json!({"label": english, "description": english}), &[]),
        ] {
            let fields = document.as_object().unwrap();
            let mut found = if is_model { never_shown(fields) } else { Vec::new() };
            found.extend(missing(fields, is_model).into_iter().map(|(path, _)| path));
            assert_eq!(found, expected, "{document}");
        }
    }
}
