//! Files that Dify gives a plugin: what Dify knows of a file, and a URL that is valid for some minutes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::error::InvokeError;
use crate::plugin::Dify;
use crate::protocol::lenient::{count, empty_string_as_none, null_default};
use crate::upstream::UpstreamRequest;

/// How to make a file reachable, for errors.
const SET_FILES_URL: &str = "Set FILES_URL, or INTERNAL_FILES_URL, of Dify to a URL that the plugin can reach.";

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

    /// Downloads the file; one of more than `max_bytes` is an error.
    ///
    /// ```
    /// use dify_plugin::plugin::{Call, File, PluginError};
    ///
    /// async fn length(call: &Call, file: &File) -> Result<usize, PluginError> {
    ///     Ok(file.download(&call.dify, 10 * 1024 * 1024).await?.len())
    /// }
    /// ```
    pub async fn download(&self, dify: &Dify, max_bytes: usize) -> Result<Bytes, InvokeError> {
        let max = max_bytes as u64;
        if let Some(size) = self.size.filter(|size| *size > max) {
            let message = format!("file {} has {size} bytes; the limit is {max_bytes}", self.name());
            return Err(InvokeError::bad_request(message));
        }
        let Some(url) = Url::parse(&self.url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            let message = format!("the URL of file {} is not absolute", self.name());
            return Err(InvokeError::bad_request(message).with_hint(SET_FILES_URL));
        };
        let response = dify.upstream().send(&UpstreamRequest::get(url).confidential()).await;
        let bytes = async { response?.bytes(max_bytes).await }.await;
        bytes.map_err(|mut error| {
            error.message = format!("cannot download file {}: {}", self.name(), error.message);
            match error.hint {
                Some(_) => error,
                None => error.with_hint(SET_FILES_URL),
            }
        })
    }

    fn name(&self) -> String {
        self.filename.as_deref().map_or_else(|| "without a name".to_owned(), |name| format!("`{name}`"))
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
