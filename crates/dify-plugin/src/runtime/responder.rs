//! The only handle that can respond to a request. It ends exactly once: `end` and `fail` consume it, and dropping it
//! before that sends an error and an end. A session is stopped from outside through its [`Ending`]. Lines that are
//! longer than the daemon accepts are never written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{InvokeError, MAX_FIELD_BYTES, clip};
use crate::protocol::envelope::{ErrorNames, ErrorPayload, write_end, write_error, write_stream};
use crate::protocol::text_line::TextLine;
use crate::transport::line_queue::{Closed, LineSender, Room, Space};

/// Hint for a line that is too long. The setting belongs to the daemon; the plugin reads it too.
pub(super) const RAISE_THE_LIMIT: &str =
    "raise PLUGIN_STDIO_MAX_BUFFER_SIZE of Dify's plugin daemon; the plugin uses the same limit";

/// Size in bytes from which collected lines must be flushed.
const FULL_BYTES: usize = 64 * 1024;

/// Bytes of a short item and the ending.
const USUAL_LINES_BYTES: usize = 256;

/// Writes the response of one session.
pub struct Responder {
    ending: Ending,
    lines: Vec<u8>,
    /// Space for the lines, once it was waited for.
    space: Option<Space>,
    /// Outcome of a session that ended on its own.
    outcome: Option<Outcome>,
    /// Dropped after the ending is written.
    held: Option<Box<dyn Send + Sync>>,
}

/// How a session ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Successfully.
    Completed,
    /// With an error for the caller.
    Failed(InvokeError),
    /// Without further output: the caller cancelled its request.
    Cancelled,
}

/// Shared by everything that may end a session. The first caller writes the ending, and nothing is written after it.
#[derive(Clone)]
pub struct Ending(Arc<Shared>);

struct Shared {
    /// Shared by all sessions on stdio and TCP; one response body over HTTP.
    sender: LineSender,
    session_id: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For errors; `plugin` until it is known.
    provider: Option<String>,
    /// How errors are named, for what is no model.
    names: Option<ErrorNames>,
    written: bool,
    /// How the session ends if it is stopped from outside.
    stopped: Option<Outcome>,
    /// What owns the responder, and is aborted then.
    task: Option<AbortHandle>,
}

/// Why an item was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsent {
    /// It does not fit into a line that the daemon accepts.
    TooLong {
        /// Length of its line in bytes.
        length: usize,
        /// Maximum line length in bytes.
        limit: usize,
    },
    /// It cannot be serialized.
    Unserializable(String),
}

impl From<Unsent> for InvokeError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::TooLong { length, limit } => Self::bad_request(format!(
                "a result of {length} bytes exceeds the line limit of the plugin protocol ({limit} bytes)"
            ))
            .with_hint(format!("Request less at once, or {RAISE_THE_LIMIT}.")),
            Unsent::Unserializable(why) => Self::internal(format!("cannot serialize the response: {why}")),
        }
    }
}

/// The daemon has disconnected, or the session was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl From<Closed> for Disconnected {
    fn from(_: Closed) -> Self {
        Self
    }
}

impl Responder {
    /// Creates the handle of a session. Error messages are prefixed with the provider name.
    pub fn new(sender: LineSender, session_id: Arc<str>) -> Self {
        let shared = Shared { sender, session_id, state: Mutex::default() };
        Self { ending: Ending(Arc::new(shared)), lines: Vec::new(), space: None, outcome: None, held: None }
    }

    /// Keeps a value until the ending is written.
    pub fn hold(&mut self, value: impl Send + Sync + 'static) {
        self.held = Some(Box::new(value));
    }

    /// Sets the provider name for errors.
    pub fn set_provider(&mut self, provider: &str) {
        self.ending.state().provider = Some(clip(provider, MAX_FIELD_BYTES).into_owned());
    }

    /// Sets the error names of the session's access type.
    pub fn set_error_names(&mut self, names: ErrorNames) {
        self.ending.state().names = Some(names);
    }

    /// Returns the session ID.
    pub fn session_id(&self) -> &Arc<str> {
        &self.ending.0.session_id
    }

    /// Returns the ending, to stop the session from outside.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Collects a result item. An item that does not fit into a line is not collected.
    pub fn push<T: Serialize>(&mut self, item: &T) -> Result<(), Unsent> {
        self.lines.reserve(USUAL_LINES_BYTES);
        self.push_line(|lines, session_id| write_stream(lines, session_id, item))
    }

    /// Collects a text delta.
    pub fn push_text(&mut self, line: &TextLine, index: u64, text: &str) -> Result<(), Unsent> {
        self.push_line(|lines, _| {
            line.write(lines, index, text);
            Ok(())
        })
    }

    fn push_line(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &str) -> Result<(), serde_json::Error>,
    ) -> Result<(), Unsent> {
        let (limit, start) = (self.max_line_bytes(), self.lines.len());
        write(&mut self.lines, &self.ending.0.session_id).map_err(|error| Unsent::Unserializable(error.to_string()))?;
        let length = self.lines.len() - start;
        if length > limit {
            self.lines.truncate(start);
            return Err(Unsent::TooLong { length, limit });
        }
        Ok(())
    }

    /// Returns the maximum line length in bytes that the daemon accepts.
    pub fn max_line_bytes(&self) -> usize {
        self.ending.0.sender.max_line_bytes()
    }

    /// Returns the length in bytes of a line with this item.
    pub fn length_of<T: Serialize>(&self, item: &T) -> usize {
        let mut line = Vec::with_capacity(USUAL_LINES_BYTES);
        let written = write_stream(&mut line, &self.ending.0.session_id, item);
        written.map_or(usize::MAX, |()| line.len())
    }

    /// Whether the collected lines should be flushed before more are added.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= FULL_BYTES
    }

    /// Whether there are collected lines.
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the writer lags behind, so that there is no space for another batch.
    pub fn is_lagging(&self) -> bool {
        self.ending.0.sender.is_full()
    }

    /// Waits until the writer has space for a batch.
    pub async fn room(&self) -> Result<(), Disconnected> {
        Ok(self.ending.0.sender.room().await?)
    }

    /// Passes the collected lines to the writer, and waits for space if necessary. Cancelling it loses no lines.
    pub async fn flush(&mut self) -> Result<(), Disconnected> {
        self.hand_over(|room, lines| room.send(lines)).await.map(drop)
    }

    /// Waits until the collected lines are written.
    pub async fn flush_written(&mut self) -> Result<(), Disconnected> {
        if let Some(report) = self.hand_over(|room, lines| room.send_reported(lines)).await? {
            // A report that is dropped comes from a writer that takes lines as it sends them.
            let _ = report.await;
        }
        Ok(())
    }

    async fn hand_over<T>(
        &mut self,
        send: impl FnOnce(Room<'_>, Bytes) -> Result<T, Closed>,
    ) -> Result<Option<T>, Disconnected> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let room = self.ending.0.sender.reserve(self.lines.len()).await?;
        self.ending.queue(room, send, || std::mem::take(&mut self.lines)).map(Some)
    }

    /// Ends the session successfully.
    pub async fn end(mut self) -> Result<(), Disconnected> {
        self.outcome = Some(Outcome::Completed);
        self.finish().await
    }

    /// Ends the session with an error.
    pub async fn fail(mut self, error: &InvokeError) -> Result<(), Disconnected> {
        self.outcome = Some(Outcome::Failed(error.clone()));
        self.finish().await
    }

    /// Waits for space for the collected lines; `drop` writes them together with the ending.
    async fn finish(mut self) -> Result<(), Disconnected> {
        if !self.lines.is_empty() {
            self.space = Some(self.ending.0.sender.reserve_last(self.lines.len()).await?);
        }
        Ok(())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let aborted = || {
            Outcome::Failed(InvokeError::internal(if std::thread::panicking() {
                "an internal error of the plugin ended the call; see the plugin's log"
            } else {
                "the call was aborted before it completed"
            }))
        };
        let stopped = self.ending.state().stopped.clone();
        let outcome = match (self.outcome.take(), stopped) {
            (_, Some(Outcome::Cancelled)) => Outcome::Cancelled,
            (Some(outcome), _) | (None, Some(outcome)) => outcome,
            (None, None) => aborted(),
        };
        self.ending.write(std::mem::take(&mut self.lines), self.space.take(), &outcome);
    }
}

impl Ending {
    /// Sets how the session ends if its responder is dropped before it ended, and aborts the task that owns it. Only the
    /// first call has an effect.
    pub fn stop(&self, outcome: Outcome) {
        let mut state = self.state();
        if state.stopped.is_none() {
            state.stopped = Some(outcome);
            let task = state.task.take();
            drop(state);
            task.iter().for_each(AbortHandle::abort);
        }
    }

    /// Names the task that owns the responder. A session that was stopped before is aborted now.
    pub fn set_task(&self, task: AbortHandle) {
        let mut state = self.state();
        if state.stopped.is_some() {
            drop(state);
            task.abort();
        } else if !state.written {
            state.task = Some(task);
        }
    }

    /// Returns the session ID.
    pub fn session_id(&self) -> &Arc<str> {
        &self.0.session_id
    }

    /// Returns the maximum line length in bytes that the daemon accepts.
    pub fn max_line_bytes(&self) -> usize {
        self.0.sender.max_line_bytes()
    }

    /// Passes other lines of the session to the writer, and waits for space if necessary. Fails after the ending.
    ///
    /// A plugin may leave this future alone while it awaits something else. Space is given in order, and what is given to a
    /// future that is not polled is lost for all sessions, so a task waits for it.
    pub async fn send(&self, lines: Vec<u8>) -> Result<(), Disconnected> {
        if let Some(room) = self.0.sender.try_reserve(lines.len()) {
            return self.queue(room, |room, lines| room.send(lines), || lines);
        }
        let ending = self.clone();
        let waiting = tokio::spawn(async move {
            let room = ending.0.sender.reserve(lines.len()).await?;
            ending.queue(room, |room, lines| room.send(lines), || lines)
        });
        AbortOnDropHandle::new(waiting).await.unwrap_or(Err(Disconnected))
    }

    fn queue<T>(
        &self,
        room: Room<'_>,
        send: impl FnOnce(Room<'_>, Bytes) -> Result<T, Closed>,
        lines: impl FnOnce() -> Vec<u8>,
    ) -> Result<T, Disconnected> {
        // Locked while the lines are queued, so that they never follow an ending.
        let state = self.state();
        if state.written {
            return Err(Disconnected);
        }
        Ok(send(room, Bytes::from(lines()))?)
    }

    /// Returns how the session was stopped from outside.
    pub fn stopped(&self) -> Option<Outcome> {
        self.state().stopped.clone()
    }

    /// Ends a stopped session whose responder is not dropped.
    pub fn force(&self) {
        if let Some(outcome) = self.stopped() {
            self.write(Vec::new(), None, &outcome);
        }
    }

    /// Writes the ending after the last lines, unless it was already written.
    fn write(&self, mut lines: Vec<u8>, space: Option<Space>, outcome: &Outcome) {
        let Shared { sender, session_id, .. } = &*self.0;
        let mut state = self.state();
        if std::mem::replace(&mut state.written, true) {
            return;
        }
        // It would keep the memory of the task.
        state.task = None;
        let limit = sender.max_line_bytes();
        // Both payloads consist of strings and small maps, so serializing them does not fail. They are short, unless
        // the daemon's session ID is longer than its line limit; then nothing can be sent for that session.
        match outcome {
            Outcome::Completed => {}
            Outcome::Cancelled => lines.clear(),
            Outcome::Failed(error) => {
                let payload = match state.names {
                    Some(names) => ErrorPayload::named(names, error),
                    None => ErrorPayload::of(state.provider.as_deref().unwrap_or("plugin"), error),
                };
                last_line(&mut lines, limit, |lines| write_error(lines, session_id, &payload));
            }
        }
        last_line(&mut lines, limit, |lines| write_end(lines, session_id));
        sender.send_last(Bytes::from(lines), space);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line, unless it is longer than the daemon accepts.
fn last_line(lines: &mut Vec<u8>, limit: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>) {
    let start = lines.len();
    if write(lines).is_err() || lines.len() - start > limit {
        lines.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::transport::line_queue::queue;

    #[tokio::test]
    async fn lines_go_out_though_the_plugin_awaits_something_else() {
        let (sender, mut lines) = queue(10, 100);
        let responder = Responder::new(sender.clone(), Arc::from("s"));
        sender.reserve(100).await.unwrap().send(Bytes::from(vec![b'x'; 100])).unwrap();
        let mut left_alone = Box::pin(responder.ending().send(vec![b'y'; 60]));
        assert!(timeout(Duration::ZERO, &mut left_alone).await.is_err());
        assert_eq!(lines.recv().await.unwrap().lines.len(), 100);
        let next = timeout(Duration::from_secs(60), lines.recv()).await;
        assert_eq!(next.unwrap().unwrap().lines.len(), 60);
        left_alone.await.unwrap();
    }
}
