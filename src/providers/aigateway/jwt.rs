//! The token that the gateway's JWT consumers show: made from the credential form, shared by parallel calls, renewed in
//! time.
//!
//! Source of the claims and of what is checked: `alibaba/higress: plugins/wasm-cpp/extensions/jwt_auth/plugin.cc`,
//! `google/jwt_verify_lib: src/jwt.cc, src/verify.cc`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::providers::aigateway::jwk::{signing_key, usual_algorithm};
use crate::providers::aigateway::jws::{Algorithm, SigningKey};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;
use dify_plugin::upstream::auth::{Attempt, Sent, insert_secret};
use dify_plugin::upstream::{AuthOutcome, Authorize, ErrorResponse};

/// Longest life of a token, in seconds: seven days.
const MAX_LIFETIME_SECONDS: u64 = 604_800;

/// Life of a token when none is chosen, in seconds.
const DEFAULT_LIFETIME_SECONDS: u64 = 7200;

/// How long before now a token is issued and starts to be valid, for gateways whose clock is behind. In seconds.
const BACKDATED: u64 = 60;

/// Least time between renewal and end of a token, in seconds.
const MIN_RENEWAL_MARGIN_SECONDS: u64 = 60;

/// A clock that goes back by more than this has been set; in seconds.
const CLOCK_JITTER: u64 = 5;

/// Different tokens that are kept at once.
const MAX_TOKENS: usize = 256;

/// Claims that we set ourselves.
const OUR_CLAIMS: [&str; 4] = ["jti", "iat", "nbf", "exp"];

/// The word for "no prefix": an empty form field cannot be told from one that was never filled in.
const NO_PREFIX: &str = "none";

/// Everything that decides what a token says and how it is signed.
struct TokenSettings<'a> {
    key: &'a str,
    algorithm: Algorithm,
    kid: Option<&'a str>,
    lifetime: u64,
    /// Claims besides our own, in order.
    claims: Map<String, Value>,
}

impl<'a> TokenSettings<'a> {
    fn read(credentials: &'a Credentials) -> Result<Self, InvokeError> {
        let key = credentials.require("jwt_jwks")?;
        let algorithm = match credentials.get("jwt_algorithm") {
            Some(name) => name
                .parse()
                .map_err(|error| InvokeError::credentials(format!("credential `jwt_algorithm`: {error}")))?,
            None => usual_algorithm(key),
        };
        Ok(Self {
            key,
            algorithm,
            kid: credentials.get("jwt_key_id"),
            lifetime: lifetime(credentials)?,
            claims: claims(credentials)?,
        })
    }

    /// The key of the cache.
    fn digest(&self) -> [u8; 32] {
        let settings = json!([self.key, self.algorithm.as_str(), self.kid, self.lifetime, self.claims]);
        Sha256::digest(settings.to_string()).into()
    }
}

fn lifetime(credentials: &Credentials) -> Result<u64, InvokeError> {
    let Some(text) = credentials.get("jwt_expiration") else { return Ok(DEFAULT_LIFETIME_SECONDS) };
    text.parse().ok().filter(|seconds| (1..=MAX_LIFETIME_SECONDS).contains(seconds)).ok_or_else(|| {
        InvokeError::credentials(format!(
            "credential `jwt_expiration` must be a whole number of seconds from 1 to {MAX_LIFETIME_SECONDS}"
        ))
    })
}

fn claims(credentials: &Credentials) -> Result<Map<String, Value>, InvokeError> {
    let mut claims = Map::new();
    let identity = credentials.get("jwt_claim_name").unwrap_or("uid");
    claims.insert(identity.to_owned(), credentials.require("jwt_consumer_id")?.into());
    for (claim, field) in [("iss", "jwt_issuer"), ("aud", "jwt_audience"), ("sub", "jwt_subject")] {
        if let Some(value) = credentials.get(field) {
            claims.insert(claim.to_owned(), value.into());
        }
    }
    if let Some(text) = credentials.get("jwt_extra_claims") {
        let wrong = |what: &str| InvokeError::credentials(format!("credential `jwt_extra_claims` {what}"));
        let extra: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong("must be a JSON object"))?;
        for (name, value) in extra {
            if !value.is_string() {
                return Err(wrong(&format!("must hold texts only; `{name}` is none")));
            }
            if claims.contains_key(&name) {
                return Err(wrong(&format!("repeats the claim `{name}`, which a field of its own sets")));
            }
            claims.insert(name, value);
        }
    }
    match OUR_CLAIMS.iter().find(|name| claims.contains_key(**name)) {
        Some(name) => {
            Err(InvokeError::credentials(format!("the claim `{name}` is made by this plugin and cannot be set")))
        }
        None => Ok(claims),
    }
}

/// The header that carries the token, and what stands before it: a blank follows unless the prefix stands in quotes.
fn place(credentials: &Credentials) -> (String, String) {
    let header = credentials.get("jwt_header_name").unwrap_or("Authorization").to_owned();
    let prefix = match credentials.get("jwt_header_prefix") {
        None => "Bearer ".to_owned(),
        Some(word) if word.eq_ignore_ascii_case(NO_PREFIX) => String::new(),
        Some(prefix) => match prefix.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(exact) => exact.to_owned(),
            None => format!("{prefix} "),
        },
    };
    (header, prefix)
}

/// One token at a time for each set of settings, shared by all calls of the process.
#[derive(Clone, Default)]
pub(super) struct TokenCache(Arc<Mutex<HashMap<[u8; 32], Arc<Slot>>>>);

impl TokenCache {
    /// The authorizer of a credential form. The key is read once; later forms with the same settings share its token.
    pub(super) fn authorization(&self, credentials: &Credentials) -> Result<JwtAuthorization, InvokeError> {
        let settings = TokenSettings::read(credentials)?;
        let (header, prefix) = place(credentials);
        Ok(JwtAuthorization { slot: self.slot(settings)?, header, prefix })
    }

    fn slot(&self, settings: TokenSettings<'_>) -> Result<Arc<Slot>, InvokeError> {
        let digest = settings.digest();
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&digest) {
            return Ok(slot.clone());
        }
        let key = signing_key(settings.key, settings.algorithm, settings.kid)
            .map_err(|error| InvokeError::credentials(format!("credential `jwt_jwks`: {error}")))?;
        let slot =
            Arc::new(Slot { key, lifetime: settings.lifetime, claims: settings.claims, token: Mutex::default() });
        if slots.len() >= MAX_TOKENS {
            slots.clear();
        }
        slots.insert(digest, slot.clone());
        Ok(slot)
    }
}

/// A key and the token that it signed last.
struct Slot {
    key: SigningKey,
    lifetime: u64,
    claims: Map<String, Value>,
    token: Mutex<Option<Token>>,
}

struct Token {
    text: SecretString,
    /// Seconds since 1970.
    issued: u64,
    /// When another one is made.
    renewal: u64,
}

impl Slot {
    /// The token at `now`. Parallel calls wait for the one that signs and get the same.
    fn token(&self, now: u64) -> Result<SecretString, InvokeError> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = held.as_ref().filter(|token| now + CLOCK_JITTER >= token.issued && now < token.renewal) {
            return Ok(token.text.clone());
        }
        let text = SecretString::from(self.sign(now)?);
        let margin = MIN_RENEWAL_MARGIN_SECONDS.max(self.lifetime / 10);
        let renewal = now + self.lifetime.saturating_sub(margin);
        *held = Some(Token { text: text.clone(), issued: now, renewal });
        Ok(text)
    }

    fn sign(&self, now: u64) -> Result<String, InvokeError> {
        let mut claims = Map::new();
        claims.insert("jti".to_owned(), uuid::Uuid::new_v4().to_string().into());
        let begin = now.saturating_sub(BACKDATED);
        claims.insert("iat".to_owned(), begin.into());
        claims.insert("nbf".to_owned(), begin.into());
        claims.insert("exp".to_owned(), (now + self.lifetime).min(begin + MAX_LIFETIME_SECONDS).into());
        claims.extend(self.claims.clone());
        self.key.token(&claims).map_err(|error| InvokeError::internal(error.to_string()))
    }

    /// Forgets the token that was refused; not a newer one that another call has made since.
    fn forget(&self, refused: &[u8]) {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|token| refused.ends_with(token.text.expose_secret().as_bytes()));
    }
}

/// Puts the token on each attempt.
pub(super) struct JwtAuthorization {
    slot: Arc<Slot>,
    header: String,
    prefix: String,
}

impl JwtAuthorization {
    /// Name of the header that carries the token.
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

impl Authorize for JwtAuthorization {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let added = self.slot.token(now).and_then(|token| {
            insert_secret(attempt.headers, &self.header, &format!("{}{}", self.prefix, token.expose_secret()))
        });
        Box::pin(std::future::ready(added))
    }

    fn refused<'a>(&'a self, answer: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        let said = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        let outdated = answer.status == StatusCode::UNAUTHORIZED
            && said.contains("jwt")
            && (said.contains("expired") || said.contains("not yet valid"));
        let verdict = if outdated {
            self.slot.forget(sent.headers.get(self.header.as_str()).map(|value| value.as_bytes()).unwrap_or_default());
            AuthOutcome::Again
        } else {
            AuthOutcome::Final
        };
        Box::pin(std::future::ready(verdict))
    }
}

#[cfg(test)]
mod tests;
