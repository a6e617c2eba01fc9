//! Calls of sessions that came over HTTP: one request each to the plugin daemon, whose response is the stream of the call's
//! events. It is read as it comes, however slowly the calling code reads: the daemon drops what is not taken from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use http::{HeaderName, HeaderValue, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::queue::{Held, Sender, queue};
use super::{BackwardsOptions, Carrier, Session, line};
use crate::codec::lines::{Line, LineDecoder};
use crate::error::{ErrorKind, InvokeError};
use crate::plugin::dify::{Backwards, Invoke, Responses};
use crate::protocol::backwards::{BackwardsEvent, DifyError, DifyErrorKind};
use crate::protocol::envelope::range_in;
use crate::protocol::{Inbound, Payload, lenient};
use crate::runtime::places::Lendable;
use crate::runtime::responder::Ending;
use crate::upstream::stats::CallStats;
use crate::upstream::{ErrorResponse, RetryPolicy, Timeouts, Upstream, UpstreamRequest};

/// Names the session to the daemon.
const SESSION: HeaderName = HeaderName::from_static("dify-plugin-session-id");

/// Longest body that the daemon reads; it silently drops the rest.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// Longest line with one event: above the 30 MiB that the daemon accepts of Dify.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// The daemon sends a blank line every 25 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The daemon ends the request after 300 s (`MAX_SERVERLESS_TRANSACTION_TIMEOUT`).
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(310);

/// Requests to the daemon at a URL; the platform says where it is.
pub(crate) struct HttpCarrier {
    daemon: Option<Url>,
    upstream: Upstream,
    options: BackwardsOptions,
}

impl HttpCarrier {
    /// Calls with this HTTP client.
    pub(crate) fn new(daemon: Option<Url>, upstream: Upstream, options: BackwardsOptions) -> Self {
        Self { daemon, upstream, options }
    }
}

impl Carrier for HttpCarrier {
    fn open(&self, ending: &Ending, place: Lendable) -> Arc<dyn Session> {
        let session_id = ending.session_id().clone();
        let upstream = self.upstream.for_session(&session_id, CallStats::default());
        Arc::new(HttpCalls::new(self.daemon.clone(), upstream, session_id, self.options, place))
    }
}

/// The calls of one session.
pub(crate) struct HttpCalls {
    /// Where the daemon is; the platform says it.
    daemon: Option<Url>,
    upstream: Upstream,
    session_id: Arc<str>,
    options: BackwardsOptions,
    held: Held,
    next: AtomicU64,
    place: Lendable,
    ended: CancellationToken,
}

impl HttpCalls {
    /// The calls of a session that begins.
    pub(crate) fn new(
        daemon: Option<Url>,
        upstream: Upstream,
        session_id: Arc<str>,
        options: BackwardsOptions,
        place: Lendable,
    ) -> Self {
        let (held, next, ended) = (Held::default(), AtomicU64::new(0), CancellationToken::new());
        Self { daemon, upstream, session_id, options, held, next, place, ended }
    }

    fn start(&self, invoke: Invoke) -> Result<Responses, DifyError> {
        if self.ended.is_cancelled() {
            return Err(DifyError::session_ended());
        }
        let Some(daemon) = &self.daemon else {
            let message = "calls back into Dify need the URL of the plugin daemon";
            return Err(DifyError::new(DifyErrorKind::Unreachable, message)
                .with_hint("Set DIFY_PLUGIN_DAEMON_URL; Dify's serverless platform does so."));
        };
        let id = format!("{}-{:x}", self.session_id, self.next.fetch_add(1, Ordering::Relaxed));
        let limit = (MAX_BODY_BYTES, "Send less at once, and files as URLs.");
        let body = line(&self.session_id, invoke.invoke_type, &id, &invoke.request, limit)?;
        let request = self.request(daemon, body)?;
        let (sender, responses) = queue(&self.held, self.options, self.place.clone());
        let (upstream, ended) = (self.upstream.clone(), self.ended.clone());
        let carrying = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => sender.fail(DifyError::session_ended()),
                outcome = carry(&upstream, &request, &id, &sender) => if let Err(error) = outcome {
                    sender.fail(error);
                }
            }
        });
        Ok(responses(AbortOnDropHandle::new(carrying), invoke.timeout.unwrap_or(self.options.timeout)))
    }

    fn request(&self, daemon: &Url, body: Vec<u8>) -> Result<UpstreamRequest, DifyError> {
        let unusable = || DifyError::new(DifyErrorKind::Unreachable, "DIFY_PLUGIN_DAEMON_URL is not an HTTP URL");
        let mut url = daemon.clone();
        url.path_segments_mut()
            .map_err(|()| unusable())?
            .pop_if_empty()
            .extend(["backwards-invocation", "transaction"]);
        let session = HeaderValue::from_str(&self.session_id)
            .map_err(|_| DifyError::invalid("the session ID cannot be sent in a header"))?;
        let mut request = UpstreamRequest::new(http::Method::POST, url);
        request.headers.insert(SESSION, session);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = body.into();
        let timeouts = Timeouts { first_byte: FIRST_BYTE_TIMEOUT, idle: IDLE_TIMEOUT, ..Timeouts::default() };
        // A call may have been carried out though its response was lost.
        Ok(request.with_retry(RetryPolicy::never()).with_timeouts(timeouts).with_error_reader(rejection))
    }
}

impl Backwards for HttpCalls {
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        std::future::ready(self.start(invoke)).boxed()
    }
}

impl Session for HttpCalls {
    fn end(&self) {
        self.ended.cancel();
    }
}

/// Sends the call and hands its events over until it ends.
async fn carry(upstream: &Upstream, request: &UpstreamRequest, id: &str, sender: &Sender) -> Result<(), DifyError> {
    let mut response = upstream.send(request).await.map_err(of_upstream)?;
    let mut decoder = LineDecoder::new(MAX_EVENT_BYTES);
    let mut ended = Ok(false);
    loop {
        let piece = tokio::time::timeout(IDLE_TIMEOUT, response.body.next()).await;
        let silent = || DifyError::new(DifyErrorKind::Unreachable, "the plugin daemon stopped responding");
        let mut take = |line| {
            if let Ok(false) = ended {
                ended = hand_over(line, id, sender);
            }
        };
        match piece.map_err(|_| silent())? {
            Some(piece) => decoder.push(&piece.map_err(of_upstream)?, &mut take),
            None => {
                std::mem::replace(&mut decoder, LineDecoder::new(0)).finish(&mut take);
                return match ended? {
                    true => Ok(()),
                    false => Err(DifyError::new(
                        DifyErrorKind::Unreachable,
                        "the plugin daemon closed the connection before the call was complete",
                    )),
                };
            }
        }
        if let Ok(true) | Err(_) = ended {
            return ended.map(drop);
        }
    }
}

/// Hands one event over. Whether it was the last.
fn hand_over(line: Line, id: &str, sender: &Sender) -> Result<bool, DifyError> {
    let Line::Whole(line) = line else {
        return Err(DifyError::new(DifyErrorKind::TooLarge, "a response of Dify is longer than any line that is read"));
    };
    let text = std::str::from_utf8(&line).map_err(DifyError::malformed)?;
    let enveloped = Inbound::parse(&line).ok().and_then(|inbound| inbound.data);
    // A session that the daemon does not know is rejected without an envelope.
    let data = enveloped.map_or(text, |data| data.get());
    let (of, event) = BackwardsEvent::parse(data).map_err(|error| DifyError::malformed(lenient::reason(&error)))?;
    if of != id {
        return Ok(false);
    }
    match event {
        BackwardsEvent::Other => Ok(false),
        BackwardsEvent::Error(text) => Err(DifyError::of_text(&text)),
        BackwardsEvent::End => {
            sender.end();
            Ok(true)
        }
        BackwardsEvent::Response(data) => {
            let Some(place) = range_in(&line, data.get()) else { return Ok(false) };
            let length = line.len();
            Ok(!sender.response(Payload::new(line, place), length))
        }
    }
}

/// A rejection has the text of an event, or is plain text.
fn rejection(response: &ErrorResponse) -> InvokeError {
    let text = String::from_utf8_lossy(&response.body);
    let text = match BackwardsEvent::parse(&text) {
        Ok((_, BackwardsEvent::Error(text))) => text,
        _ => format!("the plugin daemon rejected the call: {}", text.trim()),
    };
    InvokeError::new(ErrorKind::BadRequest, text).with_status(response.status.as_u16())
}

fn of_upstream(error: InvokeError) -> DifyError {
    match (error.status, error.kind) {
        (Some(404), _) => DifyError::new(DifyErrorKind::Unsupported, "the plugin daemon has no calls back over HTTP")
            .with_hint("DIFY_PLUGIN_DAEMON_URL must be a daemon with PLATFORM=serverless."),
        (Some(_), _) => DifyError::of_text(&error.detail()),
        (None, _) => DifyError::new(DifyErrorKind::Unreachable, error.detail())
            .with_hint("DIFY_PLUGIN_DAEMON_URL must be reachable from the plugin."),
    }
}

#[cfg(test)]
mod tests;
