//! The only handle that can answer a request. It ends exactly once: `end` and `fail` consume it, and dropping it
//! un-ended sends an error and an end. Who stops a session from outside says by its [`Ending`] how it ends. Every line is
//! measured: what the host would not take is never written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;

use crate::error::{InvokeError, MAX_FIELD_BYTES, clip};
use crate::protocol::envelope::{ErrorNames, ErrorPayload, write_end, write_error, write_stream};
use crate::transport::line_queue::{Closed, LineSender, Room};

/// What a line that is too long needs; the setting is the daemon's, and read by the plugin too.
pub(super) const RAISE_THE_LIMIT: &str =
    "raise PLUGIN_STDIO_MAX_BUFFER_SIZE of Dify's plugin daemon, which the plugin follows";

/// Bytes that are collected before they must be handed on.
const FULL: usize = 64 * 1024;

/// Answers one session.
pub struct Responder {
    ending: Ending,
    lines: Vec<u8>,
    /// How the session ended by itself, once it did.
    outcome: Option<Outcome>,
}

/// How a session ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Well.
    Answered,
    /// With an error for the caller.
    Failed(InvokeError),
    /// Without a word more: the caller took its request back.
    Cancelled,
}

/// What all who may end a session share: whoever comes first writes its ending, and nothing is written after it.
#[derive(Clone)]
pub struct Ending(Arc<Shared>);

struct Shared {
    /// On stdio and TCP all sessions share one; over HTTP it is one response body.
    outlet: LineSender,
    session_id: Arc<str>,
    state: Mutex<State>,
}

struct State {
    provider: String,
    /// How errors are named, for what is no model.
    names: Option<ErrorNames>,
    written: bool,
    /// How the session is to end, when somebody stopped it.
    stopped: Option<Outcome>,
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

/// The host does not listen any more, or the session was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

impl From<Closed> for Disconnected {
    fn from(_: Closed) -> Self {
        Self
    }
}

impl Responder {
    /// A handle for a session; the provider's name stands in front of its error texts.
    pub fn new(outlet: LineSender, session_id: Arc<str>) -> Self {
        let state = State { provider: "plugin".to_owned(), names: None, written: false, stopped: None };
        let shared = Shared { outlet, session_id, state: Mutex::new(state) };
        Self { ending: Ending(Arc::new(shared)), lines: Vec::new(), outcome: None }
    }

    /// Names the provider in errors from here on.
    pub fn set_provider(&mut self, provider: &str) {
        self.ending.state().provider = clip(provider, MAX_FIELD_BYTES).into_owned();
    }

    /// Names errors in this manner from here on.
    pub fn set_error_names(&mut self, names: ErrorNames) {
        self.ending.state().names = Some(names);
    }

    /// The session's name.
    pub fn session_id(&self) -> &Arc<str> {
        &self.ending.0.session_id
    }

    /// The session's ending, for who may stop it.
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Collects one result item. An item that no line can carry is not collected.
    pub fn push<T: Serialize>(&mut self, item: &T) -> Result<(), Unsent> {
        let limit = self.max_line_bytes();
        let start = self.lines.len();
        write_stream(&mut self.lines, &self.ending.0.session_id, item)
            .map_err(|error| Unsent::Unwritable(error.to_string()))?;
        let length = self.lines.len() - start;
        if length > limit {
            self.lines.truncate(start);
            return Err(Unsent::TooLong { length, limit });
        }
        Ok(())
    }

    /// Longest line that the host takes.
    pub fn max_line_bytes(&self) -> usize {
        self.ending.0.outlet.max_line_bytes()
    }

    /// Bytes that a line of this item would take.
    pub fn length_of<T: Serialize>(&self, item: &T) -> usize {
        let mut line = Vec::new();
        let written = write_stream(&mut line, &self.ending.0.session_id, item);
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
        self.ending.0.outlet.is_full()
    }

    /// Waits until the writer has room for a batch, without giving it one.
    pub async fn room(&self) -> Result<(), Disconnected> {
        Ok(self.ending.0.outlet.room().await?)
    }

    /// Waits until the writer takes the collected lines. Cancelling loses nothing.
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
        let room = self.ending.0.outlet.reserve(self.lines.len()).await?;
        self.ending.queue(room, send, || std::mem::take(&mut self.lines)).map(Some)
    }

    /// Ends the session well.
    pub async fn end(mut self) -> Result<(), Disconnected> {
        self.outcome = Some(Outcome::Answered);
        // The ending itself is written by the drop.
        self.flush().await
    }

    /// Ends the session with an error.
    pub async fn fail(mut self, error: &InvokeError) -> Result<(), Disconnected> {
        self.outcome = Some(Outcome::Failed(error.clone()));
        self.flush().await
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let given_up = || {
            Outcome::Failed(InvokeError::internal(if std::thread::panicking() {
                "a fault of the plugin ended the call; the plugin's log says where"
            } else {
                "the call was given up before it was answered"
            }))
        };
        let stopped = self.ending.state().stopped.clone();
        let outcome = match (self.outcome.take(), stopped) {
            (_, Some(Outcome::Cancelled)) => Outcome::Cancelled,
            (Some(outcome), _) | (None, Some(outcome)) => outcome,
            (None, None) => given_up(),
        };
        self.ending.write(std::mem::take(&mut self.lines), &outcome);
    }
}

impl Ending {
    /// Says how the session ends if its reply is dropped un-ended; the first word stands.
    pub fn stop(&self, outcome: Outcome) {
        self.state().stopped.get_or_insert(outcome);
    }

    /// The session's name.
    pub fn session_id(&self) -> &Arc<str> {
        &self.0.session_id
    }

    /// Maximum length of a line that the daemon accepts.
    pub fn max_line_bytes(&self) -> usize {
        self.0.outlet.max_line_bytes()
    }

    /// Waits until the writer takes lines of the session that are no results. There are none after the ending.
    pub async fn send(&self, lines: Vec<u8>) -> Result<(), Disconnected> {
        let room = self.0.outlet.reserve(lines.len()).await?;
        self.queue(room, |room, lines| room.send(lines), || lines)
    }

    fn queue<T>(
        &self,
        room: Room<'_>,
        send: impl FnOnce(Room<'_>, Bytes) -> Result<T, Closed>,
        lines: impl FnOnce() -> Vec<u8>,
    ) -> Result<T, Disconnected> {
        // Held while the lines are queued, so that they never come after an ending.
        let state = self.state();
        if state.written {
            return Err(Disconnected);
        }
        Ok(send(room, Bytes::from(lines()))?)
    }

    /// How the session was stopped from outside.
    pub fn stopped(&self) -> Option<Outcome> {
        self.state().stopped.clone()
    }

    /// Ends a session that does not end by itself.
    pub fn force(&self) {
        if let Some(outcome) = self.stopped() {
            self.write(Vec::new(), &outcome);
        }
    }

    /// Writes the ending after the last lines, unless it was written.
    fn write(&self, mut lines: Vec<u8>, outcome: &Outcome) {
        let Shared { outlet, session_id, .. } = &*self.0;
        let mut state = self.state();
        if std::mem::replace(&mut state.written, true) {
            return;
        }
        let limit = outlet.max_line_bytes();
        // Both payloads are plain strings and small maps; writing them to memory does not fail. They are short, unless the
        // host made its session's id longer than its lines: then nothing can be said of that session.
        match outcome {
            Outcome::Answered => {}
            Outcome::Cancelled => lines.clear(),
            Outcome::Failed(error) => {
                let payload = match state.names {
                    Some(names) => ErrorPayload::named(names, error),
                    None => ErrorPayload::of(&state.provider, error),
                };
                last_line(&mut lines, limit, |lines| write_error(lines, session_id, &payload));
            }
        }
        last_line(&mut lines, limit, |lines| write_end(lines, session_id));
        outlet.send_last(Bytes::from(lines));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line, unless it is longer than the host takes.
fn last_line(lines: &mut Vec<u8>, limit: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>) {
    let start = lines.len();
    if write(lines).is_err() || lines.len() - start > limit {
        lines.truncate(start);
    }
}
