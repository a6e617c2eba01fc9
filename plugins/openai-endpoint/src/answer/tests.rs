//! The mapper of language models over random chunks: however a text and a call are cut, clients join the same answer.

use dify_plugin::protocol::backwards::LlmChunk;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::chat::{Chunks, Whole};
use super::llm::LlmMapper;
use super::{Head, Piece};

fn chunk(content: &str, tool_calls: Value, finish_reason: Value) -> LlmChunk {
    let chunk = json!({"model": "m", "delta": {"message": {"content": content, "tool_calls": tool_calls},
        "usage": null, "finish_reason": finish_reason}});
    serde_json::from_value(chunk).unwrap()
}

fn head() -> Head {
    Head { id: "i".into(), created: 1, model: "m".into() }
}

/// The whole response, and the joined deltas of the streamed one.
fn answer(chunks: Vec<LlmChunk>) -> (Value, String, String) {
    let (mut mapper, mut whole, mut stream, mut out) =
        (LlmMapper::new(false), Whole::default(), Chunks::new(head(), true), Vec::new());
    let mut pieces: Vec<Piece> = Vec::new();
    for chunk in chunks {
        mapper.push(chunk, &mut pieces);
    }
    let end = mapper.finish(&mut pieces);
    for piece in pieces {
        stream.piece(&piece, &mut out);
        whole.piece(piece);
    }
    stream.end(&end, &mut out);
    let text = String::from_utf8(out).unwrap();
    let (mut content, mut reasoning) = (String::new(), String::new());
    for event in text.split("\n\n").filter_map(|event| event.strip_prefix("data: {")) {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        let delta = &event["choices"][0]["delta"];
        content += delta["content"].as_str().unwrap_or_default();
        reasoning += delta["reasoning_content"].as_str().unwrap_or_default();
    }
    assert!(text.ends_with("data: [DONE]\n\n"));
    (whole.finish(head(), end), content, reasoning)
}

proptest! {
    #[test]
    fn any_split_of_an_answer_is_the_same_answer(
        thought in "[a-z<>/\n ]{0,12}", text in "[a-z<>/]{1,12}", cuts in proptest::collection::vec(1usize..6, 0..12),
    ) {
        prop_assume!(!thought.contains("</think>") && !text.starts_with("<think>"));
        let whole = format!("<think>\n{thought}\n</think>\n\n{text}");
        let mut chunks = Vec::new();
        let mut rest = whole.as_str();
        for cut in cuts {
            let (first, tail) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk(first, json!([]), Value::Null));
            rest = tail;
        }
        chunks.push(chunk(rest, json!([]), json!("stop")));
        let (body, content, reasoning) = answer(chunks);
        let message = &body["choices"][0]["message"];
        prop_assert_eq!(message["content"].as_str().unwrap(), &text);
        prop_assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), &thought);
        prop_assert_eq!((content, reasoning), (text, thought));
    }
}

#[test]
fn reasons_of_providers_become_reasons_of_openai() {
    for (reason, expected) in [
        (json!("stop"), "stop"),
        (json!("STOP"), "stop"),
        (json!("end_turn"), "stop"),
        (json!("max_tokens"), "length"),
        (json!("length"), "length"),
        (json!("SAFETY"), "content_filter"),
        (json!("content_filter"), "content_filter"),
        // Without a call.
        (json!("tool_calls"), "stop"),
        (Value::Null, "stop"),
        (json!(""), "stop"),
    ] {
        let (body, ..) = answer(vec![chunk("x", json!([]), reason.clone())]);
        assert_eq!(body["choices"][0]["finish_reason"], expected, "{reason}");
    }
}
