//! Removes secrets from recordings: known values, headers and parameters by name, the query strings of signed URLs, and
//! everything in the bodies of a token endpoint.
//!
//! Replayed requests are sanitized likewise, so that requests with different credentials can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::exchange::Headers;
use crate::upstream::network::proxy_address;
use crate::upstream::secret_encodings::{self, MIN_SECRET_BYTES, REDACTED};

/// Maximum number of secrets that are kept.
const MAX_SECRETS: usize = 10_000;

/// Minimum length in bytes of a line that is hidden by itself.
const MIN_LINE_BYTES: usize = 32;

/// Suffixes of the names of headers that contain secrets.
const HEADERS: &[&str] =
    &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "-key", "signature"];

/// Substrings of the names of parameters that contain secrets.
const PARAMETERS: &[&str] = &["sign", "token", "secret", "password", "credential", "key", "auth"];

/// Complete names of such parameters.
const WHOLE_PARAMETERS: &[&str] = &["sig", "upload_id", "code", "policy"];

/// Fields of JSON objects and forms that contain secrets.
const FIELDS: &[&str] = &[
    "access_token",
    "accessToken",
    "id_token",
    "idToken",
    "refresh_token",
    "client_secret",
    "assertion",
    "subject_token",
    "password",
    "private_key",
    "api_key",
    "apikey",
    "secret_key",
];

/// The only fields of a token endpoint's bodies that are recorded.
const PLAIN_FIELDS: &[&str] = &[
    "grant_type",
    "scope",
    "audience",
    "requested_token_type",
    "subject_token_type",
    "issued_token_type",
    "token_type",
    "expires_in",
    "expireTime",
    "lifetime",
    "error",
    "error_description",
    "code",
    "status",
    "message",
    "detail",
    "reason",
];

/// Members of a JSON Web Key that contain key material.
const KEY_MEMBERS: &[&str] = &["k", "d", "p", "q", "dp", "dq", "qi"];

/// Which parts of a body are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyPolicy {
    /// Everything except secrets.
    Open,
    /// Only [`PLAIN_FIELDS`].
    Confidential,
}

/// Secrets that are known by their value.
#[derive(Default)]
pub(super) struct Secrets(Mutex<Vec<SecretString>>);

impl Secrets {
    /// Registers a value, so that it is removed from everything recorded from now on.
    pub(super) fn register(&self, value: &str) {
        let value = value.trim();
        // A key in PEM form may be shown a line at a time, or with spaces between its lines.
        if value.contains('\n') {
            let lines = value.lines().map(str::trim);
            lines
                .filter(|line| line.len() >= MIN_LINE_BYTES && !line.starts_with("-----"))
                .for_each(|line| self.add(line));
        }
        self.add(value);
    }

    fn add(&self, value: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.iter().any(|secret| secret.expose_secret() == value);
        if value.len() >= MIN_SECRET_BYTES && value != REDACTED && !is_known && known.len() < MAX_SECRETS {
            known.push(value.into());
        }
    }

    /// Registers the secret credentials of a session and returns the credentials in redacted form, without the fields
    /// that a replay does not need (certificates, proxy, extra headers).
    pub(super) fn register_credentials(
        &self,
        credentials: Map<String, Value>,
        is_secret: &dyn Fn(&str) -> bool,
    ) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in credentials {
            match value {
                Value::String(text) if is_secret(&name) => {
                    self.register(&text);
                    let inner: Option<Value> = serde_json::from_str(&text).ok();
                    let whole = name == "extra_headers";
                    let inner = inner.filter(|inner| inner.is_object()).map(|inner| self.register_object(inner, whole));
                    if let Some(password) = proxy_address(&text).as_ref().and_then(Url::password) {
                        self.register(password);
                        self.register(&percent_decode_str(password).decode_utf8_lossy());
                    }
                    if !matches!(name.as_str(), "tls_ca" | "proxy_url" | "extra_headers") {
                        shown.insert(name, inner.map_or_else(|| REDACTED.into(), |inner| inner.to_string().into()));
                    }
                }
                Value::Null => {}
                other => drop(shown.insert(name, other)),
            }
        }
        shown
    }

    /// Registers and redacts the secret members of a key file, a JWK or a JWKS.
    fn register_object(&self, value: Value, whole: bool) -> Value {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| {
                    let is_named = is_parameter(&name) && !name.ends_with("_name") && !name.ends_with("_type");
                    let is_secret = whole || KEY_MEMBERS.contains(&name.as_str()) || is_named;
                    match value {
                        Value::String(text) if is_secret && Url::parse(&text).is_err() => {
                            self.register(&text);
                            (name, REDACTED.into())
                        }
                        other => (name, self.register_object(other, whole)),
                    }
                })
                .collect(),
            Value::Array(items) => items.into_iter().map(|item| self.register_object(item, whole)).collect(),
            other => other,
        }
    }

    /// Returns a sanitizer for the known secrets and those in the headers of an attempt.
    pub(super) fn sanitizer(&self, sent: &HeaderMap) -> Sanitizer {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter().map(|secret| secret.expose_secret().to_owned());
        let sensitive = sent.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
        // `Bearer …`: the scheme is not secret.
        let sensitive = sensitive.filter_map(|value| value.rsplit(' ').next()).map(str::to_owned);
        Sanitizer::of(known.chain(sensitive.filter(|value| value.len() >= MIN_SECRET_BYTES && value != REDACTED)))
    }

    /// Registers what is redacted in a token endpoint's body.
    pub(super) fn register_ranges(&self, body: &[u8], ranges: &[Range<usize>]) {
        for range in ranges {
            if let Ok(text) = std::str::from_utf8(&body[range.clone()]) {
                self.register(text);
                if let Ok(text) = serde_json::from_str::<String>(&format!("\"{text}\"")) {
                    self.register(&text);
                }
            }
        }
    }
}

/// Removes secrets from one exchange.
pub(super) struct Sanitizer {
    /// The secrets in every encoding.
    forms: BTreeSet<String>,
}

impl Sanitizer {
    fn of(secrets: impl Iterator<Item = String>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            // As JSON, and as JSON that is safe to embed in HTML.
            let quoted = Value::String(secret.clone()).to_string();
            let quoted = quoted[1..quoted.len() - 1].to_owned();
            let mut safe = quoted.clone();
            for (character, escape) in
                [('=', "\\u003d"), ('&', "\\u0026"), ('<', "\\u003c"), ('>', "\\u003e"), ('\'', "\\u0027")]
            {
                safe = safe.replace(character, escape);
            }
            forms.extend([secret, quoted, safe].iter().flat_map(|form| secret_encodings::forms(form)));
        }
        Self { forms }
    }

    /// Returns a text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let clean = self.without(text.as_bytes(), &self.ranges(text.as_bytes(), BodyPolicy::Open));
        String::from_utf8_lossy(&clean).into_owned()
    }

    /// Returns a URL without secrets; `plain` is the URL without the credential.
    pub(super) fn url(&self, url: &Url, plain: &Url) -> String {
        let open: Vec<_> = plain.query_pairs().collect();
        let mut shown = super::super::client::public_url(url);
        if url.query().is_some() {
            let pairs = url.query_pairs().map(|pair| {
                let is_shown = open.contains(&pair) && !is_parameter(&pair.0);
                if is_shown { pair } else { (pair.0, REDACTED.into()) }
            });
            shown.query_pairs_mut().extend_pairs(pairs);
        }
        self.text(shown.as_str())
    }

    /// Returns the names and values of headers without secrets.
    pub(super) fn headers(&self, headers: &HeaderMap) -> Headers {
        let shown = |name: &str, value: &http::HeaderValue| {
            if value.is_sensitive() || HEADERS.iter().any(|suffix| name.ends_with(suffix)) {
                REDACTED.to_owned()
            } else {
                self.text(&String::from_utf8_lossy(value.as_bytes()))
            }
        };
        let mut all = Headers::new();
        for (name, value) in headers {
            let value = shown(name.as_str(), value);
            all.entry(name.to_string()).and_modify(|known| *known = format!("{known}, {value}")).or_insert(value);
        }
        all
    }

    /// Returns the ranges of secrets in a body: sorted and without overlaps.
    pub(super) fn ranges(&self, body: &[u8], policy: BodyPolicy) -> Vec<Range<usize>> {
        let mut found = secret_encodings::find(body, &self.forms);
        if let Ok(text) = std::str::from_utf8(body) {
            signed_queries(text, &mut found);
            let is_json =
                text.trim_ascii_start().starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(text).is_ok();
            if is_json {
                secret_values(text, text, false, policy, &mut found);
            } else {
                form_values(text, policy, &mut found);
            }
        } else if policy == BodyPolicy::Confidential {
            found.push(0..body.len());
        }
        secret_encodings::merged(found)
    }

    /// Replaces these ranges of a body with [`REDACTED`].
    pub(super) fn without(&self, body: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
        clip(body, 0, ranges)
    }
}

/// Returns a part of a body that begins at `start`, with [`REDACTED`] where a range of the complete body begins.
pub(super) fn clip(part: &[u8], start: usize, ranges: &[Range<usize>]) -> Vec<u8> {
    let end = start + part.len();
    let mut shown = Vec::with_capacity(part.len());
    let mut at = start;
    for range in ranges.iter().filter(|range| range.end > start && range.start < end) {
        if range.start >= at {
            shown.extend_from_slice(&part[at - start..range.start - start]);
            shown.extend_from_slice(REDACTED.as_bytes());
        }
        at = range.end.min(end);
    }
    shown.extend_from_slice(&part[at - start..]);
    shown
}

/// Returns the boundary of a multipart body.
pub(super) fn multipart_boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = value.strip_prefix("multipart/")?.split_once("boundary=")?.1.trim_matches('"');
    Some(boundary.to_owned()).filter(|boundary| !boundary.is_empty())
}

/// Whether a parameter of this name contains a secret.
fn is_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PARAMETERS.iter().any(|part| name.contains(part)) || WHOLE_PARAMETERS.contains(&name.as_str())
}

/// Finds the values of secret fields in a JSON text. `whole` is the body, `part` a value within it: values are found by
/// position, because the same text can be escaped in different forms.
fn secret_values(whole: &str, part: &str, is_secret: bool, policy: BodyPolicy, found: &mut Vec<Range<usize>>) {
    let part = part.trim_ascii();
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    match part.as_bytes().first() {
        Some(b'"') if is_secret && part.len() > 2 => found.push(start + 1..start + part.len() - 1),
        Some(b'[') => {
            for item in serde_json::from_str::<Vec<&RawValue>>(part).unwrap_or_default() {
                secret_values(whole, item.get(), is_secret, policy, found);
            }
        }
        Some(b'{') => {
            for (name, value) in serde_json::from_str::<BTreeMap<String, &RawValue>>(part).unwrap_or_default() {
                let is_secret = match policy {
                    BodyPolicy::Open => FIELDS.contains(&name.as_str()),
                    BodyPolicy::Confidential => !PLAIN_FIELDS.contains(&name.as_str()),
                };
                secret_values(whole, value.get(), is_secret, policy, found);
            }
        }
        _ => {}
    }
}

/// Finds the values of secret fields in a form. A confidential text that is neither JSON nor a form is a secret as a
/// whole.
fn form_values(text: &str, policy: BodyPolicy, found: &mut Vec<Range<usize>>) {
    let is_form = !text.is_empty()
        && !text.contains(|character: char| character.is_whitespace() || matches!(character, '{' | '<' | '"'))
        && text.split('&').all(|pair| pair.contains('='));
    if !is_form {
        if policy == BodyPolicy::Confidential {
            found.push(0..text.len());
        }
        return;
    }
    let mut at = 0;
    for pair in text.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        let is_secret = match policy {
            BodyPolicy::Open => FIELDS.contains(&name),
            BodyPolicy::Confidential => !PLAIN_FIELDS.contains(&name),
        };
        if is_secret && name.len() + 1 < pair.len() {
            found.push(at + name.len() + 1..at + pair.len());
        }
        at += pair.len() + 1;
    }
}

/// Finds the values of secret parameters in the URLs of a text, JSON escapes included.
fn signed_queries(text: &str, found: &mut Vec<Range<usize>>) {
    let is_end =
        |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | '`' | ')' | '}');
    for scheme in ["://", ":\\/\\/"] {
        for (start, _) in text.match_indices(scheme) {
            let url = text[start..].split(is_end).next().unwrap_or_default();
            let Some((before, query)) = url.split_once('?') else { continue };
            let mut at = start + before.len() + 1;
            for pair in query.split(['&', ';', '\\', '#']) {
                if let Some((name, value)) = pair.split_once('=')
                    && is_parameter(name)
                    && !value.is_empty()
                {
                    found.push(at + name.len() + 1..at + pair.len());
                }
                at += pair.len() + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
