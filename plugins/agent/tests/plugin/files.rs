//! The files of a query, which a server on loopback serves as Dify does.

use std::io::{Read, Write};
use std::net::TcpListener;

use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::Answer;

use crate::support::{host_with, model, parameters};

const STRATEGY: &str = "function_calling";

/// A server of files: `/N` has N bytes. It ends with the process of the test.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let bytes: usize = request.split(['/', ' ', '?']).nth(2).unwrap().parse().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            // A client that has enough closes its side.
            let _ = stream.write_all(&vec![b'a'; bytes]);
        }
    });
    format!("http://{address}")
}

fn file(url: String, kind: &str, name: &str) -> Value {
    let (_, extension) = name.split_once('.').unwrap();
    json!({"dify_model_identity": "__dify__file__", "url": url, "type": kind, "filename": name,
        "extension": format!(".{extension}"), "mime_type": null, "size": null})
}

/// The content of the query.
async fn content(files: Value, features: &[&str]) -> Value {
    let mut model = model();
    model["entity"]["features"] = json!(features);
    let host = host_with(vec![Answer::text("I see.")]);
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("model", model).parameter("files", files);
    run.await.unwrap();
    host.calls()[0].request["prompt_messages"][1]["content"].clone()
}

#[tokio::test]
async fn files_that_a_model_can_read_are_sent_to_it() {
    let server = server();
    let files = json!([
        file(format!("{server}/3?sign=x"), "image", "a.jpg"),
        file(format!("{server}/6"), "document", "b.pdf"),
        file(format!("{server}/9"), "custom", "c.bin"),
    ]);
    let expected = json!([
        {"type": "image", "format": "jpeg", "mime_type": "image/jpeg", "base64_data": "YWFh", "detail": "low", "filename": "a.jpg"},
        {"type": "document", "format": "pdf", "mime_type": "application/pdf", "base64_data": "YWFhYWFh", "filename": "b.pdf"},
        {"type": "text", "data": "What is new?\n\n(The attached file `c.bin` cannot be read by this model.)"},
    ]);
    assert_eq!(content(files.clone(), &["vision", "document"]).await, expected);
    let text = content(files, &[]).await;
    assert_eq!(text.as_str().unwrap().matches("cannot be read by this model").count(), 3);
}

/// dify#19489: files that no line can carry are sent as URLs.
#[tokio::test]
async fn files_that_are_too_large_are_sent_as_urls() {
    let server = server();
    let mut known = file(format!("{server}/4000000"), "image", "b.png");
    known["size"] = json!(4_000_000);
    let files = json!([
        file(format!("{server}/2000000"), "image", "a.png"),
        known,
        file(format!("{server}/1000000"), "image", "c.png")
    ]);
    let content = content(files, &["vision"]).await;
    assert_eq!(content[0]["base64_data"].as_str().unwrap().len(), 2_666_668);
    assert_eq!(content[1]["url"], format!("{server}/4000000"));
    assert_eq!(content[2]["url"], format!("{server}/1000000"));
    assert!(content[1]["base64_data"].is_null() && content[2]["base64_data"].is_null());
}

#[tokio::test]
async fn a_file_that_cannot_be_downloaded_is_named() {
    let host = host_with(vec![Answer::text("I see.")]);
    let files = json!([file("/files/1".to_owned(), "image", "a.png")]);
    let failure = host.agent(STRATEGY).parameters(parameters()).parameter("files", files).await.unwrap_err();
    assert!(failure.message.contains("`a.png`") && failure.message.contains("FILES_URL"), "{}", failure.message);
}
