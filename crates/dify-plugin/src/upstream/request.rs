//! A request to a server, as plain data. The body is complete, so that it can be signed and resent; a long one is
//! rebuilt for each attempt, so that it does not stay in memory while the runtime waits for the response.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

use super::auth::{Authorize, NoAuthorization};
use super::network::NetworkSettings;
use super::response::ErrorResponse;
use super::retry::RetryPolicy;
use super::status;
use crate::error::InvokeError;

/// Converts a non-2xx response to an error; a dialect may have its own. The default is [`status::error_of`].
pub type ErrorReader = fn(&ErrorResponse) -> InvokeError;

/// Minimum size in bytes of a body that is rebuilt for each attempt instead of kept.
const REBUILT_BODY_BYTES: usize = 1024 * 1024;

/// Builds a body; returns the same bytes each time.
type MakeBody = Arc<dyn Fn() -> Bytes + Send + Sync>;

/// A request that can be sent, signed and retried.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// HTTP method.
    pub method: Method,
    /// Complete URL; must not contain secrets.
    pub url: Url,
    /// Headers without the credential.
    pub headers: HeaderMap,
    /// Complete body; see [`UpstreamRequest::bytes`] for one that is not kept.
    pub body: Bytes,
    make_body: Option<MakeBody>,
    /// Secrets in the body, to be redacted from errors.
    pub secrets: Vec<SecretString>,
    /// Proxy and certificates.
    pub network: NetworkSettings,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Retry policy.
    pub retry: RetryPolicy,
    /// Adds the credential to each attempt.
    pub auth: Arc<dyn Authorize>,
    /// Converts an error response to an error.
    pub error_reader: ErrorReader,
    /// Whether request and response are credentials themselves, as those of a token endpoint are; they are not
    /// recorded.
    pub is_confidential: bool,
}

impl UpstreamRequest {
    /// Creates a request without body and credential.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            make_body: None,
            secrets: Vec::new(),
            network: NetworkSettings::default(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            auth: Arc::new(NoAuthorization),
            error_reader: status::error_of,
            is_confidential: false,
        }
    }

    /// Creates a `GET` request.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Creates a `POST` request with a JSON body.
    pub fn post_json<T: Serialize>(url: Url, body: &T) -> Result<Self, InvokeError> {
        let mut request = Self::new(Method::POST, url);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Self::json(body)?;
        Ok(request)
    }

    /// Serializes a JSON body.
    pub fn json<T: Serialize>(body: &T) -> Result<Bytes, InvokeError> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| InvokeError::internal(format!("cannot serialize the request: {error}")))?;
        Ok(bytes.into())
    }

    /// Sets a body that `make` can rebuild. A long one is not kept while the runtime waits for the response.
    #[must_use]
    pub fn with_body(mut self, body: Bytes, make: impl Fn() -> Bytes + Send + Sync + 'static) -> Self {
        if body.len() < REBUILT_BODY_BYTES {
            self.body = body;
            return self;
        }
        let first = Mutex::new(Some(body));
        let first = move || first.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.body = Bytes::new();
        self.make_body = Some(Arc::new(move || first().unwrap_or_else(&make)));
        self
    }

    /// Returns the complete body, kept or rebuilt.
    pub fn bytes(&self) -> Bytes {
        self.make_body.as_ref().map_or_else(|| self.body.clone(), |make| make())
    }

    /// Whether the body is rebuilt for each attempt.
    pub(super) fn makes_body(&self) -> bool {
        self.make_body.is_some()
    }

    /// Returns the same request with its body kept, for code that reads it more than once.
    pub(super) fn whole(&self) -> Self {
        Self { body: self.bytes(), make_body: None, ..self.clone() }
    }

    /// Sets the credential.
    #[must_use]
    pub fn with_auth(mut self, auth: Arc<dyn Authorize>) -> Self {
        self.auth = auth;
        self
    }

    /// Sets proxy and certificates.
    #[must_use]
    pub fn with_network(mut self, network: NetworkSettings) -> Self {
        self.network = network;
        self
    }

    /// Sets the timeouts.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets the retry policy.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Marks request and response as credentials.
    #[must_use]
    pub fn confidential(mut self) -> Self {
        self.is_confidential = true;
        self
    }

    /// Sets the reader of error responses.
    #[must_use]
    pub fn with_error_reader(mut self, reader: ErrorReader) -> Self {
        self.error_reader = reader;
        self
    }
}

/// Timeouts of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Maximum time to connect.
    pub connect: Duration,
    /// Maximum time from the sent request to the response headers, and from these to the first event or byte. Before
    /// the first event, keep-alive comments and blank lines count as activity.
    pub first_byte: Duration,
    /// Maximum time between two events of a stream (keep-alive comments do not count), or two chunks of a body.
    pub idle: Duration,
}

impl Timeouts {
    /// Sets the maximum time to connect.
    #[must_use]
    pub fn with_connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// Sets the maximum time to the headers, and from these to the first event or byte.
    #[must_use]
    pub fn with_first_byte(self, first_byte: Duration) -> Self {
        Self { first_byte, ..self }
    }

    /// Sets the maximum time between two events or chunks.
    #[must_use]
    pub fn with_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// Maximum time between the headers and the start of the body. Most servers send headers immediately, however long
    /// the model takes.
    pub fn first(&self) -> Duration {
        self.first_byte.max(self.idle)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: Duration::from_secs(300), idle: Duration::from_secs(120) }
    }
}
