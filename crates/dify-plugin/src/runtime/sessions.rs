//! The sessions of one connection, or of one HTTP server: places in order of arrival, one deadline from the arrival of
//! the request on, and every way in which a session can be stopped.
//!
//! A session is supervised where its connection lives and works elsewhere, so that no work can hold up its ending.
//! It is not known here what a session does, nor how bytes come and go.

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
use url::Url;

use super::backwards::{HttpCalls, OpenCalls, Waiters};
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
use crate::upstream::stats::CallStats;

/// How long a stopped session's work may take to let go before its ending is written without it.
const LET_GO: Duration = Duration::from_millis(50);

/// What a session hears when the process ends.
pub(super) fn shutting_down() -> InvokeError {
    InvokeError::server_unavailable("the plugin is shutting down").with_hint("Try again in a moment.")
}

/// Whether sessions may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// They may, and new ones are taken.
    Open,
    /// They may, but no new ones are taken.
    Closing,
    /// What is left ends with an error.
    Over,
    /// Nobody hears them any more.
    Disconnected,
}

/// How calls back into Dify are carried.
enum Carrier {
    /// By the connection that the sessions came by.
    Connection(Waiters),
    /// By requests of their own to the daemon at this URL.
    Http(Option<Url>),
}

/// Owns its sessions: dropping it stops what is left of them.
pub struct Sessions(Arc<Shared>);

struct Shared {
    registry: Arc<Registry>,
    options: ServeOptions,
    /// Where sessions work.
    workers: Handle,
    places: Places,
    carrier: Carrier,
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
    /// No session yet; they will work on `workers`.
    pub fn new(registry: Arc<Registry>, options: ServeOptions, workers: Handle) -> Self {
        let carrier = Carrier::Connection(Waiters::new(options.backwards));
        Self::carried(registry, options, workers, carrier)
    }

    /// The sessions of a server, which call Dify back at the daemon's URL.
    pub fn over_http(registry: Arc<Registry>, options: ServeOptions, workers: Handle, daemon: Option<Url>) -> Self {
        Self::carried(registry, options, workers, Carrier::Http(daemon))
    }

    fn carried(registry: Arc<Registry>, options: ServeOptions, workers: Handle, carrier: Carrier) -> Self {
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

    /// Takes a line from a host that speaks both ways. What is no envelope is given back.
    pub fn take(&self, line: Vec<u8>, outlet: &LineSender) -> Result<(), Vec<u8>> {
        match Read::of(&line) {
            Read::Request(session_id, payload) => self.start(self.turn(), session_id, payload.of(line), outlet),
            Read::Cancel(session_id) => self.cancel(&session_id),
            Read::BackwardsResponse => self.0.backwards_response(line),
            Read::Other => {}
            Read::Stray => return Err(line),
        }
        Ok(())
    }

    /// Takes a request from a host that speaks once: its place was waited for before its body was read.
    pub fn take_request(&self, turn: Turn, line: Vec<u8>, outlet: &LineSender) -> Result<(), NoRequest> {
        let Read::Request(session_id, payload) = Read::of(&line) else { return Err(NoRequest) };
        self.start(turn, session_id, payload.of(line), outlet);
        Ok(())
    }

    /// A line that was too long to be kept: who asked is told, if what is left of the line names the session.
    pub fn refuse_line(&self, head: &[u8], tail: &[u8], length: usize, outlet: &LineSender) {
        warn!(bytes = length, "a line from the host is too long and was dropped");
        if Inbound::salvage_event(head) == Some(InboundEvent::BackwardsResponse) {
            return self.0.broken_response(head);
        }
        if let Some(session_id) = Inbound::salvage_session_id(head).or_else(|| Inbound::salvage_last_session_id(tail)) {
            let error = InvokeError::bad_request(format!("the request is too long: {length} bytes"))
                .with_hint("Send fewer or smaller files at once.");
            refuse(Responder::new(outlet.clone(), Arc::from(session_id)), error);
        }
    }

    /// A turn for a request that arrives now: its deadline, and its place in the order of arrival.
    pub fn turn(&self) -> Turn {
        let mut place = self.0.places.acquire();
        // A semaphore is fair to those who asked: asking is what decides, so it is done here.
        let given = (&mut place).now_or_never().flatten();
        Turn { arrived: Instant::now(), awaited: given.is_none().then_some(place), place: given }
    }

    /// Longest line that the host takes.
    pub fn max_line_bytes(&self) -> usize {
        self.0.options.max_line_bytes
    }

    /// Waits for a turn's place, or for what keeps it from ever having one.
    pub async fn wait(&self, turn: &mut Turn, outlet: &LineSender) -> Result<(), Stop> {
        self.0.wait(turn, &CancellationToken::new(), outlet).await
    }

    /// Ends a request that never had its place.
    pub fn refuse(&self, session_id: &str, why: Stop, outlet: &LineSender) {
        if let Outcome::Failed(error) = self.0.outcome(why, false) {
            refuse(Responder::new(outlet.clone(), Arc::from(session_id)), error);
        }
    }

    /// From here on no session is taken.
    pub fn close(&self) {
        self.0.phase.send_if_modified(|phase| {
            *phase == Phase::Open && {
                *phase = Phase::Closing;
                true
            }
        });
    }

    /// Ends what is left with an error.
    pub fn end(&self) {
        self.0.phase.send_replace(Phase::Over);
    }

    /// Waits until no session is open, once none is taken any more.
    pub async fn idle(&self) {
        self.0.supervisors.close();
        self.0.supervisors.wait().await;
    }

    fn start(&self, turn: Turn, session_id: Arc<str>, payload: Result<Payload, String>, outlet: &LineSender) {
        let reply = Responder::new(outlet.clone(), session_id.clone());
        let payload = match payload {
            Ok(payload) => payload,
            Err(problem) => return refuse(reply, InvokeError::bad_request(problem)),
        };
        if *self.0.phase.borrow() != Phase::Open {
            return refuse(reply, shutting_down());
        }
        let span = logs::session(&session_id);
        // From here on: a caller that goes away while the session waits for its turn is told too.
        let log = SessionLog::start(reply.ending());
        let named = Named::new(self.0.clone(), session_id);
        let session = Session { turn, payload, reply, log, outlet: outlet.clone(), named };
        self.0.supervisors.spawn(supervise(self.0.clone(), session, span.clone()).instrument(span));
    }

    fn cancel(&self, session_id: &str) {
        let session_id: Arc<str> = Arc::from(session_id);
        let sessions = (session_id.clone(), 0)..=(session_id, u64::MAX);
        self.0.table().open.range(sessions).for_each(|(_, cancelled)| cancelled.cancel());
    }
}

/// A body that held no request.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body is no request envelope")]
pub struct NoRequest;

/// A line, read as far as its envelope.
enum Read {
    Request(Arc<str>, Found),
    Cancel(String),
    BackwardsResponse,
    Other,
    Stray,
}

/// Where a request's payload stands in its line, or what is wrong with the line; and where it comes from.
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
            // Its session is open and must not be ended for it.
            Err(_) if Inbound::salvage_event(line) == Some(InboundEvent::BackwardsResponse) => Self::BackwardsResponse,
            Err(error) => match Inbound::salvage_session_id(line) {
                Some(session_id) => {
                    let problem = format!("cannot read the request: {}", reason(&error));
                    Self::Request(Arc::from(session_id), Found { place: Err(problem), origin: Origin::default() })
                }
                None => Self::Stray,
            },
        }
    }
}

impl Found {
    fn of(self, line: Vec<u8>) -> Result<Payload, String> {
        self.place.map(|place| Payload::new(line, place).with_origin(self.origin))
    }
}

/// When a request came, and its place among those that may work at once.
pub struct Turn {
    arrived: Instant,
    awaited: Option<BoxFuture<'static, Option<Place>>>,
    place: Option<Place>,
}

/// Why a session does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its caller took it back.
    Cancelled,
    /// It took too long.
    Late,
    /// The process ends.
    Over,
    /// Nobody hears it any more.
    Unheard,
}

struct Session {
    turn: Turn,
    payload: Payload,
    reply: Responder,
    log: SessionLog,
    outlet: LineSender,
    named: Named,
}

/// Waits for the session's place, has it work, and ends it when it must be stopped.
async fn supervise(shared: Arc<Shared>, session: Session, span: Span) {
    let Session { mut turn, payload, mut reply, log, outlet, named } = session;
    let ending = reply.ending();
    let arrived = turn.arrived;
    let glance = turn.awaited.as_ref().and_then(|_| Glance::of(payload.json()));
    let missed = async {
        match &glance {
            Some(glance) => FirstToken::of_waiting(glance, arrived.into_std()).missed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        waited = shared.wait(&mut turn, &named.cancelled, &outlet) => if let Err(why) = waited {
            return ending.stop(shared.outcome(why, false));
        },
        error = missed => {
            reply.set_provider(glance.as_ref().map_or("plugin", |glance| &glance.provider));
            return ending.stop(Outcome::Failed(error));
        }
    }
    let calls = shared.calls(&ending, Lendable::new(turn.place.take()));
    let work = dispatch::answer(shared.registry.clone(), payload, arrived.into_std(), reply, log, calls.handle());
    let mut work = AbortOnDropHandle::new(shared.workers.spawn(work.instrument(span)));
    let why = tokio::select! {
        biased;
        ended = &mut work => {
            if ended.is_err_and(|error| error.is_panic()) {
                warn!("a session panicked and was ended with an error");
            }
            return;
        }
        why = shared.stopped(arrived, &named.cancelled, &outlet) => why,
    };
    ending.stop(shared.outcome(why, true));
    work.abort();
    // The work hands on what it made and ends itself when it is dropped; one that holds its thread is not waited for.
    if tokio::time::timeout(LET_GO, work).await.is_err() {
        ending.force();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls back into Dify of a session that begins to work.
    fn calls(&self, ending: &Ending, place: Lendable) -> OpenCalls {
        match &self.carrier {
            Carrier::Connection(waiters) => OpenCalls::new(waiters.session(ending.clone(), place.clone()), place),
            Carrier::Http(daemon) => {
                let session_id = ending.session_id().clone();
                let upstream = self.registry.upstream().for_session(&session_id, CallStats::default());
                let calls = HttpCalls::new(daemon.clone(), upstream, session_id, self.options.backwards, place.clone());
                OpenCalls::new(Arc::new(calls), place)
            }
        }
    }

    fn backwards_response(&self, line: Vec<u8>) {
        if let Carrier::Connection(waiters) = &self.carrier {
            waiters.take(line);
        }
    }

    fn broken_response(&self, line: &[u8]) {
        if let Carrier::Connection(waiters) = &self.carrier {
            waiters.take_broken(line);
        }
    }

    async fn wait(&self, turn: &mut Turn, cancelled: &CancellationToken, outlet: &LineSender) -> Result<(), Stop> {
        let Some(place) = &mut turn.awaited else { return Ok(()) };
        let place = tokio::select! {
            biased;
            why = self.stopped(turn.arrived, cancelled, outlet) => return Err(why),
            place = place => place,
        };
        (turn.awaited, turn.place) = (None, Some(place.ok_or(Stop::Unheard)?));
        Ok(())
    }

    async fn stopped(&self, arrived: Instant, cancelled: &CancellationToken, outlet: &LineSender) -> Stop {
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Stop::Cancelled,
            () = outlet.closed() => Stop::Unheard,
            phase = phase.wait_for(|phase| matches!(phase, Phase::Over | Phase::Disconnected)) => match phase.as_deref() {
                Ok(Phase::Over) => Stop::Over,
                _ => Stop::Unheard,
            },
            () = tokio::time::sleep_until(arrived + self.options.max_session_time) => Stop::Late,
        }
    }

    /// How a session ends that had its place, or had none yet.
    fn outcome(&self, why: Stop, worked: bool) -> Outcome {
        match why {
            Stop::Over => Outcome::Failed(shutting_down()),
            Stop::Late => {
                let limit = self.options.max_session_time.as_secs_f64();
                warn!(seconds = limit, worked, "a session was given up");
                Outcome::Failed(if worked {
                    InvokeError::connection(format!(
                        "the call was given up after {limit} s, the longest that one may take"
                    ))
                } else {
                    let places = self.options.max_sessions;
                    InvokeError::connection(format!(
                        "the call waited {limit} s for its turn, behind {places} others, and was never started"
                    ))
                    .with_hint("MAX_WORKER says how many calls run at once.")
                })
            }
            Stop::Cancelled => Outcome::Cancelled,
            Stop::Unheard => {
                debug!("the caller went away; its call is dropped");
                Outcome::Cancelled
            }
        }
    }
}

/// Answers a request with an error, at once.
fn refuse(reply: Responder, error: InvokeError) {
    let _session = logs::session(reply.session_id()).entered();
    let mut log = SessionLog::start(reply.ending());
    log.failed(&error);
    reply.ending().stop(Outcome::Failed(error));
}

/// The open sessions, for who takes a request back. Names may repeat.
#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<(Arc<str>, u64), CancellationToken>,
}

/// A session's line in the table, for as long as the session is open.
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
