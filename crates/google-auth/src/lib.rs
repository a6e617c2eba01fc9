//! Google Cloud OAuth 2.0: exchanges a credential for an access token, which is fetched once for many requests and
//! refreshed before it expires.
//!
//! Tokens are kept in memory only. Source: Google Identity, "Using OAuth 2.0 for server to server applications",
//! "Workload identity federation"; AIP-4110 to AIP-4117.

mod credential;
mod machine;
mod token_exchange;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use credential::{ExternalAccount, GoogleCredential, SubjectSource, TOKEN_ENDPOINT, google_url};
pub use machine::{Reach, machine_identity};

use self::machine::{is_google, refused};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::auth::fetched::{Token, TokenCell};
use dify_plugin::upstream::auth::{Attempt, Sent, insert_public, insert_secret};
use dify_plugin::upstream::client::public_url;
use dify_plugin::upstream::{AuthOutcome, Authorize, ErrorResponse, NetworkSettings, Upstream};

/// Returns access tokens for one credential. Concurrent requests wait for one fetch and share its outcome.
pub struct TokenSource {
    source: Arc<Source>,
    cell: TokenCell,
}

/// What a token is requested with and for.
struct Source {
    identity: GoogleCredential,
    reach: Reach,
    scopes: Vec<String>,
    upstream: Upstream,
}

impl TokenSource {
    /// Creates a source without a token.
    pub fn new(identity: GoogleCredential, reach: Reach, scopes: Vec<String>, upstream: Upstream) -> Self {
        // Tokens serve many sessions, so fetching them does not count as a request of the first one.
        let upstream = upstream.for_no_session();
        Self { source: Arc::new(Source { identity, reach, scopes, upstream }), cell: TokenCell::default() }
    }

    /// Returns a token that stays valid for the next minutes, for a request to this URL with these network settings.
    /// The token is fetched with the same settings.
    pub async fn token(&self, url: &Url, network: &NetworkSettings) -> Result<SecretString, InvokeError> {
        self.source.reach.check(url, network)?;
        let fetch = || {
            let (source, network) = (self.source.clone(), network.clone());
            async move { source.fetch(&network).await }
        };
        self.cell.get(fetch).await
    }
}

impl Source {
    async fn fetch(&self, network: &NetworkSettings) -> Result<Token, InvokeError> {
        let fetching = token_exchange::fetch(&self.upstream, network, &self.identity, &self.scopes);
        if self.reach != Reach::Google {
            return fetching.await;
        }
        if let Some(foreign_url) = self.identity.token_endpoints().into_iter().find(|url| !is_google(url)) {
            return Err(refused(format!("its credentials file contains the URL {}", public_url(foreign_url))));
        }
        fetching.await.map_err(|error| {
            let refused = refused(error.detail());
            if error.retryable { refused.retryable() } else { refused }
        })
    }
}

/// Adds a token to each attempt, and refreshes it once after a 401.
pub struct GoogleBearer {
    source: Arc<TokenSource>,
    quota_project: Option<String>,
}

impl GoogleBearer {
    /// Creates the authorization of a request. `quota_project` is billed instead of the token's own project.
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

    fn refused<'a>(&'a self, response: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        Box::pin(async move {
            let bearer = sent.headers.get("authorization").and_then(|value| value.to_str().ok());
            match bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")) {
                Some(token) if response.status == 401 => {
                    self.source.cell.forget(token);
                    AuthOutcome::Again
                }
                _ => AuthOutcome::Final,
            }
        })
    }
}
