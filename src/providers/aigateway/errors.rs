//! Interprets errors of the gateway: its bodies are plain text or empty, exhausted quotas are HTTP 403, and retry
//! delays are
//! in headers of their own. The meaning of a message depends on the authentication method.
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

/// Clock skew in seconds above which it is reported.
const NOTICEABLE_SKEW_SECONDS: i64 = 30;

/// Authentication method of the form, or the one that a plugin of the gateway expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A static key.
    ApiKey,
    /// A signed token.
    Jwt,
    /// A signed request.
    Hmac,
}

impl Method {
    /// Returns the error reader for requests with this method.
    pub(super) fn reader(self) -> ErrorReader {
        match self {
            Self::ApiKey => |response| read(Self::ApiKey, response),
            Self::Jwt => |response| read(Self::Jwt, response),
            Self::Hmac => |response| read(Self::Hmac, response),
        }
    }

    /// Returns the hint for a route that requires this method if another one was used.
    fn select_hint(self) -> &'static str {
        match self {
            Self::ApiKey => "This route requires an API key. Select API key in `auth_method`.",
            Self::Jwt => "This route requires a token (JWT). Select JWT in `auth_method`.",
            Self::Hmac => "This route requires signed requests (HMAC). Select HMAC in `auth_method`.",
        }
    }
}

/// An error message of the gateway, and what the user can do about it.
struct ErrorRule {
    /// The plugin that sends it; a form with another method has selected the wrong one.
    of: Option<Method>,
    status: u16,
    /// Part of the body, in lower case.
    text: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const fn message(status: u16, text: &'static str, kind: ErrorKind, hint: &'static str) -> ErrorRule {
    ErrorRule { of: None, status, text, kind, hint }
}

const fn rejection(of: Method, status: u16, text: &'static str, hint: &'static str) -> ErrorRule {
    ErrorRule { of: Some(of), status, text, kind: ErrorKind::Authorization, hint }
}

/// The consumer is known, but the route does not allow it.
pub(super) const NOT_ALLOWED: &str = "The credential is valid, but this consumer is not authorized for the route. \
     Authorize it in the gateway console.";
const CLOCK: &str = "Synchronize this machine's clock (NTP), or widen the gateway's time window.";
const CLOCKS_AGREE: &str = "The clocks agree, so something between the plugin and the gateway removes or changes the \
     time that was sent.";
const TOKEN_REJECTED: &str = "The consumer's JWKS, issuer or identity claim does not match `jwt_jwks`, `jwt_issuer` or \
     `jwt_consumer_id`, or its prefix does not match `jwt_header_prefix`.";
const TOKEN_MISSING: &str = "The gateway expects the token in another place. Compare `jwt_header_name` and \
     `jwt_header_prefix` with the consumer's settings.";
const TOKEN_UNREADABLE: &str = "The gateway reads the token from its header differently. Compare `jwt_header_prefix` \
     with the consumer's prefix, including spaces.";
const TOKEN_REJECTED_OR_NOT_ALLOWED: &str = "This gateway returns the same error for an invalid token and for a \
     consumer without permission. Compare `jwt_jwks`, `jwt_issuer` and `jwt_consumer_id` with the consumer's \
     settings, then authorize it for the route.";
const API_KEY_REJECTED: &str = "The gateway rejected the API key. Check the key and where it is sent (`api_key_name`).";
const API_KEY_REJECTED_OR_NOT_ALLOWED: &str = "This gateway returns the same error for an invalid key and for a \
     consumer without permission. Check `api_key` and `api_key_name`, then authorize the consumer for the route.";
const DIGEST_TOO_LONG: &str = "The gateway buffers a body to verify its digest, at most 0.5 to 7 MB; a larger \
     connection buffer limit does not help. Set `hmac_content_digest` to off, or send less.";
const NONCE: &str = "The gateway's replay protection requires a nonce in each request. This plugin sends one with \
     HMAC only, as x-ca-nonce. Set that header in the gateway (`nonce_header`), or disable the protection for this \
     route.";

/// Error messages of the gateway; the first match counts.
const ERROR_RULES: &[ErrorRule] = &[
    rejection(
        Method::Hmac,
        401,
        "invalid key",
        "The gateway has no consumer with this `hmac_access_key`, or something in front of it strips the x-ca-* headers.",
    ),
    rejection(Method::Hmac, 401, "empty signature", "Something in front of the gateway strips the x-ca-* headers."),
    rejection(Method::Hmac, 400, "invalid date", CLOCK),
    rejection(Method::Hmac, 400, "invalid signature", "Check `hmac_secret_key`."),
    message(
        400,
        "invalid content-md5",
        ErrorKind::BadRequest,
        "The gateway rewrites the body before it verifies the digest. Set `hmac_content_digest` to off.",
    ),
    rejection(Method::ApiKey, 401, "key auth check", API_KEY_REJECTED),
    rejection(Method::ApiKey, 403, "key auth check", API_KEY_REJECTED_OR_NOT_ALLOWED),
    rejection(Method::Jwt, 403, "jwt auth check", TOKEN_REJECTED_OR_NOT_ALLOWED),
    rejection(Method::Jwt, 403, "jwt token not allow", TOKEN_REJECTED_OR_NOT_ALLOWED),
    message(403, "access denied", ErrorKind::Authorization, NOT_ALLOWED),
    rejection(Method::Jwt, 401, "jwt is expired", CLOCK),
    rejection(Method::Jwt, 401, "jwt not yet valid", CLOCK),
    rejection(Method::Jwt, 401, "jwt is missing", TOKEN_MISSING),
    rejection(Method::Jwt, 401, "invalid base64url", TOKEN_UNREADABLE),
    rejection(Method::Jwt, 401, "sections", TOKEN_UNREADABLE),
    rejection(
        Method::Jwt,
        401,
        "jwks doesn't have key",
        "The consumer's JWKS has no key for this `jwt_algorithm` or key ID.",
    ),
    rejection(Method::Jwt, 401, "jwt", TOKEN_REJECTED),
    message(403, "quota", ErrorKind::RateLimit, "The consumer's quota is exhausted; the credential itself is valid."),
    message(
        429,
        "replay attack",
        ErrorKind::RateLimit,
        "The gateway has already received this request; something in between sends it twice.",
    ),
    message(400, "missing required header", ErrorKind::BadRequest, NONCE),
    message(400, "invalid nonce", ErrorKind::BadRequest, NONCE),
];

/// Converts an error response to a request with this authentication method.
pub(super) fn read(method: Method, response: &ErrorResponse) -> InvokeError {
    let code = response.status.as_u16();
    let mut error = openai::errors::error_of(response);
    if let Ok(body) = serde_json::from_slice::<Value>(&response.body) {
        if let Some(block) = moderation::block_in(&body) {
            return blocked(error, &block);
        }
        let id = ["request_id", "requestId"].iter().find_map(|name| body.get(*name)?.as_str());
        error.request_id = error.request_id.or(id.map(str::to_owned));
    }
    let body = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    match ERROR_RULES.iter().find(|rule| rule.status == code && body.contains(rule.text)) {
        Some(ErrorRule { of: Some(wanted), .. }) if *wanted != method => {
            error.kind = ErrorKind::Authorization;
            error.hint = Some(wanted.select_hint().to_owned());
        }
        Some(rule) => {
            error.kind = rule.kind;
            error.hint = Some(rule.hint.to_owned());
            if rule.hint == CLOCK {
                note_skew(&mut error, method, &response.headers);
            }
        }
        None if code == 403 && body.contains("unauthorized consumer") => {
            error.kind = ErrorKind::Authorization;
            error.hint = Some(unauthorized(method).to_owned());
        }
        None => error.hint = hint_of_status(method, response, &body).map(str::to_owned).or(error.hint),
    }
    if error.kind == ErrorKind::RateLimit {
        note_reset(&mut error, &response.headers);
    }
    error
}

/// Returns the hint for `Unauthorized Consumer`: the HMAC plugin has identified the consumer, that of API keys may not
/// have.
fn unauthorized(method: Method) -> &'static str {
    match method {
        Method::Hmac => NOT_ALLOWED,
        Method::ApiKey => API_KEY_REJECTED_OR_NOT_ALLOWED,
        Method::Jwt => Method::ApiKey.select_hint(),
    }
}

/// Returns the hint for a status alone; `body` is the response body in lower case.
fn hint_of_status(method: Method, response: &ErrorResponse, body: &str) -> Option<&'static str> {
    let scheme =
        response.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (response.status.as_u16(), method) {
        (401, Method::ApiKey) if scheme.starts_with("Key") => Some(API_KEY_REJECTED),
        (401, _) if scheme.starts_with("Key") => Some(Method::ApiKey.select_hint()),
        (401, _) => Some("The gateway rejected the credential. Check that `auth_method` matches the route."),
        (403, _) if response.body.is_empty() => Some(NOT_ALLOWED),
        (404, _) => Some(
            "The gateway has no such route or model. Check the path in `endpoint_url` and `endpoint_path`, and the model name.",
        ),
        (413, Method::Hmac) if body.contains("request body too large") => Some(DIGEST_TOO_LONG),
        (413, Method::Hmac) => Some(
            "The body exceeds the gateway's limit. Raise its connection buffer limit, send less, or set `hmac_content_digest` to off.",
        ),
        (413, _) => Some("The body exceeds the gateway's limit. Raise its connection buffer limit, or send less."),
        (503, _) => Some("The gateway has no healthy service behind this route."),
        (504, _) => Some("The service behind the route did not respond within the gateway's timeout."),
        _ => None,
    }
}

/// Converts an error response of the content moderation.
fn blocked(mut error: InvokeError, block: &moderation::ModerationBlock) -> InvokeError {
    error.kind = ErrorKind::BadRequest;
    error.code = Some(moderation::CODE.to_owned());
    error.message = block.explanation();
    error.retryable = false;
    error.request_id = error.request_id.or_else(|| block.request_id.clone());
    error
}

/// Adds the clock skew to the error if the gateway's time is known. For HMAC, a hint text if the clocks agree.
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

/// Reads the retry delay, in seconds, from the gateway's own headers.
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
