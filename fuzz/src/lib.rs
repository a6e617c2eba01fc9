//! What the targets share.

use dify_plugin::codec::events::EventDecoder;
use dify_plugin::declare::Pricing;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::{LlmChunk, LlmDelta, Tool};
use dify_plugin_runtime::dialect::{Flow, StreamMapper};
use serde_json::{Value, json};

/// Cuts bytes into pieces at places that follow from `seed`: any pieces must give what the whole gives.
pub fn pieces(seed: u8, bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761) | 1;
    let longest = 1 + usize::from(seed % 16) * 5;
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, next) = rest.split_at((1 + (state >> 16) as usize % longest).min(rest.len()));
        pieces.push(piece);
        rest = next;
    }
    pieces
}

/// The same for text, cut between characters.
pub fn text_pieces(seed: u8, text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    for piece in self::pieces(seed, text.as_bytes()) {
        let (piece, next) = rest.split_at(rest.ceil_char_boundary(piece.len().min(rest.len())));
        pieces.push(piece);
        rest = next;
    }
    pieces
}

/// What an upstream's bytes become: every delta as the host would see it, then how it ended.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The deltas as JSON; ids that were made up are left out.
    pub deltas: Vec<Value>,
    /// The error's category and message.
    pub error: Option<(ErrorKind, String)>,
}

impl Outcome {
    /// Deltas and ending of a mapper, in a form to compare.
    pub fn of(deltas: &[LlmDelta], end: Result<(), InvokeError>) -> Self {
        let deltas = deltas.iter().map(|delta| {
            let mut chunk = json!(LlmChunk::of("model", 0, delta));
            let calls = chunk["delta"]["message"]["tool_calls"].as_array_mut();
            for call in calls.into_iter().flatten() {
                assert_ne!(call["id"].take(), "", "a call without an id");
            }
            let kept = chunk["delta"]["message"].pointer_mut("/opaque_body/gemini/parts").and_then(Value::as_array_mut);
            for id in kept.into_iter().flatten().filter_map(|part| part.pointer_mut("/functionCall/id")) {
                id.take();
            }
            chunk
        });
        Self { deltas: deltas.collect(), error: end.err().map(|error| (error.kind, error.message)) }
    }
}

/// Runs a mapper over the bytes of one stream, as the driver does.
pub fn map<M: StreamMapper>(mapper: &mut M, pieces: &[&[u8]], out: &mut Vec<M::Item>) -> Result<(), InvokeError> {
    let mut decoder = EventDecoder::new(1 << 24);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events).expect("the limit is far away");
    }
    decoder.finish(&mut events);
    for event in &events {
        if mapper.event(event, out)? == Flow::Done {
            break;
        }
    }
    mapper.finish(out)
}

/// What a chat mapper makes of one stream. An answer that ends well has one usage and one finish reason.
pub fn chat(mut mapper: impl StreamMapper<Item = LlmDelta>, pieces: &[&[u8]]) -> Outcome {
    let mut deltas = Vec::new();
    let end = map(&mut mapper, pieces, &mut deltas);
    if end.is_ok() {
        assert_eq!(deltas.iter().filter(|delta| delta.usage.is_some()).count(), 1, "usage comes once");
        assert_eq!(deltas.iter().filter(|delta| delta.finish_reason.is_some()).count(), 1, "one finish reason");
    }
    Outcome::of(&deltas, end)
}

/// A price list with all shares of a kind that real models have.
pub fn pricing() -> Pricing {
    serde_json::from_str(r#"{"input":"0.30","output":"2.50","unit":"0.000001","currency":"USD"}"#)
        .expect("a price list")
}

/// Functions that a model was offered.
pub fn tools() -> Vec<Tool> {
    let tools = r#"[
        {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}},
        {"name": "f"}
    ]"#;
    serde_json::from_str(tools).expect("tools")
}
