//! Multipart bodies as complete bytes, so that they can be signed and resent. Encoded by reqwest.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderValue, Method, header};
use reqwest::multipart::{Form, Part};
use url::Url;

use super::request::UpstreamRequest;
use crate::error::InvokeError;

/// A file in a multipart form.
pub struct FilePart {
    /// Name of the form field.
    pub field: &'static str,
    /// File name with the correct extension.
    pub filename: String,
    /// Media type.
    pub mime_type: String,
    /// Content.
    pub bytes: Bytes,
}

/// Creates a `POST` request with text fields and one file.
pub async fn post_form(url: Url, fields: &[(String, String)], file: FilePart) -> Result<UpstreamRequest, InvokeError> {
    let part = Part::stream(file.bytes)
        .file_name(file.filename)
        .mime_str(&file.mime_type)
        .map_err(|_| InvokeError::internal(format!("`{}` is not a valid media type", file.mime_type)))?;
    let mut form = Form::new();
    for (name, value) in fields {
        form = form.text(name.clone(), value.clone());
    }
    let form = form.part(file.field, part);
    let content_type = format!("multipart/form-data; boundary={}", form.boundary());
    let body: BytesMut = form
        .into_stream()
        .boxed()
        .try_fold(BytesMut::new(), |mut whole, chunk| async move {
            whole.extend_from_slice(&chunk);
            Ok(whole)
        })
        .await
        .map_err(|error| InvokeError::internal(format!("cannot encode the multipart form: {error}")))?;
    let mut request = UpstreamRequest::new(Method::POST, url);
    let value = HeaderValue::from_str(&content_type)
        .map_err(|_| InvokeError::internal("the multipart boundary is not a valid header value"))?;
    request.headers.insert(header::CONTENT_TYPE, value);
    request.body = body.freeze();
    Ok(request)
}
