//! A server with an OpenAI-compatible API on loopback. The last message decides what it answers; it counts what it was sent,
//! and notices when a client leaves.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub const KEY: &str = "sk-the-right-key-0123456789";

/// Markup that would run, load or lead away, were it not shown as text.
pub const HOSTILE: &str = concat!(
    "<script>window.hurt = 'script'</script>\n\n<img src=x onerror=\"window.hurt = 'img'\">\n\n",
    "<svg onload=\"window.hurt = 'svg'\"><a xlink:href=\"javascript:window.hurt='xlink'\">x</a></svg>\n\n",
    "<iframe srcdoc=\"<script>parent.hurt = 'iframe'</script>\"></iframe>\n\n",
    "[a link](javascript:window.hurt='link') [data](data:text/html,<script>opener.hurt='data'</script>)\n\n",
    "![far](https://tracker.example/pixel.png) ![local](/api/plugin) <https://outside.example/> [out](https://outside.example/)\n\n",
    "```html\n<script>window.hurt = 'code'</script>\n```\n\n| a | b |\n|---|---|\n| <b onclick=\"hurt=1\">x</b> | ![t](//tracker.example/t.gif) |\n\nend of hostile text"
);

/// An answer for images of the page.
const RIVERS: &str = "<think>The user asks for rivers of two cities. A small table shows them best.</think>**Two cities, two rivers:**\n\n\
| City | River | Length |\n|---|---|---|\n| Riga | Daugava | 1,020 km |\n| Vilnius | Neris | 510 km |\n\n\
Both flow to the *Baltic Sea*, the Neris through the Nemunas. In code: `len(rivers) == 2`.";

#[derive(Default)]
struct Seen {
    bodies: Mutex<Vec<Value>>,
    left: AtomicUsize,
}

pub struct Upstream {
    /// `http://127.0.0.1:port/v1`
    pub url: String,
    seen: Arc<Seen>,
}

impl Upstream {
    pub fn start(runtime: &Handle) -> Self {
        let seen = Arc::new(Seen::default());
        let router = axum::Router::new().route("/v1/chat/completions", post(chat)).with_state(seen.clone());
        let url = runtime.block_on(crate::loopback::serve(router)) + "/v1";
        Self { url, seen }
    }

    /// What it was sent.
    pub fn bodies(&self) -> Vec<Value> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// How many clients left before the end.
    pub fn left(&self) -> usize {
        self.seen.left.load(Ordering::SeqCst)
    }
}

fn chunk(delta: &Value, reason: Option<&str>) -> Bytes {
    let chunk = json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    });
    Bytes::from(format!("data: {chunk}\n\n"))
}

fn text(content: &str) -> Bytes {
    chunk(&json!({ "content": content }), None)
}

/// The last message's text, and whether an image came with it.
fn asked(body: &Value) -> (String, bool) {
    let content = &body["messages"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null)["content"];
    if let Some(text) = content.as_str() {
        return (text.to_owned(), false);
    }
    let parts = content.as_array().cloned().unwrap_or_default();
    let words = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    (words, parts.iter().any(|part| part["type"] == "image_url"))
}

async fn chat(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    seen.bodies.lock().unwrap().push(body.clone());
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {KEY}")) {
        let error = json!({"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"}});
        return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], error.to_string())
            .into_response();
    }
    if body["stream"] != true {
        let answer = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "fake",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
        return ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response();
    }
    let (sender, mut receiver) = mpsc::channel::<Bytes>(64);
    tokio::spawn(async move {
        if answer(&sender, &body).await.is_none() || sender.is_closed() {
            seen.left.fetch_add(1, Ordering::SeqCst);
        }
    });
    let stream = async_stream::stream! {
        while let Some(bytes) = receiver.recv().await {
            yield Ok::<_, Infallible>(bytes);
        }
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Writes an answer; none when the client left.
async fn answer(sender: &mpsc::Sender<Bytes>, body: &Value) -> Option<()> {
    let (asked, image) = asked(body);
    let send = |bytes| async { sender.send(bytes).await.ok() };
    match asked.split_whitespace().next().unwrap_or_default() {
        "wait" => {
            send(text("one moment")).await?;
            sender.closed().await;
            return None;
        }
        "hostile" => {
            for part in HOSTILE.split_inclusive(' ') {
                send(text(part)).await?;
            }
        }
        "huge" => {
            let part = "<b>0123456789</b>".repeat(64 * 1024 / 17);
            let bytes = asked.split_whitespace().nth(1)?.parse::<usize>().ok()?;
            for _ in 0..(bytes / part.len()) {
                send(text(&part)).await?;
            }
            send(text("end of the huge answer")).await?;
        }
        "fast" => {
            let mut tick = tokio::time::interval(Duration::from_micros(3_333));
            for number in 0..900 {
                tick.tick().await;
                send(text(&format!("word{number} **bold** "))).await?;
            }
            send(text("end of the fast answer")).await?;
        }
        "tool"
            if body["tools"].is_array()
                && body["messages"].as_array()?.iter().all(|message| message["role"] != "tool") =>
        {
            let call = json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                "function": {"name": body["tools"][0]["function"]["name"], "arguments": "{\"city\": \"Riga\"}"}}]});
            send(chunk(&call, None)).await?;
        }
        "structured" => {
            for part in ["{\"year_of", "_birth\":", " 1984}"] {
                send(text(part)).await?;
            }
        }
        "Which" => {
            for part in RIVERS.split_inclusive(' ') {
                send(text(part)).await?;
                tokio::time::sleep(Duration::from_millis(8)).await;
            }
        }
        _ => {
            send(text("# Hello\n\n")).await?;
            send(text("The answer is **bold** and `code`")).await?;
            send(text(if image { ", and an image came." } else { ", without an image." })).await?;
        }
    }
    send(chunk(&json!({}), Some("stop"))).await?;
    let usage = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}});
    send(Bytes::from(format!("data: {usage}\n\ndata: [DONE]\n\n"))).await
}
