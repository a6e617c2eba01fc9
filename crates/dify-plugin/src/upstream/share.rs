//! What the responses of one HTTP client may hold in memory together: events that have not ended, and bodies that are read
//! as a whole. One session's response must not take what all others need.
//!
//! Not here: the limit of one response, which is the driver's and its reader's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::InvokeError;

/// Most bytes for all sessions: two images of the largest kind, and many of the usual ones.
pub const MAX_TOTAL_BYTES: usize = 128 * 1024 * 1024;

/// What each response may hold in addition: an event of text.
pub const FREE: usize = 64 * 1024;

/// The memory that is shared; clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// A share of it that holds nothing yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), held: 0 }
    }
}

/// What one response holds; given back when it ends, however it ends.
#[derive(Debug, Default)]
pub struct Share {
    budget: Budget,
    held: usize,
}

impl Share {
    /// Takes or gives back, so that this response holds so many bytes.
    pub fn set(&mut self, held: usize) -> Result<(), InvokeError> {
        let Budget(all) = &self.budget;
        let wanted = held.saturating_sub(FREE);
        if wanted > self.held {
            let more = wanted - self.held;
            if all.fetch_add(more, Ordering::Relaxed) + more > MAX_TOTAL_BYTES {
                all.fetch_sub(more, Ordering::Relaxed);
                return Err(InvokeError::server_unavailable(
                    "too many long answers come at the same time: no room is left for this one",
                ));
            }
        } else {
            all.fetch_sub(self.held - wanted, Ordering::Relaxed);
        }
        self.held = wanted;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gives_back_another_may_take() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.share(), budget.share());
        one.set(MAX_TOTAL_BYTES + FREE).unwrap();
        other.set(FREE).unwrap();
        assert!(other.set(FREE + 1).unwrap_err().message.contains("no room"));
        one.set(MAX_TOTAL_BYTES).unwrap();
        other.set(2 * FREE).unwrap();
        assert!(one.set(MAX_TOTAL_BYTES + 1).is_err());
        drop(other);
        one.set(MAX_TOTAL_BYTES + FREE).unwrap();
        // Another client has a budget of its own.
        Budget::default().share().set(MAX_TOTAL_BYTES).unwrap();
    }
}
