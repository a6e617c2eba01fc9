//! An OpenAI-compatible upstream that judges each request by the rules of its action, and answers like the real API. A request
//! that breaks a rule gets a 400 with the rule, so that a test that ignores requests fails too.
#![allow(dead_code)]

#[path = "loopback.rs"]
pub mod loopback;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and target: `POST /v1/chat/completions?x=1`.
    pub target: String,
    /// Headers in lower case.
    pub headers: BTreeMap<String, String>,
    /// JSON body, or the text fields of a form.
    pub body: Value,
}

/// A running upstream.
pub struct Upstream {
    /// `http://127.0.0.1:port`
    pub url: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    replies: Mutex<VecDeque<(u16, Value)>>,
}

impl Upstream {
    /// Starts it.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let url = loopback::serve(axum::Router::new().fallback(handle).with_state(inner.clone())).await;
        Self { url, inner }
    }

    /// Sets the response to the next request, whatever it is.
    pub fn script(&self, status: u16, body: Value) {
        self.inner.replies.lock().unwrap().push_back((status, body));
    }

    /// Takes the requests so far.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.inner.seen.lock().unwrap())
    }

    /// Takes the only request.
    pub fn one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let content_type = header("content-type");
    let body = match content_type.split(';').next().unwrap_or_default() {
        "application/json" => serde_json::from_slice(&bytes).unwrap(),
        "multipart/form-data" => form(&String::from_utf8_lossy(&bytes)),
        _ => Value::Null,
    };
    let target = parts.uri.path_and_query().unwrap().to_string();
    inner.seen.lock().unwrap().push(Seen {
        target: format!("{} {target}", parts.method),
        headers: parts.headers.keys().map(|name| (name.to_string(), header(name.as_str()))).collect(),
        body: body.clone(),
    });
    if let Some((status, reply)) = inner.replies.lock().unwrap().pop_front() {
        return json_response(status, &reply);
    }
    match respond(parts.method.as_str(), parts.uri.path(), &content_type, &body) {
        Ok(Reply::Json(reply)) => json_response(200, &reply),
        Ok(Reply::Events(events)) => {
            let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(format!("{text}data: [DONE]\n\n").into()).unwrap()
        }
        Ok(Reply::Audio) => {
            Response::builder().header("content-type", "audio/mpeg").body(b"ID3\x04audio".to_vec().into()).unwrap()
        }
        Err(rule) => json_response(400, &json!({"error": {"message": rule, "type": "invalid_request_error"}})),
    }
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    response.header("content-type", "application/json").body(body.to_string().into()).unwrap()
}

/// The text fields of a form, and how many bytes of files.
fn form(text: &str) -> Value {
    let mut fields = Map::new();
    for part in text.split("\r\n--").filter(|part| part.contains("name=\"")) {
        let name = part.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
        let value = part.split("\r\n\r\n").nth(1).unwrap_or_default();
        let value = if part.contains("filename=") { json!(value.len()) } else { json!(value) };
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

enum Reply {
    Json(Value),
    Events(Vec<Value>),
    Audio,
}

/// Answers a request, or names the rule that it breaks. The action is the end of the path.
fn respond(method: &str, path: &str, content_type: &str, body: &Value) -> Result<Reply, String> {
    let ends = |tail: &str| path.ends_with(tail);
    if method == "GET" {
        return match ends("/models") || ends("/account/me") {
            true => Ok(Reply::Json(json!({"object": "list", "data": [{"id": "m-chat"}]}))),
            false => Err(format!("nothing is at {path}")),
        };
    }
    if ends("/audio/transcriptions") {
        rule(content_type.starts_with("multipart/form-data"), "a transcription is a form")?;
        rule(body["model"].is_string() && body["file"].as_u64().is_some_and(|bytes| bytes > 0), "model and file")?;
        return Ok(Reply::Json(json!({"text": " Hello "})));
    }
    rule(content_type == "application/json", "the body is JSON")?;
    rule(body["model"].as_str().is_some_and(|name| !name.is_empty()), "the body has a model")?;
    if ends("/embeddings") {
        let input = &body["input"];
        let texts: Vec<&str> = match input {
            Value::String(text) => vec![text],
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => return Err("`input` is a text or a list of texts".to_owned()),
        };
        rule(!texts.is_empty() && texts.iter().all(|text| !text.is_empty()), "no text is empty")?;
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({"index": index, "embedding": [text.len(), 1]}))
            .collect();
        return Ok(Reply::Json(json!({"data": data, "usage": {"total_tokens": texts.len() * 3}})));
    }
    if ["/rerank", "/reranking"].iter().any(|tail| ends(tail)) {
        let documents = body["documents"].as_array().or(body["input"].as_array()).ok_or("`documents` is a list")?;
        rule(body["query"].is_string(), "`query` is a text")?;
        let results: Vec<Value> = (0..documents.len())
            .map(|index| json!({"index": index, "relevance_score": 0.9 - index as f64 / 10.0}))
            .collect();
        return Ok(Reply::Json(json!({"results": results})));
    }
    if ends("/audio/speech") {
        rule(body["input"].as_str().is_some_and(|text| !text.is_empty()), "`input` is a text")?;
        return Ok(Reply::Audio);
    }
    if ends("/moderations") {
        let texts = body["input"].as_array().ok_or("`input` is a list")?;
        let results: Vec<Value> = texts
            .iter()
            .map(|text| json!({"flagged": text.as_str().is_some_and(|text| text.contains("bad"))}))
            .collect();
        return Ok(Reply::Json(json!({ "results": results })));
    }
    if ends("/completions") {
        return chat(path, body);
    }
    Err(format!("nothing is at {path}"))
}

fn chat(path: &str, body: &Value) -> Result<Reply, String> {
    let is_chat = path.ends_with("/chat/completions");
    if is_chat {
        let messages = body["messages"].as_array().ok_or("`messages` is a list")?;
        rule(messages.iter().all(|message| message["role"].is_string()), "every message has a role")?;
        rule(body.get("prompt").is_none(), "a conversation has no prompt")?;
    } else {
        rule(body["prompt"].is_string() && body.get("messages").is_none(), "a completion has a prompt only")?;
    }
    for number in ["temperature", "top_p", "max_tokens"] {
        rule(body.get(number).is_none_or(Value::is_number), "parameters are numbers")?;
    }
    rule(body.get("stream_options").is_none() || body["stream"] == true, "`stream_options` is for streams")?;
    rule(body.get("user").is_none_or(|user| user.as_str().is_some_and(|user| !user.is_empty())), "`user` is a text")?;
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let choice = |name: &str, finished: Value| {
        let content = if is_chat { json!({name: {"content": "Hello"}}) } else { json!({"text": "Hello"}) };
        let mut choice = content.as_object().unwrap().clone();
        choice.extend([("index".to_owned(), json!(0)), ("finish_reason".to_owned(), finished)]);
        Value::Object(choice)
    };
    if body["stream"] == true {
        let last = json!({"choices": [], "usage": usage});
        return Ok(Reply::Events(vec![json!({"choices": [choice("delta", json!("stop"))]}), last]));
    }
    Ok(Reply::Json(json!({"object": "chat.completion", "choices": [choice("message", json!("stop"))], "usage": usage})))
}

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken rule: {rule}")) }
}
