//! Cases of the event decoder as data, and the property that the result does not depend on how the bytes are split.

use proptest::prelude::*;

use super::{Event, EventDecoder, TooLong};

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = EventDecoder::new(1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    events
}

fn data(input: &str) -> Vec<String> {
    decode(&[input.as_bytes()]).into_iter().map(|event| event.data).collect()
}

/// Each case: what arrives, and the data of the events it makes.
const CASES: &[(&str, &str, &[&str])] = &[
    ("line feeds", "data: a\n\ndata: b\n\n", &["a", "b"]),
    ("carriage returns and line feeds", "data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
    ("carriage returns alone", "data: a\r\rdata: b\r\r", &["a", "b"]),
    ("no blank after the colon", "data:a\n\n", &["a"]),
    ("only one blank is taken", "data:  a\n\n", &[" a"]),
    ("several data lines are joined", "data: a\ndata: b\n\n", &["a\nb"]),
    ("a field without a colon", "data\n\n", &[""]),
    ("comments and keep-alives", ": ping\n\n:\n\ndata: a\n\n: ping\n\n", &["a"]),
    ("id and retry", "id: 1\nretry: 5\ndata: a\n\n", &["a"]),
    ("a byte-order mark", "\u{feff}data: a\n\n", &["a"]),
    ("no final blank line", "data: a\n\ndata: b", &["a", "b"]),
    ("line separators inside", "data: {\"t\":\"\u{2028}\u{85}\"}\n\n", &["{\"t\":\"\u{2028}\u{85}\"}"]),
    ("JSON without data", "{\"a\":1}\n\n", &["{\"a\":1}"]),
    ("JSON over several lines", "{\n \"a\": {\n  \"b\": \"}\"\n }\n}\n", &["{\n \"a\": {\n  \"b\": \"}\"\n }\n}"]),
    (
        "an error object between events",
        "data: a\n\n{\n \"error\": {\"code\": 503}\n}\n",
        &["a", "{\n \"error\": {\"code\": 503}\n}"],
    ),
    ("a streamed array", "[{\"a\":1}\n,\n{\"b\":[2]}\n]\n", &["{\"a\":1}", "{\"b\":[2]}"]),
    ("an array on one line", "[{\"a\":1},{\"b\":2}]", &["{\"a\":1}", "{\"b\":2}"]),
    ("JSON that never ends", "{\"a\":", &["{\"a\":"]),
    (
        "objects without a blank line between them",
        "data: {\"a\":1}\ndata:{\"b\":2}\r\ndata: [DONE]\n",
        &["{\"a\":1}", "{\"b\":2}", "[DONE]"],
    ),
    ("an object over several data lines", "data: {\ndata: \"a\":\"}\"\ndata: }\n\n", &["{\n\"a\":\"}\"\n}"]),
    (
        "an object whose later lines lack their field",
        "data: {\n  \"error\": {\n    \"message\": \"}\"\n  }\n}\n\ndata: a\n\n",
        &["{\n  \"error\": {\n    \"message\": \"}\"\n  }\n}", "a"],
    ),
    ("an error field", "data: a\n\nerror: {\"code\":400}\n\ndata: b\n\n", &["a", "{\"code\":400}", "b"]),
    ("an error field over several lines", "error:{\n \"code\": 400\n}\n\n", &["{\n \"code\": 400\n}"]),
    ("an error field behind an open event", "data: a\nerror: b\n", &["a", "b"]),
    (
        "words in place of a stream",
        "upstream connect error: reset\n\nsorry\n",
        &["upstream connect error: reset\nsorry"],
    ),
    ("noise", "hello\nworld\n\ndata: a\n\n", &["a"]),
    ("nothing", "", &[]),
];

#[test]
fn decodes_the_formats_that_servers_send() {
    for (name, input, expected) in CASES {
        assert_eq!(data(input), *expected, "{name}");
    }
}

#[test]
fn applies_the_event_field_to_one_event_only() {
    let events = decode(&[b"event: error\ndata: x\n\ndata: y\n\n"]);
    assert_eq!(events[0].name, "error");
    assert_eq!(events[1].name, "");
    let names =
        |input: &str| -> Vec<String> { decode(&[input.as_bytes()]).into_iter().map(|event| event.name).collect() };
    assert_eq!(names("error: x\n\ndata: y\n\n"), ["error", ""]);
    assert_eq!(names("event: error\ndata: {}\ndata: {}\n\ndata: y\n\n"), ["error", "error", ""]);
}

#[test]
fn does_not_keep_comments() {
    let mut decoder = EventDecoder::new(16);
    let mut events = Vec::new();
    for _ in 0..100 {
        assert_eq!(decoder.push(b": a comment of any length, ", &mut events), Ok(()));
        assert_eq!(decoder.held(), 0);
    }
    decoder.push(b"\ndata: a\n\n", &mut events).unwrap();
    assert_eq!(events.len(), 1);
}

#[test]
fn replaces_invalid_utf8() {
    assert_eq!(decode(&[b"data: \xff\n\ndata: b\n\n"])[1].data, "b");
}

#[test]
fn rejects_events_beyond_the_limit() {
    let mut decoder = EventDecoder::new(16);
    let mut events = Vec::new();
    assert_eq!(decoder.push(b"data: 0123456789", &mut events), Ok(()));
    assert_eq!(decoder.push(b"0123456789", &mut events), Err(TooLong { limit: 16 }));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(case in 0..CASES.len(), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let bytes = CASES[case].1.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        pieces.push(&bytes[start..]);
        prop_assert_eq!(decode(&pieces), decode(&[bytes]));
    }

    #[test]
    fn accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
        let cut = cut.min(bytes.len());
        prop_assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), decode(&[&bytes]));
    }
}
