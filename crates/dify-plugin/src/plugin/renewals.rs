//! Renewed credentials, kept for a minute. Runs that need a token at the same time each have it renewed by Dify; a service
//! that accepts a refresh token only once rejects all requests but the first.
//!
//! They are kept by the credentials that they replace, in this process only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::erased::{ErasedOAuth, Outcome};
use super::{Call, OAuth, RefreshRequest};
use crate::protocol::oauth::OAuthCredentials;

/// How long the result of a renewal serves other requests for it.
const RENEWAL_TTL: Duration = Duration::from_secs(60);

/// Most renewals that are kept.
const MAX_RENEWALS: usize = 1024;

/// An author's OAuth that renews the same credentials once.
pub(super) struct Remembering<O> {
    oauth: O,
    recent: Mutex<Vec<Renewal>>,
}

struct Renewal {
    /// Of the client and of the credentials before.
    key: (u64, u64),
    began: Instant,
    renewed: Arc<OnceCell<OAuthCredentials>>,
}

impl<O> Remembering<O> {
    pub(super) fn new(oauth: O) -> Self {
        Self { oauth, recent: Mutex::new(Vec::new()) }
    }

    /// The renewal with this key: one of the last minute, or a new one.
    fn renewal(&self, key: (u64, u64)) -> Arc<OnceCell<OAuthCredentials>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|renewal| renewal.began.elapsed() < RENEWAL_TTL);
        if let Some(known) = recent.iter().find(|renewal| renewal.key == key) {
            return known.renewed.clone();
        }
        if recent.len() >= MAX_RENEWALS {
            recent.remove(0);
        }
        let renewed = Arc::new(OnceCell::new());
        recent.push(Renewal { key, began: Instant::now(), renewed: renewed.clone() });
        renewed
    }
}

impl<O: OAuth> ErasedOAuth for Remembering<O> {
    fn authorization_url(&self, call: Call, redirect_uri: String) -> Outcome<'_, String> {
        Box::pin(self.oauth.authorization_url(call, redirect_uri))
    }

    fn credentials(
        &self,
        call: Call,
        redirect_uri: String,
        request: http::Request<Bytes>,
    ) -> Outcome<'_, OAuthCredentials> {
        Box::pin(self.oauth.credentials(call, redirect_uri, request))
    }

    fn refresh(&self, call: Call, request: RefreshRequest) -> Outcome<'_, OAuthCredentials> {
        let renewed = self.renewal((call.credentials.fingerprint(), request.credentials.fingerprint()));
        // A failed renewal is tried again by the next request.
        Box::pin(async move { renewed.get_or_try_init(|| self.oauth.refresh(call, request)).await.cloned() })
    }
}
