//! How long a file is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::json;

use super::super::connection::TokenSources;
use super::*;
use dify_plugin::error::ErrorKind;

/// A service that takes uploads and never gets ready with them; counts the looks.
async fn slow_service() -> (String, Arc<AtomicUsize>) {
    let looks = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = json!({"name": "files/f", "state": "PROCESSING", "uri": "https://files.example/f"});
    let (made, seen) = (json!({"file": file}).to_string(), file.to_string());
    let upload = move || {
        let made = made.clone();
        async move { ([("x-goog-upload-url", "https://files.example/u"), ("x-goog-upload-status", "final")], made) }
    };
    let look = move |State(looks): State<Arc<AtomicUsize>>| {
        looks.fetch_add(1, Ordering::SeqCst);
        let seen = seen.clone();
        async move { seen }
    };
    let routes = Router::new()
        .route("/upload/v1beta/files", post(upload.clone()))
        .route("/u", post(upload))
        .route("/v1beta/files/f", get(look))
        .with_state(looks.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, looks)
}

#[tokio::test]
async fn a_file_that_is_never_ready_is_waited_for_so_long() {
    let (url, looks) = slow_service().await;
    let fields = json!({"google_api_key": "k", "google_base_url": url});
    let upstream = Upstream::new();
    let connection =
        Connection::new(&serde_json::from_value(fields).unwrap(), &upstream, &TokenSources::default()).unwrap();
    let files = Files { patience: Duration::from_millis(2900), ..Files::default() };
    let address = || files.address(&upstream, &connection, 1, "video/mp4", Bytes::from_static(b"film"));
    let both = tokio::join!(address(), address());
    for outcome in [both.0, both.1] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ServerUnavailable);
        assert!(error.message.contains("not ready within 2 s"), "{error}");
    }
    // After half a second and one second more; twice that if each had waited for an end of its own.
    assert!((1..=2).contains(&looks.load(Ordering::SeqCst)), "those who waited for one upload share its end");
}
