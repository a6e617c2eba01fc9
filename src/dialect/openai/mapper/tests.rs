//! Tests of the mapper: recorded responses of a real server, and one case per deviation that a client must tolerate.

use proptest::prelude::*;

use super::*;
use dify_plugin::codec::events::EventDecoder;
use dify_plugin::error::ErrorKind;

/// Output of the mapper in a form that is easy to compare.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    calls: Vec<String>,
    reason: Option<String>,
    usage: Option<(u64, u64)>,
    finals: usize,
    error: Option<(ErrorKind, String)>,
}

fn weather() -> Vec<Tool> {
    serde_json::from_str(
        r#"[{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]"#,
    )
    .unwrap()
}

fn options(think: ThinkPolicy, tools: bool) -> MapperOptions {
    MapperOptions {
        think,
        accept_calls: true,
        tools: if tools { weather() } else { Vec::new() },
        leaks_calls: true,
        prompt_estimate: 1000,
        ..MapperOptions::default()
    }
}

fn run_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, options: MapperOptions) -> Seen {
    let mut mapper = ChatMapper::new(options);
    let mut decoder = EventDecoder::new(1 << 20);
    let (mut events, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        decoder.push(piece, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    let mut result = Ok(Flow::Continue);
    for event in &events {
        result = mapper.event(event, &mut out);
        if !matches!(result, Ok(Flow::Continue)) {
            break;
        }
    }
    let error = match result {
        Ok(_) => mapper.finish(&mut out).err(),
        Err(error) => Some(error),
    };
    let mut seen = Seen { error: error.map(|error| (error.kind, error.message)), ..Seen::default() };
    for delta in out {
        seen.text.push_str(&delta.content.text());
        seen.calls.extend(delta.tool_calls.iter().map(|call| {
            assert!(!call.id.is_empty());
            format!("{} {}", call.function.name, call.function.arguments)
        }));
        if let Some(usage) = delta.usage {
            seen.finals += 1;
            seen.usage = Some((usage.prompt_tokens, usage.completion_tokens));
            seen.reason = delta.finish_reason.map(|reason| reason.as_str().to_owned());
        }
    }
    seen
}

fn run(body: &[u8], options: MapperOptions) -> Seen {
    run_pieces([body], options)
}

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/xinference/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn maps_function_names_back() {
    let tools: Vec<Tool> = serde_json::from_str(r#"[{"name":"get_weather"},{"name":"a.b"}]"#).unwrap();
    let names = Arc::new(FunctionNames::of(&tools, super::super::chat_request::NAMES));
    for (called, expected) in [
        ("get_weather", "get_weather {}"),
        ("a_b", "a.b {}"),
        ("functions.a_b", "a.b {}"),
        ("functions.gone", "functions.gone {}"),
    ] {
        let options = MapperOptions { names: names.clone(), ..options(ThinkPolicy::Show, false) };
        let call = format!(r#"{{"id":"c","function":{{"name":"{called}","arguments":"{{}}"}}}}"#);
        let body =
            format!(r#"data: {{"choices":[{{"delta":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}]}}"#);
        assert_eq!(run(body.as_bytes(), options).calls, [expected]);
    }
}

/// Reads chunk objects, one per line, as a stream.
fn recorded_chunks(name: &str) -> Vec<u8> {
    let lines = String::from_utf8(recorded(name)).unwrap();
    let mut stream: String = lines.lines().map(|line| format!("data: {line}\r\n\r\n")).collect();
    stream.push_str("data: [DONE]\r\n\r\n");
    stream.into_bytes()
}

const HELLO: &str = "Hello! 你好 👋 How can I help?";
const PARIS: &str = r#"get_weather {"city": "Paris"}"#;
const LONDON: &str = r#"get_weather {"city": "London"}"#;

mod careless;
mod mutation;

#[test]
fn maps_recorded_responses_of_a_real_server() {
    let thought = format!("<think>\nThe user says hi.\n</think>\n\n{HELLO}");
    let cases: &[(&str, bool, &str, &[&str], &str)] = &[
        ("chat-inline_stream.body", false, HELLO, &[], "stop"),
        ("chat-inline_stream_usage.body", false, HELLO, &[], "stop"),
        ("chat-inline_sync.body", false, HELLO, &[], "stop"),
        ("chat-inline_think_stream.body", false, &thought, &[], "stop"),
        ("chat-inline_think_sync.body", false, &thought, &[], "stop"),
        ("chat-reason_think_stream.body", false, &thought, &[], "stop"),
        ("chat-reason_think_sync.body", false, &thought, &[], "stop"),
        ("chat-reason_think_cut_stream.body", false, "<think>\nThe user\n</think>", &[], "length"),
        ("chat-reason_think_cut_sync.body", false, "<think>\nThe user\n</think>", &[], "length"),
        ("chat-inline_tools_sync.body", true, "\n", &[PARIS, LONDON], "tool_calls"),
    ];
    for (name, tools, text, calls, reason) in cases {
        let seen = run(&recorded(name), options(ThinkPolicy::Show, *tools));
        assert_eq!(seen.error, None, "{name}");
        assert_eq!((seen.text.as_str(), seen.reason.as_deref(), seen.finals), (*text, Some(*reason), 1), "{name}");
        assert_eq!(seen.calls, *calls, "{name}");
        assert!(seen.usage.is_some_and(|(prompt, completion)| prompt < 1000 && completion > 0), "{name}: {seen:?}");
    }
}

#[test]
fn reads_calls_in_text_like_converted_calls() {
    let as_written = [PARIS, LONDON];
    for name in
        ["chat-inline_tools_stream.body", "chat-inline_think_tools_stream.body", "chat-reason_think_tools_stream.body"]
    {
        let seen = run(&recorded(name), options(ThinkPolicy::Show, true));
        assert_eq!(
            (seen.calls.as_slice(), seen.reason.as_deref()),
            (as_written.map(str::to_owned).as_slice(), Some("tool_calls")),
            "{name}"
        );
        assert!(!seen.text.contains("tool_call"), "{name}: {}", seen.text);
        let raw = run(&recorded(name), options(ThinkPolicy::Show, false));
        assert!(raw.calls.is_empty() && raw.text.contains("<tool_call>"), "{name}: without tools text is text");
    }
    for (name, text) in [
        ("conv_tools_parallel.jsonl", ""),
        ("conv_tools_text_then_call.jsonl", "Let me check.\n"),
        ("conv_reasoning_tools.jsonl", "<think>\nI need two calls.\n</think>\n\nLet me check.\n"),
    ] {
        let seen = run(&recorded_chunks(name), options(ThinkPolicy::Show, true));
        assert_eq!((seen.text.as_str(), seen.reason.as_deref()), (text, Some("tool_calls")), "{name}");
        assert_eq!(seen.calls, [PARIS, LONDON], "{name}");
    }
}

#[test]
fn maps_completion_mode() {
    for name in ["completion_stream.body", "completion_stream_usage.body", "completion_sync.body"] {
        let seen = run(&recorded(name), options(ThinkPolicy::Show, false));
        assert_eq!(seen.error, None, "{name}");
        assert!(!seen.text.is_empty() && seen.finals == 1, "{name}: {seen:?}");
    }
}

#[test]
fn emits_text_before_the_error_of_a_broken_stream() {
    for (name, has_text) in [
        ("stream_model_killed.body", true),
        ("chat_on_generate_model_stream.body", false),
        ("completion_on_embedding_stream.body", false),
        ("completion_stream_pings.body", true), // the client cut this one
    ] {
        let seen = run(&recorded(name), options(ThinkPolicy::Show, false));
        let (kind, message) = seen.error.clone().unwrap_or_else(|| panic!("{name}: {seen:?}"));
        assert!(matches!(kind, ErrorKind::ServerUnavailable | ErrorKind::Connection), "{name}: {message}");
        assert!(!message.is_empty() && !message.contains("address="), "{name}: {message}");
        assert_eq!((!seen.text.is_empty(), seen.finals), (has_text, 0), "{name}");
    }
}

/// Name, events, text, calls, reason, usage.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str, (u64, u64));

#[test]
fn tolerates_deviations_of_other_servers() {
    let rows: &[Row] = &[
        (
            "no space, LF, no blank line at the end",
            "data:{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata:[DONE]",
            "a",
            &[],
            "stop",
            (1, 2),
        ),
        (
            "usage in a last chunk without choices",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
            "a",
            &[],
            "stop",
            (3, 4),
        ),
        (
            "usage on every chunk, the last one counts",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n",
            "ab",
            &[],
            "length",
            (3, 2),
        ),
        (
            "usage is missing, or -1",
            "data: {\"choices\":[{\"delta\":{\"content\":\"one two\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":-1}}\n\n",
            "one two",
            &[],
            "stop",
            (1000, 2),
        ),
        (
            "total only",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":9}}\n\n",
            "a",
            &[],
            "stop",
            (5, 4),
        ),
        (
            "null content, null choices, absent choices, keep-alive words",
            "data: {\"choices\":null,\"id\":\"x\"}\n\ndata: ping\n\ndata: {}\n\ndata: {\"choices\":[{\"delta\":{\"content\":null,\"role\":\"assistant\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: comment\n\ndata: [DONE]\n\n",
            "a",
            &[],
            "stop",
            (1000, 1),
        ),
        (
            "content as parts",
            "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},\"finish_reason\":\"stop\"}]}\n\n",
            "a",
            &[],
            "stop",
            (1000, 1),
        ),
        (
            "a second finish reason does not hide the first",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "a",
            &[],
            "length",
            (1000, 1),
        ),
        (
            "a filter after stop",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n",
            "a",
            &[],
            "content_filter",
            (1000, 1),
        ),
        (
            "a plain document instead of a stream",
            "{\"object\":\"chat.completion\",\n \"choices\":[{\"message\":{\"content\":\"a\",\"reasoning\":\"b\"},\"finish_reason\":null}],\n \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
            "<think>\nb\n</think>a",
            &[],
            "stop",
            (1, 2),
        ),
        (
            "a cached response: one event with a whole message",
            "data:{\"object\":\"chat.completion\",\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\ndata:[DONE]\n\n",
            "a",
            &[],
            "stop",
            (0, 0),
        ),
        (
            "a whole message that repeats the stream",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
            "a",
            &[],
            "stop",
            (1000, 1),
        ),
        (
            "bare JSON lines",
            "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n",
            "ab",
            &[],
            "stop",
            (1000, 1),
        ),
        (
            "the older function call, in fragments",
            "data: {\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\"}}}]}\n\ndata: {\"choices\":[{\"delta\":{\"function_call\":{\"arguments\":\"\\\"x\\\"}\"}},\"finish_reason\":\"function_call\"}]}\n\ndata: [DONE]\n\n",
            "",
            &[r#"get_weather {"city":"x"}"#],
            "tool_calls",
            (1000, 11),
        ),
        (
            "calls with stop as reason, and empty arguments",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n",
            "",
            &["f {}"],
            "tool_calls",
            (1, 1),
        ),
        (
            "reasoning in other fields, split by an empty delta",
            "data: {\"choices\":[{\"delta\":{\"reasoning\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"b\"}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]}\n\n",
            "<think>\nab\n</think>c",
            &[],
            "stop",
            (1000, 5),
        ),
        (
            "both reasoning fields contain the same",
            "data: {\"choices\":[{\"delta\":{\"reasoning\":\"a\",\"reasoning_content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]}\n\n",
            "<think>\na\n</think>c",
            &[],
            "stop",
            (1000, 5),
        ),
        (
            "a refusal",
            "data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}\n\n",
            "no",
            &[],
            "stop",
            (1000, 1),
        ),
        (
            "line separators of Unicode within a text",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\u{2028}b\u{85}c\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n",
            "a\u{2028}b\u{85}c",
            &[],
            "stop",
            (1, 1),
        ),
    ];
    for (name, events, text, calls, reason, usage) in rows {
        let seen = run(events.as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!(seen.error, None, "{name}");
        assert_eq!((seen.text.as_str(), seen.reason.as_deref()), (*text, Some(*reason)), "{name}");
        assert_eq!(seen.calls, *calls, "{name}");
        let (prompt, completion) = seen.usage.unwrap();
        assert_eq!(prompt, usage.0, "{name}");
        // An estimate may be off by a few tokens; a reported count is exact.
        let slack = if usage.0 == 1000 { 6 } else { 0 };
        assert!(completion.abs_diff(usage.1) <= slack, "{name}: {completion} is not {}", usage.1);
    }
}

#[test]
fn reports_errors_of_every_shape() {
    use ErrorKind::{BadRequest, Connection, RateLimit, ServerUnavailable};
    let begun = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let cases: &[(&str, ErrorKind, &str)] = &[
        ("data: {\"error\": \"boom\"}\n\n", ServerUnavailable, "boom"),
        ("data: {\"error\": {\"message\":\"slow\",\"code\":429}, \"choices\":[]}\n\n", RateLimit, "slow"),
        ("{\"error\": {\"message\":\"bare\",\"type\":\"invalid_request_error\"}}\n", BadRequest, "bare"),
        ("event: error\ndata: broke\n\n", ServerUnavailable, "broke"),
        ("data: {\"detail\":\"gone\"}\n\n", ServerUnavailable, "gone"),
        ("data: {\"object\":\"error\",\"message\":\"no\",\"code\":400}\n\n", BadRequest, "no"),
        ("data: {\"code\":\"Throttling\",\"msg\":\"wait\"}\n\n", RateLimit, "wait"),
        ("data: <html>oops</html>\n\n", ServerUnavailable, "<html>oops"),
        ("data: {\"choices\":[{\"delta\":{\"content\":\n\n", ServerUnavailable, "not a valid response chunk"),
        ("", Connection, "without a finish reason"),
    ];
    for (events, kind, words) in cases {
        let seen = run(format!("{begun}{events}").as_bytes(), options(ThinkPolicy::Show, false));
        let (seen_kind, message) = seen.error.clone().unwrap_or_else(|| panic!("{events}: {seen:?}"));
        assert_eq!(seen_kind, *kind, "{events}");
        assert!(message.contains(words), "{events}: {message}");
        assert_eq!((seen.text.as_str(), seen.finals), ("a", 0), "{events}");
    }
    for (nothing, words) in [
        ("", "without a response"),
        (": ping\n\n", "without a response"),
        ("<html>hello</html>", "<html>hello</html>"),
        ("upstream connect error or disconnect/reset before headers\n", "upstream connect error or disconnect"),
    ] {
        let seen = run(nothing.as_bytes(), options(ThinkPolicy::Show, false));
        assert!(seen.error.is_some_and(|(_, message)| message.contains(words)), "{nothing}");
    }
}

#[test]
fn hides_thoughts_unless_nothing_else_was_sent() {
    for (events, text) in [
        (
            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
            "a",
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"<think>\\n\\n</think>\\n\\na\"},\"finish_reason\":\"stop\"}]}\n\n",
            "a",
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"the answer\"},\"finish_reason\":\"stop\"}]}\n\n",
            "the answer",
        ),
    ] {
        assert_eq!(run(events.as_bytes(), options(ThinkPolicy::Hide, false)).text, text, "{events}");
    }
}

#[test]
fn ignores_calls_without_tools() {
    let events = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}}]},\"finish_reason\":\"stop\"}]}\n\n";
    let seen = run(events, MapperOptions::default());
    assert_eq!((seen.text.as_str(), seen.calls.len(), seen.reason.as_deref()), ("a", 0, Some("stop")));
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_response(cuts in proptest::collection::vec(0usize..9000, 0..12), which in 0usize..4) {
        let name = ["chat-inline_think_tools_stream.body", "chat-reason_think_stream.body", "completion_stream.body", "chat-inline_think_sync.body"][which];
        let body = recorded(name);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        pieces.push(&body[from..]);
        prop_assert_eq!(run_pieces(pieces, options(ThinkPolicy::Show, true)), run(&body, options(ThinkPolicy::Show, true)));
    }

    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400), json in "(data: |\\{|\\}|\"choices\"|:|\\[|\\]|\"delta\"|null|\"content\"|\"a\"|,|\n){0,40}") {
        let _ = run(&body, options(ThinkPolicy::Hide, true));
        let _ = run(json.as_bytes(), options(ThinkPolicy::ShowUnopened, true));
    }
}

/// Measures the speed of one stream: `cargo test --release -- --ignored --nocapture one_stream`.
#[test]
#[ignore = "measures; run it in release mode"]
fn one_stream_is_fast() {
    let chunk = b"data: {\"id\": \"chat70a3ba62-f062-4585-8146-f1ef74a0cddf\", \"model\": \"chat-reason\", \"created\": 1795210676, \"object\": \"chat.completion.chunk\", \"choices\": [{\"index\": 0, \"delta\": {\"content\": \" answer\"}, \"logprobs\": null, \"finish_reason\": null}], \"usage\": null}\r\n\r\n";
    let chunks = 1_000_000;
    let mut mapper = ChatMapper::new(options(ThinkPolicy::Show, true));
    let mut decoder = EventDecoder::new(1 << 20);
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let started = std::time::Instant::now();
    let mut deltas = 0;
    for _ in 0..chunks {
        decoder.push(chunk, &mut events).unwrap();
        for event in events.drain(..) {
            mapper.event(&event, &mut out).unwrap();
        }
        deltas += out.drain(..).count();
    }
    let rate = f64::from(chunks) / started.elapsed().as_secs_f64();
    assert_eq!(deltas, chunks as usize);
    eprintln!("{rate:.0} chunks/s");
    assert!(cfg!(debug_assertions) || rate > 100_000.0, "{rate:.0} chunks/s");
}
