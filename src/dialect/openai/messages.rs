//! Converts protocol messages to those of the dialect. They are borrowed: an image of many megabytes is written
//! directly into the body.
//!
//! Text that the plugin or a model's service added to a response is not sent back as text of the model: thoughts are
//! left
//! out, or sent in a separate field if the server expects them. Calls of functions that are no longer offered, and
//! files
//! of earlier messages that the model does not support, are replaced with text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::kept::{NAMES, OPAQUE_KEY, REASONING_KEY};
use super::profile::{Profile, ReasoningBack, SignatureForm, ToolForm};
use crate::dialect::names::FunctionNames;
use crate::dialect::think::{CLOSE, OPEN, strip_thoughts};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Content, ContentPart, LlmRequest, PromptMessage, Role, ToolCall};
use parts::Part;

mod history;
mod parts;
#[cfg(test)]
mod tests;

pub use parts::is_readable;

/// Replaces an unknown thought signature; documented by Google for calls that come from elsewhere.
const BYPASS: &str = "skip_thought_signature_validator";

/// A message.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    role: &'static str,
    content: MessageContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    /// Members that the server expects back.
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum MessageContent<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// A tool call of the model.
#[derive(Debug, Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    /// Members that the server expects back.
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

impl<'a> Message<'a> {
    fn new(role: &'static str, content: MessageContent<'a>) -> Self {
        Self {
            role,
            content,
            reasoning_content: None,
            name: None,
            tool_calls: Vec::new(),
            function_call: None,
            tool_call_id: None,
            members: Map::new(),
        }
    }

    fn text(role: &'static str, text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(role, MessageContent::Text(text.into()))
    }

    fn is_empty(&self) -> bool {
        let is_silent = match &self.content {
            MessageContent::Text(text) => text.is_empty(),
            MessageContent::Parts(parts) => parts.is_empty(),
        };
        is_silent && self.tool_calls.is_empty() && self.function_call.is_none()
    }
}

/// Converts the messages of a request; `instruction` is put in front of the system message.
pub fn messages<'a>(
    request: &'a LlmRequest,
    profile: &'a Profile,
    names: &'a FunctionNames,
    instruction: Option<&'a str>,
) -> Result<Vec<Message<'a>>, InvokeError> {
    let conversation = Conversation::of(request, profile, names);
    let mut messages = Vec::with_capacity(request.prompt_messages.len());
    for (index, message) in request.prompt_messages.iter().enumerate() {
        messages.extend(conversation.convert(index, message)?);
    }
    if let Some(instruction) = instruction {
        instruct(&mut messages, instruction);
    }
    Ok(history::arranged(messages, &profile.history))
}

/// Context that the conversion of a message needs.
struct Conversation<'a> {
    profile: &'a Profile,
    names: &'a FunctionNames,
    /// Index of the last user message; everything before it is history.
    question: usize,
    /// Calls by their ID.
    calls: HashMap<&'a str, &'a ToolCall>,
    /// IDs of calls of functions that are no longer offered.
    unavailable: HashSet<&'a str>,
}

impl<'a> Conversation<'a> {
    fn of(request: &'a LlmRequest, profile: &'a Profile, names: &'a FunctionNames) -> Self {
        let prompt = &request.prompt_messages;
        let calls = || prompt.iter().filter(|message| message.role == Role::Assistant).flat_map(|m| &m.tool_calls);
        // Without any tools, no offer contradicts a call.
        let is_unavailable = |call: &ToolCall| match profile.tools {
            ToolForm::None => true,
            _ => !request.tools.is_empty() && !names.has(&call.function.name),
        };
        Self {
            profile,
            names,
            question: question_of(prompt),
            calls: calls().map(|call| (call.id.as_str(), call)).collect(),
            unavailable: calls().filter(|call| is_unavailable(call)).map(|call| call.id.as_str()).collect(),
        }
    }

    fn convert(&self, index: usize, message: &'a PromptMessage) -> Result<Option<Message<'a>>, InvokeError> {
        let content = || content(message, index < self.question, self.profile);
        let spoken = |role, content| {
            let mut spoken = Message::new(role, content);
            spoken.name = message.name.as_deref().map(Cow::Borrowed);
            spoken
        };
        match message.role {
            Role::System => Ok(Some(spoken("system", content()?))),
            Role::User => Ok(Some(spoken("user", content()?))),
            Role::Assistant => {
                let mut assistant = spoken("assistant", content()?);
                self.add_calls(&mut assistant, message, index > self.question);
                self.add_thoughts(&mut assistant, message);
                assistant.members = self.members(message, |own| own.get("message"));
                let is_left_out = !message.tool_calls.is_empty() && assistant.is_empty();
                Ok(Some(assistant).filter(|_| !is_left_out))
            }
            Role::Tool => self.result(message, content()?).map(Some),
            role => Err(InvokeError::bad_request(format!("messages of the role `{role:?}` are not supported"))),
        }
    }

    fn add_calls(&self, assistant: &mut Message<'a>, message: &'a PromptMessage, is_current: bool) {
        let calls: Vec<&ToolCall> =
            message.tool_calls.iter().filter(|call| !self.unavailable.contains(call.id.as_str())).collect();
        if calls.is_empty() {
            return;
        }
        if self.profile.tools == ToolForm::FunctionCall {
            assistant.function_call = calls.first().map(|call| self.function(call));
        } else {
            let to_wire = |call: &&'a ToolCall| Call {
                id: &call.id,
                kind: "function",
                function: self.function(call),
                members: self.members(message, |own| own.get("tool_calls")?.get(&call.id)),
            };
            assistant.tool_calls = calls.iter().map(to_wire).collect();
            // Gemini checks the first call of each step in the current turn.
            if is_current
                && self.profile.signatures != SignatureForm::Known
                && let Some(first) = assistant.tool_calls.first_mut().filter(|call| call.members.is_empty())
            {
                first.members.insert("thought_signature".to_owned(), BYPASS.into());
                first.members.insert("extra_content".to_owned(), json!({"google": {"thought_signature": BYPASS}}));
            }
        }
    }

    /// Adds the thoughts of a response: those of its private JSON, or else those in its text.
    fn add_thoughts(&self, assistant: &mut Message<'a>, message: &'a PromptMessage) {
        let calls = !assistant.tool_calls.is_empty() || assistant.function_call.is_some();
        let when = self.profile.reasoning_back;
        if when == ReasoningBack::Never || when == ReasoningBack::WithCalls && !calls {
            return;
        }
        let private = message.opaque_body.as_ref().and_then(|body| body.get(REASONING_KEY)?.as_str());
        let known = private.map_or_else(|| thoughts(&message.content), str::to_owned);
        let is_sent = !known.is_empty() || when != ReasoningBack::WhenKnown;
        assistant.reasoning_content = is_sent.then_some(known);
    }

    /// Returns the members of a message, or of one of its calls, that the server expects back.
    fn members(&self, message: &PromptMessage, of: impl Fn(&Value) -> Option<&Value>) -> Map<String, Value> {
        let own = message.opaque_body.as_ref().and_then(|body| of(body.get(OPAQUE_KEY)?));
        let known = own.and_then(Value::as_object).filter(|_| self.profile.signatures != SignatureForm::Replaced);
        let returned =
            |(name, value): (&String, &Value)| NAMES.contains(&name.as_str()).then(|| (name.clone(), value.clone()));
        known.into_iter().flatten().filter_map(returned).collect()
    }

    fn function(&self, call: &'a ToolCall) -> Function<'a> {
        Function { name: self.names.out(&call.function.name), arguments: arguments(&call.function.arguments) }
    }

    /// Converts the result of a tool call.
    fn result(&self, message: &'a PromptMessage, content: MessageContent<'a>) -> Result<Message<'a>, InvokeError> {
        let id = message.tool_call_id.as_deref();
        let call = id.and_then(|id| self.calls.get(id).copied());
        if let Some(call) = call.filter(|call| self.unavailable.contains(call.id.as_str())) {
            let function = &call.function;
            let (name, arguments) = (&function.name, function.arguments.trim());
            return Ok(Message::text("user", format!("Result of {name}({arguments}): {}", message.content.text())));
        }
        if self.profile.tools != ToolForm::FunctionCall {
            return Ok(Message { tool_call_id: id, ..Message::new("tool", content) });
        }
        let name = message.name.as_deref().or_else(|| call.map(|call| call.function.name.as_str()));
        Ok(Message { name: Some(self.names.out(name.unwrap_or("tool"))), ..Message::new("function", content) })
    }
}

/// Returns the index of the last user message.
fn question_of(prompt: &[PromptMessage]) -> usize {
    prompt.iter().rposition(|message| message.role == Role::User).unwrap_or_default()
}

/// Returns the arguments of an earlier call as strict servers require them: a JSON object as a string.
fn arguments(text: &str) -> Cow<'_, str> {
    let is_object =
        |text: &str| text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_object(text) {
        return Cow::Borrowed(text);
    }
    // Some models encode the string twice.
    match serde_json::from_str::<String>(text) {
        Ok(inner) if is_object(&inner) => Cow::Owned(inner),
        _ => Cow::Borrowed("{}"),
    }
}

/// Converts the content of a message; `is_past` is whether it is history.
fn content<'a>(
    message: &'a PromptMessage,
    is_past: bool,
    profile: &Profile,
) -> Result<MessageContent<'a>, InvokeError> {
    let is_answer = message.role == Role::Assistant;
    let parts = match &message.content {
        Content::Text(text) if is_answer => return Ok(MessageContent::Text(Cow::Borrowed(strip_thoughts(text)))),
        Content::Text(text) => return Ok(MessageContent::Text(Cow::Borrowed(text))),
        Content::Parts(parts) => parts,
    };
    let mut thoughts = if is_answer { length_of_thoughts(&message.content.text()) } else { 0 };
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        found.push(match part {
            ContentPart::Text(text) => {
                let cut = thoughts.min(text.data.len());
                thoughts -= cut;
                if cut > 0 && cut == text.data.len() {
                    continue;
                }
                Part::Text(Cow::Borrowed(text.data.get(cut..).unwrap_or_default()))
            }
            media if is_past && !is_readable(media, profile) => {
                warn!(
                    kind = media.type_name(),
                    "file of an earlier message is not supported by the model; omitting it"
                );
                Part::Text(Cow::Owned(parts::left_out(media)))
            }
            media => parts::convert(media, profile)?,
        });
    }
    Ok(joined(found))
}

/// Joins parts that are all text.
fn joined(parts: Vec<Part<'_>>) -> MessageContent<'_> {
    if !parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return MessageContent::Parts(parts);
    }
    let mut texts = parts.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    let first = texts.next().unwrap_or_default();
    let more: Vec<_> = texts.collect();
    if more.is_empty() {
        return MessageContent::Text(first);
    }
    let all: Vec<&str> = std::iter::once(&first).chain(&more).map(Cow::as_ref).collect();
    MessageContent::Text(Cow::Owned(all.join("\n")))
}

/// Returns the length in bytes of the thoughts at the start of a response.
fn length_of_thoughts(text: &str) -> usize {
    text.len() - strip_thoughts(text).len()
}

/// Returns the thoughts of a response without their tags.
fn thoughts(content: &Content) -> String {
    let text = content.text();
    text[..length_of_thoughts(&text)].replace(OPEN, "").replace(CLOSE, "").trim().to_owned()
}

/// Puts an instruction in front of the first system message, or adds one.
fn instruct<'a>(messages: &mut Vec<Message<'a>>, instruction: &'a str) {
    let system = messages.iter_mut().find(|message| message.role == "system");
    match system.map(|message| &mut message.content) {
        Some(MessageContent::Text(text)) => *text = Cow::Owned(format!("{instruction}\n\n{text}")),
        Some(MessageContent::Parts(parts)) => parts.insert(0, Part::Text(Cow::Borrowed(instruction))),
        None => messages.insert(0, Message::text("system", instruction)),
    }
}

/// Returns the prompt of completion mode: the texts of all messages, one per line.
pub fn prompt_text(prompt: &[PromptMessage], instruction: Option<&str>) -> Result<String, InvokeError> {
    let question = question_of(prompt);
    let mut texts: Vec<String> = instruction.map(str::to_owned).into_iter().collect();
    for (index, message) in prompt.iter().enumerate() {
        let text = message.content.text();
        if !text.is_empty() {
            texts.push(if message.role == Role::Assistant { strip_thoughts(&text).to_owned() } else { text });
        }
        let Content::Parts(parts) = &message.content else { continue };
        for part in parts.iter().filter(|part| part.media().is_some()) {
            if index >= question {
                let kind = part.type_name();
                return Err(InvokeError::bad_request(format!("a completion model does not support {kind} input")));
            }
            texts.push(parts::left_out(part));
        }
    }
    Ok(texts.join("\n"))
}
