//! A request to an upstream, as plain data. The body is complete bytes, so that it can be signed and sent again; a long one
//! is made for each attempt, so that nothing is kept of it while an answer is waited for.

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

/// How a non-2xx answer becomes an error; a dialect may bring its own. The default is [`status::error_of`].
pub type ErrorReader = fn(&ErrorResponse) -> InvokeError;

/// Bytes of a body that is made anew for each attempt rather than kept.
const REBUILT_BODY_BYTES: usize = 1024 * 1024;

/// Makes a body; the same one each time.
type MakeBody = Arc<dyn Fn() -> Bytes + Send + Sync>;

/// A request that can be sent, signed and repeated.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// `GET`, `POST`.
    pub method: Method,
    /// The whole address; must hold no secret.
    pub url: Url,
    /// Headers without the credential.
    pub headers: HeaderMap,
    /// The whole body; see [`UpstreamRequest::bytes`] for one that is not kept.
    pub body: Bytes,
    make_body: Option<MakeBody>,
    /// Secrets within the body, which no answer may repeat.
    pub secrets: Vec<SecretString>,
    /// Proxy and certificates.
    pub network: NetworkSettings,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Adds the credential to each attempt.
    pub auth: Arc<dyn Authorize>,
    /// Reads a refusal.
    pub error_reader: ErrorReader,
    /// Whether request and answer are themselves credentials, as a token endpoint's are: nothing of them is recorded.
    pub is_confidential: bool,
}

impl UpstreamRequest {
    /// A request without body and credential.
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

    /// A `GET`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A `POST` of JSON.
    pub fn post_json<T: Serialize>(url: Url, body: &T) -> Result<Self, InvokeError> {
        let mut request = Self::new(Method::POST, url);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Self::json(body)?;
        Ok(request)
    }

    /// A body of JSON.
    pub fn json<T: Serialize>(body: &T) -> Result<Bytes, InvokeError> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| InvokeError::internal(format!("cannot write the upstream request: {error}")))?;
        Ok(bytes.into())
    }

    /// Sets a body that `make` can make again. A long one is not kept while an answer is waited for.
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

    /// The whole body, kept or made.
    pub fn bytes(&self) -> Bytes {
        self.make_body.as_ref().map_or_else(|| self.body.clone(), |make| make())
    }

    /// Whether the body is made for each attempt.
    pub(super) fn makes_body(&self) -> bool {
        self.make_body.is_some()
    }

    /// The same with its body kept, for what looks at it more than once.
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

    /// Marks request and answer as credentials.
    #[must_use]
    pub fn confidential(mut self) -> Self {
        self.is_confidential = true;
        self
    }

    /// Sets the reader of refusals.
    #[must_use]
    pub fn with_error_reader(mut self, reader: ErrorReader) -> Self {
        self.error_reader = reader;
        self
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// To the connection.
    pub connect: Duration,
    /// From the sent request to the answer's headers, and from these to its first event or byte. Before the first event
    /// keep-alive comments and blank lines count as life.
    pub first_byte: Duration,
    /// Between two events of a stream (keep-alive comments do not count), or two pieces of a body.
    pub idle: Duration,
}

impl Timeouts {
    /// Longest silence between the headers and the beginning of the answer: most servers send headers at once, whatever
    /// the model still has to do.
    pub fn first(&self) -> Duration {
        self.first_byte.max(self.idle)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: Duration::from_secs(300), idle: Duration::from_secs(120) }
    }
}
