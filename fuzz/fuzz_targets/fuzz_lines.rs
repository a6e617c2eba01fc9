//! The line framer: any split of the bytes gives the same lines, whole ones within the limit, none lost.
#![no_main]

use dify_plugin::codec::lines::{Line, LineDecoder};
use dify_plugin_runtime_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fn lines<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Line> {
    let mut decoder = LineDecoder::new(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        decoder.push(piece, |line| lines.push(line));
    }
    decoder.finish(|line| lines.push(line));
    lines
}

// First byte: the limit; second: where the bytes are cut; the rest: what a daemon sends.
fuzz_target!(|data: &[u8]| {
    let [limit, seed, bytes @ ..] = data else { return };
    let limit = usize::from(*limit) * 40;
    let found = lines(limit, [bytes]);
    assert_eq!(found, lines(limit, pieces(*seed, bytes)), "a split changes the lines");
    let mut expected = bytes.split(|byte| *byte == b'\n').filter_map(|line| match line {
        line if line.len() > limit => Some((line.len(), line)),
        line => {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (!line.is_empty()).then_some((line.len(), line))
        }
    });
    for line in found {
        let (length, text) = expected.next().expect("a line that was not sent");
        match line {
            Line::Whole(line) => assert_eq!(line, text),
            Line::TooLong { head, tail, length: reported } => {
                assert!(reported == length && length > limit && text.starts_with(&head) && text.ends_with(&tail));
            }
            _ => unreachable!("a line of another type"),
        }
    }
    assert!(expected.next().is_none(), "a line is lost");
});
