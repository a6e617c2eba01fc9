//! Chunks joined, however they are cut.

use dify_plugin::serde_json::{from_value, json};
use proptest::prelude::*;

use super::*;

fn chunk(text: &str, calls: Value) -> LlmChunk {
    from_value(json!({"model": "m", "delta": {"message": {"content": text, "tool_calls": calls}, "usage": null}}))
        .unwrap()
}

fn shown<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, Reply) {
    let (mut builder, mut display, mut text) = (ReplyBuilder::default(), Display::default(), String::new());
    for piece in pieces {
        text.extend(builder.push(chunk(piece, Value::Null)).iter().filter_map(|piece| display.text_of(piece)));
    }
    let (rest, reply) = builder.finish();
    text.extend(rest.iter().filter_map(|piece| display.text_of(piece)));
    text.extend(display.finish());
    (text, reply)
}

#[test]
fn thoughts_are_separated_and_their_blocks_are_closed() {
    let rows = [
        ("<think>a</think>b", "<think>a</think>b", "a", "b"),
        ("<think>a", "<think>a</think>", "a", ""),
        ("a<think>b<think>c</think>d</think>e", "a<think>bcd</think>e", "bcd", "ae"),
        ("a</think>b", "a</think>b", "", "a</think>b"),
        ("a < b <thin", "a < b <thin", "", "a < b <thin"),
        ("<think></think>a", "a", "", "a"),
        ("<<think>a</</think>", "<<think>a</</think>", "a</", "<"),
    ];
    for (text, seen, thoughts, words) in rows {
        let (found, reply) = shown([text]);
        assert_eq!((found.as_str(), reply.thoughts.as_str(), reply.text.as_str()), (seen, thoughts, words), "{text}");
    }
}

#[test]
fn joined_arguments_become_calls() {
    let rows: &[(&str, &[&str])] = &[
        ("{\"a\":1}", &["{\"a\":1}"]),
        ("", &[""]),
        ("{\"a\":", &["{\"a\":"]),
        ("{}", &["{}"]),
        ("{}{\"a\":1}", &["{\"a\":1}"]),
        ("{\"a\":1} {\"a\":2}", &["{\"a\":1}", "{\"a\":2}"]),
        ("{\"a\":1}{\"a\":", &["{\"a\":1}{\"a\":"]),
        ("[1][2]", &["[1][2]"]),
    ];
    for (arguments, expected) in rows {
        let calls = separate(ToolCall::function("id", "search", *arguments));
        let found: Vec<_> = calls.iter().map(|call| call.function.arguments.as_str()).collect();
        assert_eq!(&found, expected, "{arguments}");
        assert_eq!(calls[0].id, "id");
    }
}

#[test]
fn files_of_a_model_are_for_the_user() {
    let content =
        json!([{"type": "text", "data": "See: "}, {"type": "image", "base64_data": "AA==", "mime_type": "image/png"}]);
    let chunk = from_value(json!({"model": "m", "delta": {"message": {"content": content}}})).unwrap();
    let pieces = ReplyBuilder::default().push(chunk);
    assert!(matches!(&pieces[..], [Piece::Text(text), Piece::File(media)]
        if text == "See: " && media.mime_type == "image/png"));
}

proptest! {
    #[test]
    fn any_split_is_shown_alike(
        pieces in proptest::collection::vec(proptest::sample::select(
            vec!["<think>", "</think>", "<", "</", "think>", "a", "é\n", "<th"]), 0..12),
        cuts in proptest::collection::vec(0_usize..80, 0..6),
    ) {
        let text = pieces.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut.min(text.len()))).collect();
        cuts.sort_unstable();
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
        let (whole, reply) = shown([text.as_str()]);
        let (split, split_reply) = shown(bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]));
        prop_assert_eq!(&whole, &split);
        prop_assert_eq!((reply.text, reply.thoughts), (split_reply.text, split_reply.thoughts));
    }
}
