//! The only handle that can answer a request. It ends exactly once: `end` and `fail` consume it, and dropping it
//! un-ended sends an error and an end.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::error::InvokeError;
use crate::protocol::envelope::{ErrorPayload, write_end, write_error, write_stream};
use crate::transport::outlet::{Closed, Outlet};

/// Longest line that is written. The daemon ends the whole process over one line of 5 MiB.
pub const LONGEST_LINE: usize = 5 * 1024 * 1024 - 64 * 1024;

/// Bytes that are collected before they must be handed on.
const FULL: usize = 64 * 1024;

/// Answers one session.
pub struct Reply {
    /// On stdio and TCP all sessions share one; over HTTP it is one response body.
    outlet: Outlet,
    session_id: Arc<str>,
    provider: String,
    lines: Vec<u8>,
    ended: bool,
}

/// The host does not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl From<Closed> for Gone {
    fn from(_: Closed) -> Self {
        Self
    }
}

impl Reply {
    /// A handle for a session; the provider's name stands in front of its error texts.
    pub fn new(outlet: Outlet, session_id: Arc<str>) -> Self {
        Self { outlet, session_id, provider: "plugin".to_owned(), lines: Vec::new(), ended: false }
    }

    /// Names the provider in errors from here on.
    pub fn set_provider(&mut self, provider: &str) {
        provider.clone_into(&mut self.provider);
    }

    /// The session's name.
    pub fn session_id(&self) -> &Arc<str> {
        &self.session_id
    }

    /// Where this session's lines go.
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// Collects one result item. An item that no line can carry is an error and is not collected.
    pub fn push<T: Serialize>(&mut self, item: &T) -> Result<(), InvokeError> {
        let start = self.lines.len();
        write_stream(&mut self.lines, &self.session_id, item)
            .map_err(|error| InvokeError::internal(format!("cannot write the answer: {error}")))?;
        let length = self.lines.len() - start;
        if length > LONGEST_LINE {
            self.lines.truncate(start);
            return Err(InvokeError::internal(format!(
                "a result of {length} bytes is too large for one line of the plugin protocol (limit {LONGEST_LINE})"
            )));
        }
        Ok(())
    }

    /// Whether enough is collected to be handed on before more is made.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Whether anything waits to be handed on.
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the writer is behind: there is no room for another batch.
    pub fn is_lagging(&self) -> bool {
        self.outlet.is_full()
    }

    /// Waits until the writer has room for a batch, without giving it one.
    pub async fn room(&self) -> Result<(), Gone> {
        Ok(self.outlet.room().await?)
    }

    /// Waits until the writer takes the collected lines. Cancelling loses nothing.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = &mut self.lines;
        Ok(self.outlet.send(lines.len(), || Bytes::from(std::mem::take(lines))).await?)
    }

    /// Ends the session well.
    pub async fn end(mut self) -> Result<(), Gone> {
        self.close(None);
        self.flush().await
    }

    /// Ends the session with an error.
    pub async fn fail(mut self, error: &InvokeError) -> Result<(), Gone> {
        self.close(Some(error));
        self.flush().await
    }

    fn close(&mut self, error: Option<&InvokeError>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // Both payloads are plain strings and small maps; writing them to memory does not fail.
        if let Some(error) = error {
            let _ = write_error(&mut self.lines, &self.session_id, &ErrorPayload::of(&self.provider, error));
        }
        let _ = write_end(&mut self.lines, &self.session_id);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.ended {
            self.close(Some(&InvokeError::internal("the call was given up before it was answered")));
        }
        if self.lines.is_empty() {
            return;
        }
        let lines = Bytes::from(std::mem::take(&mut self.lines));
        if let Err(lines) = self.outlet.try_send(lines)
            && let Ok(handle) = tokio::runtime::Handle::try_current()
        {
            let outlet = self.outlet.clone();
            handle.spawn(async move {
                let _ = outlet.send(lines.len(), || lines).await;
            });
        }
    }
}
