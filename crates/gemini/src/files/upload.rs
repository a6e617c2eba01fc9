//! One resumable upload: opened, sent in chunks, and resumed at the offset that the service reports after a chunk was
//! lost.
//!
//! Source: Gemini API, "Files API" (resumable upload).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{File, MAX_RESPONSE_BYTES};
use crate::connection::Connection;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::{RetryPolicy, Upstream, UpstreamResponse};

/// Chunk size in bytes; the API requires a multiple of 256 KiB.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of consecutive lost chunks.
const MAX_LOST_CHUNKS: u32 = 4;

/// Delay before the state is queried after a lost chunk; doubles with each further one.
const LOST_CHUNK_DELAY: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct UploadResponse {
    file: File,
}

/// State of an upload after a request.
enum UploadState {
    /// The service has received this many bytes.
    At(usize),
    /// The upload is complete.
    Done(Box<File>),
}

/// Result of opening an upload.
pub(super) enum Opened {
    /// Continue at this URL.
    At(Url),
    /// The gateway does not support uploads.
    Absent,
    /// The gateway rejects this upload.
    Rejected(InvokeError),
}

/// Opens an upload. The returned URL is a secret, and is rewritten to the host in the credentials, whatever the service
/// returns.
pub(super) async fn open(
    upstream: &Upstream,
    connection: &Connection,
    mime_type: &str,
    length: usize,
) -> Result<Opened, InvokeError> {
    let mut request = connection.post(connection.upload_url(), &json!({"file": {"display_name": "dify"}}))?;
    set(&mut request.headers, "x-goog-upload-protocol", "resumable");
    set(&mut request.headers, "x-goog-upload-command", "start");
    set(&mut request.headers, "x-goog-upload-header-content-length", &length.to_string());
    set(&mut request.headers, "x-goog-upload-header-content-type", mime_type);
    let response = match upstream.send(&request).await {
        Ok(response) => response,
        Err(error) if connection.is_gateway() => match error.status {
            Some(404 | 405 | 501) => return Ok(Opened::Absent),
            // The generation request itself shows whether the credentials are valid.
            Some(400 | 401 | 403 | 500) => return Ok(Opened::Rejected(error)),
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let session = header(&response, "x-goog-upload-url").and_then(|address| Url::parse(address).ok());
    match session {
        Some(session) => Ok(Opened::At(connection.on_own_host(&session))),
        // This gateway responds successfully but does not forward uploads. Whether it would accept a request above
        // Google's limit is unknown.
        None if connection.is_gateway() => Err(InvokeError::bad_request(
            "the files are too large for one request, and the gateway opened no upload for them",
        )
        .with_hint(
            "Send smaller files, or turn on the parameter `use_inline_file` of models if the gateway accepts larger requests.",
        )),
        None => Err(InvokeError::server_unavailable("the service opened an upload without returning a URL")),
    }
}

/// Sends the data to an open upload.
pub(super) async fn send(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    bytes: &Bytes,
) -> Result<File, InvokeError> {
    let (mut offset, mut furthest, mut losses) = (0, 0, 0);
    loop {
        let lost = match send_chunk(upstream, connection, session, bytes, offset).await {
            Ok(UploadState::Done(file)) => return Ok(*file),
            Ok(UploadState::At(next)) if next > offset => {
                offset = next;
                // A service that loses data it had already received makes no progress.
                if offset > furthest {
                    (furthest, losses) = (offset, 0);
                }
                continue;
            }
            Ok(UploadState::At(_)) => {
                InvokeError::server_unavailable(format!("the upload makes no progress beyond byte {offset}"))
            }
            Err(error) if error.retryable => error,
            Err(error) => return Err(error),
        };
        losses += 1;
        if losses > MAX_LOST_CHUNKS {
            return Err(lost);
        }
        tracing::warn!(error = lost.log_summary(), offset, "upload chunk lost; resuming");
        tokio::time::sleep(LOST_CHUNK_DELAY * 2u32.pow(losses - 1)).await;
        match query_offset(upstream, connection, session, bytes.len()).await {
            Ok(UploadState::Done(file)) => return Ok(*file),
            Ok(UploadState::At(received)) => offset = received,
            // The next chunk shows whether the service is available again.
            Err(error) if error.retryable => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends the chunk at an offset.
async fn send_chunk(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    bytes: &Bytes,
    offset: usize,
) -> Result<UploadState, InvokeError> {
    let end = bytes.len().min(offset + CHUNK_BYTES);
    let last = end == bytes.len();
    let mut request = connection.request(Method::POST, session.clone()).with_retry(RetryPolicy::never());
    set(&mut request.headers, "x-goog-upload-command", if last { "upload, finalize" } else { "upload" });
    set(&mut request.headers, "x-goog-upload-offset", &offset.to_string());
    request.body = bytes.slice(offset..end);
    parse_state(upstream.send(&request).await?, if last { offset } else { end }).await
}

/// Queries how many bytes the service has received.
async fn query_offset(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    length: usize,
) -> Result<UploadState, InvokeError> {
    let mut request = connection.request(Method::POST, session.clone()).with_retry(RetryPolicy::never());
    set(&mut request.headers, "x-goog-upload-command", "query");
    let response = upstream.send(&request).await?;
    let offset = header(&response, "x-goog-upload-size-received").and_then(|offset| offset.parse().ok());
    match (parse_state(response, offset.unwrap_or(0)).await?, offset) {
        (UploadState::At(_), None) => {
            Err(InvokeError::server_unavailable("the service does not report the progress of an upload")
                .with_hint("A proxy may remove response headers. Check the base URL and the proxy."))
        }
        (UploadState::At(offset), _) if offset > length => {
            Err(InvokeError::server_unavailable(format!("an upload of {length} bytes is reported at byte {offset}")))
        }
        (state, _) => Ok(state),
    }
}

/// Parses the state of an upload; `offset` is the offset while it is in progress.
async fn parse_state(response: UpstreamResponse, offset: usize) -> Result<UploadState, InvokeError> {
    match header(&response, "x-goog-upload-status") {
        Some("active") => Ok(UploadState::At(offset)),
        Some("final") => {
            Ok(UploadState::Done(Box::new(response.json::<UploadResponse>(MAX_RESPONSE_BYTES).await?.file)))
        }
        status => {
            let status = status.unwrap_or("unknown").to_owned();
            Err(InvokeError::server_unavailable(format!("the upload ended with status `{status}`")))
        }
    }
}

fn header<'a>(response: &'a UpstreamResponse, name: &str) -> Option<&'a str> {
    response.headers.get(name)?.to_str().ok()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // A media type that is not a valid header value is replaced.
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(HeaderName::from_static(name), value);
}
