//! A mock of any OpenAI-compatible API on loopback: the host of the real URL is the first part of the path
//! (`/_host/api.example.com/v1/chat/completions`). It accepts one key, rejects what no such API takes and what the rules of a
//! host forbid, and records every request.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

use super::loopback;

/// The key that the server accepts.
pub const KEY: &str = "good-key";

/// Text that chat models return.
pub const ANSWER: &str = "Hello";

/// Placeholder for an audio file.
pub const AUDIO: &[u8] = b"ID3\x04 audio";

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Host of the real URL.
    pub host: String,
    /// Path of the real URL.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// JSON body; `null` if there is none or another one.
    pub body: Value,
}

/// What a host forbids in the body of a chat request: returns the message of its error.
pub type Rule = fn(&Value) -> Option<&'static str>;

struct Inner {
    rules: Vec<(&'static str, Rule)>,
    /// Hosts that do not accept the key.
    foreign: &'static [&'static str],
    seen: Mutex<Vec<Seen>>,
}

/// The running server.
pub struct Server {
    /// `http://127.0.0.1:port`
    pub url: String,
    inner: Arc<Inner>,
}

impl Server {
    /// Starts a server with rules by host, and hosts that reject the key.
    pub async fn start(rules: Vec<(&'static str, Rule)>, foreign: &'static [&'static str]) -> Self {
        let inner = Arc::new(Inner { rules, foreign, seen: Mutex::default() });
        let url = loopback::serve(axum::Router::new().fallback(handle).with_state(inner.clone())).await;
        Self { url, inner }
    }

    /// The URL on this server that represents a real one.
    pub fn instead_of(&self, url: &str) -> String {
        url.replace("https://", &format!("{}/_host/", self.url))
    }

    /// Leads the URLs of facts to this server. Headers may contain URLs that are no addresses.
    pub fn redirect(&self, facts: &mut Value) {
        match facts {
            Value::String(text) => *text = self.instead_of(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redirect(item)),
            Value::Object(map) => {
                map.iter_mut().filter(|(key, _)| *key != "headers").for_each(|(_, member)| self.redirect(member));
            }
            _ => {}
        }
    }

    /// Returns and forgets the requests so far.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.seen.lock().unwrap())
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let target = parts.uri.path().strip_prefix("/_host/").unwrap_or_default();
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let seen = Seen {
        host: host.to_owned(),
        path: format!("/{path}"),
        headers: parts.headers.clone(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    inner.seen.lock().unwrap().push(seen.clone());
    let key = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    if key.as_deref() != Some(&format!("Bearer {KEY}")) || inner.foreign.contains(&host) {
        return error(401, "Incorrect API key provided");
    }
    match (parts.method.as_str(), path.rsplit_once('/').map_or(path, |(_, last)| last)) {
        ("GET", "models" | "key") => reply(json!({"object": "list", "data": [{"id": "m"}]})),
        ("POST", "completions") if path.ends_with("chat/completions") => {
            let wrong = wrong_chat(&seen.body);
            let rule = inner.rules.iter().filter(|(of, _)| *of == host).find_map(|(_, rule)| rule(&seen.body));
            match wrong.or(rule.map(str::to_owned)) {
                Some(message) => error(400, &message),
                None => chat(&seen.body),
            }
        }
        ("POST", "embeddings") => embeddings(&seen.body),
        ("POST", "rerank") => rerank(&seen.body, host == "sglang.example"),
        ("POST", "speech") => match (seen.body["input"].as_str(), seen.body["voice"].as_str()) {
            (Some(input), Some(voice)) if !input.is_empty() && !voice.is_empty() => audio(),
            _ => error(400, "input and voice are required"),
        },
        ("POST", "transcriptions") => {
            let form = String::from_utf8_lossy(&bytes);
            if form.contains("name=\"model\"") && form.contains("name=\"file\"") {
                reply(json!({"text": ANSWER}))
            } else {
                error(400, "model and file are required")
            }
        }
        _ => error(404, "no such path"),
    }
}

/// What no chat API takes.
fn wrong_chat(body: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if !text(&body["model"]) {
        return Some("model is required".to_owned());
    }
    if let Some((name, _)) = body.as_object().unwrap().iter().find(|(_, value)| value.is_null()) {
        return Some(format!("{name} must not be null"));
    }
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return Some("messages are required".to_owned());
    };
    let mut calls: Vec<&str> = Vec::new();
    for message in messages {
        match message["role"].as_str() {
            Some("system" | "user") if text(&message["content"]) || message["content"].is_array() => {}
            Some("assistant") => {
                let made = message["tool_calls"].as_array().into_iter().flatten();
                calls.extend(made.filter_map(|call| call["id"].as_str()));
            }
            Some("tool") if message["tool_call_id"].as_str().is_some_and(|id| calls.contains(&id)) => {}
            _ => return Some(format!("invalid message: {message}")),
        }
    }
    None
}

fn reply(value: Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(value.to_string())).unwrap()
}

fn error(status: u16, message: &str) -> Response<Body> {
    let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body)).unwrap()
}

fn audio() -> Response<Body> {
    Response::builder().header("content-type", "audio/mpeg").body(Body::from(AUDIO)).unwrap()
}

/// Thoughts, then a tool call if there are tools, else the answer.
fn chat(body: &Value) -> Response<Body> {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    let tool = body["tools"][0]["function"]["name"].as_str();
    let call = json!([{"index": 0, "id": "call-1", "type": "function", "function": {"name": tool, "arguments": "{}"}}]);
    let last = if tool.is_some() { json!({"tool_calls": call}) } else { json!({"content": ANSWER}) };
    let finish = if tool.is_some() { "tool_calls" } else { "stop" };
    if body["stream"] != true {
        let mut message = last;
        message["role"] = json!("assistant");
        return reply(json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage}));
    }
    let chunks = [
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm"}}]}),
        json!({"choices": [{"index": 0, "delta": last}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage}),
    ];
    let mut events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.push_str("data: [DONE]\n\n");
    Response::builder().header("content-type", "text/event-stream").body(Body::from(events)).unwrap()
}

fn embeddings(body: &Value) -> Response<Body> {
    let Some(texts) = body["input"].as_array().filter(|_| body["model"].is_string()) else {
        return error(400, "model and input are required");
    };
    let one = |(index, _): (usize, &Value)| json!({"index": index, "embedding": [0.5, 0.25]});
    let data: Vec<Value> = texts.iter().enumerate().map(one).rev().collect();
    reply(json!({"data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}}))
}

fn rerank(body: &Value, bare: bool) -> Response<Body> {
    let (true, Some(documents)) = (body["query"].is_string(), body["documents"].as_array()) else {
        return error(400, "query and documents are required");
    };
    let score = if bare { "score" } else { "relevance_score" };
    let one = |(index, _): (usize, &Value)| json!({"index": index, score: 0.9 - index as f64 / 10.0});
    let results: Vec<Value> = documents.iter().enumerate().map(one).collect();
    reply(if bare { json!(results) } else { json!({"results": results}) })
}
