//! An upstream, token endpoint and proxy in one that repeats whatever it was sent, in every place an answer has.
//!
//! It gives tokens and model descriptions as the real ones do, until a fault is played.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The access token that the token endpoint gives.
pub const ACCESS_TOKEN: &str = "ya29.CANARY-ACCESS-TOKEN-0f6b2c81d94e";

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Headers that say who asks.
const CREDENTIALS: [&str; 7] =
    ["authorization", "proxy-authorization", "x-api-key", "x-ca-signature", "x-goog-api-key", "x-team", "x-token"];

impl Seen {
    /// The values of the headers that say who asks, without a scheme before them.
    pub fn redactor(&self) -> Vec<String> {
        let shown = self.headers.iter().filter(|(name, _)| CREDENTIALS.contains(&name.as_str()));
        shown.map(|(_, value)| value.to_str().unwrap().rsplit(' ').next().unwrap().to_owned()).collect()
    }

    /// Everything in the request except the prompt, the credential first.
    pub fn sent(&self) -> String {
        let mut sent = self.redactor();
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        sent.push(query.to_owned());
        sent.extend(url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()));
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => leaves(&value, &mut sent),
            Err(_) => sent.extend(url::form_urlencoded::parse(&self.body).map(|(_, value)| value.into_owned())),
        }
        sent.retain(|word| word.len() > 4);
        sent.sort_by_key(|word| !word.contains("CANARY"));
        sent.join(" ").chars().take(4000).collect()
    }

    /// Head and body as text.
    pub fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
        format!("{} {}\n{headers}\n{}", self.method, self.target, String::from_utf8_lossy(&self.body))
    }
}

fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(map) => map.values().for_each(|item| leaves(item, found)),
        _ => {}
    }
}

/// Which requests a fault is played to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// All.
    Everything,
    /// Those of a model: tokens and descriptions are given.
    Calls,
}

/// A form of echoing the request.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    answer: fn(&Seen, &str) -> Response,
}

fn with(status: u16, kind: &'static str, body: impl Into<Body>) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("content-type", kind)], body.into()).into_response()
}

fn json_with(status: u16, body: &Value) -> Response {
    with(status, "application/json", body.to_string())
}

fn encoded(seen: &Seen, form: impl Fn(&str) -> String) -> String {
    seen.sent().split(' ').map(form).collect::<Vec<_>>().join(" ")
}

fn stream(body: impl Into<Body>) -> Response {
    with(200, "text/event-stream", body)
}

/// Every place and form. `{elsewhere}` is the address of a host that must not be asked at all.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "an OpenAI error object",
        answer: |seen, _| {
            let sent = seen.sent();
            json_with(401, &json!({"error": {"message": sent, "type": "invalid", "param": sent, "code": sent}}))
        },
    },
    Fault {
        name: "a Google error object",
        answer: |seen, _| {
            let sent = seen.sent();
            let details = json!([
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": sent, "domain": sent,
                    "metadata": {"consumer": sent}},
                {"@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": sent, "description": sent}]},
            ]);
            json_with(400, &json!({"error": {"code": 400, "message": sent, "status": sent, "details": details}}))
        },
    },
    Fault {
        name: "a token endpoint's error",
        answer: |seen, _| {
            json_with(
                400,
                &json!({"error": "invalid_grant", "error_description": seen.sent(), "error_uri": seen.sent()}),
            )
        },
    },
    Fault { name: "plain text", answer: |seen, _| with(403, "text/plain", seen.sent()) },
    Fault { name: "the whole request", answer: |seen, _| with(400, "text/plain", seen.text()) },
    Fault {
        name: "the title of a page",
        answer: |seen, _| {
            with(502, "text/html", format!("<html><head><title>Bad {}</title></head></html>", seen.sent()))
        },
    },
    Fault { name: "a page with 200", answer: |seen, _| with(200, "text/html", format!("<title>{}", seen.sent())) },
    Fault {
        name: "headers",
        answer: |seen, _| {
            let mut answer = with(500, "text/plain", "boom");
            let redactor = seen.redactor();
            let one = redactor.first().map_or("none", String::as_str);
            let whole = format!("bad Server StringToSign:`{}`", seen.sent());
            for (name, value) in [
                ("x-request-id", one),
                ("www-authenticate", &whole),
                ("x-ca-error-message", &whole),
                ("retry-after", one),
                ("date", one),
            ] {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer
        },
    },
    Fault {
        name: "a redirect to another host",
        answer: |seen, elsewhere| {
            let secret = seen.sent().split(' ').next().unwrap_or_default().to_owned();
            let secret = utf8_percent_encode(&secret, NON_ALPHANUMERIC);
            let mut answer = with(307, "text/plain", seen.sent());
            let target = format!("http://{secret}:{secret}@{elsewhere}/{secret}?key={secret}#{secret}");
            answer.headers_mut().insert("location", target.parse().unwrap());
            answer
        },
    },
    Fault { name: "text in place of JSON", answer: |seen, _| with(200, "application/json", seen.sent()) },
    Fault {
        name: "an error object with 200",
        answer: |seen, _| json_with(200, &json!({"error": {"message": seen.sent(), "code": seen.sent()}})),
    },
    Fault {
        name: "a task that failed",
        answer: |seen, _| {
            json_with(200, &json!({"id": "i-1", "status": "failed", "error": {"message": seen.sent(), "code": 3}}))
        },
    },
    Fault {
        name: "texts in place of objects and numbers",
        answer: |seen, _| {
            let sent = seen.sent();
            json_with(
                200,
                &json!({"choices": sent, "candidates": sent, "data": sent, "results": sent, "usage": sent,
                    "usageMetadata": sent, "embeddings": sent, "embedding": sent, "totalTokens": sent, "model_ability": sent,
                    "access_token": [sent], "expires_in": sent, "model_type": 7, "error_description": sent}),
            )
        },
    },
    Fault {
        name: "an error event",
        answer: |seen, _| {
            stream(format!("event: error\ndata: {}\n\n", json!({"error": {"message": seen.sent(), "code": 429}})))
        },
    },
    Fault {
        name: "an error in a data event",
        answer: |seen, _| {
            stream(format!("data: {}\n\n", json!({"error": {"message": seen.sent(), "status": seen.sent()}})))
        },
    },
    Fault { name: "an event that is no JSON", answer: |seen, _| stream(format!("data: {{{}\n\n", seen.sent())) },
    Fault {
        name: "an event of wrong types",
        answer: |seen, _| {
            stream(format!("data: {}\n\n", json!({"choices": [seen.sent()], "candidates": [seen.sent()]})))
        },
    },
    Fault {
        name: "an answer that breaks off",
        answer: |seen, _| {
            let first = format!("data: {{\"error\": \"{}", seen.sent());
            let pieces = [Ok(Bytes::from(first)), Err(std::io::Error::other("gone"))];
            stream(Body::from_stream(futures_util::stream::iter(pieces)))
        },
    },
    Fault { name: "a refusal that may pass", answer: |seen, _| with(503, "text/plain", seen.sent()) },
    Fault {
        name: "base64",
        answer: |seen, _| json_with(401, &json!({"error": {"message": encoded(seen, |word| STANDARD.encode(word))}})),
    },
    Fault {
        name: "percent-encoding",
        answer: |seen, _| {
            let sent = encoded(seen, |word| utf8_percent_encode(word, NON_ALPHANUMERIC).to_string());
            json_with(401, &json!({"error": {"message": sent}}))
        },
    },
    Fault {
        name: "a form",
        answer: |seen, _| {
            let sent = encoded(seen, |word| url::form_urlencoded::byte_serialize(word.as_bytes()).collect());
            json_with(200, &json!({"error": {"message": sent}}))
        },
    },
    Fault {
        name: "JSON within a text",
        answer: |seen, _| with(400, "text/plain", format!("bad {}", json!({ "sent": seen.sent() }))),
    },
    Fault {
        name: "JSON within JSON with 200",
        answer: |seen, _| {
            json_with(200, &json!({"error": {"message": json!({"sent": json!(seen.sent()).to_string()}).to_string()}}))
        },
    },
    Fault {
        name: "words that are cut within the secret",
        answer: |seen, _| {
            json_with(400, &json!({"error": {"message": format!("{}{}", "x ".repeat(236), seen.sent())}}))
        },
    },
    Fault {
        name: "an event that is cut within the secret",
        answer: |seen, _| stream(format!("data: {{{}{}\n\n", "x ".repeat(84), seen.sent())),
    },
];

struct Shared {
    seen: Mutex<Vec<Seen>>,
    fault: Mutex<Option<(At, Fault)>>,
    elsewhere: String,
}

pub struct Echoing {
    pub url: String,
    state: Arc<Shared>,
}

impl Echoing {
    /// `elsewhere` is where redirects lead: host and port.
    pub async fn start(elsewhere: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state =
            Arc::new(Shared { seen: Mutex::default(), fault: Mutex::default(), elsewhere: elsewhere.to_owned() });
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Plays a fault from now on, or none.
    pub fn play(&self, fault: Option<(At, Fault)>) {
        *self.state.fault.lock().unwrap() = fault;
    }

    /// Everything that was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

/// The URL of a server whose certificate is not trusted, and how many callers spoke to it all the same.
pub async fn untrusted() -> (String, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let spoken = Arc::new(AtomicUsize::new(0));
    let count = spoken.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                if stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (url, spoken)
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string);
    let seen = Seen { method: head.method.to_string(), target, headers: head.headers, body };
    state.seen.lock().unwrap().push(seen.clone());
    let fault = *state.fault.lock().unwrap();
    match fault {
        Some((At::Everything, fault)) => (fault.answer)(&seen, &state.elsewhere),
        Some((At::Calls, fault)) => given(&seen).unwrap_or_else(|| (fault.answer)(&seen, &state.elsewhere)),
        None => match given(&seen) {
            Some(answer) => answer,
            // Until the caller gives up.
            None => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                with(504, "text/plain", "")
            }
        },
    }
}

/// A token or a description, where that is asked for.
fn given(seen: &Seen) -> Option<Response> {
    let path = seen.target.split('?').next().unwrap_or_default();
    if path.ends_with("generateAccessToken") {
        return Some(json_with(200, &json!({"accessToken": ACCESS_TOKEN, "expireTime": "2100-01-01T00:00:00Z"})));
    }
    if path.ends_with("/token") {
        let mut answer =
            json_with(200, &json!({"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"}));
        answer.headers_mut().insert("metadata-flavor", "Google".parse().unwrap());
        return Some(answer);
    }
    (seen.method == "GET").then(|| {
        let ability = ["chat", "vision", "embed", "rerank"];
        json_with(
            200,
            &json!({"model_type": "LLM", "model_name": "m", "model_ability": ability, "context_length": 4096,
                "name": "models/m", "object": "list", "data": []}),
        )
    })
}
