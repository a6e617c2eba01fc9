//! What a sink of messages sends, and what it rejects.

use serde_json::json;

use super::*;
use crate::plugin::outgoing::{Inbox, Outgoing, queue};

fn messages(max_item_bytes: usize) -> (Messages, Inbox) {
    let (outbox, inbox) = queue(max_item_bytes);
    (Messages::new(outbox), inbox)
}

/// What waits in the queue: items as JSON, parts as `name: text`.
fn waiting(inbox: &mut Inbox) -> Vec<Value> {
    std::iter::from_fn(|| inbox.try_recv().ok())
        .map(|entry| match entry.outgoing {
            Outgoing::Item(item) => serde_json::from_str(item.get()).unwrap(),
            Outgoing::Part { variable, text } => json!([variable.as_deref(), text]),
        })
        .collect()
}

#[tokio::test]
async fn reserved_names_are_rejected_and_nothing_is_sent() {
    let (mut out, mut inbox) = messages(1000);
    for name in ["text", "json", "files", ""] {
        assert!(out.variable(name, 1).await.is_err(), "{name}");
        assert!(out.stream_variable(name).is_err(), "{name}");
        assert!(out.forward(Message::variable(name, json!(1))).await.is_err(), "{name}");
    }
    out.variable("Text", 1).await.unwrap();
    assert_eq!(waiting(&mut inbox).len(), 1);
}

#[tokio::test]
async fn what_no_line_can_carry_is_an_error_and_nothing_is_sent() {
    let (mut out, mut inbox) = messages(400);
    let long = "x".repeat(500);
    assert!(out.json(json!({"a": long})).await.unwrap_err().message.contains("too large"));
    assert!(out.link(&long).await.is_err());
    assert!(out.variable("n", json!([long])).await.is_err());
    assert_eq!(waiting(&mut inbox), [] as [Value; 0]);
}

#[tokio::test]
async fn long_texts_are_sent_in_parts_at_boundaries_of_characters() {
    for text in ["é".repeat(500), "\u{1}".repeat(1000), "a".repeat(1000)] {
        let (mut out, mut inbox) = messages(400);
        out.text(&text).await.unwrap();
        let parts = waiting(&mut inbox);
        let joined: String = parts.iter().map(|part| part[1].as_str().unwrap()).collect();
        assert_eq!(joined, text);
        for part in parts {
            assert!(serde_json::to_string(&Message::text(part[1].as_str().unwrap())).unwrap().len() <= 400);
        }
    }
    let (mut out, mut inbox) = messages(400);
    out.variable("n", "x".repeat(1000)).await.unwrap();
    let parts = waiting(&mut inbox);
    assert!(parts.len() > 1 && parts.iter().all(|part| part[0] == "n"), "{parts:?}");
}

#[tokio::test]
async fn only_what_a_plugin_can_send_is_forwarded() {
    let (mut out, mut inbox) = messages(1000);
    for (message, is_sent) in [
        (json!({"type": "image_link", "message": {"text": "/f"}, "meta": {"tool_file_id": "1"}}), true),
        (json!({"type": "binary_link", "message": {"text": "/f"}, "meta": {"tool_file_id": "1"}}), true),
        (json!({"type": "file", "message": {}, "meta": {"file": {}}}), false),
        (json!({"type": "newer", "message": {}}), false),
    ] {
        let read: Message = serde_json::from_value(message.clone()).unwrap();
        assert_eq!(out.forward(read).await.is_ok(), is_sent, "{message}");
        assert_eq!(waiting(&mut inbox), if is_sent { vec![message] } else { vec![] });
    }
    assert!(out.json("text").await.is_err());
}

#[tokio::test]
async fn a_file_that_the_daemon_cannot_join_is_an_error_and_nothing_is_sent() {
    for (length, fits) in [(MAX_AGENT_FILE_BYTES, true), (MAX_AGENT_FILE_BYTES + 1, false)] {
        let (out, mut inbox) = messages(20_000);
        let mut out = out.of_agent();
        let bytes = vec![0; length];
        let sending = out.blob(&bytes, BlobMeta::new("image/png"));
        let first = async { while inbox.recv().await.is_some_and(|_| fits) {} };
        let sent = tokio::select! { sent = sending => sent, () = first => Ok(()) };
        assert_eq!(sent.is_ok(), fits, "{length}");
    }
    let (mut out, _inbox) = messages(1000);
    assert!(out.blob(vec![0; 1], BlobMeta::default()).await.is_ok());
}
