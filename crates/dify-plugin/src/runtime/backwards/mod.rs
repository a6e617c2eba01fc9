//! Calls back into Dify, carried: over the session's own connection, or one HTTP request each where the session came over
//! HTTP. What is requested and how a response is read is not known here.

mod duplex;
#[cfg(feature = "serverless")]
mod http;
mod queue;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

pub(super) use duplex::Waiters;
#[cfg(feature = "serverless")]
pub(super) use http::HttpCarrier;

use crate::plugin::dify::Backwards;
use crate::protocol::backwards::{DifyError, DifyErrorKind, InvokeType};
use crate::protocol::envelope::write_invoke;
use crate::runtime::places::Lendable;
use crate::runtime::responder::Ending;

/// Limits of calls back into Dify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackwardsOptions {
    /// Longest wait for a call's first response, and from then on for its end. Dify's daemon ends a call after 240 s,
    /// counted from the beginning of the response.
    pub timeout: Duration,
    /// Most bytes of one call's responses that are held unread.
    pub max_call_bytes: usize,
    /// Most bytes of all calls' responses of a connection that are held unread.
    pub max_held_bytes: usize,
}

impl Default for BackwardsOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(240), max_call_bytes: 32 * 1024 * 1024, max_held_bytes: 256 * 1024 * 1024 }
    }
}

/// Carries the calls of the sessions of one connection, or of one HTTP server.
pub(super) trait Carrier: Send + Sync {
    /// The calls of a session that begins to work.
    fn open(&self, ending: &Ending, place: Lendable) -> Arc<dyn Session>;

    /// Takes a line of responses with its payload in this range, if they come over the connection of the session.
    fn take(&self, line: Vec<u8>, data: Range<usize>) {
        let _ = (line, data);
    }

    /// Fails the call whose line of responses was too long, by its beginning.
    fn take_broken(&self, head: &[u8]) {
        let _ = head;
    }
}

/// Calls that end with their session.
pub(super) trait Session: Backwards {
    /// Fails what still waits, and every later call.
    fn end(&self);
}

/// The calls of a session; dropping this ends them and gives the session's place back.
pub(super) struct OpenCalls {
    calls: Arc<dyn Session>,
    place: Lendable,
}

impl OpenCalls {
    /// The calls of a session that begins to work.
    pub(super) fn new(calls: Arc<dyn Session>, place: Lendable) -> Self {
        Self { calls, place }
    }

    /// For the session's code; it may outlive the session.
    pub(super) fn handle(&self) -> Arc<dyn Backwards> {
        self.calls.clone()
    }
}

impl Drop for OpenCalls {
    fn drop(&mut self) {
        self.calls.end();
        self.place.close();
    }
}

/// Writes the line of a call, if no longer than what the other side reads.
fn line(
    session_id: &str,
    invoke_type: InvokeType,
    request_id: &str,
    request: &RawValue,
    limit: (usize, &str),
) -> Result<Vec<u8>, DifyError> {
    let mut line = Vec::with_capacity(request.get().len() + 256);
    write_invoke(&mut line, session_id, invoke_type.as_str(), request_id, request)
        .map_err(|error| DifyError::invalid(format!("cannot serialize the call: {error}")))?;
    let (limit, hint) = limit;
    if line.len() > limit {
        let length = line.len();
        let kind = invoke_type.as_str();
        return Err(DifyError::new(
            DifyErrorKind::TooLarge,
            format!("a call `{kind}` of {length} bytes is too large (limit {limit})"),
        )
        .with_hint(hint));
    }
    Ok(line)
}
