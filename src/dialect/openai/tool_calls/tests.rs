//! Tests of fragments as servers send them, and of the resulting calls.

use serde_json::json;

use super::*;

/// Merges fragments given as JSON and returns the calls as `id name arguments`.
fn merged(fragments: &[&str]) -> Vec<String> {
    let mut merger = CallMerger::default();
    for fragment in fragments {
        merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
    }
    let calls = merger.finish(false).unwrap().calls;
    calls.iter().map(|call| format!("{} {} {}", call.id, call.function.name, call.function.arguments)).collect()
}

#[test]
fn merges_fragments() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &[
                r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#,
                r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
                r#"{"index":0,"function":{"arguments":"1}"}}"#,
            ],
            &[r#"a f {"x":1}"#],
        ),
        // interleaved parallel calls
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}"#,
                r#"{"index":0,"function":{"arguments":"}"}}"#,
                r#"{"index":1,"function":{"arguments":"}"}}"#,
            ],
            &["a f {}", "b g {}"],
        ),
        // no index: by ID, or the last call without an ID
        (
            &[
                r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"id":"b","function":{"name":"f","arguments":"{"}}"#,
                r#"{"function":{"arguments":"}"}}"#,
                r#"{"id":"a","function":{"arguments":"}"}}"#,
            ],
            &["a f {}", "b f {}"],
        ),
        // every call has index 0 (Gemini's compatible endpoint)
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
                r#"{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}"#,
            ],
            &["a f {}", "b f {}"],
        ),
        // a new ID and the name with every fragment
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}"#,
                r#"{"index":0,"id":"b","function":{"name":"f","arguments":": 1"}}"#,
                r#"{"index":0,"id":"c","function":{"name":"f","arguments":"}"}}"#,
                r#"{"index":0,"id":"d","function":{"name":"f","arguments":"{}"}}"#,
            ],
            &[r#"a f {"x": 1}"#, "d f {}"],
        ),
        // without the enclosing object, under other names, with blanks
        (&[r#"{"id":"a","name":"f","arguments":{"x":1}}"#], &[r#"a f {"x":1}"#]),
        (&[r#"{"id":"a","function":{"name":" f ","parameters":{"x":1}}}"#], &[r#"a f {"x":1}"#]),
        (&[r#"{"id":"a","function":{"name":"f","arguments":"","input":{"x":1}}}"#], &[r#"a f {"x":1}"#]),
        // the name is repeated, or split
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}"#,
            ],
            &["a f {}"],
        ),
        (
            &[r#"{"index":0,"id":"a","function":{"name":"get_"}}"#, r#"{"index":0,"function":{"name":"weather"}}"#],
            &["a get_weather {}"],
        ),
        // arguments as an object, null, or repeated completely
        (&[r#"{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}"#], &[r#"a f {"x":1}"#]),
        (&[r#"{"index":0,"id":"a","function":{"name":"f","arguments":null}}"#], &["a f {}"]),
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            ],
            &[r#"a f {"x":1}"#],
        ),
        // an empty placeholder
        (&[r#"{"index":0,"function":{"arguments":""}}"#], &[]),
        (&[r#"{"index":0,"id":"a","function":{"arguments":""}}"#], &[]),
        // the index is missing on some fragments, is a string, grows for the same ID, or grows without one
        (
            &[r#"{"id":"a","function":{"name":"f","arguments":""}}"#, r#"{"index":0,"function":{"arguments":"{}"}}"#],
            &["a f {}"],
        ),
        (
            &[
                r#"{"index":"0","id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"index":0.0,"function":{"arguments":"\"x\":"}}"#,
                r#"{"function":{"arguments":"1}"}}"#,
            ],
            &[r#"a f {"x":1}"#],
        ),
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#,
                r#"{"index":1,"id":"a","function":{"arguments":"{"}}"#,
                r#"{"index":2,"id":"a","function":{"name":"f","arguments":"}"}}"#,
                r#"{"index":3,"id":"b","function":{"name":"g","arguments":"{}"}}"#,
            ],
            &["a f {}", "b g {}"],
        ),
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"index":1,"function":{"arguments":"\"x\":"}}"#,
                r#"{"index":2,"function":{"arguments":"1}"}}"#,
            ],
            &[r#"a f {"x":1}"#],
        ),
        // a new ID on each fragment
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                r#"{"index":0,"id":"b","function":{"arguments":"}"}}"#,
            ],
            &["a f {}"],
        ),
        (
            &[r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#, r#"{"id":"b","function":{"arguments":"}"}}"#],
            &["a f {}"],
        ),
        // arguments before the name
        (
            &[
                r#"{"index":0,"id":"a","function":{"arguments":"{}"}}"#,
                r#"{"index":1,"id":"b","function":{"arguments":"{}"}}"#,
                r#"{"index":0,"function":{"name":"f"}}"#,
                r#"{"index":1,"function":{"name":"g"}}"#,
            ],
            &["a f {}", "b g {}"],
        ),
        // an empty object before the arguments, complete arguments after their fragments
        (
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
                r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
                r#"{"index":0,"function":{"arguments":"1}"}}"#,
                r#"{"index":0,"function":{"arguments":"{\"x\":1}"}}"#,
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"\n"}}"#,
            ],
            &["a f {\"x\":1}\n"],
        ),
    ];
    for (fragments, expected) in cases {
        assert_eq!(merged(fragments), *expected, "{fragments:?}");
    }
}

#[test]
fn generates_ids_once() {
    let mut merger = CallMerger::default();
    for fragment in [r#"{"function":{"name":"f","arguments":"{"}}"#, r#"{"function":{"arguments":"}"}}"#] {
        merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
    }
    let calls = merger.finish(false).unwrap().calls;
    assert_eq!(calls.len(), 1);
    assert!(calls[0].id.starts_with("call_") && calls[0].id.len() > 20);
}

/// Returns names and arguments of calls with generated IDs.
fn made(fragments: &[&str]) -> Vec<String> {
    let ids = |call: &String| call.split_once(' ').map(|(_, call)| call.to_owned());
    merged(fragments).iter().filter_map(ids).collect()
}

#[test]
fn separates_calls_with_equal_ids() {
    let fragments = [
        r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#,
        r#"{"id":"a","function":{"name":"g","arguments":"{}"}}"#,
    ];
    assert_eq!(made(&fragments), ["f {}", "g {}"]);
    let calls = merged(&fragments);
    assert!(calls[0].starts_with("a ") && !calls[1].starts_with("a "), "{calls:?}");
}

#[test]
fn complete_arguments_after_complete_ones_start_a_new_call() {
    let cases: [&[&str]; 5] = [
        // one index for all, no IDs
        &[
            r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":2}"}}"#,
        ],
        // no index, no IDs
        &[
            r#"{"function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            r#"{"function":{"name":"f","arguments":"{\"x\":2}"}}"#,
        ],
        // one ID for all, in order or with indexes, the second one in fragments
        &[
            r#"{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            r#"{"id":"a","function":{"name":"f","arguments":"{\"x\":2}"}}"#,
        ],
        &[
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            r#"{"index":1,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}"#,
            r#"{"index":1,"id":"a","function":{"arguments":"2}"}}"#,
        ],
        &[
            r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":"}}"#,
            r#"{"index":0,"function":{"arguments":"2}"}}"#,
        ],
    ];
    for fragments in cases {
        assert_eq!(made(fragments), [r#"f {"x":1}"#, r#"f {"x":2}"#], "{fragments:?}");
        let ids: HashSet<String> = merged(fragments).iter().map(|call| call[..call.len() - 10].to_owned()).collect();
        assert_eq!(ids.len(), 2, "{fragments:?}");
    }
}

#[test]
fn rejects_unusable_calls() {
    let cut = r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{\"q\": \"a ve"}}"#;
    let whole = r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#;
    let cases: [(&[&str], bool, &str); 5] = [
        (&[r#"{"index":0,"id":"a","function":{"arguments":"{}"}}"#], false, "without a name"),
        (
            &[whole, r#"{"index":0,"function":{"arguments":"{"}}"#, r#"{"function":{"arguments":"\"x\":1}{"}}"#],
            false,
            "",
        ),
        (&[cut], false, "the model's call of `g` was truncated"),
        (&[whole, cut], false, "the model's call of `g` was truncated"),
        (&[cut], true, "the output limit truncated the model's call of `g`"),
    ];
    for (fragments, length, words) in cases {
        let mut merger = CallMerger::default();
        for fragment in fragments {
            merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
        }
        let found = merger.finish(length);
        match words {
            "" => assert_eq!(found.unwrap().calls.len(), 1, "{fragments:?}"),
            _ => assert!(found.unwrap_err().message.contains(words), "{fragments:?}"),
        }
    }
    let mut merger = CallMerger::default();
    for fragment in [whole, cut] {
        merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
    }
    let calls = merger.finish(true).unwrap().calls;
    assert_eq!(calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["a"], "whole ones stay");
}

#[test]
fn limits_the_number_of_calls() {
    let mut merger = CallMerger::default();
    let mut push = |number: usize| {
        let fragment = json!({"index": number, "id": number.to_string(), "function": {"name": "f"}}).to_string();
        merger.push(&serde_json::from_str(&fragment).unwrap())
    };
    for number in 0..MAX_TOOL_CALLS {
        push(number).unwrap();
    }
    push(0).unwrap();
    assert!(push(MAX_TOOL_CALLS).unwrap_err().message.contains("more than 1024 tool calls"));
}

#[test]
fn keeps_the_members_of_a_call() {
    let mut merger = CallMerger::default();
    for fragment in [
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"},"extra_content":{"google":{"thought_signature":"QQ+/=="}}}"#,
        r#"{"index":0,"function":{"arguments":"}"},"extra_content":null,"thought_signature":"QQ"}"#,
        r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}"#,
    ] {
        merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
    }
    let kept = json!({"a": {"extra_content": {"google": {"thought_signature": "QQ+/=="}}, "thought_signature": "QQ"}});
    assert_eq!(Value::Object(merger.finish(false).unwrap().kept), kept);
}

#[test]
fn fragments_take_linear_time() {
    let fragment = |members: Value| members.to_string();
    type Make = fn(usize) -> Value;
    let cases: [(&str, Make); 5] = [
        (
            "a name on each, neither index nor id",
            |at| json!({"function": {"name": "f", "arguments": if at == 0 { "{\"a\":[1,1" } else { ",1,1,1" }}}),
        ),
        (
            "one index",
            |at| json!({"index": 0, "function": {"name": "f", "arguments": if at == 0 { "[1,1" } else { ",1,1,1" }}}),
        ),
        ("one id", |at| json!({"index": at, "id": "a", "function": {"arguments": "[1,1,"}})),
        (
            "whole ones again and again",
            |_| json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"a\":1}"}}),
        ),
        (
            "a call each",
            |at| json!({"index": at % 1000, "id": (at % 1000).to_string(), "function": {"name": "f", "arguments": "[1"}}),
        ),
    ];
    for (name, make) in cases {
        let fragments = |size| (0..size).map(|at| fragment(make(at))).collect::<Vec<String>>();
        steps::assert_linear(name, fragments, |fragments| {
            let mut merger = CallMerger::default();
            for fragment in &fragments {
                merger.push(&serde_json::from_str(fragment).unwrap()).unwrap();
            }
            let _ = merger.finish(false);
        });
    }
}
