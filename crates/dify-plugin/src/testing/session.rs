//! One session as the caller of Dify sees it: its items as they come, at the caller's pace, within Dify's limits.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::Failure;
use super::calls::Kind;
use super::rules::Rules;
use crate::daemon::{Queue, SessionError, SessionEvent, SessionEvents};

/// How long the daemon serves a session: `PLUGIN_MAX_EXECUTION_TIMEOUT`.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(600);

/// How soon after the first part of a body the end of its session cuts off the rest.
const RACE_WINDOW: Duration = Duration::from_millis(1);

/// A call that goes on. Dropping it disconnects the caller: Dify answers its calls back no longer, and the plugin is not
/// notified.
pub struct Session {
    id: String,
    events: SessionEvents,
    rules: Rules,
    queue: Queue,
    reader_delay: Duration,
    race: Race,
    deadline: Instant,
    is_over: bool,
}

/// The state of the daemon's race between the first part of a body and the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Race {
    Off,
    Waiting,
    Lost,
}

/// How a session is read.
pub(super) struct Reading {
    pub(super) kind: Kind,
    pub(super) queue: Queue,
    pub(super) reader_delay: Duration,
    pub(super) races: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.events.forget();
    }
}

impl Session {
    pub(super) fn new(id: String, events: SessionEvents, reading: Reading) -> Self {
        let Reading { kind, queue, reader_delay, races } = reading;
        let race = if races && kind == Kind::Endpoint { Race::Waiting } else { Race::Off };
        let (rules, deadline) = (Rules::new(kind), Instant::now() + SESSION_TIMEOUT);
        Self { id, events, rules, queue, reader_delay, race, deadline, is_over: false }
    }

    /// Names the session, as in `Call::session_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Asks the plugin to stop, as a daemon does that knows how to.
    pub fn cancel(&self) {
        self.events.cancel();
    }

    /// The next item; `None` after the end. A failure is the last.
    pub async fn next(&mut self) -> Option<Result<Value, Failure>> {
        if self.is_over {
            return None;
        }
        if !self.reader_delay.is_zero() {
            sleep(self.reader_delay).await;
        }
        let next = match timeout_at(self.deadline, self.events.next()).await {
            Ok(event) => self.take(event).await,
            Err(_) => Some(Err(Failure::dify(format!(
                "killed by timeout: Dify ends a session after {} s (PLUGIN_MAX_EXECUTION_TIMEOUT)",
                SESSION_TIMEOUT.as_secs()
            )))),
        };
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }

    /// All items to the end.
    pub async fn collect(self) -> Result<Vec<Value>, Failure> {
        let (items, ending) = self.finish().await;
        ending.map(|()| items)
    }

    /// All items to the end, and how the session ended.
    pub async fn finish(mut self) -> (Vec<Value>, Result<(), Failure>) {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            match item {
                Ok(item) => items.push(item),
                Err(failure) => return (items, Err(failure)),
            }
        }
        (items, Ok(()))
    }

    async fn take(&mut self, event: SessionEvent) -> Option<Result<Value, Failure>> {
        let item = match event {
            SessionEvent::Item(item) => item,
            SessionEvent::Failed(SessionError { kind, message, args }) => {
                return Some(Err(Failure { kind, message, args }));
            }
            SessionEvent::Ended => return self.end().err().map(Err),
            SessionEvent::Closed(reason) => return Some(Err(Failure::dify(reason))),
        };
        if self.race == Race::Lost {
            return Some(Err(Failure::dify(
                "the client gets the first part of the body only: the end of the session came with it, and the plugin \
                 daemon drops the rest",
            )));
        }
        if self.race == Race::Waiting && !item["result"].is_null() {
            sleep(RACE_WINDOW).await;
            self.race = if self.events.has_ended() { Race::Lost } else { Race::Off };
        }
        match self.rules.check(&item) {
            Ok(()) => Some(Ok(item)),
            Err(problem) => Some(Err(Failure::dify(problem))),
        }
    }

    fn end(&self) -> Result<(), Failure> {
        let lost = self.events.lost();
        if let Queue::Dropping(length) = self.queue
            && lost > 0
        {
            return Err(Failure::dify(format!(
                "the plugin daemon dropped {lost} items: more than {length} were unread, because Dify read slower than \
                 the plugin wrote"
            )));
        }
        self.rules.finish().map_err(Failure::dify)
    }
}
