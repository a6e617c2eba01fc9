//! Arranges the messages of a conversation for servers that expect a strict order: system messages, empty messages, and
//! consecutive messages of one role. It knows nothing of Dify's messages.

use std::borrow::Cow;

use super::parts::Part;
use super::{Message, MessageContent};
use crate::dialect::openai::profile::{History, SystemForm};

/// Returns the messages as the profile requires them.
pub(super) fn arranged<'a>(mut messages: Vec<Message<'a>>, history: &History) -> Vec<Message<'a>> {
    match history.system {
        SystemForm::Keep => {}
        SystemForm::First => merge_system(&mut messages),
        SystemForm::Drop => messages.retain(|message| message.role != "system"),
    }
    if history.drops_empty {
        messages.retain(|message| matches!(message.role, "tool" | "function") || !is_blank(message));
    }
    match &history.merge {
        Some(between) => merged(messages, between),
        None => messages,
    }
}

fn is_blank(message: &Message<'_>) -> bool {
    let is_silent = match &message.content {
        MessageContent::Text(text) => text.trim().is_empty(),
        MessageContent::Parts(parts) => {
            parts.iter().all(|part| matches!(part, Part::Text(text) if text.trim().is_empty()))
        }
    };
    is_silent && message.tool_calls.is_empty() && message.function_call.is_none()
}

/// Merges consecutive user or assistant messages that are nothing but content.
fn merged<'a>(messages: Vec<Message<'a>>, between: &str) -> Vec<Message<'a>> {
    let mut merged: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    for message in messages {
        match merged.last_mut() {
            Some(last) if last.role == message.role && is_mergeable(last) && is_mergeable(&message) => {
                append(last, message, between);
            }
            _ => merged.push(message),
        }
    }
    merged
}

fn is_mergeable(message: &Message<'_>) -> bool {
    matches!(message.role, "user" | "assistant")
        && message.tool_calls.is_empty()
        && message.function_call.is_none()
        && message.members.is_empty()
        && message.name.is_none()
}

fn append<'a>(first: &mut Message<'a>, second: Message<'a>, between: &str) {
    first.reasoning_content = match (first.reasoning_content.take(), second.reasoning_content) {
        (Some(one), Some(other)) if !one.is_empty() && !other.is_empty() => Some(format!("{one}\n{other}")),
        (one, other) => one.filter(|text| !text.is_empty()).or(other),
    };
    match (&mut first.content, second.content) {
        (MessageContent::Text(one), MessageContent::Text(other)) => {
            let one = one.to_mut();
            if !one.is_empty() && !other.is_empty() {
                one.push_str(between);
            }
            one.push_str(&other);
        }
        (content, other) => {
            let mut parts = into_parts(std::mem::replace(content, MessageContent::Parts(Vec::new())));
            parts.extend(into_parts(other));
            *content = MessageContent::Parts(parts);
        }
    }
}

fn into_parts(content: MessageContent<'_>) -> Vec<Part<'_>> {
    match content {
        MessageContent::Text(text) => Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect(),
        MessageContent::Parts(parts) => parts,
    }
}

/// Merges all system messages into one, because some chat templates reject any but the first.
fn merge_system(messages: &mut Vec<Message<'_>>) {
    let mut texts = Vec::new();
    messages.retain(|message| {
        if message.role != "system" {
            return true;
        }
        match &message.content {
            MessageContent::Text(text) => texts.push(text.to_string()),
            MessageContent::Parts(parts) => texts.extend(parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.to_string()),
                _ => None,
            })),
        }
        false
    });
    if !texts.is_empty() {
        messages.insert(0, Message::new("system", MessageContent::Text(Cow::Owned(texts.join("\n\n")))));
    }
}
