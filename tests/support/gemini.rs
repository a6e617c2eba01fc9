//! A strict mock of the Gemini API: it rejects what the real service rejects, responds by script, and fails on request.
//!
//! The rules for requests are in [`super::gemini_rules`].

#[path = "gemini_caches.rs"]
mod caches;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::gemini_rules as rules;
use caches::Caches;

/// The key that the mock accepts.
pub const KEY: &str = "secret-key-of-the-test";

/// The response to a generation request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These events, and a normal end.
    Events(Vec<Value>),
    /// These events, after which the connection breaks.
    Cut(Vec<Value>),
    /// These chunks as the body of a stream, each in one write.
    Bytes(Vec<Vec<u8>>),
    /// Status, media type and body.
    Refuse(u16, &'static str, String),
    /// Status, headers and body.
    Headed(u16, &'static [(&'static str, &'static str)], String),
    /// A gzip-compressed stream.
    Packed(Vec<u8>),
    /// The events, with this value of `x-gemini-service-tier`.
    Tier(&'static str, Vec<Value>),
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    script: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
    signatures: Mutex<Vec<String>>,
    bypasses: Mutex<usize>,
    caches: Caches,
}

/// A running mock server.
#[derive(Clone)]
pub struct Gemini {
    pub url: String,
    inner: Arc<Inner>,
}

impl Gemini {
    /// Starts a server that responds to requests in the order of the script; the last reply is used for all further
    /// requests.
    pub async fn start(script: Vec<Reply>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner { script: Mutex::new(script.into()), ..Inner::default() });
        let routes = Router::new().fallback(answer).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, inner }
    }

    /// Returns the requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// Registers a valid signature; any other one is rejected as corrupt.
    pub fn issue(&self, signature: &str) {
        self.inner.signatures.lock().unwrap().push(signature.to_owned());
    }

    /// Drops the context caches.
    pub fn lose_caches(&self) {
        self.inner.caches.lose();
    }

    /// Drops each context cache as soon as it is created.
    pub fn lose_every_cache(&self) {
        self.inner.caches.lose_every();
    }

    /// Returns how often the bypass value was sent.
    pub fn bypasses(&self) -> usize {
        *self.inner.bypasses.lock().unwrap()
    }
}

fn refuse(status: u16, word: &str, message: &str, reason: Option<&str>) -> Response {
    let details = reason.map_or_else(
        || json!([]),
        |reason| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]),
    );
    let body = json!({"error": {"code": status, "status": word, "message": message, "details": details}});
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body.to_string())
        .into_response()
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let keys: Vec<_> = headers.get_all("x-goog-api-key").iter().collect();
    if uri.query().is_some_and(|query| query.contains("key=")) || headers.contains_key("authorization") {
        return refuse(400, "INVALID_ARGUMENT", "the key belongs in one header", None);
    }
    if keys.len() != 1 || keys[0] != KEY {
        return refuse(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            Some("API_KEY_INVALID"),
        );
    }
    let script = || {
        let mut script = inner.script.lock().unwrap();
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    if method == Method::GET {
        inner.seen.lock().unwrap().push(Seen { path: path.clone(), body: Value::Null });
        return match script() {
            Some(Reply::Refuse(status, kind, body)) => raw(status, kind, body),
            _ if path.ends_with("/models") => {
                axum::Json(json!({"models": [{"name": "models/gemini-3.8-flash"}]})).into_response()
            }
            _ => axum::Json(json!({"name": path, "inputTokenLimit": 5000, "outputTokenLimit": 700, "thinking": true}))
                .into_response(),
        };
    }
    let lenient = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    inner.seen.lock().unwrap().push(Seen { path: path.clone(), body: lenient });
    let message = match path.rsplit(':').next() {
        Some("countTokens") => "CountRequest",
        _ if path.contains("/cachedContents") => "CachedContent",
        _ => "Request",
    };
    let request = match rules::fields::read(rules::Surface::Developer, message, &body) {
        Ok(request) => request,
        Err(why) => return refuse(400, "INVALID_ARGUMENT", &why, None),
    };
    if path.starts_with("/v1beta/cachedContents") {
        return match inner.caches.answer(&method, &path, uri.query(), &request) {
            Ok(cache) => axum::Json(cache).into_response(),
            Err((status, word, message)) => refuse(status, word, &message, None),
        };
    }
    let Some((model, call)) = path.strip_prefix("/v1beta/models/").and_then(|rest| rest.split_once(':')) else {
        return refuse(404, "NOT_FOUND", &format!("no such path: {path}"), None);
    };
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return refuse(400, "INVALID_ARGUMENT", "the media type must be application/json", None);
    }
    if model == "gone" {
        return refuse(404, "NOT_FOUND", "models/gone is not found for API version v1beta", None);
    }
    if call == "countTokens" {
        return match script() {
            Some(Reply::Refuse(status, kind, body)) => raw(status, kind, body),
            _ => axum::Json(json!({"totalTokens": 42})).into_response(),
        };
    }
    if call != "streamGenerateContent" || uri.query() != Some("alt=sse") {
        return refuse(400, "INVALID_ARGUMENT", "a stream needs streamGenerateContent?alt=sse", None);
    }
    let request = match inner.caches.whole(model, &request) {
        Ok(request) => request,
        Err((status, word, message)) => return refuse(status, word, &message, None),
    };
    let signatures = inner.signatures.lock().unwrap().clone();
    match rules::check(model, &request, &signatures) {
        Err(message) => return refuse(400, "INVALID_ARGUMENT", &message, None),
        Ok(bypasses) => *inner.bypasses.lock().unwrap() += bypasses,
    }
    reply(script().unwrap_or(Reply::Events(vec![])))
}

fn raw(status: u16, kind: &'static str, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body).into_response()
}

fn reply(reply: Reply) -> Response {
    let event = |event: &Value| Bytes::from(format!("data: {event}\r\n\r\n"));
    let (pieces, cut, tier): (Vec<Bytes>, bool, Option<&str>) = match reply {
        Reply::Events(events) => (events.iter().map(event).collect(), false, None),
        Reply::Tier(tier, events) => (events.iter().map(event).collect(), false, Some(tier)),
        Reply::Cut(events) => (events.iter().map(event).collect(), true, None),
        Reply::Bytes(pieces) => (pieces.into_iter().map(Bytes::from).collect(), false, None),
        Reply::Refuse(status, kind, body) => return raw(status, kind, body),
        Reply::Packed(bytes) => {
            let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CONTENT_ENCODING, "gzip")];
            return (headers, bytes).into_response();
        }
        Reply::Headed(status, headers, body) => {
            let mut response = raw(status, "application/json", body);
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            return response;
        }
    };
    let body = async_stream::stream! {
        for piece in pieces {
            yield Ok(piece);
            tokio::task::yield_now().await;
        }
        if cut {
            // Gives the written data time to arrive before the connection breaks.
            tokio::time::sleep(Duration::from_millis(50)).await;
            yield Err(std::io::Error::other("cut"));
        }
    };
    let mut response = ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response();
    if let Some(tier) = tier {
        response.headers_mut().insert("x-gemini-service-tier", tier.parse().unwrap());
    }
    response
}

/// Returns an event with parts.
pub fn parts(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}}]})
}

/// Returns an event with text.
pub fn text(text: &str) -> Value {
    parts(json!([{ "text": text }]))
}

/// Returns the last event.
pub fn end(reason: &str) -> Value {
    json!({"candidates": [{"finishReason": reason}], "modelVersion": "gemini-3.8-flash",
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 60, "thoughtsTokenCount": 40, "totalTokenCount": 1100}})
}
