//! Google Cloud OAuth2: an identity → a bearer token, fetched once for many calls and renewed in time.
//!
//! Tokens live in memory only. Source: Google Identity, "Using OAuth 2.0 for server to server applications",
//! "Workload identity federation"; AIP-4110 to AIP-4117.

mod grants;
mod identity;
mod machine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

pub use identity::{ExternalAccount, Identity, SubjectSource, TOKEN_ENDPOINT, google_url};
pub use machine::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, MachineAccess, Reach};

use self::machine::{is_google, refused};
use super::auth::{Attempt, Sent, insert_public, insert_secret};
use super::client::public_url;
use super::{Authorize, ErrorResponse, NetworkSettings, Upstream, Verdict};
use crate::error::InvokeError;

/// A token is renewed when less than this is left of it, or less than a quarter of a short life.
const MARGIN: Duration = Duration::from_secs(225);

/// How long a refusal that no repeat can change is remembered, so that the token endpoint is not hammered.
const REFUSAL_MEMORY: Duration = Duration::from_secs(30);

/// A token, when it is renewed and when it ends.
pub(super) struct Token {
    secret: SecretString,
    fresh_until: Instant,
    expires: Instant,
}

impl Token {
    fn new(secret: SecretString, life: Duration) -> Self {
        let expires = Instant::now() + life;
        Self { secret, fresh_until: expires - MARGIN.min(life / 4), expires }
    }
}

#[derive(Default)]
struct Cache {
    token: Option<Token>,
    refusal: Option<(InvokeError, Instant)>,
}

/// Gives tokens of one identity. Parallel calls wait for one fetch.
pub struct TokenSource {
    identity: Identity,
    reach: Reach,
    scopes: Vec<String>,
    upstream: Upstream,
    cache: Mutex<Cache>,
}

impl TokenSource {
    /// A source that has fetched nothing yet.
    pub fn new(identity: Identity, reach: Reach, scopes: Vec<String>, upstream: Upstream) -> Self {
        // Tokens serve many sessions, and are no call of the first one.
        let upstream = upstream.for_no_session();
        Self { identity, reach, scopes, upstream, cache: Mutex::default() }
    }

    /// A token that is good for the next minutes, for a request to this address by this network. It is fetched by the same
    /// network.
    pub async fn token(&self, url: &Url, network: &NetworkSettings) -> Result<SecretString, InvokeError> {
        self.reach.check(url, network)?;
        let mut cache = self.cache.lock().await;
        let now = Instant::now();
        if let Some(token) = cache.token.as_ref().filter(|token| now < token.fresh_until) {
            return Ok(token.secret.clone());
        }
        if let Some((refusal, until)) = &cache.refusal
            && now < *until
        {
            return Err(refusal.clone());
        }
        match self.fetch(network).await {
            Ok(token) => {
                let secret = token.secret.clone();
                *cache = Cache { token: Some(token), refusal: None };
                Ok(secret)
            }
            // A token that still works is better than none.
            Err(error) => match cache.token.as_ref().filter(|token| token.expires > now) {
                Some(token) if error.retryable => Ok(token.secret.clone()),
                _ => {
                    if !error.retryable {
                        cache.refusal = Some((error.clone(), now + REFUSAL_MEMORY));
                    }
                    Err(error)
                }
            },
        }
    }

    /// Forgets a token that the API refused; a newer one stays.
    async fn forget(&self, refused: &str) {
        let mut cache = self.cache.lock().await;
        if cache.token.as_ref().is_some_and(|token| token.secret.expose_secret() == refused) {
            cache.token = None;
        }
    }

    async fn fetch(&self, network: &NetworkSettings) -> Result<Token, InvokeError> {
        let fetching = grants::fetch(&self.upstream, network, &self.identity, &self.scopes);
        if self.reach != Reach::Google {
            return fetching.await;
        }
        if let Some(elsewhere) = self.identity.token_endpoints().into_iter().find(|url| !is_google(url)) {
            return Err(refused(format!("its credentials file leads to {}", public_url(elsewhere))));
        }
        fetching.await.map_err(|error| InvokeError { retryable: error.retryable, ..refused(error.detail()) })
    }
}

/// Puts a token on each attempt; a 401 renews it once.
pub struct GoogleBearer {
    source: Arc<TokenSource>,
    quota_project: Option<String>,
}

impl GoogleBearer {
    /// The bearer of a call. `quota_project` is charged in place of the token's own project.
    pub fn new(source: Arc<TokenSource>, quota_project: Option<String>) -> Self {
        Self { source, quota_project }
    }
}

impl Authorize for GoogleBearer {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            let token = self.source.token(attempt.url, attempt.network).await?;
            insert_secret(attempt.headers, "authorization", &format!("Bearer {}", token.expose_secret()))?;
            if let Some(project) = &self.quota_project {
                insert_public(attempt.headers, "x-goog-user-project", project)?;
            }
            Ok(())
        })
    }

    fn refused<'a>(&'a self, answer: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let bearer = sent.headers.get("authorization").and_then(|value| value.to_str().ok());
            match bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")) {
                Some(token) if answer.status == 401 => {
                    self.source.forget(token).await;
                    Verdict::Again
                }
                _ => Verdict::Final,
            }
        })
    }
}
