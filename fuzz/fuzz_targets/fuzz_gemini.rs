//! Gemini's mapper over several requests of one answer: any split gives the same deltas, the answer always comes to an end,
//! and what it leaves in Dify's history can be sent with the next request.
#![no_main]

use dify_plugin::protocol::{Content, ContentPart, LlmDelta, PromptMessage};
use dify_plugin_runtime::dialect::gemini::grounding::Citations;
use dify_plugin_runtime::dialect::gemini::response::price::PriceList;
use dify_plugin_runtime::dialect::gemini::models::profile::{ModelProfile, Surface};
use dify_plugin_runtime::dialect::gemini::request::Conversation;
use dify_plugin_runtime::dialect::gemini::response::{GeminiResponse, NextStep, ResponseOptions};
use dify_plugin_runtime::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin_runtime::dialect::gemini::{GenerateMapper, SharedResponse};
use dify_plugin_runtime::dialect::names::FunctionNames;
use dify_plugin_runtime_fuzz::{Outcome, map, pieces, pricing};
use libfuzzer_sys::fuzz_target;

/// Between the streams of two requests; no byte of UTF-8.
const NEXT_REQUEST: u8 = 0xFF;

fn options(flags: u8) -> ResponseOptions {
    let citations = [Citations::Off, Citations::List, Citations::Inline, Citations::Inline];
    ResponseOptions {
        prices: PriceList { pricing: (flags & 1 == 0).then(pricing), ..PriceList::default() },
        expects_json: flags & 2 != 0,
        citations: citations[usize::from(flags >> 6)],
        ..ResponseOptions::default()
    }
}

fn run(flags: u8, streams: &[Vec<&[u8]>]) -> (Outcome, Vec<LlmDelta>) {
    let answer = SharedResponse::new(GeminiResponse::new(options(flags)));
    let mut deltas = Vec::new();
    for stream in streams {
        let broken = map(&mut GenerateMapper::new(answer.clone()), stream, &mut deltas).err();
        let step = answer.lock().end_of_request(broken);
        match step {
            NextStep::Done => {
                deltas.extend(answer.lock().conclude(|| 1000));
                assert_eq!(deltas.iter().filter(|delta| delta.usage.is_some()).count(), 1, "usage comes once");
                assert_eq!(deltas.iter().filter(|delta| delta.finish_reason.is_some()).count(), 1);
                break;
            }
            NextStep::Fail(error) => return (Outcome::of(&deltas, Err(error)), deltas),
            NextStep::Continue(_) | NextStep::Resume(..) | NextStep::Again(_) | NextStep::ValidCalls => {}
        }
    }
    (Outcome::of(&deltas, Ok(())), deltas)
}

/// The deltas as Dify keeps them: one message of the assistant.
fn message(deltas: Vec<LlmDelta>) -> PromptMessage {
    let (mut parts, mut tool_calls, mut opaque_body) = (Vec::new(), Vec::new(), None);
    for delta in deltas {
        match delta.content {
            Content::Text(text) => parts.push(ContentPart::text(text)),
            Content::Parts(more) => parts.extend(more),
        }
        tool_calls.extend(delta.tool_calls);
        opaque_body = delta.opaque_body.or(opaque_body);
    }
    let mut message = PromptMessage::assistant(Content::Parts(parts));
    (message.tool_calls, message.opaque_body) = (tool_calls, opaque_body);
    message
}

fn next_request(flags: u8, deltas: Vec<LlmDelta>) {
    let question = PromptMessage::user("Go on");
    let messages = [question.clone(), message(deltas), question];
    let profile = ModelProfile {
        refuses_prefill: flags & 8 != 0,
        needs_signatures: flags & 16 != 0,
        sends_call_ids: flags & 16 != 0,
        ..ModelProfile::default()
    };
    let mut body = GenerateContentRequest::default();
    let conversation = Conversation {
        messages: &messages,
        tools: &[],
        names: &FunctionNames::default(),
        choice: None,
        mode: None,
        clip: None,
        profile: &profile,
        surface: Surface::Developer,
        remembered: &|_| None,
        distrust_signatures: flags & 32 != 0,
    };
    if conversation.fill(&mut body).is_ok() {
        serde_json::to_vec(&body).expect("a request is JSON");
    }
}

// First byte: options; second: where the bytes are cut; the rest: the streams of one or more requests.
fuzz_target!(|data: &[u8]| {
    let [flags, seed, bytes @ ..] = data else { return };
    let streams: Vec<&[u8]> = bytes.split(|byte| *byte == NEXT_REQUEST).collect();
    let whole: Vec<_> = streams.iter().map(|stream| vec![*stream]).collect();
    let cut: Vec<_> = streams.iter().map(|stream| pieces(*seed, stream)).collect();
    let (outcome, deltas) = run(*flags, &whole);
    assert_eq!(outcome, run(*flags, &cut).0, "a split changes the answer");
    next_request(*flags, deltas);
});
