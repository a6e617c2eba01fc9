//! What a refusal of the gateway means: its bodies are plain text or empty, its quotas are 403, its waits have names of
//! their own.
//!
//! Source: `alibaba/higress: plugins/wasm-cpp/extensions/{hmac_auth,jwt_auth,key_auth}`,
//! `plugins/wasm-go/extensions/{ai-quota,ai-token-ratelimit,cluster-key-rate-limit,replay-protection,key-auth,jwt-auth}`.

use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::Value;

use super::moderation;
use crate::dialect::openai;
use crate::error::{ErrorKind, InvokeError};
use crate::upstream::ErrorResponse;

/// Clocks that differ by more than this are worth a word.
const NOTICEABLE_SKEW_SECONDS: i64 = 30;

/// One sentence of the gateway and what it asks of the user.
struct Saying {
    status: u16,
    /// Part of the body, in lower case.
    says: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const fn saying(status: u16, says: &'static str, kind: ErrorKind, hint: &'static str) -> Saying {
    Saying { status, says, kind, hint }
}

const NOT_ALLOWED: &str = "The credential is right, but this consumer is not authorised for the route: authorise it in the gateway's console.";
const CLOCK: &str = "Set this machine's clock (NTP), or widen the gateway's time window.";
const TOKEN_REFUSED: &str =
    "The consumer's key set, issuer or identity claim differs from `jwt_jwks`, `jwt_issuer` or `jwt_consumer_id`.";
const TOKEN_MISSING: &str =
    "The gateway looks for the token elsewhere: compare `jwt_header_name` and `jwt_header_prefix` with the consumer.";
const API_KEY_REFUSED: &str =
    "The gateway did not accept the API key: check the key and the place it is sent in (`api_key_location`).";

/// The gateway's own sentences; the first that fits counts.
const SAYINGS: &[Saying] = &[
    saying(401, "invalid key", ErrorKind::Authorization, "The gateway knows no consumer with this `hmac_access_key`."),
    saying(
        401,
        "empty signature",
        ErrorKind::Authorization,
        "Something in front of the gateway removes the x-ca headers.",
    ),
    saying(400, "invalid date", ErrorKind::Authorization, CLOCK),
    saying(400, "invalid signature", ErrorKind::Authorization, "Check `hmac_secret_key`."),
    saying(
        400,
        "invalid content-md5",
        ErrorKind::BadRequest,
        "The gateway rewrites the body before it checks the digest: switch `hmac_content_digest` off.",
    ),
    saying(403, "unauthorized consumer", ErrorKind::Authorization, NOT_ALLOWED),
    saying(403, "access denied", ErrorKind::Authorization, NOT_ALLOWED),
    saying(401, "jwt is expired", ErrorKind::Authorization, CLOCK),
    saying(401, "jwt not yet valid", ErrorKind::Authorization, CLOCK),
    saying(401, "jwt is missing", ErrorKind::Authorization, TOKEN_MISSING),
    saying(
        401,
        "jwks doesn't have key",
        ErrorKind::Authorization,
        "The consumer's key set has no key for this `jwt_algorithm` or key id.",
    ),
    saying(401, "jwt", ErrorKind::Authorization, TOKEN_REFUSED),
    saying(403, "jwt auth check", ErrorKind::Authorization, NOT_ALLOWED),
    saying(401, "key auth check", ErrorKind::Authorization, API_KEY_REFUSED),
    saying(403, "key auth check", ErrorKind::Authorization, NOT_ALLOWED),
    saying(403, "quota", ErrorKind::RateLimit, "The consumer's quota is used up; the credential itself is right."),
    saying(
        429,
        "replay attack",
        ErrorKind::RateLimit,
        "The gateway saw this request before: something in between sends it twice.",
    ),
];

/// Reads a refusal.
pub(super) fn read(answer: &ErrorResponse) -> InvokeError {
    let code = answer.status.as_u16();
    let mut error = openai::errors::error_of(answer);
    if let Ok(body) = serde_json::from_slice::<Value>(&answer.body) {
        if let Some(denial) = moderation::denial(&body) {
            return denied(error, &denial);
        }
        let id = ["request_id", "requestId"].iter().find_map(|name| body.get(*name)?.as_str());
        error.request_id = error.request_id.or(id.map(str::to_owned));
    }
    let said = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    match SAYINGS.iter().find(|saying| saying.status == code && said.contains(saying.says)) {
        Some(saying) => {
            error.kind = saying.kind;
            error.hint = Some(saying.hint.to_owned());
            if saying.hint == CLOCK {
                note_skew(&mut error, &answer.headers);
            }
        }
        None => error.hint = hint_of_status(answer).map(str::to_owned).or(error.hint),
    }
    if error.kind == ErrorKind::RateLimit {
        note_reset(&mut error, &answer.headers);
    }
    error
}

/// What a status alone means here.
fn hint_of_status(answer: &ErrorResponse) -> Option<&'static str> {
    let scheme = answer.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match answer.status.as_u16() {
        401 if scheme.starts_with("Key") => Some(API_KEY_REFUSED),
        401 => Some("The gateway did not accept the credential: check that `auth_method` is the route's."),
        403 if answer.body.is_empty() => Some(NOT_ALLOWED),
        404 => Some(
            "The gateway has no route or model here: check the path in `endpoint_url` and `endpoint_path`, and the model's name.",
        ),
        413 => Some(
            "The body is over the gateway's limit: raise its connection buffer, send less, or switch `hmac_content_digest` off.",
        ),
        503 => Some("The gateway has no healthy service behind this route."),
        504 => Some("The service behind the route did not answer in the gateway's time."),
        _ => None,
    }
}

/// A denial by the content check that came with an error status.
fn denied(mut error: InvokeError, denial: &moderation::Denial) -> InvokeError {
    error.kind = ErrorKind::BadRequest;
    error.code = Some(moderation::CODE.to_owned());
    error.message = denial.explanation();
    error.retryable = false;
    error.request_id = error.request_id.or_else(|| denial.request_id.clone());
    error
}

/// Says by how much the two clocks differ, when the gateway's is known.
fn note_skew(error: &mut InvokeError, headers: &HeaderMap) {
    let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else { return };
    let behind = date.timestamp().as_second() - jiff::Timestamp::now().as_second();
    if behind.abs() > NOTICEABLE_SKEW_SECONDS {
        let direction = if behind > 0 { "behind" } else { "ahead of" };
        error.message.push_str(&format!("; this machine's clock is {} s {direction} the gateway's", behind.abs()));
    }
}

/// The wait that the gateway asks for, in its own headers, in seconds.
fn note_reset(error: &mut InvokeError, headers: &HeaderMap) {
    let reset = ["x-tokenratelimit-reset", "x-ratelimit-reset"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse::<u64>().ok());
    let Some(seconds) = reset else { return };
    error.retry_after = error.retry_after.or(Some(Duration::from_secs(seconds)));
    error.message.push_str(&format!("; the limit resets in {seconds} s"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue, StatusCode};

    type Headers<'a> = &'a [(&'static str, &'a str)];

    /// Status, headers and body; kind and words of the error.
    type Case<'a> = (u16, Headers<'a>, &'a str, ErrorKind, &'a [&'a str]);

    fn answer(status: u16, headers: Headers<'_>, body: &str) -> ErrorResponse {
        ErrorResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            url: "https://gateway.example/v1".parse().unwrap(),
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        use ErrorKind::{Authorization, BadRequest, RateLimit, ServerUnavailable};
        let key = [("www-authenticate", "Key realm=\"x\"")];
        let bearer = [("www-authenticate", "Bearer realm=\"x\", error=\"invalid_token\"")];
        let none: Headers<'_> = &[];
        let denial =
            r#"{"code":"403","denyMessage":"not allowed here","blockedDetails":[{"type":"politics","level":"high"}]}"#;
        let cases: &[Case<'_>] = &[
            (401, none, "Invalid Key", Authorization, &["HTTP 401: Invalid Key", "`hmac_access_key`"]),
            (401, none, "Empty Signature", Authorization, &["removes the x-ca headers"]),
            (400, none, "Invalid Date", Authorization, &["clock"]),
            (
                400,
                &[("date", "Thu, 09 Oct 2025 08:53:20 GMT")],
                "Invalid Date",
                Authorization,
                &["s ahead of the gateway's"],
            ),
            (400, none, "Invalid Content-MD5", BadRequest, &["`hmac_content_digest` off"]),
            (403, none, "Unauthorized Consumer", Authorization, &["not authorised for the route"]),
            (403, none, "Access Denied", Authorization, &["not authorised for the route"]),
            (403, none, "", Authorization, &["HTTP 403", "not authorised for the route"]),
            (401, &bearer, "Jwt is expired", Authorization, &["Jwt is expired", "clock"]),
            (401, &bearer, "Jwt is missing", Authorization, &["`jwt_header_name`"]),
            (401, &bearer, "Jwt verification fails", Authorization, &["`jwt_consumer_id`"]),
            (401, &bearer, "Jwks doesn't have key to match kid or alg from Jwt", Authorization, &["`jwt_algorithm`"]),
            (401, &key, "", Authorization, &["HTTP 401", "did not accept the API key"]),
            (
                401,
                none,
                "Request denied by Key Auth check. No API key found in request",
                Authorization,
                &["`api_key_location`"],
            ),
            (
                403,
                none,
                "Request denied by ai quota check, No quota left",
                RateLimit,
                &["quota", "credential itself is right"],
            ),
            (
                429,
                &[("x-tokenratelimit-reset", "37")],
                "Too many requests",
                RateLimit,
                &["Too many requests", "resets in 37 s"],
            ),
            (429, &[("x-ratelimit-reset", "3"), ("x-ratelimit-limit", "5")], "", RateLimit, &["resets in 3 s"]),
            (429, none, "Replay Attack Detected", RateLimit, &["sends it twice"]),
            (404, none, "", BadRequest, &["check the path"]),
            (413, none, "Payload Too Large", BadRequest, &["connection buffer"]),
            (500, none, "unsupported API name: x", ServerUnavailable, &["unsupported API name: x"]),
            (503, none, "no healthy upstream", ServerUnavailable, &["no healthy upstream", "behind this route"]),
            (504, none, "upstream request timeout", ServerUnavailable, &["did not answer"]),
            (
                400,
                none,
                r#"{"code":"InvalidParameter","message":"url error","request_id":"r-1"}"#,
                BadRequest,
                &["HTTP 400: url error", "(request id r-1)"],
            ),
            (
                400,
                &[("x-request-id", "r-2")],
                r#"{"error":{"message":"no such model"}}"#,
                BadRequest,
                &["no such model", "r-2"],
            ),
            (403, none, denial, BadRequest, &["not allowed here", "politics (high)"]),
        ];
        for (status, headers, body, kind, expected) in cases {
            let error = read(&answer(*status, headers, body));
            assert_eq!(error.kind, *kind, "{error}");
            for words in *expected {
                assert!(error.detail().contains(words), "{error} lacks {words}");
            }
        }
    }

    #[test]
    fn waits_and_codes_are_kept() {
        let error = read(&answer(429, &[("x-ratelimit-reset", "3")], ""));
        assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
        let error = read(&answer(403, &[], "No quota left"));
        assert!(!error.retryable);
        let error = read(&answer(400, &[], r#"{"guardCode":1,"denyMessage":"no","requestId":"r"}"#));
        assert_eq!((error.code.as_deref(), error.request_id.as_deref()), (Some("content_filter"), Some("r")));
    }
}
