//! Calls back into Dify as a test sees them, and what a test lets Dify answer. How a text looks for each type of call is
//! decided here, so that a test need not know it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::protocol::backwards::InvokeType;

/// A call back of the plugin.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CallBack {
    /// Type of the call.
    pub invoke_type: InvokeType,
    /// The session that calls.
    pub session_id: String,
    /// What is requested, as it is on the wire.
    pub request: Map<String, Value>,
}

impl CallBack {
    pub(super) fn new(invoke_type: InvokeType, session_id: &str, request: Map<String, Value>) -> Self {
        Self { invoke_type, session_id: session_id.to_owned(), request }
    }

    /// A member of the request that is a string; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.request.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The text of the last message of a prompt.
    pub fn prompt(&self) -> String {
        let content =
            self.request.get("prompt_messages").and_then(Value::as_array).and_then(|messages| messages.last());
        match content.map(|message| &message["content"]) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["data"].as_str()).collect(),
            _ => String::new(),
        }
    }
}

/// What Dify answers. Without more it comes at once, whole, and once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub(super) parts: Vec<Part>,
    pub(super) error: Option<String>,
    pub(super) delay: Duration,
    pub(super) interval: Duration,
    pub(super) repeats: bool,
    pub(super) foreign: bool,
    pub(super) late: bool,
    pub(super) open: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    ToolCall { name: String, arguments: Value },
    Data(Value),
}

impl Answer {
    /// A text: what a model says, a tool's message, an app's answer, a summary, a transcript.
    pub fn text(text: impl Into<String>) -> Self {
        Self::texts([text])
    }

    /// A text in parts, as a streamed call gets it.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(texts.into_iter().map(|text| Part::Text(text.into())))
    }

    /// A language model that calls a tool.
    pub fn tool_call(name: impl Into<String>, arguments: Value) -> Self {
        Self::of([Part::ToolCall { name: name.into(), arguments }])
    }

    /// One response, as it is on the wire.
    pub fn data(data: Value) -> Self {
        Self::stream([data])
    }

    /// Any number of responses, as they are on the wire.
    pub fn stream(responses: impl IntoIterator<Item = Value>) -> Self {
        Self::of(responses.into_iter().map(Part::Data))
    }

    /// No response; Dify reports this error.
    pub fn error(text: impl Into<String>) -> Self {
        Self { error: Some(text.into()), ..Self::default() }
    }

    /// No response, no error and no end.
    pub fn never() -> Self {
        Self { open: true, ..Self::default() }
    }

    fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        Self { parts: parts.into_iter().collect(), ..Self::default() }
    }

    /// Adds another answer's responses, and its error.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self.error = other.error;
        self
    }

    /// Waits before the first response.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits between two responses, and before the end.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Fault: every event is written twice.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Fault: events of calls that the plugin has not made, and that are malformed, are written among those of the call.
    #[must_use]
    pub fn with_foreign_events(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// Fault: the events are written although the session has ended.
    #[must_use]
    pub fn even_late(mut self) -> Self {
        self.late = true;
        self
    }

    /// Fault: after these responses nothing follows; the daemon ends the call after 240 s.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.open = true;
        self
    }

    /// The texts joined, as a call that is not streamed gets them.
    fn whole_text(&self) -> Option<String> {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty()).map(|texts| texts.concat())
    }

    /// The responses on the wire.
    pub(super) fn responses(&self, call: &CallBack) -> Vec<Value> {
        if let Some(text) = self.whole_text().filter(|_| call.text("response_mode") == "blocking") {
            return text_responses(call, &text, true);
        }
        let count = self.parts.len();
        let mut responses: Vec<Value> = Vec::with_capacity(count);
        for (index, part) in self.parts.iter().enumerate() {
            let is_last = index + 1 == count;
            match part {
                Part::Data(data) => responses.push(data.clone()),
                Part::ToolCall { name, arguments } => {
                    let calls = json!([{"id": format!("call-{index}"), "type": "function",
                        "function": {"name": name, "arguments": arguments.to_string()}}]);
                    responses.push(chunk(call, "", calls, is_last));
                }
                Part::Text(text) => responses.extend(text_responses(call, text, is_last)),
            }
        }
        responses
    }
}

impl<T: Into<String>> From<T> for Answer {
    fn from(text: T) -> Self {
        Self::text(text)
    }
}

/// A chunk of a language model; usage and finish reason are in the last.
fn chunk(call: &CallBack, text: &str, tool_calls: Value, is_last: bool) -> Value {
    let reason = if tool_calls.as_array().is_some_and(|calls| !calls.is_empty()) { "tool_calls" } else { "stop" };
    let usage = json!({"prompt_tokens": 10, "prompt_unit_price": "0.001", "prompt_price_unit": "0.001",
        "prompt_price": "0.00001", "completion_tokens": 5, "completion_unit_price": "0.002",
        "completion_price_unit": "0.001", "completion_price": "0.00001", "total_tokens": 15,
        "total_price": "0.00002", "currency": "USD", "latency": 0.1});
    json!({"model": call.text("model"), "prompt_messages": [], "system_fingerprint": "",
        "delta": {"index": 0, "message": {"role": "assistant", "content": text, "name": "", "tool_calls": tool_calls},
            "usage": is_last.then_some(usage), "finish_reason": is_last.then_some(reason)}})
}

/// A text as the responses of a type of call.
fn text_responses(call: &CallBack, text: &str, is_last: bool) -> Vec<Value> {
    match call.invoke_type {
        InvokeType::Llm => vec![chunk(call, text, json!([]), is_last)],
        InvokeType::LlmStructuredOutput => {
            let mut chunk = chunk(call, text, json!([]), is_last);
            chunk["structured_output"] = serde_json::from_str(text).unwrap_or_default();
            vec![chunk]
        }
        InvokeType::Tool => vec![json!({"type": "text", "message": {"text": text}, "meta": null})],
        InvokeType::App if call.text("response_mode") == "blocking" => {
            vec![json!({"event": "message", "answer": text, "conversation_id": "conversation-1", "message_id": "m"})]
        }
        InvokeType::App => {
            let event = |name: &str, text: &str| json!({"event": name, "answer": text, "conversation_id": "conversation-1", "message_id": "m"});
            let end = is_last.then(|| event("message_end", ""));
            [event("message", text)].into_iter().chain(end).collect()
        }
        InvokeType::SystemSummary => vec![json!({"summary": text})],
        InvokeType::Tts => vec![json!({"result": hex::encode(text)})],
        _ => vec![json!({"result": text})],
    }
}
