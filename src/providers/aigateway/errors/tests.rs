//! Tests of the gateway's error messages, and of the hint for each authentication method.

use super::*;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

type Headers<'a> = &'a [(&'static str, &'a str)];

/// Method of the request; status, headers and body of the response; kind and text of the error.
type Case<'a> = (Method, u16, Headers<'a>, &'a str, ErrorKind, &'a [&'a str]);

fn response(status: u16, headers: Headers<'_>, body: &str) -> ErrorResponse {
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
fn adds_a_hint_to_every_rejection() {
    use ErrorKind::{Authorization, BadRequest, RateLimit, ServerUnavailable};
    use Method::{ApiKey, Hmac, Jwt};
    let key = [("www-authenticate", "Key realm=\"x\"")];
    let bearer = [("www-authenticate", "Bearer realm=\"x\", error=\"invalid_token\"")];
    let none: Headers<'_> = &[];
    let block =
        r#"{"code":"403","denyMessage":"not allowed here","blockedDetails":[{"type":"politics","level":"high"}]}"#;
    let cases: &[Case<'_>] = &[
        (Hmac, 401, none, "Invalid Key", Authorization, &["HTTP 401: Invalid Key", "`hmac_access_key`"]),
        (Hmac, 401, none, "Empty Signature", Authorization, &["strips the x-ca-* headers"]),
        (Hmac, 400, none, "Invalid Date", Authorization, &["clock"]),
        (
            Hmac,
            400,
            &[("date", "Thu, 09 Oct 2025 08:53:20 GMT")],
            "Invalid Date",
            Authorization,
            &["s ahead of the gateway's"],
        ),
        (Hmac, 400, none, "Invalid Content-MD5", BadRequest, &["`hmac_content_digest` to off"]),
        (Hmac, 403, none, "Unauthorized Consumer", Authorization, &["not authorized for the route"]),
        (Hmac, 403, none, "Access Denied", Authorization, &["not authorized for the route"]),
        (Hmac, 403, none, "", Authorization, &["HTTP 403", "not authorized for the route"]),
        (Jwt, 401, &bearer, "Jwt is expired", Authorization, &["Jwt is expired", "clock"]),
        (Jwt, 401, &bearer, "Jwt is missing", Authorization, &["`jwt_header_name`"]),
        (Jwt, 401, &bearer, "Jwt verification fails", Authorization, &["`jwt_consumer_id`"]),
        (Jwt, 401, &bearer, "Jwks doesn't have key to match kid or alg from Jwt", Authorization, &["`jwt_algorithm`"]),
        (ApiKey, 401, &key, "", Authorization, &["HTTP 401", "rejected the API key"]),
        (
            ApiKey,
            401,
            none,
            "Request denied by Key Auth check. No API key found in request",
            Authorization,
            &["`api_key_name`"],
        ),
        (
            Hmac,
            403,
            none,
            "Request denied by ai quota check, No quota left",
            RateLimit,
            &["quota", "credential itself is valid"],
        ),
        (
            Hmac,
            429,
            &[("x-tokenratelimit-reset", "37")],
            "Too many requests",
            RateLimit,
            &["Too many requests", "resets in 37 s"],
        ),
        (Hmac, 429, &[("x-ratelimit-reset", "3"), ("x-ratelimit-limit", "5")], "", RateLimit, &["resets in 3 s"]),
        (Hmac, 429, none, "Replay Attack Detected", RateLimit, &["sends it twice"]),
        (Hmac, 404, none, "", BadRequest, &["Check the path"]),
        (Hmac, 413, none, "Payload Too Large", BadRequest, &["connection buffer"]),
        (Hmac, 500, none, "unsupported API name: x", ServerUnavailable, &["unsupported API name: x"]),
        (Hmac, 503, none, "no healthy upstream", ServerUnavailable, &["no healthy upstream", "behind this route"]),
        (Hmac, 504, none, "upstream request timeout", ServerUnavailable, &["did not respond"]),
        (
            Hmac,
            400,
            none,
            r#"{"code":"InvalidParameter","message":"url error","request_id":"r-1"}"#,
            BadRequest,
            &["HTTP 400: url error", "(request ID r-1)"],
        ),
        (
            Hmac,
            400,
            &[("x-request-id", "r-2")],
            r#"{"error":{"message":"no such model"}}"#,
            BadRequest,
            &["no such model", "r-2"],
        ),
        (Hmac, 403, none, block, BadRequest, &["not allowed here", "politics (high)"]),
        // A message of another method's plugin means that the wrong method was selected.
        (ApiKey, 401, none, "Invalid Key", Authorization, &["requires signed requests (HMAC)", "`auth_method`"]),
        (Jwt, 401, none, "Empty Signature", Authorization, &["Select HMAC"]),
        (ApiKey, 401, &bearer, "Jwt is missing", Authorization, &["Select JWT"]),
        (
            ApiKey,
            401,
            &bearer,
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
            Authorization,
            &["Select JWT"],
        ),
        (Hmac, 401, &bearer, "Jwt is missing", Authorization, &["Select JWT"]),
        (Jwt, 401, &key, "", Authorization, &["Select API key"]),
        (Hmac, 401, &key, "", Authorization, &["Select API key"]),
        (
            Hmac,
            401,
            none,
            "Request denied by Key Auth check. No API key found in request",
            Authorization,
            &["Select API key"],
        ),
        (
            Jwt,
            403,
            none,
            "Request denied by Key Auth check. Unauthorized consumer.",
            Authorization,
            &["Select API key"],
        ),
        (Jwt, 403, none, "Unauthorized consumer.", Authorization, &["Select API key"]),
        // Two plugins return the same error for an invalid credential and for a consumer without permission.
        (
            ApiKey,
            403,
            none,
            "Request denied by Key Auth check. Unauthorized consumer.",
            Authorization,
            &["same error", "`api_key`", "authorize the consumer"],
        ),
        (ApiKey, 403, none, "Unauthorized consumer.", Authorization, &["same error", "`api_key`"]),
        (Jwt, 403, none, "JWT token not allow.", Authorization, &["same error", "`jwt_jwks`"]),
        (
            Jwt,
            403,
            none,
            "Request denied by JWT Auth check. JWT token not allow.",
            Authorization,
            &["same error", "`jwt_issuer`"],
        ),
        (Jwt, 401, &bearer, "Jwt header is an invalid Base64url encoded", Authorization, &["`jwt_header_prefix`"]),
        (Jwt, 401, &bearer, "Jwt verification fails", Authorization, &["`jwt_header_prefix`"]),
        (Hmac, 401, none, "Invalid Key", Authorization, &["strips the x-ca-* headers"]),
        (Hmac, 413, none, "Request Body Too Large", BadRequest, &["`hmac_content_digest` to off", "does not help"]),
        (ApiKey, 413, none, "Payload Too Large", BadRequest, &["Raise its connection buffer limit, or send less"]),
        (Hmac, 400, none, "Missing Required Header", BadRequest, &["`nonce_header`", "x-ca-nonce"]),
        (ApiKey, 400, none, "Invalid Nonce", BadRequest, &["`nonce_header`"]),
    ];
    for (method, status, headers, body, kind, expected) in cases {
        let error = read(*method, &response(*status, headers, body));
        assert_eq!(error.kind, *kind, "{error}");
        for words in *expected {
            assert!(error.detail().contains(words), "{error} lacks {words}");
        }
    }
}

#[test]
fn keeps_retry_delays_and_codes() {
    let error = read(Method::ApiKey, &response(429, &[("x-ratelimit-reset", "3")], ""));
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    let error = read(Method::ApiKey, &response(403, &[], "No quota left"));
    assert!(!error.retryable);
    let error = read(Method::ApiKey, &response(400, &[], r#"{"guardCode":1,"denyMessage":"no","requestId":"r"}"#));
    assert_eq!((error.code.as_deref(), error.request_id.as_deref()), (Some("content_filter"), Some("r")));
}

#[test]
fn does_not_blame_clocks_that_agree() {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap();
    let date: &'static str = Box::leak(date.into_boxed_str());
    let error = read(Method::Hmac, &response(400, &[("date", date)], "Invalid Date"));
    assert_eq!(error.hint.as_deref(), Some(CLOCKS_AGREE), "{error}");
    assert!(!error.message.contains("clock"), "{error}");
}
