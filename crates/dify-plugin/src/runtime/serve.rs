//! Options for serving a connection to the plugin daemon, and a function that serves one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::warn;

use super::backwards::BackwardsOptions;
use super::connection::{self, Connection};
use super::registry::Registry;
use crate::transport::line_queue;

/// Options for serving a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Interval between heartbeats.
    pub heartbeat: Duration,
    /// Maximum number of concurrent sessions; further ones are queued.
    pub max_sessions: usize,
    /// Maximum duration of a session, including the time in the queue. The daemon times out after 600 s without
    /// notifying the plugin.
    pub max_session_time: Duration,
    /// Maximum line length in bytes that the daemon accepts.
    pub max_line_bytes: usize,
    /// Maximum length of an input line in bytes, far above the limit of the daemon.
    pub max_input_bytes: usize,
    /// Limits of calls back into Dify.
    pub backwards: BackwardsOptions,
    /// What to do at the end of the input.
    pub at_end: AtEnd,
}

/// What to do when the daemon closes the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtEnd {
    /// Finish the open sessions; no more requests will arrive.
    Finish,
    /// Drop the open sessions; the daemon has disconnected.
    Drop,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            max_sessions: 1000,
            max_session_time: Duration::from_secs(590),
            max_line_bytes: line_queue::MAX_LINE_BYTES,
            max_input_bytes: 256 * 1024 * 1024,
            backwards: BackwardsOptions::default(),
            at_end: AtEnd::Finish,
        }
    }
}

impl ServeOptions {
    /// Sets the interval between heartbeats.
    #[must_use]
    pub fn with_heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// Sets the maximum number of concurrent sessions.
    #[must_use]
    pub fn with_max_sessions(self, max_sessions: usize) -> Self {
        Self { max_sessions, ..self }
    }

    /// Sets the maximum duration of a session, including the time in the queue.
    #[must_use]
    pub fn with_max_session_time(self, max_session_time: Duration) -> Self {
        Self { max_session_time, ..self }
    }

    /// Sets the maximum line length in bytes that the daemon accepts.
    #[must_use]
    pub fn with_max_line_bytes(self, max_line_bytes: usize) -> Self {
        Self { max_line_bytes, ..self }
    }

    /// Sets the maximum length of an input line in bytes.
    #[must_use]
    pub fn with_max_input_bytes(self, max_input_bytes: usize) -> Self {
        Self { max_input_bytes, ..self }
    }
}

/// A line from the daemon.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DaemonLine<'a> {
    /// An envelope, or a malformed line with a session ID.
    Envelope,
    /// A line without a session.
    Unparsed(&'a [u8]),
}

/// Called for each line from the daemon.
pub type Listener = Box<dyn FnMut(DaemonLine<'_>) + Send>;

/// Serves a connection until the daemon closes its side. Dropping the future closes the connection and its sessions.
pub async fn serve_io<R, W>(reader: R, writer: W, registry: Arc<Registry>, options: ServeOptions) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Connection::open(move || Ok((reader, writer)), registry, options, logging())?.ended().await
}

/// Serves a connection on the caller's runtime instead of a thread of its own: only where no session blocks that runtime, as
/// when the runtime's clock is to count for the connection too.
pub(crate) async fn serve_here<R, W>(
    reader: R,
    writer: W,
    registry: Arc<Registry>,
    options: ServeOptions,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    connection::serve_here(reader, writer, registry, options, logging()).await
}

/// Returns a listener that logs lines without a session.
pub(super) fn logging() -> Listener {
    Box::new(|line| {
        if let DaemonLine::Unparsed(line) = line {
            warn!(bytes = line.len(), "cannot parse a line from the plugin daemon");
        }
    })
}
