//! One line of a plugin's output, read as the daemon reads it. Which session it belongs to is for the connection to find.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/event.go`.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A line.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// The plugin is alive.
    Heartbeat,
    /// A message of a session.
    Session(String, SessionMessage),
    /// A record of the plugin's log.
    Log,
    /// A line that the daemon drops, and why.
    Unreadable(String),
}

/// A message of a session.
#[derive(Debug, PartialEq)]
pub(crate) enum SessionMessage {
    /// A result item.
    Item(Value),
    /// The session failed; an end follows.
    Error(SessionError),
    /// The session is over.
    End,
    /// A call back into Dify.
    Invoke(Invoke),
    /// A message that ends the session with an error of the daemon.
    Malformed(String),
}

/// Why a session failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionError {
    /// `error_type`.
    pub kind: String,
    /// The text that users see.
    pub message: String,
    /// What else is known.
    pub args: Map<String, Value>,
}

/// A call back into Dify.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Invoke {
    /// Type of the call.
    pub invoke_type: String,
    /// The plugin's name for the call.
    pub request_id: String,
    /// What is requested.
    pub request: Map<String, Value>,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    data: Value,
}

impl Frame {
    /// Reads a line.
    pub(crate) fn parse(line: &[u8]) -> Self {
        let line: Line = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => return Self::Unreadable(error.to_string()),
        };
        match line.event.as_str() {
            "heartbeat" => Self::Heartbeat,
            "session" => Self::Session(line.session_id.unwrap_or_default(), SessionMessage::of(line.data)),
            "log" => Self::Log,
            other => Self::Unreadable(format!("unknown event `{other}`")),
        }
    }
}

impl SessionMessage {
    fn of(mut message: Value) -> Self {
        let data = message.get_mut("data").map(Value::take).unwrap_or_default();
        match message["type"].as_str().unwrap_or_default() {
            "stream" => Self::Item(data),
            "end" => Self::End,
            "error" => {
                let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
                let (kind, message) = (text("error_type"), text("message"));
                Self::Error(SessionError { kind, message, args: data["args"].as_object().cloned().unwrap_or_default() })
            }
            "invoke" => match Invoke::of(data) {
                Some(invoke) => Self::Invoke(invoke),
                None => Self::Malformed(
                    "invoke_dify_error: a call back needs the strings `type` and `backwards_request_id` and the \
                     object `request`"
                        .to_owned(),
                ),
            },
            other => Self::Malformed(format!("unknown message type `{other}`")),
        }
    }
}

impl Invoke {
    fn of(data: Value) -> Option<Self> {
        let Value::Object(mut data) = data else { return None };
        let mut text = |name: &str| match data.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (invoke_type, request_id) = (text("type")?, text("backwards_request_id")?);
        let Some(Value::Object(request)) = data.remove("request") else { return None };
        Some(Self { invoke_type, request_id, request })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_every_kind_of_line() {
        let session = |message| Frame::Session("s".to_owned(), message);
        let malformed = |line: &str| match Frame::parse(line.as_bytes()) {
            Frame::Session(_, SessionMessage::Malformed(problem)) => problem,
            other => panic!("{other:?}"),
        };
        let invoke = Invoke {
            invoke_type: "llm".to_owned(),
            request_id: "r".to_owned(),
            request: json!({"x": 1}).as_object().unwrap().clone(),
        };
        for (line, expected) in [
            (r#"{"event":"heartbeat","session_id":null,"data":{}}"#, Frame::Heartbeat),
            (r#"{"event":"log","data":{"level":"INFO"}}"#, Frame::Log),
            (
                r#"{"event":"session","session_id":"s","data":{"type":"stream","data":{"a":1}}}"#,
                session(SessionMessage::Item(json!({"a": 1}))),
            ),
            (r#"{"event":"session","session_id":"s","data":{"type":"end","data":{}}}"#, session(SessionMessage::End)),
            (
                r#"{"event":"session","session_id":"s","data":{"type":"error","data":{"error_type":"E","message":"m","args":{"status":401}}}}"#,
                session(SessionMessage::Error(SessionError {
                    kind: "E".to_owned(),
                    message: "m".to_owned(),
                    args: json!({"status": 401}).as_object().unwrap().clone(),
                })),
            ),
            (
                r#"{"event":"session","session_id":"s","data":{"type":"invoke","data":{"type":"llm","backwards_request_id":"r","request":{"x":1}}}}"#,
                session(SessionMessage::Invoke(invoke)),
            ),
        ] {
            assert_eq!(Frame::parse(line.as_bytes()), expected, "{line}");
        }
        assert!(matches!(Frame::parse(b"printed by mistake"), Frame::Unreadable(_)));
        assert!(matches!(Frame::parse(br#"{"event":"other"}"#), Frame::Unreadable(_)));
        let line =
            r#"{"event":"session","session_id":"s","data":{"type":"invoke","data":{"type":"llm","request":{}}}}"#;
        assert!(malformed(line).contains("backwards_request_id"));
        assert!(malformed(r#"{"event":"session","session_id":"s","data":{"type":"x"}}"#).contains('x'));
    }
}
