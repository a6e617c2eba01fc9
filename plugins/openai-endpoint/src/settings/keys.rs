//! The keys of an endpoint. A request's key is compared with every one of them in constant time, by digests of equal length.

use dify_plugin::plugin::Credentials;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Named;
use super::entries::entries;
use crate::error::ApiError;
use dify_plugin::http::StatusCode;

/// Characters of a key. The URL of an endpoint is public, so that a shorter key can be guessed.
const MIN_KEY_CHARACTERS: usize = 16;

/// A key that clients may use, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    digest: [u8; 32],
    /// Names of models and apps, `*` at the end for any text; absent for all of them.
    allowed: Option<Vec<String>>,
}

impl Key {
    fn new(key: &str, allowed: Option<Vec<String>>) -> Self {
        Self { digest: Sha256::digest(key).into(), allowed }
    }

    /// Whether the key may use a model or an app of this name.
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|pattern| matches(pattern, name)))
    }

    /// Distinguishes the clients of an endpoint, without revealing the key.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// The key of a request's `Authorization` header.
pub fn authenticate(settings: &Credentials, header: Option<&str>) -> Result<Key, ApiError> {
    let keys = read(settings).map_err(ApiError::settings)?;
    let rejected =
        |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key", message);
    let missing = "You did not provide an API key: send the header `Authorization: Bearer YOUR_KEY`.";
    let given = header.and_then(bearer).ok_or_else(|| rejected(missing))?;
    let given: [u8; 32] = Sha256::digest(given).into();
    let mut found = None;
    for key in &keys {
        // No early end: the time does not reveal which key it is.
        if bool::from(key.digest.ct_eq(&given)) {
            found = Some(key);
        }
    }
    found.cloned().ok_or_else(|| rejected("Incorrect API key provided."))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    Some(key.trim()).filter(|key| scheme.eq_ignore_ascii_case("bearer") && !key.is_empty())
}

/// Reads all keys. Errors name the field and the entry, never the key.
fn read(settings: &Credentials) -> Result<Vec<Key>, String> {
    let first = settings.get("api_key").ok_or("`api_key` is empty: fill in a key for the clients")?;
    check(first).map_err(|problem| format!("`api_key` {problem}"))?;
    let mut keys = vec![Key::new(first, None)];
    for (place, entry) in entries(settings.get("more_keys").unwrap_or_default()) {
        let error = |problem: &str| format!("`more_keys`, entry {place}: the key {problem}");
        let (key, names) = match entry.split_once('=') {
            Some((key, names)) => (key.trim(), Some(names)),
            None => (entry, None),
        };
        check(key).map_err(error)?;
        let allowed = names.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>());
        if allowed.as_ref().is_some_and(|names| names.iter().any(String::is_empty)) {
            return Err(error(
                "has an empty name behind `=`: write `KEY = NAME, NAME`, or the key alone for all names",
            ));
        }
        let key = Key::new(key, allowed);
        if keys.iter().any(|known| known.digest == key.digest) {
            return Err(error("is listed twice"));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn check(key: &str) -> Result<(), &'static str> {
    if key.len() < MIN_KEY_CHARACTERS {
        return Err("is too short: it needs at least 16 characters");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic() && !b";,=".contains(&byte)) {
        return Err("may contain ASCII letters, digits and punctuation except `;`, `,` and `=`, and no spaces");
    }
    Ok(())
}

/// Whether every name of every key is one of the endpoint.
pub fn check_names(settings: &Credentials, named: &[Named]) -> Result<(), String> {
    for (index, key) in read(settings)?.iter().enumerate().skip(1) {
        let mut names = key.allowed.iter().flatten();
        let unknown = names.find(|name| !named.iter().any(|entry| matches(name, &entry.name)));
        if let Some(name) = unknown {
            let known: Vec<&str> = named.iter().map(|entry| &*entry.name).collect();
            let known = known.join("`, `");
            return Err(format!(
                "`more_keys`, entry {index}: there is no model or app `{name}`; the names of this endpoint are `{known}`"
            ));
        }
    }
    Ok(())
}
