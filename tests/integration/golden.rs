//! What the reference SDK says, and what we say: prices, parameters, chunks, errors. `tests/golden/generate.py` makes the goldens.

use dify_plugin::declare::{ParameterRule, Pricing, parameters, price};
use dify_plugin::error::ErrorKind;
use dify_plugin::protocol::{FinishReason, LlmChunk, LlmDelta, LlmUsage, ToolCall};
use serde_json::{Map, Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/reference.json")).unwrap()
}

#[test]
fn usage_and_price_have_the_references_text() {
    let golden = golden();
    let cases = golden["usage"].as_array().unwrap();
    assert!(cases.len() > 80);
    for case in cases {
        let pricing: Option<Pricing> = serde_json::from_value(case["pricing"].clone()).unwrap();
        let usage = price::llm_usage(
            pricing.as_ref(),
            case["prompt_tokens"].as_u64().unwrap(),
            case["completion_tokens"].as_u64().unwrap(),
        );
        let mut ours = json!(usage);
        ours.as_object_mut().unwrap().remove("latency");
        assert_eq!(ours, case["usage"], "{case}");
    }
}

#[test]
fn parameters_are_accepted_and_refused_as_the_reference_does() {
    let golden = golden();
    let mut rules = golden["rules"].clone();
    for rule in rules.as_array_mut().unwrap() {
        let type_of_template = rule.get("type").cloned();
        rule["type"] = type_of_template.unwrap_or(json!("int"));
    }
    let rules: Vec<ParameterRule> = serde_json::from_value(rules).unwrap();
    for case in golden["parameters"].as_array().unwrap() {
        let mut ours: Map<String, Value> = case["given"].as_object().unwrap().clone();
        let outcome = parameters::apply(&rules, &mut ours);
        match case.get("accepted") {
            Some(expected) => {
                outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(&Value::Object(ours), expected, "{case}");
            }
            None => {
                let error = outcome.expect_err(&case.to_string());
                let name = case["refused"].as_str().unwrap().split(' ').nth(2).unwrap();
                assert!(error.message.contains(&format!("`{name}`")), "{case}: {error}");
            }
        }
    }
}

/// The reference writes `opaque_body: null`; we leave the key out, which reads the same.
#[test]
fn chunks_are_the_references() {
    let mut usage = LlmUsage::default();
    usage.currency = "USD".to_owned();
    let deltas = [
        LlmDelta::text("Hel\u{e4}\n\u{2028}"),
        LlmDelta::calls(vec![ToolCall::function("c1", "f", r#"{"q":1}"#)]),
        LlmDelta::end(FinishReason::Stop, usage),
    ];
    for (index, expected) in golden()["chunks"].as_array().unwrap().iter().enumerate() {
        let mut expected = expected.clone();
        assert_eq!(expected["delta"]["message"].as_object_mut().unwrap().remove("opaque_body"), Some(Value::Null));
        assert_eq!(json!(LlmChunk::of("m", index as u64, &deltas[index])), expected);
    }
}

#[test]
fn errors_have_the_references_names_and_words() {
    let golden = golden();
    let kinds = [
        ErrorKind::Connection,
        ErrorKind::ServerUnavailable,
        ErrorKind::RateLimit,
        ErrorKind::Authorization,
        ErrorKind::BadRequest,
    ];
    assert_eq!(golden["errors"].as_object().unwrap().len(), kinds.len());
    for kind in kinds {
        assert_eq!(golden["errors"][kind.error_type()], kind.description());
    }
}
