//! Refusals and in-stream errors → [`InvokeError`]: the table of a compatible upstream.
//!
//! | status | kind | repeated |
//! |---|---|---|
//! | 400, 404, 405, 409, 413, 422 and other 4xx | bad request | no |
//! | 401, 403 | authorization (403 about a quota: rate limit) | no |
//! | 408 | connection | yes |
//! | 429 | rate limit (an address that was banned for failed logins: authorization) | yes (banned, no quota: no) |
//! | 500 and other 5xx | server unavailable (a validation error of the server's schema, an input too long: bad request) | no |
//! | 502, 503, 504 | server unavailable | yes |
//!
//! A 500 is not repeated: for a compatible server it is a deterministic failure more often than not, and every repeat
//! would be a whole generation.

use http::StatusCode;
use serde_json::Value;

use dify_plugin::codec::json;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::ErrorResponse;
use dify_plugin::upstream::retry::heed_words;
use dify_plugin::upstream::status;

/// The error of a non-2xx answer.
pub fn error_of(answer: &ErrorResponse) -> InvokeError {
    let mut error = status::error_of(answer);
    let code = answer.status.as_u16();
    if let Some(fields) = field_errors(&answer.body) {
        error.message = format!("HTTP {code}: {fields}");
    }
    error.message = without_worker_address(&error.message);
    error.retryable = matches!(code, 408 | 429 | 502 | 503 | 504);
    refine(&mut error);
    if error.hint.is_none() {
        error.hint = hint_of(answer, &error);
    }
    error
}

/// What the words say that the status does not.
fn refine(error: &mut InvokeError) {
    let text = error.message.to_ascii_lowercase();
    match error.status {
        Some(429) if text.contains("too many failed attempts") || text.contains("banned") => {
            error.kind = ErrorKind::Authorization;
            error.retryable = false;
            error.hint = Some(
                "The server bans an address after ten failed logins; it lifts the ban by itself after ten minutes. \
                 Correct the key first."
                    .to_owned(),
            );
        }
        Some(429) if is_spent(&text, error.code.as_deref()) => error.retryable = false,
        Some(403) if text.contains("quota") => error.kind = ErrorKind::RateLimit,
        Some(500) if text.contains("validation error") || is_of_input(&text) => error.kind = ErrorKind::BadRequest,
        _ => {}
    }
}

/// llama.cpp and servers around it call an input that is too long a fault of theirs.
fn is_of_input(text: &str) -> bool {
    const ERROR_RULES: [&str; 8] = [
        "input is too large",
        "input is too long",
        "too large to process",
        "prompt is too long",
        "exceeds the available context",
        "exceed the context",
        "context length exceeded",
        "maximum context length",
    ];
    ERROR_RULES.iter().any(|saying| text.contains(saying))
}

fn is_spent(text: &str, code: Option<&str>) -> bool {
    code == Some("insufficient_quota")
        || text.contains("insufficient_quota")
        || text.contains("exceeded your current quota")
}

fn hint_of(answer: &ErrorResponse, error: &InvokeError) -> Option<String> {
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Some(format!("The address called was {}.", answer.url))
        }
        StatusCode::PAYLOAD_TOO_LARGE => Some("Send fewer or smaller files, or fewer texts at once.".to_owned()),
        StatusCode::SERVICE_UNAVAILABLE => {
            error.retry_after.map(|wait| format!("The server asks to wait {} s.", wait.as_secs()))
        }
        _ => None,
    }
}

/// FastAPI's list of field errors: `body.file: Field required; …`.
fn field_errors(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let list = value.get("detail")?.as_array()?;
    let lines: Vec<String> = list.iter().take(5).filter_map(field_error).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn field_error(error: &Value) -> Option<String> {
    let message = error.get("msg")?.as_str()?;
    let path: Vec<String> = error
        .get("loc")
        .and_then(Value::as_array)
        .map(|path| path.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned)).collect())
        .unwrap_or_default();
    Some(if path.is_empty() { message.to_owned() } else { format!("{}: {message}", path.join(".")) })
}

/// Removes Xinference's `[address=…, pid=…]`, which tells a user nothing; a text of nothing else stays.
pub fn without_worker_address(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("[address=") {
        let Some(end) = rest[at..].find(']') else { break };
        clean.push_str(&rest[..at]);
        rest = rest[at + end + 1..].trim_start();
    }
    clean.push_str(rest);
    if clean.is_empty() { text.to_owned() } else { clean }
}

/// The error inside a stream that began with 200: text, or any object.
pub fn error_in(value: &Value) -> InvokeError {
    let said = status::error_text_in(value);
    let message = said.message.unwrap_or_else(|| "the upstream failed in the middle of its answer".to_owned());
    let message = without_worker_address(&message);
    let kind = kind_of_code(said.code.as_deref(), value, &message);
    let mut error = InvokeError::new(kind, message);
    error.code = said.code;
    heed_words(error)
}

/// The error that a text tells: JSON of any shape, or words.
pub fn error_in_text(text: &str) -> InvokeError {
    match json::read::<Value>(text) {
        Ok(value) => error_in(&value),
        Err(_) => error_in_words(text),
    }
}

/// The error that words or a page in place of an answer tell.
pub fn error_in_words(text: &str) -> InvokeError {
    match status::parse_error_text(text.as_bytes()).message {
        Some(message) => heed_words(InvokeError::server_unavailable(format!("the upstream answered: {message}"))),
        None => error_in(&Value::Null),
    }
}

/// The error of an answer that is none, when it tells of one: for a 200 whose body is not what was asked for.
pub fn reported_error(text: &str) -> Option<InvokeError> {
    let value: Value = json::read(text).ok()?;
    (!says_well(&value) && status::error_text_in(&value).message.is_some()).then(|| error_in(&value))
}

/// Whether an object says itself that nothing failed.
fn says_well(value: &Value) -> bool {
    let failed = ["error", "errors"].iter().any(|name| value.get(*name).is_some_and(|error| !error.is_null()));
    let base = value.get("base_resp").unwrap_or(value);
    let well = ["code", "status_code", "status"].iter().any(|name| match base.get(*name) {
        Some(Value::Number(number)) => matches!(number.as_u64(), Some(0 | 200)),
        Some(Value::String(word)) => matches!(word.to_ascii_lowercase().as_str(), "0" | "200" | "ok" | "success"),
        _ => false,
    });
    !failed && (well || value.get("success") == Some(&Value::Bool(true)))
}

/// What MiniMax's numbers mean.
fn kind_of_base(value: &Value) -> Option<ErrorKind> {
    Some(match value.get("base_resp")?.get("status_code")?.as_u64()? {
        1002 | 1008 | 1039 | 1041 | 2045 | 2056 => ErrorKind::RateLimit,
        1004 | 2049 => ErrorKind::Authorization,
        1026 | 1027 | 2013 | 20132 => ErrorKind::BadRequest,
        _ => return None,
    })
}

/// The kind by the words that servers put into `code`, `type` and the text.
fn kind_of_code(code: Option<&str>, value: &Value, message: &str) -> ErrorKind {
    if let Some(kind) = kind_of_base(value) {
        return kind;
    }
    let inner = value.get("error").or_else(|| value.get("errors")?.get(0)).unwrap_or(value);
    let member = |name: &str| match inner.get(name) {
        Some(Value::String(text)) => text.to_ascii_lowercase(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let words = [code.unwrap_or_default().to_ascii_lowercase(), member("code"), member("type"), member("status")];
    let number = words.iter().find_map(|word| word.parse::<u16>().ok()).and_then(|n| StatusCode::from_u16(n).ok());
    if let Some(status) = number.filter(|status| status.is_client_error() || status.is_server_error()) {
        return status::kind_of(status);
    }
    let has = |needles: &[&str]| words.iter().any(|word| needles.iter().any(|needle| word.contains(needle)));
    if has(&["rate_limit", "ratelimit", "quota", "throttl", "too_many"]) || message.contains("Rate limit reached") {
        ErrorKind::RateLimit
    } else if has(&["auth", "api_key", "permission", "forbidden"]) {
        ErrorKind::Authorization
    } else if has(&["invalid", "context_length", "not_found", "badrequest", "bad_request"])
        || message.contains("Model not found")
    {
        ErrorKind::BadRequest
    } else {
        ErrorKind::ServerUnavailable
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, body: &str, retry_after: Option<&'static str>) -> InvokeError {
        let mut headers = HeaderMap::new();
        if let Some(wait) = retry_after {
            headers.insert("retry-after", HeaderValue::from_static(wait));
        }
        error_of(&ErrorResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_owned().into(),
            url: url::Url::parse("http://host:9997/v1/chat/completions").unwrap(),
        })
    }

    #[test]
    fn every_body_shape_gives_kind_and_words() {
        use ErrorKind::{Authorization, BadRequest, Connection, RateLimit, ServerUnavailable};
        let cases: &[(u16, &str, ErrorKind, bool, &str)] = &[
            (
                400,
                r#"{"detail":"[address=127.0.0.1:1, pid=2] Model not found in the model list, uid: nope"}"#,
                BadRequest,
                false,
                "HTTP 400: Model not found in the model list, uid: nope",
            ),
            (
                400,
                r#"{"error":{"message":"no","type":"invalid_request_error","code":"x"}}"#,
                BadRequest,
                false,
                "HTTP 400: no",
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"input is too large to process. increase the physical batch size","type":"server_error"}}"#,
                BadRequest,
                false,
                "HTTP 500: input is too large",
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"the request exceeds the available context size"}}"#,
                BadRequest,
                false,
                "exceeds the available context",
            ),
            (500, r#"{"detail":"out of memory"}"#, ServerUnavailable, false, "out of memory"),
            (
                401,
                r#"{"detail":"Could not validate credentials"}"#,
                Authorization,
                false,
                "Could not validate credentials",
            ),
            (
                403,
                r#"{"detail":"API key does not have access to model: m"}"#,
                Authorization,
                false,
                "API key does not have access",
            ),
            (403, "Request denied by ai quota check, No quota left", RateLimit, false, "No quota left"),
            (404, r#"{"detail":"Not Found"}"#, BadRequest, false, "Not Found"),
            (404, "", BadRequest, false, "HTTP 404"),
            (404, "<html><head><title>Xinference</title></head></html>", BadRequest, false, "Xinference"),
            (408, "", Connection, true, "HTTP 408"),
            (413, "Request Entity Too Large", BadRequest, false, "Request Entity Too Large"),
            (
                422,
                r#"{"detail":[{"type":"missing","loc":["body","file"],"msg":"Field required","input":null}]}"#,
                BadRequest,
                false,
                "HTTP 422: body.file: Field required",
            ),
            (429, r#"{"error":"slow down"}"#, RateLimit, true, "slow down"),
            (429, r#"{"detail":"Too many failed attempts. IP temporarily banned."}"#, Authorization, false, "banned"),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                RateLimit,
                false,
                "quota",
            ),
            (500, r#"{"detail":"[address=127.0.0.1:1, pid=2] boom"}"#, ServerUnavailable, false, "HTTP 500: boom"),
            (
                500,
                "Internal Server Error: 1 validation error for CreateChatCompletion",
                BadRequest,
                false,
                "validation error",
            ),
            (501, r#"{"detail":"logit_bias is not supported"}"#, ServerUnavailable, false, "logit_bias"),
            (502, "<html><title>502 Bad Gateway</title></html>", ServerUnavailable, true, "502 Bad Gateway"),
            (503, r#"{"message":"busy"}"#, ServerUnavailable, true, "busy"),
            (504, r#"{"code":1,"msg":"late"}"#, ServerUnavailable, true, "late"),
        ];
        for (status, body, kind, retryable, words) in cases {
            let error = refusal(*status, body, None);
            assert_eq!((error.kind, error.retryable), (*kind, *retryable), "{status} {body}");
            assert!(error.message.contains(words), "{status} {body}: {}", error.message);
        }
    }

    #[test]
    fn a_loading_model_says_how_long() {
        let error = refusal(503, r#"{"detail":"Model is loading, please retry later"}"#, Some("30"));
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(30)));
        assert!(error.detail().contains("wait 30 s"), "{}", error.detail());
    }

    #[test]
    fn errors_in_a_stream_keep_their_words() {
        use ErrorKind::{Authorization, BadRequest, RateLimit, ServerUnavailable};
        let cases = [
            (json!("The request failed."), ServerUnavailable, "The request failed."),
            (json!({"error": "[address=1:2, pid=3] boom"}), ServerUnavailable, "boom"),
            (json!({"error": "[address=1:2, pid=3]"}), ServerUnavailable, "[address=1:2, pid=3]"),
            (json!({"error": {"message": "slow", "type": "rate_limit_error"}}), RateLimit, "slow"),
            (json!({"message": "bad key", "type": "authentication_error"}), Authorization, "bad key"),
            (json!({"message": "too long", "code": "context_length_exceeded"}), BadRequest, "too long"),
            (json!({"object": "error", "message": "no", "code": 400}), BadRequest, "no"),
            (json!({"error": {"message": "late", "code": "429"}}), RateLimit, "late"),
            (json!({"code": "InvalidParameter", "msg": "bad"}), BadRequest, "bad"),
            (json!({"base_resp": {"status_code": 1002, "status_msg": "of the account"}}), RateLimit, "of the account"),
            (json!({"errors": [{"message": "no such route", "code": 7003}]}), ServerUnavailable, "no such route"),
            (json!({"errors": [{"message": "slow", "code": 429}], "success": false}), RateLimit, "slow"),
            (json!({"title": "Too slow", "status": 429, "detail": null}), RateLimit, "Too slow"),
            (
                json!({"status": 500, "error": "Internal Server Error", "message": "no model", "path": "/v1"}),
                ServerUnavailable,
                "Internal Server Error: no model",
            ),
            (
                json!({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "m is limited"}}}),
                RateLimit,
                "Provider returned error: m is limited",
            ),
            (
                json!({"error": {"message": "No", "metadata": {"raw": "{\"error\":{\"message\":\"full\"}}"}}}),
                ServerUnavailable,
                "No: full",
            ),
            (json!({"fault": {"faultstring": "quota"}}), ServerUnavailable, "quota"),
            (json!({"error": true, "msg": "x"}), ServerUnavailable, "x"),
            (json!(" "), ServerUnavailable, "the upstream failed in the middle of its answer"),
            (json!({"error": {}}), ServerUnavailable, "the upstream failed in the middle of its answer"),
        ];
        for (value, kind, message) in cases {
            let error = error_in(&value);
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{value}");
        }
    }

    #[test]
    fn what_says_that_all_is_well_is_no_error() {
        for text in [
            r#"{"code":0,"msg":"success"}"#,
            r#"{"code":"200","message":"OK","data":null}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":"success"}}"#,
            r#"{"success":true,"errors":null,"message":"done"}"#,
            r#"{"id":"x"}"#,
            "{}",
            "no JSON",
        ] {
            assert_eq!(reported_error(text), None, "{text}");
        }
        for text in [
            r#"{"code":0,"error":{"message":"boom"}}"#,
            r#"{"base_resp":{"status_code":1,"status_msg":"boom"},"choices":null}"#,
            r#"{"success":false,"message":"boom"}"#,
            r#"{"detail":"boom \ud83d","x":NaN}"#,
        ] {
            assert!(reported_error(text).is_some_and(|error| error.message.contains("boom")), "{text}");
        }
    }

    #[test]
    fn words_in_place_of_an_answer_are_told() {
        for (text, words) in [
            ("no healthy upstream", "the upstream answered: no healthy upstream"),
            ("<html><title>Down</title></html>", "\"Down\""),
            ("Please retry in 7 s", "retry in 7 s"),
        ] {
            assert!(error_in_words(text).message.contains(words), "{text}");
        }
        assert_eq!(error_in_words("Please retry in 7 s").retry_after, Some(std::time::Duration::from_secs(7)));
        assert_eq!(error_in_text(r#"{"code":400,"message":"too long"}"#).kind, ErrorKind::BadRequest);
    }
}
