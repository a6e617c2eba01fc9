//! No key, token, assertion, upload URL or signed file URL is logged or shown, whatever Gemini responds.

use crate::support::{google, google_api as api, google_setup as setup, own_log};
use api::files::Loss;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use google::{API_KEY, CLIENT_SECRET, Google, REFRESH_TOKEN};
use own_log::{is_own_process, log};
use serde_json::{Value, json};
use setup::{plugin, private_key, request, vertex};

#[tokio::test]
async fn no_secret_is_logged_or_shown() {
    if !is_own_process("gemini_secrets::no_secret_is_logged_or_shown") {
        return;
    }
    log();
    let google = Google::start().await;
    let methods = [
        json!({"google_api_key": API_KEY, "extra_headers": "{\"x-team\": \"CANARY-HEADER\"}"}),
        json!({"google_api_key": API_KEY, "auth_method": "vertex_express"}),
        vertex(&google),
        json!({"auth_method": "oauth_refresh_token", "google_oauth_client_id": "client-1",
            "google_oauth_client_secret": CLIENT_SECRET, "google_oauth_refresh_token": REFRESH_TOKEN,
            "google_token_uri": format!("{}/token", google.url)}),
    ];
    let video = json!({"type": "video", "format": "mp4", "mime_type": "video/mp4", "base64_data": STANDARD.encode(vec![7; 16 << 20])});
    let lost = json!({"type": "image", "format": "png", "mime_type": "image/png", "url": "http://127.0.0.1:9/a?sign=CANARY-LINK"});
    let asked =
        |content: Value| json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": content}]});
    let works = [
        ("validate_provider_credentials", "x", json!({})),
        ("validate_model_credentials", "gemini-2.5-flash-lite", json!({"model_type": "llm"})),
        ("invoke_llm", "gemini-2.5-flash-lite", asked(json!("Hi"))),
        ("invoke_llm", "gemini-2.5-flash-lite", asked(json!([video]))),
        ("invoke_llm", "gemini-2.5-flash-lite", asked(json!([lost]))),
        ("get_llm_num_tokens", "gemini-2.5-flash-lite", asked(json!("Hi"))),
        (
            "invoke_text_embedding",
            "gemini-embedding-001",
            json!({"model_type": "text-embedding", "texts": ["a"], "input_type": "query"}),
        ),
    ];
    // Some errors echo the key.
    let echo = "API key ECHO is wrong.";
    let mut shown = String::new();
    for mut credentials in methods {
        credentials["file_url"] = json!("http://127.0.0.1:9");
        credentials["max_retries"] = json!("0");
        let uploads = credentials.get("auth_method").is_none();
        let works = works.iter().filter(|(.., fields)| uploads || !fields.to_string().contains("video/mp4"));
        for (action, model, fields) in works {
            for refused in [None, Some(400), Some(401), Some(503)] {
                let plugin = plugin();
                if let Some(status) = refused {
                    google.state.files.lose(Loss::Refused(503, 0));
                    google.reply(status, google::refusal(status, "UNKNOWN", echo).1);
                }
                let outcome = plugin.call(request(&google, action, model, credentials.clone(), fields.clone())).await;
                shown.push_str(&format!("{outcome:?}"));
            }
        }
        let nowhere = json!({"google_base_url": "http://127.0.0.1:9"});
        credentials.as_object_mut().unwrap().extend(nowhere.as_object().unwrap().clone());
        let outcome = plugin().call(request(&google, "invoke_llm", "gemini-2.5-flash-lite", credentials, json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": "Hi"}], "credentials": nowhere}))).await;
        shown.push_str(&format!("{outcome:?}"));
    }
    let logged = String::from_utf8_lossy(&log().lock().unwrap()).into_owned();
    assert!(logged.contains("upstream responded"), "the log is being written");
    assert!(google.grants().len() > 10 && !google.state.files.uploaded().is_empty(), "tokens and uploads were used");
    let key = private_key();
    for secret in ["CANARY", key.lines().nth(1).unwrap(), "eyJ"] {
        let near =
            |text: &str| text.find(secret).map(|at| text[at.saturating_sub(200)..text.len().min(at + 100)].to_owned());
        assert_eq!(near(&shown), None, "{secret} was shown");
        assert_eq!(near(&logged), None, "{secret} was logged");
    }
}
