//! What a model reads of a tool's messages: a pure collector. Files go to the user; the model reads that they did.

use serde_json::Value;

use crate::protocol::tool_message::{Content, Message};

/// What the model reads of a tool that sent nothing; several servers reject an empty result.
const NOTHING: &str = "The tool returned no output.";

/// A tool's messages as text for the model, and those that are for the user.
#[derive(Debug, Default)]
pub(super) struct Observation {
    text: String,
    /// Objects of a workflow, whose text says the same in most cases.
    repeated: String,
    files: Vec<Message>,
    max_bytes: usize,
    left_out: usize,
}

impl Observation {
    /// Of a tool whose text may have so many bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// Takes the next message. What a workflow returns as objects it returns as text, too.
    pub(super) fn push(&mut self, message: Message, is_workflow: bool) {
        match &message.content {
            Content::Text(text) => self.add(&text.text),
            Content::Json(json) if json.suppress_output => {}
            Content::Json(json) if is_workflow => self.repeated = json.json_object.to_string(),
            Content::Json(json) => self.add_line(&json.json_object.to_string()),
            Content::Link(link) => {
                self.add_line(&format!("Link for the user: {}", link.text));
                if is_stored(&message) {
                    self.files.push(message);
                }
            }
            Content::Image(_) | Content::ImageLink(_) => self.sent("An image", message),
            Content::BinaryLink(_) | Content::Blob(_) | Content::BlobChunk(_) => self.sent("A file", message),
            // Outputs of a node, entries of a log and citations are nothing that a model is to read.
            _ => {}
        }
    }

    /// The text for the model, and the messages for the user.
    pub(super) fn finish(mut self) -> (String, Vec<Message>) {
        if self.text.is_empty() {
            let repeated = std::mem::take(&mut self.repeated);
            self.add(&repeated);
        }
        if self.text.is_empty() {
            self.text.push_str(NOTHING);
        }
        if self.left_out > 0 {
            self.text.push_str(&format!("\n(The result is cut here: {} more bytes are left out.)", self.left_out));
        }
        (self.text, self.files)
    }

    fn sent(&mut self, what: &str, message: Message) {
        let name = message.meta.as_ref().and_then(|meta| meta.get("filename")?.as_str()).unwrap_or_default();
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        // The parts of a file are one file.
        if !matches!(&message.content, Content::BlobChunk(chunk) if !chunk.end) {
            self.add_line(&format!("{what}{name} was created and is already shown to the user."));
        }
        self.files.push(message);
    }

    fn add_line(&mut self, text: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.add("\n");
        }
        self.add(text);
    }

    fn add(&mut self, text: &str) {
        let room = self.max_bytes.saturating_sub(self.text.len());
        // What follows a cut is left out, too.
        let kept = if self.left_out > 0 { 0 } else { text.floor_char_boundary(room) };
        self.text.push_str(&text[..kept]);
        self.left_out += text.len() - kept;
    }
}

/// Whether a link is a file that Dify has stored.
fn is_stored(message: &Message) -> bool {
    let Some(meta) = &message.meta else { return false };
    meta.contains_key("file") || meta.get("tool_file_id").and_then(Value::as_str).is_some_and(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(messages: Value, is_workflow: bool, max_bytes: usize) -> (String, usize) {
        let mut observation = Observation::new(max_bytes);
        for message in messages.as_array().unwrap() {
            observation.push(serde_json::from_value(message.clone()).unwrap(), is_workflow);
        }
        let (text, files) = observation.finish();
        (text, files.len())
    }

    #[test]
    fn a_model_reads_what_a_tool_returned_and_files_go_to_the_user() {
        let text = |text: &str| json!({"type": "text", "message": {"text": text}});
        let object = |value: Value| json!({"type": "json", "message": {"json_object": value}});
        let of = |kind: &str, meta: Value| json!({"type": kind, "message": {"text": "/files/tools/1"}, "meta": meta});
        let rows = [
            (json!([]), false, NOTHING, 0),
            (json!([text("a"), text("b")]), false, "ab", 0),
            (json!([text("a"), object(json!({"b": [1]}))]), false, "a\n{\"b\":[1]}", 0),
            (json!([object(json!([1, 2]))]), false, "[1,2]", 0),
            (json!([text("a"), object(json!({"b": 1}))]), true, "a", 0),
            (json!([object(json!({"b": 1}))]), true, "{\"b\":1}", 0),
            (
                json!([{"type": "json", "message": {"json_object": {"b": 1}, "suppress_output": true}}]),
                false,
                NOTHING,
                0,
            ),
            (json!([{"type": "variable", "message": {"variable_name": "a", "variable_value": 1}}]), false, NOTHING, 0),
            (json!([{"type": "later", "message": {"a": 1}}]), false, NOTHING, 0),
            (json!([of("link", Value::Null)]), false, "Link for the user: /files/tools/1", 0),
            (json!([of("link", json!({"tool_file_id": "1"}))]), false, "Link for the user: /files/tools/1", 1),
            (
                json!([of("image_link", json!({"filename": "a.png"}))]),
                false,
                "An image (a.png) was created and is already shown to the user.",
                1,
            ),
            (
                json!([text("see"), of("image", Value::Null)]),
                false,
                "see\nAn image was created and is already shown to the user.",
                1,
            ),
            (json!([of("binary_link", json!({}))]), false, "A file was created and is already shown to the user.", 1),
            (
                json!([{"type": "blob", "message": {"blob": "AA=="}, "meta": {}}]),
                false,
                "A file was created and is already shown to the user.",
                1,
            ),
        ];
        for (messages, is_workflow, expected, files) in rows {
            assert_eq!(read(messages.clone(), is_workflow, 1000), (expected.to_owned(), files), "{messages}");
        }
    }

    #[test]
    fn a_long_result_is_cut_with_a_note() {
        let parts = json!([{"type": "text", "message": {"text": "aé"}}, {"type": "text", "message": {"text": "bc"}}]);
        let cut = |left: usize| format!("\n(The result is cut here: {left} more bytes are left out.)");
        assert_eq!(read(parts.clone(), false, 2).0, format!("a{}", cut(4)));
        assert_eq!(read(parts.clone(), false, 4).0, format!("aéb{}", cut(1)));
        assert_eq!(read(parts, false, 5).0, "aébc");
    }
}
