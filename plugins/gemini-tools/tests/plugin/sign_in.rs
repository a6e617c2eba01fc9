//! The five methods to sign in, what each of them needs, and the choices that depend on the sign-in.

use std::sync::atomic::{AtomicUsize, Ordering};

use dify_plugin::config::machine::MachineAccess;
use dify_plugin::prelude::Choice;
use dify_plugin::serde_json::{Value, json};

use crate::google::{API_KEY, CLIENT_SECRET, Google, REFRESH_TOKEN};
use crate::setup::{host, host_with, key, key_file, tool, vertex};

/// The operator allows the identity of the machine, a credentials file.
fn machine(google: &Google) -> (tempfile::TempDir, MachineAccess) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("adc-{}.json", NUMBER.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&path, key_file(google).to_string()).unwrap();
    (directory, MachineAccess { identity: true, credentials_file: Some(path), ..MachineAccess::default() })
}

fn methods(google: &Google) -> Vec<(&'static str, Value, &'static str)> {
    let with = |fields: Value| {
        let mut all = json!({"google_base_url": google.url, "max_retries": "0"});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let oauth = json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
        "google_oauth_client_secret": CLIENT_SECRET, "google_oauth_refresh_token": REFRESH_TOKEN,
        "google_token_uri": format!("{}/token", google.url)});
    let adc =
        json!({"auth_method": "application_default", "google_service_account_json": key_file(google).to_string()});
    let project = "/v1/projects/my-project/locations/global/publishers/google/models/gemini-3.8-flash:generateContent";
    let developer = "/v1beta/models/gemini-3.8-flash:generateContent";
    vec![
        ("API key", key(google), developer),
        (
            "express mode",
            with(json!({"auth_method": "vertex_express", "google_api_key": API_KEY})),
            "/v1/publishers/google/models/gemini-3.8-flash:generateContent",
        ),
        ("service account", vertex(google), project),
        ("OAuth client", with(oauth), developer),
        ("ADC", with(adc), project),
    ]
}

#[tokio::test]
async fn every_method_signs_in() {
    let google = Google::start().await;
    let host = host();
    for (method, credentials, path) in methods(&google) {
        host.validate()
            .credentials(credentials.clone())
            .await
            .unwrap_or_else(|failure| panic!("{method}: {failure:?}"));
        let call = host.tool("search").parameter("query", "Riga").credentials(credentials);
        call.await.unwrap_or_else(|failure| panic!("{method}: {failure:?}"));
        assert_eq!(google.seen(":generateContent").pop().unwrap().path, path, "{method}");
    }
}

#[tokio::test]
async fn the_machines_identity_needs_the_operators_permission() {
    let google = Google::start().await;
    let credentials = json!({"auth_method": "application_default", "google_base_url": google.url});
    let failure = host().validate().credentials(credentials.clone()).await.unwrap_err();
    assert!(failure.message.contains("must allow it outside of the form"), "{}", failure.message);
    let (_directory, access) = machine(&google);
    // Allowed, it is sent to Google alone, which the mock is not.
    let failure = host_with(access).validate().credentials(credentials).await.unwrap_err();
    assert!(failure.message.contains("requests to Google only"), "{}", failure.message);
    assert!(google.seen("").is_empty());
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let google = Google::start().await;
    for (credentials, words) in [
        (json!({}), "`google_api_key`"),
        (json!({"auth_method": "vertex_express"}), "`google_api_key`"),
        // The method is no secret, although it is a credential.
        (json!({"auth_method": "service_account"}), "`google_service_account_json`"),
        (json!({"auth_method": "oauth_refresh_token"}), "`google_oauth_client_id`"),
        (json!({"auth_method": "password"}), "`auth_method`"),
        (json!({"google_api_key": "x", "safety_filter": "STRICT"}), "`safety_filter`"),
        (json!({"google_api_key": "x", "google_base_url": "nowhere"}), "`google_base_url`"),
        (json!({"google_api_key": "x", "request_timeout": "soon"}), "`request_timeout`"),
        (json!({"google_api_key": "wrong", "google_base_url": google.url}), "invalid"),
    ] {
        let failure = host().validate().credentials(credentials.clone()).await.unwrap_err();
        assert_eq!(failure.kind, "ToolProviderCredentialValidationError", "{credentials}");
        assert!(failure.message.contains(words), "{credentials}: {}", failure.message);
        assert!(!failure.message.contains(API_KEY));
    }
}

fn values(choices: &[Choice]) -> Vec<&str> {
    choices.iter().map(|choice| choice.value.as_str()).collect()
}

#[tokio::test]
async fn models_are_those_that_the_key_can_use() {
    let google = Google::start().await;
    let listed = |name: &str, label: &str, method: &str| json!({"name": format!("models/{name}"), "displayName": label, "supportedGenerationMethods": [method]});
    let all = json!({"models": [
        listed("gemini-9-flash", "Gemini 9", "generateContent"),
        listed("gemini-3.8-flash", "Gemini 3.8 Flash", "generateContent"),
        listed("gemini-nano-banana-2.1", "", "generateContent"),
        listed("gemini-3.8-flash-tts", "TTS", "generateContent"),
        listed("gemini-embedding-2", "", "embedContent"),
        listed("gemini-old", "", "predict"),
    ]});
    let host = host();
    for (name, expected) in [
        ("search", vec!["gemini-3.8-flash", "gemini-9-flash"]),
        ("create_image", vec!["gemini-nano-banana-2.1"]),
        ("speak", vec!["gemini-3.8-flash-tts"]),
    ] {
        google.reply_to("/models", 200, all.clone());
        let choices = host.options(name, "model").credentials(key(&google)).await.unwrap();
        assert_eq!(values(&choices), expected, "{name}");
    }
    // Where nothing is listed, the built-in list is offered.
    google.reply_to("/models", 503, json!({"error": {"code": 503, "message": "overloaded"}}));
    for credentials in [vertex(&google), key(&google)] {
        let choices = host.options("maps", "model").credentials(credentials).await.unwrap();
        assert_eq!(values(&choices)[0], "gemini-3.8-flash");
        assert!(choices.len() > 5);
    }
    let wrong = json!({"google_base_url": google.url, "google_api_key": "wrong", "max_retries": "0"});
    let failure = host.options("search", "model").credentials(wrong).await.unwrap_err();
    assert!(failure.message.contains("invalid"), "{}", failure.message);
}

#[tokio::test]
async fn voices_are_a_built_in_list() {
    let google = Google::start().await;
    for parameter in ["voice", "second_voice"] {
        let choices = host().options("speak", parameter).credentials(key(&google)).await.unwrap();
        assert_eq!(choices.len(), 30);
        assert_eq!(choices[3].label["en_US"], "Kore (firm)");
    }
    assert!(google.seen("").is_empty());
}

#[tokio::test]
async fn the_credentials_decide_filters_and_labels() {
    let google = Google::start().await;
    let mut credentials = key(&google);
    for (name, value) in
        [("safety_filter", "BLOCK_ONLY_HIGH"), ("store_requests", "enabled"), ("enable_request_metadata", "enabled")]
    {
        credentials[name] = json!(value);
    }
    let call = tool(&host(), &google, "search", json!({"query": "Riga"})).credentials(credentials).app("App 1").await;
    assert!(call.is_ok(), "{call:?}");
    let sent = google.seen(":generateContent").pop().unwrap().body;
    assert_eq!(sent["safetySettings"].as_array().map(Vec::len), Some(4));
    assert_eq!(sent["safetySettings"][0]["threshold"], "BLOCK_ONLY_HIGH");
    assert_eq!(sent["labels"], json!({"dify_app_id": "app_1", "dify_source": "dify"}));
    assert_eq!(sent.get("store"), None);
}
