//! Where a tool and an agent strategy send their messages. All that Dify would lose, refuse or overwrite is stopped here:
//! reserved names, messages longer than a line, chunks with bytes in the wrong place. The pace is the writer's.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::PluginError;
use super::blob::{self, BlobMeta};
use super::outgoing::{Outbox, max_part_bytes, too_long};
use crate::protocol::tool_message::{Content, MAX_AGENT_FILE_BYTES, Message, RESERVED_VARIABLES, Text, Variable};

/// Sends the messages of one call. A method that is awaited waits while Dify's side does not read.
pub struct Messages {
    outbox: Outbox,
    max_file_bytes: usize,
}

impl Messages {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox, max_file_bytes: usize::MAX }
    }

    /// The same for an agent strategy, whose files the daemon joins itself.
    pub(super) fn of_agent(self) -> Self {
        Self { max_file_bytes: MAX_AGENT_FILE_BYTES, ..self }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Sends text. All text of a call is one answer; parts that follow one another closely are joined.
    pub async fn text(&mut self, text: impl Into<String>) -> Result<(), PluginError> {
        self.part(None, text.into()).await
    }

    /// Sends a URL, which Dify appends to the text.
    pub async fn link(&mut self, url: impl Into<String>) -> Result<(), PluginError> {
        self.send(Content::Link(Text { text: url.into() })).await
    }

    /// Sends the URL of an image, which Dify downloads.
    pub async fn image_url(&mut self, url: impl Into<String>) -> Result<(), PluginError> {
        self.send(Content::Image(Text { text: url.into() })).await
    }

    /// Sends an object or array, which is appended to the output `json`. Dify drops empty ones.
    pub async fn json(&mut self, value: impl Serialize) -> Result<(), PluginError> {
        let value = to_value(value)?;
        if !value.is_object() && !value.is_array() {
            let found = crate::protocol::lenient::kind_of(&value);
            return Err(PluginError::internal(format!("a `json` message must be an object or array, found {found}")));
        }
        self.outbox.item(&Message::json(value)).await
    }

    /// Sets an output of the tool's node. Every output that `output_schema` declares needs one, or it is null.
    pub async fn variable(&mut self, name: &str, value: impl Serialize) -> Result<(), PluginError> {
        check_name(name)?;
        let message = Message::variable(name, to_value(value)?);
        match self.outbox.item(&message).await {
            // A string that no line can carry may be sent in parts.
            Err(_)
                if matches!(&message.content, Content::Variable(Variable { variable_value: Value::String(_), .. })) =>
            {
                let Content::Variable(Variable { variable_value: Value::String(text), .. }) = message.content else {
                    return Ok(());
                };
                self.part(Some(&Arc::from(name)), text).await
            }
            outcome => outcome,
        }
    }

    /// Sets an output piece by piece; the parts are concatenated.
    pub fn stream_variable(&mut self, name: &str) -> Result<VariableWriter<'_>, PluginError> {
        check_name(name)?;
        Ok(VariableWriter { name: Arc::from(name), messages: self })
    }

    /// Sends a file. The plugin daemon takes at most 15 MiB from an agent strategy.
    pub async fn blob(&mut self, bytes: impl AsRef<[u8]>, meta: BlobMeta) -> Result<(), PluginError> {
        let length = bytes.as_ref().len();
        if length > self.max_file_bytes {
            let message =
                format!("a file of {length} bytes is too large for the plugin daemon (limit {})", self.max_file_bytes);
            return Err(PluginError::bad_request(message).with_hint("Send a link to it, or let a tool send it."));
        }
        for chunk in blob::chunks(bytes.as_ref(), meta) {
            self.outbox.item(&chunk).await?;
        }
        Ok(())
    }

    /// Passes on a message that another tool sent, files that Dify has stored among them.
    pub async fn forward(&mut self, message: Message) -> Result<(), PluginError> {
        match &message.content {
            Content::Text(text) => return self.part(None, text.text.clone()).await,
            Content::Variable(variable) => check_name(&variable.variable_name)?,
            Content::Other { kind, .. } => {
                return Err(PluginError::unsupported(format!("a plugin cannot send messages of type `{kind}`")));
            }
            _ => {}
        }
        self.outbox.item(&message).await
    }

    async fn send(&mut self, content: Content) -> Result<(), PluginError> {
        self.outbox.item(&Message::new(content)).await
    }

    /// Sends a text in parts that lines can carry.
    async fn part(&mut self, variable: Option<&Arc<str>>, mut text: String) -> Result<(), PluginError> {
        let limit = max_part_bytes(self.outbox.max_item_bytes(), variable.map(|name| &**name));
        if limit < 4 {
            return Err(too_long(text.len(), self.outbox.max_item_bytes()));
        }
        while text.len() > limit {
            let rest = text.split_off(text.floor_char_boundary(limit));
            self.outbox.part(variable, text).await?;
            text = rest;
        }
        if text.is_empty() { Ok(()) } else { self.outbox.part(variable, text).await }
    }
}

/// Writes one output piece by piece.
pub struct VariableWriter<'a> {
    name: Arc<str>,
    messages: &'a mut Messages,
}

impl VariableWriter<'_> {
    /// Appends to the output.
    pub async fn write(&mut self, text: impl Into<String>) -> Result<(), PluginError> {
        self.messages.part(Some(&self.name), text.into()).await
    }
}

fn to_value(value: impl Serialize) -> Result<Value, PluginError> {
    serde_json::to_value(value).map_err(|error| PluginError::internal(format!("cannot write a value: {error}")))
}

fn check_name(name: &str) -> Result<(), PluginError> {
    if RESERVED_VARIABLES.contains(&name) {
        let message = format!("`{name}` is an output of every node and cannot be a variable");
        return Err(PluginError::internal(message).with_hint("Give the variable another name."));
    }
    if name.is_empty() { Err(PluginError::internal("a variable needs a name")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
