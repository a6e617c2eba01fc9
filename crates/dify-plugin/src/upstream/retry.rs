//! When a request is sent again: only before the first byte of the answer, only for what may pass, with bounded waits.
//!
//! What an upstream asks for in words is read here for all dialects; headers and details are read where they are known.

use std::time::Duration;

use crate::error::{ErrorKind, InvokeError};
use crate::steps;

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Repeats after the first attempt; 0 is never.
    pub max_retries: u32,
    /// Wait before the first repeat; doubles each time.
    pub first_wait: Duration,
    /// Longest wait. An upstream that asks for more is not asked again.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_retries: 2, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(20) }
    }
}

impl RetryPolicy {
    /// Never again.
    pub fn never() -> Self {
        Self { max_retries: 0, ..Self::default() }
    }

    /// How long to wait before repeat number `attempt` (from 0), or `None` when the error stands.
    ///
    /// `jitter` is between 0 and 1 and spreads the repeats of parallel calls: over half of the wait, or over as much time
    /// behind the moment that the upstream asked to wait for.
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

/// Whether a repeat can end differently. The reader of the answer decides (`retryable`); some kinds never do.
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

/// The same error, with what its words say of a repeat: how long to wait, where nothing else told it, and that a limit of
/// nothing does not pass. For every error that an upstream brings, refusals and those inside an answer alike.
#[must_use]
pub fn heed_words(mut error: InvokeError) -> InvokeError {
    if matches!(error.kind, ErrorKind::RateLimit | ErrorKind::ServerUnavailable) {
        error.retry_after = error.retry_after.or_else(|| asked_in(&error.message));
        error.retryable &= !has_no_share(&error.message);
    }
    error
}

/// The wait that a text asks for: `Please retry in 55.1s`, `try again in 1m12.5s`, `Retry after 28 seconds`.
pub fn asked_in(text: &str) -> Option<Duration> {
    const BEFORE: [&str; 7] =
        ["retry in", "retry after", "again in", "again after", "retry-after", "retry_after", "wait"];
    const AFTER: [&str; 2] = ["秒后", "分钟后"];
    let text = text.to_ascii_lowercase();
    steps::count(text.len() * (BEFORE.len() + AFTER.len()));
    let mut places = BEFORE.iter().flat_map(|words| text.match_indices(words));
    let told = places.find_map(|(at, words)| {
        let rest = text[at + words.len()..].trim_start_matches([' ', ':', '=', '"', '\'', '~']);
        let rest = ["for ", "about ", "at least ", "another "]
            .iter()
            .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
        // A bare number is seconds, as in the header of this name.
        seconds(rest).or_else(|| bare(rest).filter(|_| words.contains("after") || words.contains("in")))
    });
    let told = told.or_else(|| {
        AFTER.iter().flat_map(|words| text.match_indices(words)).find_map(|(at, words)| {
            let before = text[..at].trim_end();
            let digits =
                before.len() - before.bytes().rev().take(MAX_NUMBER_CHARACTERS).take_while(is_of_number).count();
            let number: f64 = before[digits..].parse().ok()?;
            Some(if words == AFTER[0] { number } else { 60.0 * number })
        })
    });
    Duration::try_from_secs_f64(told?).ok()
}

/// Letters of a number that can be meant.
const MAX_NUMBER_CHARACTERS: usize = 32;

fn is_of_number(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b'.'
}

/// A number at the beginning of a text, and the rest.
fn number(text: &str) -> Option<(f64, &str)> {
    let length = text.bytes().take(MAX_NUMBER_CHARACTERS).take_while(is_of_number).count();
    // A full stop may end the sentence.
    let digits = text[..length].trim_end_matches('.');
    Some((digits.parse().ok()?, &text[digits.len()..]))
}

/// Numbers with their units at the beginning of a text, in seconds.
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

/// A number that stands alone at the beginning of a text.
fn bare(text: &str) -> Option<f64> {
    let (number, rest) = number(text)?;
    let rest = rest.trim_start_matches(['.', '"', '\'', ')', '}', ',', ';']);
    (rest.is_empty() || rest.starts_with(char::is_whitespace) && !rest.trim_start().starts_with(char::is_alphanumeric))
        .then_some(number)
}

/// Whether a text tells of a limit of nothing, as a model's is that the free tier leaves out (`limit: 0`).
fn has_no_share(text: &str) -> bool {
    steps::count(text.len());
    text.to_ascii_lowercase().match_indices("limit").any(|(at, word)| {
        // No limit of whole letters is anything but short.
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
