//! The line of a text delta, which is most of what a language model's stream is made of, written from a prepared beginning. It is
//! the line that [`write_stream`](super::envelope::write_stream) writes for the same [`LlmChunk`](super::LlmChunk), and nothing else.

use serde::Serialize;

/// What follows the number of the chunk.
const BEFORE_TEXT: &[u8] = b",\"message\":{\"role\":\"assistant\",\"content\":";

/// What follows the text.
const AFTER_TEXT: &[u8] = b",\"name\":null,\"tool_calls\":[]},\"usage\":null,\"finish_reason\":null}}}}\n";

/// The lines of one session's text deltas.
pub struct TextLine {
    /// The line up to the number of the chunk.
    head: Vec<u8>,
}

impl TextLine {
    /// Prepares the lines of a session with this model.
    pub fn new(session_id: &str, model: &str) -> Self {
        let mut head = b"{\"event\":\"session\",\"session_id\":".to_vec();
        write_json(&mut head, session_id);
        head.extend_from_slice(b",\"data\":{\"type\":\"stream\",\"data\":{\"model\":");
        write_json(&mut head, model);
        head.extend_from_slice(b",\"prompt_messages\":[],\"system_fingerprint\":null,\"delta\":{\"index\":");
        Self { head }
    }

    /// Appends the line of a chunk with this number.
    pub fn write(&self, out: &mut Vec<u8>, index: u64, text: &str) {
        out.reserve(self.head.len() + BEFORE_TEXT.len() + AFTER_TEXT.len() + text.len() + 32);
        out.extend_from_slice(&self.head);
        write_json(out, &index);
        out.extend_from_slice(BEFORE_TEXT);
        write_json(out, text);
        out.extend_from_slice(AFTER_TEXT);
    }
}

/// Appends a text or a number, which cannot fail in memory.
fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::envelope::write_stream;
    use crate::protocol::{LlmChunk, LlmDelta};

    proptest! {
        #[test]
        fn is_the_line_that_a_serializer_writes(
            session_id in any::<String>(), model in any::<String>(), index in any::<u64>(), text in any::<String>(),
            escaped in "[\u{0}-\u{1f}\"\\\\\u{7f}\u{2028}é\u{10ffff}]{0,40}",
        ) {
            for text in [text, escaped] {
                let (mut lines, mut expected) = (b"before\n".to_vec(), b"before\n".to_vec());
                TextLine::new(&session_id, &model).write(&mut lines, index, &text);
                write_stream(&mut expected, &session_id, &LlmChunk::of(&model, index, &LlmDelta::text(text))).unwrap();
                prop_assert_eq!(String::from_utf8(lines).unwrap(), String::from_utf8(expected).unwrap());
            }
        }
    }
}
