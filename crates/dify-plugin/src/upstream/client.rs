//! One upstream call: attempts, credentials, timeouts, error responses.
//!
//! Connections, root certificates and proxies are managed in `pool`. Redirects are rejected: a credential must not
//! follow one to another host, and an API that redirects was given the wrong URL.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use secrecy::ExposeSecret;
use tracing::{debug, warn};
use url::Url;

use super::auth::{Attempt, AuthOutcome, Sent};
use super::connect_times::ConnectTimes;
use super::instance;
use super::pool::Pool;
use super::recording::{Case, Incoming, TrafficMode, TrafficStore};
use super::redact::Redactor;
use super::request::UpstreamRequest;
use super::response::{ErrorResponse, UpstreamResponse};
use super::share::Budget;
use super::stats::CallStats;
use super::transport_error::{address, body_error, forbidden_error, proxy_login_error, transport_error};
use super::{retry, status, unpack};
use crate::error::InvokeError;

/// Maximum number of bytes of an error body that are read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// Maximum time to wait for the body of an error response.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Handle to the HTTP clients of the process; cheap to clone.
#[derive(Clone, Default)]
pub struct Upstream {
    pub(super) pool: Arc<Pool>,
    /// Memory budget of all responses together.
    pub(super) budget: Budget,
    stats: CallStats,
    redactor: Redactor,
    pub(super) session_id: Option<Arc<str>>,
    pub(super) traffic_store: Option<Arc<TrafficStore>>,
}

impl Upstream {
    /// Creates a handle. No client is built before the first request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Redactor for the secrets that were sent through this handle.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Names the user agent of all requests, such as `weather/1.0.0`. Characters that no header can contain are left out.
    #[must_use]
    pub fn with_user_agent(self, user_agent: &str) -> Self {
        let user_agent: String = user_agent.chars().filter(|character| matches!(character, ' '..='~')).collect();
        Self { pool: Arc::new(self.pool.with_user_agent(user_agent.into())), ..self }
    }

    /// Creates a handle that records or replays all traffic.
    pub fn recorded(traffic: &TrafficMode) -> io::Result<Self> {
        Ok(Self::through(TrafficStore::open(traffic)?))
    }

    /// Creates a handle that hands every exchange to an observer.
    #[cfg(feature = "workbench")]
    pub(crate) fn observed(observer: super::recording::Observer) -> Self {
        Self::through(TrafficStore::observe(observer))
    }

    fn through(traffic_store: TrafficStore) -> Self {
        let pool = Arc::new(Pool::observed());
        Self { traffic_store: Some(Arc::new(traffic_store)), pool, ..Self::default() }
    }

    /// Returns a handle to the same clients for one session: its calls are counted and its secrets registered
    /// separately, and its traffic is recorded under its session ID.
    #[must_use]
    pub fn for_session(&self, session_id: &Arc<str>, stats: CallStats) -> Self {
        Self { stats, redactor: Redactor::default(), session_id: Some(session_id.clone()), ..self.clone() }
    }

    /// Returns a handle to the same clients for work that outlives a session.
    #[must_use]
    pub fn for_no_session(&self) -> Self {
        Self { stats: CallStats::default(), redactor: Redactor::default(), session_id: None, ..self.clone() }
    }

    /// Passes the request of a session to the recorder or replayer, if there is one.
    pub fn begin(&self, case: &Case<'_>) {
        if let Some(traffic_store) = &self.traffic_store {
            traffic_store.begin(case);
        }
    }

    /// Sends a request, retrying until it gets a 2xx response or an error that is not retryable.
    pub async fn send(&self, request: &UpstreamRequest) -> Result<UpstreamResponse, InvokeError> {
        if self.traffic_store.is_some() && request.makes_body() {
            // A recorder reads the body before, during and after the attempt.
            return Box::pin(self.send(&request.whole())).await;
        }
        let client = self.pool.client(&request.network, request.timeouts.connect)?;
        let (mut renewed, mut urls_registered) = (false, false);
        let mut attempt = 0;
        self.stats.call();
        loop {
            let error = match self.attempt(&client, request, &mut renewed, attempt).await {
                Outcome::Response(response) => return Ok(response),
                Outcome::Again => {
                    debug!(host = request.url.host_str(), "credential refreshed; retrying request");
                    continue;
                }
                Outcome::Unsigned(error) => return Err(self.redactor.redact_error(error)),
                Outcome::Failed(error) => {
                    let error = retry::with_stated_wait(error);
                    if !std::mem::replace(&mut urls_registered, true) {
                        self.redactor.register_urls(request.bytes());
                    }
                    self.redactor.redact_error(error)
                }
            };
            let Some(wait) = request.retry.wait(&error, attempt, jitter()) else { return Err(error) };
            attempt += 1;
            warn!(
                host = request.url.host_str(),
                reason = error.log_summary(),
                status = error.status,
                upstream_request_id = error.request_id,
                attempt,
                wait_ms = wait.as_millis() as u64,
                "upstream request failed; retrying"
            );
            if !self.traffic_store.as_ref().is_some_and(|traffic_store| traffic_store.is_hurried()) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Waits before a request is retried whose response was interrupted before any of it was used. The rules are those
    /// of retries before the response; an error that is not retryable is returned.
    pub async fn wait_to_retry(
        &self,
        retry: &retry::RetryPolicy,
        error: InvokeError,
        attempt: u32,
    ) -> Result<(), InvokeError> {
        let Some(wait) = retry.wait(&error, attempt, jitter()) else { return Err(error) };
        warn!(
            reason = error.log_summary(),
            attempt,
            wait_ms = wait.as_millis() as u64,
            "response interrupted; retrying"
        );
        if !self.traffic_store.as_ref().is_some_and(|traffic_store| traffic_store.is_hurried()) {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        client: &reqwest::Client,
        request: &UpstreamRequest,
        renewed: &mut bool,
        attempt: u32,
    ) -> Outcome {
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        let body = request.bytes();
        let parts = Attempt {
            method: &request.method,
            url: &mut url,
            headers: &mut headers,
            body: &body,
            network: &request.network,
        };
        if let Err(error) = request.auth.authorize(parts).await {
            return Outcome::Unsigned(error);
        }
        self.redactor.register_attempt(&url, &headers, &request.network);
        request.secrets.iter().for_each(|secret| self.redactor.register(secret.expose_secret()));
        self.stats.attempt();
        let started = Instant::now();
        let response = match self.exchange(client, request, &url, &headers, body).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(error),
        };
        let status = response.status;
        let mut request_id = status::request_id(&response.headers);
        request_id.iter_mut().for_each(|id| self.redactor.redact(id));
        self.stats.responded(status.as_u16(), request_id.as_deref());
        debug!(
            host = request.url.host_str(),
            status = status.as_u16(),
            after_ms = started.elapsed().as_millis() as u64,
            upstream_request_id = request_id,
            "upstream responded"
        );
        if status.is_success() {
            let Incoming { status, headers, body } = response;
            let (first, idle) = (request.timeouts.first(), request.timeouts.idle);
            let (redactor, share) = (self.redactor.clone(), self.budget.share());
            return Outcome::Response(UpstreamResponse { status, headers, first, idle, body, redactor, share });
        }
        let rejection = ErrorResponse {
            status,
            headers: response.headers,
            body: error_body(response.body).await,
            url: public_url(&request.url),
        };
        if status.is_redirection() {
            return Outcome::Failed(redirect_error(&rejection));
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Outcome::Failed(proxy_login_error(request));
        }
        let body = request.bytes();
        let sent = Sent { method: &request.method, url: &url, headers: &headers, body: &body, attempt };
        match request.auth.refused(&rejection, sent).await {
            AuthOutcome::Again if !std::mem::replace(renewed, true) => Outcome::Again,
            AuthOutcome::Explained(error) => Outcome::Failed(error),
            AuthOutcome::Again | AuthOutcome::Final => Outcome::Failed((request.error_reader)(&rejection)),
        }
    }

    /// Sends a prepared attempt, through the recorder or replayer if there is one.
    pub(super) async fn exchange(
        &self,
        client: &reqwest::Client,
        request: &UpstreamRequest,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Incoming, InvokeError> {
        let network = over_network(client, request, url, headers, body);
        match &self.traffic_store {
            None => network.await,
            Some(traffic_store) => traffic_store.exchange(self.outgoing(request, url, headers), network).await,
        }
    }
}

enum Outcome {
    Response(UpstreamResponse),
    Again,
    Failed(InvokeError),
    /// No credential was available; the requests that fetch it were already retried.
    Unsigned(InvokeError),
}

/// A body that is released as soon as it is sent.
struct Once {
    bytes: Option<Bytes>,
    /// Notes when it is sent.
    times: Option<Arc<ConnectTimes>>,
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if let Some(times) = self.times.take_if(|_| bytes.is_some()) {
            times.sent();
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Sends an attempt and waits for the response headers.
async fn over_network(
    client: &reqwest::Client,
    request: &UpstreamRequest,
    url: &Url,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Incoming, InvokeError> {
    instance::check(url, &request.network).map_err(forbidden_error)?;
    let mut headers = headers.clone();
    unpack::accept(&mut headers);
    let mut call = client.request(request.method.clone(), url.clone()).headers(headers);
    let times = ConnectTimes::current();
    if !body.is_empty() {
        // A body given as bytes would be kept until the response headers arrive, and does not show when it is sent.
        let is_followed = request.makes_body() || times.is_some();
        let once = |bytes| reqwest::Body::wrap(Once { bytes: Some(bytes), times: times.clone() });
        call = call.body(if is_followed { once(body) } else { body.into() });
    }
    let wait = request.timeouts.first_byte;
    let response = tokio::time::timeout(wait, call.send()).await.map_err(|_| {
        InvokeError::connection(format!("no response from {} within {} s", address(request), wait.as_secs_f64()))
            .with_hint("Raise the timeout in the credentials if the model is slow to start.")
    })?;
    let response = response.map_err(|error| transport_error(&error, request))?;
    if let Some(times) = times {
        times.responded();
    }
    let (host, status, mut headers) = (address(request), response.status(), response.headers().clone());
    let error_host = host.clone();
    let body = response.bytes_stream().map(move |chunk| chunk.map_err(|error| body_error(&error, &error_host))).boxed();
    let body = unpack::unpack(&mut headers, body, &host);
    Ok(Incoming { status, headers, body })
}

async fn error_body(mut stream: BoxStream<'static, Result<Bytes, InvokeError>>) -> Bytes {
    let mut body = BytesMut::new();
    let read = async {
        while let Some(Ok(chunk)) = stream.next().await {
            let room = MAX_ERROR_BODY_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_ERROR_BODY_BYTES {
                break;
            }
        }
    };
    // An error response whose body never ends is still an error response.
    let _ = tokio::time::timeout(ERROR_BODY_TIMEOUT, read).await;
    body.freeze()
}

fn redirect_error(rejection: &ErrorResponse) -> InvokeError {
    let target = rejection
        .headers
        .get(http::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| rejection.url.join(location).ok())
        .map_or_else(|| "another URL".to_owned(), |url| public_url(&url).to_string());
    InvokeError::bad_request(format!("HTTP {}: {} redirects to {target}", rejection.status.as_u16(), rejection.url))
        .with_status(rejection.status.as_u16())
        .with_hint("Redirects are not followed, because the request carries a credential. Use the final URL.")
}

/// Returns the URL without user name, password, query string and fragment.
pub fn public_url(url: &url::Url) -> url::Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails only for URLs that cannot contain credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// Returns a random number between 0 and 1, so that concurrent calls do not retry simultaneously.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0
}
