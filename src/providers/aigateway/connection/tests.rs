//! Tests of reading forms, and of errors before a request.

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use super::super::for_tests::post;
use super::*;
use crate::providers::compatible::Action;
use dify_plugin::error::ErrorKind;

const SECRET: &str = "CANARY-SECRET";

fn target(fields: &[(&str, &str)]) -> Target {
    let base = [("endpoint_url", "https://gateway.example/base/v1")];
    Target::new("ai-gateway", "qwen-max", Credentials::from_pairs(base.iter().chain(fields).copied()))
}

fn url(fields: &[(&str, &str)], action: Action) -> String {
    connect(&target(fields), &TokenCache::default()).unwrap().0.url(action).to_string()
}

#[test]
fn urls_keep_base_path_and_query() {
    let end = Action::Speech;
    for (fields, expected) in [
        (vec![], "https://gateway.example/base/v1/audio/speech"),
        (vec![("endpoint_url", "http://h:81/?a=1&b=%E4%B8%AD")], "http://h:81/audio/speech?a=1&b=%E4%B8%AD"),
        (vec![("endpoint_url", "https://h/v1/audio/speech?a=1")], "https://h/v1/audio/speech?a=1"),
        (vec![("endpoint_url", "https://h/v1//")], "https://h/v1/audio/speech"),
        (vec![("endpoint_path", "/speak/now")], "https://gateway.example/base/v1/speak/now"),
        (vec![("endpoint_path", "/")], "https://gateway.example/base/v1/audio/speech"),
    ] {
        assert_eq!(url(&fields, end), expected);
    }
    assert_eq!(connect(&target(&[("endpoint_model_name", "")]), &TokenCache::default()).unwrap().1, "qwen-max");
    assert_eq!(connect(&target(&[("endpoint_model_name", "m")]), &TokenCache::default()).unwrap().1, "m");
}

/// Only HMAC requires a query string that the gateway can decode.
#[test]
fn rejects_an_unescaped_percent_sign_for_hmac_only() {
    let fields = [("endpoint_url", "https://h/v1?q=100%"), ("api_key", SECRET)];
    assert_eq!(url(&fields, Action::Models), "https://h/v1/models?q=100%");
    let hmac = [("auth_method", "hmac"), ("hmac_access_key", "a"), ("hmac_secret_key", SECRET)];
    assert!(connect(&target(&[hmac.as_slice(), &fields].concat()), &TokenCache::default()).is_err());
    let lines = [("endpoint_url", "https://h/v1?q=%0A%09%23")];
    assert!(connect(&target(&[hmac.as_slice(), &lines].concat()), &TokenCache::default()).is_ok());
}

async fn sent(fields: &[(&str, &str)]) -> (Url, HeaderMap) {
    let (endpoint, _) = connect(&target(fields), &TokenCache::default()).unwrap();
    let (mut url, mut headers, body) = (endpoint.url(Action::Models), HeaderMap::new(), Bytes::from_static(b"{}"));
    let attempt = post(&mut url, &mut headers, &body);
    endpoint.auth.authorize(attempt).await.unwrap();
    (url, headers)
}

#[tokio::test]
async fn sends_an_api_key_in_one_place() {
    let key = ("api_key", SECRET);
    let (url, headers) = sent(&[]).await;
    assert!(headers.is_empty() && url.query().is_none(), "no key, no credential");
    let (_, headers) = sent(&[key]).await;
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(headers.len(), 1);
    for (location, name, expected) in [
        ("header", "", "x-api-key"),
        ("header", "X-Consumer-Key", "x-consumer-key"),
        ("", "X-Consumer-Key", "x-consumer-key"),
    ] {
        let (url, headers) = sent(&[key, ("api_key_location", location), ("api_key_name", name)]).await;
        assert_eq!((headers[expected].to_str().unwrap(), headers.len(), url.query()), (SECRET, 1, None));
        assert!(headers[expected].is_sensitive());
    }
    for fields in [
        [("api_key_location", "bearer"), ("api_key_name", "X-Consumer-Key")],
        [("api_key_location", ""), ("api_key_name", "Authorization: Bearer")],
    ] {
        let (_, headers) = sent(&[&[key][..], &fields].concat()).await;
        assert_eq!(headers["authorization"], format!("Bearer {SECRET}"), "{fields:?}");
    }
    let fields = [key, ("api_key_location", "query"), ("endpoint_url", "https://h/v1?a=1")];
    let (url, headers) = sent(&fields).await;
    assert_eq!((url.query(), headers.len()), (Some("a=1&apikey=CANARY-SECRET"), 0));
    for odd in [[("api_key_location", "query"), ("api_key_name", "the key")], [("", ""), ("api_key_name", "? the key")]]
    {
        let fields = [&[("api_key", "a b+c&d=ü/%")][..], &odd].concat();
        assert_eq!(sent(&fields).await.0.query(), Some("the%20key=a%20b%2Bc%26d%3D%C3%BC%2F%25"));
    }
}

#[tokio::test]
async fn sends_extra_headers() {
    let (_, headers) = sent(&[("api_key", SECRET), ("extra_headers", r#"{"x-higress-skip-ai-cache":"on"}"#)]).await;
    assert_eq!((headers["x-higress-skip-ai-cache"].to_str().unwrap(), headers.len()), ("on", 2));
}

#[test]
fn reads_timeouts_and_retries() {
    let fields = [("connect_timeout", "3"), ("first_byte_timeout", "7.5"), ("idle_timeout", "9"), ("max_retries", "0")];
    let (endpoint, _) = connect(&target(&fields), &TokenCache::default()).unwrap();
    let seconds =
        [endpoint.timeouts.connect, endpoint.timeouts.first_byte, endpoint.timeouts.idle].map(|t| t.as_secs_f64());
    assert_eq!((seconds, endpoint.retry.max_retries), ([3.0, 7.5, 9.0], 0));
}

#[test]
fn rejects_invalid_forms_without_showing_secrets() {
    let jwt = ("auth_method", "jwt");
    let key = ("api_key", SECRET);
    let headers = |text: &'static str| vec![key, ("extra_headers", text)];
    let secret_key = "{\"kty\":\"oct\",\"k\":\"Q0FOQVJZLVNFQ1JFVENBTkFSWS1TRUNSRVRDQU5BUlk\"}";
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![("endpoint_url", "")], "`endpoint_url` is required"),
        (vec![("endpoint_url", "gateway.example/v1")], "`endpoint_url` has no scheme"),
        (vec![("endpoint_url", "ftp://h")], "`endpoint_url` must start with http"),
        (vec![("endpoint_url", "https://me:CANARY-SECRET@h/v1")], "`endpoint_url` must not contain a user"),
        (vec![("endpoint_path", "/a?b=1")], "`endpoint_path` must be a path"),
        (vec![("endpoint_path", "/../x")], "`endpoint_path` must be a path"),
        (vec![("endpoint_path", "https://h/x")], "`endpoint_path` must be a path"),
        (vec![("auth_method", "basic")], "`auth_method` must be api_key, jwt or hmac"),
        (vec![("auth_method", "hmac"), ("hmac_access_key", "a")], "`hmac_secret_key` is required"),
        (vec![("auth_method", "hmac"), ("hmac_secret_key", SECRET)], "`hmac_access_key` is required"),
        (
            vec![("auth_method", "hmac"), ("hmac_secret_key", SECRET), ("hmac_access_key", "a\nb")],
            "`hmac_access_key` contains",
        ),
        (
            vec![
                ("auth_method", "hmac"),
                ("hmac_secret_key", SECRET),
                ("hmac_access_key", "a"),
                ("endpoint_url", "https://h/v1?a=%zz"),
            ],
            "two hexadecimal digits",
        ),
        (
            vec![
                ("auth_method", "hmac"),
                ("hmac_secret_key", SECRET),
                ("hmac_access_key", "a"),
                ("endpoint_url", "https://h/v1?a=%00"),
            ],
            "control character",
        ),
        (vec![jwt, ("jwt_consumer_id", "c")], "`jwt_jwks` is required"),
        (
            vec![jwt, ("jwt_consumer_id", "c"), ("jwt_jwks", secret_key), ("jwt_header_name", "a b")],
            "`jwt_header_name` is not a valid",
        ),
        (
            vec![jwt, ("jwt_consumer_id", "c"), ("jwt_jwks", secret_key), ("jwt_header_name", "Host")],
            "`jwt_header_name` must not be `host`",
        ),
        (vec![("api_key", "CANARY-SECRET\nx")], "`api_key` contains characters"),
        (vec![key, ("api_key_location", "cookie")], "`api_key_location` must be"),
        (vec![key, ("api_key_name", "?")], "`api_key_name` has no name"),
        (vec![key, ("api_key_name", "a b")], "`api_key_name` is not a valid"),
        (vec![key, ("api_key_name", "X-Ca-Key")], "`api_key_name` must not be"),
        (vec![key, ("api_key_location", "header"), ("api_key_name", "a:b")], "`api_key_name` is not a valid"),
        (
            vec![key, ("api_key_location", "query"), ("endpoint_url", "https://h?apikey=1")],
            "already contains the query parameter",
        ),
        (headers(r#"{"X-A":"CANARY-SECRET\r\nX-B: 1"}"#), "`extra_headers`"),
        (headers("{\"X-A\\r\\nX-B\":\"CANARY-SECRET\"}"), "`extra_headers`"),
        (headers(r#"{"Authorization":"CANARY-SECRET"}"#), "must not set `authorization`"),
        (headers(r#"{"x-ca-key":"CANARY-SECRET"}"#), "must not set `x-ca-key`"),
        (headers(r#"{"Date":"CANARY-SECRET"}"#), "must not set `date`"),
        (
            vec![key, ("api_key_location", "header"), ("extra_headers", r#"{"X-API-Key":"CANARY-SECRET"}"#)],
            "must not set `x-api-key`",
        ),
        (vec![("idle_timeout", "soon")], "`idle_timeout` must be a number"),
        (vec![("connect_timeout", "0")], "`connect_timeout` must be between"),
        (vec![("max_retries", "-1")], "`max_retries` must be"),
        (vec![("tls_ca", SECRET)], "`tls_ca` contains no certificate"),
    ];
    for (fields, expected) in cases {
        let Err(error) = connect(&target(&fields), &TokenCache::default()) else { panic!("{fields:?} was accepted") };
        assert_eq!(error.kind, ErrorKind::CredentialsValidateFailed, "{error}");
        assert!(error.message.contains(expected), "{error} lacks {expected}");
        assert!(!error.detail().contains(SECRET) && !error.detail().contains("Q0FOQVJZ"), "{error}");
    }
}
