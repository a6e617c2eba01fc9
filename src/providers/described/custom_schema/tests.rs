//! Tests of the schemas of models that users add: a form, facts, and what Dify gets.

use std::collections::BTreeMap;

use super::*;

fn made(model_type: ModelType, custom: Value, fields: &[(&str, &str)]) -> Result<ModelSchema, String> {
    let credentials = Credentials::from_pairs(fields.iter().copied());
    let none = BTreeMap::new();
    let mut values = CallValues::new(&credentials, "m", &none);
    let custom: Custom = serde_json::from_value(custom).unwrap();
    values.add_custom(&custom);
    schema("m", model_type, &custom, &values).map_err(|error| error.message)
}

#[test]
fn every_model_type_has_a_schema() {
    for (model_type, fields, expected) in [
        (ModelType::Llm, &[][..], json!({"mode": "chat", "context_size": 4096})),
        (
            ModelType::Llm,
            &[("completion_type", "completion"), ("context_size", "8000")],
            json!({"mode": "completion", "context_size": 8000}),
        ),
        (ModelType::TextEmbedding, &[], json!({"context_size": 512, "max_chunks": 16})),
        (ModelType::TextEmbedding, &[("max_chunks", "32")], json!({"context_size": 512, "max_chunks": 32})),
        (ModelType::Rerank, &[], json!({"context_size": 4096})),
        (ModelType::Speech2text, &[], json!({"file_upload_limit": 25, "supported_file_extensions": FILE_EXTENSIONS})),
        (ModelType::Moderation, &[], json!({"max_chunks": 1, "max_characters_per_chunk": 2000})),
    ] {
        let found = made(model_type, json!({}), fields).unwrap();
        assert_eq!(Value::Object(found.model_properties), expected, "{model_type:?}");
        assert!(found.pricing.is_none());
    }
    let speech = made(ModelType::Tts, json!({}), &[("voices", "Anna = a，b"), ("audio_type", "wav")]).unwrap();
    assert_eq!(speech.model_properties["default_voice"], "a");
    assert_eq!(speech.model_properties["voices"][0]["name"], "Anna");
    assert_eq!(speech.model_properties["voices"].as_array().unwrap().len(), 2);
    assert_eq!(speech.model_properties["audio_type"], "wav");
    assert_eq!(made(ModelType::Tts, json!({}), &[]).unwrap().model_properties["default_voice"], "alloy");
}

#[test]
fn features_follow_the_form() {
    use ModelFeature::{AgentThought, Document, MultiToolCall, StreamToolCall, StructuredOutput, ToolCall, Vision};
    for (fields, expected) in [
        (&[][..], vec![]),
        (&[("function_calling_type", "tool_call")], vec![MultiToolCall]),
        (&[("function_calling_type", "function_call")], vec![ToolCall]),
        (&[("function_calling_type", "no_call"), ("stream_function_calling", "supported")], vec![]),
        (
            &[("function_calling_type", "tool_call"), ("stream_function_calling", "supported")],
            vec![MultiToolCall, StreamToolCall],
        ),
        (&[("function_call_support", "true")], vec![MultiToolCall]),
        (&[("vision_support", "support"), ("document_support", "support")], vec![Vision, Document]),
        (&[("vision_support", "no_support")], vec![]),
        (&[("agent_thought_support", "only_thinking_supported")], vec![AgentThought]),
        (&[("agent_thought_support", "not_supported")], vec![]),
        (&[("structured_output_support", "supported")], vec![StructuredOutput]),
    ] {
        assert_eq!(made(ModelType::Llm, json!({}), fields).unwrap().features, expected, "{fields:?}");
    }
    let always = json!({"features": ["agent-thought"]});
    assert_eq!(made(ModelType::Llm, always, &[]).unwrap().features, [AgentThought]);
}

#[test]
fn rules_have_the_form_s_bounds() {
    let usual = made(ModelType::Llm, json!({}), &[("max_tokens_to_sample", "100"), ("temperature", "9")]).unwrap();
    let rule = |name: &str| usual.rule(name).unwrap();
    assert_eq!((rule("max_tokens").max, rule("max_tokens").default.clone()), (Some(100.0), Some(json!(100))));
    assert_eq!(rule("temperature").default, Some(json!(2.0)));
    assert_eq!(usual.parameter_rules.len(), 5);
    let custom = json!({"rules": [
        {"name": "max_tokens", "use_template": "max_tokens", "max": 64, "default": 512},
        {"name": "think", "type": "boolean", "label": {"en_US": "Think"}, "when": {"thinks": ["yes", "always"]}},
        {"name": "plain", "type": "string", "options": ["a"]},
    ]});
    let found = made(ModelType::Llm, custom.clone(), &[("thinks", "always")]).unwrap();
    let names: Vec<&str> = found.parameter_rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["max_tokens", "think", "plain"]);
    assert_eq!(found.parameter_rules[0].default, Some(json!(64)));
    assert_eq!(made(ModelType::Llm, custom, &[]).unwrap().parameter_rules.len(), 2);
}

#[test]
fn reads_prices_and_labels() {
    let fields = [
        ("input_price", "0.5"),
        ("output_price", "1.5"),
        ("unit", "0.001"),
        ("currency", "RMB"),
        ("display_name", "M"),
    ];
    let found = made(ModelType::Llm, json!({}), &fields).unwrap();
    let pricing = found.pricing.unwrap();
    assert_eq!((pricing.input.to_string(), pricing.unit.to_string()), ("0.5".to_owned(), "0.001".to_owned()));
    assert_eq!((pricing.currency.as_str(), found.label.en_us.as_str()), ("RMB", "M"));
    let labels = [("model_label_en_US", "E"), ("model_label_zh_Hans", "Z")];
    assert_eq!(made(ModelType::Rerank, json!({}), &labels).unwrap().label, I18n::new("E", "Z"));
}

#[test]
fn names_invalid_fields() {
    for (model_type, field, value) in [
        (ModelType::Llm, "context_size", "x"),
        (ModelType::Llm, "max_tokens_to_sample", "0"),
        (ModelType::Llm, "input_price", "-1"),
        (ModelType::Llm, "temperature", "warm"),
        (ModelType::TextEmbedding, "max_chunks", "1.5"),
        (ModelType::Tts, "audio_type", "midi"),
        (ModelType::Tts, "word_limit", "0"),
    ] {
        let error = made(model_type, json!({}), &[(field, value)]).unwrap_err();
        assert!(error.contains(&format!("`{field}`")), "{error}");
    }
    let fixed = json!({"defaults": {"context_size": 8000}, "fixed": {"mode": "chat"}});
    let found = made(ModelType::Llm, fixed, &[("mode", "completion")]).unwrap();
    assert_eq!(Value::Object(found.model_properties), json!({"mode": "chat", "context_size": 8000}));
}
