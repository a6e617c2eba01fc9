//! Login by user name and password: the server's token, valid for half an hour, is fetched once and shared by all
//! requests.
//!
//! A rejected password is not retried for some time, because ten failures ban the client address.
//! Source: `xorbitsai/inference: xinference/api/oauth2/`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::auth::{Attempt, HeaderAuthorization, Sent, insert_secret};
use dify_plugin::upstream::{AuthOutcome, Authorize, ErrorResponse, Upstream, UpstreamRequest};

/// How long a token is used; it is valid for 30 minutes.
const TOKEN_TTL: Duration = Duration::from_secs(25 * 60);

/// How long a rejection is remembered; a ban for too many failures lasts ten minutes.
const REJECTION_TTL: Duration = Duration::from_secs(5 * 60);

/// Maximum number of remembered logins.
const MAX_LOGINS: usize = 256;

/// Tokens of the process, by login.
#[derive(Default)]
pub(super) struct Tokens(std::sync::Mutex<HashMap<u64, Arc<Place>>>);

/// State of a login. The request that locks it first logs in; the others wait.
#[derive(Default)]
struct Place {
    state: Mutex<State>,
    /// The next login is sent despite an earlier rejection.
    is_admitted: AtomicBool,
}

#[derive(Default)]
enum State {
    #[default]
    LoggedOut,
    LoggedIn(Token),
    Rejected(InvokeError, Instant),
}

struct Token {
    text: SecretString,
    until: Instant,
}

impl Tokens {
    /// Allows a rejected login to be tried again.
    pub(super) fn admit(&self, key: u64) {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&key) {
            place.is_admitted.store(true, Ordering::Relaxed);
        }
    }

    fn place(&self, key: u64) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_LOGINS && !places.contains_key(&key) {
            places.clear();
        }
        places.entry(key).or_default().clone()
    }
}

/// Adds the token and the user's own headers to requests.
pub(super) struct Login {
    headers: HeaderAuthorization,
    upstream: Upstream,
    request: UpstreamRequest,
    place: Arc<Place>,
}

impl Login {
    /// Creates the authorizer; `request` is the `POST /token` request.
    pub(super) fn new(
        headers: HeaderAuthorization,
        upstream: Upstream,
        request: UpstreamRequest,
        tokens: Arc<Tokens>,
        key: u64,
    ) -> Self {
        Self { headers, upstream, request, place: tokens.place(key) }
    }

    async fn token(&self) -> Result<SecretString, InvokeError> {
        let mut state = self.place.state.lock().await;
        let is_admitted = self.place.is_admitted.swap(false, Ordering::Relaxed);
        match &*state {
            State::LoggedIn(token) if token.until > Instant::now() => return Ok(token.text.clone()),
            State::Rejected(error, until) if *until > Instant::now() && !is_admitted => return Err(error.clone()),
            _ => {}
        }
        match self.log_in().await {
            Ok(text) => {
                *state = State::LoggedIn(Token { text: text.clone(), until: Instant::now() + TOKEN_TTL });
                Ok(text)
            }
            Err(error) => {
                *state = match error.kind {
                    ErrorKind::Authorization => State::Rejected(error.clone(), Instant::now() + REJECTION_TTL),
                    _ => State::LoggedOut,
                };
                Err(error)
            }
        }
    }

    async fn log_in(&self) -> Result<SecretString, InvokeError> {
        #[derive(Deserialize)]
        struct LoginResponse {
            access_token: SecretString,
        }
        let response = self.upstream.send(&self.request).await.map_err(|error| match error.status {
            Some(404 | 405) => {
                InvokeError::credentials("authentication is disabled on this server, so there is no login")
                    .with_hint("Leave `username` and `password` empty, or use `api_key`.")
            }
            Some(_) => {
                let message = format!("login failed: {}", error.message);
                error.with_message(message)
            }
            None => error,
        })?;
        let body = response.bytes(64 * 1024).await?;
        let response: LoginResponse = serde_json::from_slice(&body)
            .map_err(|_| InvokeError::server_unavailable("the login response contains no token"))?;
        Ok(response.access_token)
    }
}

impl Authorize for Login {
    fn authorize<'a>(&'a self, mut attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            let token = self.token().await?;
            self.headers.authorize(attempt.reborrow()).await?;
            insert_secret(attempt.headers, "authorization", &format!("Bearer {}", token.expose_secret()))
        })
    }

    fn refused<'a>(&'a self, response: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        Box::pin(async move {
            if response.status.as_u16() != 401 {
                return AuthOutcome::Final;
            }
            // The server was restarted or the token expired early: log in again unless another request just did.
            let mut state = self.place.state.lock().await;
            let used = sent.headers.get("authorization").map(http::HeaderValue::as_bytes);
            if let State::LoggedIn(token) = &*state
                && used == Some(format!("Bearer {}", token.text.expose_secret()).as_bytes())
            {
                *state = State::LoggedOut;
            }
            AuthOutcome::Again
        })
    }
}
