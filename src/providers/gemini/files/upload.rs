//! One resumable upload: opened, sent piece by piece, and taken up again where the service got to when a piece got lost.
//!
//! Source: Gemini API, "Files API" (resumable upload).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::super::connection::Connection;
use super::{File, MAX_RESPONSE_BYTES};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::{RetryPolicy, Upstream, UpstreamResponse};

/// Bytes of one piece; the API wants multiples of 256 KiB.
const PIECE: usize = 8 * 1024 * 1024;

/// Lost pieces in a row after which the upload is given up.
const MAX_LOST_CHUNKS: u32 = 4;

/// Wait before a lost piece is looked into; doubles with each further one.
const LOST_CHUNK_DELAY: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct UploadResponse {
    file: File,
}

/// How an upload stands after a call.
enum UploadState {
    /// The service has so many bytes.
    At(usize),
    /// The service has all.
    Done(Box<File>),
}

/// What comes of opening an upload.
pub(super) enum Opened {
    /// It goes on at this address.
    At(Url),
    /// The gateway has no uploads.
    Absent,
    /// The gateway refuses this one.
    Refused(InvokeError),
}

/// Opens an upload. The address is a secret and leads to the host that the credentials
/// name, whatever the service says.
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
    let answer = match upstream.send(&request).await {
        Ok(answer) => answer,
        Err(error) if connection.is_gateway() => match error.status {
            Some(404 | 405 | 501) => return Ok(Opened::Absent),
            // The call itself tells whether the credential is good.
            Some(400 | 401 | 403 | 500) => return Ok(Opened::Refused(error)),
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let session = header(&answer, "x-goog-upload-url").and_then(|address| Url::parse(address).ok());
    match session {
        Some(session) => Ok(Opened::At(connection.own_address(&session))),
        // A gateway that answers everything, but passes no upload on: what it would say to a request over Google's limit
        // nobody knows.
        None if connection.is_gateway() => Err(InvokeError::bad_request(
            "the files are too large for one request, and the gateway opened no upload for them",
        )
        .with_hint(
            "Send smaller files, or switch the parameter `use_inline_file` on where the gateway takes larger requests.",
        )),
        None => Err(InvokeError::server_unavailable("the service opened an upload without an address")),
    }
}

/// Sends the bytes to an open upload.
pub(super) async fn send(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    bytes: &Bytes,
) -> Result<File, InvokeError> {
    let (mut offset, mut furthest, mut losses) = (0, 0, 0);
    loop {
        let lost = match piece(upstream, connection, session, bytes, offset).await {
            Ok(UploadState::Done(file)) => return Ok(*file),
            Ok(UploadState::At(next)) if next > offset => {
                offset = next;
                // A service that loses again what it had gets no further.
                if offset > furthest {
                    (furthest, losses) = (offset, 0);
                }
                continue;
            }
            Ok(UploadState::At(_)) => InvokeError::server_unavailable(format!("an upload stays at byte {offset}")),
            Err(error) if error.retryable => error,
            Err(error) => return Err(error),
        };
        losses += 1;
        if losses > MAX_LOST_CHUNKS {
            return Err(lost);
        }
        tracing::warn!(error = lost.brief(), offset, "a piece of an upload got lost; taken up again");
        tokio::time::sleep(LOST_CHUNK_DELAY * 2u32.pow(losses - 1)).await;
        match ask(upstream, connection, session, bytes.len()).await {
            Ok(UploadState::Done(file)) => return Ok(*file),
            Ok(UploadState::At(kept)) => offset = kept,
            // The next piece tells whether the service is back.
            Err(error) if error.retryable => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends the piece at an offset.
async fn piece(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    bytes: &Bytes,
    offset: usize,
) -> Result<UploadState, InvokeError> {
    let end = bytes.len().min(offset + PIECE);
    let last = end == bytes.len();
    let mut request = connection.request(Method::POST, session.clone()).with_retry(RetryPolicy::never());
    set(&mut request.headers, "x-goog-upload-command", if last { "upload, finalize" } else { "upload" });
    set(&mut request.headers, "x-goog-upload-offset", &offset.to_string());
    request.body = bytes.slice(offset..end);
    standing(upstream.send(&request).await?, if last { offset } else { end }).await
}

/// Asks how far an upload got.
async fn ask(
    upstream: &Upstream,
    connection: &Connection,
    session: &Url,
    length: usize,
) -> Result<UploadState, InvokeError> {
    let mut request = connection.request(Method::POST, session.clone()).with_retry(RetryPolicy::never());
    set(&mut request.headers, "x-goog-upload-command", "query");
    let answer = upstream.send(&request).await?;
    let kept = header(&answer, "x-goog-upload-size-received").and_then(|kept| kept.parse().ok());
    match (standing(answer, kept.unwrap_or(0)).await?, kept) {
        (UploadState::At(_), None) => {
            Err(InvokeError::server_unavailable("the service does not tell how far an upload got")
                .with_hint("Something on the way may remove the headers of answers: check base URL and proxy."))
        }
        (UploadState::At(kept), _) if kept > length => {
            Err(InvokeError::server_unavailable(format!("an upload of {length} bytes stands at byte {kept}")))
        }
        (standing, _) => Ok(standing),
    }
}

/// Reads how an upload stands; `kept` is where it is while it goes on.
async fn standing(answer: UpstreamResponse, kept: usize) -> Result<UploadState, InvokeError> {
    match header(&answer, "x-goog-upload-status") {
        Some("active") => Ok(UploadState::At(kept)),
        Some("final") => Ok(UploadState::Done(Box::new(answer.json::<UploadResponse>(MAX_RESPONSE_BYTES).await?.file))),
        status => {
            let status = status.unwrap_or("unknown").to_owned();
            Err(InvokeError::server_unavailable(format!("an upload ended as `{status}`")))
        }
    }
}

fn header<'a>(answer: &'a UpstreamResponse, name: &str) -> Option<&'a str> {
    answer.headers.get(name)?.to_str().ok()
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // A media type that no header can hold names no kind of file.
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(HeaderName::from_static(name), value);
}
