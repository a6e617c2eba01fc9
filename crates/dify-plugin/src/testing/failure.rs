//! Why a call of a plugin failed: an error of the plugin, or what Dify would do with what the plugin sent.

use serde_json::{Map, Value};

/// A call that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind}: {message}")]
#[non_exhaustive]
pub struct Failure {
    /// The plugin's `error_type`, such as `ValueError`; [`Failure::DIFY`] if Dify would have failed.
    pub kind: String,
    /// The text that users see, or what Dify would have done.
    pub message: String,
    /// What else the plugin reports, such as `status` and `request_id`.
    pub args: Map<String, Value>,
}

impl Failure {
    /// `kind` of failures that the plugin did not report: Dify would reject or drop what it sent, or end it.
    pub const DIFY: &'static str = "Dify";

    pub(super) fn dify(message: impl Into<String>) -> Self {
        Self { kind: Self::DIFY.to_owned(), message: message.into(), args: Map::new() }
    }

    /// Whether Dify, and not the plugin, reports the failure.
    pub fn is_of_dify(&self) -> bool {
        self.kind == Self::DIFY
    }
}
