//! What a refusal of the gateway means: its bodies are plain text or empty, its quotas are 403, its waits have names of
//! their own. The same words mean another thing to another way of signing in.
//!
//! Source: `alibaba/higress: plugins/wasm-cpp/extensions/{hmac_auth,jwt_auth,key_auth}`,
//! `plugins/wasm-go/extensions/{ai-quota,ai-token-ratelimit,cluster-key-rate-limit,replay-protection,key-auth,jwt-auth}`.

use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::Value;

use super::moderation;
use crate::dialect::openai;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::ErrorResponse;
use dify_plugin::upstream::request::ErrorReader;
use dify_plugin::upstream::status;

/// Clocks that differ by more than this are worth a word.
const NOTICEABLE_SKEW_SECONDS: i64 = 30;

/// How the form signs in, and how a plugin of the gateway wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A key as it is.
    ApiKey,
    /// A signed token.
    Jwt,
    /// A signed request.
    Hmac,
}

impl Method {
    /// Reads the refusals of calls that sign in so.
    pub(super) fn reader(self) -> ErrorReader {
        match self {
            Self::ApiKey => |answer| read(Self::ApiKey, answer),
            Self::Jwt => |answer| read(Self::Jwt, answer),
            Self::Hmac => |answer| read(Self::Hmac, answer),
        }
    }

    /// What to do on a route that wants this method when another one was used.
    fn is_wanted(self) -> &'static str {
        match self {
            Self::ApiKey => "This route asks for an API key: choose API key as `auth_method`.",
            Self::Jwt => "This route asks for a token (JWT): choose JWT as `auth_method`.",
            Self::Hmac => "This route asks for signed requests (HMAC): choose HMAC as `auth_method`.",
        }
    }
}

/// One sentence of the gateway and what it asks of the user.
struct ErrorRule {
    /// The plugin that says it: a form that signs in otherwise has chosen the wrong method.
    of: Option<Method>,
    status: u16,
    /// Part of the body, in lower case.
    says: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const fn saying(status: u16, says: &'static str, kind: ErrorKind, hint: &'static str) -> ErrorRule {
    ErrorRule { of: None, status, says, kind, hint }
}

const fn refusal(of: Method, status: u16, says: &'static str, hint: &'static str) -> ErrorRule {
    ErrorRule { of: Some(of), status, says, kind: ErrorKind::Authorization, hint }
}

/// The consumer is known, the route is not open to it.
pub(super) const NOT_ALLOWED: &str = "The credential is right, but this consumer is not authorised for the route: authorise it in the gateway's console.";
const CLOCK: &str = "Set this machine's clock (NTP), or widen the gateway's time window.";
const CLOCKS_AGREE: &str =
    "The clocks agree, so something between here and the gateway removes or changes the time that was sent.";
const TOKEN_REFUSED: &str = "The consumer's key set, issuer or identity claim differs from `jwt_jwks`, `jwt_issuer` or `jwt_consumer_id`, \
     or its prefix from `jwt_header_prefix`.";
const TOKEN_MISSING: &str =
    "The gateway looks for the token elsewhere: compare `jwt_header_name` and `jwt_header_prefix` with the consumer.";
const TOKEN_UNREADABLE: &str = "The gateway cuts the token out of its header otherwise: compare `jwt_header_prefix` with the consumer's prefix, blanks \
     included.";
const TOKEN_REFUSED_OR_NOT_ALLOWED: &str = "This gateway answers a wrong token and a consumer without permission alike: compare `jwt_jwks`, `jwt_issuer` and \
     `jwt_consumer_id` with the consumer, then authorise it for the route.";
const API_KEY_REFUSED: &str =
    "The gateway did not accept the API key: check the key and the place it is sent in (`api_key_name`).";
const API_KEY_REFUSED_OR_NOT_ALLOWED: &str = "This gateway answers a wrong key and a consumer without permission alike: check `api_key` and `api_key_name`, \
     then authorise the consumer for the route.";
const DIGEST_TOO_LONG: &str = "The gateway gathers a body to check its digest, and takes 0.5 to 7 MB of it; a larger connection buffer does not \
     help: switch `hmac_content_digest` off, or send less.";
const NONCE: &str = "The gateway's replay protection wants a nonce for each request. This plugin sends one with HMAC alone, as \
     x-ca-nonce: name that header in the gateway (`nonce_header`), or leave the protection off for this route.";

/// The gateway's own sentences; the first that fits counts.
const ERROR_RULES: &[ErrorRule] = &[
    refusal(
        Method::Hmac,
        401,
        "invalid key",
        "The gateway knows no consumer with this `hmac_access_key`, or something in front of it removes the x-ca headers.",
    ),
    refusal(Method::Hmac, 401, "empty signature", "Something in front of the gateway removes the x-ca headers."),
    refusal(Method::Hmac, 400, "invalid date", CLOCK),
    refusal(Method::Hmac, 400, "invalid signature", "Check `hmac_secret_key`."),
    saying(
        400,
        "invalid content-md5",
        ErrorKind::BadRequest,
        "The gateway rewrites the body before it checks the digest: switch `hmac_content_digest` off.",
    ),
    refusal(Method::ApiKey, 401, "key auth check", API_KEY_REFUSED),
    refusal(Method::ApiKey, 403, "key auth check", API_KEY_REFUSED_OR_NOT_ALLOWED),
    refusal(Method::Jwt, 403, "jwt auth check", TOKEN_REFUSED_OR_NOT_ALLOWED),
    refusal(Method::Jwt, 403, "jwt token not allow", TOKEN_REFUSED_OR_NOT_ALLOWED),
    saying(403, "access denied", ErrorKind::Authorization, NOT_ALLOWED),
    refusal(Method::Jwt, 401, "jwt is expired", CLOCK),
    refusal(Method::Jwt, 401, "jwt not yet valid", CLOCK),
    refusal(Method::Jwt, 401, "jwt is missing", TOKEN_MISSING),
    refusal(Method::Jwt, 401, "invalid base64url", TOKEN_UNREADABLE),
    refusal(Method::Jwt, 401, "sections", TOKEN_UNREADABLE),
    refusal(
        Method::Jwt,
        401,
        "jwks doesn't have key",
        "The consumer's key set has no key for this `jwt_algorithm` or key id.",
    ),
    refusal(Method::Jwt, 401, "jwt", TOKEN_REFUSED),
    saying(403, "quota", ErrorKind::RateLimit, "The consumer's quota is used up; the credential itself is right."),
    saying(
        429,
        "replay attack",
        ErrorKind::RateLimit,
        "The gateway saw this request before: something in between sends it twice.",
    ),
    saying(400, "missing required header", ErrorKind::BadRequest, NONCE),
    saying(400, "invalid nonce", ErrorKind::BadRequest, NONCE),
];

/// Reads a refusal of a call that signed in by this method.
pub(super) fn read(method: Method, answer: &ErrorResponse) -> InvokeError {
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
    match ERROR_RULES.iter().find(|saying| saying.status == code && said.contains(saying.says)) {
        Some(ErrorRule { of: Some(wanted), .. }) if *wanted != method => {
            error.kind = ErrorKind::Authorization;
            error.hint = Some(wanted.is_wanted().to_owned());
        }
        Some(saying) => {
            error.kind = saying.kind;
            error.hint = Some(saying.hint.to_owned());
            if saying.hint == CLOCK {
                note_skew(&mut error, method, &answer.headers);
            }
        }
        None if code == 403 && said.contains("unauthorized consumer") => {
            error.kind = ErrorKind::Authorization;
            error.hint = Some(unauthorized(method).to_owned());
        }
        None => error.hint = hint_of_status(method, answer, &said).map(str::to_owned).or(error.hint),
    }
    if error.kind == ErrorKind::RateLimit {
        note_reset(&mut error, &answer.headers);
    }
    error
}

/// `Unauthorized Consumer` alone: HMAC's plugin has found the consumer, that of API keys may not have.
fn unauthorized(method: Method) -> &'static str {
    match method {
        Method::Hmac => NOT_ALLOWED,
        Method::ApiKey => API_KEY_REFUSED_OR_NOT_ALLOWED,
        Method::Jwt => Method::ApiKey.is_wanted(),
    }
}

/// What a status alone means here; `said` is the body in lower case.
fn hint_of_status(method: Method, answer: &ErrorResponse, said: &str) -> Option<&'static str> {
    let scheme = answer.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (answer.status.as_u16(), method) {
        (401, Method::ApiKey) if scheme.starts_with("Key") => Some(API_KEY_REFUSED),
        (401, _) if scheme.starts_with("Key") => Some(Method::ApiKey.is_wanted()),
        (401, _) => Some("The gateway did not accept the credential: check that `auth_method` is the route's."),
        (403, _) if answer.body.is_empty() => Some(NOT_ALLOWED),
        (404, _) => Some(
            "The gateway has no route or model here: check the path in `endpoint_url` and `endpoint_path`, and the model's name.",
        ),
        (413, Method::Hmac) if said.contains("request body too large") => Some(DIGEST_TOO_LONG),
        (413, Method::Hmac) => Some(
            "The body is over the gateway's limit: raise its connection buffer, send less, or switch `hmac_content_digest` off.",
        ),
        (413, _) => Some("The body is over the gateway's limit: raise its connection buffer, or send less."),
        (503, _) => Some("The gateway has no healthy service behind this route."),
        (504, _) => Some("The service behind the route did not answer in the gateway's time."),
        _ => None,
    }
}

/// A denial by the content check that came with an error status.
fn denied(mut error: InvokeError, denial: &moderation::ModerationBlock) -> InvokeError {
    error.kind = ErrorKind::BadRequest;
    error.code = Some(moderation::CODE.to_owned());
    error.message = denial.explanation();
    error.retryable = false;
    error.request_id = error.request_id.or_else(|| denial.request_id.clone());
    error
}

/// Says by how much the two clocks differ, when the gateway's is known. That they agree is worth a word too.
fn note_skew(error: &mut InvokeError, method: Method, headers: &HeaderMap) {
    let Some(theirs) = status::date(headers) else { return };
    let behind = theirs.as_second().saturating_sub(jiff::Timestamp::now().as_second());
    if behind.abs() > NOTICEABLE_SKEW_SECONDS {
        let direction = if behind > 0 { "behind" } else { "ahead of" };
        error.message.push_str(&format!("; this machine's clock is {} s {direction} the gateway's", behind.abs()));
    } else if method == Method::Hmac {
        error.hint = Some(CLOCKS_AGREE.to_owned());
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
mod tests;
