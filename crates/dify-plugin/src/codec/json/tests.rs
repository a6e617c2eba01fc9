//! Tests of the lenient parser: malformed JSON as a table, halves of characters across events, linear time.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, json};

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sample {
    #[serde(deserialize_with = "fit")]
    text: Option<String>,
    #[serde(deserialize_with = "fit")]
    end_index: Option<usize>,
    #[serde(deserialize_with = "or_default")]
    blocked: bool,
    #[serde(deserialize_with = "fit")]
    args: Option<Map<String, Value>>,
    #[serde(deserialize_with = "list::<3, _, _>")]
    parts: Vec<Sample>,
    #[serde(deserialize_with = "first::<2, _, _>")]
    numbers: Vec<u64>,
    #[serde(deserialize_with = "places::<3, _, _>")]
    places: Vec<u64>,
    #[serde(deserialize_with = "fit")]
    inner: Option<Box<Sample>>,
}

#[test]
fn malformed_values_affect_only_their_member() {
    let text = |text: &str| Sample { text: Some(text.to_owned()), ..Sample::default() };
    let plain = || text("a");
    let with_args = || Sample { args: json!({"n": 1}).as_object().cloned(), ..plain() };
    let cases = [
        (r#"{"text":"a"}"#, plain()),
        (r#"{"text":"a","endIndex":-1,"blocked":"no","args":[],"parts":7,"numbers":{},"inner":"x"}"#, plain()),
        (
            r#"{"text":"a","endIndex":{"a":[1]},"blocked":null,"args":"x","parts":null,"numbers":"x","inner":[{}]}"#,
            plain(),
        ),
        (
            r#"{"text":"a","endIndex":1e300,"blocked":[],"args":true,"parts":[1,null,[{}],"x"],"numbers":[-1,"x"],"inner":5}"#,
            plain(),
        ),
        (r#"{"text":"a","endIndex":NaN,"blocked":-Infinity,"other":[Infinity,{"NaN":NaN}]}"#, plain()),
        (r#"{"text":"a","endIndex":1e999,"blocked":None,"args":undefined,"other":[+5,.5,-,-1e999]}"#, plain()),
        (r#"{"text":"a","blocked":True,"x":NaN}"#, Sample { blocked: true, ..plain() }),
        (r#"{"text":"b","text":"a"}"#, plain()),
        (r#"{"inner":{"text":"b","text":"a"}}"#, Sample { inner: Some(Box::new(plain())), ..Sample::default() }),
        (r#"{"text":"a","end_index":3}"#, Sample { end_index: Some(3), ..plain() }),
        (r#"{"text":"a","endIndex":3,"end_index":4}"#, Sample { end_index: Some(3), ..plain() }),
        (r#"{"text":"a","endIndex":"3","blocked":"true"}"#, Sample { end_index: Some(3), blocked: true, ..plain() }),
        (r#"{"text":"a","endIndex":3.0,"blocked":1}"#, Sample { end_index: Some(3), blocked: true, ..plain() }),
        (r#"{"text":"a","args":{"n":1}}"#, with_args()),
        (r#"{"text":"a","args":"{\"n\":1}"}"#, with_args()),
        (r#"{"text":"a","parts":{"text":"a"}}"#, Sample { parts: vec![plain()], ..plain() }),
        (r#"{"text":"a","numbers":[1,2,3,4]}"#, Sample { numbers: vec![1, 2], ..plain() }),
        (r#"{"text":"a","places":[1,null,3,4]}"#, Sample { places: vec![1, 0, 3], ..plain() }),
        (r#"{"text":5}"#, text("5")),
        (r#"{"text":"5"}"#, text("5")),
        (r#"{"text":"{\"text\":\"b\"}"}"#, text("{\"text\":\"b\"}")),
        (r#"{"text":"\ud83d\ude00 \u00e9"}"#, text("😀 é")),
        (r#"{"text":"\ud83d"}"#, text("\u{fffd}")),
        (r#"{"text":"\ude00a\ud83d\u0041\ud83d\ud83d\ude00"}"#, text("\u{fffd}a\u{fffd}A\u{fffd}😀")),
        ("{\"text\":\"a\tb\",\"\\ud83d\":1}", text("a\tb")),
        (r#"{"text":"\x \u12 \\ud83d"}"#, text("\\x \\u12 \\ud83d")),
        (r#"{"text":"NaN","args":null}"#, text("NaN")),
        (r#"{"text":["a"],"inner":{"text":"a"}}"#, Sample { inner: Some(Box::new(plain())), ..Sample::default() }),
    ];
    for (odd, expected) in cases {
        assert_eq!(read::<Sample>(odd).unwrap(), expected, "{odd}");
        // The same among other things, read from a text and from a value.
        let around = format!("{{\"inner\":{odd},\"NaN\":0}}");
        let broken = format!("{{\"inner\":{odd},\"x\":NaN}}");
        for around in [around, broken] {
            let found = read::<Sample>(&around).unwrap_or_else(|error| panic!("{around}: {error}"));
            assert_eq!(found.inner.as_deref(), Some(&expected), "{around}");
        }
    }
}

#[test]
fn rejects_what_is_not_json() {
    for text in
        ["", "{", "[1,", r#"{"text":"a"#, r#"{"text":"a"}}"#, "<html>", r#"{"text":"a\"#, "[]", "5", "overloaded"]
    {
        assert!(read::<Sample>(text).is_err(), "{text}");
    }
    assert!(read::<Value>("overloaded").is_err() && read::<Value>("NaN").is_err());
    for text in [r#"{"parts":[{},{},{},{}]}"#, r#"{"inner":{"parts":{"parts":[{},{},{},{}]}}}"#] {
        let error = read::<Sample>(text).unwrap_err();
        assert!(error.to_string().contains("more than 3 entries"), "{error}");
    }
}

#[test]
fn rejects_more_values_than_fit_into_memory() {
    for many in ["0,", "{},", "[],", "{\"a\":1},"] {
        let text = format!("{{\"x\":[{}0]}}", many.repeat(1 << 20));
        assert!(read::<Sample>(&text).unwrap_err().to_string().contains("more than"), "{many}");
    }
    let long = format!("{{\"text\":\"{}\"}}", ",[{".repeat(1 << 20));
    assert!(read::<Sample>(&long).is_ok());
}

#[test]
fn joins_halves_of_a_character_across_events() {
    let cases: [(&[&str], &str); 8] = [
        (&[r#"hi \ud83d"#, r#"\ude00 bye"#], "hi 😀 bye"),
        (&[r#"\ud83d"#, "", r#"\ude00"#], "😀"),
        (&[r#"\ud83d"#, "x"], "\u{fffd}x"),
        (&[r#"\ud83d"#, r#"\ud83d"#, r#"\ude00"#], "\u{fffd}😀"),
        (&[r#"\ud83d"#], "\u{fffd}"),
        (&[r#"\ude00"#, r#"\ud83d x"#], "\u{fffd}\u{fffd} x"),
        (&[r#"a\\ud83d"#, r#"\ude00"#], "a\\ud83d\u{fffd}"),
        (&[r#"\ud83d\ude00"#, "é"], "😀é"),
    ];
    for (pieces, expected) in cases {
        let mut reader = Reader::new(&["parts/text"]);
        let mut text = String::new();
        for piece in pieces {
            // Texts of other members neither take nor give a half.
            let event = format!(
                r#"{{"args": {{"q":"\ude00x\ud83d","text":"\ud83d"}}, "parts" :[ {{"text" : "{piece}"}}], "text":"\ud83d"}}"#
            );
            let mut read: Sample = reader.read(&event).unwrap();
            assert_eq!(Value::Object(read.args.unwrap()), json!({"q": "\u{fffd}x\u{fffd}", "text": "\u{fffd}"}));
            assert_eq!(read.text.as_deref(), Some("\u{fffd}"));
            text.extend(read.parts.remove(0).text);
        }
        text.extend(reader.rest());
        assert_eq!(text, expected, "{pieces:?}");
    }
}

proptest! {
    #[test]
    fn keeps_valid_json_unchanged(text in any::<String>(), number in any::<u32>(), flag in any::<bool>()) {
        let value = json!({"text": text, "endIndex": number, "blocked": flag, "args": {"q": text}});
        let mut half = None;
        prop_assert_eq!(&serde_json::from_str::<Value>(&repair::repair(&value.to_string(), &["text"], &mut half)).unwrap(), &value);
        let found: Sample = read(&value.to_string()).unwrap();
        prop_assert_eq!(found.text, Some(text));
        prop_assert_eq!(found.end_index, Some(number as usize));
    }

    #[test]
    fn nothing_panics_and_repaired_json_is_no_longer_than_its_parts(pieces in prop::collection::vec(
        "(\\{|\\}|\\[|\\]|\"|\\\\|\\\\ud83d|\\\\ude00|:|,|text|NaN|-Infinity|-|é|\u{1}|[0-9a-z ]{0,3})", 0..40)) {
        let text = pieces.concat();
        let mut reader = Reader::new(&["text"]);
        let _ = reader.read::<Sample>(&text);
        let _ = reader.read::<Value>(&text);
        let mut half = None;
        prop_assert!(repair::repair(&text, &["text"], &mut half).len() <= 6 * text.len() + 6);
    }
}
