//! Explicit context caching and token counts, in complete sessions with the strict mock server.

use std::path::Path;

use crate::support::{gemini as upstream, harness};
use dify_plugin::declare;
use dify_plugin_runtime::providers;
use futures_util::future::join_all;
use harness::{Outcome, Plugin};
use serde_json::{Value, json};
use upstream::{Gemini, KEY, Reply, Seen, end, parts, text};

const MODEL: &str = "gemini-3.8-flash";

fn plugin() -> Plugin {
    let all = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers;
    let loaded = all.into_iter().find(|provider| provider.declaration.provider == "google").unwrap();
    let provider = providers::all(Default::default()).into_iter().find(|provider| provider.name() == "google").unwrap();
    Plugin::of(vec![(loaded.declaration, loaded.models, provider)])
}

/// A prompt of 2,000 words and a question.
fn prompt(question: &str) -> Value {
    json!([{"role": "system", "content": "word ".repeat(2000)}, {"role": "user", "content": question}])
}

fn ask(upstream: &Gemini, model: &str, parameters: Value, fields: Value) -> Value {
    let mut request = json!({
        "action": "invoke_llm", "provider": "google", "model": model, "stream": true,
        "credentials": {"google_api_key": KEY, "google_base_url": upstream.url, "max_retries": "0"},
        "prompt_messages": prompt("Why?"), "model_parameters": parameters,
    });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

fn cached() -> Value {
    json!({"context_cache": true})
}

async fn upstream() -> Gemini {
    Gemini::start(vec![Reply::Events(vec![text("Hello"), end("STOP")])]).await
}

fn made(upstream: &Gemini) -> Vec<Seen> {
    upstream.seen().into_iter().filter(|seen| seen.path == "/v1beta/cachedContents").collect()
}

fn last(upstream: &Gemini) -> Value {
    upstream.seen().pop().unwrap().body
}

fn check(outcome: &Outcome) {
    assert_eq!(outcome.text(), "Hello", "{:?}", outcome.error);
}

#[tokio::test]
async fn a_long_prefix_is_cached_from_the_second_request_on() {
    let (upstream, plugin) = (upstream().await, plugin());
    for _ in 0..3 {
        check(&plugin.call(ask(&upstream, MODEL, json!({}), json!({}))).await);
    }
    assert!(made(&upstream).is_empty(), "it is off by default");
    check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    assert!(made(&upstream).is_empty() && last(&upstream).get("systemInstruction").is_some(), "not after one request");
    let second = plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await;
    check(&second);
    // 0.75 to read 2,000 words and 0.50 per hour to store them for ten minutes, in addition to the 0.001125 for the
    // request.
    assert_eq!(second.usage()["total_price"], "0.0027917");
    let kept = made(&upstream).pop().unwrap().body;
    assert_eq!((&kept["model"], &kept["ttl"]), (&json!("models/gemini-3.8-flash"), &json!("600s")));
    let third = plugin.call(ask(&upstream, MODEL, cached(), json!({"prompt_messages": prompt("And why that?")}))).await;
    assert_eq!(third.usage()["total_price"], "0.0011250");
    assert_eq!(made(&upstream).len(), 1);
    let rest = json!({"contents": [{"role": "user", "parts": [{"text": "And why that?"}]}], "cachedContent": "cachedContents/0", "store": false});
    assert_eq!(last(&upstream), rest);
}

#[tokio::test]
async fn documents_and_functions_are_cached_too_and_other_prompts_have_separate_caches() {
    let (upstream, plugin) = (upstream().await, plugin());
    let tools = json!([{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]);
    let fields = |document: &str| {
        json!({"tools": tools, "prompt_messages": [{"role": "user", "content": [
            {"type": "text", "data": document.repeat(2000)}, {"type": "text", "data": "Why?"}]}]})
    };
    for document in ["word ", "other "] {
        for _ in 0..2 {
            check(&plugin.call(ask(&upstream, MODEL, cached(), fields(document))).await);
        }
        let kept = made(&upstream).pop().unwrap().body;
        assert_eq!(kept["contents"][0]["parts"][0]["text"], document.repeat(2000));
        assert!(kept["tools"].is_array());
    }
    assert_eq!(made(&upstream).len(), 2);
    let rest = json!({"contents": [{"role": "user", "parts": [{"text": "Why?"}]}], "cachedContent": "cachedContents/1", "store": false});
    assert_eq!(last(&upstream), rest);
}

#[tokio::test]
async fn concurrent_requests_create_one_cache() {
    let (upstream, plugin) = (upstream().await, plugin());
    check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    let calls = (0..20).map(|_| plugin.call(ask(&upstream, MODEL, cached(), json!({}))));
    join_all(calls).await.iter().for_each(check);
    assert_eq!(made(&upstream).len(), 1);
}

#[tokio::test]
async fn the_ttl_of_a_cache_is_limited_by_its_price_and_extended_while_it_is_used() {
    let (upstream, plugin) = (upstream().await, plugin());
    // 0.10 to read, 0.01 from the cache, 1.00 per hour: 324 seconds.
    for _ in 0..2 {
        check(&plugin.call(ask(&upstream, "gemini-2.5-flash-lite", cached(), json!({}))).await);
    }
    assert_eq!(made(&upstream)[0].body["ttl"], "324s");
    for minutes in [2, 2, 60] {
        let parameters = json!({"context_cache": true, "context_cache_minutes": minutes});
        check(&plugin.call(ask(&upstream, MODEL, parameters, json!({}))).await);
    }
    let extended = upstream.seen().into_iter().find(|seen| seen.path == "/v1beta/cachedContents/1").unwrap();
    assert_eq!(extended.body, json!({"ttl": "3600s"}));
    assert_eq!(made(&upstream).len(), 2);
}

#[tokio::test]
async fn a_lost_or_rejected_cache_does_not_fail_the_request() {
    let (upstream, plugin) = (upstream().await, plugin());
    for _ in 0..2 {
        check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    }
    upstream.lose_caches();
    check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    assert!(last(&upstream).get("systemInstruction").is_some(), "it was sent in full");
    for _ in 0..2 {
        check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    }
    assert_eq!(made(&upstream).len(), 2);
    // Many tokens by the estimate, few by the service's count.
    let dense = json!({"prompt_messages": [{"role": "system", "content": "1,2;".repeat(3000)}, {"role": "user", "content": "Why?"}]});
    for _ in 0..4 {
        check(&plugin.call(ask(&upstream, MODEL, cached(), dense.clone())).await);
    }
    assert_eq!(made(&upstream).len(), 3, "a rejection is remembered");
}

/// Behind a gateway that distributes requests over projects, a cache is lost as soon as it is created.
#[tokio::test]
async fn a_cache_that_is_lost_at_its_first_use_is_not_recreated() {
    let upstream = upstream().await;
    upstream.lose_every_cache();
    let plugin = plugin();
    for _ in 0..6 {
        check(&plugin.call(ask(&upstream, MODEL, cached(), json!({}))).await);
    }
    assert_eq!(made(&upstream).len(), 1);
}

#[tokio::test]
async fn a_malformed_call_is_retried_without_the_cache() {
    let malformed = Reply::Events(vec![parts(json!([])), end("MALFORMED_FUNCTION_CALL")]);
    let hello = || Reply::Events(vec![text("Hello"), end("STOP")]);
    let upstream = Gemini::start(vec![hello(), malformed, hello()]).await;
    let plugin = plugin();
    let tools =
        json!({"tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]});
    for _ in 0..2 {
        check(&plugin.call(ask(&upstream, MODEL, cached(), tools.clone())).await);
    }
    let again = last(&upstream);
    assert_eq!(again["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert!(again.get("cachedContent").is_none() && again["tools"].is_array());
}

#[tokio::test]
async fn the_tokens_of_a_prompt_are_counted_once_with_its_files() {
    let (upstream, plugin) = (upstream().await, plugin());
    let video = json!({"prompt_messages": [{"role": "user", "content": [
        {"type": "video", "url": "https://www.youtube.com/watch?v=x", "format": "mp4", "mime_type": "video/mp4"},
        {"type": "image", "base64_data": "AAAA", "format": "png", "mime_type": "image/png"},
        {"type": "text", "data": "Why?"}]}]});
    for (fields, asked) in [(json!({}), 1), (json!({}), 1), (video.clone(), 2), (video, 2)] {
        let mut request = ask(&upstream, MODEL, json!({}), fields);
        request["action"] = json!("get_llm_num_tokens");
        assert_eq!(plugin.call(request).await.item()["num_tokens"], 42);
        assert_eq!(upstream.seen().len(), asked);
    }
    let sent = &last(&upstream)["generateContentRequest"];
    assert_eq!(sent["model"], "models/gemini-3.8-flash");
    assert_eq!(sent["contents"][0]["parts"][0]["fileData"]["fileUri"], "https://www.youtube.com/watch?v=x");
    assert_eq!(sent["contents"][0]["parts"][1]["inlineData"]["data"], "AAAA");
}
