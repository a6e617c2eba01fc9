//! Google's error object, before a stream and inside one → [`InvokeError`].
//!
//! Source: Gemini API, "Troubleshooting"; `google.rpc` error details (`ErrorInfo`, `RetryInfo`, `QuotaFailure`, `BadRequest`).

use std::time::Duration;

use serde_json::Value;

use dify_plugin::error::{ErrorKind, InvokeError, clip};
use dify_plugin::upstream::retry::heed_words;
use dify_plugin::upstream::status::error_text_in;

/// Words of a limit of money.
const QUOTA_PHRASES: [&str; 5] =
    ["spending limit", "spending cap", "spend cap", "prepayment credits", "credits are depleted"];

/// Words about a key that is none.
const BAD_KEY: [&str; 5] =
    ["api key not valid", "api key not found", "invalid api key", "api key is invalid", "pass a valid api key"];

/// What is said when the service says nothing.
const UNEXPLAINED: &str = "an error without an explanation";

/// Longest words of the service that are shown.
const MAX_MESSAGE_BYTES: usize = 2000;

/// Most fields of a request that are named.
const MAX_FIELDS: usize = 10;

/// Reads an error body of any shape: the object, a one-element array of it, `{"error": …}`, or a text.
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
    let said = match error.get("message").and_then(Value::as_str).filter(|message| !message.trim().is_empty()) {
        Some(message) => message.to_owned(),
        // A gateway's own words, in a shape of its own.
        None => error_text_in(value).message.unwrap_or_else(|| UNEXPLAINED.to_owned()),
    };
    let said = said.as_str();
    let mut details = Details::read(error.get("details"));
    details.spent |= QUOTA_PHRASES.iter().any(|word| said.to_ascii_lowercase().contains(word));
    if details.reason.is_none() && matches!(code, None | Some(400)) {
        details.reason = bad_key(said).map(str::to_owned);
    }

    let mut failure = InvokeError::new(kind(code, status_word, &details), message(said, &details));
    failure.status = code;
    failure.code =
        Some(details.reason.clone().unwrap_or_else(|| status_word.to_owned())).filter(|code| !code.is_empty());
    failure.retry_after = details.retry_delay;
    failure.retryable = matches!(code, Some(408 | 429 | 500 | 502 | 503 | 504)) && !details.is_used_up();
    failure.hint = hint(code, status_word, said, &details).map(str::to_owned);
    heed_words(failure)
}

/// The reason that stands in words alone where somebody on the way takes the details off.
fn bad_key(said: &str) -> Option<&'static str> {
    let said = said.to_ascii_lowercase();
    if said.contains("api key expired") || said.contains("api key has expired") {
        return Some("API_KEY_EXPIRED");
    }
    BAD_KEY.iter().any(|words| said.contains(words)).then_some("API_KEY_INVALID")
}

fn plain(text: &str, http_status: Option<u16>) -> InvokeError {
    let text = if text.trim().is_empty() { UNEXPLAINED } else { text };
    let reason = bad_key(text).filter(|_| matches!(http_status, None | Some(400))).map(str::to_owned);
    let details = Details { reason, ..Details::default() };
    let mut failure = InvokeError::new(kind(http_status, "", &details), clip(text, MAX_MESSAGE_BYTES));
    failure.code = details.reason.clone();
    failure.hint = hint(None, "", text, &details).map(str::to_owned);
    failure.status = http_status;
    heed_words(failure)
}

/// What the details of an error say.
#[derive(Default)]
struct Details {
    reason: Option<String>,
    retry_delay: Option<Duration>,
    per_day: bool,
    /// The model has no share of the free tier.
    no_share: bool,
    /// A limit of money.
    spent: bool,
    /// The room for uploaded files.
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
                        found.no_share |= violation["quotaValue"] == "0";
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

    /// Waiting a moment does not help.
    fn is_used_up(&self) -> bool {
        self.per_day || self.no_share || self.spent || self.storage
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `34s`, `1.5s`; some gateways write the number, or the object that stands behind it.
fn duration(told: &Value) -> Option<Duration> {
    let seconds = match told {
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

fn message(said: &str, details: &Details) -> String {
    let said = clip(said.trim(), MAX_MESSAGE_BYTES);
    if details.fields.is_empty() {
        return said.into_owned();
    }
    format!("{said} ({})", clip(&details.fields.join("; "), MAX_MESSAGE_BYTES))
}

fn kind(code: Option<u16>, status: &str, details: &Details) -> ErrorKind {
    if matches!(details.reason.as_deref(), Some("API_KEY_INVALID" | "API_KEY_EXPIRED")) {
        return ErrorKind::Authorization;
    }
    match (code, status) {
        (Some(401 | 403), _) | (_, "UNAUTHENTICATED" | "PERMISSION_DENIED") => ErrorKind::Authorization,
        (Some(429), _) | (_, "RESOURCE_EXHAUSTED") => ErrorKind::RateLimit,
        // Somebody on the way gave up.
        (Some(408 | 499), _) | (_, "CANCELLED") => ErrorKind::Connection,
        (Some(500..=599), _) | (_, "INTERNAL" | "UNAVAILABLE" | "DEADLINE_EXCEEDED") => ErrorKind::ServerUnavailable,
        (Some(400..=499), _) | (_, "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "NOT_FOUND") => ErrorKind::BadRequest,
        _ => ErrorKind::ServerUnavailable,
    }
}

fn hint(code: Option<u16>, status: &str, said: &str, details: &Details) -> Option<&'static str> {
    match details.reason.as_deref() {
        Some("API_KEY_INVALID") => return Some("Check the API key; make one at https://aistudio.google.com/apikey."),
        Some("API_KEY_EXPIRED") => return Some("The API key has expired; make a new one."),
        Some("SERVICE_DISABLED") => {
            return Some("Enable the API for this project in the Google Cloud console, then wait a few minutes.");
        }
        Some("API_KEY_SERVICE_BLOCKED") => {
            return Some("The API key is restricted to other services; allow this API for it.");
        }
        _ => {}
    }
    if details.spent {
        return Some("Raise the spending limit or add credit in Google's console; waiting a moment does not help.");
    }
    if details.storage {
        return Some("The project's room for uploaded files is used up; delete files, or wait until they expire.");
    }
    if details.no_share {
        return Some("This model has no free share; enable billing for the project of the key.");
    }
    if details.per_day {
        return Some("The daily quota is used up: it comes back with the next day, whatever wait the service names.");
    }
    let lower = said.to_ascii_lowercase();
    match (code, status) {
        (Some(401), _) if lower.contains("api keys are not supported") => {
            Some("This service takes no API key: choose `service_account`, or `vertex_express` with an express key.")
        }
        (Some(401), _) => Some("The sign-in is not valid or has ended: check key, account and project."),
        (Some(403), _) if lower.contains("leaked") => Some("Google has locked this API key; make a new one."),
        (Some(403), _) if !lower.contains("file") => {
            Some("The key or account may not use this; check its roles and restrictions.")
        }
        (_, "FAILED_PRECONDITION") if lower.contains("location") => Some(
            "Google does not serve the Gemini API in the region of this server; use Vertex AI or a gateway elsewhere.",
        ),
        (_, "FAILED_PRECONDITION") => Some("The project may need billing to be enabled."),
        (Some(404), _) if ["publisher model", "location", "region"].iter().any(|word| lower.contains(word)) => Some(
            "The model is not served in this location, or has been shut down: choose another location \
             (`google_location`; new models are often in `global` alone) or another model.",
        ),
        (Some(404), _) => Some("The model does not exist here or has been shut down; choose another one."),
        (Some(413), _) => Some("The request is too large; send smaller files."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn silence_is_told_too() {
        for body in
            [json!(null), json!(" "), json!([]), json!({"error": ""}), json!({"error": {"message": " ", "code": 500}})]
        {
            assert_eq!(from_value(&body, Some(500)).message, UNEXPLAINED, "{body}");
        }
    }

    #[test]
    fn a_bad_key_is_told_in_words_too() {
        for (said, kind, hint) in [
            ("API key not valid. Please pass a valid API key.", ErrorKind::Authorization, "aistudio"),
            ("API Key not found. Please pass a valid API key.", ErrorKind::Authorization, "aistudio"),
            ("API key expired. Please renew the API key.", ErrorKind::Authorization, "expired"),
            ("The field `api_key` of function `f` is not a valid name.", ErrorKind::BadRequest, ""),
        ] {
            for body in [
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": said}}),
                json!({"error": said}),
                json!(said),
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
    fn long_words_are_clipped() {
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
    fn the_table_of_refusals() {
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
            (401, "UNAUTHENTICATED", json!([]), ErrorKind::Authorization, false, "sign-in"),
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
        for (code, status, details, kind, retryable, said) in cases {
            let body = json!({"error": {"code": code, "status": status, "message": "User location is wrong.", "details": details}});
            for body in [body.clone(), json!([body])] {
                let error = from_value(&body, None);
                assert_eq!((error.kind, error.retryable), (kind, retryable), "{code} {status}");
                assert!(error.detail().contains(said), "{code}: {}", error.detail());
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
        let told = json!({"error": {"code": 429, "message": "Quota exceeded. Please retry in 55.1s."}});
        assert_eq!(from_value(&told, None).retry_after, Some(Duration::from_millis(55_100)));
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
        for (told, seconds) in [
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
            assert_eq!(duration(&told).map(|wait| wait.as_secs_f64()), seconds, "{told}");
        }
        assert_eq!(from_value(&json!("overloaded"), Some(503)).kind, ErrorKind::ServerUnavailable);
    }
}
