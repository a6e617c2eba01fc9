//! What the calls of one session came to, for its log line: numbers and ids, never content.

use std::sync::{Arc, Mutex, PoisonError};

/// Counts the calls that are made through one handle and its clones.
#[derive(Clone, Default)]
pub struct CallStats(Arc<Mutex<CallTotals>>);

/// The sum so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    /// Requests; one that is sent again counts once.
    pub calls: u32,
    /// Attempts at them.
    pub attempts: u32,
    /// HTTP status of the last attempt; absent when it brought no answer.
    pub status: Option<u16>,
    /// The upstream's own id of the last answer that told one.
    pub request_id: Option<String>,
}

impl CallStats {
    /// The sum so far.
    pub fn totals(&self) -> CallTotals {
        self.with(|totals| totals.clone())
    }

    pub(super) fn call(&self) {
        self.with(|totals| totals.calls += 1);
    }

    pub(super) fn attempt(&self) {
        self.with(|totals| {
            totals.attempts += 1;
            totals.status = None;
        });
    }

    pub(super) fn answered(&self, status: u16, request_id: Option<&str>) {
        self.with(|totals| {
            totals.status = Some(status);
            if let Some(id) = request_id {
                totals.request_id = Some(id.to_owned());
            }
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut CallTotals) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CallTotals {
    /// Attempts beyond the first of each call: repeats, and sendings with a renewed credential.
    pub fn retries(&self) -> u32 {
        self.attempts.saturating_sub(self.calls)
    }
}
