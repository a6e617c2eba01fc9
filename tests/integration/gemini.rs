//! Complete sessions of the Gemini provider with a strict mock server.

use crate::support::{gemini as upstream, gemini_session as session};
use serde_json::{Value, json};
use session::{ask, hello, one, plugin, refusal};
use upstream::{Gemini, KEY, Reply, end, parts, text};

#[tokio::test]
async fn streams_a_response_with_usage_and_price() {
    let (upstream, outcome) = one(hello(), "gemini-3.8-flash", json!({})).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("Hello", Some("stop")));
    let usage = outcome.usage();
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(1000), &json!(100)));
    assert_eq!(usage["total_price"], "0.0011250");
    assert_eq!(upstream.seen()[0].path, "/v1beta/models/gemini-3.8-flash:streamGenerateContent");
    assert_eq!(
        upstream.seen()[0].body,
        json!({"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}], "store": false})
    );
    let (_, blocking) = one(hello(), "gemini-3.8-flash", json!({"stream": false})).await;
    assert_eq!(blocking.item()["delta"]["message"]["content"], "Hello");
    let (_, flex) = one(vec![Reply::Tier("flex", vec![text("x"), end("STOP")])], "gemini-3.8-flash", json!({})).await;
    assert_eq!(flex.usage()["total_price"], "0.0005625");
}

fn tools() -> Value {
    json!([{"name": "lookup", "description": "d", "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]}}])
}

#[tokio::test]
async fn agents_send_signatures_back_byte_for_byte() {
    let calls = Reply::Events(vec![
        parts(json!([{"text": "hm", "thought": true}, {"text": "I look."}])),
        parts(
            json!([{"functionCall": {"id": "a", "name": "lookup", "args": {"q": 1}}, "thoughtSignature": "SigA+/=="}, {"functionCall": {"id": "b", "name": "lookup", "args": {"q": 2}}}]),
        ),
        end("STOP"),
    ]);
    let upstream = Gemini::start(vec![calls, Reply::Events(vec![text("Done."), end("STOP")])]).await;
    upstream.issue("SigA+/==");
    let plugin = plugin();
    let first = plugin.call(ask(&upstream, "gemini-3.8-flash", json!({"tools": tools()}))).await;
    assert_eq!((first.tool_calls().len(), first.finish_reason()), (2, Some("tool_calls")));
    let opaque = first.items.last().unwrap()["delta"]["message"]["opaque_body"].clone();
    let history = |opaque: Value| {
        json!({"tools": tools(), "prompt_messages": [
            {"role": "user", "content": "Why is the sky blue?"},
            {"role": "assistant", "content": first.text(), "tool_calls": first.tool_calls(), "opaque_body": opaque},
            {"role": "tool", "tool_call_id": "b", "content": "two"}, {"role": "tool", "tool_call_id": "a", "content": "one"},
        ]})
    };
    // The message's own JSON; the memory of the process; neither.
    for (plugin, opaque, bypasses) in
        [(&plugin, opaque.clone(), 0), (&plugin, Value::Null, 0), (&session::plugin(), Value::Null, 1)]
    {
        let outcome = plugin.call(ask(&upstream, "gemini-3.8-flash", history(opaque))).await;
        assert_eq!(outcome.text(), "Done.");
        assert_eq!(upstream.bypasses(), bypasses);
    }
    // From another project: rejected once, then sent without signatures.
    let foreign = json!({"gemini": {"length": first.text().len(), "parts": [{"text": "I look."},
        {"functionCall": {"id": "a", "name": "lookup", "args": {"q": 1}}, "thoughtSignature": "Foreign"}, {"functionCall": {"id": "b", "name": "lookup", "args": {"q": 2}}}]}});
    let outcome = plugin.call(ask(&upstream, "gemini-3.8-flash", history(foreign))).await;
    assert_eq!((outcome.text().as_str(), upstream.bypasses()), ("Done.", 2));
}

#[tokio::test]
async fn a_long_response_takes_several_requests() {
    let hop = |part: &str, token: &str, reason: Value| json!({"candidates": [{"content": {"parts": [{"text": part}]}, "continuationToken": token, "finishReason": reason}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}});
    let script = vec![
        Reply::Events(vec![hop("One ", "t1", json!("CONTINUATION"))]),
        Reply::Cut(vec![hop("two ", "t2", Value::Null)]),
        Reply::Events(vec![text("three."), end("STOP")]),
    ];
    let (upstream, outcome) = one(script, "gemini-4-argon", json!({})).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("One two three.", Some("stop")));
    let tokens: Vec<Value> = upstream.seen().iter().map(|seen| seen.body["continuationToken"].clone()).collect();
    assert_eq!(tokens, [Value::Null, json!("t1"), json!("t2")]);
    assert_eq!(outcome.usage()["prompt_tokens"], 1020);
}

#[tokio::test]
async fn a_malformed_call_is_retried_with_validated_calls() {
    let malformed = Reply::Events(vec![json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]})]);
    let call = Reply::Events(vec![parts(json!([{"functionCall": {"name": "lookup", "args": {"q": 1}}}])), end("STOP")]);
    let (upstream, outcome) = one(vec![malformed, call], "gemini-3.8-flash", json!({"tools": tools()})).await;
    assert_eq!(outcome.tool_calls().len(), 1);
    assert_eq!(upstream.seen()[1].body["toolConfig"], json!({"functionCallingConfig": {"mode": "VALIDATED"}}));
}

#[tokio::test]
async fn parameters_of_other_models_are_omitted() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let moved = json!({"model_parameters": {"temperature": 0.3, "thinking_budget": 5, "enable_thinking": true}});
    assert_eq!(plugin.call(ask(&upstream, "gemini-3.8-flash", moved)).await.text(), "Hello");
    assert_eq!(upstream.seen()[0].body.get("generationConfig"), None);
}

#[tokio::test]
async fn blocked_prompts_name_the_category_and_parameter() {
    let ratings = json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}]);
    let blocked = Reply::Events(vec![json!({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}})]);
    let floor = json!({"credentials": {"safety_dangerous_content_floor": "BLOCK_MEDIUM_AND_ABOVE"}, "model_parameters": {"safety_dangerous_content": "OFF"}});
    let (upstream, outcome) = one(vec![blocked], "gemini-3.8-flash", floor).await;
    let (kind, message) = outcome.failure();
    assert_eq!(kind, "InvokeBadRequestError");
    assert!(message.contains("DANGEROUS_CONTENT") && message.contains("`safety_dangerous_content`"), "{message}");
    assert_eq!(
        upstream.seen()[0].body["safetySettings"],
        json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "BLOCK_MEDIUM_AND_ABOVE"}])
    );
}

#[tokio::test]
async fn the_minimum_of_one_filter_overrides_the_common_one() {
    let floors = json!({"credentials": {"safety_floor": "BLOCK_ONLY_HIGH", "safety_harassment_floor": "BLOCK_NONE"},
        "model_parameters": {"safety_hate_speech": "BLOCK_LOW_AND_ABOVE", "safety_dangerous_content": "OFF"}});
    let (upstream, _) = one(vec![Reply::Events(Vec::new())], "gemini-3.8-flash", floors).await;
    let expected = [
        ("HARASSMENT", "BLOCK_NONE"),
        ("HATE_SPEECH", "BLOCK_LOW_AND_ABOVE"),
        ("SEXUALLY_EXPLICIT", "BLOCK_ONLY_HIGH"),
        ("DANGEROUS_CONTENT", "BLOCK_ONLY_HIGH"),
    ]
    .map(|(category, threshold)| json!({"category": format!("HARM_CATEGORY_{category}"), "threshold": threshold}));
    assert_eq!(upstream.seen()[0].body["safetySettings"], json!(expected));
}

#[tokio::test]
async fn validation_distinguishes_a_wrong_key_from_a_busy_server() {
    let validate = |upstream: &Gemini, key: &str| {
        json!({"action": "validate_provider_credentials", "provider": "google",
        "credentials": {"google_api_key": key, "google_base_url": upstream.url, "max_retries": "0"}})
    };
    let info = |reason: &str| json!([{"@type": "x/google.rpc.ErrorInfo", "reason": reason}]);
    for (reply, key, expected) in [
        (hello().remove(0), KEY, None),
        (hello().remove(0), "wrong", Some("API key")),
        (refusal(503, "UNAVAILABLE", "User location is wrong.", json!([])), KEY, None),
        (refusal(429, "RESOURCE_EXHAUSTED", "User location is wrong.", json!([])), KEY, None),
        (
            refusal(403, "PERMISSION_DENIED", "User location is wrong.", info("SERVICE_DISABLED")),
            KEY,
            Some("Enable the API"),
        ),
        (refusal(400, "FAILED_PRECONDITION", "User location is wrong.", json!([])), KEY, Some("region")),
    ] {
        let upstream = Gemini::start(vec![reply]).await;
        let outcome = plugin().call(validate(&upstream, key)).await;
        match expected {
            None => assert_eq!(outcome.item(), &json!({"result": true})),
            Some(expected) => {
                let (kind, message) = outcome.failure();
                assert_eq!(kind, "CredentialsValidateFailedError");
                assert!(message.contains(expected) && !message.contains(KEY), "{message}");
            }
        }
    }
    let upstream = Gemini::start(hello()).await;
    let missing = json!({"action": "validate_model_credentials", "provider": "google", "model": "gone", "model_type": "llm",
        "credentials": {"google_api_key": KEY, "google_base_url": upstream.url}});
    let outcome = plugin().call(missing).await;
    assert!(outcome.failure().1.contains("gone"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn a_custom_model_has_the_rules_of_its_family() {
    let (upstream, outcome) = one(
        hello(),
        "gemini-3.8-flash-tuned",
        json!({"model_parameters": {"temperature": 1, "thinking_level": "Low"},
        "credentials": {"input_price": "1", "output_price": "2"}}),
    )
    .await;
    assert_eq!(outcome.text(), "Hello");
    assert_eq!(outcome.usage()["total_price"], "0.0012000");
    let body = &upstream.seen().last().unwrap().body.clone();
    assert_eq!(body["generationConfig"], json!({"thinkingConfig": {"thinkingLevel": "LOW"}}));
}

#[tokio::test]
async fn the_limits_of_a_custom_model_are_queried_once() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let schema = |credentials: Value| {
        let mut request =
            ask(&upstream, "gemini-9-new", json!({"action": "get_ai_model_schemas", "model_type": "llm"}));
        request["credentials"].as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
        request
    };
    let reported = plugin.call(schema(json!({}))).await.item()["model_schema"].clone();
    assert_eq!(reported["model_properties"]["context_size"], 5000);
    let rules = reported["parameter_rules"].as_array().unwrap().clone();
    let rule = |name: &str| rules.iter().find(|rule| rule["name"] == name).cloned();
    assert_eq!(rule("max_output_tokens").unwrap()["max"], 700.0);
    assert!(rule("temperature").is_none() && rule("safety_harassment").is_some());
    assert_eq!(rule("thinking_level").unwrap()["options"], json!(["Low", "Medium", "High"]));
    plugin.call(schema(json!({}))).await.item();
    assert_eq!(upstream.seen().len(), 1);
    let own = plugin.call(schema(json!({"context_size": "9000", "max_output_tokens": "80"}))).await;
    assert_eq!(own.item()["model_schema"]["model_properties"]["context_size"], 9000);
    // A service that reports no limits is not an error.
    let silent = Gemini::start(vec![refusal(503, "UNAVAILABLE", "User location is wrong.", json!([]))]).await;
    let request = ask(&silent, "gemini-9-new", json!({"action": "get_ai_model_schemas", "model_type": "llm"}));
    assert_eq!(plugin.call(request).await.item()["model_schema"]["model_properties"]["context_size"], 1_048_576);
}

#[tokio::test]
async fn token_counts_come_from_the_server_or_else_an_estimate() {
    for (reply, exact) in
        [(hello().remove(0), true), (refusal(503, "UNAVAILABLE", "User location is wrong.", json!([])), false)]
    {
        let upstream = Gemini::start(vec![reply]).await;
        let request = ask(&upstream, "gemini-3.8-flash", json!({"action": "get_llm_num_tokens"}));
        let count = plugin().call(request).await.item()["num_tokens"].as_u64().unwrap();
        assert_eq!(count == 42, exact, "{count}");
        assert!(count > 3);
    }
}

#[tokio::test]
async fn a_hundred_concurrent_responses_are_not_mixed_up() {
    let upstream = Gemini::start(vec![Reply::Events(vec![
        parts(json!([{"text": "hm", "thought": true}])),
        parts(json!([{"text": "mm", "thought": true}])),
        text("a"),
        text("b"),
        end("STOP"),
    ])])
    .await;
    let plugin = plugin();
    let mut connection = plugin.connect();
    for number in 0..100 {
        connection.request(&format!("s{number}"), ask(&upstream, "gemini-3.8-flash", json!({}))).await;
    }
    let mut texts: std::collections::BTreeMap<String, String> = Default::default();
    let mut ended = 0;
    while ended < 100 {
        let line = connection.next().await.unwrap();
        let session = line["session_id"].as_str().unwrap_or_default().to_owned();
        match line["data"]["type"].as_str() {
            Some("stream") => texts
                .entry(session)
                .or_default()
                .push_str(line["data"]["data"]["delta"]["message"]["content"].as_str().unwrap_or_default()),
            Some("end") => ended += 1,
            Some("error") => panic!("{line}"),
            _ => {}
        }
    }
    assert_eq!(texts.len(), 100);
    assert!(texts.values().all(|text| text == "<think>\nhmmm\n</think>ab"), "{:?}", texts.values().next());
}
