//! Timeout for the first text, thought or tool call of a stream, as the request sets it. It starts when the request
//! arrives, so it includes queueing, fetching tokens and retries of any provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::error::{ErrorKind, InvokeError};
use crate::model::Chunks;
use crate::protocol::{Content, ContentPart, Glance, LlmDelta, LlmRequest};

/// Timeout of one call, and whether the first token has arrived.
#[derive(Clone)]
pub(super) struct FirstToken {
    limit: Option<Limit>,
    arrived_in_time: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Limit {
    length: Duration,
    deadline: Instant,
    model: String,
}

impl FirstToken {
    /// Returns the timeout of a request. Only streams have one.
    pub(super) fn of(request: &LlmRequest, arrived: Instant) -> Self {
        Self::new(request.first_token_timeout.filter(|_| request.stream), arrived, &request.target.model)
    }

    /// Returns the timeout of a request that is queued.
    pub(super) fn of_waiting(glance: &Glance, arrived: Instant) -> Self {
        Self::new(glance.first_token_timeout.filter(|_| glance.stream), arrived, &glance.model)
    }

    fn new(length: Option<Duration>, arrived: Instant, model: &str) -> Self {
        let limit = length.and_then(|length| {
            let deadline = arrived.checked_add(length)?;
            Some(Limit { length, deadline, model: model.to_owned() })
        });
        Self { limit, arrived_in_time: Arc::default() }
    }

    /// Passes the deltas on and watches for the first one with content.
    pub(super) fn watch(&self, deltas: Chunks<LlmDelta>) -> Chunks<LlmDelta> {
        let (arrived_in_time, Some(limit)) = (self.arrived_in_time.clone(), self.limit.clone()) else { return deltas };
        deltas
            .map(move |delta| {
                if delta.as_ref().is_ok_and(has_content) && !arrived_in_time.load(Ordering::Relaxed) {
                    // The timer cannot fire while the response is processed on the same thread.
                    if Instant::now() > limit.deadline {
                        return Err(limit.timeout_error());
                    }
                    arrived_in_time.store(true, Ordering::Relaxed);
                }
                delta
            })
            .boxed()
    }

    /// Completes with an error if the first token does not arrive in time; otherwise, or without a timeout, never
    /// completes.
    pub(super) async fn expired(&self) -> InvokeError {
        if let Some(limit) = &self.limit {
            tokio::time::sleep_until(limit.deadline.into()).await;
            if !self.arrived_in_time.load(Ordering::Relaxed) {
                return limit.timeout_error();
            }
        }
        std::future::pending().await
    }
}

impl Limit {
    fn timeout_error(&self) -> InvokeError {
        let (model, seconds) = (&self.model, self.length.as_secs_f64());
        InvokeError::new(ErrorKind::FirstTokenTimeout, format!("no first token of model `{model}` within {seconds} s"))
    }
}

/// Whether a delta has content; an empty text does not count.
fn has_content(delta: &LlmDelta) -> bool {
    let content = match &delta.content {
        Content::Text(text) => !text.is_empty(),
        Content::Parts(parts) => {
            parts.iter().any(|part| !matches!(part, ContentPart::Text(text) if text.data.is_empty()))
        }
    };
    content || !delta.tool_calls.is_empty()
}
