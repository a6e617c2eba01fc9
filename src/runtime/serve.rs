//! Serves one connection to the host: one reader, one writer, a task per session.
//!
//! The reader never waits for a write, and nothing but the writer touches the output: it puts whole lines together into
//! one write and sends the heartbeats itself, so that no session can starve them.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, warn};

use super::dispatch;
use super::logs;
use super::registry::Registry;
use super::reply::Reply;
use super::session_log::SessionLog;
use crate::codec::lines::{Line, LineDecoder};
use crate::error::InvokeError;
use crate::protocol::envelope::write_heartbeat;
use crate::protocol::lenient::reason;
use crate::protocol::{Inbound, InboundEvent};
use crate::transport::outlet::{self, Outlet, Queue};

/// Batches that wait for the writer, of all sessions together, and their bytes.
const QUEUE: (usize, u32) = (256, 8 * 1024 * 1024);

/// Bytes of one write.
const WRITE: usize = 256 * 1024;

/// Longest line that is read; far above what the daemon lets through.
const LONGEST_INPUT: usize = 256 * 1024 * 1024;

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Sessions at once; more wait for their turn.
    pub most_sessions: usize,
    /// Longest session; the daemon gives up after 600 s without telling the plugin.
    pub longest_session: Duration,
    /// Longest line that the host takes.
    pub longest_line: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            most_sessions: 1000,
            longest_session: Duration::from_secs(590),
            longest_line: outlet::LONGEST_LINE,
        }
    }
}

/// Serves a connection until the host closes its side; open sessions are finished first.
pub async fn serve_io<R, W>(reader: R, writer: W, registry: Arc<Registry>, options: ServeOptions) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stray = |line: &[u8]| warn!(bytes = line.len(), "a line from the host cannot be read");
    serve_with(reader, writer, registry, options, Arc::new(stray)).await
}

/// Takes a line that belongs to no session.
pub type Stray = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Like [`serve_io`]; lines that are no envelope go to `stray`.
pub async fn serve_with<R, W>(
    reader: R,
    writer: W,
    registry: Arc<Registry>,
    options: ServeOptions,
    stray: Stray,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (outlet, queue) = outlet::queue(QUEUE.0, QUEUE.1);
    let outlet = outlet.with_longest_line(options.longest_line);
    let mut writing = tokio::spawn(write(writer, queue, options.heartbeat));
    let sessions = Sessions { stray, ..Sessions::new(registry, options) };
    tokio::select! {
        read = read(reader, &sessions, outlet) => {
            read?;
            sessions.finish().await;
        }
        // The host closed our output: nobody hears the sessions any more.
        written = &mut writing => return written.unwrap_or(Ok(())),
    }
    writing.await.unwrap_or(Ok(()))
}

/// Starts a task per request and waits for all of them at the end.
#[derive(Clone)]
pub struct Sessions {
    registry: Arc<Registry>,
    options: ServeOptions,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stray: Stray,
}

impl Sessions {
    /// No session yet.
    pub fn new(registry: Arc<Registry>, options: ServeOptions) -> Self {
        let places = Arc::new(Semaphore::new(options.most_sessions.max(1)));
        let stray: Stray = Arc::new(|_| ());
        Self { registry, options, places, tasks: TaskTracker::new(), stray }
    }

    /// Takes a line from the host; what is a request starts a session that answers through `outlet`.
    pub fn take(&self, line: Vec<u8>, outlet: &Outlet) {
        let (session_id, problem) = match Inbound::parse(&line) {
            Ok(inbound) => match inbound.event {
                InboundEvent::Request if inbound.data.is_some() => (Arc::from(inbound.session_id), None),
                InboundEvent::Request => (Arc::from(inbound.session_id), Some("the request has no `data`".to_owned())),
                // A model plugin calls nobody back, so nothing waits for these.
                InboundEvent::BackwardsResponse | InboundEvent::Other(_) => return,
            },
            Err(error) => match Inbound::salvage_session_id(&line) {
                Some(session_id) => {
                    (Arc::from(session_id), Some(format!("cannot read the request: {}", reason(&error))))
                }
                None => return (self.stray)(&line),
            },
        };
        let reply = Reply::new(outlet.clone(), session_id);
        match problem {
            None => self.start(line, reply),
            Some(problem) => self.refuse(reply, InvokeError::bad_request(problem)),
        }
    }

    /// A line that was too long to be kept: who asked is told, if the line's beginning names the session.
    fn refuse_line(&self, head: &[u8], length: usize, outlet: &Outlet) {
        warn!(bytes = length, "a line from the host is too long and was dropped");
        if let Some(session_id) = Inbound::salvage_session_id(head) {
            let problem = format!("the request is too long: {length} bytes");
            let reply = Reply::new(outlet.clone(), Arc::from(session_id));
            self.refuse(reply, InvokeError::bad_request(problem).with_hint("Send fewer or smaller files at once."));
        }
    }

    /// Answers a request with an error.
    fn refuse(&self, reply: Reply, error: InvokeError) {
        let span = logs::session(reply.session_id());
        let refusal = async move {
            let mut log = SessionLog::start();
            log.failed(&error);
            drop(log);
            let _ = reply.fail(&error).await;
        };
        self.tasks.spawn(refusal.instrument(span));
    }

    fn start(&self, line: Vec<u8>, reply: Reply) {
        let this = self.clone();
        let session_id = reply.session_id().clone();
        let span = logs::session(&session_id);
        // From here on: a caller that goes away while the session waits for its turn is told too.
        let log = SessionLog::start();
        let session = async move {
            let Ok(_place) = this.places.clone().acquire_owned().await else { return };
            this.answer(line, reply, log).await;
        };
        // A panic ends this session only; the reply's drop tells the caller.
        let guarded = AssertUnwindSafe(session).catch_unwind().map(move |outcome| {
            if outcome.is_err() {
                warn!(session_id = %session_id, "a session panicked and was ended with an error");
            }
        });
        self.tasks.spawn(guarded.instrument(span));
    }

    async fn answer(self, line: Vec<u8>, reply: Reply, log: SessionLog) {
        let outlet = reply.outlet();
        let Ok(inbound) = Inbound::parse(&line) else { return };
        let data = inbound.data.map_or("{}", |data| data.get());
        let work = dispatch::answer(self.registry, data, reply, log);
        tokio::select! {
            () = Box::pin(work) => {}
            () = outlet.closed() => debug!("the caller went away; its upstream call is dropped"),
            () = tokio::time::sleep(self.options.longest_session) => {
                warn!(seconds = self.options.longest_session.as_secs(), "a session was given up");
            }
        }
    }

    /// Waits for the open sessions.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn read<R: AsyncRead + Unpin>(mut reader: R, sessions: &Sessions, outlet: Outlet) -> io::Result<()> {
    let mut decoder = LineDecoder::new(LONGEST_INPUT);
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let take = |line: Line| match line {
        Line::Whole(line) => sessions.take(line, &outlet),
        Line::TooLong { head, length } => sessions.refuse_line(&head, length, &outlet),
    };
    while reader.read_buf(&mut buffer).await? > 0 {
        decoder.push(&buffer, take);
        buffer.clear();
    }
    decoder.finish(take);
    Ok(())
}

/// Writes until the queue ends; an error keeps its kind.
async fn write<W: AsyncWrite + Unpin>(writer: W, queue: Queue, heartbeat: Duration) -> io::Result<()> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot write to the host: {error}"));
    write_queue(writer, queue, heartbeat).await.map_err(failed)
}

async fn write_queue<W: AsyncWrite + Unpin>(mut writer: W, mut queue: Queue, heartbeat: Duration) -> io::Result<()> {
    let mut beat = tokio::time::interval(heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    let mut open = true;
    while open {
        tokio::select! {
            biased;
            _ = beat.tick() => write_heartbeat(&mut batch),
            lines = queue.recv() => match lines {
                Some(more) => batch.extend_from_slice(&more.lines),
                None => open = false,
            },
        }
        while batch.len() < WRITE
            && let Ok(more) = queue.try_recv()
        {
            batch.extend_from_slice(&more.lines);
        }
        writer.write_all(&batch).await?;
        writer.flush().await?;
        batch.clear();
        batch.shrink_to(WRITE);
    }
    Ok(())
}
