//! Tests of tool calls in the text: every format, text that is not a call, quotes, splits and cost.

use proptest::prelude::*;

use super::*;

const QUOTED: &str =
    "Write \"<tool_call>{\\\"name\\\": …}</tool_call>\" or `<tool_call>{\"name\":\"get_weather\"}</tool_call>`.";
const FENCED: &str = "So:\n```xml\n<tool_call>{\"name\":\"get_weather\"}</tool_call>\n```\nThat is all.";
const PARIS: &str = r#"get_weather {"city":"Paris"}"#;
const LONDON: &str = r#"get_weather {"city":"London"}"#;

fn tools() -> Vec<Tool> {
    let schema = r#"[
        {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"},
            "days": {"type": "integer"}, "unit": {"type": ["string", "null"]}, "where": {"anyOf": [{"type": "object"}]}}}},
        {"name": "now"}
    ]"#;
    serde_json::from_str(schema).unwrap()
}

/// Returns the text and the calls of a response, with the arguments in a uniform format.
fn run_to(pieces: &[&str], leaks: bool, reason: Option<&FinishReason>) -> (String, Vec<String>) {
    let mut leaked = TextToolCalls::new(&tools(), leaks);
    let mut out = String::new();
    for piece in pieces {
        leaked.push(piece, &mut out);
    }
    let calls = leaked.finish(reason, &mut out).into_iter().map(|call| {
        let arguments: serde_json::Value = serde_json::from_str(&call.function.arguments).unwrap();
        format!("{} {arguments}", call.function.name)
    });
    (out, calls.collect())
}

fn run(pieces: &[&str]) -> (String, Vec<String>) {
    run_to(pieces, true, None)
}

fn hold(text: &str, expected: &str, calls: &[&str]) {
    let (out, found) = run(&[text]);
    assert_eq!(
        (out.as_str(), found.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
        (expected, calls),
        "{text}"
    );
    let characters: Vec<String> = text.chars().map(String::from).collect();
    let pieces: Vec<&str> = characters.iter().map(String::as_str).collect();
    assert_eq!(run(&pieces), (out, found), "{text}, character by character");
}

/// Responses in the format of each model family, with the expected text and calls.
const FORMATS: &[(&str, &str, &[&str])] = &[
    // Hermes, Qwen
    (
        "Let me check.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"London\"}}\n</tool_call>",
        "Let me check.\n",
        &[PARIS, LONDON],
    ),
    ("<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}", "", &[PARIS]),
    ("<tool_call>{\"name\":\"get_weather\"}</tool_call> done", "done", &["get_weather {}"]),
    ("<tool_call>[{\"name\":\"get_weather\",\"parameters\":{\"city\":\"Paris\"}}]</tool_call><|im_end|>", "", &[PARIS]),
    ("<tool_call>{\"name\":\"now\"}\n{\"name\":\"now\"}</tool_call>", "", &["now {}", "now {}"]),
    (
        "<tool_call>{\"type\":\"function\",\"function\":{\"name\":\"functions.get_weather\",\"arguments\":{\"city\":\"Paris\"}}}",
        "",
        &[PARIS],
    ),
    (
        "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"two\nlines </tool_call>\"}}</tool_call>",
        "",
        &[r#"get_weather {"city":"two\nlines </tool_call>"}"#],
    ),
    // Phi, Granite
    ("<|tool_call|>[{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\"}}]<|/tool_call|>", "", &[PARIS]),
    // Qwen Coder
    (
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        "",
        &[r#"get_weather {"city":"Paris","days":3}"#],
    ),
    ("<function=get_weather>{\"city\":\"Paris\"}</function>", "", &[PARIS]),
    // GLM 4.5
    ("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>", "", &[PARIS]),
    (
        "I look.\n<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>\n<tool_call>now</tool_call> Wait.",
        "I look.\nWait.",
        &[r#"get_weather {"city":"Paris","days":3}"#, "now {}"],
    ),
    ("<tool_call>get_weather\\n<arg_key>city</arg_key>\\n<arg_value>Paris</arg_value>\\n</tool_call>", "", &[PARIS]),
    (
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>3</arg_value>\n<arg_key>unit</arg_key><arg_value>3</arg_value><arg_key>where</arg_key><arg_value>{\"lat\": 3}</arg_value>",
        "",
        &[r#"get_weather {"city":"3","unit":"3","where":{"lat":3}}"#],
    ),
    // Mistral, before and since its tokenizer's version 11
    (
        "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}, {\"name\": \"now\"}]",
        "",
        &[PARIS, "now {}"],
    ),
    (
        "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]\n\nSo far [1].",
        "So far [1].",
        &[PARIS],
    ),
    ("I look.[TOOL_CALLS]get_weather{\"city\": \"Paris\"}[TOOL_CALLS]now{}", "I look.", &[PARIS, "now {}"]),
    ("[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Paris\"}</s>", "", &[PARIS]),
    ("[TOOL_CALLS]get_weather[CALL_ID]a1B2c3D4e[ARGS]{\"city\": \"Paris\"}", "", &[PARIS]),
    // Llama 3
    ("<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}<|eom_id|>", "", &[PARIS]),
    (
        "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}; {\"name\": \"now\", \"parameters\": {}}",
        "",
        &[PARIS, "now {}"],
    ),
    ("\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}\n", "\n", &[PARIS]),
    ("{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}", "", &[PARIS]),
    ("[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]", "", &[PARIS]),
    (
        "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}; {\"name\": \"get_weather\", \"parameters\": {\"city\": \"London\"}}",
        "",
        &[PARIS, LONDON],
    ),
    // Kimi K2
    (
        "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Paris\"}<|tool_call_end|><|tool_call_begin|>now:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
        "I look.",
        &[PARIS, "now {}"],
    ),
    (
        "<|tool_call_section_begin|>\n<|tool_call_begin|> get_weather:12 <|tool_call_argument_begin|> {\"city\": \"Paris\"} <|tool_call_end|>",
        "",
        &[PARIS],
    ),
    // DeepSeek V3 and R1, V3.1
    (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Paris\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
        "",
        &[PARIS, "now {}"],
    ),
    (
        "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "I look.",
        &[PARIS, "now {}"],
    ),
    ("<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Paris\"}<｜tool▁call▁end｜>", "", &[PARIS]),
    // DeepSeek V3.2 and V4, MiniMax M2
    (
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">3</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "",
        &[r#"get_weather {"city":"3","days":3}"#],
    ),
    (
        "<tool_calls>\n<invoke name='now'>\n</invoke>\n<invoke name=\"get_weather\"><parameter name=\"city\">Paris</parameter></invoke></tool_calls>",
        "",
        &["now {}", PARIS],
    ),
    (
        "<minimax:tool_call><invoke name=\"get_weather\">\n<parameter name=\"city\">Paris</parameter>\n</invoke></minimax:tool_call>",
        "",
        &[PARIS],
    ),
];

#[test]
fn reads_calls_in_every_format() {
    for (text, expected, calls) in FORMATS {
        hold(text, expected, calls);
    }
}

#[test]
fn keeps_other_text_unchanged() {
    for text in [
        "plain < text > with <b>tags</b> and [lists]",
        "cut off at <tool_ca",
        "cut off at [TOOL_C",
        "cut off at <｜tool▁calls",
        // not offered
        "<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>",
        "<tool_call>rm\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>",
        "[TOOL_CALLS]rm[ARGS]{}",
        "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"rm\", \"arguments\": {}}]",
        "<|tool_call_begin|>functions.rm:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>rm\n```json\n{}\n```<｜tool▁call▁end｜>",
        "<invoke name=\"rm\"></invoke>",
        "{\"name\": \"rm\", \"parameters\": {}}",
        // not parsable
        "use <tool_call> tags",
        "use <tool_call> now",
        "[TOOL_CALLS] is a token of now",
        "<|python_tag|>print(1)",
        "<|tool_calls_section_begin|>nothing<|tool_calls_section_end|>",
        "<tool_calls>are plural",
        "[TOOL_CALLS]now{not JSON}",
        "<tool_call>now\n<arg_key>a</arg_key>\n</tool_call>",
        // truncated
        "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Par",
        "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\"}",
        "<tool_call>{\"name\":\"get_wea",
        "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Par",
        "[TOOL_CALLS]get_weather{\"city\": \"Par",
        "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Par",
        // JSON that is the response
        "{\"name\": \"get_weather\"}",
        "{\"name\": \"get_weather\", \"parameters\": {}} is how I call it",
        "{\"names\": [\"get_weather\"]}",
        "{\"type\": \"object\", \"name\": \"get_weather\", \"parameters\": {}}",
        "So: {\"name\": \"get_weather\", \"parameters\": {}}",
        "```json\n{\"name\": \"get_weather\", \"parameters\": {}}\n```",
        "[1] see above",
        "[",
        "{",
        "{\"name\"",
        // quoted
        QUOTED,
        FENCED,
        "In code: `use <tool_call>{\"name\":\"now\"}</tool_call> so`.",
        "He wrote \"first [TOOL_CALLS]now{} and so on\".",
        "> <tool_call>{\"name\":\"now\"}</tool_call>",
        "„So: <|python_tag|>{\"name\":\"now\"}“",
        "~~~\n<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜>\n~~~",
    ] {
        hold(text, text, &[]);
    }
}

#[test]
fn keeps_quoted_tags_next_to_calls() {
    let call = "<tool_call>{\"name\":\"now\"}</tool_call>";
    hold(&format!("Not `<tool_call>` alone.\n{call}"), "Not `<tool_call>` alone.\n", &["now {}"]);
    hold(&format!("{call}Not `{call}` again."), &format!("Not `{call}` again."), &["now {}"]);
}

#[test]
fn does_not_buffer_other_json() {
    for (text, released) in [
        ("{\"city\": ", "{\"city\": "),
        ("{\"name\": \"Ada\", ", "{\"name\": \"Ada\", "),
        ("[1", "[1"),
        ("{\"name\": \"now\", ", ""),
        ("{\"na", ""),
    ] {
        let (mut leaked, mut out) = (TextToolCalls::new(&tools(), true), String::new());
        leaked.push(text, &mut out);
        assert_eq!(out, released, "{text}");
    }
    let (mut leaked, mut out) = (TextToolCalls::new(&tools(), true), String::new());
    let pieces = std::iter::once("{").chain(std::iter::repeat_n(" ", 300));
    pieces.for_each(|piece| leaked.push(piece, &mut out));
    assert_eq!(out.len(), 301);
}

#[test]
fn ignores_calls_between_text_if_none_are_expected() {
    let call = "<tool_call>{\"name\":\"get_weather\"}</tool_call>";
    for (before, behind, made) in
        [("", "", 1), ("\n ", "\n", 1), ("", call, 2), ("So: ", "", 0), ("", " and more", 0), (call, " and more", 0)]
    {
        let text = format!("{before}{call}{behind}");
        let (out, calls) = run_to(&[&text], false, None);
        assert_eq!(calls.len(), made, "{text}");
        assert_eq!(out.trim(), if made == 0 { text.as_str() } else { "" }, "{text}");
    }
    let bare = "{\"name\": \"now\", \"parameters\": {}}";
    assert_eq!(run_to(&[bare], false, None), (bare.to_owned(), Vec::new()));
    let text = format!("So: {call}");
    assert_eq!(run_to(&[&text], false, Some(&FinishReason::ToolCalls)).1.len(), 1);
}

#[test]
fn rejects_calls_with_incomplete_parameters() {
    let pairs = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value>";
    let tags = "<function=get_weather><parameter=city>Paris</parameter>";
    for (text, ending) in [(pairs, "</tool_call>"), (tags, "</function>")] {
        let cut = Some(&FinishReason::Length);
        assert_eq!(run_to(&[text], true, cut), (text.to_owned(), Vec::new()));
        assert_eq!(run_to(&[text, ending], true, cut), (String::new(), vec![PARIS.to_owned()]));
        assert_eq!(run_to(&[text], true, None), (String::new(), vec![PARIS.to_owned()]));
    }
}

#[test]
fn long_texts_take_linear_time() {
    let call = "<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>";
    let mut pieces = vec![
        "<",
        "[",
        "{",
        "{\"name\": \"now\", ",
        "<tool_cal",
        "`<tool_call>` ",
        "`",
        "~",
        "\"",
        "\n> ",
        "x < y > z",
        "text </function> {",
        "\\n",
        "; {",
        "functions.",
        "<tool_call>now",
        "<tool_call>now</tool_call>",
        "[TOOL_CALLS]now{",
        "[TOOL_CALLS]now",
        "<arg_key>a</arg_key><arg_value>",
        "<parameter=a>",
    ];
    pieces.extend(formats::OPENINGS.iter().map(|opening| opening.tag));
    pieces.extend(FORMATS.iter().map(|(text, ..)| *text));
    for piece in pieces {
        for front in [call, ""] {
            let begin = |size: usize| format!("{front} {}", piece.repeat(size));
            steps::assert_linear(piece, begin, |text| drop(run_to(&[&text], true, None)));
        }
        steps::assert_linear(piece, |size| vec![piece; size], |pieces| drop(run_to(&pieces, true, None)));
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_result(
        format in 0..FORMATS.len(),
        before in "(|Ja `` ä `<tool_call>` <tool |[a-c<\\[\"`> \n]{0,6}|\\{\"na)",
        behind in "(| and more| \"|\\{|\n<｜tool)",
        cuts in proptest::collection::vec(0usize..300, 0..12),
    ) {
        let text = format!("{before}{}{behind}", FORMATS[format].0);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        for leaks in [true, false] {
            prop_assert_eq!(run_to(&pieces, leaks, None), run_to(&[&text], leaks, None));
        }
    }
}
