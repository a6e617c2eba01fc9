//! Cache of a token that has to be fetched: one fetch serves all concurrent requests, whether it succeeds or not; a
//! valid token is refreshed in the background; and a failed fetch is not retried immediately.
//!
//! Knows no token endpoint: the caller provides the fetch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};

use crate::error::InvokeError;

/// A token is refreshed when less than this is left of its lifetime, or less than a quarter of a short lifetime.
const REFRESH_MARGIN: Duration = Duration::from_secs(225);

/// Maximum time for which a token is kept, whatever lifetime its endpoint reports.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// How long a permanent error is remembered, so that the token endpoint is not flooded with requests.
const PERMANENT_ERROR_TTL: Duration = Duration::from_secs(30);

/// How long other errors are remembered: the fetch was retried already, and a request at this time would have shared
/// it.
const TRANSIENT_ERROR_TTL: Duration = Duration::from_secs(2);

/// A token and its times.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    /// Time from which it is refreshed in the background.
    fresh_until: Instant,
    /// Time from which requests wait for the refresh, because the token may expire in transit.
    used_until: Instant,
    expires: Instant,
}

impl Token {
    /// Creates a token that expires after `lifetime`.
    pub fn new(secret: SecretString, lifetime: Duration) -> Self {
        let lifetime = lifetime.min(MAX_TOKEN_TTL);
        let (expires, margin) = (Instant::now() + lifetime, REFRESH_MARGIN.min(lifetime / 4));
        Self { secret, fresh_until: expires - margin, used_until: expires - margin / 4, expires }
    }

    /// Returns the token.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

type Fetching = Shared<BoxFuture<'static, Result<Token, InvokeError>>>;

/// Holder of one token; clones share it.
#[derive(Clone, Default)]
pub struct TokenCell(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    token: Option<Token>,
    failure: Option<(InvokeError, Instant)>,
    fetching: Option<Fetching>,
}

impl TokenCell {
    /// Returns a valid token: the cached one, or the result of a fetch. `fetch` is called if no fetch is in progress,
    /// and continues even if its caller stops waiting.
    pub async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<SecretString, InvokeError>
    where
        F: Future<Output = Result<Token, InvokeError>> + Send + 'static,
    {
        let (fetching, kept) = {
            let mut state = self.state();
            let now = Instant::now();
            let kept = state.token.clone().filter(|token| now < token.expires);
            if let Some(token) = kept.as_ref().filter(|token| now < token.fresh_until) {
                return Ok(token.secret.clone());
            }
            let failure = state.failure.as_ref().filter(|(_, until)| now < *until).map(|(error, _)| error.clone());
            let fetching = match (state.fetching.clone(), failure) {
                (Some(fetching), _) => fetching,
                (None, Some(failure)) => return kept.map(|token| token.secret).ok_or(failure),
                (None, None) => self.start(&mut state, fetch()),
            };
            if let Some(token) = kept.as_ref().filter(|token| now < token.used_until) {
                return Ok(token.secret.clone());
            }
            (fetching, kept)
        };
        match (fetching.await, kept) {
            (Ok(token), _) => Ok(token.secret),
            // A token that has not expired is better than none.
            (Err(_), Some(token)) if Instant::now() < token.expires => Ok(token.secret),
            (Err(error), _) => Err(error),
        }
    }

    /// Drops a token that a server rejected; a newer one is kept.
    pub fn forget(&self, rejected: &str) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|token| token.secret.expose_secret() == rejected) {
            state.token = None;
        }
    }

    fn start<F>(&self, state: &mut State, fetch: F) -> Fetching
    where
        F: Future<Output = Result<Token, InvokeError>> + Send + 'static,
    {
        let cell = self.clone();
        let lost = || Err(InvokeError::internal("the token request was aborted"));
        let work = tokio::spawn(async move {
            // A separate task, so that a panic ends the fetch instead of blocking all later requests.
            let outcome = tokio::spawn(fetch).await.unwrap_or_else(|_| lost());
            let mut state = cell.state();
            state.fetching = None;
            match &outcome {
                Ok(token) => (state.token, state.failure) = (Some(token.clone()), None),
                Err(error) => {
                    let ttl = if error.retryable { TRANSIENT_ERROR_TTL } else { PERMANENT_ERROR_TTL };
                    state.failure = Some((error.clone(), Instant::now() + ttl));
                }
            }
            outcome
        });
        let fetching = work.map(move |outcome| outcome.unwrap_or_else(|_| lost())).boxed().shared();
        state.fetching = Some(fetching.clone());
        fetching
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
