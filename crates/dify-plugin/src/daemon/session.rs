//! The sessions of a connection, seen from the daemon: the queue of items that are not read yet, the one ending, and the
//! responses to calls back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::frame::SessionError;
use super::observed::Observed;

/// Lines to the plugin; `None` closes its input.
pub(super) type Lines = mpsc::UnboundedSender<Option<Bytes>>;

/// What the daemon does with the items of a session that are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// It keeps them all, which no daemon does.
    Unlimited,
    /// It keeps so many bytes of them, and then ends the session.
    #[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench limits them in bytes"))]
    Bytes(usize),
    /// It keeps so many, and then reads nothing from the plugin until one is read.
    Blocking(usize),
    /// It keeps so many, and drops the rest.
    Dropping(usize),
}

/// A session that is open.
pub(super) struct Entry {
    items: Items,
    ending: oneshot::Sender<SessionEvent>,
    /// The error that was read; its end has to follow.
    pub(super) error: Option<SessionError>,
    lost: Arc<AtomicUsize>,
    open: CancellationToken,
}

enum Items {
    /// With the size of what is not read, and its limit.
    Bytes(mpsc::UnboundedSender<(Value, usize)>, Arc<AtomicUsize>, usize),
    Blocking(mpsc::Sender<Value>),
    Dropping(mpsc::Sender<Value>),
}

/// What a session sends.
#[derive(Debug, PartialEq)]
pub(crate) enum SessionEvent {
    /// A result item.
    Item(Value),
    /// It failed, and has ended.
    Failed(SessionError),
    /// It has ended.
    Ended,
    /// The daemon ended it, and why.
    Closed(String),
}

/// The events of one session. Dropping them does not end it.
pub(crate) struct SessionEvents {
    items: Waiting,
    ending: oneshot::Receiver<SessionEvent>,
    early: Option<SessionEvent>,
    lost: Arc<AtomicUsize>,
    open: CancellationToken,
    observed: Observed,
    session_id: String,
    lines: Lines,
}

enum Waiting {
    Bytes(mpsc::UnboundedReceiver<(Value, usize)>, Arc<AtomicUsize>),
    Limited(mpsc::Receiver<Value>),
}

/// Writes the responses of one call back. Nothing is written once its session has ended.
#[derive(Clone)]
pub(crate) struct Replies {
    lines: Lines,
    session_id: String,
    request_id: String,
    open: CancellationToken,
}

/// The two sides of a session.
pub(super) fn pair(session_id: &str, queue: Queue, lines: &Lines, observed: &Observed) -> (Entry, SessionEvents) {
    let in_bytes = |most| {
        let ((items, waiting), unread) = (mpsc::unbounded_channel(), Arc::<AtomicUsize>::default());
        (Items::Bytes(items, unread.clone(), most), Waiting::Bytes(waiting, unread))
    };
    let (items, waiting) = match queue {
        Queue::Unlimited => in_bytes(usize::MAX),
        Queue::Bytes(most) => in_bytes(most),
        Queue::Blocking(length) => {
            let (items, waiting) = mpsc::channel(length);
            (Items::Blocking(items), Waiting::Limited(waiting))
        }
        Queue::Dropping(length) => {
            let (items, waiting) = mpsc::channel(length);
            (Items::Dropping(items), Waiting::Limited(waiting))
        }
    };
    let (ending, ended) = oneshot::channel();
    let (lost, open) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
    let entry = Entry { items, ending, error: None, lost: lost.clone(), open: open.clone() };
    let (session_id, lines, observed) = (session_id.to_owned(), lines.clone(), observed.clone());
    (entry, SessionEvents { items: waiting, ending: ended, early: None, lost, open, observed, session_id, lines })
}

impl SessionEvents {
    /// The next event; nothing follows one that is not an item.
    pub(crate) async fn next(&mut self) -> SessionEvent {
        let item = match &mut self.items {
            Waiting::Bytes(items, unread) => items.recv().await.map(|(item, bytes)| {
                unread.fetch_sub(bytes, Ordering::Relaxed);
                item
            }),
            Waiting::Limited(items) => items.recv().await,
        };
        if let Some(item) = item {
            return SessionEvent::Item(item);
        }
        if let Some(early) = self.early.take() {
            return early;
        }
        match (&mut self.ending).await {
            Ok(ending) => ending,
            Err(_) => SessionEvent::Closed(
                self.observed.read(|seen| seen.closed.clone()).unwrap_or_else(|| "the connection is closed".to_owned()),
            ),
        }
    }

    /// Whether the session has ended already, read or not.
    pub(crate) fn has_ended(&mut self) -> bool {
        if self.early.is_none() {
            self.early = self.ending.try_recv().ok();
        }
        self.early.is_some()
    }

    /// Number of items that a full queue dropped.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Asks the plugin to stop.
    pub(crate) fn cancel(&self) {
        send(&self.lines, &json!({"session_id": self.session_id, "event": "cancel"}));
    }

    /// The daemon forgets the session; calls back of it are no longer answered.
    pub(crate) fn forget(&self) {
        self.open.cancel();
    }
}

impl Replies {
    pub(super) fn new(lines: &Lines, session_id: &str, request_id: &str, entry: &Entry) -> Self {
        let (session_id, request_id) = (session_id.to_owned(), request_id.to_owned());
        Self { lines: lines.clone(), session_id, request_id, open: entry.open.clone() }
    }

    /// One response.
    pub(crate) fn response(&self, data: &Value) {
        self.send("response", "stream", data);
    }

    /// The call failed.
    pub(crate) fn error(&self, text: &str) {
        self.send("error", text, &Value::Null);
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.send("end", "", &Value::Null);
    }

    /// Cancelled when the session ends.
    pub(crate) fn session(&self) -> &CancellationToken {
        &self.open
    }

    /// The same for another call, whether there is one or not.
    pub(crate) fn of_call(&self, request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), ..self.clone() }
    }

    /// The same, also once the session has ended.
    pub(crate) fn even_late(&self) -> Self {
        Self { open: CancellationToken::new(), ..self.clone() }
    }

    fn send(&self, event: &str, message: &str, data: &Value) {
        if self.open.is_cancelled() {
            return;
        }
        let data = json!({"backwards_request_id": self.request_id, "event": event, "message": message, "data": data});
        send(&self.lines, &json!({"session_id": self.session_id, "event": "backwards_response", "data": data}));
    }
}

/// Queues a line; a plugin that is gone gets none.
pub(super) fn send(lines: &Lines, line: &Value) {
    let _ = lines.send(Some(Bytes::from(format!("{line}\n"))));
}

impl Entry {
    /// Queues an item of a line of so many bytes. Without a receiver it is dropped: the caller has gone, and the plugin is not
    /// notified. Returns why the session ends, if its caller reads too slowly.
    pub(super) async fn push(&mut self, item: Value, bytes: usize) -> Option<String> {
        match &self.items {
            Items::Bytes(items, unread, most) => {
                if unread.load(Ordering::Relaxed).saturating_add(bytes) > *most {
                    return Some(format!("more than {most} bytes of its events were not read"));
                }
                unread.fetch_add(bytes, Ordering::Relaxed);
                _ = items.send((item, bytes));
            }
            Items::Blocking(items) => _ = items.send(item).await,
            Items::Dropping(items) => {
                if let Err(mpsc::error::TrySendError::Full(_)) = items.try_send(item) {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        None
    }

    pub(super) fn close(self, ending: SessionEvent) {
        self.open.cancel();
        let _ = self.ending.send(ending);
    }
}
