//! Maps HTTP errors and in-stream errors of a compatible upstream to [`InvokeError`].
//!
//! | status | kind | retried |
//! |---|---|---|
//! | 400, 404, 405, 409, 413, 422 and other 4xx | bad request (400 about a balance: rate limit) | no |
//! | 401, 403 | authorization (403 about a quota or a balance: rate limit) | no |
//! | 402 | rate limit: Dify goes on with another key of the user | no |
//! | 408 | connection | yes |
//! | 429 | rate limit (a client address that is banned for failed logins: authorization) | yes (banned, or quota or balance exhausted: no) |
//! | 500 and other 5xx | server unavailable (a schema validation error, an input that is too long: bad request) | no |
//! | 502, 503, 504 | server unavailable | yes |
//!
//! A 500 is not retried: for a compatible server it is usually a deterministic failure, and every retry would generate
//! the
//! whole response again.

use http::StatusCode;
use serde_json::Value;

use dify_plugin::codec::json;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::ErrorResponse;
use dify_plugin::upstream::retry::with_stated_wait;
use dify_plugin::upstream::status;

/// Returns the error of a non-2xx response.
pub fn error_of(response: &ErrorResponse) -> InvokeError {
    let mut error = status::error_of(response);
    let code = response.status.as_u16();
    if let Some(fields) = field_errors(&response.body) {
        error.message = format!("HTTP {code}: {fields}");
    }
    error.message = without_worker_address(&error.message);
    error.retryable = matches!(code, 408 | 429 | 502 | 503 | 504);
    refine(&mut error);
    if error.hint.is_none() {
        error.hint = hint_of(response, &error);
    }
    error
}

/// Adjusts the error if its message is more specific than the status.
fn refine(error: &mut InvokeError) {
    let text = error.message.to_ascii_lowercase();
    match error.status {
        Some(429) if text.contains("too many failed attempts") || text.contains("banned") => {
            error.kind = ErrorKind::Authorization;
            error.retryable = false;
            error.hint = Some(
                "The server bans a client address for ten minutes after ten failed logins. \
                 Correct the key before you try again."
                    .to_owned(),
            );
        }
        Some(429) if is_quota_exhausted(&text, error.code.as_deref()) || is_unpaid(&text) => error.retryable = false,
        Some(403) if text.contains("quota") => error.kind = ErrorKind::RateLimit,
        Some(400 | 403) if is_unpaid(&text) => error.kind = ErrorKind::RateLimit,
        Some(500) if text.contains("validation error") || reports_long_input(&text) => {
            error.kind = ErrorKind::BadRequest
        }
        _ => {}
    }
}

/// Whether the message reports an input that is too long, which llama.cpp and servers based on it return as HTTP 500.
fn reports_long_input(text: &str) -> bool {
    const PHRASES: [&str; 8] = [
        "input is too large",
        "input is too long",
        "too large to process",
        "prompt is too long",
        "exceeds the available context",
        "exceed the context",
        "context length exceeded",
        "maximum context length",
    ];
    PHRASES.iter().any(|phrase| text.contains(phrase))
}

fn is_quota_exhausted(text: &str, code: Option<&str>) -> bool {
    code == Some("insufficient_quota")
        || text.contains("insufficient_quota")
        || text.contains("exceeded your current quota")
}

/// Whether the message reports that the balance of the account is used up, for which servers use several statuses.
fn is_unpaid(text: &str) -> bool {
    const PHRASES: [&str; 6] = [
        "insufficient balance",
        "insufficient_balance",
        "insufficient account balance",
        "balance is insufficient",
        "credit balance is too low",
        "余额不足",
    ];
    PHRASES.iter().any(|phrase| text.contains(phrase))
}

fn hint_of(response: &ErrorResponse, error: &InvokeError) -> Option<String> {
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Some(format!("The requested URL was {}.", response.url))
        }
        StatusCode::PAYLOAD_TOO_LARGE => Some("Send fewer or smaller files, or fewer texts per request.".to_owned()),
        StatusCode::SERVICE_UNAVAILABLE => {
            error.retry_after.map(|wait| format!("The server asks to retry after {} s.", wait.as_secs()))
        }
        _ => None,
    }
}

/// Returns FastAPI's list of field errors as `body.file: Field required; …`.
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

/// Removes Xinference's `[address=…, pid=…]`, which does not help users. A text that consists of nothing else is kept.
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

/// Returns the error inside a stream that began with HTTP 200, given as a string or any object.
pub fn error_in(value: &Value) -> InvokeError {
    let reported = status::error_text_in(value);
    let message = reported.message.unwrap_or_else(|| "the server failed before the response was complete".to_owned());
    let message = without_worker_address(&message);
    let kind = kind_of_code(reported.code.as_deref(), value, &message);
    let mut error = InvokeError::new(kind, message);
    error.code = reported.code;
    with_stated_wait(error)
}

/// Returns the error in a text: JSON of any shape, or plain text.
pub fn error_in_text(text: &str) -> InvokeError {
    match json::read::<Value>(text) {
        Ok(value) => error_in(&value),
        Err(_) => error_in_plain_text(text),
    }
}

/// Returns the error in plain text or an HTML page that a server sent instead of a response.
pub fn error_in_plain_text(text: &str) -> InvokeError {
    match status::parse_error_text(text.as_bytes()).message {
        Some(message) => with_stated_wait(InvokeError::server_unavailable(format!("the server returned: {message}"))),
        None => error_in(&Value::Null),
    }
}

/// Returns the error of a 200 response whose body is not the expected one, if the body reports an error.
pub fn reported_error(text: &str) -> Option<InvokeError> {
    let value: Value = json::read(text).ok()?;
    (!reports_success(&value) && status::error_text_in(&value).message.is_some()).then(|| error_in(&value))
}

/// Whether an object reports success.
fn reports_success(value: &Value) -> bool {
    let failed = ["error", "errors"].iter().any(|name| value.get(*name).is_some_and(|error| !error.is_null()));
    let base = value.get("base_resp").unwrap_or(value);
    let is_success = ["code", "status_code", "status"].iter().any(|name| match base.get(*name) {
        Some(Value::Number(number)) => matches!(number.as_u64(), Some(0 | 200)),
        Some(Value::String(word)) => matches!(word.to_ascii_lowercase().as_str(), "0" | "200" | "ok" | "success"),
        _ => false,
    });
    !failed && (is_success || value.get("success") == Some(&Value::Bool(true)))
}

/// Error kinds of MiniMax's status codes.
fn kind_of_base(value: &Value) -> Option<ErrorKind> {
    Some(match value.get("base_resp")?.get("status_code")?.as_u64()? {
        1002 | 1008 | 1039 | 1041 | 2045 | 2056 => ErrorKind::RateLimit,
        1004 | 2049 => ErrorKind::Authorization,
        1026 | 1027 | 2013 | 20132 => ErrorKind::BadRequest,
        _ => return None,
    })
}

/// Returns the error kind by the values of `code` and `type` and by the message.
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
    let keywords = [code.unwrap_or_default().to_ascii_lowercase(), member("code"), member("type"), member("status")];
    let number = keywords.iter().find_map(|word| word.parse::<u16>().ok()).and_then(|n| StatusCode::from_u16(n).ok());
    if let Some(status) = number.filter(|status| status.is_client_error() || status.is_server_error()) {
        return status::kind_of(status);
    }
    let has = |needles: &[&str]| keywords.iter().any(|word| needles.iter().any(|needle| word.contains(needle)));
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

    fn rejection(status: u16, body: &str, retry_after: Option<&'static str>) -> InvokeError {
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
    fn maps_every_body_shape_to_kind_and_message() {
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
            (
                402,
                r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#,
                RateLimit,
                false,
                "HTTP 402",
            ),
            (402, "", RateLimit, false, "HTTP 402"),
            (
                403,
                r#"{"code":30001,"message":"Sorry, your account balance is insufficient"}"#,
                RateLimit,
                false,
                "Sorry",
            ),
            (400, r#"{"error":{"message":"Your credit balance is too low"}}"#, RateLimit, false, "too low"),
            (
                429,
                r#"{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}"#,
                RateLimit,
                false,
                "余额不足",
            ),
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
        for (status, body, kind, retryable, keywords) in cases {
            let error = rejection(*status, body, None);
            assert_eq!((error.kind, error.retryable), (*kind, *retryable), "{status} {body}");
            assert!(error.message.contains(keywords), "{status} {body}: {}", error.message);
        }
    }

    #[test]
    fn reports_the_retry_delay_of_a_loading_model() {
        let error = rejection(503, r#"{"detail":"Model is loading, please retry later"}"#, Some("30"));
        assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(30)));
        assert!(error.detail().contains("retry after 30 s"), "{}", error.detail());
    }

    #[test]
    fn maps_errors_in_a_stream() {
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
            (json!({"error": {"message": "empty", "code": 402}}), RateLimit, "empty"),
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
            (json!(" "), ServerUnavailable, "the server failed before the response was complete"),
            (json!({"error": {}}), ServerUnavailable, "the server failed before the response was complete"),
        ];
        for (value, kind, message) in cases {
            let error = error_in(&value);
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{value}");
        }
    }

    #[test]
    fn ignores_objects_that_report_success() {
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
    fn reports_plain_text_instead_of_a_response() {
        for (text, keywords) in [
            ("no healthy upstream", "the server returned: no healthy upstream"),
            ("<html><title>Down</title></html>", "\"Down\""),
            ("Please retry in 7 s", "retry in 7 s"),
        ] {
            assert!(error_in_plain_text(text).message.contains(keywords), "{text}");
        }
        assert_eq!(error_in_plain_text("Please retry in 7 s").retry_after, Some(std::time::Duration::from_secs(7)));
        assert_eq!(error_in_text(r#"{"code":400,"message":"too long"}"#).kind, ErrorKind::BadRequest);
    }
}
