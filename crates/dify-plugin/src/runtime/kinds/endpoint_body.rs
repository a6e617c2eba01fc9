//! The response of an endpoint as items, so that the daemon loses nothing of it: it drops what comes after the first item
//! of a body if the end of the session comes in the same burst, and items beyond a queue of 128.
//!
//! So a body that is there soon is one item; a longer one is joined to few items, and its end is held back. The first event of a
//! stream of events is sent at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Session;
use crate::plugin::{Body, PluginError};
use crate::protocol::endpoint::EndpointItem;
use crate::runtime::dispatch::Stop;

/// How long a body may take to be whole and still be one item.
const WHOLE_BODY_TIMEOUT: Duration = Duration::from_millis(25);

/// Time between two items of a body.
const ITEM_INTERVAL: Duration = Duration::from_millis(20);

/// Time between the first item of a body and the end of its session.
const END_DELAY: Duration = Duration::from_millis(50);

/// Bytes of one item; hexadecimal doubles them.
const MAX_ITEM_BYTES: usize = 1536 * 1024;

/// What comes before a body.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// Whether the response may have a body.
    pub(super) has_body: bool,
}

/// Writes a response, and returns when the session may end. A body that fails before its first part is returned as the error:
/// nothing is written then, so that another response can be.
pub(super) async fn write(session: &mut Session<'_>, head: Head, body: Body) -> Result<Option<PluginError>, Stop> {
    let Head { status, headers, has_body } = head;
    let headers: BTreeMap<String, String> = headers.into_iter().collect();
    let mut first = EndpointItem { status: Some(status), headers: Some(headers), result: None };
    if !has_body {
        session.push(&first)?;
        return Ok(None);
    }
    // A quotation mark more for the result's name, and a margin.
    let around = session.responder.length_of(&first) + 64;
    let limit = (session.responder.max_line_bytes().saturating_sub(around) / 2).min(MAX_ITEM_BYTES);
    if limit == 0 {
        return Err(PluginError::internal("the headers of the response are too long").into());
    }
    let mut parts =
        Parts { stream: body.into_stream(), pending: BytesMut::new(), is_over: false, failure: None, limit };
    parts.gather(Instant::now() + whole_body_timeout(first.headers.as_ref())).await;
    if let Some(error) = parts.failure.take() {
        if parts.pending.is_empty() {
            return Ok(Some(error));
        }
        warn_of(&error);
    }
    if parts.is_whole() {
        let bytes = parts.take();
        if let Some(length) = first.headers.as_mut().and_then(|headers| headers.get_mut("content-length")) {
            *length = bytes.len().to_string();
        }
        first.result = Some(hex::encode(bytes)).filter(|body| !body.is_empty());
        session.push(&first)?;
        return Ok(None);
    }
    first.result = Some(hex::encode(parts.take()));
    session.push(&first)?;
    session.responder.flush_written().await?;
    let started = Instant::now();
    let mut next = started + ITEM_INTERVAL;
    while !parts.is_done() {
        parts.gather(next).await;
        sleep_until(next).await;
        let bytes = parts.take();
        if !bytes.is_empty() {
            session.push(&EndpointItem::body(&bytes))?;
            session.responder.flush_written().await?;
            next = Instant::now() + ITEM_INTERVAL;
        }
    }
    if let Some(error) = &parts.failure {
        warn_of(error);
    }
    sleep_until(started + END_DELAY).await;
    Ok(None)
}

/// The daemon would append an error to the body, which the client would receive.
fn warn_of(error: &PluginError) {
    warn!(error = error.log_summary(), "the body of an endpoint's response is incomplete");
}

/// A client of a stream of events waits for the first one: holding it back would save an item, and cost that time.
fn whole_body_timeout(headers: Option<&BTreeMap<String, String>>) -> Duration {
    let content_type = headers.and_then(|headers| headers.get("content-type")).map_or("", String::as_str);
    if content_type.starts_with("text/event-stream") { Duration::ZERO } else { WHOLE_BODY_TIMEOUT }
}

/// A body, joined to items.
struct Parts {
    stream: BoxStream<'static, Result<Bytes, PluginError>>,
    pending: BytesMut,
    is_over: bool,
    /// What ended it too early.
    failure: Option<PluginError>,
    limit: usize,
}

impl Parts {
    /// Reads until there is enough for an item, the body is over, or the time has come and there is something.
    async fn gather(&mut self, until: Instant) {
        while !self.is_over && self.pending.len() < self.limit {
            // A timer would take a millisecond to report that the time has come.
            let is_late = !self.pending.is_empty() && Instant::now() >= until;
            let part = if is_late {
                let Some(part) = self.stream.next().now_or_never() else { return };
                part
            } else {
                tokio::select! {
                    biased;
                    part = self.stream.next() => part,
                    () = sleep_until(until), if !self.pending.is_empty() => return,
                }
            };
            match part {
                Some(Ok(bytes)) => self.pending.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    self.failure = Some(error);
                    self.is_over = true;
                }
                None => self.is_over = true,
            }
        }
    }

    /// Whether all of it is there and fits one item.
    fn is_whole(&self) -> bool {
        self.is_over && self.pending.len() <= self.limit
    }

    /// Whether nothing is left.
    fn is_done(&self) -> bool {
        self.is_over && self.pending.is_empty()
    }

    /// What one item can carry.
    fn take(&mut self) -> Bytes {
        let length = self.pending.len().min(self.limit);
        self.pending.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests;
