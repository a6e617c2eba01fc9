//! Deltas that are split or joined keep their meaning and fit into a line.

use serde_json::json;

use super::*;
use crate::protocol::{FinishReason, LlmUsage, MediaPart};

const ROOM: usize = 1000;

fn image(bytes: usize) -> ContentPart {
    ContentPart::Image(MediaPart { base64_data: Some("A".repeat(bytes)), ..MediaPart::default() })
}

fn parts(parts: Vec<ContentPart>) -> LlmDelta {
    LlmDelta { content: Content::Parts(parts), ..LlmDelta::default() }
}

fn call(arguments: &str) -> LlmDelta {
    LlmDelta { tool_calls: vec![ToolCall::function("id", "name", arguments)], ..LlmDelta::default() }
}

/// Returns the content of the deltas: text, types of media, arguments of calls.
fn content_of(deltas: &[LlmDelta]) -> (String, Vec<&'static str>, String) {
    let text = deltas.iter().map(|delta| delta.content.text()).collect();
    let media = deltas.iter().flat_map(|delta| match &delta.content {
        Content::Text(_) => &[],
        Content::Parts(parts) => parts.as_slice(),
    });
    let media = media.filter(|part| part.media().is_some()).map(ContentPart::type_name).collect();
    let arguments = deltas.iter().flat_map(|delta| &delta.tool_calls);
    (text, media, arguments.map(|call| call.function.arguments.as_str()).collect())
}

#[test]
fn split_deltas_fit_and_can_be_joined_again() {
    let usage = LlmUsage { prompt_tokens: 7, ..LlmUsage::default() };
    for content in [
        LlmDelta::text("a".repeat(5000)),
        LlmDelta::text("ä€😀".repeat(900)),
        LlmDelta::text("\u{1}".repeat(2000)),
        LlmDelta::text("\"\\\n".repeat(2000)),
        parts(vec![ContentPart::text("x\u{1}".repeat(900)), image(500), image(500), ContentPart::text("end")]),
        parts((0..100).map(|_| image(100)).collect()),
        call(&"{\"a\": \"\u{1}ä\"}".repeat(300)),
        LlmDelta { content: Content::Text("b".repeat(990)), ..call(&"c".repeat(990)) },
    ] {
        let delta =
            LlmDelta { usage: Some(Box::new(usage.clone())), finish_reason: Some(FinishReason::Stop), ..content };
        let Fitted { deltas, too_large } = fit(delta.clone(), ROOM);
        assert_eq!(too_large, None);
        assert!(deltas.len() > 1 && deltas.iter().all(|delta| bytes_of(delta) <= ROOM + 4 * OVERHEAD), "{deltas:?}");
        assert_eq!(content_of(&deltas), content_of(std::slice::from_ref(&delta)));
        let with_usage: Vec<bool> = deltas.iter().map(|delta| delta.usage.is_some()).collect();
        assert!(with_usage.iter().rev().skip(1).all(|with| !with) && with_usage[deltas.len() - 1]);
        let ids = deltas.iter().flat_map(|delta| &delta.tool_calls).map(|call| call.id.as_str());
        assert!(ids.into_iter().all(|id| id == "id"));
        let mut joined = Joined::default();
        deltas.into_iter().for_each(|delta| joined.add(delta));
        assert_eq!(joined.into_delta().tool_calls, delta.tool_calls);
    }
}

#[test]
fn splits_by_the_length_as_json() {
    for text in ["", "a", "ä€😀", "\"\\/\n\r\t\u{8}\u{c}", "\u{0}\u{1f}\u{7f}\u{2028}"] {
        assert_eq!(text_bytes(text) + 2, json_bytes(&text), "{text:?}");
        for room in 0..20 {
            let at = split_index(text, room);
            assert!(text_bytes(&text[..at]) <= room, "{text:?} {room}");
            let next = text[at..].chars().next();
            assert!(next.is_none_or(|character| text_bytes(&text[..at]) + char_bytes(character) > room));
        }
    }
}

#[test]
fn reports_what_cannot_be_split_and_keeps_the_rest() {
    let delta = parts(vec![ContentPart::text("before"), image(2000), image(300), ContentPart::text("after")]);
    let Fitted { deltas, too_large } = fit(delta, ROOM);
    assert!(matches!(too_large, Some(("image", bytes)) if bytes > 2000), "{too_large:?}");
    assert_eq!(content_of(&deltas), ("beforeafter".to_owned(), vec!["image"], String::new()));
    let mut named = call("{}");
    named.tool_calls[0].function.name = "n".repeat(2000);
    assert!(matches!(fit(named, ROOM), Fitted { too_large: Some(("call", _)), deltas } if deltas.is_empty()));
}

#[test]
fn drops_only_private_data() {
    let secret = |bytes: usize| Some(json!({"signature": "s".repeat(bytes)}));
    for (bytes, kept) in [(100, true), (2000, false)] {
        let ContentPart::Image(media) = image(500) else { panic!() };
        let delta = LlmDelta {
            content: Content::Parts(vec![
                ContentPart::Image(MediaPart { opaque_body: secret(bytes), ..media }),
                ContentPart::text("t".repeat(900)),
            ]),
            opaque_body: secret(bytes),
            usage: Some(Box::default()),
            ..LlmDelta::default()
        };
        let Fitted { deltas, too_large } = fit(delta, ROOM);
        assert_eq!(too_large, None);
        assert_eq!(content_of(&deltas), ("t".repeat(900), vec!["image"], String::new()));
        assert_eq!(deltas.iter().any(|delta| delta.opaque_body.is_some()), kept);
        assert!(deltas.iter().any(|delta| delta.usage.is_some()));
    }
}

#[test]
fn joins_text_after_an_image_into_one_part() {
    let mut joined = Joined::default();
    joined.add(parts(vec![image(10)]));
    (0..1000).for_each(|_| joined.add(LlmDelta::text("word ")));
    let Content::Parts(parts) = joined.into_delta().content else { panic!() };
    assert_eq!(parts.len(), 2);
    assert_eq!(Content::Parts(parts).text().len(), 5000);
}

#[test]
fn joins_fragments_of_a_call_after_its_first_part_was_written() {
    let mut joined = Joined::default();
    let fragment = |id: &str, name: &str, arguments: &str| LlmDelta {
        tool_calls: vec![ToolCall::function(id, name, arguments)],
        ..LlmDelta::default()
    };
    joined.add(fragment("a", "f", "{\"x\":"));
    joined.add(fragment("b", "g", "{}"));
    joined.add(fragment("a", "", "1"));
    let first = joined.take_content();
    joined.add(fragment("a", "", "}"));
    let rest = joined.into_delta();
    let calls_of = |delta: &LlmDelta| {
        let calls = delta.tool_calls.iter();
        calls.map(|call| (call.id.clone(), call.function.arguments.clone())).collect::<Vec<_>>()
    };
    let pair = |id: &str, arguments: &str| (id.to_owned(), arguments.to_owned());
    assert_eq!(calls_of(&first), [pair("a", "{\"x\":1"), pair("b", "{}")]);
    assert_eq!(calls_of(&rest), [pair("a", "}")]);
}
