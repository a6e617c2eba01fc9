//! Tests of the signature against recorded requests of an independent model of the gateway.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::super::for_tests::post;
use super::*;
use dify_plugin::error::ErrorKind;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/data/aigateway/hmac.json")).unwrap()
}

fn headers_of(request: &Value) -> HeaderMap {
    let pairs = request["headers"].as_object().unwrap();
    pairs
        .iter()
        .map(|(name, value)| {
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value.as_str().unwrap()).unwrap())
        })
        .collect()
}

fn body_of(request: &Value) -> Vec<u8> {
    match request["body_base64"].as_str() {
        Some(text) => STANDARD.decode(text).unwrap(),
        None => vec![b'a'; request["body_len"].as_u64().unwrap() as usize],
    }
}

#[test]
fn builds_the_string_to_sign_of_every_recorded_request() {
    let vectors = vectors();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 49);
    for vector in vectors {
        let request = &vector["request"];
        let (headers, body) = (headers_of(request), body_of(request));
        let method = Method::try_from(request["method"].as_str().unwrap()).unwrap();
        let ours = string_to_sign(&method, request["path"].as_str().unwrap(), &headers, &body);
        let Some(expected) = vector["server_string_to_sign"].as_str() else { continue };
        assert_eq!(String::from_utf8(ours.clone()).unwrap(), expected, "{}", vector["id"]);
        if vector["expect"]["status"] == 200 {
            let secret = vector["secret"].as_str().unwrap();
            assert_eq!(signature(&ours, secret, &headers), vector["signature"].as_str().unwrap(), "{}", vector["id"]);
        }
    }
}

fn request(url: &str, content_type: &'static str, digest: bool, body: &[u8]) -> (Url, HeaderMap, Bytes) {
    let (mut url, body) = (Url::parse(url).unwrap(), Bytes::copy_from_slice(body));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let signer = HmacAuthorization::new("ak-demo-0001", "sk-demo-7f3c9b2e", digest);
    let attempt = post(&mut url, &mut headers, &body);
    signer.sign(attempt, "3f0e6a52-9d1b-4c6e-8a77-1d2c3b4a5f60", 1_760_000_000_000).unwrap();
    (url, headers, body)
}

#[test]
fn signs_requests_like_the_vectors() {
    for (id, digest) in [
        ("pos-01-chat-json-md5", true),
        ("pos-07-rerank-query-sorted", true),
        ("pos-08-stt-multipart-md5", true),
        ("pos-09-stt-multipart-nomd5", false),
    ] {
        let vectors = vectors();
        let vector = vectors["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id).unwrap();
        let wanted = headers_of(&vector["request"]);
        let kind = Box::leak(wanted["content-type"].to_str().unwrap().to_owned().into_boxed_str());
        let address = format!("https://gateway.example{}", vector["request"]["path"].as_str().unwrap());
        let (_, headers, _) = request(&address, kind, digest, &body_of(&vector["request"]));
        assert_eq!(headers, wanted, "{id}");
        assert!(headers[SIGNATURE].is_sensitive());
    }
    let (_, headers, _) = request("https://g.example/v1/x", "application/json", true, b"");
    assert!(!headers.contains_key(CONTENT_MD5), "an empty body has no digest");
    let (_, headers, _) = request("https://g.example/v1/x", "application/x-www-form-urlencoded", true, b"a=1");
    assert!(!headers.contains_key(CONTENT_MD5), "a form is signed by its parameters");
}

#[test]
fn rejects_bodies_that_are_too_long_for_a_digest() {
    let body = Bytes::from(vec![b'a'; MAX_DIGESTED_BYTES + 1]);
    for (digest, length, refused) in
        [(true, body.len(), true), (true, body.len() - 1, false), (false, body.len(), false)]
    {
        let (mut url, mut headers) = (Url::parse("https://g.example/").unwrap(), HeaderMap::new());
        let body = body.slice(..length);
        let attempt = post(&mut url, &mut headers, &body);
        let signed = HmacAuthorization::new("key", "secret", digest).sign(attempt, "n", 1);
        assert_eq!(signed.is_err(), refused, "{digest} {length}");
        if let Err(error) = signed {
            assert!(error.detail().contains("`hmac_content_digest`"), "{error}");
        }
    }
}

#[tokio::test]
async fn uses_a_new_nonce_and_time_for_every_attempt() {
    let signer = HmacAuthorization::new("key", "secret", true);
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..3 {
        let (mut url, mut headers, body) = (Url::parse("https://g.example/").unwrap(), HeaderMap::new(), Bytes::new());
        let attempt = post(&mut url, &mut headers, &body);
        signer.authorize(attempt).await.unwrap();
        assert_eq!(headers["accept"], "*/*", "what the client would add is signed");
        assert_eq!(headers[TIMESTAMP].to_str().unwrap().len(), 13);
        assert!(nonces.insert(headers[NONCE].clone()));
    }
}

#[tokio::test]
async fn names_the_first_line_that_differs() {
    let (url, sent, body) = request("https://g.example/base/v1/x?apikey=QUERY-SECRET", "application/json", true, b"{}");
    let ours = String::from_utf8(string_to_sign(&Method::POST, &target(&url), &sent, &body)).unwrap();
    let signer = HmacAuthorization::new("ak-demo-0001", "sk-demo-7f3c9b2e", true);
    let cases = [
        (ours.clone(), "built the same string to sign", "`hmac_secret_key`"),
        (
            ours.replacen("application/json", "*/*", 1),
            "line 2 (accept) is `application/json` in the plugin and `*/*` at the gateway",
            "proxy",
        ),
        (
            ours.replace("/base/v1/x", "/v1/x"),
            "(path) is `/base/v1/x` and a query string (redacted) in the plugin and `/v1/x` and a query",
            "endpoint_url",
        ),
        (ours.replace(sent[CONTENT_MD5].to_str().unwrap(), ""), "line 3 (content-md5)", "hmac_content_digest"),
        (
            ours.replace("x-ca-key:ak-demo-0001", "x-ca-key:other"),
            "line 6 (x-ca-key) is (redacted) in the plugin",
            "changes this header",
        ),
        (
            "POST".to_owned(),
            "line 2 (accept) is `application/json` in the plugin and no such line at the gateway",
            "proxy",
        ),
    ];
    for (theirs, expected, hint) in cases {
        let mut headers = HeaderMap::new();
        let message = format!("Server StringToSign:`{}`", theirs.replace('\n', "#"));
        headers.insert(ERROR_MESSAGE, HeaderValue::from_str(&message).unwrap());
        let response = ErrorResponse {
            status: StatusCode::BAD_REQUEST,
            headers,
            body: Bytes::from_static(b"Invalid Signature"),
            url: url.clone(),
        };
        let sent = Sent { method: &Method::POST, url: &url, headers: &sent, body: &body, attempt: 0 };
        let AuthOutcome::Explained(error) = signer.refused(&response, sent).await else { panic!("not explained") };
        let detail = error.detail();
        assert_eq!(error.kind, ErrorKind::Authorization, "{detail}");
        assert!(detail.contains(expected) && detail.contains(hint), "{detail}");
        for secret in ["sk-demo", "ak-demo", "QUERY-SECRET"] {
            assert!(!detail.contains(secret), "{detail}");
        }
    }
    let response = ErrorResponse {
        status: StatusCode::UNAUTHORIZED,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"Invalid Key"),
        url: url.clone(),
    };
    let sent = Sent { method: &Method::POST, url: &url, headers: &sent, body: &body, attempt: 0 };
    assert!(matches!(signer.refused(&response, sent).await, AuthOutcome::Final));
}

/// Returns the error for a string to sign that the gateway reports.
async fn reported(address: &str, theirs: impl Fn(&str) -> String) -> InvokeError {
    let (url, sent, body) = request(address, "application/json", false, b"{}");
    let ours = String::from_utf8(string_to_sign(&Method::POST, &target(&url), &sent, &body)).unwrap();
    let mut headers = HeaderMap::new();
    let message = format!("Server StringToSign:`{}`", theirs(&ours).replace('\n', "#"));
    headers.insert(ERROR_MESSAGE, HeaderValue::from_str(&message).unwrap());
    let response = ErrorResponse { status: StatusCode::BAD_REQUEST, headers, body: Bytes::new(), url: url.clone() };
    let sent = Sent { method: &Method::POST, url: &url, headers: &sent, body: &body, attempt: 0 };
    let signer = HmacAuthorization::new("ak-demo-0001", "sk-demo-7f3c9b2e", false);
    match signer.refused(&response, sent).await {
        AuthOutcome::Explained(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn compares_whole_query_strings_without_showing_them() {
    for query in
        ["q=`", "q=``", "a=%23&key=QUERY-SECRET", "a=%0A&key=QUERY-SECRET", "%23?key=QUERY-SECRET", "&", "a=%20"]
    {
        let address = format!("https://g.example/base/v1/x?{query}");
        let error = reported(&address, str::to_owned).await;
        assert!(error.detail().contains("built the same string to sign"), "{query}: {}", error.detail());
        for change in [
            |ours: &str| ours.replace("/base/v1/x", "/v1/x"),
            |ours: &str| ours.replace("application/json", "*/*"),
            |ours: &str| format!("{ours}#more"),
            |ours: &str| ours.lines().skip(3).collect::<Vec<_>>().join("\n"),
        ] {
            let error = reported(&address, change).await;
            assert!(error.message.contains("built a different string to sign: line"), "{query}: {error}");
            assert!(!error.detail().contains("QUERY-SECRET"), "{query}: {error}");
        }
    }
}

#[test]
fn a_lone_ampersand_is_a_parameter_with_an_empty_name() {
    for (query, expected) in [("?&", "/x?="), ("?", "/x"), ("?a=1&", "/x?a=1"), ("?&&", "/x?=")] {
        let text = string_to_sign(&Method::GET, &format!("/x{query}"), &HeaderMap::new(), b"");
        assert!(text.ends_with(format!("\n{expected}").as_bytes()), "{query}");
    }
}
