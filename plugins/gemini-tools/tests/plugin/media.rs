//! Media: described, transcribed, asked about; inline, uploaded, or at a URL.

use std::sync::atomic::Ordering::SeqCst;

use dify_plugin::serde_json::{Value, json};

use crate::google::Google;
use crate::setup::{Files, host, tool, vertex};

/// More than a request can contain.
const LARGE: usize = 16 * 1024 * 1024;

async fn files() -> Files {
    Files::start(vec![
        ("talk.mp4", "video/mp4", vec![7; LARGE]),
        ("talk.mp3", "audio/mpeg", b"ID3\x04tiny".to_vec()),
        ("report.pdf", "application/pdf", b"%PDF-1.7".to_vec()),
        ("empty.txt", "text/plain", Vec::new()),
        ("plan.docx", "application/octet-stream", b"PK\x03\x04".to_vec()),
    ])
    .await
}

fn parts_of(google: &Google) -> Value {
    google.seen(":generateContent").pop().unwrap().body["contents"][0]["parts"].clone()
}

#[tokio::test]
async fn small_files_are_sent_in_the_request() {
    let (google, files) = (Google::start().await, files().await);
    let media =
        json!([files.file("talk.mp3", "audio", "audio/mpeg"), files.file("report.pdf", "document", "application/pdf")]);
    let parameters = json!({"task": "answer", "question": "What is it about?", "files": media});
    let outputs = tool(&host(), &google, "understand_media", parameters).await.unwrap();
    let answer = "Seen audio/mpeg, application/pdf: What is it about?";
    assert_eq!((outputs.text(), outputs.variable("answer")), (answer, Some(&json!(answer))));
    let named = json!([{"name": "talk.mp3", "mime_type": "audio/mpeg"}, {"name": "report.pdf", "mime_type": "application/pdf"}]);
    assert_eq!(outputs.json()[0]["files"], named);
    assert!(google.state.files.steps().is_empty());
}

#[tokio::test]
async fn a_large_video_is_uploaded_once_and_polled_until_it_is_ready() {
    let (google, files, host) = (Google::start().await, files().await, host());
    google.state.files.processing.store(1, SeqCst);
    let parameters = json!({"files": [files.file("talk.mp4", "video", "video/mp4")], "start": 2, "end": 4.5});
    for _ in 0..2 {
        let outputs = tool(&host, &google, "understand_media", parameters.clone()).await.unwrap();
        assert!(outputs.text().starts_with("Seen video/mp4 at https://"), "{}", outputs.text());
    }
    assert_eq!(google.state.files.uploaded(), [(LARGE, "video/mp4".to_owned())]);
    assert_eq!(parts_of(&google)[0]["videoMetadata"], json!({"startOffset": "2s", "endOffset": "4.5s"}));
    // What Google has deleted meanwhile is uploaded again.
    google.state.files.expire();
    assert!(tool(&host, &google, "understand_media", parameters).await.is_ok());
    assert_eq!(google.state.files.uploaded().len(), 2);
}

#[tokio::test]
async fn google_cloud_has_no_uploads() {
    let (google, files) = (Google::start().await, files().await);
    let parameters = json!({"files": [files.file("talk.mp4", "video", "video/mp4")]});
    let failure =
        host().tool("understand_media").parameters(parameters).credentials(vertex(&google)).await.unwrap_err();
    assert!(
        failure.message.contains("Google Cloud has no uploads") && failure.message.contains("Gemini Developer API")
    );
    let parameters = json!({"files": [files.file("talk.mp3", "audio", "audio/mpeg")]});
    let outputs = host().tool("understand_media").parameters(parameters).credentials(vertex(&google)).await.unwrap();
    assert!(outputs.text().starts_with("Seen audio/mpeg"), "{}", outputs.text());
}

#[tokio::test]
async fn a_transcript_has_times_and_speakers_if_they_are_wanted() {
    let (google, files, host) = (Google::start().await, files().await, host());
    let audio = json!([files.file("talk.mp3", "audio", "audio/mpeg")]);
    let parameters = json!({"task": "transcribe", "files": audio, "timestamps": true, "speakers": true});
    let outputs = tool(&host, &google, "understand_media", parameters).await.unwrap();
    assert_eq!(outputs.text(), "[00:01] Anna: Hi.\n[00:02] Ben: Yes.");
    assert_eq!(outputs.variable("segments").unwrap()[1], json!({"start": "00:02", "speaker": "Ben", "text": "Yes."}));
    let outputs =
        tool(&host, &google, "understand_media", json!({"task": "transcribe", "files": audio})).await.unwrap();
    assert!(outputs.text().starts_with("Seen audio/mpeg: Transcribe"), "{}", outputs.text());
    assert_eq!(outputs.variable("segments"), Some(&json!([])));
}

#[tokio::test]
async fn google_reads_what_a_url_leads_to() {
    let (google, host) = (Google::start().await, host());
    let youtube = "https://www.youtube.com/watch?v=x";
    for (url, cloud, file) in [
        (youtube, false, json!({"fileUri": youtube})),
        (youtube, true, json!({"fileUri": youtube, "mimeType": "video/mp4"})),
        (
            "https://a.example/x.pdf",
            false,
            json!({"fileUri": "https://a.example/x.pdf", "mimeType": "application/pdf"}),
        ),
    ] {
        let call = tool(&host, &google, "understand_media", json!({ "url": url }));
        let call = if cloud { call.credentials(vertex(&google)) } else { call };
        assert!(call.await.is_ok(), "{url} {cloud}");
        assert_eq!(parts_of(&google)[0], json!({ "fileData": file }), "{url} {cloud}");
    }
}

#[tokio::test]
async fn unreadable_files_are_named_before_they_are_downloaded() {
    let (google, files, host) = (Google::start().await, files().await, host());
    let office = files.file("plan.docx", "document", "application/octet-stream");
    for (file, words) in [
        (office.clone(), &["`files`", "`plan.docx`", "Gemini 4"][..]),
        (files.file("empty.txt", "document", "text/plain"), &["`empty.txt`", "empty"]),
        (json!({"url": "/files/x", "filename": "x.pdf", "type": "document"}), &["`x.pdf`", "FILES_URL"]),
    ] {
        let failure = tool(&host, &google, "understand_media", json!({"files": [file]})).await.unwrap_err();
        assert!(words.iter().all(|word| failure.message.contains(word)), "{}", failure.message);
    }
    assert!(google.seen("").is_empty());
    let parameters = json!({"files": [office], "model": "gemini-4-carbon"});
    assert!(tool(&host, &google, "understand_media", parameters).await.is_ok());
}
