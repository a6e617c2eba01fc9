//! Prompt messages, content parts, tools and tool calls: what a conversation is made of, in both directions.
//!
//! Reading follows the daemon's habits (every key present, unused ones `""` or null); writing is strict.
//! Source: `dify-plugin-daemon: pkg/entities/model_entities/llm.go`, `dify-plugin-sdks: src/dify_plugin/entities/model/message.py`.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::lenient::{empty_string_as_none, null_default};

/// Who speaks. `developer` is read as `system`: the Dify API has no such role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions of the application.
    #[serde(alias = "developer")]
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    #[serde(alias = "function")]
    Tool,
}

/// One message of the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said; null is read as empty text.
    #[serde(default, deserialize_with = "null_default")]
    pub content: Content,
    /// Name of the speaker or of the tool.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub name: Option<String>,
    /// The calls an assistant made.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool message answers.
    #[serde(default, deserialize_with = "empty_string_as_none", skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Private JSON of the provider, handed back as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

impl PromptMessage {
    /// A message with this content alone.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role,
            content: content.into(),
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            opaque_body: None,
        }
    }

    /// Instructions of the application.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// What the user says.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// What the model said.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The result of a tool call.
    pub fn tool(call: &ToolCall, content: impl Into<Content>) -> Self {
        Self {
            name: Some(call.function.name.clone()).filter(|name| !name.is_empty()),
            tool_call_id: Some(call.id.clone()),
            ..Self::new(Role::Tool, content)
        }
    }
}

/// The content of a message: text, or a list of parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and media parts in order.
    Parts(Vec<ContentPart>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// By hand, because serde's untagged form would copy a picture of many megabytes before reading it.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an array of content parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = sequence.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Content {
    /// All text of the content, parts joined without a separator.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    ContentPart::Text(part) => Some(part.data.as_str()),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", from = "WirePart")]
pub enum ContentPart {
    /// Text.
    Text(TextPart),
    /// A picture; on the way out `detail` is always set.
    Image(MediaPart),
    /// A sound recording.
    Audio(MediaPart),
    /// A film.
    Video(MediaPart),
    /// A PDF or text document.
    Document(MediaPart),
}

impl ContentPart {
    /// A text part.
    pub fn text(data: impl Into<String>) -> Self {
        Self::Text(TextPart { data: data.into(), opaque_body: None })
    }

    /// The `type` of this part on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Audio(_) => "audio",
            Self::Video(_) => "video",
            Self::Document(_) => "document",
        }
    }

    /// The media behind this part, unless it is text.
    pub fn media(&self) -> Option<&MediaPart> {
        match self {
            Self::Text(_) => None,
            Self::Image(media) | Self::Audio(media) | Self::Video(media) | Self::Document(media) => Some(media),
        }
    }

    /// The same, to be changed.
    pub fn media_mut(&mut self) -> Option<&mut MediaPart> {
        match self {
            Self::Text(_) => None,
            Self::Image(media) | Self::Audio(media) | Self::Video(media) | Self::Document(media) => Some(media),
        }
    }
}

/// A part as the daemon writes it: every key present, whatever the type. Read flat, so that media bytes are copied once.
#[derive(Deserialize)]
struct WirePart {
    #[serde(rename = "type")]
    kind: PartKind,
    #[serde(default, deserialize_with = "null_default")]
    data: String,
    #[serde(default, deserialize_with = "null_default")]
    format: String,
    #[serde(default, deserialize_with = "null_default")]
    mime_type: String,
    #[serde(default, deserialize_with = "empty_string_as_none")]
    url: Option<String>,
    #[serde(default, deserialize_with = "empty_string_as_none")]
    base64_data: Option<String>,
    #[serde(default, deserialize_with = "empty_string_as_none")]
    detail: Option<String>,
    #[serde(default, deserialize_with = "empty_string_as_none")]
    filename: Option<String>,
    #[serde(default)]
    opaque_body: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PartKind {
    Text,
    Image,
    Audio,
    Video,
    Document,
}

impl From<WirePart> for ContentPart {
    fn from(part: WirePart) -> Self {
        let wrap = match part.kind {
            PartKind::Text => return Self::Text(TextPart { data: part.data, opaque_body: part.opaque_body }),
            PartKind::Image => Self::Image,
            PartKind::Audio => Self::Audio,
            PartKind::Video => Self::Video,
            PartKind::Document => Self::Document,
        };
        wrap(MediaPart {
            format: part.format,
            mime_type: part.mime_type,
            url: part.url,
            base64_data: part.base64_data,
            detail: part.detail,
            filename: part.filename,
            opaque_body: part.opaque_body,
        })
    }
}

/// A text part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TextPart {
    /// The text.
    pub data: String,
    /// Private JSON of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

/// A media part: a URL or base64 data, and what it is.
///
/// Read [`MediaPart::url`] first, then `base64_data`. A data URI in `url` is allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MediaPart {
    /// File ending without the dot (`png`).
    pub format: String,
    /// Media type (`image/png`).
    pub mime_type: String,
    /// Where to fetch it; may be reachable for the plugin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The bytes, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64_data: Option<String>,
    /// `low` or `high`; images only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Name of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Private JSON of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Name of the function.
    pub name: String,
    /// What it does.
    #[serde(default, deserialize_with = "null_default")]
    pub description: String,
    /// JSON Schema of its arguments; empty when it takes none.
    #[serde(default, deserialize_with = "null_default")]
    pub parameters: Map<String, Value>,
}

/// Whether and which tool must be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolChoice {
    /// `auto`, `none`, `required` or `tool`.
    pub mode: ToolChoiceMode,
    /// The tool, with mode `tool`.
    #[serde(default, deserialize_with = "empty_string_as_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// See [`ToolChoice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoiceMode {
    /// The model decides.
    Auto,
    /// No call.
    None,
    /// Some call.
    Required,
    /// The named tool.
    Tool,
}

/// A call of a function, whole or a fragment of one.
///
/// In a stream, fragments repeat the id; `arguments` is always JSON *text*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Id of the call.
    #[serde(default, deserialize_with = "null_default")]
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default = "function_type", deserialize_with = "null_default")]
    pub kind: String,
    /// What is called.
    pub function: FunctionCall,
}

impl ToolCall {
    /// A call of a function.
    pub fn function(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: function_type(),
            function: FunctionCall { name: name.into(), arguments: arguments.into() },
        }
    }
}

fn function_type() -> String {
    "function".to_owned()
}

/// Name and arguments of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Name of the function.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Arguments as JSON text.
    #[serde(default, deserialize_with = "arguments_text")]
    pub arguments: String,
}

/// Arguments arrive as text, or (from some hosts) as an object.
fn arguments_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    })
}
