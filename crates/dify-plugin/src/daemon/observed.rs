//! What a connection has seen in addition to its sessions: heartbeats, lines that belong to none, and why it was closed.

use std::sync::{Arc, Mutex, PoisonError};

/// Lines that belong to no session and are kept for a report.
const MAX_KEPT_LINES: usize = 100;

/// What a connection has seen apart from its sessions.
#[derive(Clone, Default)]
pub(crate) struct Observed(Arc<Mutex<Seen>>);

#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) heartbeats: usize,
    pub(super) dropped: Vec<String>,
    /// Why the connection is closed, if it is.
    pub(super) closed: Option<String>,
}

impl Observed {
    pub(super) fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number of heartbeats.
    pub(crate) fn heartbeats(&self) -> usize {
        self.read(|seen| seen.heartbeats)
    }

    /// Lines that the daemon dropped, with the reason.
    pub(crate) fn dropped_lines(&self) -> Vec<String> {
        self.read(|seen| seen.dropped.clone())
    }

    /// Whether the plugin has closed its output, or was ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.read(|seen| seen.closed.is_some())
    }

    pub(super) fn drop_line(&self, line: &str, why: &str) {
        let shown: String = line.chars().take(200).collect();
        self.note(|seen| {
            if seen.dropped.len() < MAX_KEPT_LINES {
                seen.dropped.push(format!("{why}: {shown}"));
            }
        });
    }
}
