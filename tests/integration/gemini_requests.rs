//! What requests to Google contain in addition to the prompt, in complete sessions: storage, labels, API version,
//! tools, files.

use crate::support::{google, google_setup as setup, harness};
use google::{API_KEY, Google, refusal};
use harness::{Outcome, Plugin};
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

fn key() -> Value {
    json!({"google_api_key": API_KEY, "max_retries": "0"})
}

fn with(mut credentials: Value, name: &str, value: &str) -> Value {
    credentials[name] = json!(value);
    credentials
}

fn ask(google: &Google, model: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}]});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request(google, "invoke_llm", model, credentials, all)
}

/// Sends a request of an app.
async fn call_of(plugin: &Plugin, app_id: Value, request: Value) -> Outcome {
    let mut connection = plugin.connect();
    connection.request_of(app_id, "session-1", request).await;
    connection.outcome("session-1").await
}

fn refuses(field: &str) -> (u16, Value) {
    refusal(
        400,
        "INVALID_ARGUMENT",
        &format!("Invalid JSON payload received. Unknown name \"{field}\": Cannot find field."),
    )
}

#[tokio::test]
async fn storage_is_disabled_unless_the_form_allows_it() {
    let google = Google::start().await;
    for (credentials, store) in [
        (key(), json!(false)),
        (with(key(), "store_requests", "disabled"), json!(false)),
        (with(key(), "store_requests", "enabled"), Value::Null),
        (vertex(&google), Value::Null),
    ] {
        let plugin = plugin();
        let before = google.seen("enerateContent").len();
        for call in [
            ask(&google, "gemini-3.8-flash", credentials.clone(), json!({"stream": true})),
            ask(&google, "gemini-3.8-flash", credentials.clone(), json!({"stream": false})),
            request(
                &google,
                "invoke_tts",
                "gemini-3.8-flash-tts",
                credentials.clone(),
                json!({"model_type": "tts", "content_text": "Hi", "voice": "Kore", "tenant_id": "t"}),
            ),
        ] {
            let outcome = plugin.call(call).await;
            assert!(outcome.error.is_none(), "{:?}", outcome.error);
        }
        let seen = google.seen("enerateContent");
        assert_eq!(seen.len(), before + 3);
        assert!(seen[before..].iter().all(|seen| seen.body["store"] == store), "{credentials}: {store}");
    }
}

#[tokio::test]
async fn a_request_is_retried_without_a_field_that_the_server_rejects() {
    let google = Google::start().await;
    let plugin = plugin();
    let labelled = with(key(), "enable_request_metadata", "enabled");
    google.reply(refuses("store").0, refuses("store").1);
    google.reply(refuses("labels").0, refuses("labels").1);
    let app = json!("3f0c6a52-6c1e-4f0a-9d35-0d5a0c1e2b3f");
    for (requests, tag) in [(3, "learned"), (1, "remembered")] {
        let before = google.seen("enerateContent").len();
        let outcome =
            call_of(&plugin, app.clone(), ask(&google, "gemini-3.8-flash", labelled.clone(), json!({}))).await;
        assert!(outcome.error.is_none(), "{tag}: {:?}", outcome.error);
        let seen = google.seen("enerateContent");
        assert_eq!(seen.len(), before + requests, "{tag}");
        let last = seen.last().unwrap();
        assert_eq!((last.body.get("store"), last.body.get("labels")), (None, None), "{tag}");
    }
    // Other credentials are not affected.
    let other = with(key(), "request_timeout", "17");
    assert!(plugin.call(ask(&google, "gemini-3.8-flash", other, json!({}))).await.error.is_none());
    assert_eq!(google.seen("enerateContent").last().unwrap().body["store"], false);
    // A label that the app itself has set is not dropped silently.
    google.reply(refuses("labels").0, refuses("labels").1);
    let own = json!({"model_parameters": {"labels": "{\"team\": \"a\"}"}});
    let outcome = plugin.call(ask(&google, "gemini-3.8-flash", key(), own)).await;
    assert!(outcome.failure().1.contains("labels"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn requests_name_the_app_if_the_form_enables_it() {
    let google = Google::start().await;
    let plugin = plugin();
    let app = "3F0C6A52-6c1e-4f0a-9d35-0d5a0c1e2b3f";
    let own = json!({"model_parameters": {"labels": "{\"team\": \"a\", \"dify_source\": \"mine\"}"}});
    let of_app = |source: &str| json!({"dify_app_id": app.to_lowercase(), "dify_source": source});
    for credentials in [key(), vertex(&google)] {
        let labelled = with(credentials.clone(), "enable_request_metadata", "enabled");
        for (credentials, app_id, fields, labels) in [
            (labelled.clone(), json!(app), json!({}), of_app("dify")),
            (labelled.clone(), json!(app), own.clone(), {
                let mut labels = of_app("mine");
                labels["team"] = json!("a");
                labels
            }),
            (labelled.clone(), Value::Null, json!({}), Value::Null),
            (labelled.clone(), json!({"odd": [1]}), json!({}), Value::Null),
            (with(credentials.clone(), "enable_request_metadata", "disabled"), json!(app), json!({}), Value::Null),
            (credentials.clone(), json!(app), json!({}), Value::Null),
        ] {
            let outcome = call_of(&plugin, app_id.clone(), ask(&google, "gemini-3.8-flash", credentials, fields)).await;
            assert!(outcome.error.is_none(), "{app_id}: {:?}", outcome.error);
            assert_eq!(google.seen("enerateContent").last().unwrap().body["labels"], labels, "{app_id}");
        }
    }
}

#[tokio::test]
async fn vertex_ai_is_called_with_the_version_that_supports_the_request() {
    let google = Google::start().await;
    let plugin = plugin();
    let flex = json!({"model_parameters": {"service_tier": "flex"}});
    for (credentials, model, fields, version) in [
        (vertex(&google), "gemini-3.8-flash", json!({}), "/v1/"),
        (vertex(&google), "gemini-4-argon", json!({}), "/v1beta1/"),
        (vertex(&google), "gemini-3.8-flash", flex.clone(), "/v1beta1/"),
        // A version set in the form is kept.
        (with(vertex(&google), "google_api_version", "v1"), "gemini-4-argon", json!({}), "/v1/"),
        (key(), "gemini-4-argon", json!({}), "/v1beta/"),
        (key(), "gemini-3.8-flash", flex, "/v1beta/"),
    ] {
        let outcome = plugin.call(ask(&google, model, credentials, fields)).await;
        assert!(outcome.error.is_none(), "{model}: {:?}", outcome.error);
        let path = google.seen("enerateContent").pop().unwrap().path;
        assert!(path.starts_with(version), "{model}: {path}, not {version}");
    }
    // A gateway may support only the stable version.
    let (status, body) = refusal(404, "NOT_FOUND", "no such path");
    google.reply(status, body);
    let outcome = plugin.call(ask(&google, "gemini-4-argon", vertex(&google), json!({}))).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert!(google.seen("enerateContent").pop().unwrap().path.starts_with("/v1/"));
}

#[tokio::test]
async fn office_files_are_sent_to_models_that_support_them() {
    let google = Google::start().await;
    let plugin = plugin();
    let file = json!({"type": "document", "format": "docx", "filename": "contract.docx", "base64_data": "UEsDBA==",
        "mime_type": "application/vnd.openxmlformats-officedocument.wordprocessingml.document"});
    let fields = json!({"prompt_messages": [{"role": "user", "content": [{"type": "text", "data": "Sum up."}, file]}]});
    for credentials in [key(), vertex(&google)] {
        let outcome = plugin.call(ask(&google, "gemini-4-argon", credentials.clone(), fields.clone())).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let seen = google.seen("enerateContent").pop().unwrap();
        let blob = &seen.body["contents"][0]["parts"][1]["inlineData"];
        assert_eq!(blob["mimeType"], file_type());
        let outcome = plugin.call(ask(&google, "gemini-3.8-flash", credentials, fields.clone())).await;
        let (kind, message) = outcome.failure();
        assert!(kind == "InvokeBadRequestError" && message.contains("Doc Extractor node"), "{message}");
    }
    let (status, body) = refusal(400, "INVALID_ARGUMENT", "Unsupported MIME type.");
    google.reply(status, body);
    let outcome = plugin.call(ask(&google, "gemini-4-argon", key(), fields)).await;
    assert!(outcome.failure().1.contains("Doc Extractor node"), "{:?}", outcome.failure());
}

fn file_type() -> &'static str {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
}
