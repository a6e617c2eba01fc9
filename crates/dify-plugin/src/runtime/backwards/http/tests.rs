//! Calls against a daemon on loopback, played by bytes.

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::plugin::dify::{Dify, DifyFacts};
use crate::protocol::backwards::ToolType;
use crate::runtime::backwards::OpenCalls;
use crate::runtime::places::Places;

/// A daemon that answers every connection with the same bytes, and keeps what it was sent.
async fn daemon(answer: Vec<u8>, stays_open: bool) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/base", listener.local_addr().unwrap())).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (answer, requests) = (answer.clone(), requests.clone());
            tokio::spawn(async move {
                let request = read(&mut socket).await;
                requests.lock().unwrap().push(request);
                let _ = socket.write_all(&answer).await;
                if stays_open {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (url, seen)
}

async fn read(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 16384];
        let count = socket.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if count == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

fn streamed(lines: &[String]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    [head.to_owned(), "\n\n".to_owned(), lines.join("\n\n\n")].concat().into_bytes()
}

fn rejected(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn event(id: &str, event: &str, message: &str, data: Value) -> String {
    json!({"session_id": "s", "event": "backwards_response",
        "data": {"backwards_request_id": id, "event": event, "message": message, "data": data}})
    .to_string()
}

fn session(daemon: Option<Url>) -> (OpenCalls, Dify) {
    let place = Lendable::new(None);
    let options = BackwardsOptions::default();
    let calls = HttpCalls::new(daemon, Upstream::new(), Arc::from("s"), options, place.clone());
    let open = OpenCalls::new(Arc::new(calls), place);
    let dify = Dify::new(open.handle(), DifyFacts::default());
    (open, dify)
}

#[tokio::test]
async fn a_call_is_one_request_and_its_events_are_the_response() {
    let message = |text: &str| json!({"type": "text", "message": {"text": text}, "meta": null});
    let lines = [
        event("other", "response", "stream", message("not yours")),
        event("s-0", "response", "stream", message("one")),
        event("s-0", "progress", "", Value::Null),
        event("s-0", "response", "stream", message("two")),
        event("s-0", "end", "", Value::Null),
        event("s-0", "response", "stream", message("behind the end")),
    ];
    let (url, seen) = daemon(streamed(&lines), false).await;
    let (_open, dify) = session(Some(url));
    let messages = dify.tool(ToolType::Builtin, "p", "t").parameter("a", 1).whole().await.unwrap();
    assert_eq!(messages.iter().filter_map(|message| message.as_text()).collect::<Vec<_>>(), ["one", "two"]);
    let request = seen.lock().unwrap()[0].clone();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /base/backwards-invocation/transaction HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("dify-plugin-session-id: s\r\n"), "{head}");
    let line: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&line["event"], &line["session_id"]), (&json!("session"), &json!("s")));
    let data = &line["data"]["data"];
    assert_eq!((&data["type"], &data["backwards_request_id"]), (&json!("tool"), &json!("s-0")));
}

#[tokio::test]
async fn failures_have_their_kinds() {
    use DifyErrorKind::*;
    let unknown = json!({"backwards_request_id": "s-0", "event": "error", "message": "failed to get session info from cache",
        "data": {"error_type": "SessionNotFound", "detail": "key not found"}});
    let late = event("s-0", "error", "invoke tool failed: request failed: tool not found", Value::Null);
    for (answer, kind, hint) in [
        (rejected("400 Bad Request", &unknown.to_string()), SessionEnded, "600 s"),
        (rejected("404 Not Found", "404 page not found"), Unsupported, "PLATFORM=serverless"),
        (rejected("500 Internal Server Error", "failed to parse request"), Failed, ""),
        (streamed(&[late]), NotFound, "workspace"),
        (streamed(&[]), Unreachable, ""),
        (streamed(&["{".to_owned()]), Malformed, ""),
        (streamed(&[event("s-0", "response", "", json!(5))]), Malformed, ""),
        (Vec::new(), Unreachable, "DIFY_PLUGIN_DAEMON_URL"),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let (url, seen) = daemon(answer, false).await;
        let (_open, dify) = session(Some(url));
        let error = dify.tool(ToolType::Builtin, "p", "t").whole().await.unwrap_err();
        assert_eq!(error.kind, kind, "{shown}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{shown}: {error}");
        assert_eq!(seen.lock().unwrap().len(), 1, "a call is sent once: {shown}");
    }
}

#[tokio::test]
async fn a_call_that_cannot_arrive_is_not_sent() {
    let (_open, dify) = session(None);
    let error = dify.storage().get("k").await.unwrap_err();
    assert!(
        error.kind == DifyErrorKind::Unreachable && error.to_string().contains("DIFY_PLUGIN_DAEMON_URL"),
        "{error}"
    );
    let (url, seen) = daemon(Vec::new(), false).await;
    let (open, dify) = session(Some(url));
    let error = dify.storage().set("k", vec![0; MAX_BODY_BYTES / 2]).await.unwrap_err();
    assert!(error.kind == DifyErrorKind::TooLarge && error.message.contains("limit 6291456"), "{error}");
    drop(open);
    assert_eq!(dify.storage().get("k").await.unwrap_err().kind, DifyErrorKind::SessionEnded);
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_the_session_ends_its_requests() {
    let first = event("s-0", "response", "struct", json!({"type": "text", "message": {"text": "one"}}));
    let (url, _) = daemon(streamed(&[first, String::new()]), true).await;
    let (open, dify) = session(Some(url));
    let mut messages = dify.tool(ToolType::Builtin, "p", "t").stream().await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap().as_text(), Some("one"));
    drop(open);
    assert_eq!(messages.next().await.unwrap().unwrap_err().kind, DifyErrorKind::SessionEnded);
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn a_session_that_waits_for_a_request_lends_its_place() {
    let (url, seen) = daemon(Vec::new(), true).await;
    let places = Places::new(1);
    let place = Lendable::new(places.place().await);
    let calls = HttpCalls::new(Some(url), Upstream::new(), Arc::from("s"), BackwardsOptions::default(), place.clone());
    let open = OpenCalls::new(Arc::new(calls), place);
    let dify = Dify::new(open.handle(), DifyFacts::default());
    let call = tokio::spawn(async move { dify.storage().get("k").await });
    drop(places.place().await.unwrap());
    drop(open);
    assert_eq!(call.await.unwrap().unwrap_err().kind, DifyErrorKind::SessionEnded);
    assert!(seen.lock().unwrap().len() <= 1);
}
