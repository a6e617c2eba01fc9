//! Nothing that a peer sends costs more than its length: whole sessions whose requests and answers are doubled, links,
//! messages, parts, tools, quotes, tags, deltas, calls, citations, errors. Work is counted, in bytes that are allocated and
//! in steps that scanners report; nothing is timed.

mod allocations;

use std::path::Path;

use crate::support::{harness, scripted};
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::codec::lines::LineDecoder;
use dify_plugin::{declare, steps};
use dify_plugin_runtime::providers;
use harness::{Outcome, Plugin};
use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};

/// The sizes that are tried, each twice the one before.
const SIZES: [usize; 4] = [512, 1024, 2048, 4096];

/// What a session costs whatever it is asked.
const CONSTANT: u64 = 512 * 1024;

/// Checks that a session costs at most a little more than twice as much for twice the size. `session` gets the size.
fn assert_linear(name: &str, session: impl AsyncFn(usize)) -> Result<(), String> {
    let counted: Vec<(u64, u64)> = SIZES
        .iter()
        .map(|size| {
            // Sessions, server and host on one thread, whose work is counted.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut bytes = 0;
            let steps = steps::of(|| bytes = allocations::of(|| runtime.block_on(session(*size))));
            (bytes, steps)
        })
        .collect();
    let grows = |once: u64, twice: u64| twice > 2 * once + once / 8 + CONSTANT;
    let held = counted.windows(2).all(|pair| !grows(pair[0].0, pair[1].0) && !grows(pair[0].1, pair[1].1));
    held.then_some(()).ok_or_else(|| format!("{name}: bytes and steps for {SIZES:?}: {counted:?}"))
}

fn plugin(name: &str) -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found = declared.providers.into_iter().find(|provider| provider.declaration.provider == name).unwrap();
    let code = providers::all(Default::default()).into_iter().find(|provider| provider.name() == name).unwrap();
    Plugin::of(vec![(found.declaration, found.models, code)])
}

/// A question to a provider; `more` overrides fields.
fn ask(provider: &str, url: &str, key: &str, more: Value) -> Value {
    let (model, credentials) = match provider {
        "google" => ("gemini-2.5-flash", json!({"google_api_key": key, "google_base_url": url, "max_retries": "0"})),
        _ => (
            "m",
            json!({"auth_method": "api_key", "api_key": key, "endpoint_url": format!("{url}/v1"), "max_retries": "0",
                "function_calling_type": "tool_call", "stream_function_calling": "supported",
                "vision_support": "support", "agent_though_support": "supported", "context_size": "1000000"}),
        ),
    };
    let mut request = json!({"action": "invoke_llm", "provider": provider, "model": model, "model_type": "llm",
        "stream": true, "credentials": credentials, "prompt_messages": [{"role": "user", "content": "Why?"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

fn many(size: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..size).map(item).collect()
}

/// What a host may ask, in a size.
type Request = fn(usize) -> Value;

fn requests() -> Vec<(&'static str, Request)> {
    vec![
        ("links in one text", |size| {
            let text: String = (0..size).map(|n| format!("see http://e.com/p{n:06}?id={n:08} for more ")).collect();
            json!({"prompt_messages": [user(text)]})
        }),
        (
            "links that are quoted",
            |size| json!({"prompt_messages": [user("\"http://e.com/p?id=12345678\"\n".repeat(size))]}),
        ),
        (
            "one long query",
            |size| json!({"prompt_messages": [user(format!("http://e.com/?{}", "a=12345678&".repeat(size)))]}),
        ),
        ("messages", |size| {
            json!({"prompt_messages": many(size, |n| json!({"role": if n % 2 == 0 { "user" } else { "assistant" },
                "content": format!("http://e.com/?id={n:08}")}))})
        }),
        (
            "parts",
            |size| json!({"prompt_messages": [user(many(size, |n| json!({"type": "text", "data": format!("part {n}")})))]}),
        ),
        (
            "thoughts of earlier answers",
            |size| json!({"prompt_messages": [user("a"), json!({"role": "assistant", "content": "<think>\nh\n</think>\nb".repeat(size)}), user("c")]}),
        ),
        (
            "tags that do not end",
            |size| json!({"prompt_messages": [user("a"), json!({"role": "assistant", "content": "<think>".repeat(size)}), user("c")]}),
        ),
        ("tools", |size| {
            json!({"tools": many(size, |n| json!({"name": format!("tool_{n}"), "description": "d",
                "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}))})
        }),
        ("members of a tool's schema", |size| {
            let members: serde_json::Map<String, Value> =
                (0..size).map(|n| (format!("p{n}"), json!({"type": "string", "description": "d"}))).collect();
            json!({"tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": members}}]})
        }),
        ("earlier calls", |size| {
            let call = |n: usize| {
                json!({"id": format!("c{n}"), "type": "function",
                "function": {"name": "f", "arguments": format!("{{\"n\": {n}}}")}})
            };
            let mut messages =
                vec![user("a"), json!({"role": "assistant", "content": "", "tool_calls": many(size, call)})];
            messages.extend(
                (0..size)
                    .map(|n| json!({"role": "tool", "content": "r", "tool_call_id": format!("c{n}"), "name": "f"})),
            );
            json!({"prompt_messages": messages,
                "tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]})
        }),
        ("earlier calls of one id, each in a message of its own, of a function that is gone", |size| {
            let call = json!({"id": "c", "type": "function", "function": {"name": "gone", "arguments": "{\"n\": 1}"}});
            let mut messages = vec![user("a")];
            messages.extend(vec![json!({"role": "assistant", "content": "", "tool_calls": [call]}); size]);
            messages.extend(vec![json!({"role": "tool", "content": "r", "tool_call_id": "c", "name": "gone"}); size]);
            json!({"prompt_messages": messages, "tools": [{"name": "f"}]})
        }),
        ("earlier calls of one id", |size| {
            let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "null"}});
            let mut messages =
                vec![user("a"), json!({"role": "assistant", "content": "", "tool_calls": vec![call; size]})];
            messages.extend(vec![json!({"role": "tool", "content": "r", "tool_call_id": "c", "name": "f"}); size]);
            json!({"prompt_messages": messages, "tools": [{"name": "f"}]})
        }),
        (
            "tools of one beginning",
            |size| json!({"tools": many(size, |n| json!({"name": format!("{}{n}", "x".repeat(64)), "description": "d"}))}),
        ),
        ("references of a schema", |size| {
            let properties: serde_json::Map<String, Value> = (0..size)
                .map(|n| (format!("p{n}"), json!({"$ref": format!("#/definitions/d{n}"), "title": "t"})))
                .collect();
            let definitions: serde_json::Map<String, Value> =
                (0..size).map(|n| (format!("d{n}"), json!({"items": {"$ref": "#/definitions/d0"}}))).collect();
            json!({"tools": [{"name": "f", "description": "d",
                "parameters": {"type": "object", "properties": properties, "definitions": definitions}}]})
        }),
        ("files of earlier messages that are not sent", |size| {
            let file =
                json!({"type": "document", "format": "docx", "mime_type": "", "base64_data": "AAAA", "filename": "a"});
            json!({"prompt_messages": [user(vec![file; size]), json!({"role": "assistant", "content": "a"}), user("b")]})
        }),
        ("lists of sources", |size| {
            let text = "a\n\nSources:\n[1] [a](https://b)".repeat(size);
            json!({"prompt_messages": [user("a"), json!({"role": "assistant", "content": text}), user("c")]})
        }),
        ("unknown parameters", |size| {
            let parameters: serde_json::Map<String, Value> = (0..size).map(|n| (format!("p{n}"), json!(n))).collect();
            json!({"model_parameters": parameters})
        }),
        ("stops", |size| json!({"stop": many(size, |n| json!(format!("stop {n}")))})),
    ]
}

#[test]
fn what_a_host_asks_costs_its_length() {
    let mut wrong = Vec::new();
    for provider in ["google", "ai-gateway", "unknown"] {
        let plugin = plugin(if provider == "unknown" { "google" } else { provider });
        for (name, make) in requests() {
            let session = async |size: usize| {
                let upstream = Scripted::start(vec![answer("503 Unavailable", "", "{\"error\": \"busy\"}")]).await;
                let outcome = plugin.call(ask(provider, &upstream.url, "key-of-mine", make(size))).await;
                assert!(outcome.error.is_some(), "{provider}, {name}");
            };
            wrong.extend(assert_linear(&format!("{provider}, {name}"), session).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an upstream may answer, in a size: events of Gemini and of a compatible server, or a refusal.
enum Output {
    Gemini(Vec<Value>),
    Compatible(Vec<Value>),
    Refusal(String),
}
use Output::{Compatible, Gemini, Refusal};

fn parts(parts: impl Into<Value>) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts.into()}}]})
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn texts(size: usize, text: &'static str) -> [Output; 2] {
    let events = |event: Value| vec![event; size];
    [Gemini(events(parts(json!([{ "text": text }])))), Compatible(events(delta(json!({ "content": text }))))]
}

fn whole(text: String) -> [Output; 2] {
    [Gemini(vec![parts(json!([{ "text": text }]))]), Compatible(vec![delta(json!({ "content": text }))])]
}

type Make = fn(usize) -> Vec<Output>;

fn answers() -> Vec<(&'static str, Make)> {
    vec![
        ("deltas", |size| texts(size, "word ").into()),
        ("deltas of half a tag", |size| texts(size, "<thin").into()),
        ("deltas of tags", |size| texts(size, "<think></think>").into()),
        ("tags that do not end", |size| whole("<think>".repeat(size)).into()),
        ("tags that did not begin", |size| whole("</think>".repeat(size)).into()),
        ("calls in a text", |size| {
            whole("<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>".repeat(size)).into()
        }),
        ("openings of calls", |size| whole("<tool_call>{".repeat(size)).into()),
        ("openings of calls of every format", |size| {
            whole(
                "[TOOL_CALLS]f<tool_call>f<arg_key>a</arg_key><｜tool▁call▁begin｜>f{<|tool_call_begin|>".repeat(size),
            )
            .into()
        }),
        ("quoted openings of calls", |size| whole("`[TOOL_CALLS]` `<function=` ".repeat(size)).into()),
        ("quotes", |size| whole("\"\\\"".repeat(size)).into()),
        ("fences", |size| whole("```json\n{}\n```\n".repeat(size)).into()),
        ("reasoning", |size| vec![Compatible(vec![delta(json!({"reasoning_content": "hm "})); size])]),
        ("thoughts", |size| vec![Gemini(vec![parts(json!([{"text": "hm ", "thought": true}])); size])]),
        ("parts of one event", |size| vec![Gemini(vec![parts(many(size, |_| json!({"text": "a"})))])]),
        ("calls", |size| {
            let call = |n: usize| json!({"functionCall": {"name": "f", "args": {"n": n}}});
            vec![Gemini(vec![parts(many(size, call))]), Gemini((0..size).map(|n| parts(json!([call(n)]))).collect())]
        }),
        ("calls with ids", |size| {
            let call =
                |n: usize| json!({"index": n, "id": format!("c{n}"), "function": {"name": "f", "arguments": "{}"}});
            vec![
                Compatible(vec![delta(json!({"tool_calls": many(size, call)}))]),
                Compatible((0..size).map(|n| delta(json!({"tool_calls": [call(n)]}))).collect()),
            ]
        }),
        ("fragments of one call", |size| {
            let first = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "[1"}}]});
            let next = json!({"tool_calls": [{"index": 0, "function": {"arguments": ",1"}}]});
            vec![Compatible(std::iter::once(first).chain(vec![next; size]).map(delta).collect())]
        }),
        ("fragments without index and id", |size| {
            let piece = |n: usize| json!({"function": {"name": "f", "arguments": if n == 0 { "[1" } else { ",1" }}});
            vec![
                Compatible(vec![delta(json!({"tool_calls": many(size, piece)}))]),
                Compatible((0..size).map(|n| delta(json!({"tool_calls": [piece(n)]}))).collect()),
            ]
        }),
        ("citations", |size| {
            let chunk = |n: usize| json!({"web": {"uri": format!("https://e.com/{n}"), "title": format!("T{n}")}});
            let support = |n: usize| json!({"segment": {"startIndex": 0, "endIndex": 1, "text": "a"}, "groundingChunkIndices": [n]});
            let source = |n: usize| json!({"startIndex": 0, "endIndex": 1, "uri": format!("https://e.com/{n}")});
            let event = |more: Value| {
                let mut event = parts(json!([{"text": "abc"}]));
                event["candidates"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                event
            };
            vec![
                Gemini(vec![event(
                    json!({"groundingMetadata": {"groundingChunks": many(size, chunk), "groundingSupports": many(size, support)}}),
                )]),
                Gemini(vec![event(json!({"citationMetadata": {"citations": many(size, source)}}))]),
            ]
        }),
        ("comments", |size| vec![Compatible(vec![Value::Null; size])]),
        ("a refusal of one letter", |size| vec![Refusal("A".repeat(16 * size))]),
        ("a refusal of words", |size| vec![Refusal("try again in 1 limit: ".repeat(size))]),
        ("a refusal of lists", |size| vec![Refusal(format!("{}1{}", "[".repeat(size), "]".repeat(size)))]),
        ("a refusal of titles", |size| vec![Refusal("<title".repeat(size))]),
        ("an error in the answer", |size| {
            let error = json!({"error": {"code": 400, "message": "A".repeat(16 * size)}});
            vec![Gemini(vec![error.clone()]), Compatible(vec![error])]
        }),
    ]
}

fn script(output: &Output) -> (&'static str, Vec<Step>) {
    let stream = |provider, events: &[Value], end: &str| {
        let line = |event: &Value| match event {
            Value::Null => ": ping\n\ndata:\n\n".to_owned(),
            event => format!("data: {event}\n\n"),
        };
        let body: String = events.iter().map(line).collect();
        (provider, vec![event_stream(), Step::Send(format!("{body}{end}").into_bytes())])
    };
    match output {
        Gemini(events) => stream("google", events, "data: {\"candidates\": [{\"finishReason\": \"STOP\"}]}\n\n"),
        Compatible(events) => stream(
            "ai-gateway",
            events,
            "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        Refusal(body) => ("ai-gateway", answer("400 Bad Request", "", body)),
    }
}

#[test]
fn what_an_upstream_answers_costs_its_length() {
    let (google, gateway) = (plugin("google"), plugin("ai-gateway"));
    // A secret of the text's own letter is the dearest to look for.
    let key = "A".repeat(4000) + "B";
    let mut wrong = Vec::new();
    for (name, make) in answers() {
        for which in 0..make(1).len() {
            for stream in [true, false] {
                let session = async |size: usize| {
                    let (provider, steps) = script(&make(size)[which]);
                    let upstream = Scripted::start(vec![steps]).await;
                    let more = json!({"stream": stream,
                        "tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]});
                    let plugin = if provider == "google" { &google } else { &gateway };
                    let outcome: Outcome = plugin.call(ask(provider, &upstream.url, &key, more)).await;
                    assert!(
                        !format!("{:?}", outcome.error).contains("AAAAAAAAAAAAAAAAAAAAAAAA"),
                        "{name}: {outcome:?}"
                    );
                };
                wrong.extend(assert_linear(&format!("{name}, answer {which}, streamed: {stream}"), session).err());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bytes_cost_their_length_in_whatever_pieces_they_come() {
    let texts: &[(&str, &str, &str)] = &[
        ("one line", "", "abcdefgh"),
        ("lines", "", "abcdefgh\n"),
        ("events", "", "data: {\"a\": 1}\n\n"),
        ("one long event", "data: ", "abcdefgh"),
        ("data lines of one event", "", "data: a\n"),
        ("data lines of one object", "data: {\n", "data: \"a\": 1,\n"),
        ("data lines of whole objects", "", "data: {}\r"),
        ("comments", "", ": ping\n\n"),
        ("a comment that does not end", ":", "ping"),
        ("JSON without events", "{\n", "\"a\": 1,\n"),
        ("JSON in an array", "[", "{\"a\": 1},\r\n"),
        ("openings", "", "{\n"),
        ("words", "", "upstream error\n"),
        ("fields", "", "event: a\nid: b\nerror:\n"),
    ];
    let mut wrong = Vec::new();
    for (name, before, text) in texts {
        for piece in [1, 7, usize::MAX] {
            let read = async |size: usize| {
                let bytes = format!("{before}{}", text.repeat(size)).into_bytes();
                let (mut events, mut lines) = (EventDecoder::new(1 << 20), LineDecoder::new(1 << 20));
                let (mut decoded, mut framed) = (Vec::new(), 0);
                for piece in bytes.chunks(piece.min(bytes.len())) {
                    events.push(piece, &mut decoded).unwrap();
                    lines.push(piece, |_| framed += 1);
                }
                events.finish(&mut decoded);
                lines.finish(|_| framed += 1);
                assert!(framed > 0);
            };
            wrong.extend(assert_linear(&format!("{name}, {piece} at a time"), read).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn work_that_outgrows_its_input_is_seen() {
    let squared = async |size: usize| drop((0..size).map(|_| vec![0_u8; size]).collect::<Vec<_>>());
    assert!(assert_linear("copies", squared).is_err());
    assert!(assert_linear("comparisons", async |size: usize| steps::count(size * size)).is_err());
    assert!(assert_linear("nothing but its length", async |size: usize| drop(vec![0_u8; 1000 * size])).is_ok());
}
