//! What all answers together may hold: events that have not ended, and bodies that are read as a whole. Memory is the
//! process's: one session's answer must not take what all others need.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::InvokeError;

/// Most bytes for all sessions: two pictures of the largest kind, and many of the usual ones.
pub const MOST_OF_ALL: usize = 128 * 1024 * 1024;

/// What each session may hold beside that: an event of text.
pub const FREE: usize = 64 * 1024;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What one answer holds; given back when it ends, however it ends.
#[derive(Debug, Default)]
pub struct Share(usize);

impl Share {
    /// Takes or gives back, so that this answer holds so many bytes.
    pub fn set(&mut self, held: usize) -> Result<(), InvokeError> {
        let wanted = held.saturating_sub(FREE);
        if wanted > self.0 {
            let more = wanted - self.0;
            if HELD.fetch_add(more, Ordering::Relaxed) + more > MOST_OF_ALL {
                HELD.fetch_sub(more, Ordering::Relaxed);
                return Err(InvokeError::server_unavailable(
                    "too many long answers come at the same time: no room is left for this one",
                ));
            }
        } else {
            HELD.fetch_sub(self.0 - wanted, Ordering::Relaxed);
        }
        self.0 = wanted;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Tests that take nearly all of it take turns.
#[cfg(test)]
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gives_back_another_may_take() {
        let _turn = TURN.blocking_lock();
        let (mut one, mut other) = (Share::default(), Share::default());
        // Beside other tests of this process: far from the whole, and far more than half of it.
        one.set(MOST_OF_ALL - (32 << 20)).unwrap();
        assert!(other.set(64 << 20).unwrap_err().message.contains("no room"));
        other.set(FREE).unwrap();
        one.set(FREE).unwrap();
        other.set(64 << 20).unwrap();
        drop(other);
        one.set(MOST_OF_ALL - (32 << 20)).unwrap();
    }
}
