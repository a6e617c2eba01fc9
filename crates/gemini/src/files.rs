//! Large media through the Files API: uploaded once for concurrent and later requests with the same credentials.
//!
//! The upload itself is in `upload`. Source: Gemini API, "Files API". Vertex AI does not have it.

mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::Url;

use self::upload::Opened;
use crate::connection::Connection;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;

/// How long the URI of a file is used; the file itself expires an hour later.
const FILE_TTL: Duration = Duration::from_secs(47 * 3600);

/// Maximum time for the service to process a file.
const PROCESSING_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a gateway without uploads is not asked for one again.
const UNSUPPORTED_TTL: Duration = Duration::from_secs(3600);

/// Initial and maximum polling delay; it doubles with each poll.
const POLL_DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Maximum number of files and gateways in memory.
const MAX_ENTRIES: usize = 1024;

/// Maximum bytes of a file description.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

type Key = (u64, [u8; 32]);

/// Concurrent requests for one file wait here for one upload.
type Slot = Arc<tokio::sync::Mutex<Known>>;

/// State of a file.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// URI of the file, and until when it is used.
    Ready(String, Instant),
    /// Why and when the upload failed. The error is returned to requests that waited for that upload, not to later
    /// ones.
    Failed(InvokeError, Instant),
}

/// Uploaded files by credentials and content.
pub struct Files {
    slots: Mutex<HashMap<Key, Slot>>,
    /// Gateways without uploads, by credentials, and until when that is assumed.
    absent: Mutex<HashMap<(u64, Url), Instant>>,
    processing_timeout: Duration,
}

impl Default for Files {
    fn default() -> Self {
        Self { slots: Mutex::default(), absent: Mutex::default(), processing_timeout: PROCESSING_TIMEOUT }
    }
}

/// Description of a file by the service.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    name: String,
    uri: String,
    state: String,
    error: serde_json::Value,
}

impl Files {
    /// Returns the URI of a file with this content; `None` if a gateway does not support uploads.
    pub async fn uri(
        &self,
        upstream: &Upstream,
        connection: &Connection,
        owner: u64,
        mime_type: &str,
        bytes: Bytes,
    ) -> Result<Option<String>, InvokeError> {
        // A gateway is identified by credentials and URL, because another user's proxy may respond differently at the
        // same URL.
        let gateway = (owner, connection.upload_url());
        if self.is_absent(&gateway) {
            return Ok(None);
        }
        let asked = Instant::now();
        let content = Sha256::new().chain_update(mime_type).chain_update([0]).chain_update(&bytes);
        let slot = self.slot((owner, content.finalize().into()));
        let mut known = slot.lock().await;
        match &*known {
            Known::Ready(uri, until) if Instant::now() < *until => return Ok(Some(uri.clone())),
            Known::Failed(error, at) if asked < *at => return Err(error.clone()),
            _ => {}
        }
        let outcome = async {
            let session = match upload::open(upstream, connection, mime_type, bytes.len()).await? {
                Opened::At(session) => session,
                Opened::Absent => {
                    self.remember_absent(gateway);
                    return Ok(None);
                }
                Opened::Rejected(error) => {
                    tracing::warn!(
                        error = error.log_summary(),
                        "upload rejected by the gateway; sending the file inline"
                    );
                    return Ok(None);
                }
            };
            let file = upload::send(upstream, connection, &session, &bytes).await?;
            self.wait_until_ready(upstream, connection, file).await.map(Some)
        }
        .await;
        match &outcome {
            Ok(Some(uri)) => *known = Known::Ready(uri.clone(), Instant::now() + FILE_TTL),
            Ok(None) => {}
            Err(error) => *known = Known::Failed(error.clone(), Instant::now()),
        }
        outcome
    }

    /// Forgets URIs that the service no longer accepts, unless a concurrent request has already uploaded the same files
    /// again.
    pub fn forget(&self, owner: u64, uris: &[String]) {
        let gone = |slot: &Slot| {
            slot.try_lock().is_ok_and(|known| matches!(&*known, Known::Ready(uri, _) if uris.contains(uri)))
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(of, _), slot| *of != owner || !gone(slot));
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_ENTRIES && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }

    fn is_absent(&self, gateway: &(u64, Url)) -> bool {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.get(gateway).is_some_and(|until| Instant::now() < *until)
    }

    fn remember_absent(&self, gateway: (u64, Url)) {
        tracing::warn!(host = gateway.1.host_str(), "gateway does not support uploads; sending files inline");
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() >= MAX_ENTRIES {
            absent.clear();
        }
        absent.insert(gateway, Instant::now() + UNSUPPORTED_TTL);
    }

    /// Waits until the service has processed the file.
    async fn wait_until_ready(
        &self,
        upstream: &Upstream,
        connection: &Connection,
        mut file: File,
    ) -> Result<String, InvokeError> {
        let end = Instant::now() + self.processing_timeout;
        let (mut wait, longest) = POLL_DELAYS;
        loop {
            match file.state.as_str() {
                "PROCESSING" => {}
                "FAILED" => {
                    let why = file.error["message"].as_str().unwrap_or("no reason given");
                    return Err(InvokeError::bad_request(format!("Gemini cannot process an uploaded file: {why}")));
                }
                _ if file.uri.is_empty() => {
                    return Err(InvokeError::server_unavailable("an uploaded file has no URI"));
                }
                _ => return Ok(file.uri),
            }
            if Instant::now() + wait > end {
                let waited = self.processing_timeout.as_secs();
                return Err(InvokeError::server_unavailable(format!(
                    "an uploaded file was not ready after {waited} s"
                ))
                .with_hint("Try again later, or send a shorter video or audio file."));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
            file = upstream.send(&connection.get(connection.url(&file.name)?)).await?.json(MAX_RESPONSE_BYTES).await?;
        }
    }
}

/// Whether a request was rejected because a file no longer exists or belongs to another project.
pub fn is_file_missing(error: &InvokeError) -> bool {
    matches!(error.status, Some(403 | 404)) && error.message.to_ascii_lowercase().contains("file")
}

#[cfg(test)]
mod tests;
