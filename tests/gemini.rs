//! Whole sessions with the Gemini provider against a strict upstream.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/harness.rs"]
mod harness;
#[path = "support/gemini_rules.rs"]
mod rules;
#[path = "support/gemini.rs"]
mod upstream;

use std::path::Path;

use dify_plugin_runtime::declare::{self, LoadedProvider, ModelFeature, ModelSchema, ParameterType};
use dify_plugin_runtime::dialect::gemini::ModelProfile;
use dify_plugin_runtime::protocol::ModelType;
use dify_plugin_runtime::providers;
use harness::{Outcome, Plugin};
use serde_json::{Value, json};
use upstream::{Gemini, KEY, Reply, end, parts, text};

fn declared() -> LoadedProvider {
    let all = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers;
    all.into_iter().find(|provider| provider.declaration.provider == "google").unwrap()
}

fn plugin() -> Plugin {
    let LoadedProvider { declaration, models, .. } = declared();
    let provider = providers::all().into_iter().find(|provider| provider.name() == "google").unwrap();
    Plugin::of(vec![(declaration, models, provider)])
}

fn ask(upstream: &Gemini, model: &str, fields: Value) -> Value {
    let mut request = json!({
        "action": "invoke_llm", "provider": "google", "model": model, "stream": true,
        "credentials": {"google_api_key": KEY, "google_base_url": upstream.url, "max_retries": "0"},
        "prompt_messages": [{"role": "user", "content": "Why is the sky blue?"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        match (request.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            _ => request[key] = value.clone(),
        }
    }
    request
}

async fn one(script: Vec<Reply>, model: &str, fields: Value) -> (Gemini, Outcome) {
    let upstream = Gemini::start(script).await;
    let outcome = plugin().call(ask(&upstream, model, fields)).await;
    (upstream, outcome)
}

fn hello() -> Vec<Reply> {
    vec![Reply::Events(vec![text("Hel"), text("lo"), end("STOP")])]
}

#[tokio::test]
async fn an_answer_streams_with_usage_and_price() {
    let (upstream, outcome) = one(hello(), "gemini-3.8-flash", json!({})).await;
    assert_eq!((outcome.text().as_str(), outcome.finish_reason()), ("Hello", Some("stop")));
    let usage = outcome.usage();
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(1000), &json!(100)));
    assert_eq!(usage["total_price"], "0.0011250");
    assert_eq!(upstream.seen()[0].path, "/v1beta/models/gemini-3.8-flash:streamGenerateContent");
    assert_eq!(
        upstream.seen()[0].body,
        json!({"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]})
    );
    let (_, blocking) = one(hello(), "gemini-3.8-flash", json!({"stream": false})).await;
    assert_eq!(blocking.item()["delta"]["message"]["content"], "Hello");
    let (_, flex) = one(vec![Reply::Tier("flex", vec![text("x"), end("STOP")])], "gemini-3.8-flash", json!({})).await;
    assert_eq!(flex.usage()["total_price"], "0.0005625");
}

/// Every parameter at its default or first option, for every live model: the upstream must take it.
#[tokio::test]
async fn every_live_model_sends_only_what_it_takes() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let (mut live, mut retired) = (0, 0);
    // Agents do not chat: they are polled.
    let chats = |model: &&ModelSchema| model.model_type == ModelType::Llm && !model.has(ModelFeature::Polling);
    for model in declared().models.iter().filter(chats) {
        let profile = ModelProfile::of(model).unwrap_or_else(|error| panic!("{}: {error}", model.model));
        let mut parameters = json!({});
        for rule in &model.parameter_rules {
            let value = match (&rule.default, rule.kind) {
                (Some(default), _) => default.clone(),
                (None, _) if !rule.options.is_empty() => json!(rule.options[0]),
                (None, ParameterType::Int | ParameterType::Float) if rule.name != "video_end" => {
                    json!(rule.min.unwrap_or(1.0))
                }
                _ => continue,
            };
            if rule.name == "response_format" || rule.name == "flex_inference" {
                continue;
            }
            parameters[&rule.name] = value;
        }
        let before = upstream.seen().len();
        let outcome = plugin.call(ask(&upstream, &model.model, json!({"model_parameters": parameters}))).await;
        if let Some(reason) = profile.retired {
            retired += 1;
            assert!(model.deprecated, "{}", model.model);
            assert!(outcome.failure().1.contains(&reason), "{}", model.model);
            assert_eq!(upstream.seen().len(), before, "{} was called", model.model);
        } else {
            live += 1;
            assert_eq!(outcome.text(), "Hello", "{}: {:?}", model.model, upstream.seen().last());
        }
    }
    assert!(live >= 18 && retired >= 30, "{live} live, {retired} retired");
}

fn tools() -> Value {
    json!([{"name": "lookup", "description": "d", "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]}}])
}

#[tokio::test]
async fn an_agent_gives_signatures_back_byte_for_byte() {
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
    // The message's own JSON; the process's memory; both lost.
    for (plugin, opaque, bypasses) in
        [(&plugin, opaque.clone(), 0), (&plugin, Value::Null, 0), (&self::plugin(), Value::Null, 1)]
    {
        let outcome = plugin.call(ask(&upstream, "gemini-3.8-flash", history(opaque))).await;
        assert_eq!(outcome.text(), "Done.");
        assert_eq!(upstream.bypasses(), bypasses);
    }
    // Of another project: refused once, then sent without.
    let foreign = json!({"gemini": {"length": first.text().len(), "parts": [{"text": "I look."},
        {"functionCall": {"id": "a", "name": "lookup", "args": {"q": 1}}, "thoughtSignature": "Foreign"}, {"functionCall": {"id": "b", "name": "lookup", "args": {"q": 2}}}]}});
    let outcome = plugin.call(ask(&upstream, "gemini-3.8-flash", history(foreign))).await;
    assert_eq!((outcome.text().as_str(), upstream.bypasses()), ("Done.", 2));
}

#[tokio::test]
async fn a_long_answer_takes_several_requests() {
    let hop = |said: &str, token: &str, reason: Value| json!({"candidates": [{"content": {"parts": [{"text": said}]}, "continuationToken": token, "finishReason": reason}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}});
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
async fn a_malformed_call_is_repeated_with_validated_calls() {
    let malformed = Reply::Events(vec![json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]})]);
    let call = Reply::Events(vec![parts(json!([{"functionCall": {"name": "lookup", "args": {"q": 1}}}])), end("STOP")]);
    let (upstream, outcome) = one(vec![malformed, call], "gemini-3.8-flash", json!({"tools": tools()})).await;
    assert_eq!(outcome.tool_calls().len(), 1);
    assert_eq!(upstream.seen()[1].body["toolConfig"], json!({"functionCallingConfig": {"mode": "VALIDATED"}}));
}

fn refusal(status: u16, word: &str, details: Value) -> Reply {
    Reply::Refuse(
        status,
        "application/json",
        json!({"error": {"code": status, "status": word, "message": "User location said so.", "details": details}})
            .to_string(),
    )
}

#[tokio::test]
async fn refusals_become_errors_of_dify() {
    let info = |reason: &str| json!([{"@type": "x/google.rpc.ErrorInfo", "reason": reason}]);
    let per_day = json!([{"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}]);
    let delay = |delay: &str| json!([{"@type": "x/google.rpc.RetryInfo", "retryDelay": delay}]);
    let html = |status| Reply::Refuse(status, "text/html", "<html><title>Bad Gateway</title></html>".to_owned());
    let cases = [
        ("wrong key", refusal(400, "INVALID_ARGUMENT", info("API_KEY_INVALID")), "InvokeAuthorizationError", 1),
        ("region", refusal(400, "FAILED_PRECONDITION", json!([])), "InvokeBadRequestError", 1),
        ("token", refusal(401, "UNAUTHENTICATED", json!([])), "InvokeAuthorizationError", 1),
        ("disabled", refusal(403, "PERMISSION_DENIED", info("SERVICE_DISABLED")), "InvokeAuthorizationError", 1),
        ("gone", refusal(404, "NOT_FOUND", json!([])), "InvokeBadRequestError", 1),
        ("too large", refusal(413, "", json!([])), "InvokeBadRequestError", 1),
        ("per minute", refusal(429, "RESOURCE_EXHAUSTED", delay("0.01s")), "InvokeRateLimitError", 2),
        ("per day", refusal(429, "RESOURCE_EXHAUSTED", per_day), "InvokeRateLimitError", 1),
        ("an hour", refusal(429, "RESOURCE_EXHAUSTED", delay("3600s")), "InvokeRateLimitError", 1),
        ("internal", refusal(500, "INTERNAL", json!([])), "InvokeServerUnavailableError", 2),
        ("overloaded", refusal(503, "UNAVAILABLE", json!([])), "InvokeServerUnavailableError", 2),
        ("deadline", refusal(504, "DEADLINE_EXCEEDED", json!([])), "InvokeServerUnavailableError", 2),
        ("a proxy's page", html(502), "InvokeConnectionError", 1),
        ("a page with 200", html(200), "InvokeConnectionError", 1),
        ("nothing", Reply::Refuse(502, "text/plain", String::new()), "InvokeConnectionError", 1),
    ];
    for (name, reply, kind, calls) in cases {
        let (upstream, outcome) =
            one(vec![reply], "gemini-3.8-flash", json!({"credentials": {"max_retries": "1"}})).await;
        let (found, message) = outcome.failure();
        assert_eq!(found, kind, "{name}: {message}");
        assert!(message.starts_with("[google] ") && !message.contains(KEY), "{name}: {message}");
        assert!(
            upstream.seen().len() <= 2 && upstream.seen().len() >= calls.min(2),
            "{name}: {} calls",
            upstream.seen().len()
        );
        if calls == 1 && !name.contains("page") && name != "nothing" {
            assert_eq!(upstream.seen().len(), 1, "{name}");
        }
    }
    let script = vec![
        refusal(503, "UNAVAILABLE", json!([])),
        refusal(429, "RESOURCE_EXHAUSTED", delay("0.01s")),
        hello().remove(0),
    ];
    let (upstream, outcome) = one(script, "gemini-3.8-flash", json!({"credentials": {"max_retries": "2"}})).await;
    assert_eq!((outcome.text().as_str(), upstream.seen().len()), ("Hello", 3));
}

#[tokio::test]
async fn failures_in_the_middle_of_a_stream_keep_what_came() {
    let error = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}});
    let bare = format!("data: {}\r\n\r\n{}", text("half"), serde_json::to_string_pretty(&error).unwrap());
    for (name, reply, kind) in [
        ("error event", Reply::Events(vec![text("half"), error.clone()]), "InvokeServerUnavailableError"),
        ("array", Reply::Events(vec![text("half"), json!([error])]), "InvokeServerUnavailableError"),
        ("bare", Reply::Bytes(vec![bare.into_bytes()]), "InvokeServerUnavailableError"),
        ("cut", Reply::Cut(vec![text("half")]), "InvokeConnectionError"),
        ("no reason", Reply::Events(vec![text("half")]), "InvokeConnectionError"),
    ] {
        let (upstream, outcome) = one(vec![reply], "gemini-3.8-flash", json!({})).await;
        assert_eq!(outcome.failure().0, kind, "{name}");
        assert_eq!(outcome.items[0]["delta"]["message"]["content"], "half", "{name}");
        assert_eq!(upstream.seen().len(), 1, "{name}: never again after output");
    }
    // A JSON array in place of a stream, as without `alt=sse`, byte by byte.
    let array = json!([text("Grüße "), text("🌍"), end("STOP")]).to_string();
    let bytes = array.into_bytes().into_iter().map(|byte| vec![byte]).collect();
    let (_, outcome) = one(vec![Reply::Bytes(bytes)], "gemini-3.8-flash", json!({})).await;
    assert_eq!(outcome.text(), "Grüße 🌍");
}

#[tokio::test]
async fn parameters_of_other_models_are_left_out() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let moved = json!({"model_parameters": {"temperature": 0.3, "thinking_budget": 5, "enable_thinking": true}});
    assert_eq!(plugin.call(ask(&upstream, "gemini-3.8-flash", moved)).await.text(), "Hello");
    assert_eq!(upstream.seen()[0].body.get("generationConfig"), None);
}

#[tokio::test]
async fn blocked_prompts_name_category_and_parameter() {
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
async fn validation_tells_a_wrong_key_from_a_busy_server() {
    let validate = |upstream: &Gemini, key: &str| {
        json!({"action": "validate_provider_credentials", "provider": "google",
        "credentials": {"google_api_key": key, "google_base_url": upstream.url, "max_retries": "0"}})
    };
    let info = |reason: &str| json!([{"@type": "x/google.rpc.ErrorInfo", "reason": reason}]);
    for (reply, key, said) in [
        (hello().remove(0), KEY, None),
        (hello().remove(0), "wrong", Some("API key")),
        (refusal(503, "UNAVAILABLE", json!([])), KEY, None),
        (refusal(429, "RESOURCE_EXHAUSTED", json!([])), KEY, None),
        (refusal(403, "PERMISSION_DENIED", info("SERVICE_DISABLED")), KEY, Some("Enable the API")),
        (refusal(400, "FAILED_PRECONDITION", json!([])), KEY, Some("region")),
    ] {
        let upstream = Gemini::start(vec![reply]).await;
        let outcome = plugin().call(validate(&upstream, key)).await;
        match said {
            None => assert_eq!(outcome.item(), &json!({"result": true})),
            Some(said) => {
                let (kind, message) = outcome.failure();
                assert_eq!(kind, "CredentialsValidateFailedError");
                assert!(message.contains(said) && !message.contains(KEY), "{message}");
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
async fn a_model_of_the_users_own_has_the_rules_of_its_family() {
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
async fn the_limits_of_a_users_own_model_are_asked_of_the_service_once() {
    let upstream = Gemini::start(hello()).await;
    let plugin = plugin();
    let schema = |credentials: Value| {
        let mut request =
            ask(&upstream, "gemini-9-new", json!({"action": "get_ai_model_schemas", "model_type": "llm"}));
        request["credentials"].as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
        request
    };
    let told = plugin.call(schema(json!({}))).await.item()["model_schema"].clone();
    assert_eq!(told["model_properties"]["context_size"], 5000);
    let rules = told["parameter_rules"].as_array().unwrap().clone();
    let rule = |name: &str| rules.iter().find(|rule| rule["name"] == name).cloned();
    assert_eq!(rule("max_output_tokens").unwrap()["max"], 700.0);
    assert!(rule("temperature").is_none() && rule("safety_harassment").is_some());
    assert_eq!(rule("thinking_level").unwrap()["options"], json!(["Low", "Medium", "High"]));
    plugin.call(schema(json!({}))).await.item();
    assert_eq!(upstream.seen().len(), 1);
    let own = plugin.call(schema(json!({"context_size": "9000", "max_output_tokens": "80"}))).await;
    assert_eq!(own.item()["model_schema"]["model_properties"]["context_size"], 9000);
    // A service that does not tell is no failure.
    let silent = Gemini::start(vec![refusal(503, "UNAVAILABLE", json!([]))]).await;
    let request = ask(&silent, "gemini-9-new", json!({"action": "get_ai_model_schemas", "model_type": "llm"}));
    assert_eq!(plugin.call(request).await.item()["model_schema"]["model_properties"]["context_size"], 1_048_576);
}

#[tokio::test]
async fn counts_are_the_servers_and_an_estimate_when_it_fails() {
    for (reply, exact) in [(hello().remove(0), true), (refusal(503, "UNAVAILABLE", json!([])), false)] {
        let upstream = Gemini::start(vec![reply]).await;
        let request = ask(&upstream, "gemini-3.8-flash", json!({"action": "get_llm_num_tokens"}));
        let count = plugin().call(request).await.item()["num_tokens"].as_u64().unwrap();
        assert_eq!(count == 42, exact, "{count}");
        assert!(count > 3);
    }
}

#[tokio::test]
async fn a_hundred_answers_side_by_side_never_mix() {
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
