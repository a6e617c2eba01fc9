//! Files that Dify gives a plugin: what Dify knows of a file, and a URL that is valid for some minutes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::lenient::{count, empty_string_as_none, null_default};

/// A file (`file`); a list of them is `files`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct File {
    /// Where the file can be downloaded. The URL is signed and expires, after 300 s by default.
    pub url: String,
    /// What it is.
    #[serde(rename = "type", default, deserialize_with = "null_default")]
    pub kind: FileKind,
    /// Media type.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub mime_type: Option<String>,
    /// Name.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub filename: Option<String>,
    /// File extension, with its dot.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub extension: Option<String>,
    /// Size in bytes.
    #[serde(default, deserialize_with = "count")]
    pub size: Option<u64>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileKind {
    /// An image.
    Image,
    /// A document.
    Document,
    /// Audio.
    Audio,
    /// Video.
    Video,
    /// Anything else.
    #[default]
    Custom,
}

impl<'de> Deserialize<'de> for FileKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "image" => Self::Image,
            "document" => Self::Document,
            "audio" => Self::Audio,
            "video" => Self::Video,
            _ => Self::Custom,
        })
    }
}

impl File {
    /// Describes a file at a URL; for tests.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), kind: FileKind::Custom, mime_type: None, filename: None, extension: None, size: None }
    }
}

/// The signature of the URL is a credential.
impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("File")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("kind", &self.kind)
            .field("mime_type", &self.mime_type)
            .field("filename", &self.filename)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
