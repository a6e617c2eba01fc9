//! A token that has to be fetched: once for all calls that want it at the same time, whether they get it or not; anew
//! beside the old one while that is good; and not again at once where the fetch failed.
//!
//! It knows no token endpoint: whoever asks brings the fetch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};

use crate::error::InvokeError;

/// A token is renewed when less than this is left of it, or less than a quarter of a short life.
const MARGIN: Duration = Duration::from_secs(225);

/// How long any token is kept, whatever its endpoint says of it.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// How long a refusal that no repeat can change is remembered, so that the token endpoint is not hammered.
const REFUSAL_MEMORY: Duration = Duration::from_secs(30);

/// How long other failures are: whoever asks in this moment asked for the fetch that failed, which was repeated already.
const FAILURE_MEMORY: Duration = Duration::from_secs(2);

/// A token and its times.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    /// From then on it is renewed beside its use.
    fresh_until: Instant,
    /// From then on calls wait for the renewal: what is sent now may arrive too late.
    used_until: Instant,
    expires: Instant,
}

impl Token {
    /// A token that lives so long from now on.
    pub fn new(secret: SecretString, life: Duration) -> Self {
        let life = life.min(MAX_TOKEN_TTL);
        let (expires, margin) = (Instant::now() + life, MARGIN.min(life / 4));
        Self { secret, fresh_until: expires - margin, used_until: expires - margin / 4, expires }
    }

    /// The token itself.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

type Fetching = Shared<BoxFuture<'static, Result<Token, InvokeError>>>;

/// The place of one token; clones are the same place.
#[derive(Clone, Default)]
pub struct TokenCell(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    token: Option<Token>,
    failure: Option<(InvokeError, Instant)>,
    fetching: Option<Fetching>,
}

impl TokenCell {
    /// A good token: the one that is there, or what a fetch brings. `fetch` is called where none is on its way; it goes on
    /// whether or not its caller still waits.
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
            // A token that still works is better than none.
            (Err(_), Some(token)) if Instant::now() < token.expires => Ok(token.secret),
            (Err(error), _) => Err(error),
        }
    }

    /// Forgets a token that was refused where it was shown; a newer one stays.
    pub fn forget(&self, refused: &str) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|token| token.secret.expose_secret() == refused) {
            state.token = None;
        }
    }

    fn start<F>(&self, state: &mut State, fetch: F) -> Fetching
    where
        F: Future<Output = Result<Token, InvokeError>> + Send + 'static,
    {
        let cell = self.clone();
        let lost = || Err(InvokeError::internal("the fetch of a token was given up"));
        let work = tokio::spawn(async move {
            // In a task of its own, so that a panic leaves no fetch behind that never ends.
            let outcome = tokio::spawn(fetch).await.unwrap_or_else(|_| lost());
            let mut state = cell.state();
            state.fetching = None;
            match &outcome {
                Ok(token) => (state.token, state.failure) = (Some(token.clone()), None),
                Err(error) => {
                    let memory = if error.retryable { FAILURE_MEMORY } else { REFUSAL_MEMORY };
                    state.failure = Some((error.clone(), Instant::now() + memory));
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
