//! Converts Google's error object, before a stream or inside one, to [`InvokeError`].
//!
//! Source: Gemini API, "Troubleshooting"; `google.rpc` error details (`ErrorInfo`, `RetryInfo`, `QuotaFailure`,
//! `BadRequest`).

use std::time::Duration;

use serde_json::Value;

use dify_plugin::error::{ErrorKind, InvokeError, clip};
use dify_plugin::upstream::retry::with_stated_wait;
use dify_plugin::upstream::status::{error_text_in, parse_error_text};

/// Phrases in errors about spending limits.
const QUOTA_PHRASES: [&str; 5] =
    ["spending limit", "spending cap", "spend cap", "prepayment credits", "credits are depleted"];

/// Phrases in errors about an invalid key.
const BAD_KEY: [&str; 5] =
    ["api key not valid", "api key not found", "invalid api key", "api key is invalid", "pass a valid api key"];

/// Message for errors without a message.
const UNEXPLAINED: &str = "no error message";

/// Hint for responses of a proxy or another service.
pub const NOT_GOOGLE: &str = "This response does not come from Google. Check the base URL and the proxy.";

/// Maximum bytes shown of a server's error message.
const MAX_MESSAGE_BYTES: usize = 2000;

/// Maximum number of request fields listed.
const MAX_FIELDS: usize = 10;

/// Parses an error body of any shape: the object, a one-element array of it, `{"error": …}`, or a string.
pub fn from_value(value: &Value, http_status: Option<u16>) -> InvokeError {
    let error = match value {
        Value::Array(items) => return from_value(items.first().unwrap_or(&Value::Null), http_status),
        Value::Object(map) => match map.get("error") {
            Some(inner @ Value::Object(_)) => inner,
            Some(Value::String(text)) => return plain(text, http_status),
            _ => value,
        },
        Value::String(text) => return plain(text, http_status),
        _ => return plain("", http_status),
    };
    let status_word = error.get("status").and_then(Value::as_str).unwrap_or_default();
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).or(http_status);
    let message_text = match error.get("message").and_then(Value::as_str).filter(|message| !message.trim().is_empty()) {
        Some(message) => message.to_owned(),
        // An error message in a gateway's own format.
        None => error_text_in(value).message.unwrap_or_else(|| UNEXPLAINED.to_owned()),
    };
    let message_text = message_text.as_str();
    let mut details = Details::read(error.get("details"));
    details.spent |= QUOTA_PHRASES.iter().any(|word| message_text.to_ascii_lowercase().contains(word));
    if details.reason.is_none() && matches!(code, None | Some(400)) {
        details.reason = bad_key(message_text).map(str::to_owned);
    }

    let mut failure = InvokeError::new(kind(code, status_word, &details), message(message_text, &details));
    failure.status = code;
    failure.code =
        Some(details.reason.clone().unwrap_or_else(|| status_word.to_owned())).filter(|code| !code.is_empty());
    failure.retry_after = details.retry_delay;
    failure.retryable = matches!(code, Some(408 | 429 | 500 | 502 | 503 | 504)) && !details.is_exhausted();
    failure.hint = hint(code, status_word, message_text, &details).map(str::to_owned);
    with_stated_wait(failure)
}

/// Derives the reason from the message alone, for proxies that drop the details.
fn bad_key(message_text: &str) -> Option<&'static str> {
    let message_text = message_text.to_ascii_lowercase();
    if message_text.contains("api key expired") || message_text.contains("api key has expired") {
        return Some("API_KEY_EXPIRED");
    }
    BAD_KEY.iter().any(|words| message_text.contains(words)).then_some("API_KEY_INVALID")
}

fn plain(text: &str, http_status: Option<u16>) -> InvokeError {
    let text = if text.trim().is_empty() { UNEXPLAINED } else { text };
    let reason = bad_key(text).filter(|_| matches!(http_status, None | Some(400))).map(str::to_owned);
    let details = Details { reason, ..Details::default() };
    let mut failure = InvokeError::new(kind(http_status, "", &details), clip(text, MAX_MESSAGE_BYTES));
    failure.code = details.reason.clone();
    failure.hint = hint(None, "", text, &details).map(str::to_owned);
    failure.status = http_status;
    with_stated_wait(failure)
}

/// Information from the details of an error.
#[derive(Default)]
struct Details {
    reason: Option<String>,
    retry_delay: Option<Duration>,
    per_day: bool,
    /// The model has no free tier quota.
    no_free_tier: bool,
    /// A spending limit was reached.
    spent: bool,
    /// The storage for uploaded files is full.
    storage: bool,
    fields: Vec<String>,
}

impl Details {
    fn read(details: Option<&Value>) -> Self {
        let mut found = Self::default();
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            match detail["@type"].as_str().unwrap_or_default().rsplit('.').next().unwrap_or_default() {
                "ErrorInfo" => found.reason = detail["reason"].as_str().map(str::to_owned),
                "RetryInfo" => found.retry_delay = duration(&detail["retryDelay"]),
                "QuotaFailure" => {
                    for violation in detail["violations"].as_array().into_iter().flatten() {
                        found.storage |= text_of(violation, "quotaId").contains("FileStorage");
                        let quota = violation["quotaId"].as_str().unwrap_or_default();
                        found.per_day |= quota.contains("PerDay");
                        found.spent |= quota.contains("PerMonth") || quota.contains("Spend");
                        found.no_free_tier |= violation["quotaValue"] == "0";
                    }
                }
                "BadRequest" => {
                    for violation in detail["fieldViolations"].as_array().into_iter().flatten().take(MAX_FIELDS) {
                        let text = |key: &str| clip(text_of(violation, key), MAX_MESSAGE_BYTES);
                        found.fields.push(format!("{}: {}", text("field"), text("description")));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a retry cannot succeed soon, because a quota or budget is exhausted.
    fn is_exhausted(&self) -> bool {
        self.per_day || self.no_free_tier || self.spent || self.storage
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Parses `34s` or `1.5s`; some gateways send the number, or the underlying object.
fn duration(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().trim_end_matches('s').parse().ok()?,
        Value::Number(number) => number.as_f64()?,
        Value::Object(parts) => {
            let part = |key: &str| match &parts.get(key) {
                Some(Value::String(text)) => text.parse::<f64>().ok(),
                Some(value) => value.as_f64(),
                None => None,
            };
            part("seconds")? + part("nanos").unwrap_or_default() / 1e9
        }
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

fn message(message_text: &str, details: &Details) -> String {
    let message_text = clip(message_text.trim(), MAX_MESSAGE_BYTES);
    if details.fields.is_empty() {
        return message_text.into_owned();
    }
    format!("{message_text} ({})", clip(&details.fields.join("; "), MAX_MESSAGE_BYTES))
}

fn kind(code: Option<u16>, status: &str, details: &Details) -> ErrorKind {
    if matches!(details.reason.as_deref(), Some("API_KEY_INVALID" | "API_KEY_EXPIRED")) {
        return ErrorKind::Authorization;
    }
    match (code, status) {
        (Some(401 | 403), _) | (_, "UNAUTHENTICATED" | "PERMISSION_DENIED") => ErrorKind::Authorization,
        (Some(429), _) | (_, "RESOURCE_EXHAUSTED") => ErrorKind::RateLimit,
        // A gateway or proxy gave up.
        (Some(408 | 499), _) | (_, "CANCELLED") => ErrorKind::Connection,
        (Some(500..=599), _) | (_, "INTERNAL" | "UNAVAILABLE" | "DEADLINE_EXCEEDED") => ErrorKind::ServerUnavailable,
        (Some(400..=499), _) | (_, "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "NOT_FOUND") => ErrorKind::BadRequest,
        _ => ErrorKind::ServerUnavailable,
    }
}

fn hint(code: Option<u16>, status: &str, message_text: &str, details: &Details) -> Option<&'static str> {
    match details.reason.as_deref() {
        Some("API_KEY_INVALID") => {
            return Some("Check the API key, or create one at https://aistudio.google.com/apikey.");
        }
        Some("API_KEY_EXPIRED") => return Some("The API key has expired; create a new one."),
        Some("SERVICE_DISABLED") => {
            return Some("Enable the API for this project in the Google Cloud console, then wait a few minutes.");
        }
        Some("API_KEY_SERVICE_BLOCKED") => {
            return Some("The API key is restricted to other APIs; add this API to the key's restrictions.");
        }
        _ => {}
    }
    if details.spent {
        return Some("Raise the spending limit or add credit in the Google Cloud console; retrying will not help.");
    }
    if details.storage {
        return Some("The project's storage for uploaded files is full; delete files, or wait until they expire.");
    }
    if details.no_free_tier {
        return Some("This model has no free tier; enable billing for the key's project.");
    }
    if details.per_day {
        return Some(
            "The daily quota is exhausted. It resets the next day, regardless of the delay that the service reports.",
        );
    }
    let lower = message_text.to_ascii_lowercase();
    match (code, status) {
        (Some(401), _) if lower.contains("api keys are not supported") => Some(
            "This service does not accept API keys. Choose `service_account`, or `vertex_express` with an express mode key.",
        ),
        (Some(401), _) => Some("Authentication failed or has expired; check the key, the account and the project."),
        (Some(403), _) if lower.contains("leaked") => {
            Some("Google has blocked this API key because it was leaked; create a new one.")
        }
        (Some(403), _) if !lower.contains("file") => {
            Some("The key or account lacks permission; check its IAM roles and API restrictions.")
        }
        (_, "FAILED_PRECONDITION") if lower.contains("location") => Some(
            "The Gemini API is not available in the region of this server. Use Vertex AI, or a gateway in a supported region.",
        ),
        (_, "FAILED_PRECONDITION") => Some("Billing may have to be enabled for the project."),
        (Some(404), _) if ["publisher model", "location", "region"].iter().any(|word| lower.contains(word)) => Some(
            "The model is not available in this location, or has been shut down; choose another location \
             (`google_location`; new models are often in `global` alone) or another model.",
        ),
        (Some(404), _) => Some("The model does not exist here or has been shut down; choose another one."),
        (Some(413), _) => Some("The request is too large; send smaller files."),
        _ => None,
    }
}

/// Returns the error for an HTML page in place of a response.
pub fn page(body: &str) -> InvokeError {
    let text = parse_error_text(body.as_bytes()).message.unwrap_or_default();
    InvokeError::connection(format!("unexpected response: {text}")).with_hint(NOT_GOOGLE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_without_a_message_get_one() {
        for body in
            [json!(null), json!(" "), json!([]), json!({"error": ""}), json!({"error": {"message": " ", "code": 500}})]
        {
            assert_eq!(from_value(&body, Some(500)).message, UNEXPLAINED, "{body}");
        }
    }

    #[test]
    fn recognizes_invalid_keys_by_the_message() {
        for (message_text, kind, hint) in [
            ("API key not valid. Please pass a valid API key.", ErrorKind::Authorization, "aistudio"),
            ("API Key not found. Please pass a valid API key.", ErrorKind::Authorization, "aistudio"),
            ("API key expired. Please renew the API key.", ErrorKind::Authorization, "expired"),
            ("The field `api_key` of function `f` is not a valid name.", ErrorKind::BadRequest, ""),
        ] {
            for body in [
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": message_text}}),
                json!({"error": message_text}),
                json!(message_text),
            ] {
                let error = from_value(&body, Some(400));
                assert_eq!((error.kind, error.retryable), (kind, false), "{body}");
                assert!(error.hint.unwrap_or_default().contains(hint), "{body}");
            }
        }
        let gone = "Publisher Model `projects/p/locations/us-east1/publishers/google/models/m` was not found";
        let error = from_value(&json!({"error": {"code": 404, "status": "NOT_FOUND", "message": gone}}), None);
        assert!(error.hint.unwrap().contains("google_location"));
    }

    #[test]
    fn long_messages_are_truncated() {
        let long = "B".repeat(3_000_000);
        let fields: Vec<Value> = (0..5000).map(|_| json!({"field": long[..1000], "description": "odd"})).collect();
        let details = json!([{"@type": "x/google.rpc.BadRequest", "fieldViolations": fields}]);
        for body in [
            json!({"error": {"code": 400, "message": long}}),
            json!({"error": {"code": 400, "message": "m", "details": details}}),
            json!({"error": long}),
            json!(long),
            json!({"detail": long}),
        ] {
            let error = from_value(&body, Some(400));
            assert!(error.message.len() < 2 * MAX_MESSAGE_BYTES + 100, "{}", error.message.len());
        }
    }

    #[test]
    fn error_types_retries_and_hints_by_status_and_details() {
        let info = |reason: &str| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]);
        let cases = [
            (400, "INVALID_ARGUMENT", info("API_KEY_INVALID"), ErrorKind::Authorization, false, "aistudio"),
            (
                400,
                "INVALID_ARGUMENT",
                json!([{"@type": "x/google.rpc.BadRequest", "fieldViolations": [{"field": "tools[0]", "description": "odd"}]}]),
                ErrorKind::BadRequest,
                false,
                "tools[0]: odd",
            ),
            (400, "FAILED_PRECONDITION", json!([]), ErrorKind::BadRequest, false, "region"),
            (401, "UNAUTHENTICATED", json!([]), ErrorKind::Authorization, false, "Authentication"),
            (403, "PERMISSION_DENIED", info("SERVICE_DISABLED"), ErrorKind::Authorization, false, "Enable the API"),
            (404, "NOT_FOUND", json!([]), ErrorKind::BadRequest, false, "shut down"),
            (
                429,
                "RESOURCE_EXHAUSTED",
                json!([{"@type": "x/google.rpc.RetryInfo", "retryDelay": "34s"}]),
                ErrorKind::RateLimit,
                true,
                "location",
            ),
            (
                429,
                "RESOURCE_EXHAUSTED",
                json!([{"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "RequestsPerDayPerProject"}]}]),
                ErrorKind::RateLimit,
                false,
                "daily quota",
            ),
            (500, "INTERNAL", json!([]), ErrorKind::ServerUnavailable, true, "location"),
            (503, "UNAVAILABLE", json!([]), ErrorKind::ServerUnavailable, true, "location"),
        ];
        for (code, status, details, kind, retryable, message_text) in cases {
            let body = json!({"error": {"code": code, "status": status, "message": "User location is wrong.", "details": details}});
            for body in [body.clone(), json!([body])] {
                let error = from_value(&body, None);
                assert_eq!((error.kind, error.retryable), (kind, retryable), "{code} {status}");
                assert!(error.detail().contains(message_text), "{code}: {}", error.detail());
            }
        }
        for words in
            ["API key not valid. Please pass a valid API key.", "API Key not found.", "API key expired. Renew it."]
        {
            for body in [
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": words}}),
                json!({"error": words}),
                json!(words),
            ] {
                let error = from_value(&body, None);
                assert_eq!(error.kind, ErrorKind::Authorization, "{body}");
                assert!(error.detail().contains("API key") && error.hint.is_some(), "{body}");
            }
        }
        let elsewhere = json!({"error": {"code": 404, "message": "Publisher Model `projects/p/locations/eu/publishers/google/models/m` was not found"}});
        assert!(from_value(&elsewhere, None).detail().contains("location"), "{elsewhere}");
        let in_text = json!({"error": {"code": 429, "message": "Quota exceeded. Please retry in 55.1s."}});
        assert_eq!(from_value(&in_text, None).retry_after, Some(Duration::from_millis(55_100)));
        assert!(!from_value(&json!({"error": {"code": 429, "message": "Quota exceeded, limit: 0."}}), None).retryable);
        let storage =
            json!([{"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "FileStorageBytesPerProject"}]}]);
        let storage = from_value(&json!({"error": {"code": 429, "message": "q", "details": storage}}), None);
        assert!(!storage.retryable && storage.detail().contains("uploaded files"), "{}", storage.detail());
        let delay = from_value(
            &json!({"error": {"code": 429, "details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}}),
            None,
        );
        assert_eq!(delay.retry_after, Some(Duration::from_millis(1500)));
        for (value, seconds) in [
            (json!("34s"), Some(34.0)),
            (json!("34"), Some(34.0)),
            (json!(1.5), Some(1.5)),
            (json!({"seconds": "34", "nanos": 500_000_000}), Some(34.5)),
            (json!({"seconds": 34}), Some(34.0)),
            (json!("9223372036854775807s"), Some(9_223_372_036_854_775_807.0)),
            (json!(-1), None),
            (json!("soon"), None),
            (json!([34]), None),
        ] {
            assert_eq!(duration(&value).map(|wait| wait.as_secs_f64()), seconds, "{value}");
        }
        assert_eq!(from_value(&json!("overloaded"), Some(503)).kind, ErrorKind::ServerUnavailable);
    }
}
