//! Memory budget for all responses of one HTTP client: unfinished events and bodies that are read completely. One
//! session's response must not use what all others need.
//!
//! The limit of a single response is set by the driver and the reader of that response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::InvokeError;

/// Maximum total in bytes for all sessions: two images of the maximum size, or many usual ones.
pub const MAX_TOTAL_BYTES: usize = 128 * 1024 * 1024;

/// Bytes that each response may use in addition, enough for a text event.
pub const FREE: usize = 64 * 1024;

/// Shared budget; clones refer to the same budget.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Returns a share that uses no memory yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), held: 0 }
    }
}

/// Memory of one response; released when the response ends, for whatever reason.
#[derive(Debug, Default)]
pub struct Share {
    budget: Budget,
    held: usize,
}

impl Share {
    /// Sets the number of bytes that this response uses.
    pub fn set(&mut self, held: usize) -> Result<(), InvokeError> {
        let Budget(all) = &self.budget;
        let wanted = held.saturating_sub(FREE);
        if wanted > self.held {
            let more = wanted - self.held;
            if all.fetch_add(more, Ordering::Relaxed) + more > MAX_TOTAL_BYTES {
                all.fetch_sub(more, Ordering::Relaxed);
                return Err(InvokeError::server_unavailable(
                    "too many large responses are in progress; there is not enough memory for this one",
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
    fn released_memory_is_available_to_others() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.share(), budget.share());
        one.set(MAX_TOTAL_BYTES + FREE).unwrap();
        other.set(FREE).unwrap();
        assert!(other.set(FREE + 1).unwrap_err().message.contains("too many large responses"));
        one.set(MAX_TOTAL_BYTES).unwrap();
        other.set(2 * FREE).unwrap();
        assert!(one.set(MAX_TOTAL_BYTES + 1).is_err());
        drop(other);
        one.set(MAX_TOTAL_BYTES + FREE).unwrap();
        // Another client has its own budget.
        Budget::default().share().set(MAX_TOTAL_BYTES).unwrap();
    }
}
