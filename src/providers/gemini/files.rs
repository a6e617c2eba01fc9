//! Large media through the Files API: uploaded once for parallel and later calls of the same credentials.
//!
//! The upload itself is [`upload`]'s. Source: Gemini API, "Files API". Vertex AI has none.

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
use super::connection::Connection;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;

/// How long an address is used; the file itself lives an hour longer.
const FILE_TTL: Duration = Duration::from_secs(47 * 3600);

/// How long the service may take to make a file ready.
const PROCESSING_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a gateway without an upload is not asked for one again.
const ABSENCE: Duration = Duration::from_secs(3600);

/// First wait between two looks at a file; doubles up to the second.
const POLL_DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Files and gateways that are remembered at once.
const MAX_ENTRIES: usize = 1024;

/// Longest description of a file.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

type Key = (u64, [u8; 32]);

/// Parallel calls for one file wait here for one upload.
type Slot = Arc<tokio::sync::Mutex<Known>>;

/// What is known of a file.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// Its address, and until when that is used.
    Ready(String, Instant),
    /// Why it could not be uploaded, and when: told to those who waited for that upload, not to later calls.
    Failed(InvokeError, Instant),
}

/// Uploaded files by credentials and content.
pub(super) struct Files {
    slots: Mutex<HashMap<Key, Slot>>,
    /// Gateways that have no upload, by whose credentials they were asked, and until when that is believed.
    absent: Mutex<HashMap<(u64, Url), Instant>>,
    patience: Duration,
}

impl Default for Files {
    fn default() -> Self {
        Self { slots: Mutex::default(), absent: Mutex::default(), patience: PROCESSING_TIMEOUT }
    }
}

/// A file as the service describes it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    name: String,
    uri: String,
    state: String,
    error: serde_json::Value,
}

impl Files {
    /// The address of a file with this content; `None` where a gateway takes no uploads.
    pub(super) async fn address(
        &self,
        upstream: &Upstream,
        connection: &Connection,
        owner: u64,
        mime_type: &str,
        bytes: Bytes,
    ) -> Result<Option<String>, InvokeError> {
        // What another's proxy says of the same address is no word of this gateway.
        let door = (owner, connection.upload_url());
        if self.is_absent(&door) {
            return Ok(None);
        }
        let asked = Instant::now();
        let content = Sha256::new().chain_update(mime_type).chain_update([0]).chain_update(&bytes);
        let slot = self.slot((owner, content.finalize().into()));
        let mut known = slot.lock().await;
        match &*known {
            Known::Ready(address, until) if Instant::now() < *until => return Ok(Some(address.clone())),
            Known::Failed(error, at) if asked < *at => return Err(error.clone()),
            _ => {}
        }
        let outcome = async {
            let session = match upload::open(upstream, connection, mime_type, bytes.len()).await? {
                Opened::At(session) => session,
                Opened::Absent => {
                    self.remember_absent(door);
                    return Ok(None);
                }
                Opened::Refused(error) => {
                    tracing::warn!(error = error.brief(), "the gateway refuses an upload; the file goes inline");
                    return Ok(None);
                }
            };
            let file = upload::send(upstream, connection, &session, &bytes).await?;
            self.ready(upstream, connection, file).await.map(Some)
        }
        .await;
        match &outcome {
            Ok(Some(address)) => *known = Known::Ready(address.clone(), Instant::now() + FILE_TTL),
            Ok(None) => {}
            Err(error) => *known = Known::Failed(error.clone(), Instant::now()),
        }
        outcome
    }

    /// Forgets addresses that the service no longer lets be read, unless a parallel call already has others for the
    /// same files.
    pub(super) fn forget(&self, owner: u64, addresses: &[String]) {
        let gone = |slot: &Slot| {
            slot.try_lock()
                .is_ok_and(|known| matches!(&*known, Known::Ready(address, _) if addresses.contains(address)))
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

    fn is_absent(&self, door: &(u64, Url)) -> bool {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.get(door).is_some_and(|until| Instant::now() < *until)
    }

    fn remember_absent(&self, door: (u64, Url)) {
        tracing::warn!(host = door.1.host_str(), "the gateway takes no uploads; files go inline");
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() >= MAX_ENTRIES {
            absent.clear();
        }
        absent.insert(door, Instant::now() + ABSENCE);
    }

    /// Waits until the service has read the file.
    async fn ready(&self, upstream: &Upstream, connection: &Connection, mut file: File) -> Result<String, InvokeError> {
        let end = Instant::now() + self.patience;
        let (mut wait, longest) = POLL_DELAYS;
        loop {
            match file.state.as_str() {
                "PROCESSING" => {}
                "FAILED" => {
                    let why = file.error["message"].as_str().unwrap_or("no reason given");
                    return Err(InvokeError::bad_request(format!("Gemini cannot read an uploaded file: {why}")));
                }
                _ if file.uri.is_empty() => {
                    return Err(InvokeError::server_unavailable("an uploaded file has no address"));
                }
                _ => return Ok(file.uri),
            }
            if Instant::now() + wait > end {
                let waited = self.patience.as_secs();
                return Err(InvokeError::server_unavailable(format!(
                    "an uploaded file was not ready within {waited} s"
                ))
                .with_hint("Try again later, or send a shorter film or recording."));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
            file = upstream.send(&connection.get(connection.url(&file.name)?)).await?.json(MAX_RESPONSE_BYTES).await?;
        }
    }
}

/// Whether a request was refused because of a file that is gone or another project's.
pub(super) fn is_gone(error: &InvokeError) -> bool {
    matches!(error.status, Some(403 | 404)) && error.message.to_ascii_lowercase().contains("file")
}

#[cfg(test)]
mod tests;
