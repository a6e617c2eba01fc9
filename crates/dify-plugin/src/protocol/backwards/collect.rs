//! A language model's chunks joined to one result, by the rules of the Dify API: texts in order, fragments of tool calls
//! joined by their ID, the last usage.

use serde_json::{Map, Value};

use super::LlmChunk;
use crate::protocol::{Content, ContentPart, FinishReason, LlmUsage, PromptMessage, Role, ToolCall};

/// A whole response of a language model.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LlmResult {
    /// The model that responded.
    pub model: String,
    /// Text and parts.
    pub content: Content,
    /// The tool calls that the model requests, each whole.
    pub tool_calls: Vec<ToolCall>,
    /// What the call cost; absent when the response was incomplete.
    pub usage: Option<LlmUsage>,
    /// Why the response ended, where Dify reports it.
    pub finish_reason: Option<FinishReason>,
    /// The object that follows the schema of a structured call.
    pub structured_output: Option<Map<String, Value>>,
}

impl LlmResult {
    /// The text, parts left out.
    pub fn text(&self) -> String {
        self.content.text()
    }

    /// The response as a message of the conversation, for the next call.
    pub fn message(&self) -> PromptMessage {
        PromptMessage {
            tool_calls: self.tool_calls.clone(),
            ..PromptMessage::new(Role::Assistant, self.content.clone())
        }
    }
}

/// Joins chunks: push each, then finish.
#[derive(Debug, Default)]
pub struct LlmCollector(LlmResult);

impl LlmCollector {
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: LlmChunk) {
        let LlmChunk { model, delta, structured_output } = chunk;
        let result = &mut self.0;
        if !model.is_empty() {
            result.model = model;
        }
        append(&mut result.content, delta.content);
        for call in delta.tool_calls {
            join_call(&mut result.tool_calls, call);
        }
        result.usage = delta.usage.map(|usage| *usage).or(result.usage.take());
        result.finish_reason = delta.finish_reason.or(result.finish_reason.take());
        result.structured_output = structured_output.or(result.structured_output.take());
    }

    /// The whole result.
    pub fn finish(self) -> LlmResult {
        self.0
    }
}

fn append(whole: &mut Content, more: Content) {
    match (&mut *whole, more) {
        (Content::Text(text), Content::Text(more)) => text.push_str(&more),
        (Content::Text(text), Content::Parts(more)) => {
            let text = std::mem::take(text);
            let first = (!text.is_empty()).then(|| ContentPart::text(text));
            *whole = Content::Parts(first.into_iter().chain(more).collect());
        }
        (Content::Parts(parts), Content::Parts(more)) => parts.extend(more),
        (Content::Parts(parts), Content::Text(more)) => match parts.last_mut() {
            _ if more.is_empty() => {}
            Some(ContentPart::Text(last)) => last.data.push_str(&more),
            _ => parts.push(ContentPart::text(more)),
        },
    }
}

/// A new ID starts a call; the same or no ID continues one; no ID with a name starts a call that gets an ID here.
fn join_call(calls: &mut Vec<ToolCall>, call: ToolCall) {
    let continued = match (call.id.is_empty(), call.function.name.is_empty()) {
        (false, _) => calls.iter_mut().find(|known| known.id == call.id),
        (true, true) => calls.last_mut(),
        (true, false) => None,
    };
    match continued {
        Some(known) => {
            if known.function.name.is_empty() {
                known.function.name = call.function.name;
            }
            known.function.arguments.push_str(&call.function.arguments);
        }
        None => {
            let id = if call.id.is_empty() { format!("call_{}", calls.len()) } else { call.id };
            calls.push(ToolCall { id, ..call });
        }
    }
}
