//! When a request is sent again: only before the first byte of the answer, only for what may pass, with bounded waits.

use std::time::Duration;

use crate::error::{ErrorKind, InvokeError};

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Repeats after the first attempt; 0 is never.
    pub max_retries: u32,
    /// Wait before the first repeat; doubles each time.
    pub first_wait: Duration,
    /// Longest wait. An upstream that asks for more is not asked again.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 2, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(20) }
    }
}

impl RetryPolicy {
    /// Never again.
    pub fn never() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }

    /// How long to wait before repeat number `attempt` (from 0), or `None` when the error stands.
    ///
    /// `jitter` is between 0 and 1 and spreads the waits of parallel calls over half of the wait.
    pub fn wait(&self, error: &InvokeError, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt >= self.max_retries || !may_pass(error) {
            return None;
        }
        let backoff = self.first_wait.saturating_mul(1u32 << attempt.min(16)).min(self.longest_wait);
        let spread = backoff.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0));
        match error.retry_after {
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked.max(spread)),
            None => Some(spread),
        }
    }
}

/// Whether a repeat can end differently. The reader of the answer decides (`retryable`); some kinds never do.
fn may_pass(error: &InvokeError) -> bool {
    error.retryable
        && match error.kind {
            ErrorKind::Connection | ErrorKind::ServerUnavailable | ErrorKind::RateLimit => true,
            ErrorKind::Authorization
            | ErrorKind::BadRequest
            | ErrorKind::CredentialsValidateFailed
            | ErrorKind::PollingUnsupported
            | ErrorKind::Internal => false,
        }
}
