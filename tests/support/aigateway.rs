//! A mock gateway on loopback: it checks the credential of every request by the rules, then responds like the services
//! behind it, or as scripted by a test. All requests are recorded.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::aigateway_rules::{
    HmacRules, JwtRules, KeyRules, Raw, Verdict, deny, hmac_verdict, jwt_verdict, key_verdict, pass,
};
use super::loopback;

/// Protection of the route.
#[derive(Clone, Debug)]
pub enum Protection {
    Hmac(HmacRules),
    Jwt(JwtRules),
    Key(KeyRules),
}

/// A scripted response to an accepted request.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether the connection breaks after the body.
    pub cut: bool,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into(), cut: false }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

struct Inner {
    protection: Protection,
    nonces: Mutex<HashSet<String>>,
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Raw>>,
}

/// The running gateway.
#[derive(Clone)]
pub struct Gateway {
    /// `http://127.0.0.1:port`
    pub url: String,
    inner: Arc<Inner>,
}

impl Gateway {
    pub async fn start(protection: Protection) -> Self {
        let inner =
            Arc::new(Inner { protection, nonces: Mutex::default(), replies: Mutex::default(), seen: Mutex::default() });
        let url = loopback::serve(axum::Router::new().fallback(handle).with_state(inner.clone())).await;
        Self { url, inner }
    }

    /// Sets the response to the next accepted request.
    pub fn script(&self, reply: Reply) {
        self.inner.replies.lock().unwrap().push_back(reply);
    }

    /// Returns all requests so far.
    pub fn seen(&self) -> Vec<Raw> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// Returns the body of the last request as JSON.
    pub fn last_json(&self) -> Value {
        serde_json::from_slice(&self.seen().last().unwrap().body).unwrap()
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let raw = Raw {
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec(),
    };
    inner.seen.lock().unwrap().push(raw.clone());
    let verdict = judge(&inner, &raw);
    if verdict.status != 200 {
        let name = if verdict.explanation.starts_with("Server") { "x-ca-error-message" } else { "www-authenticate" };
        let explained = (!verdict.explanation.is_empty()).then(|| (name, verdict.explanation.clone()));
        let headers = explained.into_iter().collect();
        return respond(Reply { status: verdict.status, headers, body: verdict.body.into_bytes(), cut: false });
    }
    let scripted = inner.replies.lock().unwrap().pop_front();
    respond(scripted.unwrap_or_else(|| service(&raw)).header("x-request-id", "req-1"))
}

/// Checks the credential, and what no request may contain.
fn judge(inner: &Inner, raw: &Raw) -> Verdict {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let verdict = match &inner.protection {
        Protection::Hmac(rules) => {
            let nonce = raw.header("x-ca-nonce").to_owned();
            if !inner.nonces.lock().unwrap().insert(nonce) {
                return deny(429, "Replay Attack Detected");
            }
            hmac_verdict(rules, now.as_millis() as i64, raw)
        }
        Protection::Jwt(rules) => jwt_verdict(rules, now.as_secs_f64(), raw),
        Protection::Key(rules) => key_verdict(rules, raw),
    };
    let credentials = ["authorization", "x-api-key", "x-token", "x-ca-signature", "cookie"];
    let count = credentials.iter().filter(|name| !raw.header(name).is_empty()).count()
        + usize::from(raw.target.contains("apikey="));
    let tokens = raw.headers.iter().filter(|(_, value)| value.contains("eyJ")).count();
    let names: HashSet<&String> = raw.headers.iter().map(|(name, _)| name).collect();
    let body = String::from_utf8_lossy(&raw.body);
    if verdict.status != 200 {
        verdict
    } else if count != 1 || tokens > 1 || names.len() != raw.headers.len() {
        deny(401, "two credentials, or a header twice")
    } else if ["extra_headers", "x-ca-", "Bearer ", "eyJ"].iter().any(|word| body.contains(word)) {
        deny(400, "something of the headers is in the body")
    } else {
        pass()
    }
}

fn respond(reply: Reply) -> Response<Body> {
    let body = if reply.cut {
        let whole = reply.body;
        Body::from_stream(async_stream::stream! {
            yield Ok(whole);
            // Gives the response time to be sent before the connection breaks.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            yield Err(std::io::Error::other("cut"));
        })
    } else {
        Body::from(reply.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    for (name, value) in reply.headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    }
    response
}

/// Text that the services behind the gateway return.
pub const ANSWER: [&str; 3] = ["Hello", ", ", "world"];

/// Placeholder for an audio file.
pub const AUDIO: &[u8] = b"ID3\x04 audio";

fn service(raw: &Raw) -> Reply {
    let path = raw.target.split('?').next().unwrap();
    let body: Value = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
    match path {
        _ if path.ends_with("/chat/completions") => chat(&body),
        _ if path.ends_with("/completions") => json_reply(json!({
            "choices": [{"index": 0, "text": ANSWER.concat(), "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        })),
        _ if path.ends_with("/embeddings") => embeddings(&body),
        _ if path.ends_with("/text-rerank") && body["input"].is_object() => {
            json_reply(json!({"output": {"results": ranking(&body["input"]["documents"])}, "request_id": "d-1"}))
        }
        _ if path.ends_with("/rerank") || path.ends_with("/reranks") || path.ends_with("/text-rerank") => {
            json_reply(json!({"results": ranking(&body["documents"])}))
        }
        _ if path.ends_with("/audio/speech") => {
            assert_eq!(body["voice"], "alloy");
            Reply::new(200, "audio/mpeg", AUDIO)
        }
        _ if path.ends_with("/audio/transcriptions") => transcription(raw),
        _ => Reply::new(404, "text/plain", ""),
    }
}

fn json_reply(value: Value) -> Reply {
    Reply::new(200, "application/json", value.to_string())
}

fn chat(body: &Value) -> Reply {
    assert!(body["messages"].is_array(), "{body}");
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    // The gateway may route to a model of another name.
    if body["stream"] != true {
        return json_reply(json!({"id": "c", "model": "routed-elsewhere", "object": "chat.completion", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER.concat()}, "finish_reason": "stop"}]}));
    }
    let mut events: Vec<Value> = ANSWER
        .iter()
        .map(|word| json!({"model": "routed-elsewhere", "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}]}))
        .collect();
    events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    events.push(json!({"choices": [], "usage": usage}));
    let text: String = events.iter().map(|event| format!("data:{event}\n\n")).collect();
    Reply::new(200, "text/event-stream", format!("{text}data: [DONE]"))
}

fn embeddings(body: &Value) -> Reply {
    let texts = body["input"].as_array().unwrap();
    if texts.len() > 10 {
        return Reply::new(400, "application/json", json!({"error": {"message": "batch size exceeds 10"}}).to_string());
    }
    // Deliberately in the wrong order.
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({"index": index, "embedding": [text.as_str().unwrap().len() as f64, 0.5]}))
        .collect();
    json_reply(json!({"data": data, "model": "routed-elsewhere", "usage": {"prompt_tokens": 5, "total_tokens": 5}}))
}

/// Ranks documents by length, the longest first; the scores are clearly not normalized.
fn ranking(documents: &Value) -> Vec<Value> {
    let documents = documents.as_array().unwrap();
    let score = |text: &Value| text.as_str().unwrap().len() as f64 / 100.0;
    documents.iter().enumerate().map(|(index, text)| json!({"index": index, "relevance_score": score(text)})).collect()
}

fn transcription(raw: &Raw) -> Reply {
    let body = String::from_utf8_lossy(&raw.body);
    assert!(raw.header("content-type").starts_with("multipart/form-data; boundary="));
    for part in ["name=\"model\"", "name=\"file\"; filename=\"audio.wav\"", "Content-Type: audio/wav"] {
        assert!(body.contains(part), "no {part} in {}", body.chars().take(600).collect::<String>());
    }
    json_reply(json!({"text": " Spoken words. "}))
}
