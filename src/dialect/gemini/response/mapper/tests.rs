//! Tests of the mapper and the response: single forms of responses, any split of the bytes, several consecutive
//! requests.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dialect::driver::MAX_RESPONSE_BYTES;
use crate::dialect::gemini::grounding::Citations;
use crate::dialect::gemini::response::price::{PriceDetails, PriceList};
use crate::dialect::gemini::response::{NextStep, ResponseOptions};
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::error::ErrorKind;
use dify_plugin::protocol::Content;

/// The output of one response, in a form that is easy to compare.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    calls: Vec<(String, String)>,
    media: Vec<String>,
    reason: Option<String>,
    usage: Option<(u64, u64)>,
    opaque: Option<Value>,
    steps: Vec<NextStep>,
}

impl Seen {
    fn add(&mut self, delta: LlmDelta) {
        self.text.push_str(&delta.content.text());
        if let Content::Parts(parts) = &delta.content {
            self.media
                .extend(parts.iter().map(|part| format!("{} {}", part.type_name(), part.media().unwrap().mime_type)));
        }
        self.calls.extend(delta.tool_calls.into_iter().map(|call| (call.function.name, call.function.arguments)));
        if let Some(reason) = delta.finish_reason {
            assert!(self.reason.is_none(), "one finish reason");
            self.reason = Some(reason.as_str().to_owned());
        }
        if let Some(usage) = delta.usage {
            assert!(self.usage.is_none(), "usage comes once");
            self.usage = Some((usage.prompt_tokens, usage.completion_tokens));
        }
        self.opaque = delta.opaque_body.or(self.opaque.take());
    }

    fn failure(&self) -> &InvokeError {
        match self.steps.last() {
            Some(NextStep::Fail(error)) => error,
            other => panic!("no failure but {other:?}"),
        }
    }
}

/// Runs requests one after the other, each given as the chunks of its stream and the error that ended it.
fn run<'a>(options: ResponseOptions, requests: impl IntoIterator<Item = (Vec<&'a [u8]>, Option<InvokeError>)>) -> Seen {
    let answer = SharedResponse::new(GeminiResponse::new(options));
    let mut seen = Seen::default();
    for (pieces, mut broken) in requests {
        let mut mapper = GenerateMapper::new(answer.clone());
        let mut decoder = EventDecoder::new(1 << 24);
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for piece in pieces {
            decoder.push(piece, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        for event in &events {
            if let Err(error) = mapper.event(event, &mut out) {
                broken = Some(error);
                break;
            }
        }
        out.drain(..).for_each(|delta| seen.add(delta));
        let step = answer.lock().end_of_request(broken);
        if step == NextStep::Done {
            answer.lock().conclude(|| 1000).into_iter().for_each(|delta| seen.add(delta));
        }
        seen.steps.push(step);
    }
    seen
}

fn stream(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect()
}

/// Name, events, text, calls, finish reason.
type Case = (&'static str, Vec<Value>, &'static str, &'static [(&'static str, &'static str)], &'static str);

/// Name, events, error type, parts of the error text.
type Refusal = (&'static str, Vec<Value>, ErrorKind, &'static [&'static str]);

fn one(events: &[Value]) -> Seen {
    run(ResponseOptions::default(), [(vec![stream(events).as_bytes()], None)])
}

fn parts(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}}]})
}

fn text(text: &str) -> Value {
    parts(json!([{"text": text}]))
}

fn end(reason: &str) -> Value {
    json!({"candidates": [{"finishReason": reason}], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3}})
}

#[test]
fn maps_text_thoughts_calls_code_and_finish_reasons() {
    let cases: Vec<Case> = vec![
        ("deltas", vec![text("He"), text("llo"), end("STOP")], "Hello", &[], "stop"),
        (
            "no content, no parts, empty part",
            vec![
                json!({}),
                json!({"candidates": []}),
                json!({"candidates": null}),
                json!({"candidates": [{"content": {}}]}),
                json!({"candidates": [{"content": {"parts": null}}]}),
                parts(json!([{}])),
                text(""),
                text("x"),
                end("STOP"),
            ],
            "x",
            &[],
            "stop",
        ),
        (
            "thoughts first",
            vec![
                parts(json!([{"text": "hm", "thought": true}])),
                parts(json!([{"text": "Yes", "thought": false}])),
                end("STOP"),
            ],
            "<think>\nhm\n</think>Yes",
            &[],
            "stop",
        ),
        (
            "thought, then a call",
            vec![parts(json!([{"text": "hm", "thought": true}, {"functionCall": {"name": "f"}}])), end("STOP")],
            "<think>\nhm\n</think>",
            &[("f", "{}")],
            "tool_calls",
        ),
        (
            "parallel calls",
            vec![
                parts(
                    json!([{"functionCall": {"name": "f", "args": {"b": [1, {"c": "ü"}], "a": 2.5}}}, {"functionCall": {"name": "f", "args": null}}]),
                ),
                end("STOP"),
            ],
            "",
            &[("f", r#"{"b":[1,{"c":"ü"}],"a":2.5}"#), ("f", "{}")],
            "tool_calls",
        ),
        (
            "calls in events of their own",
            vec![
                text("Looking."),
                parts(json!([{"functionCall": {"id": "1", "name": "f"}}])),
                parts(json!([{"functionCall": {"id": "2", "name": "g"}}])),
                end("STOP"),
            ],
            "Looking.",
            &[("f", "{}"), ("g", "{}")],
            "tool_calls",
        ),
        (
            "streamed call",
            vec![
                parts(json!([{"functionCall": {"name": "f", "willContinue": true}, "thoughtSignature": "sig"}])),
                parts(
                    json!([{"functionCall": {"partialArgs": [{"jsonPath": "$.q", "stringValue": "ca"}], "willContinue": true}}]),
                ),
                parts(json!([{"functionCall": {"partialArgs": [{"jsonPath": "$.q", "stringValue": "t"}]}}])),
                end("STOP"),
            ],
            "",
            &[("f", r#"{"q":"cat"}"#)],
            "tool_calls",
        ),
        (
            "code",
            vec![
                parts(
                    json!([{"executableCode": {"language": "PYTHON", "code": "print(1)\n"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}]),
                ),
                parts(json!([{"codeExecutionResult": {"outcome": "OUTCOME_DEADLINE_EXCEEDED"}}])),
                end("STOP"),
            ],
            "\n```python\nprint(1)\n```\n\n```\n1\n```\n\n```\ndeadline exceeded\n\n```\n",
            &[],
            "stop",
        ),
        (
            "the second candidate is dropped",
            vec![
                json!({"candidates": [{"index": 1, "content": {"parts": [{"text": "no"}]}}, {"index": 0, "content": {"parts": [{"text": "yes"}]}}]}),
                end("STOP"),
            ],
            "yes",
            &[],
            "stop",
        ),
        (
            "arguments in a separate part",
            vec![
                parts(json!([{"functionCall": {"id": "c1", "name": "ls", "args": {}}}])),
                parts(json!([{"functionCall": {"id": "c1", "args": {"path": "/a"}}}])),
                end("STOP"),
            ],
            "",
            &[("ls", r#"{"path":"/a"}"#)],
            "tool_calls",
        ),
        (
            "a fragment without an end marker",
            vec![
                parts(
                    json!([{"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.years.2024", "numberValue": 3}], "willContinue": true}}]),
                ),
                end("STOP"),
            ],
            "",
            &[("f", r#"{"years":{"2024":3}}"#)],
            "tool_calls",
        ),
        (
            "a part with two types of data",
            vec![
                parts(
                    json!([{"text": "", "functionCall": {"name": "f"}}, {"text": "see", "functionCall": {"name": "g"}}]),
                ),
                end("STOP"),
            ],
            "see",
            &[("f", "{}"), ("g", "{}")],
            "tool_calls",
        ),
        (
            "a tag in the text",
            vec![text("<think>"), text(" opens a thought.</think>"), end("STOP")],
            "<think> opens a thought.</think>",
            &[],
            "stop",
        ),
        (
            "a code block with a fence",
            vec![parts(json!([{"executableCode": {"language": "PYTHON", "code": "print('```')"}}])), end("STOP")],
            "\n````python\nprint('```')\n````\n",
            &[],
            "stop",
        ),
        ("a reason in lower case", vec![text("x"), end("stop")], "x", &[], "stop"),
        (
            "a transcript",
            vec![parts(json!([{"audioTranscription": {"text": "Hello."}}])), end("STOP")],
            "Hello.",
            &[],
            "stop",
        ),
        ("length", vec![text("cut"), end("MAX_TOKENS")], "cut", &[], "length"),
        ("filtered in the middle", vec![text("half"), end("SAFETY")], "half", &[], "content_filter"),
        ("recitation", vec![text("half"), end("RECITATION")], "half", &[], "content_filter"),
        ("an unknown reason", vec![text("x"), end("NEW_REASON")], "x", &[], "new_reason"),
        (
            "unknown members and values",
            vec![
                json!({"zz": 1, "candidates": [{"zz": {}, "content": {"parts": [{"text": "x", "zz": 1}]}, "safetyRatings": [{"category": "NEW", "probability": "NEW", "zz": 1}]}]}),
                end("STOP"),
            ],
            "x",
            &[],
            "stop",
        ),
        ("an array in an event", vec![json!([text("a"), text("b")]), end("STOP")], "ab", &[], "stop"),
    ];
    for (name, events, expected, calls, reason) in cases {
        let seen = one(&events);
        assert_eq!(seen.text, expected, "{name}");
        let expected: Vec<(String, String)> =
            calls.iter().map(|(name, args)| ((*name).to_owned(), (*args).to_owned())).collect();
        assert_eq!(seen.calls, expected, "{name}");
        assert_eq!(seen.reason.as_deref(), Some(reason), "{name}");
        assert_eq!(seen.usage, Some((7, 3)), "{name}");
    }
}

#[test]
fn blocked_and_empty_responses_explain_the_reason() {
    let rated = json!([{"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "HIGH", "blocked": true}]);
    let cases: Vec<Refusal> = vec![
        (
            "blocked prompt",
            vec![json!({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": rated}})],
            ErrorKind::BadRequest,
            &["prompt was blocked", "HATE_SPEECH", "safety_hate_speech"],
        ),
        (
            "blocked without a parameter",
            vec![
                json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}),
            ],
            ErrorKind::BadRequest,
            &["PROHIBITED_CONTENT", "cannot be turned off"],
        ),
        (
            "Vertex AI adds a message",
            vec![json!({"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "policy 7"}})],
            ErrorKind::BadRequest,
            &["policy 7"],
        ),
        (
            "blocked for other reasons",
            vec![json!({"promptFeedback": {"blockReason": "OTHER"}})],
            ErrorKind::BadRequest,
            &["OTHER", "No parameter"],
        ),
        (
            "an empty response",
            vec![json!({"candidates": [{"finishReason": "SAFETY", "safetyRatings": rated}]})],
            ErrorKind::BadRequest,
            &["no content", "safety_hate_speech"],
        ),
        (
            "thoughts used up the limit",
            vec![parts(json!([{"text": "hm", "thought": true}])), end("MAX_TOKENS")],
            ErrorKind::BadRequest,
            &["max_output_tokens"],
        ),
        (
            "no image",
            vec![json!({"candidates": [{"finishReason": "NO_IMAGE", "finishMessage": "Nothing to draw."}]})],
            ErrorKind::BadRequest,
            &["NO_IMAGE", "Nothing to draw."],
        ),
        (
            "a missing signature",
            vec![text("x"), json!({"candidates": [{"finishReason": "MISSING_THOUGHT_SIGNATURE"}]})],
            ErrorKind::BadRequest,
            &["MISSING_THOUGHT_SIGNATURE"],
        ),
        ("no finish reason", vec![text("half")], ErrorKind::Connection, &["incomplete"]),
        (
            "error event",
            vec![text("a"), json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}})],
            ErrorKind::ServerUnavailable,
            &["busy"],
        ),
        (
            "error array",
            vec![text("a"), json!([{"error": {"code": 429, "message": "slow down"}}])],
            ErrorKind::RateLimit,
            &["slow down"],
        ),
        ("error text", vec![text("a"), json!("gone wrong")], ErrorKind::ServerUnavailable, &["gone wrong"]),
    ];
    for (name, events, kind, words) in cases {
        let seen = one(&events);
        let error = seen.failure();
        assert_eq!(error.kind, kind, "{name}: {error}");
        for word in words {
            assert!(error.detail().contains(word), "{name}: `{word}` is missing in: {}", error.detail());
        }
        assert_eq!((seen.reason, seen.usage), (None, None), "{name}");
    }
    let bare =
        format!("{}{{\n  \"error\": {{\n \"code\": 500,\n \"message\": \"down\"\n}}\n}}\n", stream(&[text("a")]));
    let seen = run(ResponseOptions::default(), [(vec![bare.as_bytes()], None)]);
    assert_eq!((seen.text.as_str(), seen.failure().kind), ("a", ErrorKind::ServerUnavailable));
}

#[test]
fn retries_an_interrupted_request_only_before_any_output() {
    let cut = InvokeError::connection("cut").retryable();
    let broken = || Some(cut.clone());
    let whole = stream(&[text("x"), end("STOP")]);
    let call = stream(&[parts(json!([{"functionCall": {"name": "f"}}]))]);
    for before in [String::new(), stream(&[text(" ")]), call, stream(&[parts(json!([{}]))])] {
        let seen =
            run(ResponseOptions::default(), [(vec![before.as_bytes()], broken()), (vec![whole.as_bytes()], None)]);
        assert_eq!(seen.steps, [NextStep::Again(cut.clone()), NextStep::Done], "{before}");
        assert_eq!((seen.text.trim(), seen.calls.len()), ("x", 0), "{before}");
    }
    for shown in
        [text("x"), parts(json!([{"text": "hm", "thought": true}])), parts(json!([{"inlineData": {"data": "aGk="}}]))]
    {
        let seen = run(ResponseOptions::default(), [(vec![stream(&[shown]).as_bytes()], broken())]);
        assert!(matches!(seen.steps[0], NextStep::Fail(_)));
    }
    let refused = InvokeError::bad_request("no");
    let seen = run(ResponseOptions::default(), [(Vec::new(), Some(refused.clone()))]);
    assert_eq!(seen.steps, [NextStep::Fail(refused)]);
}

#[test]
fn an_empty_response_is_retried_once_and_then_reported() {
    let nothing = stream(&[
        json!({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 7}}),
    ]);
    let blank = stream(&[text(" \n"), end("STOP")]);
    let thought = stream(&[parts(json!([{"text": "hm", "thought": true}])), end("STOP")]);
    let whole = stream(&[text("x"), end("STOP")]);
    let call = stream(&[parts(json!([{"functionCall": {"name": "f"}}])), end("STOP")]);
    let two = |first: &str, second: &str| {
        run(ResponseOptions::default(), [(vec![first.as_bytes()], None), (vec![second.as_bytes()], None)])
    };
    for first in [&nothing, &blank] {
        let seen = two(first, &whole);
        assert!(matches!(seen.steps[..], [NextStep::Again(_), NextStep::Done]), "{:?}", seen.steps);
        // The first request is billed too.
        assert_eq!((seen.text.trim(), seen.usage), ("x", Some((14, if first == &nothing { 3 } else { 6 }))));
        assert!(two(first, first).failure().message.contains("empty response"));
    }
    // The thoughts were already emitted: a retry would emit them twice.
    assert!(matches!(two(&thought, &whole).steps[0], NextStep::Fail(_)));
    let alone = run(ResponseOptions::default(), [(vec![call.as_bytes()], None)]);
    assert_eq!((alone.steps, alone.calls.len()), (vec![NextStep::Done], 1), "a single call is a response");
    // After a stop sequence, the response may be empty.
    let options = ResponseOptions { may_be_empty: true, ..ResponseOptions::default() };
    let seen = run(options, [(vec![nothing.as_bytes()], None), (vec![nothing.as_bytes()], None)]);
    assert_eq!((seen.steps.last(), seen.reason.as_deref()), (Some(&NextStep::Done), Some("stop")));
}

#[test]
fn malformed_calls_are_always_an_error() {
    let nameless = parts(json!([{"functionCall": {"args": {"a": 1}}}]));
    let open = parts(json!([{"functionCall": {"name": "f", "willContinue": true}}]));
    for (events, words) in [
        (vec![text("I look."), nameless, end("STOP")], "without a name"),
        (vec![text("I look."), open, end("MAX_TOKENS")], "ended before"),
        (vec![text("I look."), end("MALFORMED_FUNCTION_CALL")], "ended its response early"),
    ] {
        let seen = one(&events);
        assert!(seen.failure().message.contains(words), "{}", seen.failure());
        assert!(seen.calls.is_empty());
    }
}

#[test]
fn draft_images_of_the_thinking_are_neither_emitted_nor_stored() {
    let image = |data: &str, more: Value| {
        let mut part = json!({"inlineData": {"mimeType": "image/png", "data": data}});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parts(json!([part]))
    };
    let seen = one(&[
        parts(json!([{"text": "**Composing**", "thought": true}])),
        image("ZHJhZnQ=", json!({"thought": true, "thoughtSignature": "RA=="})),
        image("ZmluYWw=", json!({"thoughtSignature": "U0lH"})),
        end("STOP"),
    ]);
    assert_eq!(seen.media, ["image image/png"]);
    let kept = &seen.opaque.unwrap()["gemini"]["parts"];
    // The signature is stored with the image only.
    assert_eq!(*kept, json!([{"inlineData": {"mimeType": "image/png", "data": ""}}]));
}

#[test]
fn the_content_decides_the_image_type() {
    let jpeg = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, b"\xff\xd8\xff\xe0\0\x10JFIF");
    for label in ["image/png", "image/x-new", ""] {
        let event = parts(json!([{"inlineData": {"mimeType": label, "data": jpeg}}]));
        assert_eq!(one(&[event, end("STOP")]).media, ["image image/jpeg"], "{label}");
    }
    let linked = parts(json!([{"fileData": {"mimeType": "image/png", "fileUri": "https://f/1.png"}}]));
    assert_eq!(one(&[linked, end("STOP")]).media, ["image image/png"]);
}

#[test]
fn the_last_reported_count_is_used() {
    let full =
        json!({"promptTokenCount": 100, "candidatesTokenCount": 40, "thoughtsTokenCount": 60, "totalTokenCount": 200});
    for last in [
        json!({"promptTokenCount": 100, "totalTokenCount": 100}),
        json!({"trafficType": "ON_DEMAND"}),
        json!({"promptTokenCount": 100, "candidatesTokenCount": 40, "totalTokenCount": 140}),
        json!({}),
        json!(null),
        json!("odd"),
        json!({"promptTokenCount": null, "candidatesTokenCount": -1, "thoughtsTokenCount": "many"}),
    ] {
        let mut first = text("a");
        first["usageMetadata"] = full.clone();
        let ending = json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": last});
        assert_eq!(one(&[first, ending]).usage, Some((100, 100)), "{last}");
    }
}

/// An image of 1,120 tokens costs ten times as much as the same number of text tokens.
#[test]
fn images_have_their_price_without_details_by_modality() {
    let pricing =
        serde_json::from_value(json!({"input": "2", "output": "12", "unit": "0.000001", "currency": "USD"})).unwrap();
    let details = serde_json::from_value(json!({"image_output": "120"})).unwrap();
    let prices = PriceList { pricing: Some(pricing), details, ..PriceList::default() };
    let image = parts(json!([{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]));
    let price = |drawn: bool, details: Value| {
        let options = ResponseOptions { prices: prices.clone(), ..ResponseOptions::default() };
        let mut answer = GeminiResponse::new(options);
        let usage = json!({"promptTokenCount": 0, "candidatesTokenCount": 1120, "candidatesTokensDetails": details});
        let first = if drawn { image.clone() } else { text("a") };
        for event in [first, json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage})] {
            answer.take(serde_json::from_value(event).unwrap(), &mut Vec::new()).unwrap();
        }
        assert_eq!(answer.end_of_request(None), NextStep::Done);
        answer.conclude(|| 0).pop().unwrap().usage.unwrap().total_price.0
    };
    assert_eq!(price(true, json!(null)), "0.1344000");
    assert_eq!(price(false, json!(null)), "0.0134400");
    assert_eq!(price(true, json!([{"modality": "IMAGE", "tokenCount": 120}])), "0.0264000");
}

#[test]
fn a_gateway_message_explains_a_missing_response() {
    for event in [
        json!({"code": 500, "message": "do request failed"}),
        json!({"detail": "do request failed"}),
        json!({"msg": "do request failed", "data": null}),
        json!([{"message": "do request failed"}]),
    ] {
        let seen = one(std::slice::from_ref(&event));
        let step = &seen.steps[0];
        assert!(format!("{step:?}").contains("do request failed"), "{event}: {step:?}");
        // Before a response, the message is ignored.
        assert_eq!(one(&[event, text("x"), end("STOP")]).text, "x");
    }
}

#[test]
fn an_incomplete_character_is_joined_with_the_next_event() {
    let event = |text: &str, reason: &str| {
        format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}{reason}}}]}}\n\n")
    };
    let stop = ",\"finishReason\":\"STOP\"";
    for (first, second, expected) in [
        ("hi \\ud83d", "\\ude00 bye", "hi 😀 bye"),
        ("hi \\ud83d", "bye", "hi \u{fffd}bye"),
        ("hi ", "\\ud83d", "hi \u{fffd}"),
    ] {
        let bytes = event(first, "") + &event(second, stop);
        let answer = SharedResponse::new(GeminiResponse::new(ResponseOptions::default()));
        let mut mapper = GenerateMapper::new(answer.clone());
        let (mut decoder, mut events, mut out) = (EventDecoder::new(1 << 20), Vec::new(), Vec::new());
        decoder.push(bytes.as_bytes(), &mut events).unwrap();
        events.iter().for_each(|event| {
            mapper.event(event, &mut out).unwrap();
        });
        mapper.finish(&mut out).unwrap();
        let text_of_deltas: String = out.iter().map(|delta| delta.content.text()).collect();
        assert_eq!(text_of_deltas, expected, "{first} {second}");
    }
}

#[test]
fn long_values_and_messages_are_truncated() {
    let long = "B".repeat(100_000);
    let rating = json!({"category": long, "probability": "HIGH", "blocked": true});
    for event in [
        json!({"candidates": [{"finishReason": long, "finishMessage": long, "safetyRatings": vec![rating; 60]}]}),
        json!({"promptFeedback": {"blockReason": long, "blockReasonMessage": long}}),
    ] {
        assert!(one(&[event]).failure().detail().len() < 10_000);
    }
    let seen = one(&[text("a"), json!({"candidates": [{"finishReason": long}]})]);
    assert!(seen.reason.unwrap().len() < 200);
    // A number is an enum index; a value that is neither a string nor a number does not block the prompt.
    for (word, expected) in [(json!(1), "SAFETY"), (json!(4), "PROHIBITED_CONTENT"), (json!(99), "OTHER")] {
        assert!(one(&[json!({"promptFeedback": {"blockReason": word}})]).failure().message.contains(expected));
    }
    for odd in [json!(true), json!([]), json!({"a": 1}), json!(null), json!("")] {
        let blocked = json!({"promptFeedback": {"blockReason": odd}});
        assert_eq!(one(&[blocked, text("x"), end("STOP")]).text, "x", "{odd}");
    }
}

#[test]
fn recited_sources_are_listed_only_when_sources_are_requested() {
    let quoted = json!({"candidates": [{"finishReason": "STOP", "citationMetadata": {"citationSources": [{"uri": "https://q"}]}}]});
    for quotes in [true, false] {
        let options = ResponseOptions { quotes, ..ResponseOptions::default() };
        let seen = run(options, [(vec![stream(&[text("a"), quoted.clone()]).as_bytes()], None)]);
        assert_eq!(seen.text.contains("Quoted from"), quotes, "{}", seen.text);
    }
}

/// A gateway may keep the connection open after the last event.
#[test]
fn a_response_is_over_at_its_finish_reason() {
    let mut mapper = GenerateMapper::new(SharedResponse::new(GeminiResponse::new(ResponseOptions::default())));
    for (event, over) in [(text("a"), false), (end("FINISH_REASON_UNSPECIFIED"), false), (end("STOP"), true)] {
        mapper.event(&Event { data: event.to_string(), ..Event::default() }, &mut Vec::new()).unwrap();
        assert_eq!(mapper.is_over(), over);
    }
}

#[test]
fn a_malformed_call_is_retried_once() {
    let malformed =
        stream(&[json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "call:f{"}]})]);
    for has_functions in [true, false] {
        let options = ResponseOptions { has_functions, ..ResponseOptions::default() };
        let seen = run(options, [(vec![malformed.as_bytes()], None), (vec![malformed.as_bytes()], None)]);
        // Without functions, there are no calls to validate.
        assert_eq!(seen.steps[0] == NextStep::ValidCalls, has_functions);
        assert!(matches!(&seen.steps[0], NextStep::ValidCalls | NextStep::Again(_)));
        assert!(seen.failure().detail().contains("call:f{"));
    }
}

#[test]
fn continuation_requests_form_one_response() {
    let hop = |content: &str, token: Option<&str>, reason: Option<&str>| {
        let mut event = text(content);
        let candidate = &mut event["candidates"][0];
        if let Some(token) = token {
            candidate["continuationToken"] = json!(token);
        }
        if let Some(reason) = reason {
            candidate["finishReason"] = json!(reason);
            event["usageMetadata"] = json!({"promptTokenCount": 5, "candidatesTokenCount": 2});
        }
        stream(&[event])
    };
    let first = hop("{\"a\":", Some("t1"), Some("CONTINUATION"));
    let second = hop("[1,", Some("t2"), None);
    let third = hop("2]}", None, Some("STOP"));
    let seen = run(
        ResponseOptions::default(),
        [
            (vec![first.as_bytes()], None),
            (vec![second.as_bytes()], Some(InvokeError::connection("cut"))),
            (vec![third.as_bytes()], None),
        ],
    );
    let cut = InvokeError::connection("cut").retryable();
    assert_eq!(
        seen.steps,
        [NextStep::Continue("t1".to_owned()), NextStep::Resume("t2".to_owned(), cut), NextStep::Done]
    );
    assert_eq!(seen.text, "{\"a\":[1,2]}");
    assert_eq!((seen.usage, seen.reason.as_deref()), (Some((10, 4)), Some("stop")));
    // Checkpoints without progress end after some retries.
    let stuck = hop("", Some("t"), None);
    let seen =
        run(ResponseOptions::default(), (0..6).map(|_| (vec![stuck.as_bytes()], Some(InvokeError::connection("cut")))));
    assert!(matches!(seen.steps.last(), Some(NextStep::Fail(_))), "{:?}", seen.steps);
}

#[test]
fn stores_the_parts_that_must_be_sent_back() {
    let seen = one(&[
        parts(json!([{"text": "thinking", "thought": true}, {"text": "Hel"}])),
        parts(
            json!([{"text": "lo"}, {"functionCall": {"id": "c1", "name": "f", "args": {"q": 1}}, "thoughtSignature": "AbC+/=="}]),
        ),
        parts(
            json!([{"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH"}, "thoughtSignature": "S2"}, {"toolResponse": {"id": "t"}}]),
        ),
        parts(
            json!([{"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "S3"}, {"text": "", "thoughtSignature": "S4"}]),
        ),
        end("STOP"),
    ]);
    assert_eq!(seen.media, ["image image/png"]);
    assert_eq!(
        seen.opaque.unwrap()["gemini"],
        json!({"length": seen.text.len(), "parts": [
            {"text": "Hello"},
            {"functionCall": {"id": "c1", "name": "f", "args": {"q": 1}}, "thoughtSignature": "AbC+/=="},
            {"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH"}, "thoughtSignature": "S2"},
            {"toolResponse": {"id": "t"}},
            {"inlineData": {"mimeType": "image/png", "data": ""}},
            {"text": "", "thoughtSignature": "S4"},
        ]})
    );
    assert_eq!(one(&[text("plain"), end("STOP")]).opaque, None);
}

#[test]
fn sources_are_listed_or_cited_in_the_text() {
    let full_text = "Zürich ist groß. Ja.";
    let first = "Zürich ist groß.".len();
    let last = json!({"candidates": [{"finishReason": "STOP", "groundingMetadata": {
        "webSearchQueries": ["zürich"],
        "groundingChunks": [{"web": {"uri": "https://g/1", "title": "a.ch"}}],
        "groundingSupports": [{"segment": {"endIndex": first, "text": "Zürich ist groß."}, "groundingChunkIndices": [0]}],
    }}]});
    let events = stream(&[text(&full_text[..9]), text(&full_text[9..]), last]);
    let list = "\n\nSources:\n[1] [a.ch](https://g/1)\n\nSearch suggestions: [zürich](https://www.google.com/search?q=z%C3%BCrich)";
    for (citations, expected) in [
        (Citations::List, format!("{full_text}{list}")),
        (Citations::Inline, format!("Zürich ist groß.[1] Ja.{list}")),
        (Citations::Off, full_text.to_owned()),
    ] {
        let options = ResponseOptions { citations, ..ResponseOptions::default() };
        assert_eq!(run(options, [(vec![events.as_bytes()], None)]).text, expected);
    }
    let json = ResponseOptions { expects_json: true, ..ResponseOptions::default() };
    assert_eq!(run(json, [(vec![events.as_bytes()], None)]).text, full_text);
}

#[test]
fn an_empty_text_before_code_is_buffered_too() {
    let answer = json!({"candidates": [{
        "content": {"parts": [{"text": ""}, {"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "Ja."}]},
        "finishReason": "STOP",
        "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://g/1", "title": "a.ch"}}],
            "groundingSupports": [{"segment": {"endIndex": 3, "text": "Ja."}, "groundingChunkIndices": [0]}]}}]});
    let options = ResponseOptions { citations: Citations::Inline, ..ResponseOptions::default() };
    let seen = run(options, [(vec![stream(&[answer]).as_bytes()], None)]);
    assert!(seen.text.contains("Ja.[1]"), "{}", seen.text);
}

#[test]
fn each_search_is_counted_once_and_priced() {
    let search = serde_json::from_value(json!({"per_1000_queries": "14"})).unwrap();
    let details = PriceDetails { search: Some(search), ..PriceDetails::default() };
    let prices = PriceList { details, ..PriceList::default() };
    let answer = SharedResponse::new(GeminiResponse::new(ResponseOptions { prices, ..ResponseOptions::default() }));
    let mut mapper = GenerateMapper::new(answer.clone());
    for queries in [json!(["one", "two"]), json!(["two", "three"])] {
        let event = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "groundingMetadata": {"webSearchQueries": queries}}]});
        mapper.event(&Event { name: String::new(), data: event.to_string(), bare: false }, &mut Vec::new()).unwrap();
        let _ = answer.lock().end_of_request(None);
    }
    let (searches, price) = answer.lock().searches();
    assert_eq!((searches, price.unwrap().normalize().to_string().as_str()), (3, "0.042"));
}

#[test]
fn buffered_output_is_limited() {
    let long = "a".repeat(1 << 20);
    let image = parts(json!([{"inlineData": {"mimeType": "image/png", "data": long}}]));
    let fragment = json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": long}], "willContinue": true});
    let cases = [
        ("text", Citations::Off, text(&long), true),
        ("text that waits for citation markers", Citations::Inline, text(&long), true),
        ("code", Citations::Off, parts(json!([{"executableCode": {"language": "PYTHON", "code": long}}])), true),
        ("calls", Citations::Off, parts(json!([{"functionCall": {"name": "f", "args": {"a": long}}}])), true),
        ("fragments of a call", Citations::Off, parts(json!([{ "functionCall": fragment }])), true),
        ("signatures", Citations::Off, parts(json!([{"text": "a", "thoughtSignature": long}])), true),
        ("images that wait for citation markers", Citations::Inline, image.clone(), true),
        ("images", Citations::Off, image, false),
        ("thoughts", Citations::Off, parts(json!([{"text": long, "thought": true}])), false),
    ];
    for (name, citations, event, limited) in cases {
        let mut answer = GeminiResponse::new(ResponseOptions { citations, ..ResponseOptions::default() });
        for _ in 0..40 {
            answer.take(serde_json::from_value(event.clone()).unwrap(), &mut Vec::new()).unwrap();
        }
        assert_eq!(answer.held() > MAX_RESPONSE_BYTES, limited, "{name}: {}", answer.held());
    }
}

#[test]
fn pcm_audio_becomes_a_wav_file() {
    let event = parts(json!([{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": "AAAAAA=="}}]));
    assert_eq!(one(&[event, end("STOP")]).media, ["audio audio/wav"]);
    let file = crate::dialect::wav::wav(&[0; 4], 16_000);
    assert_eq!((&file[..4], &file[24..28], file.len()), (&b"RIFF"[..], &16_000u32.to_le_bytes()[..], 48));
}

#[test]
fn tokens_are_estimated_without_usage() {
    let seen = one(&[text("some words of an answer"), json!({"candidates": [{"finishReason": "STOP"}]})]);
    let (prompt, answer) = seen.usage.unwrap();
    assert_eq!(prompt, 1000);
    assert!((4..10).contains(&answer), "{answer}");
}

#[test]
fn the_last_usage_counts_in_any_event() {
    let usage = |count: u64| json!({"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": count, "thoughtsTokenCount": 1}});
    let seen = one(&[usage(1), text("a"), usage(2), end("STOP"), usage(9)]);
    assert_eq!(seen.usage, Some((7, 10)));
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_yields_the_same_response(cuts in prop::collection::vec(0usize..900, 0..12), tail in any::<bool>()) {
        let mut bytes = stream(&[
            parts(json!([{"text": "überlegt 🤔", "thought": true}])),
            text("Grüße, 世界 🌍!"),
            parts(json!([{"functionCall": {"id": "c", "name": "f", "args": {"x": "ß🙂"}}, "thoughtSignature": "Zz+/=="}])),
            end("STOP"),
        ]).into_bytes();
        bytes.splice(0..0, *b": ping\r\n\r\n");
        if tail {
            bytes.truncate(bytes.len() - 4);
        }
        let mut places: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let split = run(ResponseOptions::default(), [(pieces, None)]);
        let whole = run(ResponseOptions::default(), [(vec![&bytes[..]], None)]);
        prop_assert_eq!(split, whole);
    }
}
