//! The sessions of one connection or of one HTTP server: they are queued in order of arrival, have a deadline that
//! starts with the arrival of the request, and can be stopped for several reasons.
//!
//! A session is supervised on its connection's thread and runs on other threads, so that its work cannot delay its
//! ending. This module does not know what a session does, or how bytes are transported.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument, Span, debug, warn};

use super::backwards::{Carrier, OpenCalls, Waiters};
use super::dispatch;
use super::first_token::FirstToken;
use super::logs;
use super::places::{Lendable, Place, Places};
use super::registry::Registry;
use super::responder::{Ending, Outcome, Responder};
use super::serve::ServeOptions;
use super::session_log::SessionLog;
use crate::error::InvokeError;
use crate::protocol::envelope::Origin;
use crate::protocol::lenient::reason;
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
    supervisors: TaskTracker,
    table: Mutex<Table>,
    phase: watch::Sender<Phase>,
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.0.phase.send_replace(Phase::Disconnected);
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
            supervisors: TaskTracker::new(),
            table: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
        }))
    }

    /// Handles a line of a bidirectional connection. Returns the line if it is not an envelope.
    pub fn take(&self, line: Vec<u8>, sender: &LineSender) -> Result<(), Vec<u8>> {
        match Read::of(&line) {
            Read::Request(session_id, payload) => self.start(self.turn(), session_id, payload.of(line), sender),
            Read::Cancel(session_id) => self.cancel(&session_id),
            Read::BackwardsResponse => self.0.carrier.take(line),
            Read::Other => {}
            Read::Unparsed => return Err(line),
        }
        Ok(())
    }

    /// Starts a session for the body of an HTTP request. Its turn was awaited before its body was read.
    pub fn take_request(&self, turn: Turn, line: Vec<u8>, sender: &LineSender) -> Result<(), NotARequest> {
        let Read::Request(session_id, payload) = Read::of(&line) else { return Err(NotARequest) };
        self.start(turn, session_id, payload.of(line), sender);
        Ok(())
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
        let mut place = self.0.places.acquire();
        // The semaphore's order is the order of the first polls, so it is polled here.
        let acquired = (&mut place).now_or_never().flatten();
        Turn { arrived: Instant::now(), awaited: acquired.is_none().then_some(place), place: acquired }
    }

    /// Returns the maximum line length in bytes that the daemon accepts.
    pub fn max_line_bytes(&self) -> usize {
        self.0.options.max_line_bytes
    }

    /// Waits for a turn's place. Returns an error if the request is stopped before.
    pub async fn wait(&self, turn: &mut Turn, sender: &LineSender) -> Result<(), Stop> {
        self.0.wait(turn, &CancellationToken::new(), sender).await
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
        self.0.phase.send_replace(Phase::ShuttingDown);
    }

    /// Waits until no session is open. No sessions may be started after this call.
    pub async fn idle(&self) {
        self.0.supervisors.close();
        self.0.supervisors.wait().await;
    }

    fn start(&self, turn: Turn, session_id: Arc<str>, payload: Result<Payload, String>, sender: &LineSender) {
        let responder = Responder::new(sender.clone(), session_id.clone());
        let payload = match payload {
            Ok(payload) => payload,
            Err(problem) => return reject(responder, InvokeError::bad_request(problem)),
        };
        if *self.0.phase.borrow() != Phase::Open {
            return reject(responder, shutting_down());
        }
        let span = logs::session(&session_id);
        // The log starts here, so that a request that is cancelled in the queue is logged too.
        let log = SessionLog::start(responder.ending());
        let named = Named::new(self.0.clone(), session_id);
        let session = Session { turn, payload, responder, log, sender: sender.clone(), named };
        self.0.supervisors.spawn(supervise(self.0.clone(), session, span.clone()).instrument(span));
    }

    fn cancel(&self, session_id: &str) {
        let session_id: Arc<str> = Arc::from(session_id);
        let sessions = (session_id.clone(), 0)..=(session_id, u64::MAX);
        self.0.table().open.range(sessions).for_each(|(_, cancelled)| cancelled.cancel());
    }
}

/// A body that is not a request.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body is not a request envelope")]
pub struct NotARequest;

/// A line whose envelope was parsed.
enum Read {
    Request(Arc<str>, Found),
    Cancel(String),
    BackwardsResponse,
    Other,
    Unparsed,
}

/// Range of a request's payload in its line, or why the line is invalid; and the origin of the request.
struct Found {
    place: Result<Range<usize>, String>,
    origin: Origin,
}

impl Read {
    fn of(line: &[u8]) -> Self {
        match Inbound::parse(line) {
            Ok(inbound) => match inbound.event {
                InboundEvent::Request => {
                    let place = inbound.payload_in(line).ok_or_else(|| "the request has no `data`".to_owned());
                    let origin = inbound.origin();
                    Self::Request(Arc::from(inbound.session_id), Found { place, origin })
                }
                InboundEvent::Cancel => Self::Cancel(inbound.session_id.into_owned()),
                InboundEvent::BackwardsResponse => Self::BackwardsResponse,
                InboundEvent::Other(_) => Self::Other,
            },
            // Its session is open and must not end because of it.
            Err(_) if Inbound::salvage_event(line) == Some(InboundEvent::BackwardsResponse) => Self::BackwardsResponse,
            Err(error) => match Inbound::salvage_session_id(line) {
                Some(session_id) => {
                    let problem = format!("cannot parse the request: {}", reason(&error));
                    Self::Request(Arc::from(session_id), Found { place: Err(problem), origin: Origin::default() })
                }
                None => Self::Unparsed,
            },
        }
    }
}

impl Found {
    fn of(self, line: Vec<u8>) -> Result<Payload, String> {
        self.place.map(|place| Payload::new(line, place).with_origin(self.origin))
    }
}

/// Arrival time of a request, and its place among the concurrent sessions.
pub struct Turn {
    arrived: Instant,
    awaited: Option<BoxFuture<'static, Option<Place>>>,
    place: Option<Place>,
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

struct Session {
    turn: Turn,
    payload: Payload,
    responder: Responder,
    log: SessionLog,
    sender: LineSender,
    named: Named,
}

/// Waits for the session's place, runs it, and ends it if it must be stopped.
async fn supervise(shared: Arc<Shared>, session: Session, span: Span) {
    let Session { mut turn, payload, mut responder, log, sender, named } = session;
    let ending = responder.ending();
    let arrived = turn.arrived;
    let glance = turn.awaited.as_ref().and_then(|_| Glance::of(payload.json()));
    let expired = async {
        match &glance {
            Some(glance) => FirstToken::of_waiting(glance, arrived.into_std()).expired().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        outcome = shared.wait(&mut turn, &named.cancelled, &sender) => if let Err(reason) = outcome {
            return ending.stop(shared.outcome(reason, false));
        },
        error = expired => {
            responder.set_provider(glance.as_ref().map_or("plugin", |glance| &glance.provider));
            return ending.stop(Outcome::Failed(error));
        }
    }
    let calls = shared.calls(&ending, Lendable::new(turn.place.take()));
    let work = dispatch::respond(shared.registry.clone(), payload, arrived.into_std(), responder, log, calls.handle());
    let mut work = AbortOnDropHandle::new(shared.workers.spawn(work.instrument(span)));
    let reason = tokio::select! {
        biased;
        ended = &mut work => {
            if ended.is_err_and(|error| error.is_panic()) {
                warn!("session panicked; ended with an error");
            }
            return;
        }
        reason = shared.stopped(arrived, &named.cancelled, &sender) => reason,
    };
    ending.stop(shared.outcome(reason, true));
    work.abort();
    // A dropped session flushes its lines and writes its ending. One that blocks its thread is not waited for.
    if tokio::time::timeout(ABORT_TIMEOUT, work).await.is_err() {
        ending.force();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the calls back into Dify of a session that starts.
    fn calls(&self, ending: &Ending, place: Lendable) -> OpenCalls {
        OpenCalls::new(self.carrier.open(ending, place.clone()), place)
    }

    async fn wait(&self, turn: &mut Turn, cancelled: &CancellationToken, sender: &LineSender) -> Result<(), Stop> {
        let Some(place) = &mut turn.awaited else { return Ok(()) };
        let place = tokio::select! {
            biased;
            reason = self.stopped(turn.arrived, cancelled, sender) => return Err(reason),
            place = place => place,
        };
        (turn.awaited, turn.place) = (None, Some(place.ok_or(Stop::Disconnected)?));
        Ok(())
    }

    async fn stopped(&self, arrived: Instant, cancelled: &CancellationToken, sender: &LineSender) -> Stop {
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Stop::Cancelled,
            () = sender.closed() => Stop::Disconnected,
            phase = phase.wait_for(|phase| matches!(phase, Phase::ShuttingDown | Phase::Disconnected)) => match phase.as_deref() {
                Ok(Phase::ShuttingDown) => Stop::ShuttingDown,
                _ => Stop::Disconnected,
            },
            () = tokio::time::sleep_until(arrived + self.options.max_session_time) => Stop::TimedOut,
        }
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
    let mut log = SessionLog::start(responder.ending());
    log.failed(&error);
    responder.ending().stop(Outcome::Failed(error));
}

/// Open sessions by session ID, to cancel them. IDs may repeat.
#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<(Arc<str>, u64), CancellationToken>,
}

/// A session's entry in the table, which is removed when the session ends.
struct Named {
    shared: Arc<Shared>,
    key: (Arc<str>, u64),
    cancelled: CancellationToken,
}

impl Named {
    fn new(shared: Arc<Shared>, session_id: Arc<str>) -> Self {
        let cancelled = CancellationToken::new();
        let mut table = shared.table();
        table.next += 1;
        let key = (session_id, table.next);
        table.open.insert(key.clone(), cancelled.clone());
        drop(table);
        Self { shared, key, cancelled }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.shared.table().open.remove(&self.key);
    }
}
