//! Tests of schemas: descriptions of real models, with the expected features and rules.

use serde_json::{Value, json};

use super::super::settings::Settings;
use super::*;
use dify_plugin::protocol::Target;
use dify_plugin::upstream::Upstream;

fn schema_of(model_type: &str, credentials: Value, description: Value) -> ModelSchema {
    let mut all = json!({"server_url": "http://host", "model_uid": "m"});
    all.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let target = Target::new("xinference", "mine", serde_json::from_value(all).unwrap());
    let settings = Settings::read(&target, &Upstream::new(), &Default::default()).unwrap();
    let model_type = serde_json::from_value(json!(model_type)).unwrap();
    let description: ModelInfo = serde_json::from_value(description).unwrap();
    schema(&ModelRequest::new(target, model_type), &settings, &description).unwrap()
}

fn llm(abilities: &[&str], engine: &str) -> Value {
    json!({"model_type": "LLM", "model_ability": abilities, "model_engine": engine, "context_length": 8192})
}

/// Abilities and engine of a model, then the expected features and additional rules.
type Case<'a> = (&'a [&'a str], &'a str, &'a [&'a str], &'a [&'a str]);

#[test]
fn derives_features_and_rules_from_abilities() {
    let cases: &[Case<'_>] = &[
        (&["chat"], "transformers", &[], &["response_format"]),
        (&["generate"], "transformers", &[], &[]),
        (&["chat", "generate"], "transformers", &[], &["response_format"]),
        (&["chat", "tools"], "transformers", &["tool-call", "multi-tool-call"], &["response_format"]),
        (
            &["chat", "tools"],
            "vLLM",
            &["tool-call", "multi-tool-call", "stream-tool-call", "structured-output"],
            &["response_format", "json_schema", "guided_json"],
        ),
        (
            &["chat", "reasoning"],
            "llama.cpp",
            &["agent-thought", "structured-output"],
            &["reasoning_effort", "response_format", "json_schema"],
        ),
        (
            &["chat", "reasoning", "hybrid"],
            "transformers",
            &["agent-thought"],
            &["enable_thinking", "reasoning_effort", "response_format"],
        ),
        (&["chat", "vision"], "transformers", &["vision"], &["response_format"]),
        (&["chat", "omni", "audio"], "transformers", &["vision", "video", "audio"], &["response_format"]),
    ];
    const ALWAYS: [&str; 8] = [
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "seed",
    ];
    for (abilities, engine, features, rules) in cases {
        let schema = schema_of("llm", json!({}), llm(abilities, engine));
        assert_eq!(serde_json::to_value(&schema.features).unwrap(), json!(features), "{abilities:?} {engine}");
        let names: Vec<&str> = schema.parameter_rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, [&ALWAYS, *rules].concat(), "{abilities:?} {engine}");
        let mode = if abilities.contains(&"chat") { "chat" } else { "completion" };
        assert_eq!(schema.model_properties["mode"], mode, "{abilities:?}");
        assert!(schema.parameter_rules.iter().all(|rule| !rule.required), "nothing is sent that the user did not set");
        let is_number = |rule: &ParameterRule| matches!(rule.kind, ParameterType::Int | ParameterType::Float);
        let invented = schema.parameter_rules.iter().find(|rule| is_number(rule) && rule.default.is_none());
        assert_eq!(invented.map(|rule| &rule.name), None, "Dify's form starts with the minimum");
    }
}

#[test]
fn uses_limits_of_the_server_unless_the_user_sets_them() {
    let limit = |credentials, description| {
        let schema = schema_of("llm", credentials, description);
        (schema.number_property("context_size").unwrap(), schema.rule("max_tokens").unwrap().max.unwrap())
    };
    assert_eq!(limit(json!({}), llm(&["chat"], "vLLM")), (8192, 8128.0));
    assert_eq!(limit(json!({"context_length": "2048"}), llm(&["chat"], "vLLM")), (2048, 1984.0));
    assert_eq!(limit(json!({}), json!({"model_ability": ["chat"]})), (4096, 4032.0));
    assert_eq!(limit(json!({"context_length": "10"}), llm(&["chat"], "vLLM")), (10, 1.0));
}

#[test]
fn sets_the_properties_of_other_types() {
    let embedding = json!({"model_type": "embedding", "max_tokens": 256, "dimensions": 384});
    let schema = schema_of("text-embedding", json!({"max_chunks": "64"}), embedding);
    assert_eq!(json!(schema.model_properties), json!({"context_size": 256, "max_chunks": 64}));
    assert_eq!(schema.extra["dimensions"], 384);
    assert!(serde_json::to_value(&schema).unwrap().get("dimensions").is_none(), "Dify knows no such key");
    let vision = json!({"model_type": "embedding", "model_ability": ["embed", "embed_vision"]});
    assert!(schema_of("text-embedding", json!({}), vision).has(ModelFeature::Vision));
    let kokoro = json!({"model_type": "audio", "model_family": "Kokoro", "model_ability": ["text2audio"]});
    let schema = schema_of("tts", json!({"audio_type": "wav"}), kokoro.clone());
    assert_eq!(schema.model_properties["default_voice"], "af_alloy");
    assert_eq!(schema.model_properties["audio_type"], "wav");
    assert_eq!(schema_of("tts", json!({"voices": "a, b"}), kokoro).model_properties["default_voice"], "a");
    assert!(schema_of("speech2text", json!({}), json!({"model_type": "audio"})).model_properties.is_empty());
}

#[test]
fn a_stored_mode_does_not_override_the_model() {
    let mode = |completion_type: &str, abilities: &[&str]| {
        schema_of("llm", json!({"completion_type": completion_type}), llm(abilities, "vLLM")).model_properties["mode"]
            .clone()
    };
    assert_eq!(mode("completion", &["chat"]), "chat");
    assert_eq!(mode("completion", &["chat", "generate"]), "completion");
    assert_eq!(mode("chat", &["generate"]), "completion");
    assert_eq!(mode("auto", &["chat"]), "chat");
}
