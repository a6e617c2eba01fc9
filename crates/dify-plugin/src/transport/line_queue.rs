//! Bounded queue for lines to the plugin daemon. The number of batches and their total bytes are limited, so a slow
//! reader applies back-pressure to the sessions and needs no more memory. The queue does not know messages, only the
//! maximum line length.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Bytes of free space that [`LineSender::room`] waits for.
const USUAL_BATCH: u32 = 64 * 1024;

/// Maximum line length in bytes for a daemon with default settings, which ends the process for lines over 5 MiB.
pub const MAX_LINE_BYTES: usize = line_below(5 * 1024 * 1024);

/// Returns the maximum line length for a daemon with this limit. A margin remains in case the daemon counts
/// differently.
pub const fn line_below(limit: usize) -> usize {
    limit - limit / 80
}

/// Sending side of the queue; cheap to clone.
#[derive(Clone)]
pub struct LineSender(Arc<Sending>);

#[derive(Clone)]
struct Sending {
    batches: mpsc::UnboundedSender<Batch>,
    limits: Arc<Limits>,
    max_line_bytes: usize,
}

/// The free space of the queue.
struct Limits {
    slots: Semaphore,
    room: Semaphore,
    capacity: u32,
}

/// Receiving side of the queue, for the writer.
pub type LineReceiver = mpsc::UnboundedReceiver<Batch>;

/// Complete lines. Dropping the batch frees its space in the queue.
pub struct Batch {
    /// The lines.
    pub lines: Bytes,
    /// Notified when the lines are written.
    pub written: Option<oneshot::Sender<()>>,
    _space: Option<Space>,
}

/// Space for one batch of so many bytes; free again when it is dropped.
pub struct Space {
    limits: Arc<Limits>,
    bytes: u32,
    has_slot: bool,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.limits.room.add_permits(self.bytes as usize);
        if self.has_slot {
            self.limits.slots.add_permits(1);
        }
    }
}

/// The receiver was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Creates a queue for at most `batches` batches of at most `bytes` bytes in total. A larger batch is accepted if it is
/// the only one.
pub fn queue(batches: usize, bytes: u32) -> (LineSender, LineReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (slots, room) = (Semaphore::new(batches), Semaphore::new(bytes as usize));
    let limits = Arc::new(Limits { slots, room, capacity: bytes });
    (LineSender(Arc::new(Sending { batches: sender, limits, max_line_bytes: MAX_LINE_BYTES })), receiver)
}

/// Reserved space for a batch.
pub struct Room<'a> {
    sender: &'a LineSender,
    space: Space,
}

impl Room<'_> {
    /// Queues lines immediately.
    pub fn send(self, lines: Bytes) -> Result<(), Closed> {
        self.sender.queue(Batch { lines, written: None, _space: Some(self.space) })
    }

    /// Queues lines immediately, and returns a receiver that reports when they are written. A dropped report means the
    /// same.
    pub fn send_reported(self, lines: Bytes) -> Result<oneshot::Receiver<()>, Closed> {
        let (written, report) = oneshot::channel();
        let batch = Batch { lines, written: Some(written), _space: Some(self.space) };
        self.sender.queue(batch).map(|()| report)
    }
}

impl LineSender {
    /// Sets the maximum line length in bytes that the daemon accepts.
    #[must_use]
    pub fn with_max_line_bytes(self, max_line_bytes: usize) -> Self {
        Self(Arc::new(Sending { max_line_bytes, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// Returns the maximum line length in bytes.
    pub fn max_line_bytes(&self) -> usize {
        self.0.max_line_bytes
    }

    fn queue(&self, batch: Batch) -> Result<(), Closed> {
        self.0.batches.send(batch).map_err(|_| Closed)
    }

    /// Space for a batch of `length` bytes, if there is some now.
    pub fn try_reserve(&self, length: usize) -> Option<Room<'_>> {
        let limits = &self.0.limits;
        let bytes = limits.permits(length);
        let (slot, room) = (limits.slots.try_acquire().ok()?, limits.room.try_acquire_many(bytes).ok()?);
        slot.forget();
        room.forget();
        Some(Room { sender: self, space: Space { limits: limits.clone(), bytes, has_slot: true } })
    }

    /// Waits for space for a batch of `length` bytes.
    pub async fn reserve(&self, length: usize) -> Result<Room<'_>, Closed> {
        if let Some(room) = self.try_reserve(length) {
            return if self.0.batches.is_closed() { Err(Closed) } else { Ok(room) };
        }
        let mut space = self.reserve_last(length).await?;
        self.0.limits.slots.acquire().await.map_err(|_| Closed)?.forget();
        space.has_slot = true;
        if self.0.batches.is_closed() { Err(Closed) } else { Ok(Room { sender: self, space }) }
    }

    /// Waits for space for the last `length` bytes of a session. Their number is that of sessions, so it is not limited.
    pub async fn reserve_last(&self, length: usize) -> Result<Space, Closed> {
        let limits = &self.0.limits;
        let bytes = limits.permits(length);
        limits.room.acquire_many(bytes).await.map_err(|_| Closed)?.forget();
        let space = Space { limits: limits.clone(), bytes, has_slot: false };
        if self.0.batches.is_closed() { Err(Closed) } else { Ok(space) }
    }

    /// Queues the last lines of a session immediately, even if the queue is full: the lines exist already, and each
    /// session has one ending.
    pub fn send_last(&self, lines: Bytes, space: Option<Space>) {
        // Without a receiver the lines are dropped.
        let _ = self.queue(Batch { lines, written: None, _space: space });
    }

    /// Whether a batch of the usual size would have to wait.
    pub fn is_full(&self) -> bool {
        let Limits { slots, room, .. } = &*self.0.limits;
        slots.available_permits() == 0
            || room.available_permits() < self.0.limits.permits(USUAL_BATCH as usize) as usize
    }

    /// Waits until there is space for a batch of the usual size.
    pub async fn room(&self) -> Result<(), Closed> {
        if !self.is_full() {
            return if self.0.batches.is_closed() { Err(Closed) } else { Ok(()) };
        }
        self.reserve(USUAL_BATCH as usize).await.map(drop)
    }

    /// Waits until the receiver is dropped.
    pub async fn closed(&self) {
        self.0.batches.closed().await;
    }
}

impl Limits {
    /// Returns the number of semaphore permits for a batch of this length.
    fn permits(&self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or(u32::MAX).min(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn send(sender: &LineSender, length: usize) -> Result<(), Closed> {
        sender.reserve(length).await?.send(Bytes::from(vec![b'x'; length]))
    }

    async fn fits(sender: &LineSender, length: usize) -> bool {
        timeout(Duration::from_millis(20), send(sender, length)).await.is_ok()
    }

    #[tokio::test]
    async fn enforces_both_limits_and_frees_space_on_receipt() {
        for (batches, bytes, length, fit) in [(2, 1000, 10, 2), (10, 1000, 300, 3), (10, 1000, 5000, 1)] {
            let (sender, mut queue) = queue(batches, bytes);
            for number in 0..fit {
                assert!(fits(&sender, length).await, "{length}: {number}");
            }
            assert!(!fits(&sender, length).await && sender.is_full(), "{length}");
            drop(queue.recv().await);
            assert!(fits(&sender, length).await, "{length}");
        }
    }

    #[tokio::test]
    async fn queues_last_lines_without_waiting_and_in_order() {
        let (sender, mut queue) = queue(1, 100);
        assert!(fits(&sender, 100).await);
        sender.send_last(Bytes::from_static(b"end"), None);
        assert_eq!(queue.recv().await.unwrap().lines.len(), 100);
        assert_eq!(&queue.recv().await.unwrap().lines[..], b"end");
    }

    #[tokio::test]
    async fn waiting_senders_fail_when_the_receiver_is_dropped() {
        let (sender, queue) = queue(10, 100);
        assert!(fits(&sender, 100).await);
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { (send(&sender, 50).await, sender.room().await) }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(waiting.await.unwrap(), (Err(Closed), Err(Closed)));
        timeout(Duration::from_secs(5), sender.closed()).await.unwrap();
    }
}
