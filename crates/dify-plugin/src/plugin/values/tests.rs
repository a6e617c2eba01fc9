//! The types as Dify sends them, their schemas, and what an agent makes of a tool. A download over HTTP is not part of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::plugin::dify::{Backwards, Dify, DifyError, DifyFacts, Invoke, Responses};
use crate::protocol::backwards::{ModelConfig, ModelName};

/// A Dify that is not called.
struct NoDify;

impl Backwards for NoDify {
    fn call(&self, _: Invoke) -> futures_util::future::BoxFuture<'_, Result<Responses, DifyError>> {
        Box::pin(std::future::pending())
    }
}

fn dify() -> Dify {
    Dify::new(Arc::new(NoDify), DifyFacts::default())
}

#[test]
fn each_type_names_its_parameter_type() {
    let schemas = [
        (schemars::schema_for!(File), "file"),
        (schemars::schema_for!(ModelSelector), "model-selector"),
        (schemars::schema_for!(AppSelector), "app-selector"),
        (schemars::schema_for!(SelectedTool), "array[tools]"),
        (schemars::schema_for!(Secret), "secret-input"),
        (schemars::schema_for!(DynamicSelect), "dynamic-select"),
        (schemars::schema_for!(Date), "date"),
        (schemars::schema_for!(DateRange), "date-range"),
    ];
    for (schema, name) in schemas {
        assert_eq!(schema.get(TYPE_KEY), Some(&json!(name)));
    }
}

#[test]
fn values_are_read_as_dify_sends_them() {
    let file: File = serde_json::from_value(json!({
        "dify_model_identity": "__dify__file__", "url": "https://dify/files/1?sign=abc", "mime_type": null,
        "filename": "a.pdf", "extension": ".pdf", "size": 12, "type": "document", "tenant_id": "t", "related_id": null,
    }))
    .unwrap();
    assert_eq!((file.kind, file.size, file.filename.as_deref()), (FileKind::Document, Some(12), Some("a.pdf")));
    assert!(!format!("{file:?}").contains("abc"));
    let odd: File = serde_json::from_value(json!({"url": "u", "type": "hologram", "size": -1})).unwrap();
    assert_eq!((odd.kind, odd.size), (FileKind::Custom, None));

    let model: ModelSelector = serde_json::from_value(json!({
        "provider": "langgenius/openai/openai", "model": "m", "model_type": "llm", "mode": "",
        "completion_params": {"temperature": 0}, "history_prompt_messages": [{"role": "user", "content": "hi"}],
        "entity": {"features": ["tool-call"]},
    }))
    .unwrap();
    let config: &ModelConfig = &model;
    assert_eq!((config.mode.as_str(), config.completion_params.len(), model.history.len()), ("chat", 1, 1));
    assert!(model.has_feature("tool-call") && !model.has_feature("vision"));
    assert_eq!(ModelName::from(&model), ModelName::new("langgenius/openai/openai", "m"));
    let plain: ModelSelector = serde_json::from_value(json!({"provider": "p", "model": "m", "entity": 5})).unwrap();
    assert_eq!((plain.entity, plain.history.len()), (None, 0));

    let app: AppSelector = serde_json::from_value(json!({"app_id": "a", "inputs": null})).unwrap();
    assert_eq!(String::from(&app), "a");
    let day: Date = serde_json::from_value(json!("2026-01-31T12:00:00Z")).unwrap();
    assert_eq!((day.year(), day.month(), day.day(), day.to_string().as_str()), (2026, 1, 31, "2026-01-31"));
    assert!(serde_json::from_value::<Date>(json!("2026-02-30")).is_err());
    assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret");
}

#[test]
fn a_selected_tool_offers_the_parameters_that_a_model_fills_in() {
    let tool: SelectedTool = serde_json::from_value(json!({
        "identity": {"author": "a", "name": "forecast", "label": {"en_US": "F"}, "provider": "acme/weather/weather"},
        "parameters": [
            {"name": "place", "type": "string", "form": "llm", "required": true, "llm_description": "A city."},
            {"name": "unit", "type": "select", "form": "llm", "options": [{"value": "c", "label": {}}, {"value": "f"}]},
            {"name": "photo", "type": "file", "form": "llm"},
            {"name": "key", "type": "secret-input", "form": "form"},
        ],
        "description": {"human": {"en_US": "x"}, "llm": "The weather."}, "output_schema": null,
        "has_runtime_parameters": false, "provider_type": "builtin", "credential_id": "", "runtime_parameters": null,
    }))
    .unwrap();
    let offered = tool.prompt_tool();
    assert_eq!((offered.name.as_str(), offered.description.as_str()), ("forecast", "The weather."));
    let expected = json!({
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "A city."},
            "unit": {"type": "string", "enum": ["c", "f"], "description": ""},
        },
        "required": ["place"],
    });
    assert_eq!(Value::Object(offered.parameters), expected);
    assert_eq!(tool.credential_id, None);
}

#[tokio::test]
async fn a_file_that_cannot_be_downloaded_says_why() {
    let mut large = File::new("https://dify/files/1?sign=abc");
    large.size = Some(11);
    for (file, part) in [(large, "has 11 bytes"), (File::new("/files/1?sign=abc"), "is not absolute")] {
        let error = file.download(&dify(), 10).await.unwrap_err();
        assert!(error.message.contains(part) && !error.message.contains("abc"), "{}", error.message);
    }
}
