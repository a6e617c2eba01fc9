//! What is left of outgoing HTTP without the feature `client`: the redaction of a session's secrets. Nothing is sent.
#![allow(dead_code, reason = "the client uses the rest of what is shared with it")]

mod network;
mod pem;
mod redact;
mod secret_encodings;
pub mod stats;
mod traffic;

use std::io;
use std::sync::Arc;

pub use network::NetworkSettings;
pub use redact::Redactor;

use self::stats::CallStats;

/// What a session may be recorded with.
pub mod recording {
    pub use super::traffic::{Case, TrafficMode};
}

/// The secrets of a session.
#[derive(Clone, Default)]
pub struct Upstream {
    redactor: Redactor,
}

impl Upstream {
    /// Creates a handle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Redactor for the secrets of a session.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Fails: nothing is sent that could be recorded.
    pub fn recorded(_: &recording::TrafficMode) -> io::Result<Self> {
        Err(io::Error::other("this executable was built without the feature `client` of `dify-plugin`"))
    }

    /// Nothing is sent that could name the plugin.
    #[must_use]
    pub fn with_user_agent(self, _: &str) -> Self {
        self
    }

    /// Returns a handle for one session.
    #[must_use]
    pub fn for_session(&self, _: &Arc<str>, _: CallStats) -> Self {
        Self::default()
    }

    /// Nothing is recorded.
    pub fn begin(&self, _: &recording::Case<'_>) {}
}
