//! A connection to a plugin line by line, for tests of the protocol itself: what a daemon writes that is malformed, reads late
//! or does not read at all. What the lines mean is for the test; a [`Host`](super::Host) knows it.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};

use super::envelope;
use crate::runtime::{Connection, Registry, ServeOptions};

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Bytes that the two sides of a pipe in memory may be ahead of each other.
const PIPE_BYTES: usize = 64 * 1024;

/// The daemon's side of a connection.
pub struct Wire {
    lines: Lines<BufReader<Reader>>,
    writer: Option<Writer>,
    connection: Option<Connection>,
}

impl Wire {
    /// Serves a plugin as in production: its connection is on a thread of its own, and its sessions run on the current
    /// runtime.
    pub fn serve(registry: impl Into<Arc<Registry>>, options: ServeOptions) -> io::Result<Self> {
        let (plugin, daemon) = tokio::io::duplex(PIPE_BYTES);
        let open = move || Ok(tokio::io::split(plugin));
        let connection = Connection::open(open, registry.into(), options, Box::new(|_| ()))?;
        let (reader, writer) = tokio::io::split(daemon);
        Ok(Self { connection: Some(connection), ..Self::over(reader, writer) })
    }

    /// Reads and writes these streams.
    pub fn over<R, W>(reader: R, writer: W) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let reader: Reader = Box::new(reader);
        Self { lines: BufReader::new(reader).lines(), writer: Some(Box::new(writer)), connection: None }
    }

    /// Writes a line.
    pub async fn send(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    /// Writes bytes as they are. A plugin that is gone, or whose input is closed, gets nothing.
    pub async fn write(&mut self, bytes: &[u8]) {
        if let Some(writer) = &mut self.writer
            && writer.write_all(bytes).await.is_ok()
        {
            let _ = writer.flush().await;
        }
    }

    /// Writes a request; `origin` are the further members of the envelope.
    pub async fn request(&mut self, session_id: &str, origin: Value, data: Value) {
        let origin = origin.as_object().cloned().unwrap_or_default();
        self.send(&envelope(session_id, &origin, data).to_string()).await;
    }

    /// Asks the plugin to stop a session.
    pub async fn cancel(&mut self, session_id: &str) {
        self.send(&json!({"session_id": session_id, "event": "cancel"}).to_string()).await;
    }

    /// The next line as it is; `None` at the end of the output.
    pub async fn next_line(&mut self) -> Option<String> {
        self.lines.next_line().await.ok().flatten()
    }

    /// The next line; null if it is not JSON, and `None` at the end of the output.
    pub async fn next(&mut self) -> Option<Value> {
        self.next_line().await.map(|line| serde_json::from_str(&line).unwrap_or_default())
    }

    /// Closes the plugin's input.
    pub async fn close_input(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            let _ = writer.shutdown().await;
        }
    }

    /// Stops reading. The plugin's input stays open until the returned value is dropped.
    pub fn hang_up(self) -> impl Sized + Send {
        self.writer
    }

    /// Takes the connection of a plugin that is served here, to shut it down or to drop it.
    pub fn take_connection(&mut self) -> Option<Connection> {
        self.connection.take()
    }
}
