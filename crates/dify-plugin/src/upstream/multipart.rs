//! Multipart bodies as complete bytes, so that they can be signed and sent again. The encoding is reqwest's.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, Method, header};
use reqwest::multipart::{Form, Part};
use url::Url;

use super::request::UpstreamRequest;
use crate::error::InvokeError;

/// A file of a form.
pub struct FilePart {
    /// Name of the form field.
    pub field: &'static str,
    /// Name of the file, with the right ending.
    pub filename: String,
    /// Media type.
    pub mime_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// A `POST` of text fields and one file.
pub async fn post_form(
    url: Url,
    fields: &[(&'static str, String)],
    file: FilePart,
) -> Result<UpstreamRequest, InvokeError> {
    let part = Part::stream(file.bytes)
        .file_name(file.filename)
        .mime_str(&file.mime_type)
        .map_err(|_| InvokeError::internal(format!("`{}` is not a media type", file.mime_type)))?;
    let mut form = Form::new();
    for (name, value) in fields {
        form = form.text(*name, value.clone());
    }
    let form = form.part(file.field, part);
    let content_type = format!("multipart/form-data; boundary={}", form.boundary());
    let body: BytesMut = form
        .into_stream()
        .boxed()
        .try_fold(BytesMut::new(), |mut whole, piece| async move {
            whole.extend_from_slice(&piece);
            Ok(whole)
        })
        .await
        .map_err(|error| InvokeError::internal(format!("cannot write the form: {error}")))?;
    let mut request = UpstreamRequest::new(Method::POST, url);
    let value = HeaderValue::from_str(&content_type)
        .map_err(|_| InvokeError::internal("the form's boundary is not a header value"))?;
    request.headers.insert(header::CONTENT_TYPE, value);
    request.body = body.freeze();
    Ok(request)
}
