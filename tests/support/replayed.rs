//! An upstream on loopback that responds with recorded responses in order, the last one again and again, and keeps what it was
//! sent in the form of the recordings. It checks nothing.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, State};
use axum::http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

use super::loopback;

#[derive(Default)]
struct Inner {
    answers: Vec<Value>,
    seen: Vec<Value>,
}

/// The running upstream.
pub struct Replayed {
    /// `http://127.0.0.1:port`
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

/// Headers that say nothing about a provider.
const IGNORED: &[&str] = &[
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-charset",
];

impl Replayed {
    /// Starts it without responses.
    pub async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let url = loopback::serve(axum::Router::new().fallback(handle).with_state(inner.clone())).await;
        Self { url, inner }
    }

    /// Sets the responses to the next requests.
    pub fn script(&self, answers: Vec<Value>) {
        *self.inner.lock().unwrap() = Inner { answers, seen: Vec::new() };
    }

    /// What it was sent since, addresses moved back.
    pub fn seen(&self) -> Vec<Value> {
        self.inner.lock().unwrap().seen.iter().map(|request| self.moved_back(request)).collect()
    }

    /// A value with the addresses of the recording.
    pub fn moved_back(&self, value: &Value) -> Value {
        let text = value.to_string().replace(&format!("{}/_host/https/", self.url), "https://");
        serde_json::from_str(&text).unwrap()
    }
}

async fn handle(State(inner): State<Arc<Mutex<Inner>>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let address = match path.strip_prefix("/_host/https/") {
        Some(rest) => format!("https://{rest}"),
        None => format!("{{upstream}}{path}"),
    };
    let mut seen = json!({"method": parts.method.as_str(), "url": address, "headers": headers(&parts.headers)});
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if seen["headers"]["content-type"] == "multipart/form-data" {
        seen["form"] = form(&parts.headers, bytes.clone()).await;
    } else if !bytes.is_empty() {
        seen["body"] = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    }
    let answer = {
        let mut inner = inner.lock().unwrap();
        let number = inner.seen.len();
        inner.seen.push(seen.clone());
        inner.answers.get(number).or_else(|| inner.answers.last()).cloned().unwrap_or_else(|| json!({"status": 404}))
    };
    let whole = answer.get("whole").filter(|_| seen["body"]["stream"] != true);
    respond(whole.unwrap_or(&answer), &path, &seen["body"])
}

fn headers(all: &HeaderMap) -> Value {
    let mut kept = json!({});
    for (name, value) in all {
        let mut value = value.to_str().unwrap_or_default();
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        if name == "content-type" {
            value = value.split(';').next().unwrap_or_default();
            if value == "application/json" {
                continue;
            }
        }
        kept[name.as_str()] = json!(value);
    }
    kept
}

/// The fields of a form by name: the text, or the length of the file.
async fn form(headers: &HeaderMap, bytes: Bytes) -> Value {
    let mut request = Request::new(Body::from(bytes));
    *request.headers_mut() = headers.clone();
    let mut multipart = Multipart::from_request(request, &()).await.unwrap();
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.unwrap() {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.unwrap();
        let value = String::from_utf8_lossy(&bytes).into_owned();
        parts.push(if is_file {
            json!({"name": name, "file": bytes.len()})
        } else {
            json!({"name": name, "value": value})
        });
    }
    parts.sort_by_key(|part| part["name"].as_str().unwrap_or_default().to_owned());
    json!(parts)
}

fn respond(answer: &Value, path: &str, body: &Value) -> Response<Body> {
    if let Some(paths) = answer["paths"].as_array() {
        let found = paths.iter().find(|entry| path.contains(entry[0].as_str().unwrap()));
        return respond(found.map_or(&json!({"status": 404, "json": {}}), |entry| &entry[1]), path, body);
    }
    let status = answer["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap());
    let (kind, content) = if answer["embeddings"] == true {
        ("application/json", embeddings(body).to_string())
    } else if let Some(events) = answer["sse"].as_array() {
        let event =
            |event: &Value| format!("data: {}\n\n", event.as_str().map_or_else(|| event.to_string(), str::to_owned));
        ("text/event-stream", events.iter().map(event).collect())
    } else if let Some(text) = answer["text"].as_str() {
        (answer["type"].as_str().unwrap_or("text/plain"), text.to_owned())
    } else {
        ("application/json", answer["json"].to_string())
    };
    Response::builder().status(status).header("content-type", kind).body(Body::from(content)).unwrap()
}

/// A vector that names its text: its length and its first character.
fn embeddings(body: &Value) -> Value {
    let input = ["input", "inputs", "texts"].iter().map(|name| &body[name]).find(|input| !input.is_null());
    let text = |text: &Value| text.as_str().or(text["text"].as_str()).map_or_else(|| text.to_string(), str::to_owned);
    let texts: Vec<String> = match input {
        Some(Value::Array(texts)) => texts.iter().map(text).collect(),
        Some(one) => vec![text(one)],
        None => Vec::new(),
    };
    let total: usize = texts.iter().map(|text| text.chars().count()).sum();
    let data: Vec<Value> = (0_u32..)
        .zip(&texts)
        .map(|(index, text)| {
            let first = text.chars().next().map_or(32, u32::from);
            json!({"object": "embedding", "index": index, "embedding": [text.chars().count(), first]})
        })
        .collect();
    json!({"object": "list", "model": "upstream-model", "data": data, "usage": {"prompt_tokens": total, "total_tokens": total}})
}
