//! Tests of lenient parsing, member by member.

use super::*;

fn chunk(json: &str) -> Chunk<'_> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn reads_texts_of_any_shape() {
    let cases = [
        (r#"null"#, ""),
        (r#""a""#, "a"),
        (r#""a\n""#, "a\n"),
        (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"},"c"]"#, "abc"),
        (r#"{"text":"a","signature":"x"}"#, "a"),
        (r#"{"content":[{"text":"a"}]}"#, "a"),
        (r#"7"#, "7"),
        (r#"false"#, ""),
    ];
    for (json, expected) in cases {
        let text: Text<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(text.as_str(), expected, "{json}");
        let parts: Parts<'_> = serde_json::from_str(json).unwrap();
        assert_eq!((parts.text.as_str(), parts.thoughts.as_str()), (expected, ""), "{json}");
    }
    for (json, expected) in
        [(r#""stop""#, "stop"), (r#"{"type":"stop","matched":1}"#, "stop"), ("0", "0"), ("{}", ""), ("null", "")]
    {
        let word: Word<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(word.as_str(), expected, "{json}");
    }
}

#[test]
fn separates_thoughts_from_other_parts() {
    for json in [
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"ok"}]"#,
        r#"[{"text":"ok","type":"text"},{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]}]"#,
        r#"[{"text":"hm","type":"thinking"},"ok"]"#,
    ] {
        let parts: Parts<'_> = serde_json::from_str(json).unwrap();
        assert_eq!((parts.text.as_str(), parts.thoughts.as_str()), ("ok", "hm"), "{json}");
    }
}

#[test]
fn borrows_text_without_escapes() {
    let chunk = chunk(r#"{"choices":[{"delta":{"content":"Hello"}}]}"#);
    let delta = chunk.choices.0[0].delta.as_ref().unwrap();
    assert!(matches!(delta.content.text.0, Some(Cow::Borrowed("Hello"))));
}

#[test]
fn reads_thoughts_under_every_name() {
    for (json, expected) in [
        (r#"{"reasoning_content":"a","reasoning":"b"}"#, Some("a")),
        (r#"{"reasoning":"b","reasoning_content":"a"}"#, Some("a")),
        (r#"{"reasoning_content":"","reasoning":"b"}"#, Some("b")),
        (r#"{"reasoning":"b","reasoning_content":null}"#, Some("b")),
        (r#"{"thinking_content":"a"}"#, Some("a")),
        (r#"{"thought":"a","thoughts":true}"#, Some("a")),
        (r#"{"reasoning_text":"a","reasoning_details":[{"type":"reasoning.text","text":"b"}]}"#, Some("a")),
        (r#"{"thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"}]}"#, Some("a")),
        (r#"{"thinking_blocks":[{"thinking":"b"}],"reasoning_content":"a"}"#, Some("a")),
        (r#"{"reasoning_content":""}"#, Some("")),
        (r#"{"reasoning_content":null,"content":"a"}"#, None),
    ] {
        let delta: Delta<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(delta.thoughts.0.as_deref(), expected, "{json}");
    }
}

#[test]
fn reads_choices_of_any_shape() {
    for (json, expected) in [
        (r#"{"choices":[{"index":0},{"index":1}]}"#, 2),
        (r#"{"choices":[null,{"index":"1"},7,[]]}"#, 1),
        (r#"{"choices":{"delta":{"content":"a"}}}"#, 1),
        (r#"{"choices":{}}"#, 0),
        (r#"{"choices":null}"#, 0),
        (r#"{"choices":"x","choices":[{}]}"#, 1),
        (r#"[]"#, 0),
        (r#""choices""#, 0),
    ] {
        assert_eq!(chunk(json).choices.0.len(), expected, "{json}");
    }
    let many = format!(r#"{{"choices":[{}{{}}]}}"#, "{},".repeat(100_000));
    assert_eq!(chunk(&many).choices.0.len(), MAX_CHOICES);
}

#[test]
fn skips_empty_call_fragments() {
    for (json, expected) in [
        (r#"[]"#, 0),
        (r#"{}"#, 0),
        (r#""""#, 0),
        (r#"null"#, 0),
        (r#"[{},{"index":0,"function":null},{"index":1,"function":{"arguments":null}},{"type":"function"}]"#, 0),
        (r#"[{"id":"a"},{"function":{"name":"f"}}]"#, 2),
        (r#"{"function":{"name":"f"}}"#, 1),
        (r#"[{"extra_content":{"google":{"thought_signature":"x"}}}]"#, 1),
    ] {
        let fragments: Fragments<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(fragments.0.len(), expected, "{json}");
    }
}

#[test]
fn skips_empty_errors() {
    for (json, is_error) in [
        (r#"null"#, false),
        (r#""""#, false),
        (r#""None""#, false),
        (r#"{}"#, false),
        (r#"[]"#, false),
        (r#"false"#, false),
        (r#"0"#, false),
        (r#"{"code":null,"message":""}"#, false),
        (r#"{"code":0,"message":""}"#, false),
        (r#"true"#, true),
        (r#""boom""#, true),
        (r#"{"code":500}"#, true),
        (r#"{"message":"\ud83d"}"#, true),
    ] {
        let failure: Failure<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(failure.value().is_some(), is_error, "{json}");
    }
}

#[test]
fn reads_usage_under_both_names() {
    let cases = [
        (r#"{"prompt_tokens":-1,"completion_tokens":null,"total_tokens":3.0}"#, (None, None, Some(3))),
        (r#"{"prompt_tokens":1,"input_tokens":1,"output_tokens":2,"completion_tokens":2}"#, (Some(1), Some(2), None)),
        (r#"{"input_tokens":"1","output_tokens":{}}"#, (Some(1), None, None)),
        (r#"{"prompt_tokens":1,"prompt_tokens":2}"#, (Some(2), None, None)),
        (r#"{"prompt_tokens":1e300}"#, (Some(1 << 53), None, None)),
        (r#"{}"#, (None, None, None)),
        (r#""""#, (None, None, None)),
    ];
    for (json, expected) in cases {
        let usage: Usage = serde_json::from_str(json).unwrap();
        assert_eq!((usage.prompt(), usage.completion(), usage.total_tokens), expected, "{json}");
        assert_eq!(usage.is_empty(), expected == (None, None, None), "{json}");
    }
}

#[test]
fn uses_the_last_value_of_each_count() {
    for (later, expected) in [
        (r#"{}"#, (Some(7), Some(3))),
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, (Some(7), Some(3))),
        (r#"{"prompt_tokens":null,"completion_tokens":4}"#, (Some(7), Some(4))),
        (r#"{"prompt_tokens":6,"completion_tokens":2}"#, (Some(6), Some(2))),
    ] {
        let mut usage: Usage = serde_json::from_str(r#"{"prompt_tokens":7,"completion_tokens":3}"#).unwrap();
        usage.absorb(serde_json::from_str(later).unwrap());
        assert_eq!((usage.prompt(), usage.completion()), expected, "{later}");
    }
}
