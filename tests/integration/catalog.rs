//! The generic provider and the providers of `catalog/`, which are data without code: complete files, packages, and every model
//! called through a plugin at a mock of the provider's API that knows the provider's rules.

mod listed;
mod requests;

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{compatible_server, elf, harness, schema_rules, untranslated};
use compatible_server::{ANSWER, KEY, Seen, Server};
use dify_plugin::declare::{self, LoadedProvider, ModelSchema, yaml};
use dify_plugin::protocol::ModelType;
use dify_plugin::runtime::described;
use harness::Outcome;
use listed::{DIALECTS, LISTED, Listed, call};
use requests::rules;
use serde_json::{Value, json};

fn check(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_file_is_complete() {
    let mut wrong = Vec::new();
    for listed in &LISTED {
        let declarations = listed.load();
        wrong.extend(declare::check(&listed.path()).iter().map(|problem| format!("{}: {problem}", listed.directory)));
        let made =
            described::providers(&declarations, &dify_plugin_runtime::providers::all(Default::default()), DIALECTS);
        wrong.extend(made.problems.0.iter().map(|problem| format!("{}: {problem}", listed.directory)));
        let loaded = listed.provider(&declarations);
        if loaded.models.len() < listed.models {
            wrong.push(format!("{}: {} models", listed.id, loaded.models.len()));
        }
        let mut labels = BTreeSet::new();
        for (model, file) in loaded.models.iter().zip(&loaded.sources) {
            let text = std::fs::read_to_string(listed.path().join(file)).unwrap();
            wrong.extend(schema_rules::broken(model).into_iter().map(|what| format!("{}: {what}", listed.id)));
            wrong.extend(incomplete(model, &text).into_iter().map(|what| format!("{file}: {what}")));
            if model.label.en_us == model.model || !labels.insert((model.model_type, &model.label.en_us)) {
                wrong.push(format!("{file}: label {}", model.label.en_us));
            }
        }
        let files = std::iter::once(&loaded.file).chain(&loaded.model_files);
        for file in files {
            let text = std::fs::read_to_string(listed.path().join(file)).unwrap();
            let contents = loaded.expanded.get(file).cloned().unwrap_or_else(|| yaml::parse(&text).unwrap());
            untranslated::untranslated(&contents, file, &mut wrong);
        }
        wrong.extend(pages_and_icons(listed, &loaded.declaration.extra));
        wrong.extend(positions(listed, loaded));
    }
    check(&wrong);
}

/// What a model's declaration lacks.
fn incomplete(model: &ModelSchema, text: &str) -> Vec<String> {
    let sized = matches!(model.model_type, ModelType::Llm | ModelType::TextEmbedding | ModelType::Rerank);
    let has_price = model.pricing.is_some() || !matches!(model.model_type, ModelType::Llm | ModelType::TextEmbedding);
    let dated = text.lines().find(|line| line.starts_with("# price: "));
    [
        ("no context size", sized && model.number_property("context_size").is_none_or(|size| size < 256)),
        ("neither a price nor a note about it", dated.is_none()),
        ("a price without a date", has_price && dated.is_some_and(|line| !line.contains("202"))),
        ("no mode", model.model_type == ModelType::Llm && !model.model_properties.contains_key("mode")),
        ("no voices", model.model_type == ModelType::Tts && !model.model_properties.contains_key("voices")),
    ]
    .into_iter()
    .filter(|(_, is_wrong)| *is_wrong)
    .map(|(what, _)| what.to_owned())
    .collect()
}

fn pages_and_icons(listed: &Listed, extra: &serde_json::Map<String, Value>) -> Vec<String> {
    let root = listed.path();
    let provider =
        yaml::parse(&std::fs::read_to_string(root.join(format!("provider/{}.yaml", listed.id))).unwrap()).unwrap();
    let icons = ["icon_small", "icon_large"].map(|key| format!("_assets/{}", provider[key]["en_US"].as_str().unwrap()));
    let pages = match extra.get("package") {
        Some(package) => ["README.md", "README_zh_Hans.md"]
            .map(|name| format!("{}/{name}", package["readme"].as_str().unwrap()))
            .to_vec(),
        None => ["README.md", "readme/README_zh_Hans.md", "PRIVACY.md", "_assets/icon.svg"].map(str::to_owned).to_vec(),
    };
    let files = icons.into_iter().chain(pages);
    files
        .filter(|file| match std::fs::read_to_string(root.join(file)) {
            Ok(text) => text.trim().is_empty() || file.ends_with(".svg") && !text.trim_end().ends_with("</svg>"),
            Err(_) => true,
        })
        .map(|file| format!("{}: {file} is missing or empty", listed.directory))
        .collect()
}

fn positions(listed: &Listed, loaded: &LoadedProvider) -> Vec<String> {
    let mut wrong = Vec::new();
    let types: BTreeSet<ModelType> = loaded.models.iter().map(|model| model.model_type).collect();
    for model_type in types {
        let directory = model_type.as_str().replace('-', "_");
        let file = listed.path().join(format!("models/{directory}/_position.yaml"));
        let order = yaml::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let order: Vec<&str> = order.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let declared: Vec<&str> = loaded
            .models
            .iter()
            .filter(|model| model.model_type == model_type)
            .map(|model| model.model.as_str())
            .collect();
        let sorted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        if sorted(&order) != sorted(&declared) || order.len() != declared.len() {
            wrong.push(format!("{}: the positions are not the models", file.display()));
        }
    }
    wrong
}

/// What is wrong with an answer of the mock.
fn wrong_answer(kind: &str, outcome: &Outcome) -> Option<String> {
    if let Some(error) = &outcome.error {
        return Some(error.to_string());
    }
    let is_right = match kind {
        "llm" => outcome.text().ends_with(ANSWER) && outcome.usage()["total_tokens"] == 7,
        "text-embedding" => outcome.item()["embeddings"] == json!([[0.5, 0.25], [0.5, 0.25]]),
        "rerank" => outcome.item()["docs"] == json!([{"index": 0, "text": "one", "score": 0.9}]),
        "tts" => !outcome.items.is_empty(),
        _ => outcome.item()["result"] == ANSWER,
    };
    (!is_right).then(|| format!("{:?}", outcome.items))
}

/// Every parameter with its default, or the first choice.
fn all_parameters(model: &ModelSchema) -> Value {
    let value = |rule: &declare::ParameterRule| match (&rule.default, rule.options.first()) {
        (Some(default), _) => default.clone(),
        (None, Some(first)) => json!(first),
        (None, None) => json!(true),
    };
    let rules = model.parameter_rules.iter().filter(|rule| rule.name != "json_schema");
    rules.map(|rule| (rule.name.clone(), value(rule))).collect()
}

/// Forms of a model that users add.
fn abilities() -> [Value; 4] {
    [
        json!({}),
        json!({"function_calling_type": "tool_call", "vision_support": "support", "stream_function_calling": "supported"}),
        json!({"agent_thought_support": "supported", "structured_output_support": "supported", "input_price": "1",
            "reasoning_support": "support", "web_search_support": "parameter"}),
        json!({"agent_thought_support": "only_thinking_supported", "compatibility_mode": "extended", "context_size": "99",
            "max_tokens": "9", "max_tokens_to_sample": "9", "function_calling_type": "tool_call"}),
    ]
}

#[tokio::test]
async fn every_model_answers_and_credentials_are_validated() {
    let mut wrong = Vec::new();
    for listed in &LISTED {
        let server = Server::start(rules(), &[]).await;
        let plugin = listed.plugin(&server);
        let declarations = listed.load();
        let loaded = listed.provider(&declarations);
        let credentials = |key: &str| listed.credentials(&server, key);
        let validate = async |key: &str, kind: Option<&str>| {
            let request = match kind {
                Some(kind) => json!({"action": "validate_model_credentials", "provider": listed.id, "model": "m",
                    "model_type": kind, "credentials": credentials(key)}),
                None => {
                    json!({"action": "validate_provider_credentials", "provider": listed.id, "credentials": credentials(key)})
                }
            };
            plugin.call(request).await
        };
        let forms = listed.custom.iter().map(|kind| Some(*kind)).chain((listed.models > 0).then_some(None));
        for form in forms {
            let good = validate(KEY, form).await;
            if good.error.is_some() || good.item()["result"] != true {
                wrong.push(format!("{} {form:?}: {good:?}", listed.id));
            }
            let bad = validate("bad-key", form).await;
            let message = bad.error.as_ref().map(|error| error["message"].to_string()).unwrap_or_default();
            if !message.contains("Incorrect API key") || message.contains("bad-key") {
                wrong.push(format!("{} {form:?} with a bad key: {bad:?}", listed.id));
            }
        }
        server.take();
        for model in &loaded.models {
            let (kind, name) = (model.model_type.as_str(), model.model.as_str());
            let parameters = json!({"model_parameters": all_parameters(model)});
            for more in [json!({}), parameters] {
                let outcome = call(&plugin, listed.id, kind, name, &credentials(KEY), more).await;
                wrong.extend(wrong_answer(kind, &outcome).map(|what| format!("{} {kind} {name}: {what}", listed.id)));
            }
            for Seen { host, body, .. } in server.take() {
                if host != listed.host || kind != "speech2text" && body["model"] != *name {
                    wrong.push(format!("{} {name}: sent to {host}: {body}", listed.id));
                }
            }
        }
        for kind in listed.custom {
            for more in abilities() {
                let mut credentials = credentials(KEY);
                let taken =
                    more.as_object().unwrap().clone().into_iter().filter(|(name, _)| loaded.declaration.takes(name));
                credentials.as_object_mut().unwrap().extend(taken);
                let request = json!({"action": "get_ai_model_schemas", "provider": listed.id, "model": "my-model",
                    "model_type": kind, "credentials": credentials});
                let schema = schema_rules::typed(plugin.call(request).await.item());
                wrong.extend(
                    schema_rules::broken(&schema)
                        .into_iter()
                        .map(|what| format!("{} {kind} {more}: {what}", listed.id)),
                );
            }
            let outcome = call(&plugin, listed.id, kind, "my-model", &credentials(KEY), json!({})).await;
            wrong.extend(wrong_answer(kind, &outcome).map(|what| format!("{} {kind} my-model: {what}", listed.id)));
        }
    }
    check(&wrong);
}

#[test]
fn every_package_builds() {
    let directory = tempfile::TempDir::new().unwrap();
    let binary = directory.path().join("amd64");
    std::fs::write(&binary, elf::elf(62, false)).unwrap();
    let mut wrong = Vec::new();
    for listed in &LISTED {
        let out = directory.path().join(listed.id);
        let output = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["package", "--dir", listed.directory, "--provider", listed.id, "--target", "linux-amd64", "--out"])
            .arg(&out)
            .arg("--binary")
            .arg(format!("linux-amd64={}", binary.display()))
            .output()
            .unwrap();
        let written = std::fs::read_dir(&out).map(|files| files.flatten().count()).unwrap_or_default();
        if !output.status.success() || written != 1 {
            wrong.push(format!("{}: {written} files\n{}", listed.id, String::from_utf8_lossy(&output.stderr)));
        }
    }
    check(&wrong);
}
