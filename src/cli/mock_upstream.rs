//! A small upstream on loopback that speaks the Gemini wire format, for a first try without a key.
//!
//! It is no model: it says what it is, repeats the question and counts words. Every answer passes the same code as a real one.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Wait between two pieces, so that streaming can be seen.
const PACE: Duration = Duration::from_millis(15);

/// Starts the upstream and gives its base URL. It ends with the process.
pub async fn start() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot open a port on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = Router::new().route("/{version}/models/{*call}", any(answer));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::warn!(%error, "the embedded upstream ended");
        }
    });
    Ok(url)
}

async fn answer(Path((_, call)): Path<(String, String)>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (model, method) = call.rsplit_once(':').unwrap_or((&call, ""));
    let prompt = last_text(&request);
    let prompt_tokens = count(&request["contents"].to_string());
    match method {
        "streamGenerateContent" => event_stream(model, &pieces(&prompt), prompt_tokens),
        "generateContent" => axum::Json(chunk(model, &pieces(&prompt).concat(), Some(prompt_tokens))).into_response(),
        "countTokens" => axum::Json(json!({"totalTokens": prompt_tokens})).into_response(),
        _ => (
            StatusCode::NOT_FOUND,
            axum::Json(json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "the embedded upstream only generates content"}})),
        )
            .into_response(),
    }
}

fn event_stream(model: &str, pieces: &[String], prompt_tokens: usize) -> Response {
    let last = pieces.len() - 1;
    let events: Vec<String> = pieces
        .iter()
        .enumerate()
        .map(|(index, piece)| {
            format!("data: {}\r\n\r\n", chunk(model, piece, (index == last).then_some(prompt_tokens)))
        })
        .collect();
    let body = async_stream::stream! {
        for event in events {
            yield Ok::<_, Infallible>(event);
            tokio::time::sleep(PACE).await;
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// One `GenerateContentResponse`; with the prompt's tokens it is the last one.
fn chunk(model: &str, text: &str, last: Option<usize>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [{"text": text}]}});
    let mut chunk = json!({"modelVersion": model});
    if let Some(prompt_tokens) = last {
        let answer_tokens = 60;
        candidate["finishReason"] = json!("STOP");
        chunk["usageMetadata"] = json!({
            "promptTokenCount": prompt_tokens,
            "candidatesTokenCount": answer_tokens,
            "totalTokenCount": prompt_tokens + answer_tokens,
        });
    }
    chunk["candidates"] = json!([candidate]);
    chunk
}

fn pieces(prompt: &str) -> Vec<String> {
    let text = format!(
        "This is the embedded upstream of dify-plugin-runtime, not a model. It speaks the Gemini wire format on \
         loopback so that you can see the whole path at work without a key. You asked: \"{prompt}\" Set \
         GEMINI_API_KEY and run the same command to ask Gemini itself."
    );
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn last_text(request: &Value) -> String {
    let contents = request["contents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = contents.last().and_then(|content| content["parts"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let text: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    text.join(" ").chars().take(300).collect()
}

/// About four characters to a token.
fn count(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}
