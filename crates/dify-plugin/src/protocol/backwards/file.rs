//! Uploads: a signed URL from Dify, and the file that Dify keeps for it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BackwardsRequest, InvokeType};
use crate::protocol::lenient::null_default;

/// `upload_file`. The upload must name exactly this file and type: both are signed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UploadInvocation {
    /// Name of the file.
    pub filename: String,
    /// Media type.
    pub mimetype: String,
}

impl UploadInvocation {
    /// The upload of a file.
    pub fn new(filename: impl Into<String>, mimetype: impl Into<String>) -> Self {
        Self { filename: filename.into(), mimetype: mimetype.into() }
    }
}

impl BackwardsRequest for UploadInvocation {
    type Response = UploadUrl;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::UploadFile
    }
}

/// Where to upload, for 300 s.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct UploadUrl {
    /// Signed; relative when neither FILES_URL nor INTERNAL_FILES_URL of Dify is set.
    #[serde(default, deserialize_with = "null_default")]
    pub url: String,
}

/// A file that Dify keeps.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct UploadedFile {
    /// Its ID, as apps take it.
    pub id: String,
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Bytes.
    #[serde(default, deserialize_with = "null_default")]
    pub size: u64,
    /// File extension.
    #[serde(default, deserialize_with = "null_default")]
    pub extension: String,
    /// Media type.
    #[serde(default, deserialize_with = "null_default")]
    pub mime_type: String,
    /// Where it can be seen.
    #[serde(default, deserialize_with = "null_default")]
    pub preview_url: Option<String>,
}

impl UploadedFile {
    /// `image`, `video`, `audio` or `document`.
    pub fn file_type(&self) -> &'static str {
        match self.mime_type.split('/').next() {
            Some("image") => "image",
            Some("video") => "video",
            Some("audio") => "audio",
            _ => "document",
        }
    }

    /// The file as an input of an app.
    pub fn app_input(&self) -> Value {
        json!({"tool_file_id": self.id, "transfer_method": "tool_file", "type": self.file_type()})
    }
}
