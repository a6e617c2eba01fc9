//! A mock server on loopback that speaks the Gemini wire format, to try the runtime without an API key.
//!
//! It is not a model: it returns a fixed text with the prompt and estimated token counts. Its responses take the same
//! code path as real ones.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Delay between two chunks, so that streaming is visible.
const CHUNK_DELAY: Duration = Duration::from_millis(15);

/// Starts the server and returns its base URL. It stops when the process ends.
pub(super) async fn start() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = Router::new().route("/{version}/models/{*call}", any(respond));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::warn!(%error, "the mock server stopped");
        }
    });
    Ok(url)
}

async fn respond(Path((_, call)): Path<(String, String)>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (model, method) = call.rsplit_once(':').unwrap_or((&call, ""));
    let prompt = last_text(&request);
    let prompt_tokens = count(&request["contents"].to_string());
    match method {
        "streamGenerateContent" => event_stream(model, &chunk_texts(&prompt), prompt_tokens),
        "generateContent" => axum::Json(chunk(model, &chunk_texts(&prompt).concat(), Some(prompt_tokens))).into_response(),
        "countTokens" => axum::Json(json!({"totalTokens": prompt_tokens})).into_response(),
        _ => (
            StatusCode::NOT_FOUND,
            axum::Json(json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "the mock server implements generateContent only"}})),
        )
            .into_response(),
    }
}

fn event_stream(model: &str, texts: &[String], prompt_tokens: usize) -> Response {
    let last = texts.len() - 1;
    let events: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| format!("data: {}\r\n\r\n", chunk(model, text, (index == last).then_some(prompt_tokens))))
        .collect();
    let body = async_stream::stream! {
        for event in events {
            yield Ok::<_, Infallible>(event);
            tokio::time::sleep(CHUNK_DELAY).await;
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// Builds a `GenerateContentResponse`. The last one has the number of prompt tokens.
fn chunk(model: &str, text: &str, last: Option<usize>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [{"text": text}]}});
    let mut chunk = json!({"modelVersion": model});
    if let Some(prompt_tokens) = last {
        let output_tokens = 60;
        candidate["finishReason"] = json!("STOP");
        chunk["usageMetadata"] = json!({
            "promptTokenCount": prompt_tokens,
            "candidatesTokenCount": output_tokens,
            "totalTokenCount": prompt_tokens + output_tokens,
        });
    }
    chunk["candidates"] = json!([candidate]);
    chunk
}

fn chunk_texts(prompt: &str) -> Vec<String> {
    let text = format!(
        "This reply comes from the mock server built into dify-plugin-runtime, not from a model. It speaks the Gemini \
         API on loopback, so that you can see the complete request path without an API key. You asked: \"{prompt}\" \
         To use the real Gemini API, set GEMINI_API_KEY and run the same command again."
    );
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn last_text(request: &Value) -> String {
    let contents = request["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = contents.last().and_then(|content| content["parts"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let text: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    text.join(" ").chars().take(300).collect()
}

/// Estimates tokens at four characters per token.
fn count(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}
