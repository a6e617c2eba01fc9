//! Explicit context caching: the long beginning of a prompt is kept by the service for a while, so that later calls pay a
//! tenth for it.
//!
//! What keeps the costs down: it happens only where the app asks for it (`context_cache`), from the second call with the
//! same beginning on, for no longer than a single further use pays for, and a cache is prolonged only while it is used.
//! A service that refuses never fails a call: the prompt goes whole, and the service is not asked again for a while.
//! Source: Gemini API, "Context caching"; Vertex AI, "Context caching overview".

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::connection::Connection;
use crate::dialect::gemini::cache_prefix::{Kept, Prefix};
use crate::dialect::gemini::parameters::Parameters;
use crate::dialect::gemini::price::{PriceList, Stored};
use crate::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::{RetryPolicy, Upstream, UpstreamRequest};

/// How long a beginning is kept when the app does not say.
const DEFAULT_TTL: Duration = Duration::from_secs(600);

/// A cache that pays for less time than this is not made.
const MIN_TTL: Duration = Duration::from_secs(60);

/// A cache is not used in its last seconds: the call may arrive late.
const MARGIN: Duration = Duration::from_secs(10);

/// How long a refusal counts.
const REFUSAL: Duration = Duration::from_secs(600);

/// Beginnings that are remembered at once.
const MAX_ENTRIES: usize = 4096;

/// Longest description of a cache.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Whose beginning, and its digest.
type Key = (u64, [u8; 32]);

/// What is known of a beginning. Whoever holds it speaks with the service; others go without the cache meanwhile.
type Slot = Arc<tokio::sync::Mutex<State>>;

#[derive(Default)]
enum State {
    #[default]
    New,
    Seen(Instant),
    Kept {
        name: String,
        tokens: u64,
        until: Instant,
    },
    Refused(Instant),
}

/// Beginnings by credentials and content.
#[derive(Default)]
pub(super) struct Caches(Mutex<HashMap<Key, Slot>>);

/// The cache that a request uses.
pub(super) struct Used {
    slot: Slot,
    /// Whether this request made it.
    is_new: bool,
    /// What of the request it contains.
    prefix: Prefix,
}

impl Used {
    /// Where the request is cut.
    pub(super) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Forgets a cache that the service no longer has. Where one is lost at its first use, as behind a gateway that
    /// spreads calls over projects, the next would be lost too.
    pub(super) async fn forget(&self) {
        *self.slot.lock().await = if self.is_new { State::Refused(Instant::now() + REFUSAL) } else { State::New };
    }
}

/// What a call wants of the caches.
pub(super) struct CacheRequest<'a> {
    /// Where the service is.
    pub(super) connection: &'a Connection,
    /// How it is reached.
    pub(super) upstream: &'a Upstream,
    /// Whose caches.
    pub(super) owner: u64,
    /// Which model's.
    pub(super) model: &'a str,
    /// Tokens of the smallest cache; `None` where the model has none.
    pub(super) minimum: Option<u64>,
    /// What reading and keeping costs.
    pub(super) prices: &'a PriceList,
}

impl Caches {
    /// Puts the beginning of a request into a cache, or uses the one that keeps it, where that is wished and pays.
    pub(super) async fn apply(
        &self,
        wish: &CacheRequest<'_>,
        parameters: &Parameters<'_>,
        request: &mut GenerateContentRequest,
    ) -> (Option<Used>, Stored) {
        let nothing = (None, Stored::default());
        let wanted = parameters.flag("context_cache").unwrap_or(false) && request.cached_content.is_none();
        let (true, Some(minimum), Some(_)) = (wanted, wish.minimum, wish.connection.caches_url()) else {
            return nothing;
        };
        let prefix = Prefix::of(request);
        let life = affordable(wish.prices, prefix.tokens, life(parameters));
        if prefix.tokens < minimum || life < MIN_TTL {
            tracing::debug!(prefix.tokens, minimum, seconds = life.as_secs(), "too little to be worth a cache");
            return nothing;
        }
        let slot = self.slot((wish.owner, digest(wish.model, &prefix.kept(request))));
        let Ok(mut state) = slot.try_lock() else { return nothing };
        let now = Instant::now();
        let is_new = matches!(*state, State::Seen(_));
        let stored = match &mut *state {
            State::Refused(until) if now < *until => return nothing,
            State::Kept { name, tokens, until } if now + MARGIN < *until => {
                match prolong(wish, name, *until - now, life).await {
                    Ok(0) => Stored::default(),
                    Ok(more) => {
                        *until += Duration::from_secs(more);
                        Stored { created: 0, token_seconds: *tokens * more }
                    }
                    Err(error) => {
                        tracing::debug!(error = error.brief(), "a cache could not be prolonged");
                        *state = State::Seen(now);
                        return nothing;
                    }
                }
            }
            State::Seen(since) if since.elapsed() < life.max(DEFAULT_TTL) => {
                match create(wish, &prefix.kept(request), life).await {
                    Ok(cache) => {
                        let tokens = cache.usage_metadata.total_token_count;
                        *state = State::Kept { name: cache.name, tokens, until: now + life };
                        Stored { created: tokens, token_seconds: tokens * life.as_secs() }
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = error.brief(),
                            "the service keeps no cache of this prompt; it goes whole"
                        );
                        *state = State::Refused(now + REFUSAL);
                        return nothing;
                    }
                }
            }
            // Made again at once: it was in use.
            State::Kept { .. } | State::New | State::Seen(_) | State::Refused(_) => {
                *state = State::Seen(now);
                return nothing;
            }
        };
        let State::Kept { name, .. } = &*state else { return nothing };
        prefix.cut(request, name.clone());
        drop(state);
        (Some(Used { slot, is_new, prefix }), stored)
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_ENTRIES && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }
}

/// Whether a call was refused because the cache that it names is gone.
pub(super) fn is_gone(error: &InvokeError) -> bool {
    let message = error.message.to_ascii_lowercase();
    matches!(error.status, Some(403 | 404)) && (message.contains("cachedcontent") || message.contains("cached content"))
}

fn life(parameters: &Parameters<'_>) -> Duration {
    let minutes = parameters.whole(&["context_cache_minutes"]).and_then(|minutes| u64::try_from(minutes).ok());
    minutes.map_or(DEFAULT_TTL, |minutes| Duration::from_secs(minutes.saturating_mul(60)))
}

/// The time for which keeping costs no more than a single further use saves. Without prices it is as wished.
fn affordable(prices: &PriceList, tokens: u64, wished: Duration) -> Duration {
    let Some(pricing) = &prices.pricing else { return wished };
    let rates = prices.rates(pricing, tokens);
    let Some(storage) = rates.storage.filter(|storage| *storage > Decimal::ZERO) else { return wished };
    let seconds = (rates.input - rates.cached) * Decimal::from(3600) / storage;
    wished.min(Duration::from_secs(seconds.to_u64().unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cache {
    name: String,
    #[serde(default)]
    usage_metadata: Usage,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Usage {
    total_token_count: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(flatten)]
    kept: &'a Kept<'a>,
    ttl: String,
}

async fn create(wish: &CacheRequest<'_>, kept: &Kept<'_>, life: Duration) -> Result<Cache, InvokeError> {
    let url = wish.connection.caches_url().ok_or_else(|| InvokeError::bad_request("this service has no caches"))?;
    let model = wish.connection.model_name(wish.model)?;
    let body = Body { model: &model, kept, ttl: format!("{}s", life.as_secs()) };
    let request = wish.connection.post(url, &body)?.with_retry(RetryPolicy::never());
    wish.upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await
}

/// Seconds that a cache lives longer than before: only in the second half of its life is it worth a request.
async fn prolong(wish: &CacheRequest<'_>, name: &str, left: Duration, life: Duration) -> Result<u64, InvokeError> {
    if left > life / 2 {
        return Ok(0);
    }
    let mut url = wish.connection.url(name)?;
    url.set_query(Some("updateMask=ttl"));
    let mut request: UpstreamRequest = wish.connection.post(url, &json!({"ttl": format!("{}s", life.as_secs())}))?;
    request.method = Method::PATCH;
    wish.upstream.send(&request.with_retry(RetryPolicy::never())).await?;
    Ok((life - left).as_secs())
}

fn digest(model: &str, kept: &Kept<'_>) -> [u8; 32] {
    struct Hashing(Sha256);
    impl io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(Sha256::new());
    // What is written here was made from JSON and goes into memory: it cannot fail.
    let _ = serde_json::to_writer(&mut hashing, &(model, kept));
    hashing.0.finalize().into()
}
