//! The log event at the end of a session: provider and model, outcome, duration and usage. It never contains content.
//!
//! It is written when the value is dropped, so that cancelled sessions are logged too.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::responder::{self, Ending};
use crate::error::{InvokeError, MAX_FIELD_BYTES, clip};
use crate::protocol::{EmbeddingUsage, Invocation, LlmUsage, Request};
use crate::upstream::stats::CallStats;

/// Collects the fields of the event.
pub(super) struct SessionLog {
    /// Counts the session's upstream calls.
    pub stats: CallStats,
    started: Instant,
    app_id: Option<Arc<str>>,
    action: &'static str,
    provider: String,
    model: String,
    model_type: Option<&'static str>,
    first_chunk: Option<Instant>,
    chunks: u64,
    usage: Option<Usage>,
    outcome: Option<Outcome>,
    /// Outcome of a session that was stopped from outside.
    ending: Ending,
}

/// Tokens and price of any model type.
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    latency: f64,
    total_price: String,
    currency: String,
}

impl From<&LlmUsage> for Usage {
    fn from(usage: &LlmUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
            latency: usage.latency,
            total_price: usage.total_price.0.clone(),
            currency: usage.currency.clone(),
        }
    }
}

impl From<&EmbeddingUsage> for Usage {
    fn from(usage: &EmbeddingUsage) -> Self {
        Self {
            prompt_tokens: usage.tokens,
            completion_tokens: 0,
            total_tokens: usage.total_tokens,
            latency: usage.latency,
            total_price: usage.total_price.0.clone(),
            currency: usage.currency.clone(),
        }
    }
}

struct Outcome {
    name: &'static str,
    code: Option<String>,
}

impl SessionLog {
    /// Starts the log of a session.
    pub(super) fn start(ending: Ending) -> Self {
        Self {
            stats: CallStats::default(),
            started: Instant::now(),
            app_id: None,
            action: "unknown",
            provider: String::new(),
            model: String::new(),
            model_type: None,
            first_chunk: None,
            chunks: 0,
            usage: None,
            outcome: None,
            ending,
        }
    }

    /// Sets the app that sent the request.
    pub(super) fn set_app(&mut self, app_id: Option<Arc<str>>) {
        self.app_id = app_id;
    }

    /// Sets the fields of the request.
    pub(super) fn set_request(&mut self, request: &Request) {
        self.action = request.action();
        self.provider = clip(request.provider(), MAX_FIELD_BYTES).into_owned();
        self.model =
            request.target().map(|target| clip(&target.model, MAX_FIELD_BYTES).into_owned()).unwrap_or_default();
        self.model_type = request.model_type().map(|model_type| model_type.as_str());
    }

    /// Records a request to a plugin kind other than models.
    pub(super) fn set_invocation(&mut self, request: &Invocation) {
        self.action = request.action();
        self.provider = clip(request.provider(), MAX_FIELD_BYTES).into_owned();
    }

    /// Counts a result item.
    pub(super) fn count_chunk(&mut self) {
        self.first_chunk.get_or_insert_with(Instant::now);
        self.chunks += 1;
    }

    /// Sets the usage of the call.
    pub(super) fn set_usage(&mut self, usage: impl Into<Usage>) {
        self.usage = Some(usage.into());
    }

    /// Records success.
    pub(super) fn succeeded(&mut self) {
        self.outcome = Some(Outcome { name: "ok", code: None });
    }

    /// Records an error.
    pub(super) fn failed(&mut self, error: &InvokeError) {
        self.outcome = Some(Outcome { name: error.kind.error_type(), code: error.code_word().map(str::to_owned) });
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        if let (None, Some(responder::Outcome::Failed(error))) = (&self.outcome, self.ending.stopped()) {
            self.failed(&error);
        }
        let outcome = match &self.outcome {
            Some(outcome) => outcome.name,
            None if std::thread::panicking() => "panicked",
            None => "cancelled",
        };
        let upstream = self.stats.totals();
        let usage = self.usage.as_ref();
        info!(
            action = self.action,
            provider = self.provider,
            model = self.model,
            model_type = self.model_type,
            app_id = self.app_id.as_deref(),
            outcome,
            code = self.outcome.as_ref().and_then(|outcome| outcome.code.as_deref()),
            duration_ms = self.started.elapsed().as_millis() as u64,
            first_chunk_ms = self.first_chunk.map(|first| first.duration_since(self.started).as_millis() as u64),
            chunks = self.chunks,
            upstream_calls = upstream.calls,
            attempts = upstream.attempts,
            retries = upstream.retries(),
            status = upstream.status,
            upstream_request_id = upstream.request_id,
            prompt_tokens = usage.map(|usage| usage.prompt_tokens),
            completion_tokens = usage.map(|usage| usage.completion_tokens),
            total_tokens = usage.map(|usage| usage.total_tokens),
            latency_s = usage.map(|usage| usage.latency),
            total_price = usage.map(|usage| usage.total_price.as_str()),
            currency = usage.map(|usage| usage.currency.as_str()),
            "session ended"
        );
    }
}
