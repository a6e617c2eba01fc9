//! The sessions of one connection or of one HTTP server: they are queued in order of arrival, have a deadline that
//! starts with the arrival of the request, and can be stopped for several reasons.
//!
//! A session is stopped on its connection's thread and runs on other threads, so that its work cannot delay its ending.
//! One that ends by itself costs its connection's thread nothing but its start: all deadlines have one timer,
//! [`Sessions::keep`]. This module does not know what a session does, or how bytes are transported.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, warn};

use super::backwards::{Carrier, OpenCalls, Waiters};
use super::dispatch;
use super::first_token::FirstToken;
use super::logs;
use super::places::{Lendable, Place, Places, Queued};
use super::received::Received;
use super::registry::Registry;
use super::responder::{Ending, Outcome, Responder};
use super::serve::ServeOptions;
use super::session_log::SessionLog;
use crate::error::InvokeError;
use crate::plugin::dify::Backwards;
use crate::protocol::{Glance, Inbound, InboundEvent, Payload};
use crate::transport::line_queue::LineSender;

/// How long a stopped session may take to end by itself before its ending is written.
const ABORT_TIMEOUT: Duration = Duration::from_millis(50);

/// Error of sessions that are ended because the process ends.
pub(super) fn shutting_down() -> InvokeError {
    InvokeError::server_unavailable("the plugin is shutting down").with_hint("Try again in a moment.")
}

/// Which sessions may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// All, including new ones.
    Open,
    /// Open ones only.
    Closing,
    /// None; open sessions end with an error.
    ShuttingDown,
    /// None; the daemon has disconnected.
    Disconnected,
}

/// Owner of the sessions; dropping it stops them.
pub struct Sessions(Arc<Shared>);

struct Shared {
    registry: Arc<Registry>,
    options: ServeOptions,
    /// Runtime on which sessions run.
    workers: Handle,
    places: Places,
    /// Transport of calls back into Dify.
    carrier: Box<dyn Carrier>,
    table: Mutex<Table>,
    phase: watch::Sender<Phase>,
    /// Something is due earlier than [`Table::due`] was.
    earlier: Notify,
    /// The last open session has ended.
    empty: Notify,
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.0.stop_all(Phase::Disconnected, Stop::Disconnected);
    }
}

impl Sessions {
    /// Creates the sessions of a connection; they run on `workers`.
    pub fn new(registry: Arc<Registry>, options: ServeOptions, workers: Handle) -> Self {
        let carrier = Box::new(Waiters::new(options.backwards));
        Self::with_carrier(registry, options, workers, carrier)
    }

    /// Creates sessions whose calls back into Dify are carried in another manner.
    pub(super) fn with_carrier(
        registry: Arc<Registry>,
        options: ServeOptions,
        workers: Handle,
        carrier: Box<dyn Carrier>,
    ) -> Self {
        Self(Arc::new(Shared {
            places: Places::new(options.max_sessions),
            registry,
            options,
            workers,
            carrier,
            table: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
            earlier: Notify::new(),
            empty: Notify::new(),
        }))
    }

    /// Ends sessions in time, for as long as it is polled; never completes.
    pub async fn keep(&self) {
        loop {
            let due = self.0.end_overdue(Instant::now());
            tokio::select! {
                () = self.0.earlier.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Handles a line of a bidirectional connection. Returns the line if it is not an envelope.
    pub fn take(&self, line: Vec<u8>, sender: &LineSender) -> Result<(), Vec<u8>> {
        match Received::of(&line) {
            Received::Request(session_id, payload) => {
                self.start(self.turn(), session_id, payload.of(line), sender);
            }
            Received::Cancel(session_id) => self.0.cancel(session_id),
            Received::BackwardsResponse(data) => self.0.carrier.take(line, data),
            Received::BrokenResponse => self.0.carrier.take_broken(&line),
            Received::Other => {}
            Received::Unparsed => return Err(line),
        }
        Ok(())
    }

    /// Starts a session for the body of an HTTP request. Its turn was awaited before its body was read.
    pub fn take_request(&self, turn: Turn, line: Vec<u8>, sender: &LineSender) -> Result<Client, NotARequest> {
        let Received::Request(session_id, payload) = Received::of(&line) else { return Err(NotARequest) };
        Ok(Client(self.start(turn, session_id, payload.of(line), sender).map(|key| (self.0.clone(), key))))
    }

    /// Rejects a line that was too long to be kept. The session gets an error if a remaining part of the line contains
    /// its ID.
    pub fn reject_line(&self, head: &[u8], tail: &[u8], length: usize, sender: &LineSender) {
        warn!(bytes = length, "line from the plugin daemon too long; dropped");
        if Inbound::salvage_event(head) == Some(InboundEvent::BackwardsResponse) {
            return self.0.carrier.take_broken(head);
        }
        if let Some(session_id) = Inbound::salvage_session_id(head).or_else(|| Inbound::salvage_last_session_id(tail)) {
            let error = InvokeError::bad_request(format!("the request is too large: {length} bytes"))
                .with_hint("Send fewer or smaller files per request.");
            reject(Responder::new(sender.clone(), Arc::from(session_id)), error);
        }
    }

    /// Returns the turn of a request that arrives now, with its deadline and its place in the queue.
    pub fn turn(&self) -> Turn {
        Turn { arrived: Instant::now(), place: self.0.places.acquire() }
    }

    /// Returns the maximum line length in bytes that the daemon accepts.
    pub fn max_line_bytes(&self) -> usize {
        self.0.options.max_line_bytes
    }

    /// Waits for a turn's place. Returns an error if the request is stopped before.
    pub async fn wait(&self, turn: &mut Turn) -> Result<(), Stop> {
        let Err(place) = &mut turn.place else { return Ok(()) };
        let mut phase = self.0.phase.subscribe();
        let place = tokio::select! {
            biased;
            phase = phase.wait_for(|phase| matches!(phase, Phase::ShuttingDown | Phase::Disconnected)) => {
                return Err(match phase.as_deref() {
                    Ok(Phase::ShuttingDown) => Stop::ShuttingDown,
                    _ => Stop::Disconnected,
                });
            }
            () = tokio::time::sleep_until(turn.arrived + self.0.options.max_session_time) => return Err(Stop::TimedOut),
            place = place => place,
        };
        turn.place = Ok(place.ok_or(Stop::Disconnected)?);
        Ok(())
    }

    /// Rejects a request that was stopped before its turn.
    pub fn reject(&self, session_id: &str, reason: Stop, sender: &LineSender) {
        if let Outcome::Failed(error) = self.0.outcome(reason, false) {
            reject(Responder::new(sender.clone(), Arc::from(session_id)), error);
        }
    }

    /// Stops accepting sessions.
    pub fn close(&self) {
        self.0.phase.send_if_modified(|phase| {
            *phase == Phase::Open && {
                *phase = Phase::Closing;
                true
            }
        });
    }

    /// Ends all open sessions with an error.
    pub fn end(&self) {
        self.0.stop_all(Phase::ShuttingDown, Stop::ShuttingDown);
    }

    /// Waits until no session is open.
    pub async fn idle(&self) {
        let empty = self.0.empty.notified();
        tokio::pin!(empty);
        empty.as_mut().enable();
        if !self.0.table().open.is_empty() {
            empty.await;
        }
    }

    fn start(
        &self,
        turn: Turn,
        session_id: Arc<str>,
        payload: Result<Payload, String>,
        sender: &LineSender,
    ) -> Option<Key> {
        let mut responder = Responder::new(sender.clone(), session_id.clone());
        let payload = match payload {
            Ok(payload) => payload,
            Err(problem) => {
                reject(responder, InvokeError::bad_request(problem));
                return None;
            }
        };
        let (calls, next) = match turn.place {
            Ok(place) => {
                let calls = self.0.calls(responder.ending(), place);
                let handle = calls.handle();
                (Some(calls), Ok(handle))
            }
            Err(queued) => (None, Err(queued)),
        };
        let Some(key) = self.0.open(turn.arrived, responder.ending(), calls) else {
            reject(responder, shutting_down());
            return None;
        };
        responder.hold(Guard { shared: self.0.clone(), key: key.clone() });
        let span = logs::session(&session_id);
        // The log starts here, so that a request that is cancelled in the queue is logged too.
        let log = SessionLog::start(responder.ending().clone());
        let session = Session { payload, arrived: turn.arrived, responder, log, span };
        match next {
            Ok(calls) => session.run(&self.0, calls),
            Err(queued) => session.queue(self.0.clone(), key.clone(), queued),
        }
        Some(key)
    }
}

/// A session that is not at work yet.
struct Session {
    payload: Payload,
    arrived: Instant,
    responder: Responder,
    log: SessionLog,
    span: Span,
}

impl Session {
    /// Runs on the workers.
    fn run(self, shared: &Shared, calls: Arc<dyn Backwards>) {
        let Self { payload, arrived, responder, log, span } = self;
        let ending = responder.ending().clone();
        let work = dispatch::respond(shared.registry.clone(), payload, arrived.into_std(), responder, log, calls);
        ending.set_task(shared.workers.spawn(work.instrument(span)).abort_handle());
    }

    /// Waits on the connection's thread for a place, then runs.
    fn queue(mut self, shared: Arc<Shared>, key: Key, queued: Queued) {
        let (ending, span) = (self.responder.ending().clone(), self.span.clone());
        let waiting = async move {
            let glance = Glance::of(self.payload.json());
            let expired = async {
                match &glance {
                    Some(glance) => FirstToken::of_waiting(glance, self.arrived.into_std()).expired().await,
                    None => std::future::pending().await,
                }
            };
            let place = tokio::select! {
                biased;
                place = queued => place,
                error = expired => {
                    self.responder.set_provider(glance.as_ref().map_or("plugin", |glance| &glance.provider));
                    return self.responder.ending().stop(Outcome::Failed(error));
                }
            };
            let Some(place) = place else { return };
            let calls = shared.calls(self.responder.ending(), place);
            let handle = calls.handle();
            // Not locked while it runs: what is spawned may be dropped at once, and that closes the session.
            let is_open = shared.table().open.get_mut(&key).map(|open| open.calls = Some(calls)).is_some();
            if is_open {
                self.run(&shared, handle);
            }
        };
        ending.set_task(tokio::spawn(waiting.instrument(span)).abort_handle());
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the calls back into Dify of a session that starts.
    fn calls(&self, ending: &Ending, place: Place) -> OpenCalls {
        let place = Lendable::new(Some(place));
        OpenCalls::new(self.carrier.open(ending, place.clone()), place)
    }

    /// Opens a session, unless no more are accepted.
    fn open(&self, arrived: Instant, ending: &Ending, calls: Option<OpenCalls>) -> Option<Key> {
        let due = arrived + self.options.max_session_time;
        let mut table = self.table();
        if *self.phase.borrow() != Phase::Open {
            return None;
        }
        table.next += 1;
        let key = (ending.session_id().clone(), table.next);
        table.open.insert(key.clone(), Open { ending: ending.clone(), due, is_stopped: false, calls });
        self.expect(&mut table, due);
        Some(key)
    }

    /// Closes a session that has ended, if it is still open.
    fn close(&self, key: &Key) {
        let mut table = self.table();
        let closed = table.open.remove(key);
        if table.open.is_empty() {
            self.empty.notify_waiters();
        }
        drop(table);
        drop(closed);
    }

    /// Has the keeper act at this time at the latest.
    fn expect(&self, table: &mut Table, due: Instant) {
        if table.due.is_none_or(|known| due < known) {
            table.due = Some(due);
            self.earlier.notify_one();
        }
    }

    fn cancel(&self, session_id: Arc<str>) {
        let sessions = (session_id.clone(), 0)..=(session_id, u64::MAX);
        let mut table = self.table();
        let stopped = table.open.range_mut(sessions).filter_map(|(_, open)| open.stop()).collect();
        self.stop(table, stopped, Stop::Cancelled);
    }

    fn stop_all(&self, phase: Phase, reason: Stop) {
        self.phase.send_replace(phase);
        let mut table = self.table();
        let stopped = table.open.values_mut().filter_map(Open::stop).collect();
        self.stop(table, stopped, reason);
    }

    /// Stops sessions of the table.
    fn stop(&self, mut table: MutexGuard<'_, Table>, stopped: Vec<Stopped>, reason: Stop) {
        if !stopped.is_empty() {
            self.expect(&mut table, Instant::now() + ABORT_TIMEOUT);
        }
        drop(table);
        for Stopped { ending, had_started } in stopped {
            let _session = logs::session(ending.session_id()).entered();
            ending.stop(self.outcome(reason, had_started));
        }
    }

    /// Stops the sessions whose time is over, and writes the endings of those that were stopped and do not end. Returns
    /// when this is to be done again.
    fn end_overdue(&self, now: Instant) -> Option<Instant> {
        let mut table = self.table();
        let forced: Vec<_> = table.open.extract_if(.., |_, open| open.is_stopped && open.due <= now).collect();
        let late = table.open.values_mut().filter(|open| open.due <= now).filter_map(Open::stop).collect();
        if !forced.is_empty() && table.open.is_empty() {
            self.empty.notify_waiters();
        }
        self.stop(table, late, Stop::TimedOut);
        // A dropped session flushes its lines and writes its ending. One that blocks its thread is not waited for.
        forced.iter().for_each(|(_, open)| open.ending.force());
        drop(forced);
        let mut table = self.table();
        table.due = table.open.values().map(|open| open.due).min();
        table.due
    }

    /// Returns how a stopped session ends. `started` is false if it was still queued.
    fn outcome(&self, reason: Stop, started: bool) -> Outcome {
        match reason {
            Stop::ShuttingDown => Outcome::Failed(shutting_down()),
            Stop::TimedOut => {
                let limit = self.options.max_session_time.as_secs_f64();
                warn!(seconds = limit, started, "session timed out");
                Outcome::Failed(if started {
                    InvokeError::connection(format!(
                        "the call timed out after {limit} s, the maximum duration of a call"
                    ))
                    .with_hint("Dify itself ends a session after 600 s, and each call back into Dify after 240 s.")
                } else {
                    let places = self.options.max_sessions;
                    InvokeError::connection(format!(
                        "the call waited {limit} s behind {places} other calls and was not started"
                    ))
                    .with_hint("MAX_WORKER is the maximum number of concurrent calls.")
                })
            }
            Stop::Cancelled => Outcome::Cancelled,
            Stop::Disconnected => {
                debug!("client disconnected; cancelling its call");
                Outcome::Cancelled
            }
        }
    }
}

/// Responds to a request with an error immediately.
fn reject(responder: Responder, error: InvokeError) {
    let _session = logs::session(responder.session_id()).entered();
    let mut log = SessionLog::start(responder.ending().clone());
    log.failed(&error);
    responder.ending().stop(Outcome::Failed(error));
}

/// A body that is not a request.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body is not a request envelope")]
pub struct NotARequest;

/// Arrival time of a request, and its place among the concurrent sessions.
pub struct Turn {
    arrived: Instant,
    place: Result<Place, Queued>,
}

/// Why a session is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The caller cancelled it.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// The process ends.
    ShuttingDown,
    /// The daemon or client has disconnected.
    Disconnected,
}

/// Names a session: its ID, which may repeat, and its number.
type Key = (Arc<str>, u64);

/// The open sessions. One that has ended is no longer among them.
#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<Key, Open>,
    /// When the keeper acts next.
    due: Option<Instant>,
}

struct Open {
    ending: Ending,
    /// When it is stopped, or if it was stopped already, ended without waiting for it.
    due: Instant,
    is_stopped: bool,
    /// Its calls back into Dify, once it has started.
    calls: Option<OpenCalls>,
}

struct Stopped {
    ending: Ending,
    had_started: bool,
}

impl Open {
    /// Marks a session as stopped, the first time.
    fn stop(&mut self) -> Option<Stopped> {
        if std::mem::replace(&mut self.is_stopped, true) {
            return None;
        }
        self.due = Instant::now() + ABORT_TIMEOUT;
        Some(Stopped { ending: self.ending.clone(), had_started: self.calls.is_some() })
    }
}

/// Held by a session's responder: closes the session after its ending.
struct Guard {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            warn!("session panicked; ended with an error");
        }
        self.shared.close(&self.key);
    }
}

/// The client that reads a session's response. Dropping it before the end cancels the session.
pub struct Client(Option<(Arc<Shared>, Key)>);

impl Drop for Client {
    fn drop(&mut self) {
        if let Some((shared, key)) = &self.0 {
            let mut table = shared.table();
            let stopped = table.open.get_mut(key).and_then(Open::stop).into_iter().collect();
            shared.stop(table, stopped, Stop::Disconnected);
        }
    }
}
