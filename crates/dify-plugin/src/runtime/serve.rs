//! How a connection to the host is served, and the short way to serve one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::warn;

use super::backwards::BackwardsOptions;
use super::connection::Connection;
use super::registry::Registry;
use crate::transport::line_queue;

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Sessions at once; more wait for their turn.
    pub max_sessions: usize,
    /// Longest session, its wait for a turn included; the daemon gives up after 600 s without telling the plugin.
    pub max_session_time: Duration,
    /// Longest line that the host takes.
    pub max_line_bytes: usize,
    /// Longest line that is read; far above what the daemon lets through.
    pub max_input_bytes: usize,
    /// Limits of calls back into Dify.
    pub backwards: BackwardsOptions,
    /// What the end of the host's input means.
    pub at_end: AtEnd,
}

/// What the end of the host's input means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// No more requests: open sessions are finished.
    Finish,
    /// The host is gone, and nobody hears the open sessions.
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

/// What came from the host.
#[derive(Clone, Copy, Debug)]
pub enum DaemonLine<'a> {
    /// An envelope, or a line that tells whose it was.
    Envelope,
    /// A line that belongs to no session.
    Stray(&'a [u8]),
}

/// Is told of each line from the host.
pub type Listener = Box<dyn FnMut(DaemonLine<'_>) + Send>;

/// Serves a connection until the host closes its side. Dropping the future closes the connection and its sessions.
pub async fn serve_io<R, W>(reader: R, writer: W, registry: Arc<Registry>, options: ServeOptions) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Connection::open(move || Ok((reader, writer)), registry, options, logging())?.ended().await
}

/// Tells the log of lines that belong to no session.
pub(super) fn logging() -> Listener {
    Box::new(|heard| {
        if let DaemonLine::Stray(line) = heard {
            warn!(bytes = line.len(), "a line from the host cannot be read");
        }
    })
}
