//! Large media through the Files API: uploaded once for parallel and later calls of the same credentials.
//!
//! Source: Gemini API, "Files API" (resumable upload). Vertex AI has none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::connection::Connection;
use crate::error::InvokeError;
use crate::upstream::{RetryPolicy, Upstream};

/// Bytes of one piece; the API wants multiples of 256 KiB.
const PIECE: usize = 8 * 1024 * 1024;

/// How long an address is used; the file itself lives an hour longer.
const LIFE: Duration = Duration::from_secs(47 * 3600);

/// How long the service may take to make a file ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// First wait between two looks at a file; doubles up to the second.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Files that are remembered at once.
const MOST: usize = 1024;

/// Longest description of a file.
const LONGEST: usize = 256 * 1024;

type Key = (u64, [u8; 32]);

/// A file of the service: where it is, and until when that is used.
type Slot = Arc<tokio::sync::Mutex<Option<(String, Instant)>>>;

/// Uploaded files by credentials and content. Parallel calls wait for one upload.
#[derive(Default)]
pub(super) struct Files(Mutex<HashMap<Key, Slot>>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    name: String,
    uri: String,
    state: String,
    error: serde_json::Value,
}

#[derive(Deserialize)]
struct Answer {
    file: File,
}

impl Files {
    /// The address of a file with this content.
    pub(super) async fn address(
        &self,
        upstream: &Upstream,
        connection: &Connection,
        owner: u64,
        mime_type: &str,
        bytes: Bytes,
    ) -> Result<String, InvokeError> {
        let slot = self.slot((owner, Sha256::digest(&bytes).into()));
        let mut known = slot.lock().await;
        if let Some((address, until)) = known.as_ref()
            && Instant::now() < *until
        {
            return Ok(address.clone());
        }
        let file = upload(upstream, connection, mime_type, bytes).await?;
        let address = ready(upstream, connection, file).await?;
        *known = Some((address.clone(), Instant::now() + LIFE));
        Ok(address)
    }

    /// Forgets the files of some credentials, which the service no longer lets be read; false when there are none.
    pub(super) fn forget(&self, owner: u64) -> bool {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slots.len();
        slots.retain(|(of, _), _| *of != owner);
        slots.len() < before
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }
}

/// Whether an address has no upload: gateways often serve generation only.
pub(super) fn is_missing(error: &InvokeError) -> bool {
    matches!(error.status, Some(404 | 405 | 501))
}

/// Whether a request was refused because of a file that is gone or another project's.
pub(super) fn is_foreign(error: &InvokeError) -> bool {
    matches!(error.status, Some(403 | 404)) && error.message.to_ascii_lowercase().contains("file")
}

async fn upload(
    upstream: &Upstream,
    connection: &Connection,
    mime_type: &str,
    bytes: Bytes,
) -> Result<File, InvokeError> {
    let session = open(upstream, connection, mime_type, bytes.len()).await?;
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + PIECE);
        let last = end == bytes.len();
        let mut request = connection.request(Method::POST, session.clone()).with_retry(RetryPolicy::never());
        set(&mut request.headers, "x-goog-upload-command", if last { "upload, finalize" } else { "upload" });
        set(&mut request.headers, "x-goog-upload-offset", &offset.to_string());
        request.body = bytes.slice(offset..end);
        let answer = upstream.send(&request).await?;
        let status = answer.headers.get("x-goog-upload-status").and_then(|status| status.to_str().ok());
        match (last, status) {
            (true, Some("final")) => return Ok(answer.json::<Answer>(LONGEST).await?.file),
            (false, Some("active")) => offset = end,
            (_, status) => {
                let status = status.unwrap_or("unknown");
                return Err(InvokeError::server_unavailable(format!("an upload ended as `{status}` at byte {end}")));
            }
        }
    }
}

/// Opens an upload; its address is a secret and leads to the host that the credentials name, whatever the service says.
async fn open(
    upstream: &Upstream,
    connection: &Connection,
    mime_type: &str,
    length: usize,
) -> Result<Url, InvokeError> {
    let mut request = connection.post(connection.upload_url(), &json!({"file": {"display_name": "dify"}}))?;
    set(&mut request.headers, "x-goog-upload-protocol", "resumable");
    set(&mut request.headers, "x-goog-upload-command", "start");
    set(&mut request.headers, "x-goog-upload-header-content-length", &length.to_string());
    set(&mut request.headers, "x-goog-upload-header-content-type", mime_type);
    let answer = upstream.send(&request).await?;
    let session = answer.headers.get("x-goog-upload-url").and_then(|address| address.to_str().ok());
    let session = session.and_then(|address| Url::parse(address).ok());
    let session =
        session.ok_or_else(|| InvokeError::server_unavailable("the upload has no address").with_status(501))?;
    Ok(connection.own_address(&session))
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::HeaderName::from_static(name), value);
}

/// Waits until the service has read the file.
async fn ready(upstream: &Upstream, connection: &Connection, mut file: File) -> Result<String, InvokeError> {
    let end = Instant::now() + PATIENCE;
    let (mut wait, longest) = WAITS;
    loop {
        match file.state.as_str() {
            "PROCESSING" => {}
            "FAILED" => {
                let why = file.error["message"].as_str().unwrap_or("no reason given");
                return Err(InvokeError::bad_request(format!("Gemini cannot read an uploaded file: {why}")));
            }
            _ if file.uri.is_empty() => return Err(InvokeError::server_unavailable("an uploaded file has no address")),
            _ => return Ok(file.uri),
        }
        if Instant::now() + wait > end {
            let waited = PATIENCE.as_secs();
            return Err(InvokeError::server_unavailable(format!("an uploaded file was not ready within {waited} s")));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(longest);
        file = upstream.send(&connection.get(connection.url(&file.name)?)).await?.json(LONGEST).await?;
    }
}
