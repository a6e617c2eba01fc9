//! Limits of a customizable model as the service tells them (`models.get`), kept for a while.
//!
//! A service that does not tell (Vertex AI, many gateways) is asked once in that while; nothing depends on its answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::connection::Connection;
use crate::dialect::gemini::Surface;
use dify_plugin::protocol::Target;
use dify_plugin::upstream::{RetryPolicy, Upstream};

/// How long an answer counts.
const LIMITS_TTL: Duration = Duration::from_secs(600);

/// How long is waited for it: it stands before a call of the user.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Models that are kept at once.
const MAX_ENTRIES: usize = 512;

/// Longest description of a model.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// What the service says about a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Limits {
    /// Tokens of a prompt.
    pub(super) input_token_limit: Option<u64>,
    /// Tokens of an answer.
    pub(super) output_token_limit: Option<u64>,
}

/// Limits by credentials and model.
#[derive(Default)]
pub(super) struct LimitsCache(Mutex<HashMap<(u64, String), (Limits, Instant)>>);

impl LimitsCache {
    /// The limits of a model, as far as the service tells.
    pub(super) async fn get(&self, connection: &Connection, upstream: &Upstream, target: &Target) -> Limits {
        if connection.surface != Surface::Developer {
            return Limits::default();
        }
        let key = (target.credentials.fingerprint(), target.model.clone());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((limits, since)) = known
            && since.elapsed() < LIMITS_TTL
        {
            return limits;
        }
        let limits =
            tokio::time::timeout(REQUEST_TIMEOUT, ask(connection, upstream, &target.model)).await.ok().flatten();
        if limits.is_none() {
            tracing::debug!(model = target.model, "the service does not tell the model's limits");
        }
        let limits = limits.unwrap_or_default();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_ENTRIES {
            kept.clear();
        }
        kept.insert(key, (limits, Instant::now()));
        limits
    }
}

async fn ask(connection: &Connection, upstream: &Upstream, model: &str) -> Option<Limits> {
    let url = connection.model_url(model, "").ok()?;
    let request = connection.get(url).with_retry(RetryPolicy::never());
    upstream.send(&request).await.ok()?.json(MAX_RESPONSE_BYTES).await.ok()
}
