//! The file of one exchange: readable, exact, and without secrets.
//!
//! Bodies are JSON where writing the JSON again gives the same bytes, else text, else base64.

use std::collections::BTreeMap;

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

/// Stands in every file, so that a reader knows what it is.
pub(super) const FORMAT: &str = "dify-plugin-runtime exchange 1";

/// Text shorter than this is never a file.
const MIN_FILE_BYTES: usize = 1024;

/// Names and values; the values of a name that stands several times are joined by a comma.
pub(super) type Headers = BTreeMap<String, String>;

/// One attempt and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// [`FORMAT`]
    pub format: String,
    /// When it began, RFC 3339.
    pub recorded_at: jiff::Timestamp,
    /// The session that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What was sent.
    pub request: Request,
    /// What came back; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<RecordedResponse>,
    /// Why nothing came back; absent too when the session was given up while it waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What was sent. Two requests are the same when method, address and body are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// The address with `***` in place of secrets.
    pub url: String,
    /// `***` in place of secrets.
    pub headers: Headers,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Data>,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedResponse {
    /// Milliseconds from the request to the headers.
    pub after_ms: u64,
    /// HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body in the pieces in which it came (compression undone).
    pub pieces: Vec<Piece>,
    /// How the body ended.
    pub end: End,
}

/// A piece of a body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Milliseconds since the request.
    pub at_ms: u64,
    /// The bytes.
    #[serde(flatten)]
    pub data: Data,
}

/// Bytes, readably.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Data {
    /// JSON whose compact form is the bytes.
    Json(Value),
    /// Text.
    Text(String),
    /// Anything else.
    Base64(String),
    /// A file that was left out: its length and SHA-256.
    Left(String),
}

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// It was whole.
    Complete,
    /// The connection broke.
    Cut(String),
    /// We did not read on: enough was read, or the session was given up.
    NotReadOn,
}

/// Why nothing came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Milliseconds from the request.
    pub after_ms: u64,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether it may be sent again.
    pub retryable: bool,
}

impl Failure {
    pub(super) fn of(error: &InvokeError, after_ms: u64) -> Self {
        Self { after_ms, message: error.message.clone(), hint: error.hint.clone(), retryable: error.retryable }
    }

    /// The error that it was: what never arrived is always a connection error.
    pub(super) fn error(&self) -> InvokeError {
        let mut error = InvokeError::connection(self.message.clone());
        error.hint.clone_from(&self.hint);
        error.retryable = self.retryable;
        error
    }
}

impl Request {
    /// The attempt as it is written and compared.
    pub(super) fn of(outgoing: &Outgoing<'_>, scrub: &Sanitizer, shorten_files: bool) -> Self {
        let request = outgoing.request;
        let openness = if request.is_confidential { BodyPolicy::Confidential } else { BodyPolicy::Open };
        let mut headers = scrub.headers(outgoing.headers);
        let mut body = request.body.to_vec();
        // A boundary is chosen anew for each form.
        if let Some(boundary) = multipart_boundary(outgoing.headers) {
            body = replaced(&body, boundary.as_bytes(), b"boundary");
            for value in headers.values_mut() {
                *value = value.replace(&boundary, "boundary");
            }
        }
        let ranges = scrub.ranges(&body, openness);
        let body = (!body.is_empty()).then(|| Data::of(&scrub.without(&body, &ranges)));
        Self {
            method: request.method.to_string(),
            url: scrub.url(outgoing.url, &request.url),
            headers,
            body: if shorten_files { body.map(Data::shortened) } else { body },
        }
    }
}

impl Data {
    /// The most readable form of bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Base64(STANDARD.encode(bytes)) };
        let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
        match object.map(|object| (object.to_string(), object)) {
            Some((written, object)) if written == text => Self::Json(object),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The bytes again; a file that was left out is not there any more.
    pub(super) fn bytes(&self) -> Result<Bytes, String> {
        match self {
            Self::Json(value) => Ok(value.to_string().into()),
            Self::Text(text) => Ok(text.clone().into()),
            Self::Base64(text) => STANDARD.decode(text).map(Bytes::from).map_err(|error| error.to_string()),
            Self::Left(what) => Err(format!("{what} was left out of the recording")),
        }
    }

    /// The same with files as length and digest.
    pub(super) fn shortened(self) -> Self {
        match self {
            Self::Json(value) => Self::Json(shortened(value)),
            Self::Base64(text) => Self::Left(digest(&text)),
            other => other,
        }
    }
}

/// JSON with long base64 and hexadecimal texts as length and digest.
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

/// Headers of a file as headers again; what cannot be one is left out.
pub(super) fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name.as_str()), http::HeaderValue::from_str(value)) {
            map.insert(name, value);
        }
    }
    map
}
