//! Bad input, what Google refuses, answers without content, and cancelled calls.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::google::{API_KEY, Google, refusal};
use crate::setup::{host, key, tool};

#[tokio::test]
async fn bad_input_is_named_before_anything_is_sent() {
    let (google, host) = (Google::start().await, host());
    for (name, parameters, words) in [
        ("search", json!({}), &["`query`"][..]),
        ("search", json!({"query": "  "}), &["`query` is empty"]),
        ("search", json!({"query": "a", "model": "../x"}), &["`../x`", "not a valid model name"]),
        ("maps", json!({"query": "a", "place": "99, 200"}), &["`place`", "99, 200"]),
        ("maps", json!({"query": "a", "language": "de DE"}), &["`language`"]),
        ("read_pages", json!({"urls": "example.com"}), &["`urls`", "`example.com`"]),
        ("create_image", json!({"prompt": ""}), &["`prompt` is empty"]),
        ("create_image", json!({"prompt": "a", "count": 9}), &["`count`", "from 1 to 4"]),
        ("create_image", json!({"prompt": "a", "aspect_ratio": "7:3"}), &["`aspect_ratio`"]),
        ("create_image", json!({"prompt": "a", "size": "512"}), &["gemini-nano-banana-2.1", "`size` 512"]),
        (
            "create_image",
            json!({"prompt": "a", "aspect_ratio": "8:1", "model": "gemini-3-pro-image"}),
            &["gemini-3-pro-image", "`aspect_ratio` 8:1"],
        ),
        ("edit_image", json!({"prompt": "a"}), &["`images`", "`image_urls`"]),
        ("edit_image", json!({"prompt": "a", "image_urls": "https://a.example/x.mp4"}), &["`image_urls`", "`mp4`"]),
        (
            "edit_image",
            json!({"prompt": "a", "image_urls": "https://a.example/x.png ".repeat(15)}),
            &["15 images", "14"],
        ),
        ("understand_media", json!({}), &["`files`", "`url`"]),
        ("understand_media", json!({"task": "answer", "url": "https://youtu.be/x"}), &["`question` is empty"]),
        ("understand_media", json!({"url": "gs://bucket/x.mp4"}), &["`url`", "https"]),
        ("understand_media", json!({"url": "https://youtu.be/x", "start": 9, "end": 3}), &["`end`"]),
        ("speak", json!({"text": ""}), &["`text` is empty"]),
        ("speak", json!({"text": "x".repeat(40_001)}), &["`text`", "40000"]),
        ("speak", json!({"text": "a", "language": "de_DE!"}), &["`language`"]),
        ("speak", json!({"text": "a", "format": "ogg"}), &["`format`"]),
    ] {
        let failure = tool(&host, &google, name, parameters.clone()).await.unwrap_err();
        let is_named = words.iter().all(|word| failure.message.contains(word));
        assert!(is_named && !failure.is_of_dify(), "{name} {parameters}: {}", failure.message);
    }
    assert!(google.seen("").is_empty());
}

fn ended(reason: &str, parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason}]})
}

#[tokio::test]
async fn what_google_refuses_is_explained() {
    let (google, host) = (Google::start().await, host());
    let text = |text: &str| json!([{ "text": text }]);
    let ratings = json!([{"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": true}]);
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}});
    for (name, (status, body), words) in [
        ("search", (200, blocked), &["the prompt was blocked (SAFETY)", "HARASSMENT", "`safety_filter`"][..]),
        ("search", (200, ended("SAFETY", json!([]))), &["(SAFETY)", "`safety_filter`"]),
        ("search", (200, ended("MAX_TOKENS", json!([]))), &["MAX_TOKENS", "output limit"]),
        ("create_image", (200, ended("IMAGE_SAFETY", json!([]))), &["IMAGE_SAFETY", "`safety_filter`"]),
        ("create_image", (200, ended("NO_IMAGE", json!([]))), &["NO_IMAGE", "describe what the image is to show"]),
        ("create_image", (200, ended("STOP", text("What color?"))), &["without an image: What color?"]),
        (
            "search",
            refusal(404, "NOT_FOUND", "This model is not found."),
            &["`gemini-3.8-flash`", "choose another one"],
        ),
        (
            "search",
            refusal(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
            &["depleted", "credit"],
        ),
        (
            "search",
            refusal(400, "INVALID_ARGUMENT", "Search Grounding is not supported."),
            &["`gemini-3.8-flash`", "Grounding is not supported", "Choose another model"],
        ),
        ("search", refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded."), &["Quota exceeded", "Try again later"]),
        ("search", (200, json!("<html>")), &["cannot parse"]),
        ("speak", (200, ended("PROHIBITED_CONTENT", json!([]))), &["PROHIBITED_CONTENT", "cannot be turned off"]),
        ("speak", refusal(400, "INVALID_ARGUMENT", "No matching speaker voice found for name: x"), &["speaker voice"]),
    ] {
        google.reply(status, body.clone());
        let parameters = json!({"query": "a", "prompt": "a", "text": "a"});
        let failure = tool(&host, &google, name, parameters).await.unwrap_err();
        assert!(words.iter().all(|word| failure.message.contains(word)), "{name} {body}: {}", failure.message);
        assert!(!failure.message.contains(API_KEY), "{}", failure.message);
    }
}

#[tokio::test]
async fn an_empty_answer_is_requested_once_more() {
    let (google, host) = (Google::start().await, host());
    google.reply(200, ended("STOP", json!([])));
    assert!(tool(&host, &google, "search", json!({"query": "a"})).await.is_ok());
    google.reply(200, ended("STOP", json!([])));
    google.reply(200, ended("STOP", json!([])));
    let failure = tool(&host, &google, "search", json!({"query": "a"})).await.unwrap_err();
    assert!(failure.message.contains("empty response"), "{}", failure.message);
    assert_eq!(google.seen(":generateContent").len(), 4);
}

#[tokio::test]
async fn an_answer_that_is_cut_says_so() {
    let google = Google::start().await;
    google.reply(200, ended("MAX_TOKENS", json!([{"text": "Half an"}])));
    let outputs = tool(&host(), &google, "search", json!({"query": "a"})).await.unwrap();
    assert_eq!(outputs.text(), "Half an\n\n[The answer is incomplete: MAX_TOKENS]");
    assert_eq!(outputs.variable("answer"), Some(&json!("Half an")));
    assert_eq!(outputs.json()[0]["finish_reason"], "max_tokens");
}

#[tokio::test]
async fn a_gateway_that_does_not_know_a_field_gets_the_request_without_it() {
    let google = Google::start().await;
    google.reply_to(
        ":generateContent",
        400,
        refusal(400, "INVALID_ARGUMENT", "Unknown name \"store\": Cannot find field.").1,
    );
    assert!(tool(&host(), &google, "search", json!({"query": "a"})).await.is_ok());
    let sent: Vec<_> = google.seen(":generateContent").iter().map(|seen| seen.body.get("store").is_some()).collect();
    assert_eq!(sent, [true, false]);
}

/// A server that answers nothing, with counts of the requests that came and of those whose client is gone.
struct Silent {
    url: String,
    came: Arc<Semaphore>,
    gone: Arc<Semaphore>,
}

impl Silent {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (came, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let counts = (came.clone(), gone.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (came, gone) = counts.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    let mut is_new = true;
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        if std::mem::take(&mut is_new) {
                            came.add_permits(1);
                        }
                    }
                    gone.add_permits(1);
                });
            }
        });
        Self { url, came, gone }
    }
}

#[tokio::test]
async fn a_cancelled_call_stops_its_requests() {
    let (silent, host) = (Silent::start().await, host());
    for (name, parameters, requests) in [
        ("search", json!({"query": "a"}), 1),
        ("create_image", json!({"prompt": "a", "count": 3}), 3),
        ("speak", json!({"text": "a"}), 1),
    ] {
        let mut credentials = json!({"google_api_key": API_KEY});
        credentials["google_base_url"] = json!(silent.url);
        let session = host.tool(name).parameters(parameters).credentials(credentials).start();
        silent.came.acquire_many(requests).await.unwrap().forget();
        session.cancel();
        silent.gone.acquire_many(requests).await.unwrap().forget();
        let (items, outcome) = session.finish().await;
        assert!(items.is_empty() && outcome.is_ok(), "{name}: {items:?} {outcome:?}");
    }
}

#[tokio::test]
async fn an_unreachable_service_is_named() {
    let google = Google::start().await;
    let mut credentials = key(&google);
    credentials["google_base_url"] = json!("http://127.0.0.1:1");
    let call = tool(&host(), &google, "search", json!({"query": "a"})).credentials(credentials).await;
    assert!(call.unwrap_err().message.contains("127.0.0.1:1"));
}

#[tokio::test]
async fn large_images_cross_a_slow_reader_within_the_line_limit() {
    let google = Google::start().await;
    let bytes = [&b"\x89PNG"[..], &vec![7; 2 * 1024 * 1024]].concat();
    let image = json!({"inlineData": {"mimeType": "image/png", "data": STANDARD.encode(&bytes)}});
    google.reply(200, ended("STOP", json!([image.clone(), image])));
    let host = host().slow_reader(Duration::from_micros(10)).max_line_bytes(1024 * 1024);
    let outputs = tool(&host, &google, "create_image", json!({"prompt": "a"})).await.unwrap();
    assert_eq!(outputs.files().len(), 2);
    assert!(outputs.files().iter().all(|file| file.bytes == bytes));
}

#[tokio::test]
async fn a_lost_connection_to_dify_stops_the_requests() {
    let (silent, host) = (Silent::start().await, host());
    let credentials = json!({"google_api_key": API_KEY, "google_base_url": silent.url});
    let session = host.tool("search").parameter("query", "a").credentials(credentials).start();
    silent.came.acquire_many(1).await.unwrap().forget();
    host.disconnect();
    silent.gone.acquire_many(1).await.unwrap().forget();
    assert!(session.finish().await.1.is_err());
}

/// A server that answers every request with these bytes and closes the connection.
async fn closing(response: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 64 * 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn broken_responses_are_errors_and_nothing_of_them_is_sent() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    let whole = ended("STOP", json!([{"text": "Hello"}])).to_string();
    let page = "<html><title>Sign in</title></html>";
    let host = host();
    for (response, words) in [
        (format!("{head}{}\r\n\r\n{}", whole.len(), &whole[..whole.len() / 2]), "before the response was complete"),
        (format!("{head}{}\r\n\r\n{}", whole.len() / 2, &whole[..whole.len() / 2]), "cannot parse the response"),
        (format!("{head}{}\r\n\r\n{page}", page.len()), "cannot parse the response"),
        ("HTTP/1.1 302 Found\r\nlocation: https://a.example/\r\ncontent-length: 0\r\n\r\n".to_owned(), "302"),
        ("not http".to_owned(), "127.0.0.1"),
    ] {
        let url = closing(response.clone()).await;
        let credentials = json!({"google_api_key": API_KEY, "google_base_url": url, "max_retries": "0"});
        for (name, parameters) in [("search", json!({"query": "a"})), ("speak", json!({"text": "a"}))] {
            let session = host.tool(name).parameters(parameters).credentials(credentials.clone()).start();
            let (items, outcome) = session.finish().await;
            let failure = outcome.unwrap_err();
            assert!(failure.message.contains(words), "{name} {response}: {}", failure.message);
            assert!(items.is_empty(), "{items:?}");
        }
    }
}
