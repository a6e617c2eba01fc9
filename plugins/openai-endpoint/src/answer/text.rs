//! Completions, the older API: `text_completion`, whole and in chunks. It has no form for thinking and tool calls.

use serde_json::{Value, json};

use super::{DONE, End, Finish, Head, Piece, event};

/// Writes the chunks of a stream, or collects the text of a whole response.
pub struct TextCompletion {
    head: Head,
    include_usage: bool,
    text: String,
}

impl TextCompletion {
    /// `echo` is the prompt, where the client requests it in front of the text.
    pub fn new(head: Head, include_usage: bool, echo: Option<String>) -> Self {
        Self { head, include_usage, text: echo.unwrap_or_default() }
    }

    /// Writes a chunk.
    pub fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        let Piece::Text(text) = piece else { return };
        self.text.push_str(text);
        self.flush(out);
    }

    pub fn end(&mut self, end: &End, out: &mut Vec<u8>) {
        self.flush(out);
        let choices = json!([choice("", Some(end.finish_reason))]);
        event(out, &self.object(choices, self.include_usage.then_some(Value::Null)));
        if self.include_usage {
            event(out, &self.object(json!([]), Some(json!(end.usage))));
        }
        out.extend_from_slice(DONE);
    }

    /// Collects the text.
    pub fn collect(&mut self, piece: Piece) {
        if let Piece::Text(text) = piece {
            self.text.push_str(&text);
        }
    }

    pub fn finish(mut self, end: End) -> Value {
        let choices = json!([choice(&std::mem::take(&mut self.text), Some(end.finish_reason))]);
        self.object(choices, Some(json!(end.usage)))
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            let choices = json!([choice(&text, None)]);
            event(out, &self.object(choices, self.include_usage.then_some(Value::Null)));
        }
    }

    fn object(&self, choices: Value, usage: Option<Value>) -> Value {
        let Head { id, created, model } = &self.head;
        let mut object =
            json!({"id": id, "object": "text_completion", "created": created, "model": model, "choices": choices});
        if let Some(usage) = usage {
            object["usage"] = usage;
        }
        object
    }
}

fn choice(text: &str, finish_reason: Option<Finish>) -> Value {
    // Calls need a form that this API does not have.
    let finish_reason = finish_reason.map(|reason| if reason == Finish::ToolCalls { Finish::Stop } else { reason });
    json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason})
}
