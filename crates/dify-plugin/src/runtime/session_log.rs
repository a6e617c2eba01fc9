//! The one log event of a session's end: who was asked, how it went, how long it took, what it used. Never content.
//!
//! It is written when the value is dropped, so that a session that is cancelled in the middle is told too.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::responder::{self, Ending};
use crate::error::{InvokeError, MAX_FIELD_BYTES, clip};
use crate::protocol::{EmbeddingUsage, Invocation, LlmUsage, Request};
use crate::upstream::stats::CallStats;

/// Collects what the event says.
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
    /// What is said of a session that was stopped from outside.
    ending: Ending,
}

/// Tokens and price, of whatever kind of model.
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
    word: &'static str,
    code: Option<String>,
}

impl SessionLog {
    /// A session that begins now.
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

    /// Which app asked.
    pub(super) fn of_app(&mut self, app_id: Option<Arc<str>>) {
        self.app_id = app_id;
    }

    /// What was asked.
    pub(super) fn asked(&mut self, request: &Request) {
        self.action = request.action();
        self.provider = clip(request.provider(), MAX_FIELD_BYTES).into_owned();
        self.model =
            request.target().map(|target| clip(&target.model, MAX_FIELD_BYTES).into_owned()).unwrap_or_default();
        self.model_type = request.model_type().map(|model_type| model_type.as_str());
    }

    /// What was requested of a plugin that is no model.
    pub(super) fn invoked(&mut self, request: &Invocation) {
        self.action = request.action();
        self.provider = clip(request.provider(), MAX_FIELD_BYTES).into_owned();
    }

    /// A result item was made.
    pub(super) fn chunk(&mut self) {
        self.first_chunk.get_or_insert_with(Instant::now);
        self.chunks += 1;
    }

    /// What the call used.
    pub(super) fn used(&mut self, usage: impl Into<Usage>) {
        self.usage = Some(usage.into());
    }

    /// The session ended well.
    pub(super) fn succeeded(&mut self) {
        self.outcome = Some(Outcome { word: "ok", code: None });
    }

    /// The session ended with an error.
    pub(super) fn failed(&mut self, error: &InvokeError) {
        self.outcome = Some(Outcome { word: error.kind.error_type(), code: error.code_word().map(str::to_owned) });
    }
}

impl Drop for SessionLog {
    fn drop(&mut self) {
        if let (None, Some(responder::Outcome::Failed(error))) = (&self.outcome, self.ending.stopped()) {
            self.failed(&error);
        }
        let outcome = match &self.outcome {
            Some(outcome) => outcome.word,
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
