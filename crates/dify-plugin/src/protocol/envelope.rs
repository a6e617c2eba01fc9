//! The outermost JSON object of a line, in both directions.
//!
//! Inbound the payload stays raw until somebody needs it; outbound a line is written straight into a byte buffer.
//! Source: protocol as in `dify-plugin-daemon: pkg/entities/plugin_entities/event.go` and `internal/core/session_manager/session.go`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{ErrorKind, InvokeError, MAX_FIELD_BYTES, clip};

/// A line from the daemon.
#[derive(Debug, Deserialize)]
pub struct Inbound<'a> {
    /// Names the session; echoed in every answer.
    #[serde(borrow)]
    pub session_id: std::borrow::Cow<'a, str>,
    /// What it is.
    pub event: InboundEvent,
    /// The payload, unread.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// The app, unread: an odd one costs nothing. See [`Inbound::origin`], for the following ones too.
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

/// Where in Dify a request comes from, as far as the daemon names it.
#[derive(Clone, Debug, Default, PartialEq)]
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

/// Kinds of inbound line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundEvent {
    /// A request to be answered.
    Request,
    /// The caller takes its request back. It may come without a payload.
    Cancel,
    /// The answer to a call that the plugin made; a model plugin makes none.
    BackwardsResponse,
    /// Anything newer.
    #[serde(untagged)]
    Other(String),
}

impl<'a> Inbound<'a> {
    /// Reads a line.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The session id of a line that cannot be read, or of its beginning, so that the caller can be told.
    pub fn salvage_session_id(line: &[u8]) -> Option<String> {
        let mut found = None::<String>;
        // What comes after the id may be broken or missing.
        let _ = serde_json::Deserializer::from_slice(line).deserialize_map(Find("session_id", &mut found));
        found.filter(|id| !id.is_empty())
    }

    /// The session id at the end of a line whose beginning is lost: the last field of the envelope, or one of the last.
    pub fn salvage_last_session_id(tail: &[u8]) -> Option<String> {
        let start = memchr::memmem::rfind(tail, b"\"session_id\"")?;
        // Only the envelope's own fields end with the line.
        let rest = [b"{", &tail[start..]].concat();
        let fields: Map<String, Value> = serde_json::from_slice(&rest).ok()?;
        fields["session_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    }

    /// Where in Dify it comes from.
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

    /// Where the payload stands in the line that this was read from.
    pub fn payload_in(&self, line: &[u8]) -> Option<Range<usize>> {
        range_in(line, self.data?.get())
    }

    /// What a line that cannot be read, or its beginning, says it is.
    pub fn salvage_event(line: &[u8]) -> Option<InboundEvent> {
        let mut found = None;
        let _ = serde_json::Deserializer::from_slice(line).deserialize_map(Find("event", &mut found));
        found
    }
}

/// Where a part of a line is in that line.
pub fn range_in(line: &[u8], part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    Some(start..start + part.len()).filter(|place| place.end <= line.len())
}

/// A request's payload, unread, in the line that it came with: nothing is copied to keep it.
#[derive(Debug)]
pub struct Payload {
    line: Vec<u8>,
    place: Range<usize>,
    origin: Origin,
}

impl Payload {
    /// What stands at this place of a line.
    pub fn new(line: Vec<u8>, place: Range<usize>) -> Self {
        Self { line, place, origin: Origin::default() }
    }

    /// The same, from this part of Dify.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Where in Dify it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its JSON.
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

/// The error payload of a session: at most ten keys in `args`, no traceback, no secrets.
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

    /// The payload of a failed call, with the text form of the reference: `[provider] description, detail`. Whatever host
    /// and upstream have said, it is short: every text of it is clipped here or in [`InvokeError::detail`].
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
struct Line<'a, T> {
    event: &'static str,
    session_id: Option<&'a str>,
    data: T,
}

#[derive(Serialize)]
struct Message<T> {
    r#type: &'static str,
    data: T,
}

#[derive(Serialize)]
struct Invoke<'a, T: ?Sized> {
    r#type: &'a str,
    backwards_request_id: &'a str,
    request: &'a T,
}

fn write<T: Serialize>(out: &mut Vec<u8>, line: &T) -> Result<(), serde_json::Error> {
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, line) {
        out.truncate(start);
        return Err(error);
    }
    out.push(b'\n');
    Ok(())
}

/// Appends one result item of a session.
pub fn write_stream<T: Serialize>(out: &mut Vec<u8>, session_id: &str, item: &T) -> Result<(), serde_json::Error> {
    write(out, &Line { event: "session", session_id: Some(session_id), data: Message { r#type: "stream", data: item } })
}

/// Appends a call back into Dify. Its responses come with this ID.
pub fn write_invoke<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    session_id: &str,
    call_type: &str,
    request_id: &str,
    request: &T,
) -> Result<(), serde_json::Error> {
    let data = Invoke { r#type: call_type, backwards_request_id: request_id, request };
    write(out, &Line { event: "session", session_id: Some(session_id), data: Message { r#type: "invoke", data } })
}

/// Appends the failure of a session. The ending still has to follow.
pub fn write_error(out: &mut Vec<u8>, session_id: &str, payload: &ErrorPayload) -> Result<(), serde_json::Error> {
    write(
        out,
        &Line { event: "session", session_id: Some(session_id), data: Message { r#type: "error", data: payload } },
    )
}

/// Appends the ending of a session.
pub fn write_end(out: &mut Vec<u8>, session_id: &str) -> Result<(), serde_json::Error> {
    write(
        out,
        &Line { event: "session", session_id: Some(session_id), data: Message { r#type: "end", data: Map::new() } },
    )
}

/// Appends a heartbeat.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":\"heartbeat\",\"session_id\":null,\"data\":{}}\n");
}
