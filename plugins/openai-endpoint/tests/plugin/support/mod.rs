//! The plugin behind a Dify, requests with a key, and server-sent events as a client reads them.

use dify_plugin::bytes::Bytes;
use dify_plugin::http::{Request, Response};
use dify_plugin::testing::{Failure, Host};
use serde_json::{Value, json};

pub const KEY: &str = "sk-0123456789abcdef";

/// The plugin with its declarations. A closure for every call answers; tests replace what matters to them.
pub fn host() -> Host {
    Host::load(env!("CARGO_MANIFEST_DIR"), openai_endpoint::plugin()).unwrap()
}

/// Settings with a model of each type, and apps.
pub fn settings() -> Value {
    let model = |model: &str, model_type: &str| json!({"provider": "acme/models/acme", "model": model, "model_type": model_type});
    json!({
        "api_key": KEY,
        "llm": model("chat", "llm"),
        "text_embedding": model("embed", "text-embedding"),
        "speech2text": model("listen", "speech2text"),
        "moderation": model("judge", "moderation"),
        "tts": {"provider": "acme/models/acme", "model": "speak", "model_type": "tts", "voice": "nova"},
        "chat_app": {"app_id": "app-1", "inputs": {"tone": "calm"}},
        "workflow_app": {"app_id": "flow-1"},
        "more_models": "small = acme/models/acme/org/small; rank = acme/models/acme/rank",
        "more_apps": "write = completion:app-2",
    })
}

/// A request with the key.
pub fn request(method: &str, path: &str, body: impl Into<Vec<u8>>) -> Request<Vec<u8>> {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
    request.header("content-type", "application/json").body(body.into()).unwrap()
}

pub fn post(path: &str, body: &Value) -> Request<Vec<u8>> {
    request("POST", path, body.to_string())
}

/// Sends a request, and returns the status and the JSON of the response.
pub async fn send(host: &Host, request: Request<Vec<u8>>) -> (u16, Value) {
    let response = call(host, request).await.unwrap();
    let text = text(&response);
    let body = serde_json::from_str(&text).unwrap_or_else(|_| text.into());
    (response.status().as_u16(), body)
}

/// Sends a request.
pub async fn call(host: &Host, request: Request<Vec<u8>>) -> Result<Response<Bytes>, Failure> {
    host.endpoint(request).settings(settings()).await
}

/// The body of a response as text.
pub fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

/// A chat request for the language model, with more members.
pub fn chat(more: Value) -> Value {
    let mut body = json!({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The data of the events of a stream; every line must be one of a stream.
pub fn events(body: &str) -> Vec<Value> {
    assert!(body.ends_with("\n\n"), "{body:?}");
    let mut events = Vec::new();
    for event in body.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':')) {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"));
        assert!(!data.contains('\n'), "{event:?}");
        events.push(if data == "[DONE]" { data.into() } else { serde_json::from_str(data).unwrap() });
    }
    events
}

/// Joins the deltas of a stream of chat chunks as clients do, and checks its form.
pub fn joined(body: &str) -> Value {
    let events = events(body);
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let (mut text, mut reasoning, mut calls, mut reason) =
        (String::new(), String::new(), Vec::<Value>::new(), Value::Null);
    let mut usage = Value::Null;
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        if !chunk["usage"].is_null() {
            assert_eq!((index, &chunk["choices"]), (chunks.len() - 1, &json!([])));
            usage = chunk["usage"].clone();
            continue;
        }
        let choice = &chunk["choices"][0];
        assert_eq!((index == 0, &reason), (choice["delta"]["role"] == "assistant", &Value::Null));
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        reasoning += choice["delta"]["reasoning_content"].as_str().unwrap_or_default();
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if index == calls.len() {
                assert!(call["id"].is_string() && call["type"] == "function", "{call}");
                calls.push(call.clone());
                continue;
            }
            let known = calls[index]["function"]["arguments"].as_str().unwrap().to_owned();
            calls[index]["function"]["arguments"] = (known + call["function"]["arguments"].as_str().unwrap()).into();
        }
        reason = choice["finish_reason"].clone();
    }
    let arguments: Vec<Value> =
        calls.iter().map(|call| json!([call["id"], call["function"]["name"], call["function"]["arguments"]])).collect();
    json!({"text": text, "reasoning": reasoning, "calls": arguments, "finish_reason": reason, "usage": usage})
}

/// A chunk of a language model, as Dify sends it.
pub fn chunk(content: Value, tool_calls: Value, finish_reason: Value) -> Value {
    let usage = if finish_reason.is_null() {
        Value::Null
    } else {
        json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "total_price": "0.1", "currency": "USD", "latency": 1})
    };
    json!({"model": "chat", "prompt_messages": [], "system_fingerprint": "fp_1",
        "delta": {"index": 0, "message": {"role": "assistant", "content": content, "name": "", "tool_calls": tool_calls},
            "usage": usage, "finish_reason": finish_reason}})
}
