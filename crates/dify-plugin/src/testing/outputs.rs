//! The messages of a session as a node of Dify shows them: one text, the JSON objects, the files, the variables.

use std::collections::BTreeMap;
use std::ops::Deref;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::Failure;
use crate::protocol::tool_message::{BlobChunk, Content, Log, Message};

/// The outputs of a tool, an agent strategy or the content of a datasource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    text: String,
    json: Vec<Value>,
    files: Vec<OutputFile>,
    variables: BTreeMap<String, Value>,
    messages: Vec<Message>,
}

/// A file among the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputFile {
    /// Its name, if the plugin gave one.
    pub name: Option<String>,
    /// Its media type; `application/octet-stream` if the plugin gave none.
    pub mime_type: String,
    /// Its bytes; empty for a URL.
    pub bytes: Bytes,
    /// The URL of an image that Dify would download, or of a file that Dify has stored.
    pub url: Option<String>,
}

impl Outputs {
    /// All texts, with the links among them.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The objects and arrays. Empty ones are dropped, as Dify does.
    pub fn json(&self) -> &[Value] {
        &self.json
    }

    /// The files.
    pub fn files(&self) -> &[OutputFile] {
        &self.files
    }

    /// The variables; those that were streamed are whole.
    pub fn variables(&self) -> &BTreeMap<String, Value> {
        &self.variables
    }

    /// A variable.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// The messages as they were sent, in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Collects the items of a session, which follow the rules.
    pub(super) fn of(items: Vec<Value>) -> Result<Self, Failure> {
        let mut outputs = Self::default();
        let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for item in items {
            let message: Message = serde_json::from_value(item).map_err(|error| {
                Failure::dify(format!("the daemon ends the session with `unmarshal_error`: {error}"))
            })?;
            outputs.add(&message, &mut parts);
            outputs.messages.push(message);
        }
        Ok(outputs)
    }

    fn add(&mut self, message: &Message, parts: &mut BTreeMap<String, Vec<u8>>) {
        let meta = message.meta.as_ref();
        match &message.content {
            Content::Text(text) => self.text.push_str(&text.text),
            Content::Link(link) => self.text.push_str(&format!("Link: {}\n", link.text)),
            Content::Json(json) if json.json_object == Value::Null || is_empty(&json.json_object) => {}
            Content::Json(json) => self.json.push(json.json_object.clone()),
            Content::Image(url) | Content::ImageLink(url) | Content::BinaryLink(url) => {
                self.files.push(OutputFile { url: Some(url.text.clone()), ..file(meta) });
            }
            Content::Blob(blob) => {
                let bytes = STANDARD.decode(&blob.blob).unwrap_or_default();
                self.files.push(OutputFile { bytes: bytes.into(), ..file(meta) });
            }
            Content::BlobChunk(BlobChunk { id, blob, end, .. }) => {
                let collected = parts.entry(id.clone()).or_default();
                collected.extend(STANDARD.decode(blob).unwrap_or_default());
                if *end && let Some(bytes) = parts.remove(id) {
                    self.files.push(OutputFile { bytes: bytes.into(), ..file(meta) });
                }
            }
            Content::Variable(variable) => {
                let value = self.variables.entry(variable.variable_name.clone()).or_default();
                match (value, &variable.variable_value, variable.stream) {
                    (Value::String(whole), Value::String(part), true) => whole.push_str(part),
                    (value, part, _) => *value = part.clone(),
                }
            }
            _ => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn file(meta: Option<&Map<String, Value>>) -> OutputFile {
    let text = |name: &str| meta.and_then(|meta| meta.get(name)?.as_str()).map(str::to_owned);
    OutputFile {
        // Datasources use another name than tools.
        name: text("filename").or_else(|| text("file_name")),
        mime_type: text("mime_type").unwrap_or_else(|| "application/octet-stream".to_owned()),
        ..OutputFile::default()
    }
}

/// The outputs of an agent strategy; those of [`Outputs`] too.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentOutputs {
    outputs: Outputs,
    logs: Vec<Log>,
    usage: Option<Map<String, Value>>,
}

impl Deref for AgentOutputs {
    type Target = Outputs;

    fn deref(&self) -> &Outputs {
        &self.outputs
    }
}

impl AgentOutputs {
    /// The entries of the log in order of their beginning, each as it was sent last.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The first entry of the log with this label.
    pub fn log(&self, label: &str) -> Option<&Log> {
        self.logs.iter().find(|entry| entry.label == label)
    }

    /// What the agent used, as the node shows it: `total_tokens`, `total_price`, `currency` and so on. As in Dify, only the
    /// last `json` message counts.
    pub fn usage(&self) -> Option<&Map<String, Value>> {
        self.usage.as_ref()
    }

    pub(super) fn of(items: Vec<Value>) -> Result<Self, Failure> {
        let mut outputs = Outputs::of(items)?;
        let (mut logs, mut usage) = (Vec::<Log>::new(), None);
        for message in &outputs.messages {
            match &message.content {
                Content::Log(log) => match logs.iter_mut().find(|entry| entry.id == log.id) {
                    Some(entry) => *entry = log.clone(),
                    None => logs.push(log.clone()),
                },
                Content::Json(json) => usage = json.json_object.get("execution_metadata").cloned(),
                _ => {}
            }
        }
        for object in &mut outputs.json {
            if let Some(object) = object.as_object_mut() {
                object.shift_remove("execution_metadata");
            }
        }
        outputs.json.retain(|object| !is_empty(object));
        let usage = usage.and_then(|usage| usage.as_object().cloned());
        Ok(Self { outputs, logs, usage })
    }
}
