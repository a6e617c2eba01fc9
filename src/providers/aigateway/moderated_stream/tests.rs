//! Tests of moderation blocks in all their forms, at every split of the bytes.

use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;

use super::*;
use crate::dialect::driver::{Waits, drive_bytes};
use crate::dialect::openai::MapperOptions;
use dify_plugin::upstream::share::Share;

/// Returns text, finish reason and number of usage reports of a stream that arrives in chunks of `size` bytes.
async fn run(stream: &str, size: usize) -> (String, Option<String>, usize) {
    let pieces: Vec<_> = stream.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mapper = ModeratedStream::new(ChatMapper::new(MapperOptions::default()), None);
    let body = futures_util::stream::iter(pieces);
    let waits = Waits { first: Duration::from_secs(5), idle: Duration::from_secs(5) };
    let mut deltas = std::pin::pin!(drive_bytes(body, waits, Share::default(), mapper));
    let (mut text, mut reason, mut usages) = (String::new(), None, 0);
    while let Some(delta) = deltas.next().await {
        let delta = delta.unwrap();
        text.push_str(&delta.content.text());
        reason = delta.finish_reason.map(|reason| reason.as_str().to_owned()).or(reason);
        usages += usize::from(delta.usage.is_some());
    }
    (text, reason, usages)
}

const OBJECT: &str = r#"{"code":200,"denyMessage":"Not here.","blockedDetails":[{"type":"politics","level":"high"}]}"#;
const REASON: &str = "Not here. (content moderation: politics (high))";

fn chunk(model: &str, content: &str, finish: &str) -> String {
    let delta =
        if content.is_empty() { "{}".to_owned() } else { serde_json::json!({ "content": content }).to_string() };
    format!(
        "data:{{\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

#[tokio::test]
async fn blocks_end_a_response_with_their_reason() {
    let guard = |content: &str| {
        format!("{}{}data: [DONE]", chunk(moderation::MODEL, content, "null"), chunk(moderation::MODEL, "", "\"stop\""))
    };
    let whole = serde_json::json!({"model": moderation::MODEL, "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": OBJECT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}});
    let capitals = OBJECT
        .replace("denyMessage", "DenyMessage")
        .replace("blockedDetails", "BlockedDetails")
        .replace("\"type\"", "\"Type\"");
    // Newer builds write plain text, and the details into a separate member.
    let structured = |place: &str| {
        let found = r#""x_higress_guardrail":{"denyCode":200,"requestId":"R-1","blockedDetails":[{"type":"politics","level":"high"}]}"#;
        let (inside, beside) =
            if place == "choice" { (format!(",{found}"), String::new()) } else { (String::new(), format!(",{found}")) };
        let end = format!(
            "data:{{\"model\":\"{}\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"{inside}}}]{beside}}}\n\n",
            moderation::MODEL
        );
        format!("{}{end}data: [DONE]", chunk(moderation::MODEL, "Not here.", "null"))
    };
    let cases = [
        (structured("choice"), REASON.to_owned()),
        (structured("chunk"), REASON.to_owned()),
        (whole.to_string(), REASON.to_owned()),
        (guard(OBJECT), REASON.to_owned()),
        (guard(&capitals), REASON.to_owned()),
        (guard("Plain words of an older build"), "Plain words of an older build".to_owned()),
        (format!("{}{}", chunk("qwen", "Half an ", "null"), guard(OBJECT)), format!("Half an {REASON}")),
        (OBJECT.to_owned(), REASON.to_owned()),
        (format!("data:{OBJECT}\n\n"), REASON.to_owned()),
        (r#"{"guardCode":1,"blockedDetails":[]}"#.to_owned(), "blocked by the gateway's content moderation".to_owned()),
    ];
    for (stream, expected) in cases {
        for size in 1..=stream.len() {
            assert_eq!(
                run(&stream, size).await,
                (expected.clone(), Some("content_filter".to_owned()), 1),
                "{stream} by {size}"
            );
        }
    }
}

#[tokio::test]
async fn passes_other_responses_unchanged() {
    let talk = "from-security-guard is a model, denyMessage a field";
    let stream = format!("{}{}data:[DONE]", chunk("qwen", talk, "null"), chunk("qwen", "", "\"stop\""));
    assert_eq!(run(&stream, 7).await, (talk.to_owned(), Some("stop".to_owned()), 1));
    let cache = r#"data:{"id":"from-cache","model":"from-cache","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hit"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}

data:[DONE]

"#;
    for size in 1..=cache.len() {
        assert_eq!(run(cache, size).await, ("Hit".to_owned(), Some("stop".to_owned()), 1));
    }
}
