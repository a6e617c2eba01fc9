//! Unusual conversations, in complete sessions: files that Dify sends again, images that lost their signature,
//! parameters of other vendors, and invalid form fields.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::support::{google, google_setup as setup, harness};
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use google::{API_KEY, Google};
use harness::Outcome;
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

const MIB: usize = 1024 * 1024;
const BAD_REQUEST: &str = "InvokeBadRequestError";

fn key() -> Value {
    json!({"google_api_key": API_KEY, "max_retries": "0"})
}

fn file(kind: &str, mime_type: &str, bytes: &[u8]) -> Value {
    json!({"type": kind, "mime_type": mime_type, "format": "", "base64_data": STANDARD.encode(bytes), "filename": "my.file"})
}

fn user(file: &Value) -> Value {
    json!({"role": "user", "content": [file, {"type": "text", "data": "What is it?"}]})
}

async fn ask(google: &Google, credentials: Value, messages: Value) -> Outcome {
    let fields = json!({"model_type": "llm", "prompt_messages": messages});
    plugin().call(request(google, "invoke_llm", "gemini-3.8-flash", credentials, fields)).await
}

fn sent(google: &Google) -> Value {
    google.seen(":streamGenerateContent").pop().unwrap().body
}

#[tokio::test]
async fn an_unreadable_file_of_an_earlier_message_is_dropped() {
    let google = Google::start().await;
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let png = |more: Value| {
        let mut part = json!({"type": "image", "mime_type": "image/png", "format": "png"});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part
    };
    for (name, file) in [
        ("a Word file", file("document", docx, b"PK\x03\x04")),
        ("an SVG", file("image", "image/svg+xml", b"<svg/>")),
        ("a GIF with another label", file("image", "image/png", b"GIF89a\x01\0\x01\0")),
        ("without a type", json!({"type": "document", "base64_data": "AAAA"})),
        ("invalid Base64", png(json!({"base64_data": "invalid Base64!"}))),
        ("nothing", png(json!({}))),
        ("an unknown host", png(json!({"url": "https://files.invalid/a.png"}))),
        ("a private address", png(json!({"url": "http://127.0.0.1:9/a.png"}))),
        ("a bucket that is not allowed", png(json!({"url": "gs://private/a.png"}))),
    ] {
        let (now, later) = (
            json!([user(&file)]),
            json!([user(&file), {"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]),
        );
        let refused = ask(&google, key(), now).await;
        assert_eq!(refused.failure().0, BAD_REQUEST, "{name}");
        let outcome = ask(&google, key(), later).await;
        assert_eq!(outcome.text(), "Hello", "{name}: {:?}", outcome.error);
        let parts = sent(&google)["contents"][0]["parts"].clone();
        assert!(parts[0]["text"].as_str().unwrap().contains("left out"), "{name}: {parts}");
        assert_eq!(parts[1]["text"], "What is it?", "{name}");
    }
    // A readable file is sent with every message.
    let image = file("image", "image/png", b"\x89PNG\r\n\x1a\n");
    ask(
        &google,
        key(),
        json!([user(&image), {"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]),
    )
    .await;
    assert!(sent(&google)["contents"][0]["parts"][0]["inlineData"].is_object());
    // On Vertex AI, which does not support uploads, the oldest files are dropped when all together are too large.
    let video = |first: u8| {
        let mut bytes = vec![7; 9 * MIB];
        bytes[0] = first;
        file("video", "video/mp4", &bytes)
    };
    let messages = json!([user(&video(1)), {"role": "assistant", "content": "So."}, user(&video(2))]);
    let outcome = ask(&google, vertex(&google), messages).await;
    assert_eq!(outcome.text(), "Hello", "{:?}", outcome.error);
    let contents = sent(&google)["contents"].clone();
    assert!(contents[0]["parts"][0]["text"].as_str().unwrap().contains("left out"));
    assert!(contents[2]["parts"][0]["inlineData"].is_object());
}

/// A file server, and the encodings that it was asked for.
async fn file_host() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, busy) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
    let kept = seen.clone();
    let answer = move |request: Request| {
        let (kept, busy) = (kept.clone(), busy.clone());
        async move {
            let encoding =
                request.headers().get(header::ACCEPT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
            kept.lock().unwrap().push(encoding.unwrap_or_default());
            let png = [(header::CONTENT_TYPE, "image/png")];
            match request.uri().path() {
                "/busy" if busy.fetch_add(1, SeqCst) < 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                "/empty" => (png, Vec::new()).into_response(),
                "/large" => (png, vec![0u8; 40 * MIB]).into_response(),
                "/packed" => (png, [(header::CONTENT_ENCODING, "x-odd")], vec![0u8; 10]).into_response(),
                _ => (png, b"\x89PNG\r\n\x1a\n and more".to_vec()).into_response(),
            }
        }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

#[tokio::test]
async fn all_files_of_a_prompt_share_one_limit_and_are_not_compressed() {
    let google = Google::start().await;
    let (host, seen) = file_host().await;
    let credentials = json!({"google_api_key": API_KEY, "max_retries": "0", "file_url": host});
    let prompt = |paths: &[&str]| {
        let files: Vec<Value> = paths
            .iter()
            .map(|path| json!({"type": "image", "format": "png", "mime_type": "image/png", "url": format!("{host}{path}")}))
            .collect();
        json!([{"role": "user", "content": files}])
    };
    for (paths, expected) in [
        (&["/large", "/large?2", "/large?3"][..], "larger than 104857600 bytes, together with the others"),
        (&["/empty"], "/empty is empty"),
        (&["/packed"], "is compressed"),
    ] {
        let outcome = ask(&google, credentials.clone(), prompt(paths)).await;
        assert!(outcome.failure().1.contains(expected), "{paths:?}: {:?}", outcome.failure());
    }
    assert!(google.seen("").is_empty(), "nothing was sent or uploaded");
    assert_eq!(ask(&google, credentials.clone(), prompt(&["/busy", "/ok"])).await.text(), "Hello");
    assert!(seen.lock().unwrap().iter().all(|encoding| encoding == "identity"), "{seen:?}");
    // Images to embed share a limit too.
    let documents: Vec<Value> = ["/large", "/large?2", "/large?3"]
        .iter()
        .map(|path| json!({"content": format!("{host}{path}"), "content_type": "image"}))
        .collect();
    let fields = json!({"model_type": "text-embedding", "documents": documents, "input_type": "document"});
    let outcome =
        plugin().call(request(&google, "invoke_multimodal_embedding", "gemini-embedding-2", credentials, fields)).await;
    assert!(
        outcome.failure().1.contains("PNG or JPEG") || outcome.failure().1.contains("together"),
        "{:?}",
        outcome.failure()
    );
}

#[tokio::test]
async fn files_read_with_the_permissions_of_the_credentials_must_be_allowed() {
    let google = Google::start().await;
    let at = |url: &str| json!([{"role": "user", "content": [{"type": "document", "format": "pdf", "mime_type": "application/pdf", "url": url}]}]);
    let uploaded = "https://generativelanguage.googleapis.com/v1beta/files/abc";
    for (buckets, url, allowed) in [
        ("", "gs://private/salaries.pdf", false),
        ("other", "gs://private/salaries.pdf", false),
        ("priv", "gs://private/salaries.pdf", false),
        ("private-2, gs://private-3/", "gs://private/salaries.pdf", false),
        ("", "GS://private/salaries.pdf", false),
        ("private", uploaded, false),
        ("", "https://generativelanguage.googleapis.com:443/v1beta/files/abc", false),
        ("", "https://me@GenerativeLanguage.googleapis.com/v1beta/files/abc", false),
        ("private", "gs://private/salaries.pdf", true),
        ("other，gs://private/", "gs://private/salaries.pdf", true),
        ("*", "gs://anything/a.pdf", true),
    ] {
        for base in [key(), vertex(&google)] {
            let mut credentials = base;
            credentials["google_file_buckets"] = json!(buckets);
            let before = google.seen("enerateContent").len();
            let outcome = ask(&google, credentials, at(url)).await;
            let (count, error) = (google.seen("enerateContent").len(), outcome.error.clone().unwrap_or_default());
            assert_eq!(count > before, allowed, "{buckets:?} {url}: {error}");
            assert!(allowed || error["message"].as_str().unwrap().contains("`google_file_buckets`"), "{error}");
        }
    }
    assert_eq!(sent(&google)["contents"][0]["parts"][0]["fileData"]["fileUri"], "gs://anything/a.pdf");
}

#[tokio::test]
async fn parameters_of_other_vendors_and_empty_parameters_are_not_sent() {
    let google = Google::start().await;
    let parameters = json!({"repetition_penalty": 1.1, "enable_search": true, "min_p": 0.1, "logit_bias": {}, "verbosity": "low",
        "max_completion_tokens": 5, "reasoning_format": "raw", "safety_harassment": "", "response_format": "", "tool_choice": "",
        "thinking_level": "", "seed": "", "grounding": "", "video_fps": ""});
    let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}], "model_parameters": parameters});
    for model in ["gemini-3.8-flash", "gemini-3.8-flash-002"] {
        let outcome = plugin().call(request(&google, "invoke_llm", model, key(), fields.clone())).await;
        assert_eq!(outcome.text(), "Hello", "{:?}", outcome.error);
        assert_eq!(sent(&google), json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "store": false}));
    }
}

#[tokio::test]
async fn a_model_without_system_instructions_gets_them_as_user_text() {
    let google = Google::start().await;
    let messages = json!([{"role": "system", "content": "Rule."}, {"role": "user", "content": "Hi"}]);
    let refused =
        google::refusal(400, "INVALID_ARGUMENT", "Developer instruction is not enabled for models/gemma-3-27b-it");
    google.reply_to(":streamGenerateContent", refused.0, refused.1);
    assert_eq!(ask(&google, key(), messages).await.text(), "Hello");
    let body = sent(&google);
    assert_eq!(body["contents"], json!([{"role": "user", "parts": [{"text": "Rule."}, {"text": "Hi"}]}]));
    assert_eq!((google.seen(":streamGenerateContent").len(), body.get("systemInstruction")), (2, None));
}

#[tokio::test]
async fn validation_rejects_responses_that_are_not_json_objects() {
    for (base, expected) in [
        ("<html><title>Login</title></html>", "HTML page"),
        ("Welcome!", "did not return a JSON object"),
        ("[]", "did not return a JSON object"),
        ("", "did not return a JSON object"),
    ] {
        let router = Router::new().fallback(move || async move { ([(header::CONTENT_TYPE, "text/html")], base) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let credentials = json!({"google_api_key": API_KEY, "google_base_url": url, "max_retries": "0"});
        let express = json!({"google_api_key": API_KEY, "google_base_url": url, "max_retries": "0", "auth_method": "vertex_express"});
        for (action, credentials) in [
            ("validate_provider_credentials", &credentials),
            ("validate_provider_credentials", &express),
            ("validate_model_credentials", &credentials),
        ] {
            let outcome = plugin()
                .call(json!({"action": action, "provider": "google", "model": "gemini-x", "model_type": "llm", "credentials": credentials}))
                .await;
            assert_eq!(outcome.failure().0, "CredentialsValidateFailedError", "{action}");
            assert!(outcome.failure().1.contains(expected), "{action}: {:?}", outcome.failure());
        }
    }
}

#[tokio::test]
async fn forms_reject_invalid_values_when_they_are_saved() {
    let google = Google::start().await;
    let of_both: &[(&str, &str, &str)] = &[
        ("embedding_dimensions", "x", "Embedding dimensions"),
        ("embedding_dimensions", "9000", "Embedding dimensions"),
        ("speech_options", "{bad", "Speech options"),
        ("file_url", "not a url", "Dify files URL"),
        ("file_url", "ftp://files", "Dify files URL"),
        ("request_timeout", "soon", "Timeout"),
        ("max_retries", "-1", "Max retries"),
    ];
    let of_models: &[(&str, &str, &str)] = &[
        ("context_size", "x", "Context size"),
        ("max_output_tokens", "-5", "Max output tokens"),
        ("input_price", "x", "Input price"),
        ("output_price", "-1", "Output price"),
    ];
    for (action, fields) in
        [("validate_provider_credentials", vec![of_both]), ("validate_model_credentials", vec![of_both, of_models])]
    {
        for (field, value, label) in fields.into_iter().flatten() {
            let mut credentials = key();
            credentials[*field] = json!(value);
            let more = json!({"model_type": "llm"});
            let outcome = plugin().call(request(&google, action, "gemini-x", credentials, more)).await;
            let (kind, message) = outcome.failure();
            assert_eq!(kind, "CredentialsValidateFailedError", "{field}");
            assert!(message.contains(&format!("`{field}`")) && message.contains(label), "{field}: {message}");
        }
    }
    assert!(google.seen("").is_empty(), "no request was sent");
}
