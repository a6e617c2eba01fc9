//! Wraps the dialect's stream mapper and recognizes blocks by the gateway's content moderation, wherever they occur.
//!
//! A block may be the whole response or follow text that was already delivered. In both cases, the response ends with the
//! reason as text and the finish reason `content_filter`. All other events are passed to the dialect's mapper.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use super::moderation::{self, ModerationBlock};
use crate::dialect::openai::ChatMapper;
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::declare::{Pricing, price};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{FinishReason, LlmDelta};

/// Substrings that occur only in content moderation events. Other events are not parsed here. The searches are prepared,
/// because every event is searched.
static MARKERS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [moderation::MODEL, "enyMessage", "lockedDetails"].map(Finder::new));

/// Stream mapper that recognizes moderation blocks.
pub struct ModeratedStream {
    inner: ChatMapper,
    pricing: Option<Pricing>,
    blocked: Option<BlockState>,
}

/// What the content moderation has sent so far.
enum BlockState {
    /// A complete object.
    Object(ModerationBlock),
    /// Response text, parsed once it is complete, and the details that newer builds send next to it.
    Text(String, Option<ModerationBlock>),
}

impl ModeratedStream {
    /// Creates a mapper around the dialect's at the start of a response.
    pub fn new(inner: ChatMapper, pricing: Option<Pricing>) -> Self {
        Self { inner, pricing, blocked: None }
    }

    /// Stores an event of the content moderation; `false` for any other event.
    fn store(&mut self, data: &str) -> bool {
        if !MARKERS.iter().any(|marker| marker.find(data.as_bytes()).is_some()) {
            return false;
        }
        let Ok(value) = serde_json::from_str::<Value>(data) else { return false };
        if let Some(block) = moderation::block_in(&value) {
            self.blocked = Some(BlockState::Object(block));
            return true;
        }
        if value["model"] != moderation::MODEL {
            return false;
        }
        let choice = &value["choices"][0];
        let content = ["delta", "message"].iter().find_map(|part| choice[part]["content"].as_str());
        let content = content.or(choice["text"].as_str()).unwrap_or_default();
        let beside = moderation::block_beside(choice).or_else(|| moderation::block_beside(&value));
        match self.blocked.get_or_insert(BlockState::Text(String::new(), None)) {
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
        if self.store(&event.data) {
            return Ok(Flow::Continue);
        }
        self.inner.event(event, out)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let block = match self.blocked.take() {
            None => return self.inner.finish(out),
            Some(BlockState::Object(block)) => block,
            Some(BlockState::Text(text, beside)) => moderation::block_in_text(&text).with(beside),
        };
        // The blocked response is incomplete; only its buffered text and its usage are of use.
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
        out.push(LlmDelta::text(block.explanation()));
        let usage = usage.unwrap_or_else(|| price::llm_usage(self.pricing.as_ref(), 0, 0).into());
        out.push(LlmDelta::end(FinishReason::ContentFilter, usage));
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.blocked.is_none() && self.inner.is_over()
    }

    fn held(&self) -> usize {
        let blocked = if let Some(BlockState::Text(text, _)) = &self.blocked { text.len() } else { 0 };
        blocked + self.inner.held()
    }
}

#[cfg(test)]
mod tests;
