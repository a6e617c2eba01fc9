//! Tests with malformed responses: an odd member affects only itself, a failure is reported in any shape, nothing is
//! invented.

use super::*;
use dify_plugin::steps;

/// Builds events of these documents, without an end marker.
fn events(documents: &[&str]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

fn stopped(documents: &[&str]) -> String {
    events(documents) + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
}

const A: &str = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const B: &str = r#"{"choices":[{"index":0,"delta":{"content":"b"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const CALL: &str = r#"<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"x\"}}</tool_call>"#;
const CALLED: &str = r#"get_weather {"city": "x"}"#;

#[test]
fn ignores_odd_documents_between_deltas() {
    let odd = [
        "null",
        "undefined",
        "\"ping\"",
        "",
        "{}",
        "[]",
        r#"{"id":"x"}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":{}}"#,
        r#"{"choices":"x"}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"index":0,"delta":""}]}"#,
        r#"{"choices":[{"index":0,"delta":null}]}"#,
        r#"{"choices":[{"index":0,"delta":[]}]}"#,
        r#"{"choices":[{"delta":{"content":null,"tool_calls":{}}}]}"#,
        r#"{"choices":[{"delta":{"content":false,"tool_calls":""}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[null,7,{"index":"x"}],"function_call":"f"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":{}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":false}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":0}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"","content":""}}]}"#,
        r#"{"usage":null,"choices":[{"delta":{}}],"usage":""}"#,
        r#"{"usage":[1],"id":1,"id":2,"choices":[{"delta":{"role":"x","role":"y"},"logprobs":NaN}]}"#,
        r#"{"choices":[{"delta":{"content":""},"logprobs":{"content":[{"logprob":-Infinity}]}}]}"#,
        r#"{"error":"","choices":[],"usage":{"prompt_tokens":1}}"#,
        r#"{"error":{},"choices":[{"delta":{}}]}"#,
        r#"{"error":false,"x":"\ud83d"}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"of another choice"}}]}"#,
        r#"{"choices":[{"index":"1","delta":{"content":"of another choice"},"finish_reason":"length"}]}"#,
        r#"{"base_resp":{"status_code":0,"status_msg":"success"}}"#,
    ];
    for odd in odd {
        let seen = run(stopped(&[A, odd, B]).as_bytes(), options(ThinkPolicy::Show, true));
        assert_eq!((seen.text.as_str(), seen.reason.as_deref(), &seen.error), ("ab", Some("stop"), &None), "{odd}");
    }
    // The same within the first event, and with the rest in one document.
    for odd in [r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"x"}}]}"#, A] {
        let seen = run(stopped(&[odd, B]).as_bytes(), options(ThinkPolicy::Show, true));
        assert_eq!((seen.text.as_str(), &seen.error), ("ab", &None), "{odd}");
    }
}

#[test]
fn reads_several_documents_in_one_event() {
    let cases = [
        format!("data: {A}{B}{STOP}\n\n"),
        format!("data: [{A},{B} , {STOP}]\n\n"),
        format!("data: {A}\ndata: {B}\ndata: {STOP}\ndata: [DONE]\n"),
        format!("{A}\n{B}\n{STOP}\n"),
        format!("data: {}\n\ndata: {B}\n\ndata: {STOP}\n\n", A.replace("{\"choices", "{\ndata: \"choices")),
    ];
    for case in cases {
        let seen = run(case.as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.text.as_str(), seen.reason.as_deref(), &seen.error), ("ab", Some("stop"), &None), "{case}");
    }
}

#[test]
fn joins_or_replaces_split_surrogates() {
    let delta = |content: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}");
    for (pieces, expected) in [
        (vec![r"well \ud83d", r"\ude00 done"], "well 😀 done"),
        (vec![r"well \ud83d", "done"], "well \u{fffd}done"),
        (vec![r"\ude00 well"], "\u{fffd} well"),
        (vec![r"well \ud83d"], "well \u{fffd}"),
    ] {
        let documents: Vec<String> = pieces.iter().map(|piece| delta(piece)).collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let seen = run(stopped(&documents).as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.text.as_str(), &seen.error), (expected, &None), "{pieces:?}");
    }
}

#[test]
fn accepts_every_form_of_the_end_marker() {
    for word in ["[DONE]", "DONE", "[done]", "[ DONE ]", "\"[DONE]\"", "[DONE]\0"] {
        let stream = format!("data: {A}\n\ndata: {word}\n\ndata: {B}\n\n");
        let seen = run(stream.as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.text.as_str(), &seen.error), ("a", &None), "{word:?}");
    }
}

#[test]
fn ignores_data_after_the_end() {
    for word in ["[END]", "<DONE>", "[done].", "{\"cut", "bye", "[1]"] {
        let end = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let seen =
            run(format!("data: {A}\n\ndata: {end}\n\ndata: {word}\n\n").as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.text.as_str(), seen.reason.as_deref(), &seen.error), ("a", Some("stop"), &None), "{word:?}");
    }
}

#[test]
fn maps_finish_reasons_of_other_servers() {
    for (word, expected) in [
        ("STOP", Some("stop")),
        ("end", Some("stop")),
        ("MAX_TOKENS", Some("length")),
        ("model_length", Some("length")),
        ("Content-Filter", Some("content_filter")),
        ("SAFETY", Some("content_filter")),
        ("sensitive", Some("content_filter")),
        ("Recitation", Some("Recitation")),
        ("ERROR", None),
        ("network_error", None),
    ] {
        let end = format!("{{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{word}\"}}]}}");
        let seen = run(events(&[A, &end]).as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.reason.as_deref(), seen.error.is_none()), (expected, expected.is_some()), "{word}");
    }
}

#[test]
fn reports_failures_with_and_without_choices() {
    use ErrorKind::{BadRequest, Connection, RateLimit, ServerUnavailable};
    let cases: &[(&str, ErrorKind, &str)] = &[
        (
            r#"{"error":{"code":502,"message":"provider gone"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            ServerUnavailable,
            "provider gone",
        ),
        (
            r#"{"error":"slow down, please","choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            ServerUnavailable,
            "slow down",
        ),
        (
            r#"{"choices":[{"delta":{},"error":{"code":429,"message":"slow"},"finish_reason":"error"}]}"#,
            RateLimit,
            "slow",
        ),
        (
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            ServerUnavailable,
            "finish reason `error`",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            ServerUnavailable,
            "insufficient_system",
        ),
        (r#"{"choices":[{"delta":{},"finish_reason":{"type":"abort"}}]}"#, ServerUnavailable, "`abort`"),
        (r#"{"choices":null,"base_resp":{"status_code":1002,"status_msg":"too fast"}}"#, RateLimit, "too fast"),
        (r#"{"errors":[{"message":"no route","code":7003}],"success":false}"#, ServerUnavailable, "no route"),
        (r#"{"type":"about:blank","title":"Too large","status":400,"detail":null}"#, BadRequest, "Too large"),
        (r#"{"error":{"message":"Please retry in 9 s"}}"#, ServerUnavailable, "retry in 9 s"),
        (r#"{"object":"error","message":"no \ud83d","x":NaN,"code":400}"#, BadRequest, "no \u{fffd}"),
        (r#"{"error":true}"#, ServerUnavailable, "failed before the response"),
        ("\"no healthy upstream\"", ServerUnavailable, "no healthy upstream"),
        ("upstream connect error", ServerUnavailable, "upstream connect error"),
    ];
    for (document, kind, words) in cases {
        for (before, text) in [(events(&[A]), "a"), (String::new(), "")] {
            let stream = format!("{before}data: {document}\n\ndata: [DONE]\n\n");
            let seen = run(stream.as_bytes(), options(ThinkPolicy::Show, true));
            let (seen_kind, message) = seen.error.clone().unwrap_or_else(|| panic!("{document}: {seen:?}"));
            assert!(message.contains(words), "{document}: {message}");
            assert_eq!((seen_kind, seen.text.as_str(), seen.finals), (*kind, text, 0), "{document}");
        }
    }
    let framed: &[(&str, ErrorKind, &str)] = &[
        (
            "error: {\"code\":400,\"message\":\"9000 of 4096 tokens\",\"type\":\"invalid_request_error\"}\n\n",
            BadRequest,
            "9000 of 4096",
        ),
        (
            "data: {\n  \"error\": {\n    \"message\": \"9000 of 4096\",\n    \"code\": 400\n  }\n}\n\n",
            BadRequest,
            "9000 of 4096",
        ),
        ("event: error\ndata: upstream reset\n\n", ServerUnavailable, "upstream reset"),
        ("{\"error\": {\"message\": \"bare\",\n \"code\": 400}}", BadRequest, "bare"),
        ("", Connection, "without a finish reason"),
    ];
    for (frame, kind, words) in framed {
        let stream = format!("{}{frame}", events(&[A]));
        let seen = run(stream.as_bytes(), options(ThinkPolicy::Show, true));
        let (seen_kind, message) = seen.error.clone().unwrap_or_else(|| panic!("{frame}: {seen:?}"));
        assert!(seen_kind == *kind && message.contains(words), "{frame}: {message}");
        assert_eq!((seen.text.as_str(), seen.finals), ("a", 0), "{frame}");
    }
}

#[test]
fn rejects_responses_without_choices_or_content() {
    for (stream, words) in [
        ("data: [DONE]\n\n", "without a response"),
        (
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0}}\n\ndata: [DONE]\n\n",
            "without a response",
        ),
        ("data: {\"choices\":null}\n\ndata: [DONE]\n\n", "without a response"),
        (
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: [DONE]\n\n",
            "an empty response",
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[]},\"finish_reason\":\"tool_calls\"}]}\n\n",
            "reports a tool call, but sent none",
        ),
    ] {
        let seen = run(stream.as_bytes(), options(ThinkPolicy::Show, true));
        assert!(seen.finals == 0 && seen.error.is_some_and(|(_, message)| message.contains(words)), "{stream}");
    }
}

#[test]
fn reads_usage_of_any_chunk() {
    let counts = r#"{"prompt_tokens":700,"completion_tokens":30,"total_tokens":730}"#;
    let cases: &[&[&str]] = &[
        &[r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":COUNTS}]}"#],
        &[r#"{"choices":[{"delta":{}}],"usage":COUNTS}"#, r#"{"choices":[],"usage":{}}"#],
        &[
            r#"{"choices":[],"usage":COUNTS}"#,
            r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":0,"completion_tokens":null}}"#,
        ],
        &[r#"{"choices":[],"usage":COUNTS,"error":""}"#],
        &[r#"{"choices":[],"usage":COUNTS,"error":{}}"#, r#"{"usage":"","choices":[]}"#],
        &[r#"{"usage":COUNTS,"usage":null}"#],
        &[r#"{"usage":{"prompt_tokens":"700"}}"#, r#"{"usage":{"output_tokens":30.0}}"#],
    ];
    for case in cases {
        let documents: Vec<String> = case.iter().map(|document| document.replace("COUNTS", counts)).collect();
        let documents: Vec<&str> = std::iter::once(A).chain(documents.iter().map(String::as_str)).collect();
        let seen = run(stopped(&documents).as_bytes(), options(ThinkPolicy::Show, false));
        assert_eq!((seen.usage, &seen.error), (Some((700, 30)), &None), "{case:?}");
    }
}

#[test]
fn never_reads_calls_in_thoughts() {
    let field = |name: &str, text: &str| format!("{{\"choices\":[{{\"delta\":{{\"{name}\":\"{text}\"}}}}]}}");
    let content = |text: &str| field("content", text);
    let plain = CALL.replace("\\\"", "\"");
    let show = ThinkPolicy::Show;
    type Case = (ThinkPolicy, Vec<String>, &'static str, String, &'static [&'static str]);
    let cases: Vec<Case> = vec![
        (
            show,
            vec![content(&format!("<think>maybe {CALL} so</think>ok"))],
            "stop",
            format!("<think>\nmaybe {plain} so\n</think>ok"),
            &[],
        ),
        (
            show,
            vec![
                field("reasoning_content", &format!("maybe {}", &CALL[..20])),
                field("reasoning_content", &CALL[20..]),
                content("ok"),
            ],
            "stop",
            format!("<think>\nmaybe {plain}\n</think>ok"),
            &[],
        ),
        (
            show,
            vec![field("thoughts", CALL), content("ok")],
            "tool_calls",
            format!("<think>\n{plain}\n</think>ok"),
            &[],
        ),
        (
            show,
            vec![
                format!(
                    "{{\"choices\":[{{\"delta\":{{\"content\":[{{\"type\":\"thinking\",\"thinking\":\"{CALL}\"}}]}}}}]}}"
                ),
                content("ok"),
            ],
            "stop",
            format!("<think>\n{plain}\n</think>ok"),
            &[],
        ),
        (
            show,
            vec![content(&format!("<think>I will {CALL} and"))],
            "length",
            format!("<think>\nI will {plain} and\n</think>"),
            &[],
        ),
        (
            ThinkPolicy::ShowUnopened,
            vec![content(&format!("maybe {CALL} so</think>ok"))],
            "stop",
            format!("<think>\nmaybe {plain} so\n</think>ok"),
            &[],
        ),
        (
            ThinkPolicy::Opened,
            vec![content(&format!("maybe {CALL}")), content(" so</think>ok")],
            "stop",
            format!("<think>\nmaybe {plain} so\n</think>ok"),
            &[],
        ),
        (
            ThinkPolicy::Opened,
            vec![content(&format!("so {CALL}"))],
            "length",
            format!("<think>\nso {plain}\n</think>"),
            &[],
        ),
        // thoughts that turn out to be the response
        (ThinkPolicy::Opened, vec![content(CALL)], "stop", format!("<think>\n{plain}\n</think>"), &[CALLED]),
        (ThinkPolicy::Opened, vec![content("Hello")], "stop", "<think>\nHello\n</think>Hello".to_owned(), &[]),
        (ThinkPolicy::Hide, vec![content(&format!("<think>{CALL}</think>ok"))], "stop", "ok".to_owned(), &[]),
        (ThinkPolicy::Hide, vec![field("reasoning", CALL)], "stop", plain.clone(), &[]),
        // a draft in the thoughts, then the call
        (
            show,
            vec![content(&format!("<think>maybe {}</think>", CALL.replace("\\\"x", "\\\"draft"))), content(CALL)],
            "stop",
            format!("<think>\nmaybe {}\n</think>", plain.replace("\"x", "\"draft")),
            &[CALLED],
        ),
        // thoughts after an incomplete tag
        (
            show,
            vec![content("a <tool_"), field("reasoning", "hm"), content("call>{}")],
            "stop",
            "a <tool_<think>\nhm\n</think>call>{}".to_owned(),
            &[],
        ),
    ];
    for (policy, documents, reason, text, calls) in cases {
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let stream = events(&documents)
            + &format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n");
        let seen = run(stream.as_bytes(), options(policy, true));
        assert_eq!(
            (seen.text.as_str(), seen.calls.as_slice()),
            (text.as_str(), calls.iter().map(|call| (*call).to_owned()).collect::<Vec<_>>().as_slice()),
            "{stream}"
        );
    }
}

#[test]
fn reads_calls_in_text_if_expected_or_reported() {
    for (before, leaks, tools, reason, made) in [
        ("So: ", true, true, "stop", true),
        ("So: ", false, true, "stop", false),
        ("So: ", false, true, "tool_calls", true),
        ("So: ", true, false, "stop", false),
        ("So: ", true, true, "length", true),
        ("So: `", true, true, "tool_calls", false),
        ("", false, true, "stop", true),
        ("<think>hm</think>", false, true, "stop", true),
        ("", true, false, "stop", false),
    ] {
        let text = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{before}{CALL}\"}}}}]}}");
        let end = format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n");
        let mut options = options(ThinkPolicy::Show, tools);
        options.leaks_calls = leaks;
        let seen = run((events(&[&text]) + &end).as_bytes(), options);
        let name = format!("{before} {leaks} {tools} {reason}");
        assert_eq!((seen.calls.len(), seen.text.contains("<tool_call>")), (usize::from(made), !made), "{name}");
    }
    // Not if the user forbade calls.
    let request = |choice: &str| {
        let request = format!(
            r#"{{"provider":"p","model":"m","tools":[{{"name":"get_weather","description":"","parameters":{{}}}}],"tool_choice":{choice}}}"#
        );
        serde_json::from_str::<LlmRequest>(&request).unwrap()
    };
    let profile = Profile { tools: ToolForm::ToolCall, leaks_calls: true, ..Profile::default() };
    for (choice, offered) in [(r#"{"mode":"none"}"#, 0), (r#"{"mode":"auto"}"#, 1), ("null", 1)] {
        assert_eq!(MapperOptions::of(&request(choice), &profile, None).tools.len(), offered, "{choice}");
    }
}

#[test]
fn rejects_truncated_calls() {
    let cut = r#"{"choices":[{"delta":{"content":"a","tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"q\": \"te"}}]}}]}"#;
    for (reason, words) in [("length", "output limit truncated"), ("tool_calls", "was truncated within its arguments")]
    {
        let stream =
            events(&[cut]) + &format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n");
        let seen = run(stream.as_bytes(), options(ThinkPolicy::Show, true));
        assert!(seen.error.as_ref().is_some_and(|(_, message)| message.contains(words)), "{reason}: {seen:?}");
        assert_eq!((seen.text.as_str(), seen.calls.len(), seen.finals), ("a", 0, 0), "{reason}");
    }
}

#[test]
fn is_over_at_the_finish_reason_and_counts_buffered_bytes() {
    let mut mapper = ChatMapper::new(options(ThinkPolicy::Hide, true));
    let mut out = Vec::new();
    let mut take = |mapper: &mut ChatMapper, data: &str| {
        let event = Event { data: data.to_owned(), ..Event::default() };
        mapper.event(&event, &mut out).unwrap();
    };
    take(&mut mapper, A);
    assert!(!mapper.is_over() && mapper.held() == 0);
    take(
        &mut mapper,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#,
    );
    assert_eq!(mapper.held(), 4);
    take(&mut mapper, r#"{"choices":[{"delta":{"content":"<tool_call>{"}}]}"#);
    assert_eq!(mapper.held(), 16);
    take(&mut mapper, STOP);
    assert!(mapper.is_over());
}

#[test]
fn documents_in_one_event_take_linear_time() {
    for piece in [A, "{},", "[{", "\"{\\"] {
        steps::assert_linear(
            piece,
            |size| format!("data: [{}]\n\n", piece.repeat(size)),
            |stream| {
                run(stream.as_bytes(), options(ThinkPolicy::Show, true));
            },
        );
    }
}
