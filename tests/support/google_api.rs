//! What the fake of Google's API answers to each method.
#![allow(dead_code)]

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::google::{Seen, Shared, json_answer, refusal};

/// Files that were uploaded.
#[derive(Default)]
pub struct Files;

pub fn answer(_state: &Shared, seen: &Seen) -> Response {
    let method = seen.path.rsplit(':').next().unwrap_or_default();
    let usage = json!({"promptTokenCount": 4, "candidatesTokenCount": 1, "totalTokenCount": 5});
    let said = |parts: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": usage})
    };
    match method {
        "streamGenerateContent" => {
            let event = format!("data: {}\r\n\r\n", said(json!([{"text": "Hello"}])));
            ([(header::CONTENT_TYPE, "text/event-stream")], event).into_response()
        }
        "countTokens" => json_answer(200, &json!({"totalTokens": 7})),
        _ if seen.path.ends_with("/models") => json_answer(200, &json!({"models": [{"name": "models/gemini-x"}]})),
        _ => {
            let (status, body) = refusal(404, "NOT_FOUND", &format!("no such path: {}", seen.path));
            json_answer(status, &body)
        }
    }
}
