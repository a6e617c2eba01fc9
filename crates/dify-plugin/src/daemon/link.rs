//! A connection to a plugin, seen from the daemon: requests go out, and each line that comes back is handed to its session, in
//! the queue that the daemon would use for it.
//!
//! The reader never waits for a write. It waits for a session only where the daemon does: when a queue that blocks is full.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::frame::{Frame, Invoke, SessionMessage};
use super::observed::Observed;
use super::session::{Entry, Lines, Queue, Replies, SessionEvent, SessionEvents, pair, send};
use crate::codec::lines::{Line, LineDecoder};
use crate::runtime::serve::{serve_here, serve_io};
use crate::runtime::{Registry, ServeOptions};

/// Buffer size of the pipe to a plugin of this process, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

/// How long output is awaited that a process has written before its end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// How long output is read after the end of a process, when what it has started goes on to write.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(1);

/// Why a connection is closed whose process has ended while its output is held open.
const PROCESS_ENDED: &str = "the plugin's process has ended; a process that it started still holds its output";

/// Answers a call back of a session. It must not block; what takes time goes to a task of its own.
pub(crate) type Answering = Box<dyn Fn(&str, Invoke, Replies) + Send>;

/// Sees every line of a session before it is read. A failure closes the connection.
pub(crate) type Watching = Box<dyn FnMut(&str) -> Result<(), String> + Send>;

/// Sees every `log` line.
pub(crate) type Logging = Box<dyn Fn(&str) + Send>;

/// How a connection is read.
pub(crate) struct LinkOptions {
    /// Longest line that does not end the plugin.
    pub max_line_bytes: usize,
    /// How long a plugin may write nothing.
    pub idle_timeout: Option<Duration>,
    /// Completes when the plugin's process has ended. Its output may stay open: a process that it started may hold it.
    pub process_ended: Option<BoxFuture<'static, ()>>,
    /// Answers calls back.
    pub answering: Answering,
    /// Sees the lines of sessions.
    pub watching: Option<Watching>,
    /// Sees the `log` lines.
    pub logging: Option<Logging>,
}

/// A connection. Dropping it closes it.
pub(crate) struct Link {
    opener: Opener,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Deref for Link {
    type Target = Opener;

    fn deref(&self) -> &Opener {
        &self.opener
    }
}

/// Opens sessions on a connection, as long as there is one.
#[derive(Clone)]
pub(crate) struct Opener {
    opens: mpsc::UnboundedSender<Open>,
    lines: Lines,
    observed: Observed,
}

struct Open {
    session_id: String,
    entry: Entry,
}

impl Link {
    /// Reads and writes a connection to a plugin.
    pub(crate) fn over<R, W>(reader: R, writer: W, options: LinkOptions) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (opens, opened) = mpsc::unbounded_channel();
        let (lines, written) = mpsc::unbounded_channel();
        let observed = Observed::default();
        let reading = Reading { sessions: HashMap::new(), options, observed: observed.clone(), lines: lines.clone() };
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(reading.run(reader, opened))),
            AbortOnDropHandle::new(tokio::spawn(write(writer, written))),
        ];
        Self { opener: Opener { opens, lines, observed }, _tasks: tasks }
    }

    /// Serves a plugin of this process behind a pipe. On a runtime of one thread the plugin is served there too, so that its
    /// clock is the plugin's; otherwise the connection gets its own thread, as in production.
    pub(crate) fn in_process(registry: Arc<Registry>, serving: ServeOptions, options: LinkOptions) -> Self {
        let (plugin, daemon) = tokio::io::duplex(PIPE_BYTES);
        let (reader, writer) = tokio::io::split(plugin);
        let serving: BoxFuture<'static, io::Result<()>> = match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => Box::pin(serve_here(reader, writer, registry, serving)),
            _ => Box::pin(serve_io(reader, writer, registry, serving)),
        };
        let serving = tokio::spawn(async move { drop(serving.await) });
        let (reader, writer) = tokio::io::split(daemon);
        let mut link = Self::over(reader, writer, options);
        link._tasks.push(AbortOnDropHandle::new(serving));
        link
    }
}

impl Opener {
    /// Opens a session with this request line.
    pub(crate) fn open(&self, session_id: &str, request: &Value, queue: Queue) -> SessionEvents {
        let (entry, events) = pair(session_id, queue, &self.lines, &self.observed);
        // A connection that has ended drops the entry, which its events report.
        let _ = self.opens.send(Open { session_id: session_id.to_owned(), entry });
        send(&self.lines, request);
        events
    }

    /// Closes the plugin's input.
    pub(crate) fn close_input(&self) {
        let _ = self.lines.send(None);
    }

    /// Writes bytes as they are.
    pub(crate) fn write_bytes(&self, bytes: impl Into<Bytes>) {
        let _ = self.lines.send(Some(bytes.into()));
    }

    /// What was seen in addition to sessions.
    pub(crate) fn observed(&self) -> &Observed {
        &self.observed
    }
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut lines: mpsc::UnboundedReceiver<Option<Bytes>>) {
    while let Some(Some(line)) = lines.recv().await {
        if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
            // The reader reports that the plugin is gone.
            return;
        }
    }
    let _ = writer.shutdown().await;
}

struct Reading {
    sessions: HashMap<String, Entry>,
    options: LinkOptions,
    observed: Observed,
    lines: Lines,
}

impl Reading {
    async fn run<R: AsyncRead + Unpin>(mut self, mut reader: R, mut opened: mpsc::UnboundedReceiver<Open>) {
        let mut decoder = LineDecoder::new(self.options.max_line_bytes);
        let mut buffer = BytesMut::with_capacity(PIPE_BYTES);
        let mut process_ended = self.options.process_ended.take().unwrap_or_else(|| Box::pin(std::future::pending()));
        let mut drained: Option<Instant> = None;
        let reason = loop {
            let limit = match drained {
                Some(deadline) => Some(DRAIN_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()))),
                None => self.options.idle_timeout,
            };
            let idle = async {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            let read = tokio::select! {
                biased;
                Some(open) = opened.recv() => {
                    self.insert(open);
                    continue;
                }
                () = &mut process_ended, if drained.is_none() => {
                    drained = Some(Instant::now() + MAX_DRAIN_TIME);
                    continue;
                }
                read = reader.read_buf(&mut buffer) => read,
                () = idle => break match drained {
                    Some(_) => PROCESS_ENDED.to_owned(),
                    None => "the plugin wrote no heartbeat for too long, and the plugin daemon ends it".to_owned(),
                },
            };
            let mut lines = Vec::new();
            let is_over = match read {
                Ok(0) => {
                    decoder.finish(|line| lines.push(line));
                    Some("the plugin closed its output".to_owned())
                }
                Ok(_) => {
                    decoder.push(&buffer, |line| lines.push(line));
                    buffer.clear();
                    None
                }
                Err(error) => Some(format!("cannot read the plugin's output: {error}")),
            };
            let mut killed = None;
            for line in lines {
                while let Ok(open) = opened.try_recv() {
                    self.insert(open);
                }
                if let Err(reason) = self.take(line).await {
                    killed = Some(reason);
                    break;
                }
            }
            let late = drained.filter(|deadline| *deadline <= Instant::now()).map(|_| PROCESS_ENDED.to_owned());
            if let Some(reason) = killed.or(is_over).or(late) {
                break reason;
            }
        };
        self.observed.note(|seen| seen.closed = Some(reason.clone()));
        for entry in self.sessions.into_values() {
            entry.close(SessionEvent::Closed(reason.clone()));
        }
    }

    fn insert(&mut self, open: Open) {
        self.sessions.insert(open.session_id, open.entry);
    }

    async fn take(&mut self, line: Line) -> Result<(), String> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong { length, .. } => {
                return Err(format!(
                    "the plugin wrote a line of {length} bytes; above {} bytes (PLUGIN_RUNTIME_MAX_BUFFER_SIZE) the \
                     plugin daemon ends the process, and all of its sessions with it",
                    self.options.max_line_bytes
                ));
            }
        };
        let text = String::from_utf8_lossy(&line);
        let (session_id, message) = match Frame::parse(&line) {
            Frame::Heartbeat => {
                self.observed.note(|seen| seen.heartbeats += 1);
                return Ok(());
            }
            Frame::Log => {
                if let Some(logging) = &self.options.logging {
                    logging(&text);
                }
                return Ok(());
            }
            Frame::Unreadable(why) => {
                self.observed.drop_line(&text, &why);
                return Ok(());
            }
            Frame::Session(session_id, message) => (session_id, message),
        };
        if let Some(watching) = &mut self.options.watching {
            watching(&text)?;
        }
        let Some(entry) = self.sessions.get_mut(&session_id) else {
            self.observed.drop_line(&text, "no session is open under this ID");
            return Ok(());
        };
        let ending = match message {
            SessionMessage::Item(_) | SessionMessage::Error(_) if entry.error.is_some() => {
                SessionEvent::Closed("the plugin sent a message after the error of the session".to_owned())
            }
            SessionMessage::Item(item) => match entry.push(item, line.len()).await {
                None => return Ok(()),
                Some(reason) => {
                    send(&self.lines, &json!({"session_id": session_id, "event": "cancel"}));
                    SessionEvent::Closed(reason)
                }
            },
            SessionMessage::Error(error) => {
                entry.error = Some(error);
                return Ok(());
            }
            SessionMessage::Invoke(invoke) => {
                let replies = Replies::new(&self.lines, &session_id, &invoke.request_id, entry);
                (self.options.answering)(&session_id, invoke, replies);
                return Ok(());
            }
            SessionMessage::End => match entry.error.take() {
                Some(error) => SessionEvent::Failed(error),
                None => SessionEvent::Ended,
            },
            SessionMessage::Malformed(problem) => SessionEvent::Closed(problem),
        };
        if let Some(entry) = self.sessions.remove(&session_id) {
            entry.close(ending);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
