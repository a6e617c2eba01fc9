//! Counts the upstream requests, attempts and retries of one session, for its log event. Contains numbers and IDs,
//! never content.

use std::sync::{Arc, Mutex, PoisonError};

/// Counts the requests that are sent through one handle and its clones.
#[derive(Clone, Default)]
pub struct CallStats(Arc<Mutex<CallTotals>>);

/// Totals of a session so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    /// Requests; retries of the same request are not counted.
    pub calls: u32,
    /// Attempts, including retries.
    pub attempts: u32,
    /// HTTP status of the last attempt; absent if it got no response.
    pub status: Option<u16>,
    /// Server's request ID from the last response that contained one.
    pub request_id: Option<String>,
}

impl CallStats {
    /// Returns the totals so far.
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

    pub(super) fn responded(&self, status: u16, request_id: Option<&str>) {
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
    /// Attempts beyond the first one of each request: retries, and resends with a refreshed credential.
    pub fn retries(&self) -> u32 {
        self.attempts.saturating_sub(self.calls)
    }
}
