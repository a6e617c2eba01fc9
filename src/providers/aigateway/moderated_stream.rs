//! Stream mapper around the dialect's: recognises denials by the gateway's content check wherever they come.
//!
//! A denial may be the whole answer or come after text that was already delivered; either way the answer ends with the
//! reason as text and the finish reason `content_filter`. Everything else is the dialect's business.

use serde_json::Value;

use super::moderation::{self, ModerationBlock};
use crate::dialect::openai::ChatMapper;
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::declare::{Pricing, price};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{FinishReason, LlmDelta};

/// Text that only an event of the content check can hold; what has none of it is not parsed here.
const SIGNS: [&str; 3] = [moderation::MODEL, "enyMessage", "lockedDetails"];

/// See the module.
pub struct ModeratedStream {
    inner: ChatMapper,
    pricing: Option<Pricing>,
    denied: Option<BlockState>,
}

/// What the content check has written so far.
enum BlockState {
    /// The object itself.
    Object(ModerationBlock),
    /// Text of an answer, to be read when it is whole, and what newer builds tell beside it.
    Text(String, Option<ModerationBlock>),
}

impl ModeratedStream {
    /// A mapper at the beginning of an answer, around the dialect's.
    pub fn new(inner: ChatMapper, pricing: Option<Pricing>) -> Self {
        Self { inner, pricing, denied: None }
    }

    /// Keeps an event of the content check; `false` for any other.
    fn keep(&mut self, data: &str) -> bool {
        if !SIGNS.iter().any(|sign| data.contains(sign)) {
            return false;
        }
        let Ok(value) = serde_json::from_str::<Value>(data) else { return false };
        if let Some(denial) = moderation::denial(&value) {
            self.denied = Some(BlockState::Object(denial));
            return true;
        }
        if value["model"] != moderation::MODEL {
            return false;
        }
        let choice = &value["choices"][0];
        let content = ["delta", "message"].iter().find_map(|part| choice[part]["content"].as_str());
        let content = content.or(choice["text"].as_str()).unwrap_or_default();
        let beside = moderation::denial_beside(choice).or_else(|| moderation::denial_beside(&value));
        match self.denied.get_or_insert(BlockState::Text(String::new(), None)) {
            BlockState::Text(text, found) => {
                text.push_str(content);
                *found = beside.or(found.take());
            }
            BlockState::Object(_) => {}
        }
        true
    }
}

impl StreamMapper for ModeratedStream {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        if self.keep(&event.data) {
            return Ok(Flow::Continue);
        }
        self.inner.event(event, out)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let denial = match self.denied.take() {
            None => return self.inner.finish(out),
            Some(BlockState::Object(denial)) => denial,
            Some(BlockState::Text(text, beside)) => moderation::denial_in_text(&text).with(beside),
        };
        // What was cut off cannot be complete; only the text that was held back and the counts are of use.
        let mut rest = Vec::new();
        let _ = self.inner.finish(&mut rest);
        let mut usage = None;
        for delta in rest {
            match delta.usage {
                Some(counted) => usage = Some(counted),
                None if delta.tool_calls.is_empty() => out.push(delta),
                None => {}
            }
        }
        out.push(LlmDelta::text(denial.explanation()));
        out.push(LlmDelta {
            finish_reason: Some(FinishReason::ContentFilter),
            usage: Some(usage.unwrap_or_else(|| price::llm_usage(self.pricing.as_ref(), 0, 0))),
            ..LlmDelta::default()
        });
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.denied.is_none() && self.inner.is_over()
    }

    fn held(&self) -> usize {
        let denied = if let Some(BlockState::Text(text, _)) = &self.denied { text.len() } else { 0 };
        denied + self.inner.held()
    }
}

#[cfg(test)]
mod tests;
