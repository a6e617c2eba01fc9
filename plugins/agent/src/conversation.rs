//! What the model is sent: instruction, history, query, and the rounds so far. Pure: parts that the model cannot read become
//! text, old results are left out when the conversation has become too long for a line of the protocol, and the last request
//! contains no trace of tool calls, because several servers reject such messages without tools.

use dify_plugin::protocol::{Content, ContentPart, PromptMessage, Role, ToolCall};
use dify_plugin::serde_json;

/// Bytes of JSON that the messages of one request may have. The daemon ends a plugin that writes a line of 5 MiB.
const MAX_PROMPT_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that one byte may take in JSON (`\u0000`).
const MAX_ESCAPED_BYTES: usize = 6;

/// What is left of a message that does not fit.
const LEFT_OUT: &str = "(This message is left out, because the conversation has become too long.)";

/// Returns whether the model has a feature, such as `vision`.
pub(crate) type Features<'a> = &'a dyn Fn(&str) -> bool;

/// A conversation that grows by rounds.
pub(crate) struct Conversation {
    messages: Vec<PromptMessage>,
    /// How many of them were there before the first round; the last one is the query.
    begun: usize,
}

impl Conversation {
    pub(crate) fn new(instruction: &str, history: &[PromptMessage], query: PromptMessage) -> Self {
        let system = (!instruction.trim().is_empty()).then(|| PromptMessage::system(instruction));
        let messages: Vec<_> = system.into_iter().chain(history.iter().cloned()).chain([query]).collect();
        Self { begun: messages.len(), messages }
    }

    /// Adds what the model answered, and what it gets to read next.
    pub(crate) fn extend(&mut self, messages: impl IntoIterator<Item = PromptMessage>) {
        self.messages.extend(messages);
    }

    /// The messages of the next request.
    pub(crate) fn prompt(&self, features: Features<'_>) -> Vec<PromptMessage> {
        fit(self.messages.iter().map(|message| readable(message, features)).collect(), self.begun)
    }

    /// The messages of the last request: what tools were called for is text, and the model is asked to answer.
    pub(crate) fn closing_prompt(&self, request: &str, features: Features<'_>) -> Vec<PromptMessage> {
        let mut messages: Vec<_> =
            self.messages[..self.begun].iter().map(|message| readable(message, features)).collect();
        for message in &self.messages[self.begun..] {
            let plain = match message.role {
                Role::Assistant => PromptMessage::assistant(with_calls(message)),
                Role::Tool => PromptMessage::user(result_of(message)),
                _ => message.clone(),
            };
            join(&mut messages, plain, self.begun);
        }
        join(&mut messages, PromptMessage::user(request), self.begun);
        fit(messages, self.begun)
    }
}

/// The last request of a run, where it ends before the model has.
pub(crate) fn closing_request(reason: &str) -> String {
    format!(
        "{reason} No more tools can be called. Answer the query now with what is known so far, and say what is missing."
    )
}

/// What a model answered, for the next request: its words without its thoughts, and its calls. Arguments that are no JSON
/// would make servers reject the whole request; the result of such a call quotes what was wrong.
pub(crate) fn answered(text: &str, calls: &[ToolCall]) -> PromptMessage {
    let mut message = PromptMessage::assistant(text);
    message.tool_calls = calls.to_vec();
    for call in &mut message.tool_calls {
        let is_object = serde_json::from_str::<serde_json::Map<_, _>>(&call.function.arguments).is_ok();
        if !is_object {
            call.function.arguments = "{}".to_owned();
        }
    }
    message
}

/// Joins messages of the same author, which several servers do not accept in a row; the query and what precedes it stay.
fn join(messages: &mut Vec<PromptMessage>, next: PromptMessage, begun: usize) {
    let is_after_query = messages.len() > begun;
    match messages.last_mut() {
        Some(last) if is_after_query && last.role == next.role => {
            last.content = Content::Text(format!("{}\n\n{}", last.content.text(), next.content.text()));
        }
        _ => messages.push(next),
    }
}

fn with_calls(message: &PromptMessage) -> String {
    let calls = message.tool_calls.iter().map(|call| {
        let (name, arguments) = (&call.function.name, &call.function.arguments);
        format!("(I called the tool `{name}` with {arguments}.)")
    });
    let text = message.content.text();
    let lines: Vec<String> = Some(text).into_iter().filter(|text| !text.is_empty()).chain(calls).collect();
    lines.join("\n")
}

fn result_of(message: &PromptMessage) -> String {
    format!("Result of the tool `{}`:\n{}", message.name.as_deref().unwrap_or_default(), message.content.text())
}

/// The feature that a model needs for a part.
pub(crate) fn feature_of(part: &ContentPart) -> Option<&'static str> {
    match part {
        ContentPart::Image(_) => Some("vision"),
        ContentPart::Audio(_) => Some("audio"),
        ContentPart::Video(_) => Some("video"),
        ContentPart::Document(_) => Some("document"),
        _ => None,
    }
}

/// A message without the parts that the model cannot read.
fn readable(message: &PromptMessage, features: Features<'_>) -> PromptMessage {
    let mut message = message.clone();
    let Content::Parts(parts) = &mut message.content else { return message };
    for part in parts.iter_mut() {
        if feature_of(part).is_some_and(|feature| !features(feature)) {
            let name = part.media().and_then(|media| media.filename.as_deref()).unwrap_or_default();
            *part = ContentPart::text(unreadable(part.type_name(), name));
        }
    }
    if parts.iter().all(|part| matches!(part, ContentPart::Text(_))) {
        let texts: Vec<String> = parts.iter().map(|part| Content::Parts(vec![part.clone()]).text()).collect();
        message.content = Content::Text(texts.join("\n"));
    }
    message
}

/// What the model reads in place of a file that it cannot read.
pub(crate) fn unreadable(kind: &str, name: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
    format!("(The attached {kind}{name} cannot be read by this model.)")
}

/// Leaves out the oldest messages after the system's until the rest fits; the query, the last of the first `begun`, stays.
fn fit(mut messages: Vec<PromptMessage>, begun: usize) -> Vec<PromptMessage> {
    let raw: usize = messages.iter().map(|message| raw_bytes(&message.content)).sum();
    if raw <= MAX_PROMPT_BYTES / MAX_ESCAPED_BYTES {
        return messages;
    }
    let mut bytes: usize = messages.iter().map(|message| json_bytes(&message.content)).sum();
    for (index, message) in messages.iter_mut().enumerate() {
        if bytes <= MAX_PROMPT_BYTES {
            break;
        }
        let own = json_bytes(&message.content);
        if index + 1 != begun && message.role != Role::System && own > 2 * LEFT_OUT.len() {
            message.content = LEFT_OUT.into();
            bytes = bytes - own + json_bytes(&message.content);
        }
    }
    messages
}

fn raw_bytes(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len(),
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                ContentPart::Text(text) => text.data.len(),
                other => other.media().and_then(|media| media.base64_data.as_ref()).map_or(0, String::len),
            })
            .sum(),
    }
}

fn json_bytes(content: &Content) -> usize {
    serde_json::to_vec(content).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests;
