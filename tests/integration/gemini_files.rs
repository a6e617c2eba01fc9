//! Large media through the Files API, in complete sessions.

use std::sync::atomic::Ordering::SeqCst;

use crate::support::{google, google_api as api, google_setup as setup};
use api::files::Loss;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin_runtime::dialect::wav;
use google::{API_KEY, Google, OTHER_KEY};
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

const MIB: usize = 1024 * 1024;
const LARGE: usize = 17 * MIB;

fn key() -> Value {
    json!({"google_api_key": API_KEY, "max_retries": "0"})
}

/// A question about a large video and a small image.
fn ask(google: &Google, credentials: Value, first: u8) -> Value {
    ask_about(google, credentials, first, "video/mp4")
}

fn ask_about(google: &Google, credentials: Value, first: u8, mime_type: &str) -> Value {
    let mut video = vec![7; LARGE];
    video[0] = first;
    let video =
        json!({"type": "video", "format": "mp4", "mime_type": mime_type, "base64_data": STANDARD.encode(video)});
    let image = json!({"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA"});
    let message = json!({"role": "user", "content": [image, video, {"type": "text", "data": "What is this?"}]});
    let fields = json!({"model_type": "llm", "prompt_messages": [message]});
    request(google, "invoke_llm", "gemini-2.5-flash-lite", credentials, fields)
}

fn parts_sent(google: &Google) -> Value {
    google.seen(":streamGenerateContent").pop().unwrap().body["contents"][0]["parts"].clone()
}

#[tokio::test]
async fn a_large_file_is_uploaded_once_for_concurrent_and_later_requests() {
    let google = Google::start().await;
    let plugin = plugin();
    let both = futures_util::future::join_all((0..3).map(|_| plugin.call(ask(&google, key(), 1)))).await;
    assert!(both.iter().all(|outcome| outcome.text() == "Hello"));
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded(), [(LARGE, "video/mp4".to_owned())]);
    assert_eq!(google.state.files.steps(), ["start", "upload 0", "upload 8388608", "finalize 16777216", "get"]);
    let parts = parts_sent(&google);
    let uri = "https://generativelanguage.googleapis.com/v1beta/files/f0";
    assert_eq!(parts[0]["inlineData"]["data"], "AAAA", "files that fit are sent inline");
    assert_eq!(parts[1]["fileData"], json!({"mimeType": "video/mp4", "fileUri": uri}));
    let other = json!({"google_api_key": OTHER_KEY});
    for (uploads, credentials, first, mime_type) in
        [(2, key(), 2, "video/mp4"), (3, key(), 2, "video/webm"), (4, other, 2, "video/webm")]
    {
        let outcome = plugin.call(ask_about(&google, credentials, first, mime_type)).await;
        assert_eq!(outcome.text(), "Hello");
        assert_eq!(google.state.files.uploaded().len(), uploads, "a file is identified by content, type and key");
    }
}

#[tokio::test]
async fn a_missing_file_is_uploaded_again() {
    let google = Google::start().await;
    let plugin = plugin();
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    google.state.files.expire();
    let all = futures_util::future::join_all((0..3).map(|_| plugin.call(ask(&google, key(), 1)))).await;
    assert!(all.iter().all(|outcome| outcome.text() == "Hello"));
    assert_eq!(google.state.files.uploaded().len(), 2, "concurrent requests share the new upload too");
    assert!(parts_sent(&google)[1]["fileData"]["fileUri"].as_str().unwrap().ends_with("/f1"));
    // If the service rejects the new file too, that is final.
    google.state.files.expire();
    let refused = "You do not have permission to access the File f1 or it may not exist.";
    for _ in 0..2 {
        let (status, body) = google::refusal(403, "PERMISSION_DENIED", refused);
        google.reply_to(":streamGenerateContent", status, body);
    }
    let outcome = plugin.call(ask(&google, key(), 1)).await;
    assert_eq!(outcome.failure().0, "InvokeAuthorizationError");
    assert_eq!(google.state.files.uploaded().len(), 3);
}

#[tokio::test]
async fn waits_for_processing_and_reports_unreadable_files() {
    let google = Google::start().await;
    let plugin = plugin();
    google.state.files.processing.store(2, SeqCst);
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    assert_eq!(google.state.files.steps().iter().filter(|step| *step == "get").count(), 3);
    google.state.files.fails.store(true, SeqCst);
    for uploads in 2..=3 {
        let outcome = plugin.call(ask(&google, key(), 2)).await;
        assert!(outcome.failure().1.contains("unreadable video"), "{:?}", outcome.failure());
        assert!(!outcome.failure().1.contains("CANARY"), "the upload URL is a secret");
        assert_eq!(google.state.files.uploaded().len(), uploads);
    }
    assert_eq!(google.seen(":streamGenerateContent").len(), 1);
}

#[tokio::test]
async fn an_interrupted_upload_resumes_at_the_offset_of_the_service() {
    let cases: [(&[Loss], &[&str]); 5] = [
        (&[Loss::Refused(503, 0)], &["upload 0", "query", "upload 0", "upload 8388608", "finalize 16777216"]),
        (&[Loss::Refused(500, 3 * MIB)], &["upload 0", "query", "upload 3145728", "finalize 11534336"]),
        (
            &[Loss::Broken(MIB), Loss::Refused(502, MIB)],
            &["upload 0", "query", "upload 1048576", "query", "upload 2097152", "finalize 10485760"],
        ),
        // Everything was received, but the response was lost.
        (&[Loss::Refused(503, 8 * MIB)], &["upload 0", "query", "upload 8388608", "finalize 16777216"]),
        // The service has the complete file, but its last response was lost.
        (
            &[Loss::Refused(503, 8 * MIB), Loss::Refused(503, 8 * MIB), Loss::Unheard],
            &["upload 0", "query", "upload 8388608", "query", "finalize 16777216", "query"],
        ),
    ];
    for (losses, steps) in cases {
        let google = Google::start().await;
        losses.iter().for_each(|loss| google.state.files.lose(*loss));
        assert_eq!(plugin().call(ask(&google, key(), 1)).await.text(), "Hello", "{losses:?}");
        let expected: Vec<&str> = ["start"].iter().chain(steps).chain(&["get"]).copied().collect();
        assert_eq!(google.state.files.steps(), expected, "{losses:?}");
        assert_eq!(google.state.files.uploaded(), [(LARGE, "video/mp4".to_owned())]);
    }
}

#[tokio::test]
async fn an_upload_without_progress_fails() {
    let google = Google::start().await;
    (0..9).for_each(|_| google.state.files.lose(Loss::Refused(503, 0)));
    let outcome = plugin().call(ask(&google, key(), 1)).await;
    assert_eq!(outcome.failure().0, "InvokeServerUnavailableError");
    let count = |word: &str| google.state.files.steps().iter().filter(|step| *step == word).count();
    assert_eq!((count("start"), count("upload 0"), count("query")), (1, 5, 4));
    let google = Google::start().await;
    google.state.files.lose(Loss::Refused(400, 0));
    assert_eq!(plugin().call(ask(&google, key(), 1)).await.failure().0, "InvokeBadRequestError");
    assert_eq!(google.state.files.steps(), ["start", "upload 0"], "a permanent error is not retried");
}

#[tokio::test]
async fn an_upload_without_reported_progress_ends() {
    let google = Google::start().await;
    google.state.files.sizeless.store(true, SeqCst);
    let outcome = plugin().call(ask(&google, key(), 1)).await;
    assert!(outcome.failure().1.contains("does not report the progress of an upload"), "{:?}", outcome.failure());
    assert_eq!(google.state.files.steps(), ["start", "upload 0", "upload 8388608", "finalize 16777216", "query"]);
    let google = Google::start().await;
    google.state.files.forgetful.store(true, SeqCst);
    let outcome = plugin().call(ask(&google, key(), 1)).await;
    assert_eq!(outcome.failure().0, "InvokeServerUnavailableError");
    let steps = google.state.files.steps();
    let count = |word: &str| steps.iter().filter(|step| *step == word).count();
    assert_eq!((count("upload 0"), count("upload 8388608"), count("query")), (5, 5, 4), "{steps:?}");
}

#[tokio::test]
async fn files_are_sent_inline_if_a_gateway_rejects_uploads() {
    for (status, calls) in [(400, 2), (401, 1), (403, 1), (500, 1)] {
        let google = Google::start().await;
        google.state.files.absent.store(status, SeqCst);
        let plugin = plugin();
        for uploads in 1..=calls {
            assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello", "{status}");
            assert!(parts_sent(&google)[1]["inlineData"]["data"].as_str().unwrap().len() > LARGE);
            assert_eq!(google.state.files.steps().len(), uploads, "a rejection does not affect the next upload");
        }
    }
}

/// Errors of one user's gateway or proxy affect only that user's uploads.
#[tokio::test]
async fn missing_uploads_are_remembered_per_credentials() {
    let google = Google::start().await;
    let plugin = plugin();
    google.state.files.absent.store(404, SeqCst);
    assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
    google.state.files.absent.store(0, SeqCst);
    assert_eq!(plugin.call(ask(&google, json!({"google_api_key": OTHER_KEY}), 1)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded().len(), 1);
}

#[tokio::test]
async fn the_size_limit_applies_to_the_complete_request() {
    let google = Google::start().await;
    let plugin = plugin();
    for (bytes, text) in [(15 * MIB - 3, 10), (15 * MIB - 64 * 1024, 10), (14 * MIB, 2 * MIB)] {
        let video = json!({"type": "video", "format": "mp4", "mime_type": "video/mp4", "base64_data": STANDARD.encode(vec![7; bytes])});
        let message = json!({"role": "user", "content": [video, {"type": "text", "data": "\"\n".repeat(text / 2)}]});
        let fields = json!({"model_type": "llm", "prompt_messages": [message]});
        assert_eq!(
            plugin.call(request(&google, "invoke_llm", "gemini-2.5-flash-lite", key(), fields)).await.text(),
            "Hello"
        );
        let sent = google.seen(":streamGenerateContent").pop().unwrap().bytes.len();
        assert!(sent <= 20 * MIB, "{bytes} bytes and {text} characters are {sent} bytes");
    }
    assert_eq!(google.state.files.uploaded().len(), 2, "files that fit are sent inline");
}

#[tokio::test]
async fn an_app_can_send_its_files_inline() {
    let google = Google::start().await;
    let mut asked = ask(&google, key(), 1);
    asked["model_parameters"] = json!({"use_inline_file": true});
    assert_eq!(plugin().call(asked).await.text(), "Hello");
    assert!(parts_sent(&google)[1]["inlineData"]["data"].as_str().unwrap().len() > LARGE);
    assert!(google.state.files.steps().is_empty());
}

#[tokio::test]
async fn without_uploads_files_are_sent_inline_or_rejected() {
    for absence in [404, 405, 501] {
        let google = Google::start().await;
        google.state.files.absent.store(absence, SeqCst);
        let plugin = plugin();
        for _ in 0..2 {
            assert_eq!(plugin.call(ask(&google, key(), 1)).await.text(), "Hello");
            assert!(parts_sent(&google)[1]["inlineData"]["data"].as_str().unwrap().len() > LARGE);
        }
        assert_eq!(google.state.files.steps().len(), 1, "a gateway is queried once");
    }
    let google = Google::start().await;
    google.state.files.nameless.store(true, SeqCst);
    let outcome = plugin().call(ask(&google, key(), 1)).await;
    assert!(outcome.failure().1.contains("`use_inline_file`"), "{:?}", outcome.failure());
    assert!(google.seen("enerateContent").is_empty(), "a gateway that accepts every request gets no oversized request");
    let google = Google::start().await;
    google.state.files.absent.store(503, SeqCst);
    let busy = plugin().call(ask(&google, key(), 1)).await;
    assert_eq!(busy.failure().0, "InvokeServerUnavailableError", "a busy service is not a missing one");
    let outcome = plugin().call(ask(&google, vertex(&google), 1)).await;
    assert!(outcome.failure().1.contains("at most 15728640 bytes"), "{:?}", outcome.failure());
    assert!(google.seen("enerateContent").is_empty());
}

#[tokio::test]
async fn a_long_audio_file_is_uploaded_for_transcription() {
    let recording = hex::encode(wav::wav(&vec![0; 16 * MIB], 16_000));
    let transcribe = |google: &Google, credentials: Value| {
        let fields = json!({"model_type": "speech2text", "file": recording});
        request(google, "invoke_speech2text", "gemini-3.5-transcribe", credentials, fields)
    };
    let google = Google::start().await;
    let plugin = plugin();
    for uploads in [1, 1, 2] {
        assert_eq!(plugin.call(transcribe(&google, key())).await.item()["result"], "Heard audio/wav.");
        assert_eq!(google.state.files.uploaded().len(), uploads);
        if google.seen(":generateContent").len() == 2 {
            google.state.files.expire();
        }
    }
    let refused = plugin.call(transcribe(&google, vertex(&google))).await;
    assert!(refused.failure().1.contains("at most 15 MiB"), "{:?}", refused.failure());
    google.state.files.absent.store(404, SeqCst);
    let outcome = setup::plugin().call(transcribe(&google, key())).await;
    assert_eq!(outcome.item()["result"], "Heard audio/wav.");
    let sent = google.seen(":generateContent").pop().unwrap();
    assert!(
        sent.body["contents"][0]["parts"][0]["inlineData"].is_object(),
        "a gateway without uploads gets the file inline"
    );
}

#[tokio::test]
async fn urls_that_google_can_read_are_passed_on_with_their_clip() {
    let google = Google::start().await;
    let part = |kind: &str, url: &str, mime_type: &str| json!({"type": kind, "url": url, "mime_type": mime_type});
    let videos = [
        (part("video", "https://www.youtube.com/watch?v=x", "text/html"), Value::Null),
        (part("video", "gs://bucket/clip.mp4", "video/mp4"), json!("video/mp4")),
        (part("video", "https://142.250.1.1/clip.mp4?sign=1", "video/mp4"), json!("video/mp4")),
    ];
    let content: Vec<Value> = videos.iter().map(|(video, _)| video.clone()).collect();
    let ask = |mut credentials: Value| {
        credentials["google_file_buckets"] = json!("other, bucket");
        let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": content}],
            "model_parameters": {"video_start": 10, "video_end": 25.5, "video_fps": 2}});
        request(&google, "invoke_llm", "gemini-3.8-flash", credentials, fields)
    };
    for (credentials, of_youtube) in [(key(), Value::Null), (vertex(&google), json!("video/mp4"))] {
        assert_eq!(plugin().call(ask(credentials)).await.text(), "Hello");
        for (index, (video, mime_type)) in videos.iter().enumerate() {
            let sent = &parts_sent(&google)[index];
            let mime_type = if index == 0 { &of_youtube } else { mime_type };
            assert_eq!((&sent["fileData"]["fileUri"], &sent["fileData"]["mimeType"]), (&video["url"], mime_type));
            assert_eq!(sent["videoMetadata"], json!({"startOffset": "10s", "endOffset": "25.5s", "fps": 2}));
        }
    }
    // A URL that Google cannot read is downloaded by the plugin, which is impossible behind this proxy.
    google.reply_to(
        ":streamGenerateContent",
        400,
        google::refusal(400, "INVALID_ARGUMENT", "Cannot fetch content from the provided URL.").1,
    );
    let proxied =
        json!({"google_api_key": API_KEY, "proxy_url": google.url, "google_base_url": "http://gateway.invalid"});
    let outcome = plugin().call(ask(proxied)).await;
    assert!(
        outcome.failure().1.contains("cannot download a file from https://142.250.1.1/clip.mp4"),
        "{:?}",
        outcome.failure()
    );
    assert_eq!(google.seen(":streamGenerateContent").len(), 3);
    assert!(google.seen("").iter().any(|seen| seen.method == "CONNECT"), "the download was attempted");
}

#[tokio::test]
async fn files_of_an_oversized_request_are_uploaded() {
    let google = Google::start().await;
    let small = |url: &str| {
        let image = json!({"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AAAA"});
        let fields = json!({"model_type": "llm", "prompt_messages": [{"role": "user", "content": [image]}]});
        let credentials = json!({"google_api_key": API_KEY, "google_base_url": url});
        request(&google, "invoke_llm", "gemini-3.8-flash", credentials, fields)
    };
    let too_large = || google.reply_to(":streamGenerateContent", 413, google::refusal(413, "", "Payload too large").1);
    too_large();
    assert_eq!(plugin().call(small(&google.url)).await.text(), "Hello");
    assert_eq!(google.state.files.uploaded(), [(3, "image/png".to_owned())]);
    assert!(parts_sent(&google)[0]["fileData"]["fileUri"].as_str().unwrap().ends_with("/f0"));
    // Without uploads, the error is final.
    google.state.files.absent.store(404, SeqCst);
    too_large();
    too_large();
    let outcome = plugin().call(small(&google.url)).await;
    assert_eq!(outcome.failure().0, "InvokeBadRequestError");
    assert!(outcome.failure().1.contains("Payload too large. The request is too large; send smaller files."));
}
