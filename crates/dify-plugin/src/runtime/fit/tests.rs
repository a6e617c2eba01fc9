//! Whatever is cut or joined says the same as before, and fits.

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

/// Everything that the pieces say: text, kinds of media, arguments of calls.
fn said(pieces: &[LlmDelta]) -> (String, Vec<&'static str>, String) {
    let text = pieces.iter().map(|piece| piece.content.text()).collect();
    let media = pieces.iter().flat_map(|piece| match &piece.content {
        Content::Text(_) => &[],
        Content::Parts(parts) => parts.as_slice(),
    });
    let media = media.filter(|part| part.media().is_some()).map(ContentPart::type_name).collect();
    let arguments = pieces.iter().flat_map(|piece| &piece.tool_calls);
    (text, media, arguments.map(|call| call.function.arguments.as_str()).collect())
}

#[test]
fn whatever_is_cut_fits_and_is_whole_again_when_it_is_joined() {
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
        let delta = LlmDelta { usage: Some(usage.clone()), finish_reason: Some(FinishReason::Stop), ..content };
        let Fitted { pieces, too_large } = fit(delta.clone(), ROOM);
        assert_eq!(too_large, None);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| bytes_of(piece) <= ROOM + 4 * AROUND), "{pieces:?}");
        assert_eq!(said(&pieces), said(std::slice::from_ref(&delta)));
        let with_usage: Vec<bool> = pieces.iter().map(|piece| piece.usage.is_some()).collect();
        assert!(with_usage.iter().rev().skip(1).all(|with| !with) && with_usage[pieces.len() - 1]);
        let ids = pieces.iter().flat_map(|piece| &piece.tool_calls).map(|call| call.id.as_str());
        assert!(ids.into_iter().all(|id| id == "id"));
        let mut joined = Joined::default();
        pieces.into_iter().for_each(|piece| joined.add(piece));
        assert_eq!(joined.into_delta().tool_calls, delta.tool_calls);
    }
}

#[test]
fn a_cut_is_made_by_the_length_that_text_has_as_json() {
    for text in ["", "a", "ä€😀", "\"\\/\n\r\t\u{8}\u{c}", "\u{0}\u{1f}\u{7f}\u{2028}"] {
        assert_eq!(text_bytes(text) + 2, json_bytes(&text), "{text:?}");
        for room in 0..20 {
            let at = cut(text, room);
            assert!(text_bytes(&text[..at]) <= room, "{text:?} {room}");
            let next = text[at..].chars().next();
            assert!(next.is_none_or(|letter| text_bytes(&text[..at]) + letter_bytes(letter) > room));
        }
    }
}

#[test]
fn what_cannot_be_cut_is_named_and_the_rest_is_kept() {
    let delta = parts(vec![ContentPart::text("before"), image(2000), image(300), ContentPart::text("after")]);
    let Fitted { pieces, too_large } = fit(delta, ROOM);
    assert!(matches!(too_large, Some(("image", bytes)) if bytes > 2000), "{too_large:?}");
    assert_eq!(said(&pieces), ("beforeafter".to_owned(), vec!["image"], String::new()));
    let mut named = call("{}");
    named.tool_calls[0].function.name = "n".repeat(2000);
    assert!(matches!(fit(named, ROOM), Fitted { too_large: Some(("call", _)), pieces } if pieces.is_empty()));
}

#[test]
fn private_data_gives_way_and_nothing_else_does() {
    let secret = |bytes: usize| Some(json!({"signature": "s".repeat(bytes)}));
    for (bytes, kept) in [(100, true), (2000, false)] {
        let ContentPart::Image(media) = image(500) else { panic!() };
        let delta = LlmDelta {
            content: Content::Parts(vec![
                ContentPart::Image(MediaPart { opaque_body: secret(bytes), ..media }),
                ContentPart::text("t".repeat(900)),
            ]),
            opaque_body: secret(bytes),
            usage: Some(LlmUsage::default()),
            ..LlmDelta::default()
        };
        let Fitted { pieces, too_large } = fit(delta, ROOM);
        assert_eq!(too_large, None);
        assert_eq!(said(&pieces), ("t".repeat(900), vec!["image"], String::new()));
        assert_eq!(pieces.iter().any(|piece| piece.opaque_body.is_some()), kept);
        assert!(pieces.iter().any(|piece| piece.usage.is_some()));
    }
}

#[test]
fn text_after_a_picture_stays_one_part() {
    let mut joined = Joined::default();
    joined.add(parts(vec![image(10)]));
    (0..1000).for_each(|_| joined.add(LlmDelta::text("word ")));
    let Content::Parts(parts) = joined.into_delta().content else { panic!() };
    assert_eq!(parts.len(), 2);
    assert_eq!(Content::Parts(parts).text().len(), 5000);
}

#[test]
fn fragments_of_a_call_are_joined_also_after_its_first_part_went_out() {
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
    let told = |delta: &LlmDelta| {
        let calls = delta.tool_calls.iter();
        calls.map(|call| (call.id.clone(), call.function.arguments.clone())).collect::<Vec<_>>()
    };
    let pair = |id: &str, arguments: &str| (id.to_owned(), arguments.to_owned());
    assert_eq!(told(&first), [pair("a", "{\"x\":1"), pair("b", "{}")]);
    assert_eq!(told(&rest), [pair("a", "}")]);
}
