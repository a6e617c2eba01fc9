//! File format of one exchange: readable, exact, and without secrets.
//!
//! Bodies are JSON if serializing the parsed JSON again returns the same bytes, otherwise text, otherwise Base64.

use std::collections::BTreeMap;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Outgoing;
use super::sanitize::{BodyPolicy, Sanitizer, multipart_boundary};
use crate::error::InvokeError;
use crate::upstream::connect_times::Connection;

/// Format marker in every file.
pub(super) const FORMAT: &str = "dify-plugin-runtime exchange 1";

/// Minimum length in bytes of a string that may be a file.
const MIN_FILE_BYTES: usize = 1024;

/// Header names and values; several values of one name are joined with a comma.
pub(super) type Headers = BTreeMap<String, String>;

/// One attempt and its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// [`FORMAT`]
    pub format: String,
    /// Start time, RFC 3339.
    pub recorded_at: jiff::Timestamp,
    /// Session of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Request.
    pub request: Request,
    /// Connection; absent if none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<RecordedConnection>,
    /// Response; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<RecordedResponse>,
    /// Error, if there was no response; also absent if the session was aborted while it waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A request. Two requests are the same if method, URL and body are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// HTTP method.
    pub method: String,
    /// URL with `***` instead of secrets.
    pub url: String,
    /// Headers with `***` instead of secrets.
    pub headers: Headers,
    /// Body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Data>,
}

/// The connection of a request. Times are in milliseconds since the request was handed to the HTTP client; until the first of them it
/// was in the client's queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedConnection {
    /// Whether a connection was used again that was open before.
    pub reused: bool,
    /// When the client began to open the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<f64>,
    /// When it was open: host name, TCP, proxy and TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_ms: Option<f64>,
    /// When a connection that is used again took the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_ms: Option<f64>,
}

impl RecordedConnection {
    pub(super) fn of(connection: Connection, started: Instant) -> Self {
        let after = |at: Instant| (at.saturating_duration_since(started).as_secs_f64() * 1e6).round() / 1e3;
        match connection {
            Connection::New { began, open } => {
                Self { reused: false, began_ms: Some(after(began)), open_ms: open.map(after), sent_ms: None }
            }
            Connection::Reused { sent } => {
                Self { reused: true, began_ms: None, open_ms: None, sent_ms: sent.map(after) }
            }
        }
    }
}

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedResponse {
    /// Milliseconds from the request to the headers.
    pub after_ms: u64,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
    /// Chunks of the body as they arrived, decompressed.
    pub chunks: Vec<Chunk>,
    /// How the body ended.
    pub end: End,
}

/// A chunk of a body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Milliseconds since the request.
    pub at_ms: u64,
    /// Content.
    #[serde(flatten)]
    pub data: Data,
}

/// Bytes in a readable form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Data {
    /// JSON whose compact form is the original bytes.
    Json(Value),
    /// Text.
    Text(String),
    /// Anything else.
    Base64(String),
    /// Length and SHA-256 digest of an omitted file.
    Omitted(String),
}

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// The body was complete.
    Complete,
    /// The connection was interrupted.
    Truncated(String),
    /// The body was not read to its end, because enough was read or the session was aborted.
    NotConsumed,
}

/// Error of a request without a response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Milliseconds from the request.
    pub after_ms: u64,
    /// Error message.
    pub message: String,
    /// Hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the request may be retried.
    pub retryable: bool,
}

impl Failure {
    pub(super) fn of(error: &InvokeError, after_ms: u64) -> Self {
        Self { after_ms, message: error.message.clone(), hint: error.hint.clone(), retryable: error.retryable }
    }

    /// Converts the failure back to an error; it is always a connection error.
    pub(super) fn error(&self) -> InvokeError {
        let mut error = InvokeError::connection(self.message.clone());
        error.hint.clone_from(&self.hint);
        error.retryable = self.retryable;
        error
    }
}

impl Request {
    /// Builds the request as it is written and compared.
    pub(super) fn of(outgoing: &Outgoing<'_>, sanitizer: &Sanitizer, shorten_files: bool) -> Self {
        let request = outgoing.request;
        let policy = if request.is_confidential { BodyPolicy::Confidential } else { BodyPolicy::Open };
        let mut headers = sanitizer.headers(outgoing.headers);
        let mut body = request.body.to_vec();
        // Each form has a new boundary.
        if let Some(boundary) = multipart_boundary(outgoing.headers) {
            body = replaced(&body, boundary.as_bytes(), b"boundary");
            for value in headers.values_mut() {
                *value = value.replace(&boundary, "boundary");
            }
        }
        let ranges = sanitizer.ranges(&body, policy);
        let body = (!body.is_empty()).then(|| Data::of(&sanitizer.without(&body, &ranges)));
        Self {
            method: request.method.to_string(),
            url: sanitizer.url(outgoing.url, &request.url),
            headers,
            body: if shorten_files { body.map(Data::shortened) } else { body },
        }
    }
}

impl Data {
    /// Returns the most readable form of bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Base64(STANDARD.encode(bytes)) };
        let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        match object.map(|object| (object.to_string(), object)) {
            Some((written, object)) if written == text => Self::Json(object),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// Converts the data back to bytes; the content of an omitted file is lost.
    pub(super) fn bytes(&self) -> Result<Bytes, String> {
        match self {
            Self::Json(value) => Ok(value.to_string().into()),
            Self::Text(text) => Ok(text.clone().into()),
            Self::Base64(text) => STANDARD.decode(text).map(Bytes::from).map_err(|error| error.to_string()),
            Self::Omitted(what) => Err(format!("{what} was omitted from the recording")),
        }
    }

    /// Replaces files with their length and digest.
    pub(super) fn shortened(self) -> Self {
        match self {
            Self::Json(value) => Self::Json(shortened(value)),
            Self::Base64(text) => Self::Omitted(digest(&text)),
            other => other,
        }
    }
}

/// Replaces long Base64 and hexadecimal strings in a JSON value with their length and digest.
pub(super) fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if is_file(&text) => Value::String(format!("({})", digest(&text))),
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, shortened(value))).collect(),
        other => other,
    }
}

fn is_file(text: &str) -> bool {
    let content = text.split_once(";base64,").map_or(text, |(_, content)| content);
    content.len() >= MIN_FILE_BYTES
        && content.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
}

fn digest(text: &str) -> String {
    format!("file of {} characters, SHA-256 {}", text.len(), hex::encode(Sha256::digest(text)))
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(bytes.len());
    let mut rest = 0;
    for at in memchr::memmem::find_iter(bytes, from) {
        whole.extend_from_slice(&bytes[rest..at]);
        whole.extend_from_slice(to);
        rest = at + from.len();
    }
    whole.extend_from_slice(&bytes[rest..]);
    whole
}

/// Converts headers of a file back to a header map; invalid ones are skipped.
pub(super) fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name.as_str()), http::HeaderValue::from_str(value)) {
            map.insert(name, value);
        }
    }
    map
}
