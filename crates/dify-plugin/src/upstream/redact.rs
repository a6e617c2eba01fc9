//! What a session sent as proof, kept so that it can be taken out of the words that come back: many upstreams and proxies
//! repeat the key, token or signed address that they refuse, and not only in a refusal.
//!
//! It is no filter of logs or answers: nothing there is made of credentials.

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
use super::secret_encodings::{self, Extent, HIDDEN, MIN_SECRET_BYTES, Search, merged};
use crate::error::InvokeError;
use crate::protocol::Credentials;
use crate::steps;

/// Redactor kept at once: a source of tokens lives as long as the process.
const MAX_SECRETS: usize = 64;

/// Bytes of queries kept at once. A request that names more has every query of an address hidden, whosoever it is.
const MAX_QUERY_BYTES: usize = 1024 * 1024;

/// Longest words of an error: what an upstream says beyond that explains nothing.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The proofs of one session, or of one source of tokens; cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// What requests carried, the latest last.
    sent: VecDeque<(SecretString, Extent)>,
    /// The queries of addresses that requests name: as many as there are, so that they push nothing else out.
    named: BTreeSet<String>,
    /// How long these are together.
    length: usize,
    /// Whether there were more.
    is_full: bool,
}

impl Redactor {
    /// Keeps a secret that is about to be sent.
    pub(super) fn keep(&self, secret: &str) {
        self.keep_as(secret, Extent::Beginning);
    }

    /// Keeps the credentials that code outside of this runtime's control works with: their values, but for addresses.
    pub fn keep_credentials(&self, credentials: &Credentials) {
        let values = credentials.names().filter_map(|name| credentials.get(name));
        values.filter(|value| !value.contains("://")).for_each(|value| self.keep(value));
    }

    fn keep_as(&self, secret: &str, extent: Extent) {
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

    /// Keeps what an attempt carries as proof: sensitive headers, what stands in the query, the proxy's password.
    pub(super) fn keep_attempt(&self, url: &Url, headers: &HeaderMap, network: &NetworkSettings) {
        let secrets = headers.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
        for secret in secrets {
            match secret.split_once(' ') {
                // Several named values: the names are no secret.
                _ if secret.contains("=\"") => self.keep_as(secret, Extent::Whole),
                // `Bearer …`: the scheme is no secret.
                Some((scheme, token)) if is_word(scheme) && !token.contains(' ') => {
                    self.keep(token);
                    self.keep_as(secret, Extent::Whole);
                }
                _ => self.keep(secret),
            }
        }
        if let Some(query) = url.query() {
            secrets_of(query).iter().for_each(|(secret, extent)| self.keep_as(secret, *extent));
        }
        if let Some(proxy) = network.proxy.as_ref().and_then(|proxy| proxy_address(proxy.expose_secret())) {
            let plain = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, password) = (plain(proxy.username()), plain(proxy.password().unwrap_or_default()));
            self.keep(&STANDARD.encode(format!("{user}:{password}")));
            self.keep(&password);
        }
    }

    /// Keeps the queries of the addresses in a JSON text: files are signed there. For once a session, and once for what is
    /// sent to an upstream.
    pub fn keep_addresses(&self, json: impl AsRef<[u8]>) {
        let json = json.as_ref();
        let is_break = |byte: &u8| *byte == b'"' || byte.is_ascii_whitespace();
        // Some writers escape slashes.
        for mark in ["://", ":\\/\\/"] {
            let (finder, mut from) = (memmem::Finder::new(mark), 0);
            steps::count(json.len());
            while let Some(at) = finder.find(&json[from..]).map(|at| from + at) {
                let start = json[from..at].iter().rposition(is_break).map_or(from, |before| from + before + 1);
                let end = json[at..].iter().position(is_break).map_or(json.len(), |after| at + after);
                steps::count(end - start);
                self.keep_queries(&String::from_utf8_lossy(&json[start..end]));
                from = end;
            }
        }
    }

    /// Keeps the queries in a part of a JSON text that has neither blanks nor quotes.
    fn keep_queries(&self, json: &str) {
        // A quote was escaped where a backslash is left.
        let json = json.trim_end_matches('\\');
        let text = serde_json::from_str(&format!("\"{json}\"")).unwrap_or_else(|_| json.to_owned());
        let queries = queries(&text);
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for query in queries.into_iter().map(|place| &text[place]).filter(|query| query.len() >= MIN_SECRET_BYTES) {
            if kept.length + query.len() > MAX_QUERY_BYTES {
                kept.is_full = true;
            } else if kept.named.insert(query.to_owned()) {
                kept.length += query.len();
            }
        }
    }

    /// Takes every proof out of an error's words.
    pub fn hide(&self, mut error: InvokeError) -> InvokeError {
        self.redact(&mut error.message);
        for text in [&mut error.code, &mut error.hint, &mut error.request_id].into_iter().flatten() {
            self.redact(text);
        }
        error
    }

    /// Takes every proof out of an error's text, whether it is written plainly, in base64, percent-encoded or with JSON's
    /// escapes. Of a very long text the beginning is left.
    pub fn redact(&self, text: &mut String) {
        if text.len() > MAX_TEXT_BYTES {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.push('…');
        }
        if text.len() < MIN_SECRET_BYTES {
            return;
        }
        let mut search = Search::of(text.as_bytes());
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut look_for = |secret: &str, extent| {
            // The text holds no more of it.
            let secret = &secret[..secret.floor_char_boundary(text.len())];
            secret_encodings::forms(secret).iter().for_each(|form| search.look_for(form.as_bytes(), extent));
        };
        kept.sent.iter().for_each(|(secret, extent)| look_for(secret.expose_secret(), *extent));
        for (secret, extent) in kept.named.iter().flat_map(|query| secrets_of(query)) {
            look_for(&secret, extent);
        }
        let mut places = search.found();
        if kept.is_full {
            places.extend(queries(text));
        }
        *text = without(text, &merged(places));
    }
}

/// A text with [`HIDDEN`] in these places. A place that ends within a letter hides none of it.
fn without(text: &str, places: &[Range<usize>]) -> String {
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for place in places {
        let (start, end) = (text.floor_char_boundary(place.start), text.floor_char_boundary(place.end));
        if start >= at && start < end {
            shown.push_str(&text[at..start]);
            shown.push_str(HIDDEN);
            at = end;
        }
    }
    shown.push_str(&text[at..]);
    shown
}

/// Where the queries of the addresses in a text stand.
fn queries(text: &str) -> Vec<Range<usize>> {
    /// Letters of a scheme that matter.
    const MAX_SCHEME_BYTES: usize = 16;
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '<' | '>' | '`');
    let mut marks = memmem::find_iter(text.as_bytes(), "://").peekable();
    let mut found = Vec::new();
    steps::count(text.len());
    while let Some(mark) = marks.next() {
        let start = mark + "://".len();
        // Addresses may stand in a list without a blank.
        let end = marks.peek().map_or(text.len(), |next| {
            let scheme = text.as_bytes()[start..(*next).max(start)].iter().rev().take(MAX_SCHEME_BYTES);
            next.saturating_sub(scheme.take_while(|byte| byte.is_ascii_alphanumeric()).count()).max(start)
        });
        let address = &text[start..end];
        steps::count(address.len());
        let address = address.split(is_end).next().unwrap_or_default();
        let Some((before, query)) = address.split_once('?') else { continue };
        let query_start = start + before.len() + 1;
        let query = query.split('#').next().unwrap_or_default();
        found.push(query_start..query_start + query.len());
    }
    found
}

/// What may be secret in a query: all of it, whose names are words, and its values.
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
