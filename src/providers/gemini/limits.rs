//! Token limits of a custom model as the service reports them (`models.get`), cached for some time.
//!
//! A service that does not report limits (Vertex AI, many gateways) is queried once within that time; nothing depends
//! on the result.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::dialect::gemini::Surface;
use dify_plugin::protocol::Target;
use dify_plugin::upstream::{RetryPolicy, Upstream};
use dify_plugin_gemini::connection::Connection;

/// How long a result is cached.
const LIMITS_TTL: Duration = Duration::from_secs(600);

/// Timeout of the query, because it delays a user's request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of models in the cache.
const MAX_ENTRIES: usize = 512;

/// Maximum bytes of a model description.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// Limits of a model as reported by the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Limits {
    /// Maximum number of prompt tokens.
    pub(super) input_token_limit: Option<u64>,
    /// Maximum number of response tokens.
    pub(super) output_token_limit: Option<u64>,
}

/// Limits by credentials and model.
#[derive(Default)]
pub(super) struct LimitsCache(Mutex<HashMap<(u64, String), (Limits, Instant)>>);

impl LimitsCache {
    /// Returns the limits of a model, as far as the service reports them.
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
            tracing::debug!(model = target.model, "model limits are not available from the service");
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
