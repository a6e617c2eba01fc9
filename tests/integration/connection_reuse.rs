//! Connections to upstreams: calls that follow one another share one, whenever the server writes its last piece; a call that is
//! cancelled leaves none behind.

use std::path::Path;
use std::time::Duration;

use crate::support::{harness, scripted, waits};
use dify_plugin::declare;
use dify_plugin_runtime::providers;
use harness::Plugin;
use scripted::{Scripted, Step};
use serde_json::{Value, json};
use waits::until;

const CALLS: usize = 50;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const LAST_PIECE: &str = "0\r\n\r\n";

fn plugin(name: &str) -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found = declared.providers.into_iter().find(|provider| provider.declaration.provider == name).unwrap();
    let code = providers::all(Default::default()).into_iter().find(|provider| provider.name() == name).unwrap();
    Plugin::of(vec![(found.declaration, found.models, code)])
}

fn chat(provider: &str, url: &str) -> Value {
    let (model, credentials) = match provider {
        "google" => ("gemini-3.5-flash", json!({"google_api_key": "k", "google_base_url": url})),
        "xinference" => ("m", json!({"server_url": url, "model_uid": "m", "api_key": "k"})),
        _ => ("m", json!({"auth_method": "api_key", "api_key": "k", "endpoint_url": format!("{url}/v1")})),
    };
    json!({"action": "invoke_llm", "provider": provider, "model": model, "model_type": "llm", "stream": true,
        "credentials": credentials, "prompt_messages": [{"role": "user", "content": "Why?"}], "model_parameters": {}})
}

fn piece(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn openai(end: &str) -> String {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "So."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    piece(&format!("data: {delta}\n\n{end}"))
}

fn gemini() -> String {
    let delta = json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "So."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}});
    piece(&format!("data: {delta}\r\n\r\n"))
}

#[tokio::test]
async fn calls_that_follow_one_another_share_a_connection() {
    let done = "data: [DONE]\n\n";
    for (provider, content) in [
        ("ai-gateway", openai(done)),
        ("ai-gateway", openai("")),
        ("ai-gateway", openai(&format!("{done}: and a comment\n\n"))),
        ("google", gemini()),
    ] {
        let plugin = plugin(provider);
        let late_pieces =
            [(None, CALLS, 0), (Some(0), CALLS, 0), (Some(1), CALLS, 0), (Some(10), 10, 20), (Some(300), 3, 400)];
        for (late, calls, between) in late_pieces {
            let mut script = vec![Step::Send(HEAD.into())];
            match late {
                None => script.push(Step::Send(format!("{content}{LAST_PIECE}").into())),
                Some(wait) => script.extend([
                    Step::Send(content.clone().into()),
                    Step::Pause(Duration::from_millis(wait)),
                    Step::Send(LAST_PIECE.into()),
                ]),
            }
            let server = Scripted::keep_alive(script).await;
            for _ in 0..calls {
                let outcome = plugin.call(chat(provider, &server.url)).await;
                assert_eq!((outcome.text().as_str(), &outcome.error), ("So.", &None), "{provider} {late:?}");
                tokio::time::sleep(Duration::from_millis(between)).await;
            }
            assert_eq!(server.requests().len(), calls);
            assert_eq!(server.accepted_connections(), 1, "{provider}, {content:?}, last piece after {late:?} ms");
        }
    }
}

#[tokio::test]
async fn a_response_without_an_end_is_given_up() {
    let plugin = plugin("ai-gateway");
    let content = openai("data: [DONE]\n\n");
    for after in [
        vec![Step::Hang],
        vec![Step::Repeat(piece(": still here\n\n").into(), Duration::from_millis(20))],
        // More than is worth reading.
        vec![Step::Repeat(piece(&format!(": {}\n\n", "x".repeat(16 * 1024))).into(), Duration::from_millis(1))],
    ] {
        let script = [vec![Step::Send(HEAD.into()), Step::Send(content.clone().into())], after].concat();
        let server = Scripted::keep_alive(script).await;
        let outcome = plugin.call(chat("ai-gateway", &server.url)).await;
        assert_eq!((outcome.text().as_str(), &outcome.error), ("So.", &None));
        until(|| server.open_connections() == 0).await;
    }
}

#[tokio::test]
async fn a_cancelled_call_leaves_no_connection() {
    let plugin = plugin("ai-gateway");
    let delta = piece("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
    let server = Scripted::keep_alive(vec![Step::Send(HEAD.into()), Step::Send(delta.into()), Step::Hang]).await;
    let mut connection = plugin.connect();
    for number in 0..10 {
        let session = format!("s{number}");
        connection.request(&session, chat("ai-gateway", &server.url)).await;
        until(|| server.open_connections() == 1).await;
        connection.send(&json!({"session_id": session, "event": "cancel"}).to_string()).await;
        until(|| server.open_connections() == 0).await;
    }
}
