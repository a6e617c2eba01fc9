//! Denials by the gateway's content check, in every form in which it writes them.
//!
//! It writes the same object as the whole body, as the text of a chat answer of model `from-security-guard`, or as the
//! text of stream events; older builds write plain text. Here the object is recognised; who carries it is up to callers.
//! Source: `alibaba/higress: plugins/wasm-go/extensions/ai-security-guard/config/config.go`.

use serde_json::{Map, Value};

/// The `model` of an answer that the content check wrote.
pub(super) const MODEL: &str = "from-security-guard";

/// The code of an error that stands for a denial.
pub(super) const CODE: &str = "content_filter";

/// Why an answer or a question was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ModerationBlock {
    /// What the gateway's owner wants users to read.
    pub(super) message: String,
    /// What was found, and how grave it is.
    pub(super) details: Vec<String>,
    /// The check's own request id.
    pub(super) request_id: Option<String>,
}

impl ModerationBlock {
    /// The same with what was told beside its text.
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

    /// One sentence for the user.
    pub(super) fn explanation(&self) -> String {
        let mut text = if self.message.is_empty() {
            "the gateway's content check stopped this".to_owned()
        } else {
            self.message.clone()
        };
        if !self.details.is_empty() {
            text.push_str(&format!(" (content check: {})", self.details.join(", ")));
        }
        text
    }
}

/// The denial in a value, if it is one.
pub(super) fn denial(value: &Value) -> Option<ModerationBlock> {
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

/// What newer builds tell in a member of their own beside a choice's text (`x_higress_guardrail`).
pub(super) fn denial_beside(choice: &Value) -> Option<ModerationBlock> {
    choice.as_object()?.iter().filter(|(name, _)| name.starts_with("x_higress")).find_map(|(_, value)| denial(value))
}

/// The denial in the text of an answer that the content check wrote; plain text is the message itself.
pub(super) fn denial_in_text(content: &str) -> ModerationBlock {
    let parsed = serde_json::from_str::<Value>(content).ok();
    parsed
        .as_ref()
        .and_then(denial)
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
