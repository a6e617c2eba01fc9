//! What Dify accepts of a session's items: the checks of the plugin daemon, and those of the Dify API behind it. Each text says
//! what becomes of an item that breaks one.
//!
//! Source: `dify-plugin-daemon: pkg/entities/tool_entities/`, `internal/core/io_tunnel/`, `langgenius/dify:
//! api/core/tools/utils/message_transformer.py`, `api/core/plugin/utils/chunk_merger.py`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::calls::Kind;
use crate::protocol::tool_message::{MAX_AGENT_FILE_BYTES, MAX_CHUNK_BYTES, RESERVED_VARIABLES};

/// Largest file of a tool in bytes: `PLUGIN_MAX_FILE_SIZE` of the Dify API.
const MAX_TOOL_FILE_BYTES: u64 = 50 * 1024 * 1024;

type Problem = Result<(), String>;

/// The rules for one session.
#[derive(Debug)]
pub(super) struct Rules {
    kind: Kind,
    files: BTreeMap<String, (u64, u64)>,
    has_status: bool,
    has_body: bool,
}

impl Rules {
    /// The rules of this kind of call.
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, files: BTreeMap::new(), has_status: false, has_body: false }
    }

    /// Checks the next item.
    pub(super) fn check(&mut self, item: &Value) -> Problem {
        match self.kind {
            Kind::Tool | Kind::Agent | Kind::Content => self.message(item),
            Kind::Endpoint => self.endpoint(item),
            Kind::Other => Ok(()),
        }
    }

    /// Checks what only the end of a session shows.
    pub(super) fn finish(&self) -> Problem {
        if let Some((id, (total, received))) = self.files.iter().next() {
            return Err(format!(
                "the file of the chunks `{id}` has no end chunk ({received} of {total} bytes): Dify never shows it"
            ));
        }
        if self.kind == Kind::Endpoint && !self.has_status {
            return Err("the response has no `status`: the client would get HTTP 100".to_owned());
        }
        Ok(())
    }

    fn message(&mut self, item: &Value) -> Problem {
        let Some(kind) = item["type"].as_str() else {
            return Err("a message without `type` ends the session with `unmarshal_error`".to_owned());
        };
        let Some(message) = item["message"].as_object() else {
            return Err(format!("`message` of a `{kind}` message must be an object: the session ends with an error"));
        };
        let meta = item["meta"].as_object();
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        match (kind, self.kind) {
            ("text" | "link" | "image", _) if text("text").is_none() => {
                Err(format!("a `{kind}` message needs the string `text`"))
            }
            ("text" | "link" | "image", _) => Ok(()),
            ("image_link" | "binary_link", _) => {
                let is_stored = meta.is_some_and(|meta| meta.contains_key("tool_file_id"))
                    || text("text").is_some_and(|url| url.contains("/files/tools/"));
                if is_stored {
                    Ok(())
                } else {
                    Err(format!(
                        "a `{kind}` message without `meta.tool_file_id` fails the node: only files that Dify has \
                                 stored can be linked"
                    ))
                }
            }
            ("json", Kind::Content) | ("log", Kind::Content | Kind::Tool) => {
                Err(format!("Dify drops `{kind}` messages of this kind of plugin"))
            }
            ("json", _) if !message.get("json_object").is_some_and(|value| value.is_object() || value.is_array()) => {
                Err("`json_object` must be an object or an array".to_owned())
            }
            ("json", _) => Ok(()),
            ("blob", kind) => self.blob(kind, message, meta),
            ("blob_chunk", Kind::Content) => {
                Err("Dify drops the chunks of a datasource: a file must be one `blob` message".to_owned())
            }
            ("blob_chunk", _) => self.chunk(message, meta),
            ("variable", _) => variable(message),
            ("log", _) => log(message),
            ("retriever_resources", _) => Ok(()),
            ("file", _) => Err("Dify drops `file` messages of a plugin: send the bytes as a blob".to_owned()),
            (other, _) => Err(format!("unknown message type `{other}`: the daemon ends the session with an error")),
        }
    }

    fn blob(&self, kind: Kind, message: &Map<String, Value>, meta: Option<&Map<String, Value>>) -> Problem {
        let bytes = decode(message)?;
        if kind == Kind::Content && !meta.is_some_and(|meta| meta.contains_key("file_name")) {
            return Err("a datasource's file needs `meta.file_name`".to_owned());
        }
        self.check_size(bytes.len() as u64)
    }

    fn check_size(&self, bytes: u64) -> Problem {
        let limit = if self.kind == Kind::Agent { MAX_AGENT_FILE_BYTES as u64 } else { MAX_TOOL_FILE_BYTES };
        if bytes > limit {
            return Err(format!("a file of {bytes} bytes is too large: Dify accepts {limit} bytes here"));
        }
        Ok(())
    }

    fn chunk(&mut self, message: &Map<String, Value>, meta: Option<&Map<String, Value>>) -> Problem {
        let id = message.get("id").and_then(Value::as_str);
        let total = message.get("total_length").and_then(Value::as_u64);
        let end = message.get("end").and_then(Value::as_bool);
        let (Some(id), Some(total), Some(end)) = (id, total, end) else {
            return Err("a chunk needs the string `id`, the integer `total_length` and the boolean `end`: the daemon \
                        drops others silently"
                .to_owned());
        };
        self.check_size(total)?;
        let bytes = decode(message)?.len() as u64;
        if bytes > MAX_CHUNK_BYTES as u64 {
            return Err(format!("a chunk of {bytes} bytes is too large: Dify accepts {MAX_CHUNK_BYTES} bytes"));
        }
        if end && bytes > 0 {
            return Err(format!(
                "the end chunk of a file has {bytes} bytes: the daemon drops them for agents, so it must be empty"
            ));
        }
        let (declared, received) = self.files.entry(id.to_owned()).or_insert((total, 0));
        *received += bytes;
        if *declared != total {
            return Err(format!("`total_length` changes from {declared} to {total} within a file"));
        }
        if *received > total || end && *received < total {
            return Err(format!("the chunks of a file have {received} bytes, and `total_length` is {total}"));
        }
        if end {
            self.files.remove(id);
            if !meta.is_some_and(|meta| meta.contains_key("mime_type")) {
                return Err("the end chunk needs `meta.mime_type`: Dify reads it there".to_owned());
            }
        }
        Ok(())
    }

    fn endpoint(&mut self, item: &Value) -> Problem {
        let Some(item) = item.as_object() else {
            return Err("an item must be an object: the client gets 500".to_owned());
        };
        match item.get("status") {
            None | Some(Value::Null) => {}
            Some(status) if status.as_u64().is_some_and(|status| (100..=999).contains(&status)) => {
                self.has_status = true
            }
            Some(status) => return Err(format!("`status` {status} is not an HTTP status: the client gets 500")),
        }
        if let Some(headers) = item.get("headers").filter(|headers| !headers.is_null())
            && !headers.as_object().is_some_and(|headers| headers.values().all(Value::is_string))
        {
            return Err("`headers` must be an object of strings: the client gets 500".to_owned());
        }
        match item.get("result") {
            None | Some(Value::Null) if self.has_body => {
                Err("an item without `result` after the first one with it ends the body".to_owned())
            }
            None | Some(Value::Null) => Ok(()),
            Some(body) if body.as_str().is_some_and(|body| hex::decode(body).is_ok()) => {
                self.has_body = true;
                if self.has_status {
                    Ok(())
                } else {
                    Err("the body begins before a `status`: the client gets HTTP 100".to_owned())
                }
            }
            Some(_) => Err("`result` must be hexadecimal: the client gets 500, or an incomplete body".to_owned()),
        }
    }
}

fn decode(message: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let blob = message.get("blob").and_then(Value::as_str);
    let bytes = blob.and_then(|blob| STANDARD.decode(blob).ok());
    bytes.ok_or_else(|| "`blob` must be a Base64 string".to_owned())
}

fn variable(message: &Map<String, Value>) -> Problem {
    let Some(name) = message.get("variable_name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Err("a variable needs the string `variable_name`".to_owned());
    };
    if RESERVED_VARIABLES.contains(&name) {
        return Err(format!("the variable `{name}` would replace an output that every node has"));
    }
    let Some(value) = message.get("variable_value") else {
        return Err(format!("the variable `{name}` has no `variable_value`"));
    };
    if message.get("stream").and_then(Value::as_bool).unwrap_or_default() && !value.is_string() {
        return Err(format!("the variable `{name}` is streamed, and only strings can be"));
    }
    Ok(())
}

fn log(message: &Map<String, Value>) -> Problem {
    let text = |name: &str| message.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if !text("id") || !text("label") {
        return Err("an entry of the log needs the strings `id` and `label`".to_owned());
    }
    match message.get("status").and_then(Value::as_str) {
        Some("start" | "success" | "error") => Ok(()),
        _ => Err("`status` of a log entry must be `start`, `success` or `error`".to_owned()),
    }
}

#[cfg(test)]
mod tests;
