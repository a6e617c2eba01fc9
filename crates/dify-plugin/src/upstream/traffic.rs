//! What is to be recorded or replayed, whether or not this build can do it.

use std::path::PathBuf;

/// What to do with upstream traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrafficMode {
    /// Record it to a directory.
    Record {
        /// Directory; created if it does not exist.
        directory: PathBuf,
        /// Whether files (Base64, bytes) are recorded by length and digest only.
        shorten_files: bool,
    },
    /// Replay it from a directory.
    Replay {
        /// Directory.
        directory: PathBuf,
        /// Whether the original timing is kept.
        timed: bool,
    },
}

/// Request of a session, to be recorded.
pub struct Case<'a> {
    /// ID of the session.
    pub session_id: &'a str,
    /// Request fields as JSON, credentials included.
    pub data: &'a str,
    /// Whether the credential field of this name contains a secret.
    pub is_secret: &'a dyn Fn(&str) -> bool,
}
