//! The filters for outgoing text, thinking and text tool calls: any split gives the same text and calls.
#![no_main]

use dify_plugin_runtime::dialect::openai::text_tool_calls::TextToolCalls;
use dify_plugin_runtime::dialect::think::{ThinkPolicy, ThinkWriter, strip_thoughts};
use dify_plugin_runtime_fuzz::{text_pieces, tools};
use libfuzzer_sys::fuzz_target;

/// Between text of the answer and text of a separate field of thoughts.
const OTHER_FIELD: char = '\u{1}';

fn thoughts(flags: u8, seed: Option<u8>, text: &str) -> String {
    let policies =
        [ThinkPolicy::Show, ThinkPolicy::ShowUnopened, ThinkPolicy::Hide, ThinkPolicy::FieldOnly, ThinkPolicy::Opened];
    let mut writer = ThinkWriter::new(policies[usize::from(flags & 7) % policies.len()]);
    let mut out = String::new();
    for (number, field) in text.split(OTHER_FIELD).enumerate() {
        let pieces = seed.map_or_else(|| vec![field], |seed| text_pieces(seed, field));
        if number % 2 == 1 {
            writer.separate_field(&mut out);
        }
        for piece in pieces {
            match number % 2 {
                0 => writer.text(piece, &mut out),
                _ => writer.thought(piece, &mut out),
            }
        }
    }
    if flags & 8 != 0 {
        writer.end_whole(&mut out);
    }
    writer.finish(flags & 4 != 0, &mut out);
    out
}

fn calls(pieces: &[&str]) -> (String, Vec<(String, String)>) {
    let mut leaked = TextToolCalls::new(&tools(), true);
    let mut out = String::new();
    for piece in pieces {
        leaked.push(piece, &mut out);
    }
    let calls = leaked.finish(None, &mut out).into_iter().map(|call| (call.function.name, call.function.arguments));
    (out, calls.collect())
}

// First byte: options; second: where the text is cut; the rest: text.
fuzz_target!(|data: &[u8]| {
    let [flags, seed, bytes @ ..] = data else { return };
    let text = String::from_utf8_lossy(bytes);
    let whole = thoughts(*flags, None, &text);
    assert_eq!(whole, thoughts(*flags, Some(*seed), &text), "a split changes the thoughts");
    assert!(whole.ends_with(strip_thoughts(&whole)));
    let (out, found) = calls(&[&text]);
    assert_eq!((out, found), calls(&text_pieces(*seed, &text)), "a split changes the calls");
});
