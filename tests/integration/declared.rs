//! All YAML of this plugin as a table of rules, whole models as they are loaded, and what the code reads of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{harness, schema_rules, source_names, untranslated, xinference};
use dify_plugin::declare::{self, Declarations, LoadedProvider, ModelFeature, yaml};
use dify_plugin::protocol::ModelType;
use dify_plugin_runtime::dialect::gemini::models::profile::{ModelProfile, Thinking};
use dify_plugin_runtime::providers;
use harness::Plugin;
use serde_json::{Value, json};
use source_names::Code;
use untranslated::untranslated;

fn declarations() -> Declarations {
    declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn provider<'a>(declarations: &'a Declarations, name: &str) -> &'a LoadedProvider {
    declarations.providers.iter().find(|loaded| loaded.declaration.provider == name).unwrap()
}

/// A file as Dify gets it: nothing filled in, blocks written out.
fn contents(declarations: &Declarations, loaded: &LoadedProvider, file: &str) -> Value {
    loaded
        .expanded
        .get(file)
        .cloned()
        .unwrap_or_else(|| yaml::parse(&std::fs::read_to_string(declarations.directory.join(file)).unwrap()).unwrap())
}

fn check(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_declared_model_keeps_the_rules_of_all_models() {
    let declarations = declarations();
    let models = declarations.providers.iter().flat_map(|loaded| &loaded.models);
    check(&models.flat_map(schema_rules::broken).collect::<Vec<_>>());
}

#[test]
fn every_text_of_every_file_is_there_in_english_and_chinese() {
    let declarations = declarations();
    let mut wrong = Vec::new();
    for loaded in &declarations.providers {
        for file in std::iter::once(&loaded.file).chain(&loaded.model_files) {
            untranslated(&contents(&declarations, loaded, file), file, &mut wrong);
        }
    }
    check(&wrong);
}

#[test]
fn every_model_says_its_name() {
    let declarations = declarations();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for model in declarations.providers.iter().flat_map(|loaded| &loaded.models) {
        let label = model.label.en_us.as_str();
        if label == model.model || !seen.insert((model.model_type.as_str(), label)) {
            wrong.push(format!("{}: {label}", model.model));
        }
    }
    check(&wrong);
}

#[test]
fn a_retired_model_is_an_id_a_name_and_a_sentence() {
    let declarations = declarations();
    let mut wrong = Vec::new();
    let google = provider(&declarations, "google");
    for model in google.models.iter().filter(|model| model.model_type == ModelType::Llm) {
        let profile = ModelProfile::of(model).unwrap();
        let Some(sentence) = profile.retired else { continue };
        let is_bare = model.features.is_empty() && model.parameter_rules.is_empty() && model.pricing.is_none();
        if !model.deprecated || !is_bare || !sentence.ends_with('.') {
            wrong.push(format!("{}: {sentence}", model.model));
        }
    }
    check(&wrong);
}

#[test]
fn gemini_shows_the_parameters_that_the_model_takes() {
    let declarations = declarations();
    let mut wrong = Vec::new();
    let google = provider(&declarations, "google");
    for model in google.models.iter().filter(|model| model.model_type == ModelType::Llm) {
        let profile = ModelProfile::of(model).unwrap();
        let shows = |name: &str| model.rule(name).is_some();
        let sampling = ["temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"];
        let tools = model.has(ModelFeature::ToolCall) || model.has(ModelFeature::MultiToolCall);
        let asks = !model.parameter_rules.is_empty();
        for (what, is_wrong) in [
            ("sampling", !profile.sampling && sampling.iter().any(|name| shows(name))),
            ("thinking_level", shows("thinking_level") && profile.thinking != Thinking::Level),
            ("thinking_budget", shows("thinking_budget") && profile.thinking != Thinking::Budget),
            ("thinking_mode", shows("thinking_mode") && !profile.thinking_off),
            ("include_thoughts", shows("include_thoughts") && profile.thinking == Thinking::None),
            ("tool_choice", asks && shows("tool_choice") != tools),
            ("context_cache", shows("context_cache") != profile.cache_minimum.is_some()),
            ("context_cache_minutes", shows("context_cache") != shows("context_cache_minutes")),
            ("video_fps", shows("video_fps") && !model.has(ModelFeature::Video)),
            ("citations", shows("grounding") != shows("citations")),
        ] {
            if is_wrong {
                wrong.push(format!("{}: {what}", model.model));
            }
        }
    }
    check(&wrong);
}

#[test]
fn what_gemini_shows_is_read_and_what_it_reads_is_shown() {
    let declarations = declarations();
    let models = &provider(&declarations, "google").models;
    let shown: BTreeSet<&str> =
        models.iter().flat_map(|model| &model.parameter_rules).map(|rule| rule.name.as_str()).collect();
    let code = Code::of(&["dialect/gemini", "providers/gemini", "gemini/src"]);
    let accesses = ["text", "flag", "number", "whole", "get"]
        .map(|access| [format!("parameters.{access}("), format!("Parameters(&request.model_parameters).{access}(")]);
    let accesses: Vec<&str> = accesses.iter().flatten().map(String::as_str).collect();
    let read = code.read_by(&accesses);
    assert!(read.len() > 15, "{read:?}");
    let mut wrong: Vec<String> =
        shown.iter().filter(|name| !code.names(name)).map(|name| format!("`{name}` is shown, not read")).collect();
    // The schema of a function.
    let of_functions = ["type"];
    let hidden = read.iter().filter(|name| !shown.contains(*name) && !of_functions.contains(name));
    wrong.extend(hidden.map(|name| format!("`{name}` is read, not shown")));
    check(&wrong);
}

/// Provider, its own code, code that it has in common with others.
const CODE: [(&str, &[&str], &[&str]); 3] = [
    (
        "google",
        &["providers/gemini", "dialect/gemini", "gemini/src", "google-auth/src"],
        &["upstream/fields.rs", "runtime"],
    ),
    ("ai-gateway", &["providers/aigateway"], &["upstream", "providers/compatible", "runtime"]),
    ("xinference", &["providers/xinference"], &["upstream/fields.rs", "providers/compatible", "runtime"]),
];

#[test]
fn every_field_is_read_and_every_field_that_is_read_is_taken() {
    let declarations = declarations();
    let mut wrong = Vec::new();
    for (name, own, common) in CODE {
        let declaration = &provider(&declarations, name).declaration;
        let shown: BTreeSet<&str> = declaration.credential_fields().map(|field| field.variable.as_str()).collect();
        let further =
            ["more_settings", "former_fields"].map(|key| declaration.extra.get(key).and_then(Value::as_object));
        let taken: BTreeSet<&str> =
            further.into_iter().flatten().flat_map(|table| table.keys().map(String::as_str)).collect();
        let (own, common) = (Code::of(own), Code::of(common));
        let all = Code::of(&["providers", "upstream", "runtime", "declare"]);
        let unread = shown.iter().filter(|field| !own.names(field) && !common.names(field) && !all.names(field));
        // A field that only decides which others the page shows.
        let decides = |field: &str| {
            declaration
                .credential_fields()
                .flat_map(|other| &other.show_on)
                .any(|condition| condition.variable == field)
        };
        wrong.extend(
            unread.filter(|field| !decides(field)).map(|field| format!("{name}: `{field}` is shown, not read")),
        );
        let accesses = ["get", "get_raw", "require", "number", "flag"].map(|access| format!("credentials.{access}("));
        let mut accesses: Vec<&str> = accesses.iter().map(String::as_str).collect();
        accesses.push("(credentials,");
        let read = own.read_by(&accesses);
        assert!(read.len() > 5, "{name}: {read:?}");
        let strange = read.iter().filter(|field| !shown.contains(*field) && !taken.contains(*field));
        wrong.extend(strange.map(|field| format!("{name}: `{field}` is read, in no form")));
    }
    check(&wrong);
}

/// The schema that a provider makes, and what of it breaks a rule.
async fn made(plugin: &Plugin, provider: &str, model: &str, kind: &str, credentials: Value, wrong: &mut Vec<String>) {
    let request = json!({"action": "get_ai_model_schemas", "provider": provider, "model": model, "model_type": kind,
        "credentials": credentials});
    let outcome = plugin.call(request).await;
    let schema = schema_rules::typed(outcome.item());
    let broken = schema_rules::broken(&schema);
    wrong.extend(broken.into_iter().map(|what| format!("{provider} {kind} {credentials}: {what}")));
}

#[tokio::test]
async fn schemas_that_are_made_at_run_time_keep_the_rules_of_all_models() {
    let code = providers::all(Default::default());
    let of = |loaded: LoadedProvider| {
        let provider = code.iter().find(|code| code.name() == loaded.declaration.provider).cloned();
        provider.map(|provider| (loaded.declaration, loaded.models, provider))
    };
    let plugin = Plugin::of(declarations().providers.into_iter().filter_map(of).collect());
    let mut wrong = Vec::new();
    let with = |base: &Value, more: Value| {
        let mut all = base.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };

    // No server listens there, so the limits are those of the declared models.
    let google = json!({"google_api_key": "k", "google_base_url": "http://127.0.0.1:1", "max_retries": "0"});
    let kinds = [
        (
            "llm",
            &[
                "gemini-9-new",
                "gemini-2.5-flash-tuned",
                "gemini-2.5-pro-x",
                "gemini-2.0-x",
                "tuned/mine",
                "gemini-4-next",
                "gemini-3-pro-image-x",
                "nano-banana-3",
                "gemma-9-it",
                "gemini-3.5-flash-lite-x",
            ][..],
        ),
        ("text-embedding", &["gemini-embedding-9", "text-embedding-9"]),
        ("tts", &["gemini-9-flash-tts"]),
        ("speech2text", &["gemini-9-flash"]),
    ];
    for (kind, models) in kinds {
        for model in models {
            for more in [json!({}), json!({"max_output_tokens": "80", "context_size": "100", "input_price": "1"})] {
                made(&plugin, "google", model, kind, with(&google, more), &mut wrong).await;
            }
        }
    }

    let gateway = json!({"endpoint_url": "http://127.0.0.1:1/v1", "api_key": "k"});
    for kind in ["llm", "text-embedding", "rerank", "tts", "speech2text"] {
        for structured in ["not_supported", "supported", "json_object", "both"] {
            for (calls, thinks, longest) in [
                ("no_call", "not_supported", "1"),
                ("function_call", "supported", "300"),
                ("tool_call", "switchable", "9999"),
            ] {
                let more = json!({"structured_output_support": structured, "function_calling_type": calls,
                    "agent_though_support": thinks, "max_tokens_to_sample": longest, "vision_support": "support"});
                made(&plugin, "ai-gateway", "m", kind, with(&gateway, more), &mut wrong).await;
            }
        }
    }

    let server = xinference::Server::start().await;
    for (index, engine) in ["transformers", "vLLM", "SGLang", "llama.cpp", "MLX"].iter().enumerate() {
        for (number, abilities) in
            [&["chat"][..], &["generate"], &["chat", "tools", "vision"], &["chat", "reasoning", "hybrid"]]
                .iter()
                .enumerate()
        {
            let uid = format!("m{index}{number}");
            let description = json!({"model_type": "LLM", "model_ability": abilities, "model_engine": engine,
                "context_length": 8192});
            server.set_model(&uid, description);
            for more in [json!({}), json!({"context_length": "70"})] {
                let form = json!({"server_url": server.url, "model_uid": uid});
                made(&plugin, "xinference", "m", "llm", with(&form, more), &mut wrong).await;
            }
        }
    }
    check(&wrong);
}

#[test]
fn our_own_declarations_have_no_problem() {
    let problems = declare::check(Path::new(env!("CARGO_MANIFEST_DIR")));
    check(&problems.iter().map(ToString::to_string).collect::<Vec<_>>());
}
