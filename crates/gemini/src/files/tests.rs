//! Limits of the wait for uploaded files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::json;

use super::super::connection::TokenSources;
use super::*;
use dify_plugin::error::ErrorKind;

/// A service that accepts uploads but never finishes processing them; counts the polls.
async fn slow_service() -> (String, Arc<AtomicUsize>) {
    let polls = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = json!({"name": "files/f", "state": "PROCESSING", "uri": "https://files.example/f"});
    let (made, seen) = (json!({"file": file}).to_string(), file.to_string());
    let upload = move || {
        let made = made.clone();
        async move { ([("x-goog-upload-url", "https://files.example/u"), ("x-goog-upload-status", "final")], made) }
    };
    let look = move |State(polls): State<Arc<AtomicUsize>>| {
        polls.fetch_add(1, Ordering::SeqCst);
        let seen = seen.clone();
        async move { seen }
    };
    let routes = Router::new()
        .route("/upload/v1beta/files", post(upload.clone()))
        .route("/u", post(upload))
        .route("/v1beta/files/f", get(look))
        .with_state(polls.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, polls)
}

#[tokio::test]
async fn waiting_for_a_file_ends_at_the_timeout() {
    let (url, polls) = slow_service().await;
    let fields = json!({"google_api_key": "k", "google_base_url": url});
    let upstream = Upstream::new();
    let connection =
        Connection::new(&serde_json::from_value(fields).unwrap(), &upstream, &TokenSources::default()).unwrap();
    let files = Files { processing_timeout: Duration::from_millis(2900), ..Files::default() };
    let uri = || files.uri(&upstream, &connection, 1, "video/mp4", Bytes::from_static(b"video"));
    let both = tokio::join!(uri(), uri());
    for outcome in [both.0, both.1] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ServerUnavailable);
        assert!(error.message.contains("not ready after 2 s"), "{error}");
    }
    // One poll after 0.5 s and one after another second; twice as many if each request had waited separately.
    assert!((1..=2).contains(&polls.load(Ordering::SeqCst)), "requests that wait for one upload share its result");
}
