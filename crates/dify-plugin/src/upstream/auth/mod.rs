//! Adds credentials to each request attempt and handles their rejection.

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

/// An attempt that is about to be sent: final method, URL and body; headers may still be added.
#[non_exhaustive]
pub struct Attempt<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// URL; a credential in the query string is added here and never logged.
    pub url: &'a mut Url,
    /// Headers.
    pub headers: &'a mut HeaderMap,
    /// Body.
    pub body: &'a Bytes,
    /// Proxy and certificates.
    pub network: &'a NetworkSettings,
}

impl<'a> Attempt<'a> {
    /// An attempt, for tests of what authorizes it.
    pub fn new(
        method: &'a Method,
        url: &'a mut Url,
        headers: &'a mut HeaderMap,
        body: &'a Bytes,
        network: &'a NetworkSettings,
    ) -> Self {
        Self { method, url, headers, body, network }
    }
}

impl Attempt<'_> {
    /// Returns the same attempt for an additional authorization.
    pub fn reborrow(&mut self) -> Attempt<'_> {
        Attempt { method: self.method, url: self.url, headers: self.headers, body: self.body, network: self.network }
    }
}

/// A rejected attempt, exactly as it was sent.
pub struct Sent<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// URL, credential included; must not be printed.
    pub url: &'a Url,
    /// Headers, credential included.
    pub headers: &'a HeaderMap,
    /// Body.
    pub body: &'a Bytes,
    /// Number of the attempt, counted from 0.
    pub attempt: u32,
}

/// What to do after an error response.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// Keep the server's error.
    Final,
    /// The credential was refreshed; send the request again.
    Again,
    /// Use this error instead, which explains the rejection better.
    Explained(InvokeError),
}

/// Adds a credential to each attempt.
pub trait Authorize: Send + Sync {
    /// Adds the credential; may fetch or sign it.
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>>;

    /// Called with every non-2xx response before it is converted to an error. `Again` is followed once per request.
    fn refused<'a>(&'a self, _response: &'a ErrorResponse, _sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
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

/// Fixed secret headers: an API key, a bearer token, extra headers of the user. Marked as sensitive, never printed.
#[derive(Default)]
pub struct HeaderAuthorization(BTreeMap<String, SecretString>);

impl HeaderAuthorization {
    /// Creates an authorization without headers.
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

    /// Returns the names of the headers in lower case.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.keys().map(|name| name.to_ascii_lowercase())
    }
}

/// Fixed headers in addition to another credential.
pub struct WithHeaders {
    /// Headers that are added first.
    pub headers: HeaderAuthorization,
    /// Credential; it sees the headers and handles rejections.
    pub inner: Arc<dyn Authorize>,
}

impl Authorize for WithHeaders {
    fn authorize<'a>(&'a self, mut attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            self.headers.authorize(attempt.reborrow()).await?;
            self.inner.authorize(attempt).await
        })
    }

    fn refused<'a>(&'a self, response: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        self.inner.refused(response, sent)
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

/// Characters that are not percent-encoded in a query parameter: ASCII letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A secret in a query parameter. Errors and logs show the URL of the request, which does not contain it.
pub struct QueryAuthorization {
    name: String,
    value: SecretString,
}

impl QueryAuthorization {
    /// Appends `name=value` to the query string.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: SecretString::from(value.into()) }
    }
}

impl Authorize for QueryAuthorization {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        // Encodes a space as `%20`: not every server decodes `+`.
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

/// Sets a secret header: marked as sensitive; errors never contain its value.
pub fn insert_secret(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), InvokeError> {
    insert(headers, name, value, true)
}

/// Sets a header that is not secret; errors do not contain its value either.
pub fn insert_public(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), InvokeError> {
    insert(headers, name, value, false)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), InvokeError> {
    let header = HeaderName::try_from(name)
        .map_err(|_| InvokeError::credentials(format!("`{name}` is not a valid header name")))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        InvokeError::credentials(format!(
            "the value of header `{name}` contains characters that are not allowed in a header (such as a line break or a \
             non-ASCII character)"
        ))
    })?;
    value.set_sensitive(secret);
    headers.insert(header, value);
    Ok(())
}
