//! Status and body of an error response → [`InvokeError`], for every dialect without its own error reader.
//!
//! Finds the server's error message in the forms that servers use: `error.message`, `error` as a string, arrays of
//! `errors`, `detail`, `message`, `msg`, `base_resp`, `title` of a problem document, the title of an HTML page, plain
//! text.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::response::ErrorResponse;
use crate::error::{ErrorKind, InvokeError};

/// Maximum number of characters of a server's text that are shown.
const MAX_EXCERPT_BYTES: usize = 500;

/// Converts a non-2xx response to an error.
pub fn error_of(response: &ErrorResponse) -> InvokeError {
    let text = parse_error_text(&response.body);
    let mut error = InvokeError::new(
        kind_of(response.status),
        match &text.message {
            Some(message) => format!("HTTP {}: {message}", response.status.as_u16()),
            None => format!("HTTP {} without an error message from {}", response.status, host_of(response)),
        },
    );
    error.status = Some(response.status.as_u16());
    error.code = text.code;
    error.request_id = request_id(&response.headers);
    error.retry_after = retry_after(&response.headers);
    error.retryable = is_transient(response.status);
    error
}

/// Returns the error type for a status.
pub fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 | 403 => ErrorKind::Authorization,
        408 => ErrorKind::Connection,
        // 402: the balance is used up. Dify goes on with another key after this error, if the user has one.
        402 | 429 => ErrorKind::RateLimit,
        400..=499 => ErrorKind::BadRequest,
        500..=599 => ErrorKind::ServerUnavailable,
        _ => ErrorKind::Connection,
    }
}

/// Whether an error with this status may succeed on a retry.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn host_of(response: &ErrorResponse) -> &str {
    response.url.host_str().unwrap_or("the server")
}

/// Contents of an error body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// Error message.
    pub message: Option<String>,
    /// Server's own error code.
    pub code: Option<String>,
}

/// Finds the error message in a body of any form.
pub fn parse_error_text(body: &[u8]) -> ErrorText {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => error_text_in(&value),
        Err(_) => ErrorText {
            message: page_title(body).or_else(|| Some(excerpt(body))).filter(|text| !text.is_empty()),
            code: None,
        },
    }
}

/// Members that contain error messages, the most reliable ones first.
const EXPLANATIONS: [&str; 19] = [
    "error",
    "errors",
    "detail",
    "message",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
    "err_msg",
    "errmsg",
    "err",
    "status_msg",
    "base_resp",
    "fault",
    "faultstring",
    "Message",
    "reason",
    "title",
];

/// Finds the error message in a JSON value.
pub fn error_text_in(value: &Value) -> ErrorText {
    match value {
        Value::String(text) => ErrorText { message: Some(clip(text)).filter(|text| !text.is_empty()), code: None },
        Value::Array(items) => items.first().map(error_text_in).unwrap_or_default(),
        Value::Object(map) => {
            for key in EXPLANATIONS {
                let Some(inner) = map.get(key) else { continue };
                let mut text = error_text_in(inner);
                let Some(message) = &mut text.message else { continue };
                // A status text with the actual message next to it, or a gateway's message with the original one in
                // `metadata`.
                let more = match inner {
                    Value::String(_) if key == "error" => map.get("message"),
                    _ => map.get("metadata").and_then(|metadata| metadata.get("raw")),
                };
                if let Some(more) =
                    more.and_then(Value::as_str).and_then(|more| parse_error_text(more.as_bytes()).message)
                    && more != *message
                {
                    *message = clip(&format!("{message}: {more}"));
                }
                if text.code.is_none() {
                    text.code = code_of(map);
                }
                return text;
            }
            ErrorText { message: None, code: code_of(map) }
        }
        Value::Number(number) => ErrorText { message: None, code: Some(number.to_string()) },
        Value::Null | Value::Bool(_) => ErrorText::default(),
    }
}

fn code_of(map: &serde_json::Map<String, Value>) -> Option<String> {
    let names = ["status", "code", "type", "error", "error_code", "status_code", "errcode"];
    names.iter().find_map(|key| match map.get(*key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// Returns the `<title>` of an HTML page.
fn page_title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(64 * 1024)]);
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    Some(format!("an HTML page instead of JSON: \"{}\"", clip(text[start..end].trim())))
}

/// Returns the beginning of a body on one line.
pub fn excerpt(body: &[u8]) -> String {
    clip(&String::from_utf8_lossy(&body[..body.len().min(4 * MAX_EXCERPT_BYTES)]))
}

fn clip(text: &str) -> String {
    let mut clipped = String::new();
    for word in text.split_whitespace() {
        if !clipped.is_empty() {
            clipped.push(' ');
        }
        clipped.push_str(word);
        if clipped.chars().count() > MAX_EXCERPT_BYTES {
            return clipped.chars().take(MAX_EXCERPT_BYTES).chain("…".chars()).collect();
        }
    }
    clipped
}

/// Returns the server's request ID from the headers that may contain it.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-request-id", "x-ca-request-id", "request-id", "x-goog-request-id", "x-amzn-requestid", "eagleeye-traceid"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= 128)
        .map(str::to_owned)
}

/// Returns the server's time from its `Date` header, in whole seconds.
pub fn date(headers: &HeaderMap) -> Option<jiff::Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp())
}

/// Parses `Retry-After`: seconds or a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Duration::try_from_secs_f64(date.timestamp().duration_since(jiff::Timestamp::now()).as_secs_f64()).ok()
}
