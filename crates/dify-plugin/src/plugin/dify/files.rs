//! Files that Dify keeps, for apps.

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use super::{Dify, DifyError};
use crate::error::InvokeError;
use crate::protocol::backwards::{DifyErrorKind, UploadInvocation, UploadedFile};
use crate::upstream::multipart::{FilePart, post_form};
use crate::upstream::{ErrorResponse, RetryPolicy};

/// Longest description of an uploaded file.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

impl Dify {
    /// Files that Dify keeps.
    pub fn files(&self) -> Files {
        Files(self.clone())
    }
}

/// Files that Dify keeps.
#[derive(Clone)]
pub struct Files(Dify);

impl Files {
    /// Uploads a file, so that an app can have it as an input.
    pub async fn upload(
        &self,
        filename: impl Into<String>,
        mime_type: impl Into<String>,
        content: impl Into<Bytes>,
    ) -> Result<UploadedFile, DifyError> {
        let (filename, mimetype) = (filename.into(), mime_type.into());
        let request = UploadInvocation { filename: filename.clone(), mimetype: mimetype.clone() };
        let url = self.0.call_once(request).await?.url;
        let Some(url) = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Err(DifyError::new(DifyErrorKind::Unreachable, "Dify's URL for the upload is not absolute")
                .with_hint("Set FILES_URL, or INTERNAL_FILES_URL, of Dify to a URL that the plugin can reach."));
        };
        // Dify has signed exactly this name and type.
        let file = FilePart { field: "file", filename, mime_type: mimetype, bytes: content.into() };
        let request = post_form(url, &[], file).await.map_err(|error| DifyError::invalid(error.message))?;
        let request = request.with_retry(RetryPolicy::never()).with_error_reader(rejection).confidential();
        let response = self.0.facts.upstream.send(&request).await.map_err(upload_error)?;
        response.json(MAX_RESPONSE_BYTES).await.map_err(upload_error)
    }
}

fn rejection(response: &ErrorResponse) -> InvokeError {
    let error = crate::upstream::status::error_of(response);
    match response.status {
        StatusCode::FORBIDDEN => error.with_hint("The signature of the URL has expired, or Dify's SECRET_KEY differs."),
        StatusCode::PAYLOAD_TOO_LARGE => error.with_hint("The file is larger than the uploads that Dify accepts."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => error.with_hint("Dify does not accept files of this type."),
        _ => error,
    }
}

fn upload_error(error: InvokeError) -> DifyError {
    let kind = match error.status {
        Some(413) => DifyErrorKind::TooLarge,
        Some(400 | 403 | 415) => DifyErrorKind::Invalid,
        Some(_) => DifyErrorKind::Failed,
        None => DifyErrorKind::Unreachable,
    };
    let hint = error
        .hint
        .clone()
        .unwrap_or_else(|| "The plugin must be able to reach FILES_URL, or INTERNAL_FILES_URL, of Dify.".to_owned());
    DifyError::new(kind, format!("cannot upload the file: {}", error.message)).with_hint(hint)
}
