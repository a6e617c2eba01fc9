//! Redacts the secrets of a session from error messages: many servers and proxies quote the key, token or signed URL
//! that they reject, and not only in error responses.
//!
//! Not a filter for logs or responses: those are not built from credentials.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::network::{NetworkSettings, proxy_address};
use super::secret_encodings::{self, Extent, MIN_SECRET_BYTES, REDACTED, Search, merged};
use crate::error::InvokeError;
use crate::protocol::Credentials;
use crate::steps;

/// Maximum number of secrets kept: a token source lives as long as the process.
const MAX_SECRETS: usize = 64;

/// Maximum total length of query strings in bytes. If a request contains more, every query string of a URL is redacted,
/// whether or not it was registered.
const MAX_QUERY_BYTES: usize = 1024 * 1024;

/// Maximum length of an error text in bytes; the rest of a longer server message explains nothing.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Secrets of one session, or of one token source; cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Mutex<Registered>>);

#[derive(Default)]
struct Registered {
    /// Secrets that requests carried, the latest last.
    sent: VecDeque<(SecretString, Extent)>,
    /// Query strings of URLs in requests. Their number is not limited, so that they cannot evict other secrets.
    named: BTreeSet<String>,
    /// Total length of the query strings in bytes.
    length: usize,
    /// Whether there were more query strings than are kept.
    is_full: bool,
}

impl Redactor {
    /// Registers a secret that is about to be sent.
    pub(super) fn register(&self, secret: &str) {
        self.register_as(secret, Extent::Beginning);
    }

    /// Registers credentials that are used by code outside of this runtime's control: their values except URLs.
    pub fn register_credentials(&self, credentials: &Credentials) {
        let values = credentials.names().filter_map(|name| credentials.get(name));
        values.filter(|value| !value.contains("://")).for_each(|value| self.register(value));
    }

    fn register_as(&self, secret: &str, extent: Extent) {
        if secret.len() < MIN_SECRET_BYTES {
            return;
        }
        let sent = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).sent;
        sent.retain(|(known, _)| known.expose_secret() != secret);
        sent.push_back((SecretString::from(secret.to_owned()), extent));
        if sent.len() > MAX_SECRETS {
            sent.pop_front();
        }
    }

    /// Registers the secrets of an attempt: sensitive headers, the query string, the proxy password.
    pub(super) fn register_attempt(&self, url: &Url, headers: &HeaderMap, network: &NetworkSettings) {
        let secrets = headers.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
        for secret in secrets {
            match secret.split_once(' ') {
                // Several named values: the names are not secret.
                _ if secret.contains("=\"") => self.register_as(secret, Extent::Whole),
                // `Bearer …`: the scheme is not secret.
                Some((scheme, token)) if is_word(scheme) && !token.contains(' ') => {
                    self.register(token);
                    self.register_as(secret, Extent::Whole);
                }
                _ => self.register(secret),
            }
        }
        if let Some(query) = url.query() {
            secrets_of(query).iter().for_each(|(secret, extent)| self.register_as(secret, *extent));
        }
        if let Some(proxy) = network.proxy.as_ref().and_then(|proxy| proxy_address(proxy.expose_secret())) {
            let plain = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, password) = (plain(proxy.username()), plain(proxy.password().unwrap_or_default()));
            self.register(&STANDARD.encode(format!("{user}:{password}")));
            self.register(&password);
        }
    }

    /// Registers the query strings of the URLs in a JSON text, because file URLs are signed there. Called once for the
    /// request of a session, and once for the request that is sent to the server.
    pub fn register_urls(&self, json: impl AsRef<[u8]>) {
        let json = json.as_ref();
        let is_break = |byte: &u8| *byte == b'"' || byte.is_ascii_whitespace();
        // Some serializers escape slashes.
        for mark in ["://", ":\\/\\/"] {
            let (finder, mut from) = (memmem::Finder::new(mark), 0);
            steps::count(json.len());
            while let Some(at) = finder.find(&json[from..]).map(|at| from + at) {
                let start = json[from..at].iter().rposition(is_break).map_or(from, |before| from + before + 1);
                let end = json[at..].iter().position(is_break).map_or(json.len(), |after| at + after);
                steps::count(end - start);
                self.register_queries(&String::from_utf8_lossy(&json[start..end]));
                from = end;
            }
        }
    }

    /// Registers the query strings in a part of a JSON text without whitespace and quotes.
    fn register_queries(&self, json: &str) {
        // A trailing backslash belonged to an escaped quote.
        let json = json.trim_end_matches('\\');
        let text = serde_json::from_str(&format!("\"{json}\"")).unwrap_or_else(|_| json.to_owned());
        let queries = query_ranges(&text);
        let registered = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for query in queries.into_iter().map(|range| &text[range]).filter(|query| query.len() >= MIN_SECRET_BYTES) {
            if registered.length + query.len() > MAX_QUERY_BYTES {
                registered.is_full = true;
            } else if registered.named.insert(query.to_owned()) {
                registered.length += query.len();
            }
        }
    }

    /// Redacts every secret from the texts of an error.
    pub fn redact_error(&self, mut error: InvokeError) -> InvokeError {
        self.redact(&mut error.message);
        for text in [&mut error.code, &mut error.hint, &mut error.request_id].into_iter().flatten() {
            self.redact(text);
        }
        error
    }

    /// Redacts every secret from a text, in plain, Base64, percent-encoded and JSON-escaped form. A very long text is
    /// truncated.
    pub fn redact(&self, text: &mut String) {
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
        }
        if text.len() < MIN_SECRET_BYTES {
            return;
        }
        let mut search = Search::of(text.as_bytes());
        let registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut search_for = |secret: &str, extent| {
            // A longer secret cannot appear completely in the text.
            let secret = &secret[..secret.floor_char_boundary(text.len())];
            secret_encodings::forms(secret).iter().for_each(|form| search.add(form.as_bytes(), extent));
        };
        registered.sent.iter().for_each(|(secret, extent)| search_for(secret.expose_secret(), *extent));
        for (secret, extent) in registered.named.iter().flat_map(|query| secrets_of(query)) {
            search_for(&secret, extent);
        }
        let mut ranges = search.found();
        if registered.is_full {
            ranges.extend(query_ranges(text));
        }
        *text = without(text, &merged(ranges));
    }
}

/// Replaces these ranges of a text with [`REDACTED`]. A range that ends within a character does not include that
/// character.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        let (start, end) = (text.floor_char_boundary(range.start), text.floor_char_boundary(range.end));
        if start >= at && start < end {
            shown.push_str(&text[at..start]);
            shown.push_str(REDACTED);
            at = end;
        }
    }
    shown.push_str(&text[at..]);
    shown
}

/// Returns the ranges of the query strings of the URLs in a text.
fn query_ranges(text: &str) -> Vec<Range<usize>> {
    /// Maximum length of a URL scheme in bytes.
    const MAX_SCHEME_BYTES: usize = 16;
    let is_end = |character: char| character.is_whitespace() || matches!(character, '"' | '<' | '>' | '`');
    let mut marks = memmem::find_iter(text.as_bytes(), "://").peekable();
    let mut found = Vec::new();
    steps::count(text.len());
    while let Some(mark) = marks.next() {
        let start = mark + "://".len();
        // URLs may follow each other without whitespace.
        let end = marks.peek().map_or(text.len(), |next| {
            let scheme = text.as_bytes()[start..(*next).max(start)].iter().rev().take(MAX_SCHEME_BYTES);
            next.saturating_sub(scheme.take_while(|byte| byte.is_ascii_alphanumeric()).count()).max(start)
        });
        let url = &text[start..end];
        steps::count(url.len());
        let url = url.split(is_end).next().unwrap_or_default();
        let Some((before, query)) = url.split_once('?') else { continue };
        let query_start = start + before.len() + 1;
        let query = query.split('#').next().unwrap_or_default();
        found.push(query_start..query_start + query.len());
    }
    found
}

/// Returns what may be secret in a query string: all of it, because its names are plain words, and its values.
fn secrets_of(query: &str) -> Vec<(String, Extent)> {
    let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| (value.into_owned(), Extent::Beginning));
    std::iter::once((query.to_owned(), Extent::Whole))
        .chain(values)
        .filter(|(text, _)| text.len() >= MIN_SECRET_BYTES)
        .collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
