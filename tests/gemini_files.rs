//! Large media through the Files API, in whole sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/google_api.rs"]
mod api;
#[path = "support/google.rs"]
mod google;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/google_setup.rs"]
mod setup;

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use google::{API_KEY, Google, refusal};
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

const LARGE: usize = 17 * 1024 * 1024;

fn key() -> Value {
    json!({"google_api_key": API_KEY, "max_retries": "0"})
}

/// A question about a large film and a small picture.
fn ask(google: &Google, credentials: Value, first: u8) -> Value {
    let mut film = vec![7; LARGE];
    film[0] = first;
    let film =
        json!({"type": "video", "format": "mp4", "mime_type": "video/mp4", "base64_data": STANDARD.encode(film)});
    let picture = json!({"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA"});
    let message = json!({"role": "user", "content": [picture, film, {"type": "text", "data": "What is this?"}]});
    let fields = json!({"model_type": "llm", "prompt_messages": [message]});
    request(google, "invoke_llm", "gemini-2.5-flash-lite", credentials, fields)
}

#[tokio::test]
async fn a_large_file_is_uploaded_once_for_parallel_and_later_calls() {
    let google = Google::start().await;
    let plugin = plugin();
    let both = futures_util::future::join_all((0..3).map(|_| plugin.call(ask(&google, key(), 1)))).await;
    assert!(both.iter().all(|outcome| outcome.text() == "Hello"));
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded(), [(LARGE, "video/mp4".to_owned())]);
    let pieces = google.seen("/upload/v1beta/files");
    assert_eq!(pieces.len(), 4, "opened, then three pieces of at most 8 MiB");
    let sent = google.seen(":streamGenerateContent").pop().unwrap().body["contents"][0]["parts"].clone();
    let uri = "https://generativelanguage.googleapis.com/v1beta/files/f0";
    assert_eq!(sent[0]["inlineData"]["data"], "AAAA", "what fits stays inline");
    assert_eq!(sent[1]["fileData"], json!({"mimeType": "video/mp4", "fileUri": uri}));
    assert_eq!(plugin.call(ask(&google, key(), 2)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded().len(), 2, "another file is another upload");
}

#[tokio::test]
async fn a_file_that_is_gone_is_uploaded_once_more() {
    let google = Google::start().await;
    let plugin = plugin();
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    let gone =
        || refusal(403, "PERMISSION_DENIED", "You do not have permission to access the File f0 or it may not exist.");
    let (status, body) = gone();
    google.reply(status, body);
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded().len(), 2);
    let sent = google.seen(":streamGenerateContent").pop().unwrap();
    assert!(sent.body["contents"][0]["parts"][1]["fileData"]["fileUri"].as_str().unwrap().ends_with("/f1"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_and_not_kept() {
    let google = Google::start().await;
    let plugin = plugin();
    google.state.files.fails.store(true, Ordering::SeqCst);
    for uploads in 1..=2 {
        let outcome = plugin.call(ask(&google, key(), 1)).await;
        assert!(outcome.failure().1.contains("unreadable film"), "{:?}", outcome.failure());
        assert!(!outcome.failure().1.contains("CANARY"), "the upload's address is a secret");
        assert_eq!(google.state.files.uploaded().len(), uploads);
    }
    assert!(google.seen(":streamGenerateContent").is_empty());
}

#[tokio::test]
async fn where_nothing_can_be_uploaded_files_go_inline_or_are_refused() {
    let google = Google::start().await;
    google.state.files.absent.store(true, Ordering::SeqCst);
    assert_eq!(plugin().call(ask(&google, key(), 1)).await.text(), "Hello");
    let sent = google.seen(":streamGenerateContent").pop().unwrap();
    assert!(sent.body["contents"][0]["parts"][1]["inlineData"]["data"].as_str().unwrap().len() > LARGE);
    let outcome = plugin().call(ask(&google, vertex(&google), 1)).await;
    assert!(outcome.failure().1.contains("at most 15728640 go inline"), "{:?}", outcome.failure());
}
