//! The time that a caller gives a stream until its first text, thought or call. It counts from the arrival of the request,
//! so that a wait for a place, credentials and repeats are within it, whatever the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::error::{ErrorKind, InvokeError};
use crate::model::Chunks;
use crate::protocol::{Content, ContentPart, Glance, LlmDelta, LlmRequest};

/// The budget of one call, and whether it was kept.
#[derive(Clone)]
pub(super) struct FirstToken {
    budget: Option<Budget>,
    came: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Budget {
    length: Duration,
    deadline: Instant,
    model: String,
}

impl FirstToken {
    /// The budget that a request names. Only a stream has one.
    pub(super) fn of(request: &LlmRequest, arrived: Instant) -> Self {
        Self::new(request.first_token_timeout.filter(|_| request.stream), arrived, &request.target.model)
    }

    /// The budget of a request that waits for its turn.
    pub(super) fn of_waiting(glance: &Glance, arrived: Instant) -> Self {
        Self::new(glance.first_token_timeout.filter(|_| glance.stream), arrived, &glance.model)
    }

    fn new(length: Option<Duration>, arrived: Instant, model: &str) -> Self {
        let budget = length.and_then(|length| {
            let deadline = arrived.checked_add(length)?;
            Some(Budget { length, deadline, model: model.to_owned() })
        });
        Self { budget, came: Arc::default() }
    }

    /// Looks at each step of the answer for the first that carries something.
    pub(super) fn watch(&self, deltas: Chunks<LlmDelta>) -> Chunks<LlmDelta> {
        let (came, Some(budget)) = (self.came.clone(), self.budget.clone()) else { return deltas };
        deltas
            .map(move |delta| {
                if delta.as_ref().is_ok_and(carries) && !came.load(Ordering::Relaxed) {
                    // A timer cannot fire while the answer's own work holds the thread.
                    if Instant::now() > budget.deadline {
                        return Err(budget.missed());
                    }
                    came.store(true, Ordering::Relaxed);
                }
                delta
            })
            .boxed()
    }

    /// Waits until the budget is spent without a token: never, where there is none or one came in time.
    pub(super) async fn missed(&self) -> InvokeError {
        if let Some(budget) = &self.budget {
            tokio::time::sleep_until(budget.deadline.into()).await;
            if !self.came.load(Ordering::Relaxed) {
                return budget.missed();
            }
        }
        std::future::pending().await
    }
}

impl Budget {
    fn missed(&self) -> InvokeError {
        let (model, seconds) = (&self.model, self.length.as_secs_f64());
        InvokeError::new(ErrorKind::FirstTokenTimeout, format!("no first token of model `{model}` within {seconds} s"))
    }
}

/// An empty text is no token.
fn carries(delta: &LlmDelta) -> bool {
    let content = match &delta.content {
        Content::Text(text) => !text.is_empty(),
        Content::Parts(parts) => {
            parts.iter().any(|part| !matches!(part, ContentPart::Text(text) if text.data.is_empty()))
        }
    };
    content || !delta.tool_calls.is_empty()
}
