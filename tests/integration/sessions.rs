//! Sessions through the complete runtime, with a provider that is controlled by the prompt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{harness, waits};
use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated};
use dify_plugin::protocol::{
    AudioChunk, ContentPart, FinishReason, LlmDelta, LlmRequest, MediaPart, ModelRequest, ModelType, TtsRequest,
    ValidateProviderRequest,
};
use dify_plugin::runtime::ServeOptions;
use futures_util::{StreamExt, stream};
use harness::Plugin;
use serde_json::{Value, json};
use waits::until;

/// Provider that executes the prompt: `words N`, `fail`, `panic`, `hang`, `long N`. Counts the words.
#[derive(Default)]
struct Controlled(Arc<AtomicUsize>);

impl Provider for Controlled {
    fn name(&self) -> &'static str {
        "obedient"
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let prompt = request.prompt_messages.last().map(|message| message.content.text()).unwrap_or_default();
        let (verb, number) = prompt.split_once(' ').unwrap_or((prompt.as_str(), "0"));
        let number: usize = number.parse().unwrap_or_default();
        let usage = dify_plugin::declare::price::llm_usage(context.pricing(), 3, number as u64);
        let last = LlmDelta::end(FinishReason::Stop, usage);
        match verb {
            "words" => {
                let made = self.0.clone();
                let word = move |word| {
                    made.fetch_add(1, Ordering::SeqCst);
                    Ok(LlmDelta::text(format!("w{word} ")))
                };
                stream::iter((0..number).map(word)).chain(stream::iter([Ok(last)])).boxed()
            }
            "image" => {
                let media = MediaPart::base64("A".repeat(number)).with_mime_type("image/png").with_detail("high");
                stream::iter([Ok(LlmDelta::parts(vec![ContentPart::Image(media)])), Ok(last)]).boxed()
            }
            "long" => stream::iter([Ok(LlmDelta::text("ä".repeat(number))), Ok(last)]).boxed(),
            "fail" => stream::iter([Ok(LlmDelta::text("so far")), Err(InvokeError::rate_limit("enough"))]).boxed(),
            "panic" => stream::once(async { panic!("by script") }).boxed(),
            _ => stream::pending().boxed(),
        }
    }

    fn tts(&self, _context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        let bytes = bytes::Bytes::from(vec![0xAB; request.content_text.len()]);
        stream::iter([Ok(AudioChunk::new(bytes, Some("audio/mpeg".to_owned())))]).boxed()
    }

    fn validate_provider(&self, _context: CallContext, request: ValidateProviderRequest) -> ResultFuture<Validated> {
        let right = request.credentials.get("api_key") == Some("right");
        Box::pin(async move {
            if right { Ok(Validated::unchanged()) } else { Err(InvokeError::authorization("wrong key")) }
        })
    }

    fn model_schema(&self, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(async move { Ok(ModelSchema::customizable(request.target.model, request.model_type)) })
    }
}

fn plugin() -> Plugin {
    plugin_of(Controlled::default())
}

fn plugin_of(provider: Controlled) -> Plugin {
    let declaration: ProviderDeclaration = serde_json::from_value(json!({
        "provider": "obedient", "label": {"en_US": "Controlled"}, "supported_model_types": ["llm", "tts"],
        "configurate_methods": ["predefined-model", "customizable-model"],
        "provider_credential_schema": {"credential_form_schemas": [
            {"variable": "api_key", "label": {"en_US": "Key"}, "type": "secret-input", "required": true},
            {"variable": "method", "label": {"en_US": "Method"}, "type": "select", "required": true, "default": "plain",
             "options": [{"label": {"en_US": "Plain"}, "value": "plain"}, {"label": {"en_US": "Signed"}, "value": "signed"}]},
            {"variable": "secret", "label": {"en_US": "Secret"}, "type": "secret-input", "required": true,
             "show_on": [{"variable": "method", "value": "signed"}]},
        ]},
    }))
    .unwrap();
    let mut models =
        vec![ModelSchema::customizable("m", ModelType::Llm), ModelSchema::customizable("t", ModelType::Tts)];
    models[0].pricing =
        serde_json::from_value(json!({"input": "0.1", "output": "0.2", "unit": "0.001", "currency": "USD"})).unwrap();
    Plugin::of(vec![(declaration, models, Arc::new(provider))])
}

fn llm(prompt: &str) -> Value {
    json!({"action": "invoke_llm", "provider": "obedient", "model": "m", "model_type": "llm", "credentials": {"api_key": "right"},
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": prompt}], "stream": true})
}

#[tokio::test]
async fn a_stream_has_indexes_a_price_and_an_end() {
    let outcome = plugin().call(llm("words 3")).await;
    assert_eq!(outcome.text(), "w0 w1 w2 ");
    let indexes: Vec<u64> = outcome.items.iter().map(|item| item["delta"]["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>());
    assert_eq!(outcome.usage()["total_price"], "0.0009000");
    assert!(outcome.usage()["latency"].as_f64().unwrap() > 0.0);
    assert_eq!(outcome.finish_reason(), Some("stop"));
}

#[tokio::test]
async fn a_blocking_call_is_one_item() {
    let mut request = llm("words 3");
    request["stream"] = json!(false);
    let outcome = plugin().call(request).await;
    assert_eq!(outcome.item()["delta"]["message"]["content"], "w0 w1 w2 ");
    assert_eq!(outcome.item()["delta"]["index"], 0);
}

#[tokio::test]
async fn failures_end_their_session_only() {
    let mut connection = plugin().connect();
    for (session, prompt) in [("a", "panic"), ("b", "fail"), ("c", "words 2")] {
        connection.request(session, llm(prompt)).await;
    }
    connection.send("half a line").await;
    connection.send(r#"{"session_id":"d","event":"request","data":7}"#).await;
    connection.send(r#"{"session_id":"e","event":"request"}"#).await;
    let mut ends = std::collections::BTreeMap::new();
    while ends.len() < 5 {
        let line = connection.next().await.unwrap();
        let session = line["session_id"].as_str().unwrap_or_default().to_owned();
        match line["data"]["type"].as_str() {
            Some("error") => {
                ends.insert(session, line["data"]["data"]["error_type"].as_str().unwrap().to_owned());
            }
            Some("end") => {
                ends.entry(session).or_insert_with(|| "ended".to_owned());
            }
            _ => {}
        }
    }
    let expected = [
        ("a", "InvokeServerUnavailableError"),
        ("b", "InvokeRateLimitError"),
        ("c", "ended"),
        ("d", "InvokeBadRequestError"),
        ("e", "InvokeBadRequestError"),
    ];
    assert_eq!(ends.iter().map(|(session, end)| (session.as_str(), end.as_str())).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn reports_invalid_requests() {
    let plugin = plugin();
    let cases = [
        (json!({"credentials": {}}), "CredentialsValidateFailedError", "`api_key`"),
        (
            json!({"credentials": {"api_key": "right", "method": "signed"}}),
            "CredentialsValidateFailedError",
            "`secret`",
        ),
        (
            json!({"credentials": {"api_key": "right", "method": "odd"}}),
            "CredentialsValidateFailedError",
            "plain, signed",
        ),
        (json!({"provider": "other"}), "InvokeBadRequestError", "unknown provider `other`"),
        (json!({"action": "fly"}), "InvokeBadRequestError", "unknown action `fly`"),
        (json!({"type": "tool"}), "InvokeBadRequestError", "unknown action `invoke_llm`"),
        (json!({"action": "invoke_rerank", "query": "q"}), "InvokeBadRequestError", "no rerank models"),
        (
            json!({"prompt_messages": [{"role": "", "content": null}]}),
            "InvokeBadRequestError",
            "prompt_messages[0].role",
        ),
        (json!({"action": "start_polling"}), "PluginLLMPollingUnsupportedError", "not polled"),
    ];
    for (change, kind, expected) in cases {
        let mut request = llm("words 1");
        for (name, value) in change.as_object().unwrap() {
            request[name] = value.clone();
        }
        let outcome = plugin.call(request).await;
        let (found, message) = outcome.failure();
        assert_eq!(found, kind, "{change}: {message}");
        assert!(message.contains(expected), "{change}: {message}");
    }
}

#[tokio::test]
async fn validation_returns_true_or_a_validation_error() {
    let request = |key: &str| json!({"action": "validate_provider_credentials", "provider": "obedient", "credentials": {"api_key": key}});
    assert_eq!(plugin().call(request("right")).await.item(), &json!({"result": true}));
    assert_eq!(plugin().call(request("wrong")).await.failure(), ("CredentialsValidateFailedError", "wrong key"));
}

#[tokio::test]
async fn splits_long_text_and_encodes_audio_as_hexadecimal() {
    let outcome = plugin().call(llm("long 6000000")).await;
    assert!(outcome.items.len() > 2);
    assert_eq!(outcome.text().chars().count(), 6_000_000);
    let speech = json!({"action": "invoke_tts", "provider": "obedient", "model": "t", "model_type": "tts",
        "credentials": {"api_key": "right"}, "content_text": "abc", "voice": "v"});
    assert_eq!(plugin().call(speech).await.item(), &json!({"result": "ababab", "mime_type": "audio/mpeg"}));
}

#[tokio::test]
async fn finishes_open_sessions_after_the_end_of_input() {
    let mut connection = plugin().connect();
    connection.request("a", llm("words 500")).await;
    connection.close_input().await;
    assert_eq!(connection.outcome("a").await.items.len(), 501);
    assert!(connection.next().await.is_none());
}

#[tokio::test]
async fn runs_a_thousand_concurrent_sessions() {
    let mut connection = plugin().connect();
    for session in 0..1000 {
        connection.request(&format!("s{session}"), llm("words 20")).await;
    }
    let (mut ends, mut items) = (0, 0);
    while ends < 1000 {
        let line = connection.next().await.unwrap();
        match line["data"]["type"].as_str() {
            Some("end") => ends += 1,
            Some("stream") => items += 1,
            _ => {}
        }
    }
    assert!(items >= 1000, "{items}");
}

#[tokio::test]
async fn sends_heartbeats_first_and_while_a_session_hangs() {
    let options = ServeOptions::default().with_heartbeat(Duration::from_millis(50));
    let start = Instant::now();
    let mut connection = plugin().with_options(options).connect();
    connection.request("a", llm("hang")).await;
    for _ in 0..4 {
        assert_eq!(connection.next().await.unwrap()["event"], "heartbeat");
    }
    assert!(start.elapsed() >= Duration::from_millis(3 * 50), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_item_over_the_line_limit_ends_its_session_with_an_error() {
    let outcome = plugin().call(llm("image 1000000")).await;
    assert_eq!(outcome.items.len(), 2);
    let outcome = plugin().call(llm("image 6000000")).await;
    let (kind, message) = outcome.failure();
    assert_eq!(kind, "InvokeBadRequestError");
    assert!(message.contains("exceeds the line limit"), "{message}");
}

#[tokio::test]
async fn joins_text_instead_of_queueing_it_for_a_slow_daemon() {
    const WORDS: usize = 300_000;
    let provider = Controlled::default();
    let made = provider.0.clone();
    let mut connection = plugin_of(provider).connect();
    connection.request("a", llm(&format!("words {WORDS}"))).await;
    // More than pipe and queue take at 260 bytes a line: 38,000. It stops at 45,000, because some thousands are joined.
    until(|| made.load(Ordering::SeqCst) > 42_000).await;
    let outcome = connection.outcome("a").await;
    assert!(outcome.items.len() < WORDS, "{} items", outcome.items.len());
    let text = outcome.text();
    assert_eq!(text.split_whitespace().count(), WORDS);
    assert!(text.starts_with("w0 w1 w2 ") && text.ends_with(&format!("w{} ", WORDS - 1)));
    assert_eq!(outcome.finish_reason(), Some("stop"));
}

#[tokio::test]
async fn queues_sessions_beyond_the_limit() {
    let options = ServeOptions::default().with_max_sessions(3);
    let mut connection = plugin().with_options(options).connect();
    for session in 0..10_000 {
        connection.request(&format!("s{session}"), llm("words 1")).await;
    }
    let mut ends = 0;
    while ends < 10_000 {
        ends += usize::from(connection.next().await.unwrap()["data"]["type"] == "end");
    }
}

#[tokio::test]
async fn ends_a_session_with_an_error_after_its_timeout() {
    let options = ServeOptions::default().with_max_session_time(Duration::from_millis(100));
    let outcome = plugin().with_options(options).call(llm("hang")).await;
    assert!(outcome.failure().1.contains("timed out"), "{:?}", outcome.error);
}
