//! The way of lines to the host's writer: a queue with a limit on its batches and on their bytes together. What does not
//! fit waits with the session that made it, so that a host which reads slowly costs no memory. It knows no message, only how
//! long a line the host takes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Bytes for which [`LineSender::room`] waits.
const USUAL_BATCH: u32 = 64 * 1024;

/// Longest line that is written to a daemon with its default settings: below the 5 MiB over which it ends the process.
pub const MAX_LINE_BYTES: usize = line_below(5 * 1024 * 1024);

/// The longest line for a host that takes lines of this length: a margin remains for what may count them otherwise.
pub const fn line_below(limit: usize) -> usize {
    limit - limit / 80
}

/// The sending side; cheap to clone.
#[derive(Clone)]
pub struct LineSender {
    batches: mpsc::UnboundedSender<Batch>,
    slots: Arc<Semaphore>,
    room: Arc<Semaphore>,
    bytes: u32,
    max_line_bytes: usize,
}

/// The writer's side.
pub type LineReceiver = mpsc::UnboundedReceiver<Batch>;

/// Whole lines; their room in the queue is free again when this is dropped.
pub struct Batch {
    /// The lines.
    pub lines: Bytes,
    /// Told once they are written.
    pub written: Option<oneshot::Sender<()>>,
    _room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// Nobody reads the queue any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A queue of at most so many batches with at most so many bytes; one larger batch is let through alone.
pub fn queue(batches: usize, bytes: u32) -> (LineSender, LineReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (slots, room) = (Arc::new(Semaphore::new(batches)), Arc::new(Semaphore::new(bytes as usize)));
    (LineSender { batches: sender, slots, room, bytes, max_line_bytes: MAX_LINE_BYTES }, receiver)
}

/// Room for one batch.
pub struct Room<'a> {
    outlet: &'a LineSender,
    permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Room<'_> {
    /// Queues lines, at once.
    pub fn send(self, lines: Bytes) -> Result<(), Closed> {
        self.outlet.batches.send(Batch { lines, written: None, _room: Some(self.permits) }).map_err(|_| Closed)
    }

    /// Queues lines immediately, and has it reported when they are written. A report that is dropped means the same.
    pub fn send_reported(self, lines: Bytes) -> Result<oneshot::Receiver<()>, Closed> {
        let (written, report) = oneshot::channel();
        let batch = Batch { lines, written: Some(written), _room: Some(self.permits) };
        self.outlet.batches.send(batch).map(|()| report).map_err(|_| Closed)
    }
}

impl LineSender {
    /// For a host that takes lines of this length.
    #[must_use]
    pub fn with_longest_line(mut self, max_line_bytes: usize) -> Self {
        self.max_line_bytes = max_line_bytes;
        self
    }

    /// The longest line that may be sent.
    pub fn max_line_bytes(&self) -> usize {
        self.max_line_bytes
    }

    /// Waits for room for so many bytes.
    pub async fn reserve(&self, length: usize) -> Result<Room<'_>, Closed> {
        let share = self.share(length);
        let room = self.room.clone().acquire_many_owned(share).await.map_err(|_| Closed)?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| Closed)?;
        if self.batches.is_closed() { Err(Closed) } else { Ok(Room { outlet: self, permits: (slot, room) }) }
    }

    /// Queues a session's last lines at once, whatever waits: they were made already, and a session has one ending.
    pub fn send_last(&self, lines: Bytes) {
        // Lines for a queue that is closed have nobody to hear them.
        let _ = self.batches.send(Batch { lines, written: None, _room: None });
    }

    /// Whether a usual batch would have to wait.
    pub fn is_full(&self) -> bool {
        self.slots.available_permits() == 0 || self.room.available_permits() < self.share(USUAL_BATCH as usize) as usize
    }

    /// Waits until a usual batch would not have to wait.
    pub async fn room(&self) -> Result<(), Closed> {
        self.reserve(USUAL_BATCH as usize).await.map(drop)
    }

    /// Waits until nobody reads the queue.
    pub async fn closed(&self) {
        self.batches.closed().await;
    }

    /// What a batch of this length takes of the limit.
    fn share(&self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or(u32::MAX).min(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn send(outlet: &LineSender, length: usize) -> Result<(), Closed> {
        outlet.reserve(length).await?.send(Bytes::from(vec![b'x'; length]))
    }

    async fn fits(outlet: &LineSender, length: usize) -> bool {
        timeout(Duration::from_millis(20), send(outlet, length)).await.is_ok()
    }

    #[tokio::test]
    async fn both_limits_hold_and_room_comes_back() {
        for (batches, bytes, length, fit) in [(2, 1000, 10, 2), (10, 1000, 300, 3), (10, 1000, 5000, 1)] {
            let (outlet, mut queue) = queue(batches, bytes);
            for number in 0..fit {
                assert!(fits(&outlet, length).await, "{length}: {number}");
            }
            assert!(!fits(&outlet, length).await && outlet.is_full(), "{length}");
            drop(queue.recv().await);
            assert!(fits(&outlet, length).await, "{length}");
        }
    }

    #[tokio::test]
    async fn a_last_word_waits_for_nothing_and_keeps_its_place() {
        let (outlet, mut queue) = queue(1, 100);
        assert!(fits(&outlet, 100).await);
        outlet.send_last(Bytes::from_static(b"end"));
        assert_eq!(queue.recv().await.unwrap().lines.len(), 100);
        assert_eq!(&queue.recv().await.unwrap().lines[..], b"end");
    }

    #[tokio::test]
    async fn who_waits_is_told_that_nobody_reads() {
        let (outlet, queue) = queue(10, 100);
        assert!(fits(&outlet, 100).await);
        let waiting = tokio::spawn({
            let outlet = outlet.clone();
            async move { (send(&outlet, 50).await, outlet.room().await) }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(waiting.await.unwrap(), (Err(Closed), Err(Closed)));
        timeout(Duration::from_secs(5), outlet.closed()).await.unwrap();
    }
}
