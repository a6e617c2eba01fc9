//! What is removed from recordings, and what is kept.

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Returns a sanitizer that knows one secret.
fn sanitizer() -> Sanitizer {
    let secrets = Secrets::default();
    secrets.register("s3cret \"of/mine");
    secrets.register("short");
    secrets.sanitizer(&HeaderMap::new())
}

fn body(text: &str, policy: BodyPolicy) -> String {
    let sanitizer = sanitizer();
    let ranges = sanitizer.ranges(text.as_bytes(), policy);
    String::from_utf8(sanitizer.without(text.as_bytes(), &ranges)).unwrap()
}

#[test]
fn removes_only_the_secrets_from_bodies() {
    for (text, expected) in [
        ("plain text, short", "plain text, short"),
        ("a s3cret \"of/mine b", "a *** b"),
        (r#"{"text":"a s3cret \"of/mine b"}"#, r#"{"text":"a *** b"}"#),
        ("a=s3cret+%22of%2Fmine&b=1", "a=***&b=1"),
        ("Basic bWU6czNjcmV0ICJvZi9taW5l and on", "Basic bWU6*** and on"),
        ("see https://x.test/?q=s3cret%20%22of%2Fmine&b=1", "see https://x.test/?q=***&b=1"),
        (r#"{"password":"pw","max_tokens":5,"token":"Hi"}"#, r#"{"password":"***","max_tokens":5,"token":"Hi"}"#),
        (r#"{"a":[{"access_token":"x"}],"b":"x"}"#, r#"{"a":[{"access_token":"***"}],"b":"x"}"#),
        (r#"{"id_token": "x\u003dy\/z" }"#, r#"{"id_token": "***" }"#),
        (r#"["s3cret \"of\/mine"]"#, r#"["***"]"#),
        (r#"{"password":""}"#, r#"{"password":""}"#),
        ("password=pw&user=me", "password=***&user=me"),
        ("https://a.test/x?sig=1&w=2#sig=3 and sig=4", "https://a.test/x?sig=***&w=2#sig=*** and sig=4"),
        (
            r#""https:\/\/a.test\/x?w=2\u0026X-Amz-Signature=1\u0026v=3""#,
            r#""https:\/\/a.test\/x?w=2\u0026X-Amz-Signature=***\u0026v=3""#,
        ),
        ("<https://a.test/x?token=1>; rel=next", "<https://a.test/x?token=***>; rel=next"),
        ("", ""),
    ] {
        assert_eq!(body(text, BodyPolicy::Open), expected);
    }
}

#[test]
fn records_only_plain_fields_of_a_token_endpoint() {
    for (text, expected) in [
        ("grant_type=a&assertion=b&scope=c&other=d", "grant_type=a&assertion=***&scope=c&other=***"),
        (
            r#"{"access_token":"a","expires_in":5,"token_type":"Bearer"}"#,
            r#"{"access_token":"***","expires_in":5,"token_type":"Bearer"}"#,
        ),
        (
            r#"{"value":"a","nested":{"new":"b","status":"c"}}"#,
            r#"{"value":"***","nested":{"new":"***","status":"c"}}"#,
        ),
        ("eyJ.raw.token\n", "***"),
        ("<html>token</html>", "***"),
    ] {
        assert_eq!(body(text, BodyPolicy::Confidential), expected);
    }
}

#[test]
fn removes_credentials_and_signatures_from_urls() {
    let plain = Url::parse("https://gw.test/v1/a?route=b&sign=c").unwrap();
    let mut url = plain.clone();
    url.query_pairs_mut().append_pair("anything", "key");
    assert_eq!(sanitizer().url(&url, &plain), "https://gw.test/v1/a?route=b&sign=***&anything=***");
    let user = Url::parse("https://me:pass@gw.test/v1").unwrap();
    assert_eq!(sanitizer().url(&user, &user), "https://gw.test/v1");
}

#[test]
fn removes_sensitive_headers_and_those_with_sensitive_names() {
    let mut headers = HeaderMap::new();
    let mut sensitive = HeaderValue::from_static("x");
    sensitive.set_sensitive(true);
    headers.insert("x-own", sensitive);
    for (name, value) in [
        ("authorization", "Bearer a"),
        ("set-cookie", "a=b"),
        ("x-goog-api-key", "a"),
        ("x-ratelimit-remaining-tokens", "5"),
        ("x-goog-upload-url", "https://up.test/?upload_id=1&part=2"),
        ("x-ca-signature-headers", "a,b"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append("x-ratelimit-remaining-tokens", HeaderValue::from_static("6"));
    let shown = sanitizer().headers(&headers);
    for (name, value) in [
        ("x-own", "***"),
        ("authorization", "***"),
        ("set-cookie", "***"),
        ("x-goog-api-key", "***"),
        ("x-ratelimit-remaining-tokens", "5, 6"),
        ("x-goog-upload-url", "https://up.test/?upload_id=***&part=2"),
        ("x-ca-signature-headers", "a,b"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
}

#[test]
fn registers_and_redacts_the_secret_parts_of_credentials() {
    let file = json!({"type": "service_account", "private_key": "-----BEGIN\nabc", "token_uri": "https://a.test/token",
        "credential_source": {"format": {"subject_token_field_name": "access_token"}}});
    let credentials = json!({
        "google_service_account_json": file.to_string(),
        "jwks": json!({"keys": [{"kty": "oct", "k": "key-material", "kid": "one"}]}).to_string(),
        "server_url": "https://a.test", "api_key": "api-key-1", "tls_ca": "pem", "none": null,
        "proxy_url": "http://me:proxy-password@p.test", "extra_headers": "{\"X-Team\": \"team-secret\"}",
    });
    let Value::Object(credentials) = credentials else { panic!() };
    let secrets = Secrets::default();
    let shown = Value::Object(secrets.register_credentials(credentials, &|name| name != "server_url"));
    let file: Value = serde_json::from_str(shown["google_service_account_json"].as_str().unwrap()).unwrap();
    assert_eq!((&file["private_key"], &file["token_uri"]), (&json!("***"), &json!("https://a.test/token")));
    assert_eq!(shown["jwks"], json!({"keys": [{"kty": "oct", "k": "***", "kid": "one"}]}).to_string());
    assert_eq!((&shown["server_url"], &shown["api_key"]), (&json!("https://a.test"), &json!("***")));
    assert_eq!(shown.as_object().unwrap().len(), 4, "{shown}");
    let text = "-----BEGIN\\nabc key-material api-key-1 proxy-password team-secret access_token one";
    assert_eq!(secrets.sanitizer(&HeaderMap::new()).text(text), "*** *** *** *** *** access_token one");
}

#[test]
fn clips_parts_of_a_body_like_the_complete_body() {
    let whole = b"one SECRET two";
    let range = 4..10;
    for split in 0..=whole.len() {
        let (first, second) = whole.split_at(split);
        let mut joined = clip(first, 0, std::slice::from_ref(&range));
        joined.extend(clip(second, split, std::slice::from_ref(&range)));
        assert_eq!(joined, b"one *** two", "{split}");
    }
}

proptest! {
    #[test]
    fn removes_secrets_in_any_encoding_and_across_chunks(
        before in "[ -~é]{0,20}", after in "[ -~é]{0,20}", encoding in 0..4usize, split in any::<prop::sample::Index>(),
    ) {
        let secret = "s3cret \"of/mine";
        let encoded = match encoding {
            0 => secret.to_owned(),
            1 => Value::from(secret).to_string().trim_matches('"').to_owned(),
            2 => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            _ => percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        };
        let body = format!("{before}{encoded}{after}");
        let sanitizer = sanitizer();
        for policy in [BodyPolicy::Open, BodyPolicy::Confidential] {
            let ranges = sanitizer.ranges(body.as_bytes(), policy);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", ranges);
            let (first, second) = body.as_bytes().split_at(split.index(body.len() + 1));
            let shown = [clip(first, 0, &ranges), clip(second, first.len(), &ranges)].concat();
            prop_assert_eq!(&shown, &sanitizer.without(body.as_bytes(), &ranges));
            let shown = String::from_utf8_lossy(&shown).into_owned();
            prop_assert!(!shown.contains(&encoded) && shown.contains("***"), "{}", shown);
        }
    }

    #[test]
    fn hides_token_endpoint_secrets_and_keeps_valid_json(
        value in "\\PC{1,12}", other in "\\PC{0,12}", nested in any::<bool>(),
    ) {
        let token = json!({"access_token": value, "expires_in": 5, "x": [other, null, 1.5, {"y": value}]});
        let body = if nested { json!([token]) } else { token }.to_string();
        let sanitizer = sanitizer();
        let shown = sanitizer.without(body.as_bytes(), &sanitizer.ranges(body.as_bytes(), BodyPolicy::Confidential));
        let mut shown: Value = serde_json::from_slice(&shown).unwrap();
        let shown = if nested { shown[0].take() } else { shown };
        prop_assert_eq!(&shown["access_token"], "***");
        prop_assert_eq!(&shown["x"][3]["y"], "***");
        prop_assert_eq!(&shown["expires_in"], 5);
    }
}
