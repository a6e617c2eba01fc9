//! How a credential gets onto a request: once per attempt, with a say when the upstream refuses it.

pub mod fetched;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::network::NetworkSettings;
use super::response::ErrorResponse;
use crate::error::InvokeError;

/// The attempt that is about to be sent: final method, address and body; headers may still be added.
pub struct Attempt<'a> {
    /// The method.
    pub method: &'a Method,
    /// The address; a credential that belongs into the query is added here and never logged.
    pub url: &'a mut Url,
    /// The headers.
    pub headers: &'a mut HeaderMap,
    /// The body.
    pub body: &'a Bytes,
    /// Proxy and certificates of the way.
    pub network: &'a NetworkSettings,
}

impl Attempt<'_> {
    /// The same attempt for another authorization that adds to it.
    pub fn reborrow(&mut self) -> Attempt<'_> {
        Attempt { method: self.method, url: self.url, headers: self.headers, body: self.body, network: self.network }
    }
}

/// The attempt that was refused, exactly as it was sent.
pub struct Sent<'a> {
    /// The method.
    pub method: &'a Method,
    /// The address, credential included: never print it.
    pub url: &'a Url,
    /// The headers, credential included.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a Bytes,
    /// Counts from 0 over the repeats of the retry policy.
    pub attempt: u32,
}

/// What to do about a refusal.
#[derive(Debug)]
pub enum AuthOutcome {
    /// The upstream's words stand.
    Final,
    /// The credential was renewed: send once more.
    Again,
    /// The refusal has a better explanation.
    Explained(InvokeError),
}

/// Adds a credential to each attempt.
pub trait Authorize: Send + Sync {
    /// Adds the credential; may fetch or sign one.
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>>;

    /// Called with every non-2xx answer before it is read as an error. `Again` is honoured once per request.
    fn refused<'a>(&'a self, _answer: &'a ErrorResponse, _sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        Box::pin(std::future::ready(AuthOutcome::Final))
    }
}

/// No credential.
pub struct NoAuthorization;

impl Authorize for NoAuthorization {
    fn authorize<'a>(&'a self, _attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Fixed secret headers: an API key, a bearer token, extra headers of the user. Marked sensitive, never printed.
#[derive(Default)]
pub struct HeaderAuthorization(BTreeMap<String, SecretString>);

impl HeaderAuthorization {
    /// No headers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), SecretString::from(value.into()));
        self
    }

    /// The names of the headers, in lower case.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.keys().map(|name| name.to_ascii_lowercase())
    }
}

/// Fixed headers besides another credential.
pub struct WithHeaders {
    /// What is added first.
    pub headers: HeaderAuthorization,
    /// The credential; it sees the headers and judges refusals.
    pub inner: Arc<dyn Authorize>,
}

impl Authorize for WithHeaders {
    fn authorize<'a>(&'a self, mut attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            self.headers.authorize(attempt.reborrow()).await?;
            self.inner.authorize(attempt).await
        })
    }

    fn refused<'a>(&'a self, answer: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        self.inner.refused(answer, sent)
    }
}

impl Authorize for HeaderAuthorization {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            for (name, value) in &self.0 {
                insert_secret(attempt.headers, name, value.expose_secret())?;
            }
            Ok(())
        })
    }
}

/// What is written as it is in a parameter of the query: letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A secret as a parameter of the query. The address that errors and logs show is the request's own, without it.
pub struct QueryAuthorization {
    name: String,
    value: SecretString,
}

impl QueryAuthorization {
    /// Adds `name=value` behind the parameters that are there.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: SecretString::from(value.into()) }
    }
}

impl Authorize for QueryAuthorization {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        // A blank as `%20`: not every server reads `+` as one.
        let encoded = |text| utf8_percent_encode(text, ENCODED);
        let pair = format!("{}={}", encoded(&self.name), encoded(self.value.expose_secret()));
        let query = match attempt.url.query() {
            Some(before) if !before.is_empty() => format!("{before}&{pair}"),
            _ => pair,
        };
        attempt.url.set_query(Some(&query));
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Sets a header to a secret: marked sensitive, and an error that never shows the value.
pub fn insert_secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), InvokeError> {
    insert(headers, name, value, true)
}

/// Sets a header to what may be shown; errors do not show it either.
pub fn insert_public(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), InvokeError> {
    insert(headers, name, value, false)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), InvokeError> {
    let header = HeaderName::try_from(name)
        .map_err(|_| InvokeError::credentials(format!("`{name}` is not a valid header name")))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        InvokeError::credentials(format!(
            "the value of header `{name}` holds characters that a header cannot carry (a line break or a non-ASCII letter?)"
        ))
    })?;
    value.set_sensitive(secret);
    headers.insert(header, value);
    Ok(())
}
