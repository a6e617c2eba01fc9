//! Takes secrets out of what is recorded, wherever they stand: known values, headers and parameters by name, the queries of
//! signed addresses, and everything in the bodies of a token endpoint.
//!
//! The same is done to a request that is replayed, so that requests with different credentials can be compared.

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
use crate::upstream::secret_encodings::{self, HIDDEN, MIN_SECRET_BYTES};

/// Most secrets that are kept in mind.
const MAX_SECRETS: usize = 10_000;

/// Endings of the names of headers that hold secrets.
const HEADERS: &[&str] =
    &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "-key", "signature"];

/// Parts of the names of parameters that hold secrets.
const PARAMETERS: &[&str] = &["sign", "token", "secret", "password", "credential", "key", "auth"];

/// Names of such parameters.
const WHOLE_PARAMETERS: &[&str] = &["sig", "upload_id", "code", "policy"];

/// Fields of JSON objects and forms that hold secrets, wherever they stand.
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

/// The only fields of a token endpoint's bodies that are shown.
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

/// Members of a JSON Web Key that are the key.
const KEY_MEMBERS: &[&str] = &["k", "d", "p", "q", "dp", "dq", "qi"];

/// How much of a body may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyPolicy {
    /// All but secrets.
    Open,
    /// Nothing but [`PLAIN_FIELDS`].
    Confidential,
}

/// The secrets that are known by their value.
#[derive(Default)]
pub(super) struct Secrets(Mutex<Vec<SecretString>>);

impl Secrets {
    /// Keeps a value in mind. It is taken out of everything from now on.
    pub(super) fn learn(&self, value: &str) {
        let value = value.trim();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.iter().any(|secret| secret.expose_secret() == value);
        if value.len() >= MIN_SECRET_BYTES && value != HIDDEN && !is_known && known.len() < MAX_SECRETS {
            known.push(value.into());
        }
    }

    /// Learns the secret credentials of a session and gives the credentials as they may be shown: with them, fields that a
    /// replay does without (certificates, proxy, further headers) are left out.
    pub(super) fn learn_credentials(
        &self,
        credentials: Map<String, Value>,
        is_secret: &dyn Fn(&str) -> bool,
    ) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in credentials {
            match value {
                Value::String(text) if is_secret(&name) => {
                    self.learn(&text);
                    let inner: Option<Value> = serde_json::from_str(&text).ok();
                    let whole = name == "extra_headers";
                    let inner = inner.filter(|inner| inner.is_object()).map(|inner| self.learn_object(inner, whole));
                    if let Some(password) = proxy_address(&text).as_ref().and_then(Url::password) {
                        self.learn(password);
                        self.learn(&percent_decode_str(password).decode_utf8_lossy());
                    }
                    if !matches!(name.as_str(), "tls_ca" | "proxy_url" | "extra_headers") {
                        shown.insert(name, inner.map_or_else(|| HIDDEN.into(), |inner| inner.to_string().into()));
                    }
                }
                Value::Null => {}
                other => drop(shown.insert(name, other)),
            }
        }
        shown
    }

    /// Learns the secret members of a key file, a JWK or a set of them, and hides them.
    fn learn_object(&self, value: Value, whole: bool) -> Value {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| {
                    let is_named = is_parameter(&name) && !name.ends_with("_name") && !name.ends_with("_type");
                    let is_secret = whole || KEY_MEMBERS.contains(&name.as_str()) || is_named;
                    match value {
                        Value::String(text) if is_secret && Url::parse(&text).is_err() => {
                            self.learn(&text);
                            (name, HIDDEN.into())
                        }
                        other => (name, self.learn_object(other, whole)),
                    }
                })
                .collect(),
            Value::Array(items) => items.into_iter().map(|item| self.learn_object(item, whole)).collect(),
            other => other,
        }
    }

    /// What is known now, and what the headers of an attempt prove.
    pub(super) fn scrub(&self, sent: &HeaderMap) -> Sanitizer {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter().map(|secret| secret.expose_secret().to_owned());
        let redactor = sent.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
        // `Bearer …`: the scheme is no secret.
        let redactor = redactor.filter_map(|value| value.rsplit(' ').next()).map(str::to_owned);
        Sanitizer::of(known.chain(redactor.filter(|proof| proof.len() >= MIN_SECRET_BYTES && proof != HIDDEN)))
    }

    /// Learns what a token endpoint's body hides.
    pub(super) fn learn_hidden(&self, body: &[u8], hidden: &[Range<usize>]) {
        for range in hidden {
            if let Ok(text) = std::str::from_utf8(&body[range.clone()]) {
                self.learn(text);
                if let Ok(text) = serde_json::from_str::<String>(&format!("\"{text}\"")) {
                    self.learn(&text);
                }
            }
        }
    }
}

/// Takes secrets out of one exchange.
pub(super) struct Sanitizer {
    /// In every form in which they may be written.
    forms: BTreeSet<String>,
}

impl Sanitizer {
    fn of(secrets: impl Iterator<Item = String>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            // As JSON, and as JSON that may stand in a page.
            let quoted = Value::String(secret.clone()).to_string();
            let quoted = quoted[1..quoted.len() - 1].to_owned();
            let mut safe = quoted.clone();
            for (letter, escape) in
                [('=', "\\u003d"), ('&', "\\u0026"), ('<', "\\u003c"), ('>', "\\u003e"), ('\'', "\\u0027")]
            {
                safe = safe.replace(letter, escape);
            }
            forms.extend([secret, quoted, safe].iter().flat_map(|form| secret_encodings::forms(form)));
        }
        Self { forms }
    }

    /// A text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let clean = self.without(text.as_bytes(), &self.ranges(text.as_bytes(), BodyPolicy::Open));
        String::from_utf8_lossy(&clean).into_owned()
    }

    /// An address; `plain` is the same without the credential.
    pub(super) fn url(&self, url: &Url, plain: &Url) -> String {
        let open: Vec<_> = plain.query_pairs().collect();
        let mut shown = super::super::client::public_url(url);
        if url.query().is_some() {
            let pairs = url.query_pairs().map(|pair| {
                let is_shown = open.contains(&pair) && !is_parameter(&pair.0);
                if is_shown { pair } else { (pair.0, HIDDEN.into()) }
            });
            shown.query_pairs_mut().extend_pairs(pairs);
        }
        self.text(shown.as_str())
    }

    /// Names and values of headers.
    pub(super) fn headers(&self, headers: &HeaderMap) -> Headers {
        let shown = |name: &str, value: &http::HeaderValue| {
            if value.is_sensitive() || HEADERS.iter().any(|ending| name.ends_with(ending)) {
                HIDDEN.to_owned()
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

    /// Where secrets stand in a body: in order, apart from each other.
    pub(super) fn ranges(&self, body: &[u8], openness: BodyPolicy) -> Vec<Range<usize>> {
        let mut found = secret_encodings::find(body, &self.forms);
        if let Ok(text) = std::str::from_utf8(body) {
            signed_queries(text, &mut found);
            let is_json =
                text.trim_ascii_start().starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(text).is_ok();
            if is_json {
                secret_values(text, text, false, openness, &mut found);
            } else {
                form_values(text, openness, &mut found);
            }
        } else if openness == BodyPolicy::Confidential {
            found.push(0..body.len());
        }
        secret_encodings::merged(found)
    }

    /// A body with [`HIDDEN`] in place of these ranges.
    pub(super) fn without(&self, body: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
        clip(body, 0, ranges)
    }
}

/// A part of a body that begins at `start`, with [`HIDDEN`] where a range of the whole body begins.
pub(super) fn clip(part: &[u8], start: usize, ranges: &[Range<usize>]) -> Vec<u8> {
    let end = start + part.len();
    let mut shown = Vec::with_capacity(part.len());
    let mut at = start;
    for range in ranges.iter().filter(|range| range.end > start && range.start < end) {
        if range.start >= at {
            shown.extend_from_slice(&part[at - start..range.start - start]);
            shown.extend_from_slice(HIDDEN.as_bytes());
        }
        at = range.end.min(end);
    }
    shown.extend_from_slice(&part[at - start..]);
    shown
}

/// The boundary of a multipart body.
pub(super) fn multipart_boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = value.strip_prefix("multipart/")?.split_once("boundary=")?.1.trim_matches('"');
    Some(boundary.to_owned()).filter(|boundary| !boundary.is_empty())
}

/// Whether a parameter of this name holds a secret.
fn is_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PARAMETERS.iter().any(|part| name.contains(part)) || WHOLE_PARAMETERS.contains(&name.as_str())
}

/// Where the values of secret fields stand in a JSON text. `whole` is the body, `part` a value within it: values are found
/// by their place, because the same text can be escaped in several ways.
fn secret_values(whole: &str, part: &str, is_secret: bool, openness: BodyPolicy, found: &mut Vec<Range<usize>>) {
    let part = part.trim_ascii();
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    match part.as_bytes().first() {
        Some(b'"') if is_secret && part.len() > 2 => found.push(start + 1..start + part.len() - 1),
        Some(b'[') => {
            for item in serde_json::from_str::<Vec<&RawValue>>(part).unwrap_or_default() {
                secret_values(whole, item.get(), is_secret, openness, found);
            }
        }
        Some(b'{') => {
            for (name, value) in serde_json::from_str::<BTreeMap<String, &RawValue>>(part).unwrap_or_default() {
                let is_secret = match openness {
                    BodyPolicy::Open => FIELDS.contains(&name.as_str()),
                    BodyPolicy::Confidential => !PLAIN_FIELDS.contains(&name.as_str()),
                };
                secret_values(whole, value.get(), is_secret, openness, found);
            }
        }
        _ => {}
    }
}

/// The values of secret fields of a form; what is neither JSON nor a form is one secret when it is confidential.
fn form_values(text: &str, openness: BodyPolicy, found: &mut Vec<Range<usize>>) {
    let is_form = !text.is_empty()
        && !text.contains(|letter: char| letter.is_whitespace() || matches!(letter, '{' | '<' | '"'))
        && text.split('&').all(|pair| pair.contains('='));
    if !is_form {
        if openness == BodyPolicy::Confidential {
            found.push(0..text.len());
        }
        return;
    }
    let mut at = 0;
    for pair in text.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        let is_secret = match openness {
            BodyPolicy::Open => FIELDS.contains(&name),
            BodyPolicy::Confidential => !PLAIN_FIELDS.contains(&name),
        };
        if is_secret && name.len() + 1 < pair.len() {
            found.push(at + name.len() + 1..at + pair.len());
        }
        at += pair.len() + 1;
    }
}

/// Values of secret parameters of the addresses that a text holds, JSON escapes included.
fn signed_queries(text: &str, found: &mut Vec<Range<usize>>) {
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`' | ')' | '}');
    for scheme in ["://", ":\\/\\/"] {
        for (start, _) in text.match_indices(scheme) {
            let address = text[start..].split(is_end).next().unwrap_or_default();
            let Some((before, query)) = address.split_once('?') else { continue };
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
