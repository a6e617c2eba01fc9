//! Prompt messages, content parts, tools and tool calls of a conversation, in both directions.
//!
//! Reading follows the daemon's conventions (every member present, unused ones `""` or null); writing is strict.
//! Source: `dify-plugin-daemon: pkg/entities/model_entities/llm.go`, `dify-plugin-sdks:
//! src/dify_plugin/entities/model/message.py`.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::lenient::{empty_string_as_none, null_default};

/// Role of a message's author. `developer` is read as `system`, because the Dify API has no such role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Instructions of the application.
    #[serde(alias = "developer")]
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    #[serde(alias = "function")]
    Tool,
}

/// One message of the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptMessage {
    /// Role of the author.
    pub role: Role,
    /// Content; null is read as empty text.
    #[serde(default, deserialize_with = "null_default")]
    pub content: Content,
    /// Name of the user or of the tool.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub name: Option<String>,
    /// Tool calls of an assistant message.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Call that a tool message has the result of.
    #[serde(default, deserialize_with = "empty_string_as_none", skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Private JSON of the provider, returned as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

impl PromptMessage {
    /// Creates a message with this content only.
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

    /// Creates a system message.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Creates a user message.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// Creates an assistant message.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Creates the result of a tool call.
    pub fn tool(call: &ToolCall, content: impl Into<Content>) -> Self {
        Self {
            name: Some(call.function.name.clone()).filter(|name| !name.is_empty()),
            tool_call_id: Some(call.id.clone()),
            ..Self::new(Role::Tool, content)
        }
    }
}

/// The content of a message: text, or a list of parts. There is no third JSON type for it, so that it is exhaustive.
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

/// Implemented by hand, because serde's untagged representation would copy an image of many megabytes before parsing
/// it.
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
    /// Returns all text of the content, parts joined without a separator.
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

    /// Whether the content is empty.
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
#[non_exhaustive]
pub enum ContentPart {
    /// Text.
    Text(TextPart),
    /// An image; outbound, `detail` is always set.
    Image(MediaPart),
    /// An audio file.
    Audio(MediaPart),
    /// A video.
    Video(MediaPart),
    /// A PDF or text document.
    Document(MediaPart),
}

impl ContentPart {
    /// Creates a text part.
    pub fn text(data: impl Into<String>) -> Self {
        Self::Text(TextPart { data: data.into(), opaque_body: None })
    }

    /// Returns the `type` of this part on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Audio(_) => "audio",
            Self::Video(_) => "video",
            Self::Document(_) => "document",
        }
    }

    /// Returns the media of this part, unless it is text.
    pub fn media(&self) -> Option<&MediaPart> {
        match self {
            Self::Text(_) => None,
            Self::Image(media) | Self::Audio(media) | Self::Video(media) | Self::Document(media) => Some(media),
        }
    }

    /// Returns the media of this part, mutable.
    pub fn media_mut(&mut self) -> Option<&mut MediaPart> {
        match self {
            Self::Text(_) => None,
            Self::Image(media) | Self::Audio(media) | Self::Video(media) | Self::Document(media) => Some(media),
        }
    }
}

/// A part as the daemon writes it: every member present, whatever the type. Flat, so that media bytes are copied once.
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
#[non_exhaustive]
pub struct TextPart {
    /// The text.
    pub data: String,
    /// Private JSON of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

/// A media part: a URL or Base64 data, and its type.
///
/// Use [`MediaPart::url`] first, then `base64_data`. A data URI in `url` is allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MediaPart {
    /// File extension without the dot (`png`).
    pub format: String,
    /// Media type (`image/png`).
    pub mime_type: String,
    /// URL of the file; may be reachable for the plugin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Content in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64_data: Option<String>,
    /// `low` or `high`; images only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// File name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Private JSON of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_body: Option<Value>,
}

impl MediaPart {
    /// Content in Base64.
    pub fn base64(data: impl Into<String>) -> Self {
        Self { base64_data: Some(data.into()), ..Self::default() }
    }

    /// The URL of a file.
    pub fn link(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Sets the media type, and the file extension by its subtype.
    #[must_use]
    pub fn with_mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = mime_type.into();
        self.format = self.mime_type.split_once('/').map_or_else(String::new, |(_, subtype)| subtype.to_owned());
        self
    }

    /// Sets the detail of an image, `low` or `high`.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tool {
    /// Name of the function.
    pub name: String,
    /// Description.
    #[serde(default, deserialize_with = "null_default")]
    pub description: String,
    /// JSON Schema of its arguments; empty if it has none.
    #[serde(default, deserialize_with = "null_default")]
    pub parameters: Map<String, Value>,
}

impl Tool {
    /// A function with a JSON Schema of its arguments.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Map<String, Value>) -> Self {
        Self { name: name.into(), description: description.into(), parameters }
    }
}

/// Whether a tool must be called, and which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolChoice {
    /// `auto`, `none`, `required` or `tool`.
    pub mode: ToolChoiceMode,
    /// The tool, with mode `tool`.
    #[serde(default, deserialize_with = "empty_string_as_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ToolChoice {
    /// A choice without a name.
    pub fn new(mode: ToolChoiceMode) -> Self {
        Self { mode, name: None }
    }

    /// This tool must be called.
    pub fn tool(name: impl Into<String>) -> Self {
        Self { mode: ToolChoiceMode::Tool, name: Some(name.into()) }
    }
}

/// See [`ToolChoice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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

/// A tool call, complete or a fragment of one.
///
/// In a stream, fragments repeat the ID; `arguments` is always JSON *text*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// ID of the call.
    #[serde(default, deserialize_with = "null_default")]
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default = "function_type", deserialize_with = "null_default")]
    pub kind: String,
    /// Function and arguments.
    pub function: FunctionCall,
}

impl ToolCall {
    /// Creates a tool call.
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
#[non_exhaustive]
pub struct FunctionCall {
    /// Name of the function.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Arguments as JSON text.
    #[serde(default, deserialize_with = "arguments_text")]
    pub arguments: String,
}

/// Arguments arrive as text, or (from some daemons) as an object.
fn arguments_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    })
}
