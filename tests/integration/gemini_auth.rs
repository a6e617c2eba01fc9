//! Every authentication method of the credential form, in complete sessions with a mock of Google that checks
//! credentials as Google does. The machine's own identity is tested in `machine_identity.rs`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{google, google_setup as setup, harness, waits};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dify_plugin_runtime::dialect::wav;
use google::{API_KEY, AUDIENCE, CLIENT_SECRET, Google, REFRESH_TOKEN, refusal};
use harness::Outcome;
use serde_json::{Value, json};
use setup::{ask, key_file, plugin, private_key, request, vertex};
use waits::until;

const VERTEX: &str = "projects/my-project/locations/global/publishers/google/models/gemini-2.5-flash-lite";

fn refresh_token(google: &Google) -> Value {
    json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
        "google_oauth_client_secret": CLIENT_SECRET, "google_oauth_refresh_token": REFRESH_TOKEN,
        "google_token_uri": format!("{}/token", google.url)})
}

fn with(mut credentials: Value, more: Value) -> Value {
    credentials.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    credentials
}

/// Checks that the failure has this type, contains these words, and reveals no secret.
fn check_failure(outcome: &Outcome, kind: &str, words: &[&str]) {
    let (found, message) = outcome.failure();
    assert_eq!(found, kind, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is missing: {message}");
    }
    let shown = format!("{:?}", outcome.error);
    let key = private_key();
    let line = key.lines().nth(1).unwrap();
    assert!(!shown.contains("CANARY") && !shown.contains(line), "a secret is shown: {shown}");
}

#[tokio::test]
async fn every_authentication_method_works() {
    let google = Google::start().await;
    let user_file = json!({"type": "authorized_user", "client_id": "client-1", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN, "token_uri": format!("{}/token", google.url)});
    let v1beta = "/v1beta/models/gemini-2.5-flash-lite".to_owned();
    let path = format!("/v1/{VERTEX}");
    let cases = [
        (json!({"google_api_key": API_KEY}), None, v1beta.clone()),
        (json!({"google_api_key": API_KEY, "google_api_version": "v1"}), None, v1beta.replace("v1beta", "v1")),
        (
            json!({"auth_method": "vertex_express", "google_api_key": API_KEY}),
            None,
            "/v1/publishers/google/models/gemini-2.5-flash-lite".to_owned(),
        ),
        (vertex(&google), Some("assertion"), path.clone()),
        (
            with(vertex(&google), json!({"google_location": "us-central1", "google_project_id": "other"})),
            Some("assertion"),
            path.replace("my-project", "other").replace("global", "us-central1"),
        ),
        (refresh_token(&google), Some("refresh"), v1beta.clone()),
        (
            with(refresh_token(&google), json!({"google_project_id": "my-project", "google_location": "eu"})),
            Some("refresh"),
            path.replace("global", "eu"),
        ),
        (
            json!({"auth_method": "application_default", "google_service_account_json": user_file.to_string()}),
            Some("refresh"),
            v1beta.clone(),
        ),
        // One method for everything that Google Cloud accepts; the two above are those of former forms.
        (
            json!({"auth_method": "service_account", "google_service_account_json": user_file.to_string()}),
            Some("refresh"),
            v1beta.clone(),
        ),
        (
            with(refresh_token(&google), json!({"auth_method": "service_account", "google_project_id": "my-project"})),
            Some("refresh"),
            path.clone(),
        ),
    ];
    for (credentials, grant, path) in cases {
        let before = google.grants().len();
        let outcome = plugin().call(ask(&google, credentials.clone())).await;
        assert_eq!(outcome.text(), "Hello", "{credentials}");
        let seen = google.seen(":streamGenerateContent").pop().unwrap();
        assert_eq!(seen.path, format!("{path}:streamGenerateContent"));
        assert_eq!(google.grants()[before..].last().map(String::as_str), grant, "{path}");
    }
}

#[tokio::test]
async fn the_quota_project_is_sent() {
    let google = Google::start().await;
    let credentials = with(refresh_token(&google), json!({"google_quota_project": "payer"}));
    assert_eq!(plugin().call(ask(&google, credentials)).await.text(), "Hello");
    assert_eq!(google.seen("streamGenerate")[0].header("x-goog-user-project"), Some("payer"));
}

#[tokio::test]
async fn concurrent_requests_share_a_token_and_a_rejection_renews_it_once() {
    let google = Google::start().await;
    let plugin = plugin();
    let calls = (0..50).map(|_| plugin.call(ask(&google, vertex(&google))));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.text(), "Hello");
    }
    assert_eq!(google.grants(), ["assertion"]);
    google.end_tokens();
    assert_eq!(plugin.call(ask(&google, vertex(&google))).await.text(), "Hello");
    assert_eq!(google.grants().len(), 2, "renewed once");
    for _ in 0..2 {
        let (status, body) = refusal(401, "UNAUTHENTICATED", "Request had invalid credentials.");
        google.reply(status, body);
    }
    let outcome = plugin.call(ask(&google, vertex(&google))).await;
    check_failure(&outcome, "InvokeAuthorizationError", &["invalid credentials"]);
    assert_eq!(google.grants().len(), 3, "and not endlessly");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let google = Google::start().await;
    google.state.token_life.store(8, Ordering::Relaxed);
    let plugin = plugin();
    for (pause, grants) in [(0, 1), (0, 1), (6200, 2)] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert_eq!(plugin.call(ask(&google, refresh_token(&google))).await.text(), "Hello");
        // The renewal runs in parallel to the request.
        until(|| google.grants().len() >= grants).await;
        assert_eq!(google.grants().len(), grants);
    }
    assert_eq!(google.seen("streamGenerate").len(), 3, "no request was rejected");
}

#[tokio::test]
async fn a_gateway_is_used_for_every_route() {
    let google = Google::start().await;
    let credentials = json!({"google_api_key": API_KEY, "google_base_url": format!("{}/team/gemini", google.url),
        "google_api_version": "v1", "extra_headers": "{\"x-team\": \"a\"}", "max_retries": "0"});
    let video = json!({"type": "video", "format": "mp4", "mime_type": "video/mp4",
        "base64_data": STANDARD.encode(vec![7; 17 * 1024 * 1024])});
    let question = json!([{"role": "user", "content": [video, {"type": "text", "data": "What is this?"}]}]);
    let short = json!([{"role": "user", "content": "Hi"}]);
    let lite = "gemini-2.5-flash-lite";
    let cases = [
        ("validate_provider_credentials", lite, json!({}), "/v1/models"),
        ("validate_model_credentials", lite, json!({"model_type": "llm"}), ":countTokens"),
        ("invoke_llm", lite, json!({"model_type": "llm", "prompt_messages": short}), ":streamGenerateContent"),
        ("invoke_llm", lite, json!({"model_type": "llm", "prompt_messages": question}), "/upload/v1/files"),
        ("get_llm_num_tokens", lite, json!({"model_type": "llm", "prompt_messages": short}), ":countTokens"),
        (
            "invoke_text_embedding",
            "gemini-embedding-001",
            json!({"model_type": "text-embedding", "texts": ["sky"], "input_type": "query"}),
            ":batchEmbedContents",
        ),
        (
            "invoke_tts",
            "gemini-3.8-flash-tts",
            json!({"model_type": "tts", "content_text": "Hi", "voice": "Kore", "tenant_id": "t"}),
            ":generateContent",
        ),
        (
            "invoke_speech2text",
            "gemini-3.5-transcribe",
            json!({"model_type": "speech2text", "file": hex::encode(wav::wav(&[0; 4], 16_000))}),
            ":generateContent",
        ),
    ];
    for (action, model, fields, path) in cases {
        let before = google.seen("").len();
        plugin().call(request(&google, action, model, credentials.clone(), fields)).await;
        let seen = &google.seen("")[before..];
        assert!(seen.iter().any(|seen| seen.path.contains(path)), "{action}: {seen:?}");
        for seen in seen {
            assert!(seen.path.starts_with("/team/gemini/"), "{action}: {}", seen.path);
            assert_eq!(seen.header("x-team"), Some("a"), "{action}: {}", seen.path);
        }
    }
}

#[tokio::test]
async fn uses_the_proxy_and_timeout_of_the_credentials() {
    let google = Google::start().await;
    let proxied =
        json!({"google_api_key": API_KEY, "google_base_url": "http://gateway.invalid", "proxy_url": google.url});
    assert_eq!(plugin().call(ask(&google, proxied)).await.text(), "Hello");
    assert_eq!(google.seen("streamGenerate")[0].header("host"), Some("gateway.invalid"));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let credentials = json!({"google_api_key": API_KEY, "request_timeout": "1", "max_retries": "0",
        "google_base_url": format!("http://{}", silent.local_addr().unwrap())});
    let outcome = plugin().call(ask(&google, credentials)).await;
    check_failure(&outcome, "InvokeConnectionError", &["1 s"]);
}

#[tokio::test]
async fn a_rejected_grant_is_explained_and_not_retried_immediately() {
    let google = Google::start().await;
    let cases = [
        (with(refresh_token(&google), json!({"google_oauth_refresh_token": "1//CANARY-OLD"})), "revoked"),
        (with(refresh_token(&google), json!({"google_oauth_client_secret": "CANARY-WRONG"})), "do not match"),
        (
            json!({"auth_method": "service_account", "google_service_account_json":
                with(key_file(&google), json!({"client_email": "other@x.iam.gserviceaccount.com"})).to_string()}),
            "clock",
        ),
    ];
    for (credentials, expected) in cases {
        let outcome = plugin().call(ask(&google, credentials)).await;
        check_failure(&outcome, "InvokeAuthorizationError", &["Google did not issue a token", expected]);
    }
    assert!(google.seen("").is_empty(), "no request is sent without a token");
    let plugin = plugin();
    let body = json!({"error": "invalid_grant", "error_description": "Token has been revoked."});
    google.refuse_token(400, body);
    for _ in 0..2 {
        check_failure(
            &plugin.call(ask(&google, refresh_token(&google))).await,
            "InvokeAuthorizationError",
            &["revoked"],
        );
    }
    assert!(google.grants().is_empty(), "the second request did not query the endpoint");
}

#[tokio::test]
async fn a_busy_token_endpoint_is_retried() {
    let google = Google::start().await;
    google.refuse_token(503, json!({"error": "temporarily_unavailable", "error_description": "later"}));
    assert_eq!(plugin().call(ask(&google, refresh_token(&google))).await.text(), "Hello");
}

#[tokio::test]
async fn tokens_are_used_with_any_reported_lifetime() {
    let google = Google::start().await;
    for (number, life) in [
        json!(u64::MAX),
        json!(i64::MAX),
        json!(1e300),
        json!(3599.5),
        json!("3599"),
        json!("an hour"),
        json!(-1),
        json!(null),
        json!([3600]),
        json!(0),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("ya29.odd-{number}");
        google.give_token(&token, json!({"access_token": token, "expires_in": life}));
        assert_eq!(plugin().call(ask(&google, refresh_token(&google))).await.text(), "Hello", "{life}");
    }
    assert!(google.grants().is_empty(), "every unusual response was used");
}

#[tokio::test]
async fn an_unavailable_token_endpoint_fails_all_waiting_requests() {
    let google = Google::start().await;
    let plugin = plugin();
    for _ in 0..9 {
        google.refuse_token(500, json!({"error": "internal_failure"}));
    }
    let calls = (0..20).map(|_| plugin.call(ask(&google, refresh_token(&google))));
    for outcome in futures_util::future::join_all(calls).await {
        check_failure(&outcome, "InvokeServerUnavailableError", &["internal_failure"]);
    }
    assert_eq!(google.waiting_refusals(), 6, "one fetch of three attempts for all requests and their retries");
}

#[tokio::test]
async fn accepts_key_files_in_every_pasted_form() {
    let google = Google::start().await;
    let file = key_file(&google);
    let raw = file.to_string();
    let pretty = serde_json::to_string_pretty(&file).unwrap();
    let wrapped: Vec<String> =
        STANDARD.encode(&raw).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let forms = [
        raw.clone(),
        format!("  {pretty}\r\n"),
        pretty.replace("\\n", "\n"),
        pretty.replace("\\n", "\r\n"),
        raw.replace("\\n", "\\\\n"),
        STANDARD.encode(&raw),
        wrapped.join("\n"),
        URL_SAFE_NO_PAD.encode(&raw),
        json!(raw).to_string(),
        // With the byte order mark that editors on Windows write.
        format!("\u{feff}{raw}"),
        STANDARD.encode(format!("\u{feff}{pretty}")),
    ];
    for (number, text) in forms.into_iter().enumerate() {
        let credentials = json!({"auth_method": "service_account", "google_service_account_json": text});
        assert_eq!(plugin().call(ask(&google, credentials)).await.text(), "Hello", "form {number}");
    }
}

#[tokio::test]
async fn invalid_key_files_are_explained() {
    let google = Google::start().await;
    let changed = |more: Value| with(key_file(&google), more).to_string();
    let mut keyless = key_file(&google);
    keyless.as_object_mut().unwrap().remove("client_email");
    let external = json!({"type": "external_account", "audience": AUDIENCE, "subject_token_type": "t",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"executable": {"command": "id"}}});
    let cases = [
        ("service_account", private_key(), "only the private key"),
        ("service_account", "{\"type\": \"service_account\",".to_owned(), "not valid JSON (line 1"),
        ("service_account", "CANARY not a key file!".to_owned(), "neither JSON nor Base64"),
        ("service_account", "[1]".to_owned(), "neither JSON nor Base64"),
        ("service_account", "{}".to_owned(), "has no `type`"),
        ("service_account", changed(json!({"type": "gdch_service_account"})), "gdch_service_account"),
        ("service_account", changed(json!({"private_key": "CANARY"})), "`private_key`"),
        ("service_account", changed(json!({"token_uri": "https://evil.example/token"})), "googleapis.com"),
        ("service_account", changed(json!({"token_uri": "https://evilgoogleapis.com/token"})), "googleapis.com"),
        ("service_account", keyless.to_string(), "has no `client_email`"),
        ("service_account", external.to_string(), "only a file or a URL"),
        ("application_default", external.to_string(), "only a file or a URL"),
    ];
    for (method, text, expected) in cases {
        let credentials = json!({"auth_method": method, "google_service_account_json": text});
        let outcome = plugin().call(ask(&google, credentials)).await;
        check_failure(&outcome, "CredentialsValidateFailedError", &[expected]);
    }
    assert!(google.grants().is_empty() && google.seen("").is_empty());
}

#[tokio::test]
async fn invalid_settings_are_reported_before_any_request() {
    let google = Google::start().await;
    let key = |more: Value| with(json!({"google_api_key": API_KEY}), more);
    let cases = [
        (json!({}), "`google_api_key`"),
        (json!({"auth_method": "service_account"}), "“Credentials JSON” `google_service_account_json` is required"),
        (json!({"auth_method": "service_account", "google_oauth_client_id": "c"}), "`google_oauth_client_secret`"),
        (with(refresh_token(&google), json!({"google_oauth_client_id": ""})), "`google_oauth_client_id`"),
        (key(json!({"auth_method": "magic"})), "auth_method"),
        (key(json!({"google_base_url": "ftp://x"})), "`google_base_url`"),
        (key(json!({"google_base_url": "https://user:CANARY@x"})), "`google_base_url`"),
        (with(vertex(&google), json!({"google_location": "evil.example/"})), "`google_location`"),
        (with(vertex(&google), json!({"google_project_id": "../x"})), "`google_project_id`"),
        (with(refresh_token(&google), json!({"google_token_uri": "https://evil.example/"})), "`google_token_uri`"),
        (key(json!({"google_api_key": "CANARY\nkey"})), "x-goog-api-key"),
    ];
    for (credentials, expected) in cases {
        let outcome = plugin().call(ask(&google, credentials)).await;
        check_failure(&outcome, "CredentialsValidateFailedError", &[expected]);
    }
    assert!(google.seen("").is_empty());
}

#[tokio::test]
async fn validation_authenticates_and_uses_a_free_method() {
    let google = Google::start().await;
    let validate = |credentials: Value| {
        let mut request = ask(&google, credentials);
        request["action"] = json!("validate_provider_credentials");
        request
    };
    for credentials in [json!({"google_api_key": API_KEY}), vertex(&google), refresh_token(&google)] {
        assert_eq!(plugin().call(validate(credentials)).await.item(), &json!({"result": true}));
    }
    let (status, body) = refusal(404, "NOT_FOUND", "Publisher model was not found.");
    google.reply(status, body);
    assert_eq!(plugin().call(validate(vertex(&google))).await.item(), &json!({"result": true}), "another model exists");
    assert!(google.seen("generateContent").is_empty());
    let outcome = plugin().call(validate(json!({"google_api_key": "AIza-CANARY-WRONG"}))).await;
    check_failure(&outcome, "CredentialsValidateFailedError", &["invalid credentials"]);
    let (status, body) = refusal(429, "RESOURCE_EXHAUSTED", "slow down");
    google.reply(status, body);
    let busy = json!({"google_api_key": API_KEY, "max_retries": "0"});
    assert_eq!(
        plugin().call(validate(busy)).await.item(),
        &json!({"result": true}),
        "a busy server does not reject the credentials"
    );
}
