//! Maps the events of an app to pieces. Source: the public API of chats and workflows of Dify, whose events these are.

use dify_plugin::protocol::backwards::AppEvent;
use serde_json::{Map, Value};

use crate::answer::think::ThinkParser;
use crate::answer::{End, Finish, Piece, Usage};
use crate::error::ApiError;

/// Push each event, then finish.
#[derive(Debug, Default)]
pub struct AppMapper {
    think: ThinkParser,
    conversation_id: Option<String>,
    has_text: bool,
    is_complete: bool,
    end: End,
}

impl AppMapper {
    /// Takes an event; an error is the failure of the app.
    pub fn push(&mut self, event: &AppEvent, out: &mut Vec<Piece>) -> Result<(), ApiError> {
        if self.conversation_id.is_none() {
            self.conversation_id = event.conversation_id().map(str::to_owned);
        }
        let data = event.0.get("data").and_then(Value::as_object);
        match event.event() {
            "message" | "agent_message" => self.text(event.answer(), out),
            "text_chunk" => self.text(text_of(data, "text"), out),
            // What was sent is replaced, because of what it contains. A client cannot take text back.
            "message_replace" => {
                self.text(&format!("\n\n{}", event.answer()), out);
                self.end.finish_reason = Finish::ContentFilter;
            }
            "message_file" if event.0.get("belongs_to").and_then(Value::as_str) != Some("user") => {
                let url = event.0.get("url").and_then(Value::as_str).unwrap_or_default();
                let is_image = event.0.get("type").and_then(Value::as_str) == Some("image");
                if !url.is_empty() {
                    self.text(&format!("\n\n{}[file]({url})", if is_image { "!" } else { "" }), out);
                }
            }
            "message_end" => {
                let metadata = event.0.get("metadata").and_then(Value::as_object);
                if let Some(usage) = metadata.and_then(|metadata| metadata.get("usage")) {
                    self.end.usage = usage_of(usage);
                }
                let citations = metadata.and_then(|metadata| metadata.get("retriever_resources")?.as_array().cloned());
                self.end.citations = citations.unwrap_or_default();
                self.is_complete = true;
            }
            "workflow_finished" => self.workflow_finished(data, out)?,
            "error" => {
                let text = |name: &str| event.0.get(name).and_then(Value::as_str).unwrap_or_default();
                let status = event.0.get("status").and_then(Value::as_u64);
                return Err(ApiError::of_app_event(status, text("code"), text("message")));
            }
            "human_input_required" | "workflow_paused" => {
                let message = "The app waits for a person's input, which this API cannot give.";
                return Err(ApiError::unsupported("model", message));
            }
            _ => {}
        }
        Ok(())
    }

    /// The end, and the ID of the conversation in Dify.
    pub fn finish(mut self, out: &mut Vec<Piece>) -> Result<(End, Option<String>), ApiError> {
        if !self.is_complete {
            return Err(ApiError::upstream("The app's answer ended before it was complete."));
        }
        self.think.finish(out);
        Ok((self.end, self.conversation_id))
    }

    fn text(&mut self, text: &str, out: &mut Vec<Piece>) {
        if !text.is_empty() {
            self.has_text = true;
            self.think.push(text.to_owned(), out);
        }
    }

    /// Of a workflow this is the end; of a chatflow `message_end` follows.
    fn workflow_finished(&mut self, data: Option<&Map<String, Value>>, out: &mut Vec<Piece>) -> Result<(), ApiError> {
        match text_of(data, "status") {
            "failed" | "stopped" => {
                let reason = Some(text_of(data, "error")).filter(|reason| !reason.is_empty());
                return Err(ApiError::of_app_event(None, "", reason.unwrap_or("The workflow was stopped.")));
            }
            _ => {}
        }
        if self.end.usage == Usage::default() {
            let total = data.and_then(|data| data.get("total_tokens")?.as_u64()).unwrap_or_default();
            self.end.usage.total_tokens = total;
        }
        let outputs = data.and_then(|data| data.get("outputs")?.as_object());
        if let Some(outputs) = outputs.filter(|_| !self.has_text) {
            self.text(&output_text(outputs), out);
        }
        self.is_complete = true;
        Ok(())
    }
}

fn text_of<'a>(data: Option<&'a Map<String, Value>>, name: &str) -> &'a str {
    data.and_then(|data| data.get(name)?.as_str()).unwrap_or_default()
}

/// The only output if it is a text, else all of them as JSON.
fn output_text(outputs: &Map<String, Value>) -> String {
    let mut filled = outputs.values().filter(|value| !value.is_null());
    match (filled.next(), filled.next()) {
        (None, _) => String::new(),
        (Some(Value::String(text)), None) => text.clone(),
        _ => Value::Object(outputs.clone()).to_string(),
    }
}

fn usage_of(usage: &Value) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("prompt_tokens"),
        completion_tokens: count("completion_tokens"),
        total_tokens: count("total_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(events: Vec<Value>) -> Result<(String, End, Option<String>), ApiError> {
        let (mut mapper, mut pieces) = (AppMapper::default(), Vec::new());
        for event in events {
            mapper.push(&serde_json::from_value(event).unwrap(), &mut pieces)?;
        }
        let (end, id) = mapper.finish(&mut pieces)?;
        let text = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Reasoning(text) => format!("[{text}]"),
            Piece::Call(_) => unreachable!(),
        });
        Ok((text.collect(), end, id))
    }

    #[test]
    fn every_kind_of_app_has_a_text_and_an_end() {
        let end = json!({"event": "message_end", "conversation_id": "c", "metadata": {
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            "retriever_resources": [{"position": 1, "document_name": "d"}]}});
        let (text, finished, id) = mapped(vec![
            json!({"event": "message", "answer": "<think>x</th", "conversation_id": "c"}),
            json!({"event": "message", "answer": "ink>Hel", "conversation_id": "c"}),
            json!({"event": "agent_message", "answer": "lo"}),
            json!({"event": "agent_thought", "thought": "ignored"}),
            json!({"event": "message_file", "type": "image", "url": "https://x/a.png", "belongs_to": "assistant"}),
            json!({"event": "message_file", "type": "image", "url": "https://x/b.png", "belongs_to": "user"}),
            end.clone(),
        ])
        .unwrap();
        assert_eq!((text.as_str(), id.as_deref()), ("[x]Hello\n\n![file](https://x/a.png)", Some("c")));
        assert_eq!((finished.usage.total_tokens, finished.citations.len()), (7, 1));

        // A chatflow: the outputs repeat what was streamed.
        let workflow = |status: &str, outputs: Value| json!({"event": "workflow_finished", "data": {"status": status, "outputs": outputs, "total_tokens": 9, "error": "boom"}});
        let message = json!({"event": "message", "answer": "Hi"});
        let chatflow = vec![message, workflow("succeeded", json!({"answer": "Hi"})), end];
        assert_eq!(mapped(chatflow).unwrap().0, "Hi");

        for (outputs, expected) in [
            (json!({"text": "Hi"}), "Hi"),
            (json!({"anything": "Hi"}), "Hi"),
            (json!({"text": "Hi", "files": null}), "Hi"),
            (json!({"text": "Hi", "score": 1}), r#"{"text":"Hi","score":1}"#),
            (json!({}), ""),
            (json!(null), ""),
        ] {
            let (text, end, _) = mapped(vec![workflow("succeeded", outputs)]).unwrap();
            assert_eq!((text.as_str(), end.usage.total_tokens), (expected, 9));
        }
        let chunk = json!({"event": "text_chunk", "data": {"text": "Hi"}});
        assert_eq!(mapped(vec![chunk, workflow("partial-succeeded", json!({"text": "Hi"}))]).unwrap().0, "Hi");
        assert_eq!(mapped(vec![workflow("failed", json!({}))]).unwrap_err().message, "boom");
    }

    #[test]
    fn failures_are_errors() {
        for (event, status) in [
            (json!({"event": "error", "status": 400, "code": "invalid_param", "message": "x"}), 400),
            (json!({"event": "error", "status": 500, "code": "internal_server_error", "message": "x"}), 502),
            (json!({"event": "human_input_required"}), 400),
            (json!({"event": "workflow_finished", "data": {"status": "stopped"}}), 502),
            // Nothing follows.
            (json!({"event": "message", "answer": "Hi"}), 502),
        ] {
            assert_eq!(mapped(vec![event.clone()]).unwrap_err().status.as_u16(), status, "{event}");
        }
        let replaced = json!({"event": "message_replace", "answer": "No."});
        let (text, end, _) = mapped(vec![replaced, json!({"event": "message_end"})]).unwrap();
        assert_eq!((text.as_str(), end.finish_reason), ("\n\nNo.", Finish::ContentFilter));
    }
}
