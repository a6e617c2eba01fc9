//! A compatible upstream that no provider knows: a profile and an endpoint are enough, and what it refuses is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/scripted.rs"]
mod scripted;

use std::sync::Arc;

use dify_plugin_runtime::dialect::openai::profile::ToolForm;
use dify_plugin_runtime::dialect::openai::{BaseUrl, MapperOptions, Profile};
use dify_plugin_runtime::error::InvokeError;
use dify_plugin_runtime::protocol::LlmRequest;
use dify_plugin_runtime::providers::compatible::{Endpoint, chat};
use dify_plugin_runtime::upstream::auth::HeaderAuthorization;
use dify_plugin_runtime::upstream::{RetryPolicy, Upstream};
use futures_util::StreamExt;
use scripted::{Scripted, Step, answer};
use serde_json::{Value, json};

fn typed(status: &str, content_type: &str, body: &str) -> Vec<Step> {
    answer(status, &format!("content-type: {content_type}\r\n"), body)
}

fn refusal(message: &str) -> Vec<Step> {
    typed("400 Bad Request", "application/json", &json!({"error": {"message": message}}).to_string())
}

fn stream() -> Vec<Step> {
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    typed("200 OK", "text/event-stream", events)
}

fn document() -> Vec<Step> {
    let body = json!({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    typed("200 OK", "application/json", &body.to_string())
}

fn request(fields: Value) -> LlmRequest {
    let mut request = json!({"provider": "other", "model": "m", "prompt_messages": [{"role": "user", "content": "Hi"}], "model_parameters": {"max_tokens": 9}});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

async fn ask(server: &Scripted, profile: &Profile, request: LlmRequest) -> Result<String, InvokeError> {
    let base = BaseUrl::parse(&format!("{}/v1/", server.url), "url").unwrap();
    let mut endpoint = Endpoint::new(base, Arc::new(HeaderAuthorization::new().bearer("key-1")));
    endpoint.retry = RetryPolicy::never();
    let options = MapperOptions::of(&request, profile, None);
    let mut deltas =
        chat::invoke(Upstream::new(), endpoint, "wire-model".to_owned(), profile.clone(), options, request);
    let mut text = String::new();
    while let Some(delta) = deltas.next().await {
        text.push_str(&delta?.content.text());
    }
    Ok(text)
}

fn bodies(server: &Scripted) -> Vec<Value> {
    let requests = server.requests();
    requests.iter().map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()).collect()
}

#[tokio::test]
async fn a_profile_and_an_endpoint_are_a_provider() {
    let server = Scripted::start(vec![stream()]).await;
    let profile = Profile { tools: ToolForm::FunctionCall, ..Profile::default() };
    let tools = json!({"tools": [{"name": "f", "description": "d", "parameters": {}}]});
    assert_eq!(ask(&server, &profile, request(tools)).await.unwrap(), "Hello");
    let head = server.requests()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /v1/chat/completions ") && head.contains("authorization: bearer key-1"), "{head}");
    let body = &bodies(&server)[0];
    assert_eq!(
        (&body["model"], &body["functions"][0]["name"], &body["max_tokens"]),
        (&json!("wire-model"), &json!("f"), &json!(9))
    );
}

#[tokio::test]
async fn what_a_server_refuses_is_left_out_and_remembered() {
    let profile = Profile { include_usage: true, ..Profile::default() };
    /// What one body must look like: stream, stream_options, max_tokens, max_completion_tokens.
    fn shape(body: &Value) -> (bool, bool, bool, bool) {
        let has = |name: &str| body.get(name).is_some();
        (body["stream"] == true, has("stream_options"), has("max_tokens"), has("max_completion_tokens"))
    }
    let full = (true, true, true, false);
    let cases = [
        ("Unrecognized request argument: stream_options", stream(), (true, false, true, false)),
        (
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            stream(),
            (true, true, false, true),
        ),
        ("Streaming is not supported by this model", document(), (false, false, true, false)),
    ];
    for (message, then, reduced) in cases {
        let server = Scripted::start(vec![refusal(message), then]).await;
        for _ in 0..2 {
            assert_eq!(ask(&server, &profile, request(json!({}))).await.unwrap(), "Hello", "{message}");
        }
        let shapes: Vec<_> = bodies(&server).iter().map(shape).collect();
        assert_eq!(shapes, [full, reduced, reduced], "{message}");
    }
}

#[tokio::test]
async fn a_refusal_that_teaches_nothing_stands() {
    let server = Scripted::start(vec![refusal("the prompt is too long"), stream()]).await;
    let error = ask(&server, &Profile::default(), request(json!({}))).await.unwrap_err();
    assert!(error.message.contains("the prompt is too long"), "{error}");
    let server = Scripted::start(vec![typed("200 OK", "text/html", "<title>Welcome</title>")]).await;
    let error = ask(&server, &Profile::default(), request(json!({}))).await.unwrap_err();
    assert!(error.message.contains("Welcome"), "{error}");
}
