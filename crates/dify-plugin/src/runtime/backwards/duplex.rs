//! Calls over the connection that sessions came by: each waits under an ID of its own, the reader hands responses over
//! without waiting, and a session that ends takes its calls with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::debug;
use uuid::Uuid;

use super::queue::{Held, Sender, queue};
use super::{BackwardsOptions, Carrier, Session, line};
use crate::plugin::dify::{Backwards, Invoke, Responses};
use crate::protocol::Payload;
use crate::protocol::backwards::{BackwardsEvent, DifyError};
use crate::protocol::envelope::range_in;
use crate::runtime::places::Lendable;
use crate::runtime::responder::{Ending, RAISE_THE_LIMIT};

/// Names a call: the session's number and its own.
type Key = (u64, u64);

/// The calls of one connection that wait for responses.
pub(crate) struct Waiters(Arc<Shared>);

struct Shared {
    /// Distinguishes the calls of this connection from those of an earlier one, whose responses may still come.
    prefix: String,
    options: BackwardsOptions,
    held: Held,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    calls: BTreeMap<Key, Sender>,
}

/// The calls of one session.
pub(crate) struct SessionCalls {
    shared: Arc<Shared>,
    session: u64,
    next: AtomicU64,
    /// Changed and read only while the table is locked.
    has_ended: AtomicBool,
    ending: Ending,
    place: Lendable,
}

impl Waiters {
    /// No session yet.
    pub(crate) fn new(options: BackwardsOptions) -> Self {
        let prefix = Uuid::new_v4().simple().to_string()[..16].to_owned();
        Self(Arc::new(Shared { prefix, options, held: Held::default(), table: Mutex::default() }))
    }

    /// The calls of a session that begins. They must be ended.
    pub(crate) fn session(&self, ending: Ending, place: Lendable) -> Arc<SessionCalls> {
        let mut table = self.0.table();
        table.next += 1;
        let session = table.next;
        drop(table);
        let (next, has_ended) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(SessionCalls { shared: self.0.clone(), session, next, has_ended, ending, place })
    }

    /// Hands over a line with an event of a call. What belongs to no call that waits is dropped: its code stopped
    /// listening, and Dify has no event for that.
    pub(crate) fn take(&self, line: Vec<u8>, data: Range<usize>) {
        let data = line.get(data).and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default();
        let Ok((id, event)) = BackwardsEvent::parse(data) else { return self.take_broken(&line) };
        let Some(key) = self.0.key(&id) else { return };
        let mut table = self.0.table();
        let Some(waiting) = table.calls.get(&key) else { return };
        match event {
            BackwardsEvent::Other => return,
            BackwardsEvent::Response(data) => {
                let Some(place) = range_in(&line, data.get()) else { return };
                let length = line.len();
                if waiting.response(Payload::new(line, place), length) {
                    return;
                }
            }
            BackwardsEvent::Error(text) => waiting.fail(DifyError::of_text(&text)),
            BackwardsEvent::End => waiting.end(),
        }
        table.calls.remove(&key);
    }

    /// A line that cannot be read, or the beginning of one that was not kept: its call fails, where it names one.
    pub(crate) fn take_broken(&self, line: &[u8]) {
        debug!(bytes = line.len(), "a response of Dify cannot be read");
        let prefix = self.0.prefix.as_bytes();
        let Some(start) = memchr::memmem::find(line, prefix) else { return };
        let id = line[start..].split(|byte| *byte == b'"').next().and_then(|id| std::str::from_utf8(id).ok());
        let Some(key) = id.and_then(|id| self.0.key(id)) else { return };
        if let Some(waiting) = self.0.table().calls.remove(&key) {
            waiting.fail(DifyError::malformed("it is malformed, or longer than any line that is read"));
        }
    }
}

impl Carrier for Waiters {
    fn open(&self, ending: &Ending, place: Lendable) -> Arc<dyn Session> {
        self.session(ending.clone(), place)
    }

    fn take(&self, line: Vec<u8>, data: Range<usize>) {
        self.take(line, data);
    }

    fn take_broken(&self, head: &[u8]) {
        self.take_broken(head);
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, (session, call): Key) -> String {
        format!("{}{session:x}-{call:x}", self.prefix)
    }

    fn key(&self, id: &str) -> Option<Key> {
        let (session, call) = id.strip_prefix(&self.prefix)?.split_once('-')?;
        let key = (u64::from_str_radix(session, 16).ok()?, u64::from_str_radix(call, 16).ok()?);
        // A number has more than one spelling.
        (self.id(key) == id).then_some(key)
    }
}

/// A call's place among those that wait.
struct Waiter {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.table().calls.remove(&self.key);
    }
}

impl SessionCalls {
    async fn start(&self, invoke: Invoke) -> Result<Responses, DifyError> {
        let key = (self.session, self.next.fetch_add(1, Ordering::Relaxed));
        let limit =
            (self.ending.max_line_bytes(), &*format!("Send less at once, files as URLs, or {RAISE_THE_LIMIT}."));
        let line = line(self.ending.session_id(), invoke.invoke_type, &self.shared.id(key), &invoke.request, limit)?;
        let (sender, responses) = queue(&self.shared.held, self.shared.options, self.place.clone());
        // The response may come before the write has returned.
        let waiter = self.register(key, sender)?;
        drop(invoke.request);
        self.ending.send(line).await.map_err(|_| DifyError::session_ended())?;
        Ok(responses(waiter, invoke.timeout.unwrap_or(self.shared.options.timeout)))
    }

    fn register(&self, key: Key, sender: Sender) -> Result<Waiter, DifyError> {
        let mut table = self.shared.table();
        if self.has_ended.load(Ordering::Relaxed) {
            return Err(DifyError::session_ended());
        }
        table.calls.insert(key, sender);
        Ok(Waiter { shared: self.shared.clone(), key })
    }
}

impl Backwards for SessionCalls {
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        self.start(invoke).boxed()
    }
}

impl Session for SessionCalls {
    fn end(&self) {
        let mut table = self.shared.table();
        self.has_ended.store(true, Ordering::Relaxed);
        let open = table.calls.extract_if((self.session, 0)..=(self.session, u64::MAX), |_, _| true);
        open.for_each(|(_, waiting)| waiting.fail(DifyError::session_ended()));
    }
}

#[cfg(test)]
mod tests;
