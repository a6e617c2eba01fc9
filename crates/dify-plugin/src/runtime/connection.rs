//! One connection to the plugin daemon: its reader, writer, heartbeat and sessions, and how they end.
//!
//! They live on a thread of their own, with a runtime of their own: whatever the sessions' work does to the threads
//! that it runs on, lines are read, sessions are ended in time and heartbeats are sent. The reader never waits for a
//! write, and nothing but the writer touches the output.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::registry::Registry;
use super::serve::{AtEnd, DaemonLine, Listener, ServeOptions};
use super::sessions::Sessions;
use crate::codec::lines::{Line, LineDecoder};
use crate::protocol::envelope::write_heartbeat;
use crate::purge;
use crate::transport::line_queue::{self, LineReceiver, LineSender};

/// Maximum number of batches of all sessions that are queued for the writer, and their maximum total size in bytes.
const QUEUE: (usize, u32) = (256, 8 * 1024 * 1024);

/// Maximum size of one write in bytes.
const MAX_WRITE_BYTES: usize = 256 * 1024;

/// Minimum length in bytes of a line after which memory is returned early.
const LARGE_LINE_BYTES: usize = 1024 * 1024;

/// Timeout for a connected daemon to read the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// A served connection. Dropping it closes the connection and stops its sessions.
pub struct Connection {
    /// Deadline of an ordered shutdown.
    shutdown: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Connection {
    /// Serves the streams that `open` returns. `open` is called on the connection's thread; sessions run on the
    /// caller's runtime. `listener` is called for each line.
    pub fn open<R, W>(
        open: impl FnOnce() -> io::Result<(R, W)> + Send + 'static,
        registry: Arc<Registry>,
        options: ServeOptions,
        listener: Listener,
    ) -> io::Result<Self>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let sessions = Sessions::new(registry, options, Handle::current());
        let (shutdown, mut orders) = watch::channel(None);
        let (finish, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("daemon".to_owned()).spawn(move || {
            let mut dropped = orders.clone();
            let outcome = runtime.block_on(async {
                let (reader, writer) = open()?;
                let serving = serve(reader, writer, sessions, options, listener, &mut orders);
                tokio::select! {
                    outcome = serving => outcome,
                    _ = dropped.wait_for(|_| false) => Ok(()),
                }
            });
            // Standard input is read on a thread that cannot be interrupted, so it is not waited for.
            runtime.shutdown_background();
            let _ = finish.send(outcome);
        })?;
        Ok(Self { shutdown, ended })
    }

    /// Waits until the connection ends.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(io::Error::other("the connection's thread failed")))
    }

    /// Ends the connection: new requests are rejected, open sessions may continue until `deadline` and then end with an
    /// error, and all lines are written. Without open sessions it ends immediately.
    pub async fn shutdown(mut self, deadline: Instant) -> io::Result<()> {
        self.shutdown.send_replace(Some(deadline));
        self.ended().await
    }
}

/// Serves on the current runtime, without the means to order a shutdown.
pub(super) async fn serve_here<R, W>(
    reader: R,
    writer: W,
    registry: Arc<Registry>,
    options: ServeOptions,
    listener: Listener,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let sessions = Sessions::new(registry, options, Handle::current());
    let (_shutdown, mut orders) = watch::channel(None);
    serve(reader, writer, sessions, options, listener, &mut orders).await
}

async fn serve<R, W>(
    reader: R,
    writer: W,
    sessions: Sessions,
    options: ServeOptions,
    listener: Listener,
    orders: &mut watch::Receiver<Option<Instant>>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (sender, queue) = line_queue::queue(QUEUE.0, QUEUE.1);
    let sender = sender.with_max_line_bytes(options.max_line_bytes);
    let last = CancellationToken::new();
    let writing = tokio::spawn(write(writer, queue, options.heartbeat, last.clone()));
    let mut writing = AbortOnDropHandle::new(writing);
    let collecting = purge::purge_this_thread();
    let reading = read(reader, options.max_input_bytes, &sessions, &sender, listener);
    let keeping = sessions.keep();
    tokio::pin!(reading, collecting, keeping);
    let (mut open, mut closing, mut deadline) = (true, false, None);
    loop {
        tokio::select! {
            biased;
            // A shutdown applies to every line that is read after it.
            Ok(order) = orders.wait_for(Option::is_some), if !closing => {
                (closing, deadline) = (true, *order);
                sessions.close();
            }
            () = sessions.idle(), if closing || !open => break,
            outcome = &mut reading, if open => {
                outcome?;
                if options.at_end == AtEnd::Drop {
                    return Ok(());
                }
                open = false;
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                deadline = None;
                sessions.end();
            }
            // The daemon closed the plugin's output, so no session can respond any more.
            written = &mut writing => return flat(written),
            () = &mut keeping => {}
            () = &mut collecting => {}
        }
    }
    last.cancel();
    tokio::select! {
        written = &mut writing => flat(written),
        () = shutdown_timeout(orders) => Ok(()),
    }
}

/// Completes some time after a shutdown was ordered, in case the daemon does not read.
async fn shutdown_timeout(orders: &mut watch::Receiver<Option<Instant>>) {
    let _ = orders.wait_for(Option::is_some).await;
    tokio::time::sleep(FLUSH_TIMEOUT).await;
}

fn flat(written: Result<io::Result<()>, JoinError>) -> io::Result<()> {
    written.unwrap_or_else(|error| Err(io::Error::other(format!("the writer failed: {error}"))))
}

async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    max_input_bytes: usize,
    sessions: &Sessions,
    sender: &LineSender,
    mut listener: Listener,
) -> io::Result<()> {
    let mut decoder = LineDecoder::new(max_input_bytes);
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let mut handle = |line: Line| match line {
        Line::Whole(line) => {
            if line.len() >= LARGE_LINE_BYTES {
                purge::purge_soon();
            }
            match sessions.take(line, sender) {
                Ok(()) => listener(DaemonLine::Envelope),
                Err(line) => listener(DaemonLine::Unparsed(&line)),
            }
        }
        Line::TooLong { head, tail, length } => sessions.reject_line(&head, &tail, length, sender),
    };
    while reader.read_buf(&mut buffer).await? > 0 {
        decoder.push(&buffer, &mut handle);
        buffer.clear();
        // What has ended meanwhile is written before more is read.
        tokio::task::yield_now().await;
    }
    decoder.finish(&mut handle);
    Ok(())
}

/// Writes until the queue ends, or, after `last` is cancelled, until the queue is empty. Errors keep their `ErrorKind`.
async fn write<W>(writer: W, queue: LineReceiver, heartbeat: Duration, last: CancellationToken) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot write to the plugin daemon: {error}"));
    write_queue(writer, queue, heartbeat, last).await.map_err(failed)
}

async fn write_queue<W>(
    mut writer: W,
    mut queue: LineReceiver,
    heartbeat: Duration,
    last: CancellationToken,
) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut beat = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    // The first heartbeat is written before everything else.
    write_heartbeat(&mut batch);
    let mut open = true;
    let mut reports = Vec::new();
    while open {
        writer.write_all(&batch).await?;
        writer.flush().await?;
        for report in reports.drain(..) {
            // A session that no longer waits for it needs none.
            let _: Result<(), ()> = oneshot::Sender::send(report, ());
        }
        batch.clear();
        batch.shrink_to(MAX_WRITE_BYTES);
        tokio::select! {
            biased;
            _ = beat.tick() => write_heartbeat(&mut batch),
            () = last.cancelled(), if !queue.is_closed() => queue.close(),
            lines = queue.recv() => match lines {
                Some(more) => {
                    batch.extend_from_slice(&more.lines);
                    reports.extend(more.written);
                }
                None => open = false,
            },
        }
        while batch.len() < MAX_WRITE_BYTES
            && let Ok(more) = queue.try_recv()
        {
            batch.extend_from_slice(&more.lines);
            reports.extend(more.written);
        }
    }
    Ok(())
}
