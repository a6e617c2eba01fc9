//! The only handle that can answer a request. It ends exactly once: `end` and `fail` consume it, and dropping it
//! un-ended sends an error and an end. Every line is measured: what the host would not take is never written.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::error::{InvokeError, LONGEST_WORD, clip};
use crate::protocol::envelope::{ErrorPayload, write_end, write_error, write_stream};
use crate::transport::outlet::{Closed, Outlet};

/// What a line that is too long needs; the setting is the daemon's, and read by the plugin too.
pub(super) const RAISE_THE_LIMIT: &str =
    "raise PLUGIN_STDIO_MAX_BUFFER_SIZE of Dify's plugin daemon, which the plugin follows";

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

/// Why an item was not collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// No line of the host can carry it.
    TooLong {
        /// Bytes of its line.
        length: usize,
        /// Bytes of the longest line.
        limit: usize,
    },
    /// It cannot be written as JSON.
    Unwritable(String),
}

impl From<Unsent> for InvokeError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::TooLong { length, limit } => Self::bad_request(format!(
                "a result of {length} bytes is too large for one line of the plugin protocol (limit {limit})"
            ))
            .with_hint(format!("Ask for less at once, or {RAISE_THE_LIMIT}.")),
            Unsent::Unwritable(why) => Self::internal(format!("cannot write the answer: {why}")),
        }
    }
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
        self.provider = clip(provider, LONGEST_WORD).into_owned();
    }

    /// The session's name.
    pub fn session_id(&self) -> &Arc<str> {
        &self.session_id
    }

    /// Where this session's lines go.
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// Collects one result item. An item that no line can carry is not collected.
    pub fn push<T: Serialize>(&mut self, item: &T) -> Result<(), Unsent> {
        let limit = self.longest_line();
        let start = self.lines.len();
        write_stream(&mut self.lines, &self.session_id, item).map_err(|error| Unsent::Unwritable(error.to_string()))?;
        let length = self.lines.len() - start;
        if length > limit {
            self.lines.truncate(start);
            return Err(Unsent::TooLong { length, limit });
        }
        Ok(())
    }

    /// Longest line that the host takes.
    pub fn longest_line(&self) -> usize {
        self.outlet.longest_line()
    }

    /// Bytes that a line of this item would take.
    pub fn length_of<T: Serialize>(&self, item: &T) -> usize {
        let mut line = Vec::new();
        let written = write_stream(&mut line, &self.session_id, item);
        written.map_or(usize::MAX, |()| line.len())
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
        // Both payloads are plain strings and small maps; writing them to memory does not fail. They are short, unless the
        // host made its session's id longer than its lines: then nothing can be said of that session.
        if let Some(error) = error {
            let payload = ErrorPayload::of(&self.provider, error);
            self.last_line(|lines, session_id| write_error(lines, session_id, &payload));
        }
        self.last_line(write_end);
    }

    fn last_line(&mut self, write: impl FnOnce(&mut Vec<u8>, &str) -> Result<(), serde_json::Error>) {
        let start = self.lines.len();
        let written = write(&mut self.lines, &self.session_id);
        if written.is_err() || self.lines.len() - start > self.longest_line() {
            self.lines.truncate(start);
        }
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
