//! The daemon's side of a connection: it writes requests, reads the plugin's lines as the plugin daemon reads them, and hands
//! them to the session that they belong to. The terminal and the host for tests are built on it.
//!
//! What a session's items mean, and what Dify answers to calls back, is decided above it.

// Without the host for tests, the terminal uses a part of it.
#![cfg_attr(not(feature = "testing"), allow(dead_code, unused_imports))]

mod frame;
mod link;
mod observed;
mod session;

pub(crate) use frame::{Invoke, SessionError};
pub(crate) use link::Opener;
#[cfg(feature = "commands")]
pub(crate) use link::Watching;
pub(crate) use link::{Link, LinkOptions};
pub(crate) use session::{Queue, SessionEvent};
pub(crate) use session::{Replies, SessionEvents};

/// Longest line, without its end, that a daemon with default settings reads: `PLUGIN_RUNTIME_MAX_BUFFER_SIZE` is 5 MiB.
pub(crate) const MAX_DAEMON_LINE_BYTES: usize = 5 * 1024 * 1024 - 1;

/// The daemon's text for a key of the storage without a value.
pub(crate) const MISSING_KEY: &str = "load data failed, please check if the key is correct or you have not set it";
