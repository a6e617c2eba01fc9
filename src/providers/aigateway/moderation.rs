//! Blocks by the gateway's content moderation, in every form in which it sends them.
//!
//! It sends the same object as the whole body, as the text of a chat response of model `from-security-guard`, or as the
//! text
//! of stream events; older builds send plain text. This module parses the object; callers know where it is.
//! Source: `alibaba/higress: plugins/wasm-go/extensions/ai-security-guard/config/config.go`.

use serde_json::{Map, Value};

/// The `model` of a response that the content moderation generated.
pub(super) const MODEL: &str = "from-security-guard";

/// Error code of a moderation block.
pub(super) const CODE: &str = "content_filter";

/// Why a response or a prompt was blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ModerationBlock {
    /// Message configured by the owner of the gateway.
    pub(super) message: String,
    /// Types and levels of the findings.
    pub(super) details: Vec<String>,
    /// Request ID of the content moderation.
    pub(super) request_id: Option<String>,
}

impl ModerationBlock {
    /// Adds the details that were sent next to the text.
    pub(super) fn with(mut self, beside: Option<Self>) -> Self {
        let Some(beside) = beside else { return self };
        if self.message.is_empty() {
            self.message = beside.message;
        }
        if self.details.is_empty() {
            self.details = beside.details;
        }
        self.request_id = self.request_id.or(beside.request_id);
        self
    }

    /// Returns a sentence for the user.
    pub(super) fn explanation(&self) -> String {
        let mut text = if self.message.is_empty() {
            "blocked by the gateway's content moderation".to_owned()
        } else {
            self.message.clone()
        };
        if !self.details.is_empty() {
            text.push_str(&format!(" (content moderation: {})", self.details.join(", ")));
        }
        text
    }
}

/// Parses a moderation block, if the value is one.
pub(super) fn block_in(value: &Value) -> Option<ModerationBlock> {
    let map = value.as_object()?;
    let message = text(map, &["denyMessage", "DenyMessage"]);
    let details = member(map, &["blockedDetails", "BlockedDetails"]);
    if message.is_none() && details.is_none() {
        return None;
    }
    Some(ModerationBlock {
        message: message.unwrap_or_default(),
        details: details
            .and_then(Value::as_array)
            .map(|items| items.iter().filter_map(detail).collect())
            .unwrap_or_default(),
        request_id: text(map, &["requestId", "RequestId"]),
    })
}

/// Returns the block that newer builds send in a member next to a choice's text (`x_higress_guardrail`).
pub(super) fn block_beside(choice: &Value) -> Option<ModerationBlock> {
    choice.as_object()?.iter().filter(|(name, _)| name.starts_with("x_higress")).find_map(|(_, value)| block_in(value))
}

/// Parses the block in the text of a response of the content moderation. Plain text is the message itself.
pub(super) fn block_in_text(content: &str) -> ModerationBlock {
    let parsed = serde_json::from_str::<Value>(content).ok();
    parsed
        .as_ref()
        .and_then(block_in)
        .unwrap_or_else(|| ModerationBlock { message: content.trim().to_owned(), ..ModerationBlock::default() })
}

fn member<'a>(map: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| map.get(*name)).filter(|value| !value.is_null())
}

fn text(map: &Map<String, Value>, names: &[&str]) -> Option<String> {
    member(map, names)?.as_str().map(str::to_owned)
}

fn detail(item: &Value) -> Option<String> {
    let map = item.as_object()?;
    let kind = text(map, &["type", "Type"])?;
    Some(match text(map, &["level", "Level"]) {
        Some(level) => format!("{kind} ({level})"),
        None => kind,
    })
}
