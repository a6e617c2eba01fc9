//! A server with the parts of the Gemini API that the browser's tests need: an answer with an image, and a background agent that is
//! polled. It notes what it was sent. How the provider behaves is tested elsewhere.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::runtime::Handle;

pub const KEY: &str = "AIza-the-key-of-the-browser-tests";

/// An image that a browser draws.
pub const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// How often the agent is still at work when it is asked.
const CHECKS_WHILE_RUNNING: usize = 1;

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

pub struct Gemini {
    /// `http://127.0.0.1:port`
    pub url: String,
    seen: Seen,
}

impl Gemini {
    pub fn start(runtime: &Handle) -> Self {
        let seen = Seen::default();
        let router = axum::Router::new().fallback(answer).with_state(seen.clone());
        Self { url: runtime.block_on(crate::loopback::serve(router)), seen }
    }

    /// The bodies of requests to paths that contain `part`.
    pub fn seen(&self, part: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(path, _)| path.contains(part)).map(|(_, body)| body.clone()).collect()
    }
}

async fn answer(State(seen): State<Seen>, method: Method, uri: Uri, headers: HeaderMap, body: String) -> Response {
    if headers.get("x-goog-api-key").is_none_or(|key| key != KEY) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path = uri.path().to_owned();
    let checks = seen.lock().unwrap().iter().filter(|(path, _)| path.ends_with("/interactions/v1_task")).count();
    seen.lock().unwrap().push((path.clone(), serde_json::from_str(&body).unwrap_or_default()));
    if path.ends_with(":streamGenerateContent") {
        let parts = json!([{"text": "Here it is: "}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]);
        let event = json!({
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        });
        return ([(header::CONTENT_TYPE, "text/event-stream")], Body::from(format!("data: {event}\r\n\r\n")))
            .into_response();
    }
    let task = match (method, path.as_str()) {
        (Method::POST, path) if path.ends_with("/interactions") => json!({"id": "v1_task", "status": "in_progress"}),
        (Method::GET, path) if path.ends_with("/interactions/v1_task") && checks < CHECKS_WHILE_RUNNING => {
            json!({"id": "v1_task", "status": "in_progress"})
        }
        (Method::GET, path) if path.ends_with("/interactions/v1_task") => json!({
            "id": "v1_task", "status": "completed",
            "outputs": [{"type": "text", "text": "It **scatters** light."}, {"type": "image", "mime_type": "image/png", "data": PIXEL}],
            "usage": {"total_input_tokens": 20, "total_output_tokens": 7},
        }),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    Json(task).into_response()
}
