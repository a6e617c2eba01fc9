//! The messages of tools, agent strategies and the content of datasources: `type`, `message`, `meta`. One type serves both
//! directions, because a tool that is called back through Dify sends the same.
//!
//! It is not decided here what may be sent: that is the sink's task, [`crate::plugin`].
//! Source: `dify-plugin-daemon: pkg/entities/tool_entities/tool.go`, `dify-plugin-sdks: src/dify_plugin/entities/invoke_message.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lenient::{lenient, null_default};

/// Raw bytes of one `blob_chunk`; the daemon and the Dify API reject more.
pub const MAX_CHUNK_BYTES: usize = 8192;

/// Bytes of one file of an agent strategy, which the daemon joins from its chunks.
pub const MAX_AGENT_FILE_BYTES: usize = 15 * 1024 * 1024;

/// Outputs that every node has, and that no variable may replace.
pub const RESERVED_VARIABLES: [&str; 3] = ["text", "json", "files"];

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
    /// `mime_type` and `filename` of a file, `tool_file_id` of a stored one.
    #[serde(default, deserialize_with = "lenient")]
    pub meta: Option<Map<String, Value>>,
}

/// What a message is, by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "message", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Text; all of it is concatenated.
    Text(Text),
    /// A URL, which is appended to the text.
    Link(Text),
    /// The URL of an image, which Dify downloads.
    Image(Text),
    /// An image that Dify has stored; only `forward`ed from another tool.
    ImageLink(Text),
    /// A file that Dify has stored; only forwarded from another tool.
    BinaryLink(Text),
    /// An object or array.
    Json(Json),
    /// A whole file on one line.
    Blob(Blob),
    /// A part of a file.
    BlobChunk(BlobChunk),
    /// An output by name.
    Variable(Variable),
    /// An entry of an agent's log.
    Log(Log),
    /// Citations.
    RetrieverResources(RetrieverResources),
    /// Anything else, `file` messages among it, which no plugin can send.
    #[serde(untagged)]
    Other {
        /// Its type.
        #[serde(rename = "type")]
        kind: String,
        /// Its content.
        #[serde(default)]
        message: Value,
    },
}

/// A text or a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Text {
    /// The text.
    #[serde(default, deserialize_with = "null_default")]
    pub text: String,
}

/// An object or array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Json {
    /// The value.
    pub json_object: Value,
    /// Whether it is kept out of what an agent's model reads.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    pub suppress_output: bool,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blob {
    /// Its bytes in Base64.
    pub blob: String,
}

/// A part of a file. Parts are joined by `id` in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BlobChunk {
    /// Names the file among those of the process.
    pub id: String,
    /// Number of the part.
    pub sequence: u64,
    /// Bytes of the file, the same in every part.
    pub total_length: u64,
    /// At most [`MAX_CHUNK_BYTES`] bytes in Base64; none in the last part, because the daemon drops those of an agent.
    pub blob: String,
    /// Whether the file is complete.
    pub end: bool,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub variable_name: String,
    /// Its value.
    pub variable_value: Value,
    /// Whether further parts of it may follow; then the value is a string.
    #[serde(default, deserialize_with = "lenient")]
    pub stream: bool,
}

/// An entry of an agent's log. A second one with the same ID replaces the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Log {
    /// Names the entry.
    pub id: String,
    /// Text shown.
    pub label: String,
    /// The entry above it.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// How it goes.
    pub status: LogStatus,
    /// Details.
    #[serde(default, deserialize_with = "null_default")]
    pub data: Map<String, Value>,
    /// `started_at`, `finished_at`, `elapsed_time`, `total_price`, `total_tokens`, `currency`, `provider`.
    #[serde(default, deserialize_with = "null_default")]
    pub metadata: Map<String, Value>,
}

/// How the work of a log's entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogStatus {
    /// It has begun.
    Start,
    /// It is done.
    Success,
    /// It failed.
    Error,
}

/// Citations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetrieverResources {
    /// `dataset_name`, `document_name`, `content`, `score` and so on, all optional.
    #[serde(default, deserialize_with = "null_default")]
    pub retriever_resources: Vec<Map<String, Value>>,
    /// The text that the citations are of.
    #[serde(default, deserialize_with = "null_default")]
    pub context: String,
}

impl Message {
    /// A message without meta.
    pub fn new(content: Content) -> Self {
        Self { content, meta: None }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(Text { text: text.into() }))
    }

    /// An object or array.
    pub fn json(value: Value) -> Self {
        Self::new(Content::Json(Json { json_object: value, suppress_output: false }))
    }

    /// An output.
    pub fn variable(name: impl Into<String>, value: Value) -> Self {
        Self::new(Content::Variable(Variable { variable_name: name.into(), variable_value: value, stream: false }))
    }

    /// The text of a text message.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(&text.text),
            _ => None,
        }
    }
}
