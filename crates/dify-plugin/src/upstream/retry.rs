//! Decides when a request is retried: only before the first byte of the response, only after transient errors, with
//! bounded delays.
//!
//! Delays that a server asks for in its error message are parsed here for all dialects; headers and error details are
//! parsed by their readers.

use std::time::Duration;

use crate::error::{ErrorKind, InvokeError};
use crate::steps;

/// Number and timing of retries.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Maximum number of retries after the first attempt; 0 disables retries.
    pub max_retries: u32,
    /// Delay before the first retry; doubles with each retry.
    pub first_wait: Duration,
    /// Maximum delay. A request is not retried if the server asks for a longer one.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 2, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(20) }
    }
}

impl RetryPolicy {
    /// Returns a policy without retries.
    pub fn never() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }

    /// Sets the maximum number of retries after the first attempt.
    #[must_use]
    pub fn with_max_retries(self, max_retries: u32) -> Self {
        Self { max_retries, ..self }
    }

    /// Sets the delay before the first retry.
    #[must_use]
    pub fn with_first_wait(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    /// Sets the maximum delay.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }

    /// Returns the delay before retry number `attempt` (from 0), or `None` if the error is final.
    ///
    /// `jitter` is between 0 and 1 and spreads the retries of concurrent calls: over half of the delay, or over as much
    /// time after the moment that the server asked to wait for.
    pub fn wait(&self, error: &InvokeError, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt >= self.max_retries || !retryable_by_class(error) {
            return None;
        }
        let backoff = self.first_wait.saturating_mul(1u32 << attempt.min(16)).min(self.max_wait);
        let spread = backoff.mul_f64(0.5 * jitter.clamp(0.0, 1.0));
        match error.retry_after {
            Some(asked) if asked > self.max_wait => None,
            Some(asked) => Some(asked.max(backoff / 2).saturating_add(spread)),
            None => Some(backoff.saturating_sub(spread)),
        }
    }
}

/// Whether a retry can succeed. The reader of the response decides (`retryable`); some error types are never retried.
fn retryable_by_class(error: &InvokeError) -> bool {
    error.retryable
        && match error.kind {
            ErrorKind::Connection | ErrorKind::ServerUnavailable | ErrorKind::RateLimit => true,
            ErrorKind::Authorization
            | ErrorKind::BadRequest
            | ErrorKind::CredentialsValidateFailed
            | ErrorKind::PollingUnsupported
            | ErrorKind::FirstTokenTimeout
            | ErrorKind::NotFound
            | ErrorKind::Unsupported
            | ErrorKind::Internal => false,
        }
}

/// Applies what an error message says about retries: the delay, unless another source reported one, and that a quota of
/// 0 is permanent. For every error from a server, in error responses as well as inside of responses.
#[must_use]
pub fn with_stated_wait(mut error: InvokeError) -> InvokeError {
    if matches!(error.kind, ErrorKind::RateLimit | ErrorKind::ServerUnavailable) {
        error.retry_after = error.retry_after.or_else(|| delay_in(&error.message));
        error.retryable &= !has_zero_quota(&error.message);
    }
    error
}

/// Parses the delay that a text asks for: `Please retry in 55.1s`, `try again in 1m12.5s`, `Retry after 28 seconds`.
pub fn delay_in(text: &str) -> Option<Duration> {
    const BEFORE: [&str; 7] =
        ["retry in", "retry after", "again in", "again after", "retry-after", "retry_after", "wait"];
    const AFTER: [&str; 2] = ["秒后", "分钟后"];
    let text = text.to_ascii_lowercase();
    steps::count(text.len() * (BEFORE.len() + AFTER.len()));
    let mut places = BEFORE.iter().flat_map(|words| text.match_indices(words));
    let delay = places.find_map(|(at, words)| {
        let rest = text[at + words.len()..].trim_start_matches([' ', ':', '=', '"', '\'', '~']);
        let rest = ["for ", "about ", "at least ", "another "]
            .iter()
            .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        // A bare number is in seconds, as in the header of this name.
        seconds(rest).or_else(|| bare(rest).filter(|_| words.contains("after") || words.contains("in")))
    });
    let delay = delay.or_else(|| {
        AFTER.iter().flat_map(|words| text.match_indices(words)).find_map(|(at, words)| {
            let before = text[..at].trim_end();
            let digits =
                before.len() - before.bytes().rev().take(MAX_NUMBER_CHARACTERS).take_while(is_of_number).count();
            let number: f64 = before[digits..].parse().ok()?;
            Some(if words == AFTER[0] { number } else { 60.0 * number })
        })
    });
    Duration::try_from_secs_f64(delay?).ok()
}

/// Maximum length of a number in characters; longer digit sequences are not delays.
const MAX_NUMBER_CHARACTERS: usize = 32;

fn is_of_number(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b'.'
}

/// Parses a number at the start of a text and returns it with the rest.
fn number(text: &str) -> Option<(f64, &str)> {
    let length = text.bytes().take(MAX_NUMBER_CHARACTERS).take_while(is_of_number).count();
    // A trailing period may end the sentence.
    let digits = text[..length].trim_end_matches('.');
    Some((digits.parse().ok()?, &text[digits.len()..]))
}

/// Parses numbers with units at the start of a text, in seconds.
fn seconds(mut text: &str) -> Option<f64> {
    let mut sum = None;
    // Days, hours, minutes, seconds, milliseconds.
    for _ in 0..5 {
        let Some((amount, rest)) = number(text) else { break };
        let rest = rest.trim_start_matches([' ', '-']);
        let unit = &rest[..rest.bytes().take(MAX_NUMBER_CHARACTERS).take_while(u8::is_ascii_alphabetic).count()];
        let factor = match unit {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => break,
        };
        sum = Some(sum.unwrap_or(0.0) + amount * factor);
        text = rest[unit.len()..].trim_start_matches([' ', ',']);
        text = text.strip_prefix("and ").unwrap_or(text);
    }
    sum
}

/// Parses a number without a unit at the start of a text.
fn bare(text: &str) -> Option<f64> {
    let (number, rest) = number(text)?;
    let rest = rest.trim_start_matches(['.', '"', '\'', ')', '}', ',', ';']);
    (rest.is_empty() || rest.starts_with(char::is_whitespace) && !rest.trim_start().starts_with(char::is_alphanumeric))
        .then_some(number)
}

/// Whether a text reports a quota of 0, as for a model that is not in the free tier (`limit: 0`).
fn has_zero_quota(text: &str) -> bool {
    steps::count(text.len());
    text.to_ascii_lowercase().match_indices("limit").any(|(at, word)| {
        // A quota is a short integer.
        let rest = text.as_bytes()[at + word.len()..].iter().take(MAX_NUMBER_CHARACTERS);
        let rest: Vec<u8> = rest.copied().skip_while(|byte| b" :=\"'".contains(byte)).collect();
        match rest.as_slice() {
            [b'0', b'.', digit, ..] | [b'0', digit, ..] if digit.is_ascii_digit() => false,
            [b'0', ..] => true,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests;
