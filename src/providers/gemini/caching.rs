//! Explicit context caching: the service stores a long prompt prefix for some time, so that cached tokens of later
//! requests cost a tenth.
//!
//! To limit the cost, a cache is created only if the app enables it (`context_cache`), from the second request with the
//! same prefix on, and for no longer than one further use pays for. It is extended only while it is in use. A service
//! that rejects a cache never fails the request: the prompt is sent in full, and caching pauses for that prefix.
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

use crate::dialect::gemini::request::cache_prefix::{CachedContent, Prefix};
use crate::dialect::gemini::request::parameters::Parameters;
use crate::dialect::gemini::response::price::{PriceList, Stored};
use crate::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::{RetryPolicy, Upstream, UpstreamRequest};
use dify_plugin_gemini::connection::Connection;

/// Default TTL, used if the app sets none.
const DEFAULT_TTL: Duration = Duration::from_secs(600);

/// Minimum TTL: a cache that pays off for less time is not created.
const MIN_TTL: Duration = Duration::from_secs(60);

/// A cache is not used this close to its expiry, because the request may arrive late.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// How long no cache is created for a prefix that the service rejected.
const REJECTION_TTL: Duration = Duration::from_secs(600);

/// Maximum number of prefixes in memory.
const MAX_ENTRIES: usize = 4096;

/// Maximum bytes of a cache description.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Owner and digest of a prefix.
type Key = (u64, [u8; 32]);

/// State of a prompt prefix. The task that holds the lock talks to the service; concurrent requests go without the
/// cache.
type Slot = Arc<tokio::sync::Mutex<State>>;

#[derive(Default)]
enum State {
    #[default]
    New,
    Seen(Instant),
    Cached {
        name: String,
        tokens: u64,
        until: Instant,
    },
    Rejected(Instant),
}

/// Prefixes by credentials and content.
#[derive(Default)]
pub(super) struct Caches(Mutex<HashMap<Key, Slot>>);

/// The cache that a request uses.
pub(super) struct Used {
    slot: Slot,
    /// Whether this request created it.
    is_new: bool,
    /// The part of the request that it contains.
    prefix: Prefix,
}

impl Used {
    /// Returns the prefix that was cut from the request.
    pub(super) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Forgets a cache that the service no longer has. If it was lost at its first use, as behind a gateway that
    /// distributes requests over projects, the next one would be lost too, so caching pauses.
    pub(super) async fn forget(&self) {
        *self.slot.lock().await =
            if self.is_new { State::Rejected(Instant::now() + REJECTION_TTL) } else { State::New };
    }
}

/// Inputs for the caching of a request.
pub(super) struct CacheRequest<'a> {
    /// Connection to the service.
    pub(super) connection: &'a Connection,
    /// HTTP client.
    pub(super) upstream: &'a Upstream,
    /// Owner of the caches.
    pub(super) owner: u64,
    /// Model of the caches.
    pub(super) model: &'a str,
    /// Minimum number of tokens in a cache; `None` if the model does not support caches.
    pub(super) minimum: Option<u64>,
    /// Prices of input and storage.
    pub(super) prices: &'a PriceList,
}

impl Caches {
    /// Moves the prefix of a request into a cache or uses an existing one, if the app enables it and it pays.
    pub(super) async fn apply(
        &self,
        cache: &CacheRequest<'_>,
        parameters: &Parameters<'_>,
        request: &mut GenerateContentRequest,
    ) -> (Option<Used>, Stored) {
        let nothing = (None, Stored::default());
        let is_enabled = parameters.flag("context_cache").unwrap_or(false) && request.cached_content.is_none();
        let (true, Some(minimum), Some(_)) = (is_enabled, cache.minimum, cache.connection.caches_url()) else {
            return nothing;
        };
        let prefix = Prefix::of(request);
        let ttl = affordable_ttl(cache.prices, prefix.tokens, ttl(parameters));
        if prefix.tokens < minimum || ttl < MIN_TTL {
            tracing::debug!(prefix.tokens, minimum, seconds = ttl.as_secs(), "prompt prefix too small for a cache");
            return nothing;
        }
        let slot = self.slot((cache.owner, digest(cache.model, &prefix.cached_content(request))));
        let Ok(mut state) = slot.try_lock() else { return nothing };
        let now = Instant::now();
        let is_new = matches!(*state, State::Seen(_));
        let stored = match &mut *state {
            State::Rejected(until) if now < *until => return nothing,
            State::Cached { name, tokens, until } if now + EXPIRY_MARGIN < *until => {
                match extend(cache, name, *until - now, ttl).await {
                    Ok(0) => Stored::default(),
                    Ok(more) => {
                        *until += Duration::from_secs(more);
                        Stored { created: 0, token_seconds: *tokens * more }
                    }
                    Err(error) => {
                        tracing::debug!(error = error.log_summary(), "cannot extend a cache");
                        *state = State::Seen(now);
                        return nothing;
                    }
                }
            }
            State::Seen(since) if since.elapsed() < ttl.max(DEFAULT_TTL) => {
                match create(cache, &prefix.cached_content(request), ttl).await {
                    Ok(cache) => {
                        let tokens = cache.usage_metadata.total_token_count;
                        *state = State::Cached { name: cache.name, tokens, until: now + ttl };
                        Stored { created: tokens, token_seconds: tokens * ttl.as_secs() }
                    }
                    Err(error) => {
                        tracing::warn!(error = error.log_summary(), "cache rejected; sending the prompt in full");
                        *state = State::Rejected(now + REJECTION_TTL);
                        return nothing;
                    }
                }
            }
            // The cache expired while in use, so the next request creates it again.
            State::Cached { .. } | State::New | State::Seen(_) | State::Rejected(_) => {
                *state = State::Seen(now);
                return nothing;
            }
        };
        let State::Cached { name, .. } = &*state else { return nothing };
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

/// Whether a request was rejected because the cache that it names no longer exists.
pub(super) fn is_cache_missing(error: &InvokeError) -> bool {
    let message = error.message.to_ascii_lowercase();
    matches!(error.status, Some(403 | 404)) && (message.contains("cachedcontent") || message.contains("cached content"))
}

fn ttl(parameters: &Parameters<'_>) -> Duration {
    let minutes = parameters.whole(&["context_cache_minutes"]).and_then(|minutes| u64::try_from(minutes).ok());
    minutes.map_or(DEFAULT_TTL, |minutes| Duration::from_secs(minutes.saturating_mul(60)))
}

/// Returns the longest TTL whose storage costs no more than one cache hit saves. Without prices, returns `requested`.
fn affordable_ttl(prices: &PriceList, tokens: u64, requested: Duration) -> Duration {
    let Some(pricing) = &prices.pricing else { return requested };
    let rates = prices.rates(pricing, tokens);
    let Some(storage) = rates.storage.filter(|storage| *storage > Decimal::ZERO) else { return requested };
    let seconds = (rates.input - rates.cached) * Decimal::from(3600) / storage;
    requested.min(Duration::from_secs(seconds.to_u64().unwrap_or_default()))
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
    content: &'a CachedContent<'a>,
    ttl: String,
}

async fn create(cache: &CacheRequest<'_>, content: &CachedContent<'_>, ttl: Duration) -> Result<Cache, InvokeError> {
    let url = cache
        .connection
        .caches_url()
        .ok_or_else(|| InvokeError::bad_request("this service does not support caches"))?;
    let model = cache.connection.model_name(cache.model)?;
    let body = Body { model: &model, content, ttl: format!("{}s", ttl.as_secs()) };
    let request = cache.connection.post(url, &body)?.with_retry(RetryPolicy::never());
    cache.upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await
}

/// Extends a cache if less than half of its TTL is left. Returns the number of seconds by which it was extended.
async fn extend(cache: &CacheRequest<'_>, name: &str, left: Duration, ttl: Duration) -> Result<u64, InvokeError> {
    if left > ttl / 2 {
        return Ok(0);
    }
    let mut url = cache.connection.url(name)?;
    url.set_query(Some("updateMask=ttl"));
    let mut request: UpstreamRequest = cache.connection.post(url, &json!({"ttl": format!("{}s", ttl.as_secs())}))?;
    request.method = Method::PATCH;
    cache.upstream.send(&request.with_retry(RetryPolicy::never())).await?;
    Ok((ttl - left).as_secs())
}

fn digest(model: &str, content: &CachedContent<'_>) -> [u8; 32] {
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
    // Serializing JSON values into memory cannot fail.
    let _ = serde_json::to_writer(&mut hashing, &(model, content));
    hashing.0.finalize().into()
}
