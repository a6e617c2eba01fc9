//! One connection to the host: its reader, its writer, its heartbeat and its sessions, with one way to end them all.
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

/// Batches that wait for the writer, of all sessions together, and their bytes.
const QUEUE: (usize, u32) = (256, 8 * 1024 * 1024);

/// Bytes of one write.
const WRITE: usize = 256 * 1024;

/// Bytes of a line whose memory is worth giving back at once.
const MUCH: usize = 1024 * 1024;

/// How long a host that is still there may take to read the last lines.
const FLUSH: Duration = Duration::from_secs(2);

/// A connection that is served; dropping it closes it and stops its sessions.
pub struct Connection {
    /// When to end; nothing while it is served.
    orders: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Connection {
    /// Serves what `open` gives, which is called where it is served. Sessions work on the caller's runtime. Lines that
    /// read are told to `listener`.
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
        let (orders, mut received) = watch::channel(None);
        let (tell, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("host".to_owned()).spawn(move || {
            let mut dropped = received.clone();
            let outcome = runtime.block_on(async {
                let (reader, writer) = open()?;
                let serving = serve(reader, writer, sessions, options, listener, &mut received);
                tokio::select! {
                    outcome = serving => outcome,
                    _ = dropped.wait_for(|_| false) => Ok(()),
                }
            });
            // Standard input is read on a thread that cannot be interrupted; nobody waits for it.
            runtime.shutdown_background();
            let _ = tell.send(outcome);
        })?;
        Ok(Self { orders, ended })
    }

    /// Waits until the connection has ended.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(io::Error::other("the connection's thread failed")))
    }

    /// Ends the connection: new requests are refused, open sessions may go on until `deadline`, what is left then is
    /// ended with an error, and everything is written. Without an open session it ends at once.
    pub async fn shutdown(mut self, deadline: Instant) -> io::Result<()> {
        self.orders.send_replace(Some(deadline));
        self.ended().await
    }
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
    let (outlet, queue) = line_queue::queue(QUEUE.0, QUEUE.1);
    let outlet = outlet.with_longest_line(options.max_line_bytes);
    let last = CancellationToken::new();
    let writing = tokio::spawn(write(writer, queue, options.heartbeat, last.clone()));
    let mut writing = AbortOnDropHandle::new(writing);
    let collecting = purge::purge_this_thread();
    let reading = read(reader, options.max_input_bytes, &sessions, &outlet, listener);
    tokio::pin!(reading, collecting);
    let (mut open, mut closing, mut deadline) = (true, false, None);
    loop {
        tokio::select! {
            biased;
            // What was ordered counts for every line that is read from then on.
            Ok(order) = orders.wait_for(Option::is_some), if !closing => {
                (closing, deadline) = (true, *order);
                sessions.close();
            }
            () = sessions.idle(), if closing || !open => break,
            read = &mut reading, if open => {
                read?;
                if options.at_end == AtEnd::Drop {
                    return Ok(());
                }
                open = false;
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                deadline = None;
                sessions.end();
            }
            // The host closed our output: nobody hears the sessions any more.
            written = &mut writing => return flat(written),
            () = &mut collecting => {}
        }
    }
    last.cancel();
    tokio::select! {
        written = &mut writing => flat(written),
        () = ordered_and_waited(orders) => Ok(()),
    }
}

/// A process that is to end waits for a host that does not read, but not for long.
async fn ordered_and_waited(orders: &mut watch::Receiver<Option<Instant>>) {
    let _ = orders.wait_for(Option::is_some).await;
    tokio::time::sleep(FLUSH).await;
}

fn flat(written: Result<io::Result<()>, JoinError>) -> io::Result<()> {
    written.unwrap_or_else(|error| Err(io::Error::other(format!("the writer failed: {error}"))))
}

async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    max_input_bytes: usize,
    sessions: &Sessions,
    outlet: &LineSender,
    mut listener: Listener,
) -> io::Result<()> {
    let mut decoder = LineDecoder::new(max_input_bytes);
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let mut take = |line: Line| match line {
        Line::Whole(line) => {
            if line.len() >= MUCH {
                purge::purge_soon();
            }
            match sessions.take(line, outlet) {
                Ok(()) => listener(DaemonLine::Envelope),
                Err(line) => listener(DaemonLine::Stray(&line)),
            }
        }
        Line::TooLong { head, tail, length } => sessions.refuse_line(&head, &tail, length, outlet),
    };
    while reader.read_buf(&mut buffer).await? > 0 {
        decoder.push(&buffer, &mut take);
        buffer.clear();
    }
    decoder.finish(&mut take);
    Ok(())
}

/// Writes until the queue ends, or until the last line after `last`; an error keeps its kind.
async fn write<W>(writer: W, queue: LineReceiver, heartbeat: Duration, last: CancellationToken) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot write to the host: {error}"));
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
    // The first beat comes before everything else, however quick a session is.
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
        batch.shrink_to(WRITE);
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
        while batch.len() < WRITE
            && let Ok(more) = queue.try_recv()
        {
            batch.extend_from_slice(&more.lines);
            reports.extend(more.written);
        }
    }
    Ok(())
}
