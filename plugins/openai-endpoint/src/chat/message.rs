//! Messages of a conversation: as the prompt of a language model, and as the query of an app.

use std::fmt;

use dify_plugin::protocol::{Content, ContentPart, PromptMessage, Role, ToolCall};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::content::{Attachment, Part, WirePart};
use crate::error::ApiError;

/// A message as clients send it.
#[derive(Debug, Deserialize)]
pub struct Message {
    role: Role,
    #[serde(default)]
    content: Option<WireContent>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Debug)]
enum WireContent {
    Text(String),
    Parts(Vec<WirePart>),
}

/// By hand, so that a long text is not copied first, and errors name the part.
impl<'de> Deserialize<'de> for WireContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = WireContent;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an array of content parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<WireContent, E> {
                Ok(WireContent::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<WireContent, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = sequence.next_element()? {
                    parts.push(part);
                }
                Ok(WireContent::Parts(parts))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl WireContent {
    fn read(self, param: &str) -> Result<Vec<Part>, ApiError> {
        match self {
            Self::Text(text) => Ok(vec![Part::Text(text)]),
            Self::Parts(parts) => {
                let read = |(index, part): (usize, WirePart)| part.read(&format!("{param}[{index}]"));
                parts.into_iter().enumerate().map(read).collect()
            }
        }
    }
}

impl Message {
    /// The parts of message number `index`.
    fn parts(&mut self, index: usize) -> Result<Vec<Part>, ApiError> {
        let refusal = self.refusal.take().map(WireContent::Text);
        let content = self.content.take().or(refusal);
        content.map_or(Ok(Vec::new()), |content| content.read(&format!("messages[{index}].content")))
    }
}

/// The prompt of a language model.
pub fn prompt(messages: Vec<Message>) -> Result<Vec<PromptMessage>, ApiError> {
    check_present(&messages)?;
    let mut prompt: Vec<PromptMessage> = Vec::with_capacity(messages.len());
    for (index, mut message) in messages.into_iter().enumerate() {
        let content = content(message.parts(index)?);
        let mut translated = PromptMessage::new(message.role, content);
        translated.name = message.name;
        match message.role {
            Role::Assistant => translated.tool_calls = message.tool_calls.unwrap_or_default(),
            Role::Tool => {
                let id = message.tool_call_id.filter(|id| !id.is_empty()).ok_or_else(|| {
                    let param = format!("messages[{index}].tool_call_id");
                    ApiError::invalid(format!("`{param}` is missing.")).with_param(param)
                })?;
                // Some providers need the name of the function, which OpenAI's clients do not repeat.
                let calls = prompt.iter().flat_map(|earlier| &earlier.tool_calls);
                let name = calls.rev().find(|call| call.id == id).map(|call| call.function.name.clone());
                translated.name = translated.name.or(name);
                translated.tool_call_id = Some(id);
            }
            _ => {}
        }
        prompt.push(translated);
    }
    Ok(prompt)
}

/// A text if there is nothing else, because some models take no parts.
fn content(parts: Vec<Part>) -> Content {
    match parts.as_slice() {
        [] => Content::default(),
        [Part::Text(text)] => Content::Text(text.clone()),
        _ => {
            let part = |part| match part {
                Part::Text(text) => ContentPart::text(text),
                Part::Attachment(file) => file.into_prompt(),
            };
            Content::Parts(parts.into_iter().map(part).collect())
        }
    }
}

/// What an app gets: the text and the files of the last message of the user. An app that does not know the conversation gets the
/// messages before it, too, as a text in front of it.
pub fn query(mut messages: Vec<Message>, is_known: bool) -> Result<(String, Vec<Attachment>), ApiError> {
    check_present(&messages)?;
    let last = messages
        .iter()
        .rposition(|message| message.role == Role::User)
        .ok_or_else(|| ApiError::invalid("`messages` has no message of the role `user`.").with_param("messages"))?;
    messages.truncate(last + 1);
    let mut history = String::new();
    let (mut query, mut attachments) = (String::new(), Vec::new());
    for (index, mut message) in messages.into_iter().enumerate() {
        let mut text = String::new();
        for part in message.parts(index)? {
            match part {
                Part::Text(part) => text.push_str(&part),
                Part::Attachment(file) if index == last => attachments.push(file),
                Part::Attachment(_) => {}
            }
        }
        if index == last {
            query = text;
        } else if !is_known && !text.is_empty() {
            history.push_str(&format!("{}: {text}\n\n", speaker(message.role)));
        }
    }
    if !history.is_empty() {
        query = format!("{history}{}: {query}", speaker(Role::User));
    }
    Ok((query, attachments))
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::User => "User",
        Role::Tool => "Tool",
        _ => "Assistant",
    }
}

fn check_present(messages: &[Message]) -> Result<(), ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("`messages` is empty.").with_param("messages"));
    }
    Ok(())
}
