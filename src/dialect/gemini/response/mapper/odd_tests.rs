//! Unexpected members in responses: each optional or decorative member of each sample response, with each unexpected
//! type. Texts and calls must still arrive, and the response must end normally. [`PAYLOAD`] lists the members that make
//! up a response.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::dialect::gemini::grounding::Citations;
use crate::dialect::gemini::request::functions::NAMES;
use crate::dialect::gemini::response::{NextStep, ResponseOptions};
use crate::dialect::names::FunctionNames;
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::protocol::Content;
use dify_plugin::steps;

/// Members that make up the response. With another type they are lost; all other members affect only themselves.
const PAYLOAD: &[&str] = &[
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "functionCall",
    "name",
    "args",
    "inlineData",
    "data",
    "executableCode",
    "code",
    "language",
    "codeExecutionResult",
    "output",
];

/// Values of the wrong type, and invalid JSON. `{"a":[…]}` and similar values stand in for anything unknown.
const ODD: &[&str] = &[
    "null",
    "5",
    "-1",
    "0.5",
    "1e300",
    "1e999",
    "18446744073709551616",
    "true",
    "false",
    r#""""#,
    r#""odd""#,
    r#""-1""#,
    "[]",
    "[1]",
    r#"[{"a":null}]"#,
    "{}",
    r#"{"a":[1,{}]}"#,
    "NaN",
    "-Infinity",
    r#""half \ud83d""#,
    r#""\udc00""#,
    "None",
];

/// Optional members of an event, a candidate and a part.
const OPTIONAL: [&[&str]; 3] = [
    &["promptFeedback", "usageMetadata", "modelVersion", "responseId", "response", "createTime", "unknownMember"],
    &[
        "index",
        "finishMessage",
        "safetyRatings",
        "groundingMetadata",
        "urlContextMetadata",
        "citationMetadata",
        "avgLogprobs",
        "tokenCount",
        "logprobsResult",
        "groundingAttributions",
    ],
    &[
        "thoughtSignature",
        "videoMetadata",
        "mediaResolution",
        "partMetadata",
        "fileData",
        "executableCode",
        "codeExecutionResult",
        "functionResponse",
        "toolCall",
        "toolResponse",
        "audioTranscription",
        "inlineData",
    ],
];

/// The sample responses, each as its events.
fn answers() -> Vec<(&'static str, Vec<Value>)> {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings/vertex-chat/0003-127.0.0.1.json");
    let recording: Value = serde_json::from_slice(&std::fs::read(recording).unwrap()).unwrap();
    let text = recording["response"]["chunks"][0]["text"].as_str().unwrap();
    let recorded = serde_json::from_str(text.trim().trim_start_matches("data: ")).unwrap();
    let ratings = json!([{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE", "probabilityScore": 0.1, "blocked": false}]);
    let usage = json!({"promptTokenCount": 7, "cachedContentTokenCount": 1, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
        "toolUsePromptTokenCount": 1, "totalTokenCount": 13, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 3}], "trafficType": "ON_DEMAND", "serviceTier": "standard"});
    let event = |parts: Value| {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "safetyRatings": ratings}],
        "usageMetadata": usage, "modelVersion": "gemini-9", "responseId": "r1"})
    };
    let end = |more: Value| {
        let mut event = json!({"candidates": [{"index": 0, "finishReason": "STOP", "finishMessage": "Done.", "safetyRatings": ratings}],
            "usageMetadata": usage, "modelVersion": "gemini-9", "responseId": "r1"});
        event["candidates"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let sources = json!({
        "groundingMetadata": {
            "webSearchQueries": ["size"], "searchEntryPoint": {"renderedContent": "<div>"}, "retrievalMetadata": {"score": 0.5},
            "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"uri": "gs://b", "title": "B"}}],
            "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 3, "text": "One"}, "groundingChunkIndices": [0, 1], "confidenceScores": [0.9]}]},
        "citationMetadata": {"citationSources": [{"uri": "https://c", "startIndex": 0, "endIndex": 3}], "citations": [{"uri": "https://d", "title": "D"}]},
        "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://e", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"}]},
        "avgLogprobs": -0.1});
    vec![
        ("a recorded answer", vec![recorded]),
        (
            "a searched answer",
            vec![
                event(json!([{"text": "hm", "thought": true}, {"text": "One "}])),
                event(json!([{"text": "two."}])),
                end(sources),
            ],
        ),
        (
            "calls",
            vec![
                event(
                    json!([{"text": "I look."}, {"functionCall": {"id": "a", "name": "look", "args": {"q": "ä"}}, "thoughtSignature": "U2ln"}]),
                ),
                event(json!([{"functionCall": {"name": "look", "args": {"n": [1]}}}])),
                end(json!({})),
            ],
        ),
        (
            "an image",
            vec![
                event(
                    json!([{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "U2ln"}]),
                ),
                end(json!({})),
            ],
        ),
        (
            "code",
            vec![
                event(json!([{"executableCode": {"id": "x", "language": "PYTHON", "code": "print(1)"}}])),
                event(
                    json!([{"codeExecutionResult": {"id": "x", "outcome": "OUTCOME_OK", "output": "1\n"}}, {"text": "One."}]),
                ),
                end(json!({})),
            ],
        ),
    ]
}

/// The content of a response as it was emitted.
#[derive(Debug, Default, PartialEq)]
struct Emitted {
    text: String,
    calls: Vec<(String, String)>,
    media: usize,
}

/// Returns the response for these events (as raw JSON), which must end normally.
fn emit(events: &[String], citations: Citations) -> Result<Emitted, String> {
    let functions = vec![serde_json::from_value(json!({"name": "look", "description": "", "parameters": {}})).unwrap()];
    let names = FunctionNames::of(&functions, NAMES).into();
    let options = ResponseOptions { citations, quotes: true, names, ..ResponseOptions::default() };
    let answer = SharedResponse::new(GeminiResponse::new(options));
    let mut mapper = GenerateMapper::new(answer.clone());
    let (mut decoder, mut decoded, mut out) = (EventDecoder::new(1 << 24), Vec::new(), Vec::new());
    for event in events {
        decoder.push(format!("data: {event}\n\n").as_bytes(), &mut decoded).unwrap();
    }
    for event in &decoded {
        mapper.event(event, &mut out).map_err(|error| error.to_string())?;
    }
    mapper.finish(&mut out).map_err(|error| error.to_string())?;
    match answer.lock().end_of_request(None) {
        NextStep::Done => {}
        step => return Err(format!("{step:?}")),
    }
    out.extend(answer.lock().conclude(|| 1));
    let last = out.last().unwrap();
    assert!(last.finish_reason.is_some() && last.usage.is_some());
    let mut emitted = Emitted::default();
    for delta in out {
        emitted.text.push_str(&delta.content.text());
        if let Content::Parts(parts) = &delta.content {
            emitted.media += parts.iter().filter(|part| part.media().is_some()).count();
        }
        emitted.calls.extend(delta.tool_calls.into_iter().map(|call| (call.function.name, call.function.arguments)));
    }
    Ok(emitted)
}

/// Collects the paths of all members and elements.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let path = format!("{path}/{key}");
        paths(value, &path, found);
        found.push(path);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(place, value)| below(&place.to_string(), value)),
        _ => {}
    }
}

/// Whether the value at a path is part of the response itself.
fn is_payload(path: &str) -> bool {
    let inside = |key: &str| path.contains(&format!("/{key}/"));
    if inside("args")
        || path.ends_with("/candidates/0")
        || path.rsplit_once("/parts/").is_some_and(|(_, rest)| !rest.contains('/'))
    {
        return true;
    }
    let decoration = ["groundingMetadata", "citationMetadata", "urlContextMetadata", "safetyRatings"];
    let key = path.rsplit('/').next().unwrap_or_default();
    !decoration.into_iter().any(inside) && PAYLOAD.contains(&key)
}

const PLACEHOLDER: &str = "\"unexpected value\"";

/// Returns an event with a raw value at a path.
fn with_value(event: &Value, path: &str, odd: &str) -> String {
    let mut event = event.clone();
    *event.pointer_mut(path).unwrap() = json!(PLACEHOLDER.trim_matches('"'));
    event.to_string().replace(PLACEHOLDER, odd)
}

/// Applies `changes` to every event of every response; the content must stay the same.
fn assert_unchanged(changes: impl Fn(&Value) -> Vec<String>, kept: impl Fn(&Emitted, &Emitted) -> bool) {
    let mut tried = 0;
    for (name, events) in answers() {
        for citations in [Citations::Off, Citations::Inline] {
            let plain: Vec<String> = events.iter().map(Value::to_string).collect();
            let whole = emit(&plain, citations).unwrap();
            for (place, event) in events.iter().enumerate() {
                for changed in changes(event) {
                    let mut events = plain.clone();
                    events[place] = changed.clone();
                    let emitted = emit(&events, citations).unwrap_or_else(|error| panic!("{name}: {error}: {changed}"));
                    // Markers and lists may depend on what was changed.
                    let same = citations != Citations::Off || kept(&emitted, &whole);
                    assert!(same, "{name}: {changed}\n{emitted:?}\n{whole:?}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_member_of_an_unexpected_type_loses_only_that_member() {
    assert_unchanged(
        |event| {
            let mut all = Vec::new();
            paths(event, "", &mut all);
            // A response without its finish reason is incomplete.
            let ends = |path: &str| path.ends_with("/finishReason");
            let of = |path: &String| {
                let empty = ["null", "false", r#""""#, "NaN", "-Infinity", "1e999", "None"];
                let odd = ODD.iter().filter(|odd| !ends(path) || !empty.contains(odd));
                odd.map(|odd| with_value(event, path, odd)).collect::<Vec<_>>()
            };
            all.iter().filter(|path| !is_payload(path)).flat_map(of).collect()
        },
        Emitted::eq,
    );
}

#[test]
fn a_missing_member_loses_only_that_member() {
    assert_unchanged(
        |event| {
            let mut all = Vec::new();
            paths(event, "", &mut all);
            let needed = |path: &str| is_payload(path) || path.ends_with("/finishReason");
            let without = |path: &String| {
                let (object, key) = path.rsplit_once('/').unwrap();
                let mut event = event.clone();
                event.pointer_mut(object)?.as_object_mut()?.remove(key);
                Some(event.to_string())
            };
            all.iter().filter(|path| !needed(path)).filter_map(without).collect()
        },
        Emitted::eq,
    );
}

#[test]
fn unexpected_members_are_ignored() {
    let places = ["", "/candidates/0", "/candidates/0/content/parts/0"];
    assert_unchanged(
        |event| {
            let mut changed = Vec::new();
            for (place, members) in places.iter().zip(OPTIONAL) {
                for member in members {
                    let Some(object) = event.pointer(place).and_then(Value::as_object) else { continue };
                    if object.contains_key(*member) {
                        continue;
                    }
                    let mut event = event.clone();
                    event.pointer_mut(place).unwrap()[member] = json!(0);
                    let path = format!("{place}/{member}");
                    changed.extend(ODD.iter().map(|odd| with_value(&event, &path, odd)));
                }
            }
            for nothing in ["null", "false", "0", r#""""#, "{}", "[]"] {
                let mut event = event.clone();
                event["error"] = json!(0);
                changed.push(with_value(&event, "/error", nothing));
            }
            changed
        },
        Emitted::eq,
    );
}

#[test]
fn accepts_duplicate_members_other_spellings_and_envelopes() {
    fn snake(value: &Value, is_arguments: bool) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| {
                    let snake: String = key
                        .chars()
                        .flat_map(|letter| {
                            letter.is_uppercase().then_some('_').into_iter().chain(letter.to_lowercase())
                        })
                        .collect();
                    (if is_arguments { key.clone() } else { snake }, snake_below(key, value, is_arguments))
                })
                .collect(),
            Value::Array(items) => items.iter().map(|item| snake(item, is_arguments)).collect(),
            other => other.clone(),
        }
    }
    fn snake_below(key: &str, value: &Value, is_arguments: bool) -> Value {
        snake(value, is_arguments || key == "args")
    }
    assert_unchanged(
        |event| {
            let mut changed = vec![
                snake(event, false).to_string(),
                json!({ "response": event, "traceId": "t" }).to_string(),
                json!({"response": {"response": event}}).to_string(),
                json!([event]).to_string(),
            ];
            let mut all = Vec::new();
            paths(event, "", &mut all);
            for path in all.iter().filter(|path| !path.ends_with(|end: char| end.is_ascii_digit())) {
                let (_, key) = path.rsplit_once('/').unwrap();
                let value = event.pointer(path).unwrap();
                // The first of the duplicates has the wrong type.
                for odd in ["[]", "null", r#""odd""#] {
                    let twice = format!("{odd},\"{key}\":{value}");
                    changed.push(with_value(event, path, &twice));
                }
            }
            changed
        },
        Emitted::eq,
    );
}

#[test]
fn accepts_arguments_as_a_string_and_a_single_part() {
    let call = |args: &str| {
        vec![format!(
            r#"{{"candidates":{{"content":{{"parts":{{"functionCall":{{"name":"look","args":{args}}}}}}},"finishReason":1}}}}"#
        )]
    };
    for (args, expected) in [
        (r#""{\"q\":\"ä\"}""#, r#"{"q":"ä"}"#),
        (r#"" {} ""#, "{}"),
        (r#""""#, "{}"),
        ("[]", "{}"),
        ("[1]", "{}"),
        ("7", "{}"),
        ("null", "{}"),
    ] {
        let emitted = emit(&call(args), Citations::Off).unwrap();
        assert_eq!(emitted.calls, [("look".to_owned(), expected.to_owned())], "{args}");
    }
    // Truncated arguments are an error.
    let error = emit(&call(r#""{\"q\":\"ca""#), Citations::Off).unwrap_err();
    assert!(error.contains("are truncated"), "{error}");
}

/// Twice the parts, events, calls or sources take twice the work.
#[test]
fn work_is_linear_in_the_input() {
    type Make = fn(usize) -> Vec<Value>;
    let cases: [(&str, Make); 7] = [
        ("parts", |count| {
            vec![json!({"candidates": [{"content": {"parts": vec![json!({"text": "a"}); count.min(8000)]}}]})]
        }),
        ("deltas", |count| vec![json!({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}); count]),
        ("signed parts", |count| {
            vec![json!({"candidates": [{"content": {"parts": [{"text": "a", "thoughtSignature": "s"}]}}]}); count]
        }),
        ("calls", |count| {
            vec![
                json!({"candidates": [{"content": {"parts": [{"functionCall": {"id": "c", "name": "look", "args": {"n": 1}}}]}}]});
                count
            ]
        }),
        ("citations", |count| {
            let sources: Vec<Value> =
                (0..count).map(|number| json!({"uri": format!("https://a/{number:04}")})).collect();
            vec![json!({"candidates": [{"citationMetadata": {"citations": sources}}]})]
        }),
        ("pages", |count| {
            let pages: Vec<Value> = (0..count)
                .map(|number| json!({"retrievedUrl": format!("https://a/{number:04}"), "urlRetrievalStatus": "X"}))
                .collect();
            vec![json!({"candidates": [{"urlContextMetadata": {"urlMetadata": pages}}]})]
        }),
        ("passages", |count| {
            let passages = vec![
                json!({"segment": {"endIndex": 1, "text": "a"}, "groundingChunkIndices": [0, 0, 0]});
                count.min(4000)
            ];
            let chunks = vec![json!({"web": {"uri": "https://a"}}); count.min(1000)];
            vec![json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "groundingMetadata": {
                "groundingChunks": chunks, "groundingSupports": passages, "webSearchQueries": vec!["q"; count]}}]})]
        }),
    ];
    for (name, make) in cases {
        steps::assert_linear(
            name,
            |count| {
                let mut events = make(count);
                events.push(json!({"candidates": [{"content": {"parts": [{"text": "."}]}, "finishReason": "STOP"}]}));
                events.iter().map(Value::to_string).collect::<Vec<_>>()
            },
            |events| drop(emit(&events, Citations::Inline).unwrap()),
        );
    }
}

/// Small input that would need much memory is rejected before it is parsed, or parsed up to the limit.
#[test]
fn large_numbers_of_small_items_are_rejected_or_dropped() {
    let many = |thing: &str, count: usize| format!("[{}{thing}]", format!("{thing},").repeat(count));
    let content = |parts: &str| format!(r#"{{"candidates":[{{"content":{{"parts":{parts}}}}}]}}"#);
    for (name, event) in [
        ("parts", content(&many(r#"{"text":"a"}"#, 200_000))),
        ("fewer parts", content(&many("{}", 10_000))),
        ("signed parts", content(&many(r#"{"thoughtSignature":"a"}"#, 200_000))),
        ("answers", format!(r#"{{"candidates":{}}}"#, many(r#"{"content":{"parts":[{},{}]}}"#, 100_000))),
        (
            "arguments",
            content(&format!(r#"[{{"functionCall":{{"name":"look","args":{{"a":{}}}}}}}]"#, many("0", 2_000_000))),
        ),
        (
            "arguments as a string",
            content(&format!(r#"[{{"functionCall":{{"name":"look","args":"{{\"a\":{}}}"}}}}]"#, many("0", 2_000_000))),
        ),
        ("an unknown member", format!(r#"{{"x":{}}}"#, many(r#"{"a":1}"#, 200_000))),
        ("an array of events", many(&content("[{}]"), 100_000)),
        (
            "fragments",
            content(&format!(
                r#"[{{"functionCall":{{"name":"look","partialArgs":{}}}}}]"#,
                many(r#"{"jsonPath":"$.a[9]"}"#, 10_000)
            )),
        ),
    ] {
        let taken = steps::of(|| {
            let error = emit(std::slice::from_ref(&event), Citations::Inline).expect_err(name);
            assert!(error.contains("more than") || error.contains("are truncated"), "{name}: {error:.300}");
        });
        assert!(taken < 20 * event.len() as u64 + 100_000, "{name}: {taken} steps for {} bytes", event.len());
    }
    // Grounding is decorative: its first entries are enough.
    let sources =
        format!(r#"{{"citations":{},"citationSources":{}}}"#, many(r#"{"uri":"a"}"#, 20_000), many("[]", 20_000));
    let pages = format!(r#"{{"urlMetadata":{}}}"#, many(r#"{"retrievedUrl":"a","urlRetrievalStatus":"X"}"#, 20_000));
    let event = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"One."}}]}},"finishReason":"STOP","citationMetadata":{sources},"urlContextMetadata":{pages}}}]}}"#
    );
    assert_eq!(emit(&[event], Citations::Off).unwrap().text, "One.");
}
