//! The outermost JSON object of a line, in both directions.
//!
//! Inbound payloads stay raw until they are needed; outbound lines are serialized directly into a byte buffer.
//! Source: protocol as in `dify-plugin-daemon: pkg/entities/plugin_entities/event.go` and `internal/core/session_manager/session.go`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::lenient::Borrowed;
use crate::error::{ErrorKind, InvokeError, MAX_FIELD_BYTES, clip};

/// A line from the daemon.
#[derive(Debug, Deserialize)]
pub struct Inbound<'a> {
    /// Session ID; echoed in every response.
    #[serde(borrow)]
    pub session_id: Cow<'a, str>,
    /// Type of the line.
    pub event: InboundEvent,
    /// Payload, not parsed yet.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// App ID, not parsed yet, so that a malformed one costs nothing; see [`Inbound::origin`], also for the following
    /// members.
    #[serde(borrow, default)]
    app_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    conversation_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    endpoint_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// Where in Dify a request comes from, as far as the daemon reports it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Origin {
    /// The app; a model may be called without one.
    pub app_id: Option<Arc<str>>,
    /// The conversation of a chat app.
    pub conversation_id: Option<Arc<str>>,
    /// The message of a conversation; mostly absent.
    pub message_id: Option<Arc<str>>,
    /// The endpoint whose URL was called.
    pub endpoint_id: Option<Arc<str>>,
    /// So far `{"credentials": {"tool_credentials": {provider: credential ID}}}`, of an agent.
    pub context: Option<Arc<Map<String, Value>>>,
}

/// Types of inbound lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboundEvent {
    /// A request.
    Request,
    /// The caller cancels its request. May come without a payload.
    Cancel,
    /// The response to a call that the plugin made into Dify.
    BackwardsResponse,
    /// A type of a newer daemon.
    Other(String),
}

impl<'de> Deserialize<'de> for InboundEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Borrowed(name) = Borrowed::deserialize(deserializer)?;
        Ok(match &*name {
            "request" => Self::Request,
            "cancel" => Self::Cancel,
            "backwards_response" => Self::BackwardsResponse,
            _ => Self::Other(name.into_owned()),
        })
    }
}

impl<'a> Inbound<'a> {
    /// Parses a line.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// Extracts the session ID from a malformed or truncated line, so that an error can be returned to the session.
    pub fn salvage_session_id(line: &[u8]) -> Option<String> {
        let mut found = None::<String>;
        // The rest after the ID may be malformed or missing.
        let _ = serde_json::Deserializer::from_slice(line).deserialize_map(Find("session_id", &mut found));
        found.filter(|id| !id.is_empty())
    }

    /// Extracts the session ID from the end of a line whose beginning is lost: the last member of the envelope, or one
    /// of the last.
    pub fn salvage_last_session_id(tail: &[u8]) -> Option<String> {
        let start = memchr::memmem::rfind(tail, b"\"session_id\"")?;
        // Only the envelope's own members end with the line.
        let rest = [b"{", &tail[start..]].concat();
        let fields: Map<String, Value> = serde_json::from_slice(&rest).ok()?;
        fields["session_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    /// Returns where in Dify the request comes from.
    pub fn origin(&self) -> Origin {
        let id = |raw: Option<&RawValue>| {
            let id: String = serde_json::from_str(raw?.get()).ok()?;
            Some(clip(id.trim(), MAX_FIELD_BYTES)).filter(|id| !id.is_empty()).map(Arc::from)
        };
        let context = self.context.and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw.get()).ok());
        Origin {
            app_id: id(self.app_id),
            conversation_id: id(self.conversation_id),
            message_id: id(self.message_id),
            endpoint_id: id(self.endpoint_id),
            context: context.filter(|context| !context.is_empty()).map(Arc::new),
        }
    }

    /// Returns the range of the payload in the line that this was parsed from.
    pub fn payload_in(&self, line: &[u8]) -> Option<Range<usize>> {
        range_in(line, self.data?.get())
    }

    /// Extracts the type of a malformed or truncated line.
    pub fn salvage_event(line: &[u8]) -> Option<InboundEvent> {
        let mut found = None;
        let _ = serde_json::Deserializer::from_slice(line).deserialize_map(Find("event", &mut found));
        found
    }
}

/// Returns the range of a part of a line in that line.
pub fn range_in(line: &[u8], part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    Some(start..start + part.len()).filter(|place| place.end <= line.len())
}

/// The payload of a request, not parsed yet, within its line, so that nothing is copied.
#[derive(Debug)]
pub struct Payload {
    line: Vec<u8>,
    place: Range<usize>,
    origin: Origin,
}

impl Payload {
    /// Creates a payload from this range of a line.
    pub fn new(line: Vec<u8>, place: Range<usize>) -> Self {
        Self { line, place, origin: Origin::default() }
    }

    /// Sets the origin.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Returns where in Dify the request comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the payload's JSON.
    pub fn json(&self) -> &str {
        self.line.get(self.place.clone()).and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default()
    }
}

/// Reads an object up to a member.
struct Find<'a, T>(&'static str, &'a mut Option<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Find<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            if name == self.0 {
                *self.1 = fields.next_value()?;
                break;
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// The error payload of a session: at most ten members in `args`, no traceback, no secrets.
#[derive(Debug, Serialize)]
pub struct ErrorPayload {
    /// One of the names of [`crate::error::ErrorKind::error_type`].
    pub error_type: &'static str,
    /// Text shown to the user.
    pub message: String,
    /// `description` and, where known, `status`, `code`, `request_id`.
    pub args: Map<String, Value>,
}

impl ErrorPayload {
    /// The payload of a failed call to an access type other than `model`: the error's own text, without a provider.
    pub fn named(names: ErrorNames, error: &InvokeError) -> Self {
        Self::with(names.of(error.kind), error.detail(), error)
    }

    /// Creates the payload of a failed model call, in the text format of the Python SDK: `[provider] description,
    /// detail`. Its length is limited, whatever daemon and server sent: every text is truncated here or in
    /// [`InvokeError::detail`].
    pub fn of(provider: &str, error: &InvokeError) -> Self {
        let provider = clip(provider, MAX_FIELD_BYTES);
        let detail = error.detail();
        let message = match error.kind {
            ErrorKind::CredentialsValidateFailed | ErrorKind::PollingUnsupported => detail,
            ErrorKind::Internal | ErrorKind::FirstTokenTimeout => format!("[{provider}] Error: {detail}"),
            ErrorKind::Authorization => format!("[{provider}] {} {detail}", error.kind.description()),
            kind => format!("[{provider}] {}, {detail}", kind.description()),
        };
        Self::with(error.kind.error_type(), message, error)
    }

    fn with(error_type: &'static str, message: String, error: &InvokeError) -> Self {
        let word = |text: &str| Value::String(clip(text, MAX_FIELD_BYTES).into_owned());
        let mut args = Map::new();
        args.insert("description".to_owned(), Value::String(message.clone()));
        if let Some(status) = error.status {
            args.insert("status".to_owned(), status.into());
        }
        if let Some(code) = &error.code {
            args.insert("code".to_owned(), word(code));
        }
        if let Some(request_id) = &error.request_id {
            args.insert("request_id".to_owned(), word(request_id));
        }
        if let Some(wait) = error.retry_after {
            args.insert("retry_after_seconds".to_owned(), wait.as_secs().into());
        }
        Self { error_type, message, args }
    }
}

/// The `error_type`s of an action of an access type other than `model`. Where Dify does not look for a name of its own,
/// they are the classes that a Python plugin would raise: Dify shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorNames {
    credentials: &'static str,
    other: Option<&'static str>,
}

impl Default for ErrorNames {
    fn default() -> Self {
        Self::with_credentials("PermissionError")
    }
}

impl ErrorNames {
    /// One name whatever happens.
    pub const fn always(name: &'static str) -> Self {
        Self { credentials: name, other: Some(name) }
    }

    /// A name of its own for credentials that are rejected.
    pub const fn with_credentials(credentials: &'static str) -> Self {
        Self { credentials, other: None }
    }

    /// One name for everything else.
    #[must_use]
    pub const fn otherwise(mut self, name: &'static str) -> Self {
        self.other = Some(name);
        self
    }

    /// The name for a kind of error.
    pub fn of(self, kind: ErrorKind) -> &'static str {
        match (kind, self.other) {
            (ErrorKind::Authorization | ErrorKind::CredentialsValidateFailed, _) => self.credentials,
            (_, Some(name)) => name,
            (ErrorKind::BadRequest | ErrorKind::NotFound | ErrorKind::PollingUnsupported, None) => "ValueError",
            (ErrorKind::Unsupported, None) => "NotImplementedError",
            (ErrorKind::RateLimit, None) => "RateLimitError",
            (ErrorKind::Connection | ErrorKind::ServerUnavailable | ErrorKind::FirstTokenTimeout, None) => {
                "ConnectionError"
            }
            (ErrorKind::Internal, None) => "RuntimeError",
        }
    }
}

#[derive(Serialize)]
struct Invoke<'a, T: ?Sized> {
    r#type: &'a str,
    backwards_request_id: &'a str,
    request: &'a T,
}

/// Appends a line of a session.
fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    session_id: &str,
    message_type: &str,
    data: &T,
) -> Result<(), serde_json::Error> {
    let start = out.len();
    out.extend_from_slice(b"{\"event\":\"session\",\"session_id\":");
    let written = serde_json::to_writer(&mut *out, session_id).and_then(|()| {
        out.extend_from_slice(b",\"data\":{\"type\":\"");
        out.extend_from_slice(message_type.as_bytes());
        out.extend_from_slice(b"\",\"data\":");
        serde_json::to_writer(&mut *out, data)
    });
    match written {
        Ok(()) => out.extend_from_slice(b"}}\n"),
        Err(_) => out.truncate(start),
    }
    written
}

/// Appends one result item of a session.
pub fn write_stream<T: Serialize>(out: &mut Vec<u8>, session_id: &str, item: &T) -> Result<(), serde_json::Error> {
    write(out, session_id, "stream", item)
}

/// Appends a call back into Dify. Its responses come with this ID.
pub fn write_invoke<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    session_id: &str,
    call_type: &str,
    request_id: &str,
    request: &T,
) -> Result<(), serde_json::Error> {
    write(out, session_id, "invoke", &Invoke { r#type: call_type, backwards_request_id: request_id, request })
}

/// Appends the failure of a session. The ending still has to follow.
pub fn write_error(out: &mut Vec<u8>, session_id: &str, payload: &ErrorPayload) -> Result<(), serde_json::Error> {
    write(out, session_id, "error", payload)
}

/// Appends the ending of a session.
pub fn write_end(out: &mut Vec<u8>, session_id: &str) -> Result<(), serde_json::Error> {
    write(out, session_id, "end", &Map::new())
}

/// Appends a heartbeat.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":\"heartbeat\",\"session_id\":null,\"data\":{}}\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn a_line_is_what_a_serializer_would_write(session_id in any::<String>(), text in any::<String>()) {
            let whole = |kind: &str, data: Value| {
                let line = json!({"event": "session", "session_id": session_id, "data": {"type": kind, "data": data}});
                format!("{line}\n")
            };
            let mut lines = Vec::new();
            write_stream(&mut lines, &session_id, &json!({"text": text})).unwrap();
            write_invoke(&mut lines, &session_id, "llm", &text, &Value::Null).unwrap();
            write_end(&mut lines, &session_id).unwrap();
            let call = json!({"type": "llm", "backwards_request_id": text, "request": null});
            let expected = whole("stream", json!({"text": text})) + &whole("invoke", call) + &whole("end", json!({}));
            prop_assert_eq!(String::from_utf8(lines).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_serialized_leaves_nothing() {
        let mut lines = b"before\n".to_vec();
        let unserializable = std::collections::BTreeMap::from([((1, 2), "no text as a key")]);
        assert!(write_stream(&mut lines, "s", &unserializable).is_err());
        assert_eq!(lines, b"before\n");
    }
}
