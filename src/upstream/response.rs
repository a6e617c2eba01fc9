//! An upstream's answer: status and headers at once, the body as it comes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::proofs::Proofs;
use super::status::{excerpt, request_id};
use crate::error::InvokeError;

/// A 2xx answer.
pub struct UpstreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Longest silence before the answer begins.
    pub first: Duration,
    /// Longest silence between two events or pieces.
    pub idle: Duration,
    /// The body. Dropping it closes the upstream call.
    pub body: BoxStream<'static, Result<Bytes, InvokeError>>,
    /// What was sent as proof: errors that quote the answer must not repeat it.
    pub proofs: Proofs,
}

/// A non-2xx answer, its body read up to a limit.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Bytes,
    /// The address without query and user part.
    pub url: Url,
}

impl UpstreamResponse {
    /// The media type without parameters, in lower case.
    pub fn content_type(&self) -> String {
        content_type(&self.headers)
    }

    /// The upstream's request id.
    pub fn request_id(&self) -> Option<String> {
        request_id(&self.headers)
    }

    /// The whole body, refused above `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, InvokeError> {
        let mut whole = BytesMut::new();
        loop {
            let wait = if whole.is_empty() { self.first } else { self.idle };
            match tokio::time::timeout(wait, self.body.next()).await {
                Err(_) => return Err(silence(wait, !whole.is_empty()).with_status(self.status.as_u16())),
                Ok(None) => return Ok(whole.freeze()),
                Ok(Some(piece)) => whole.extend_from_slice(&piece?),
            }
            if whole.len() > limit {
                return Err(InvokeError::server_unavailable(format!(
                    "the upstream's answer is longer than {limit} bytes"
                )));
            }
        }
    }

    /// The whole body as JSON; an HTML page or anything else is an error that shows its beginning.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, InvokeError> {
        let content_type = self.content_type();
        let status = self.status.as_u16();
        let id = self.request_id();
        let proofs = self.proofs.clone();
        let body = self.bytes(limit).await?;
        let mut deserializer = serde_json::Deserializer::from_slice(&body);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let mut failure = InvokeError::server_unavailable(format!(
                "the upstream's answer ({content_type}) cannot be read at `{}`: {}: {}",
                error.path(),
                error.inner(),
                excerpt(&body)
            ))
            .with_status(status);
            failure.request_id = id;
            proofs.hide(failure)
        })
    }
}

/// The error of an upstream that sends nothing more, or nothing at all behind its headers.
fn silence(wait: Duration, begun: bool) -> InvokeError {
    let wait = wait.as_secs_f64();
    InvokeError::connection(match begun {
        true => format!("the upstream sent nothing for {wait} s in the middle of its answer"),
        false => format!("the upstream accepted the request, but sent nothing of an answer for {wait} s"),
    })
}

/// The media type without parameters, in lower case.
pub fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .unwrap_or_default()
}
