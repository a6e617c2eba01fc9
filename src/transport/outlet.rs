//! The way of lines to the host's writer: a queue with a limit on its batches and on their bytes together. What does not
//! fit waits with the session that made it, so that a host which reads slowly costs no memory. It knows no message, only how
//! long a line the host takes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes for which [`Outlet::room`] waits.
const USUAL_BATCH: u32 = 64 * 1024;

/// Longest line that is written to a daemon with its default settings: below the 5 MiB over which it ends the process.
pub const LONGEST_LINE: usize = line_below(5 * 1024 * 1024);

/// The longest line for a host that takes lines of this length: a margin remains for what may count them otherwise.
pub const fn line_below(limit: usize) -> usize {
    limit - limit / 80
}

/// The sending side; cheap to clone.
#[derive(Clone)]
pub struct Outlet {
    batches: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
    bytes: u32,
    longest_line: usize,
}

/// The writer's side.
pub type Queue = mpsc::Receiver<Batch>;

/// Whole lines; their room in the queue is free again when this is dropped.
pub struct Batch {
    /// The lines.
    pub lines: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Nobody reads the queue any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A queue of at most so many batches with at most so many bytes; one larger batch is let through alone.
pub fn queue(batches: usize, bytes: u32) -> (Outlet, Queue) {
    let (sender, receiver) = mpsc::channel(batches);
    let room = Arc::new(Semaphore::new(bytes as usize));
    (Outlet { batches: sender, room, bytes, longest_line: LONGEST_LINE }, receiver)
}

impl Outlet {
    /// For a host that takes lines of this length.
    #[must_use]
    pub fn with_longest_line(mut self, longest_line: usize) -> Self {
        self.longest_line = longest_line;
        self
    }

    /// The longest line that may be sent.
    pub fn longest_line(&self) -> usize {
        self.longest_line
    }

    /// Waits for room and queues what `lines` gives. Cancelling loses nothing: `lines` is asked once there is room.
    pub async fn send(&self, length: usize, lines: impl FnOnce() -> Bytes) -> Result<(), Closed> {
        let (slot, room) = self.reserve(self.share(length)).await?;
        slot.send(Batch { lines: lines(), _room: room });
        Ok(())
    }

    /// Queues lines now, or gives them back when there is no room. Lines for a queue that is closed are dropped.
    pub fn try_send(&self, lines: Bytes) -> Result<(), Bytes> {
        let Ok(room) = self.room.clone().try_acquire_many_owned(self.share(lines.len())) else { return Err(lines) };
        match self.batches.try_send(Batch { lines, _room: room }) {
            Err(mpsc::error::TrySendError::Full(batch)) => Err(batch.lines),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Whether a usual batch would have to wait.
    pub fn is_full(&self) -> bool {
        self.batches.capacity() == 0 || self.room.available_permits() < self.share(USUAL_BATCH as usize) as usize
    }

    /// Waits until a usual batch would not have to wait.
    pub async fn room(&self) -> Result<(), Closed> {
        self.reserve(self.share(USUAL_BATCH as usize)).await.map(drop)
    }

    /// Waits until nobody reads the queue.
    pub async fn closed(&self) {
        self.batches.closed().await;
    }

    /// What a batch of this length takes of the limit.
    fn share(&self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or(u32::MAX).min(self.bytes)
    }

    async fn reserve(&self, share: u32) -> Result<(mpsc::Permit<'_, Batch>, OwnedSemaphorePermit), Closed> {
        let room = self.room.clone().acquire_many_owned(share).await.map_err(|_| Closed)?;
        let slot = self.batches.reserve().await.map_err(|_| Closed)?;
        Ok((slot, room))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn fits(outlet: &Outlet, length: usize) -> bool {
        let sent = outlet.send(length, || Bytes::from(vec![b'x'; length]));
        timeout(Duration::from_millis(20), sent).await.is_ok()
    }

    #[tokio::test]
    async fn both_limits_hold_and_room_comes_back() {
        for (batches, bytes, length, fit) in [(2, 1000, 10, 2), (10, 1000, 300, 3), (10, 1000, 5000, 1)] {
            let (outlet, mut queue) = queue(batches, bytes);
            for number in 0..fit {
                assert!(fits(&outlet, length).await, "{length}: {number}");
            }
            assert!(!fits(&outlet, length).await && outlet.is_full(), "{length}");
            assert!(outlet.try_send(Bytes::from(vec![b'x'; length])).is_err());
            drop(queue.recv().await);
            assert!(fits(&outlet, length).await, "{length}");
        }
    }

    #[tokio::test]
    async fn who_waits_is_told_that_nobody_reads() {
        let (outlet, queue) = queue(10, 100);
        assert!(fits(&outlet, 100).await);
        let waiting = tokio::spawn({
            let outlet = outlet.clone();
            async move { (outlet.send(50, Bytes::new).await, outlet.room().await) }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(waiting.await.unwrap(), (Err(Closed), Err(Closed)));
        timeout(Duration::from_secs(5), outlet.closed()).await.unwrap();
    }
}
