//! What the hooks of a session have sent and its writer has not taken yet: a queue with a limit, so that a hook waits for
//! a daemon that does not read. What is written when is decided on the other side.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::PluginError;

/// Entries that wait; a hook that has made more waits itself.
const MAX_ENTRIES: usize = 64;

/// Bytes that one byte may take in JSON (`\u0000`).
const MAX_ESCAPED_BYTES: usize = 6;

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A part of a text, or of a variable of this name: joined with the next parts of the same.
    Part {
        /// The variable; none is the text itself.
        variable: Option<Arc<str>>,
        /// The part.
        text: String,
    },
    /// A result item, written as it is.
    Item(Box<RawValue>),
}

/// An entry and its place in the queue.
pub(crate) struct Entry {
    pub(crate) outgoing: Outgoing,
    _place: Option<OwnedSemaphorePermit>,
}

/// The side of the hooks.
#[derive(Clone)]
pub(crate) struct Outbox {
    entries: mpsc::UnboundedSender<Entry>,
    places: Arc<Semaphore>,
    max_item_bytes: usize,
}

/// The side of the writer.
pub(crate) type Inbox = mpsc::UnboundedReceiver<Entry>;

/// A queue for items of at most so many bytes of JSON.
pub(crate) fn queue(max_item_bytes: usize) -> (Outbox, Inbox) {
    let (entries, inbox) = mpsc::unbounded_channel();
    (Outbox { entries, places: Arc::new(Semaphore::new(MAX_ENTRIES)), max_item_bytes }, inbox)
}

impl Outbox {
    /// Bytes of JSON that one item may have.
    pub(crate) fn max_item_bytes(&self) -> usize {
        self.max_item_bytes
    }

    /// Queues a part of a text or of a variable.
    pub(crate) async fn part(&self, variable: Option<&Arc<str>>, text: String) -> Result<(), PluginError> {
        self.send(Outgoing::Part { variable: variable.cloned(), text }).await
    }

    /// Queues an item. One that no line can carry is an error, and nothing is queued.
    pub(crate) async fn item<T: Serialize + ?Sized>(&self, item: &T) -> Result<(), PluginError> {
        let item = self.write(item)?;
        self.send(Outgoing::Item(item)).await
    }

    /// Queues an item without waiting for a place: for the little that is sent when a value is dropped.
    pub(crate) fn item_now<T: Serialize + ?Sized>(&self, item: &T) {
        if let Ok(item) = self.write(item) {
            // Once the session is over there is nothing to be written to.
            let _ = self.entries.send(Entry { outgoing: Outgoing::Item(item), _place: None });
        }
    }

    fn write<T: Serialize + ?Sized>(&self, item: &T) -> Result<Box<RawValue>, PluginError> {
        let item = serde_json::value::to_raw_value(item)
            .map_err(|error| PluginError::internal(format!("cannot write a message: {error}")))?;
        if item.get().len() > self.max_item_bytes {
            return Err(too_long(item.get().len(), self.max_item_bytes));
        }
        Ok(item)
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), PluginError> {
        let place = self.places.clone().acquire_owned().await.ok();
        self.entries.send(Entry { outgoing, _place: place }).map_err(|_| PluginError::internal("the session has ended"))
    }
}

/// Bytes of a text, or of a variable of this name, that an item can carry however they are escaped.
pub(crate) fn max_part_bytes(max_item_bytes: usize, variable: Option<&str>) -> usize {
    let around = 256 + variable.map_or(0, |name| name.len() * MAX_ESCAPED_BYTES);
    max_item_bytes.saturating_sub(around) / MAX_ESCAPED_BYTES
}

/// A message that is longer than a line of the protocol.
pub(crate) fn too_long(found: usize, limit: usize) -> PluginError {
    PluginError::bad_request(format!(
        "a message of {found} bytes is too large for one line of the plugin protocol (limit {limit})"
    ))
    .with_hint(RAISE_THE_LIMIT)
}

/// What helps against a line that is too long.
pub(crate) const RAISE_THE_LIMIT: &str =
    "Send less at once, or raise PLUGIN_RUNTIME_MAX_BUFFER_SIZE of Dify's plugin daemon, which the plugin follows.";
