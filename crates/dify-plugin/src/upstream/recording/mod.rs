//! Records upstream traffic to files without secrets, or replays it from such files without using the network.
//!
//! A recording is attached to a bug report or replayed by a test. It is a directory with one file for each session's
//! request and one for each exchange with a server. When off, it costs one comparison per attempt. It is neither a
//! cache nor a log: it contains prompts and responses, and is only made on request.

mod diff;
mod exchange;
mod recorder;
mod replayer;
mod sanitize;
#[cfg(feature = "workbench")]
mod scrubber;

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use url::Url;

use self::recorder::Recorder;
#[cfg(feature = "workbench")]
pub(crate) use self::recorder::{Observed, Observer, Step};
use self::replayer::Replayer;
#[cfg(feature = "workbench")]
pub(crate) use self::scrubber::Scrubber;
use super::request::UpstreamRequest;
pub use super::traffic::{Case, TrafficMode};
use crate::error::InvokeError;

/// A recorder or a replayer.
pub(super) enum TrafficStore {
    /// Records.
    Record(Arc<Recorder>),
    /// Replays.
    Replay(Replayer),
}

/// A prepared attempt.
pub(super) struct Outgoing<'a> {
    /// Request without its credential.
    pub request: &'a UpstreamRequest,
    /// URL with the credential.
    pub url: &'a Url,
    /// Headers with the credential.
    pub headers: &'a HeaderMap,
    /// ID of the session, if there is one.
    pub session_id: Option<&'a str>,
}

/// A response of any status.
pub(super) struct Incoming {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it arrives.
    pub body: BoxStream<'static, Result<Bytes, InvokeError>>,
}

impl TrafficStore {
    /// Creates or reads the directory.
    pub(super) fn open(traffic: &TrafficMode) -> io::Result<Self> {
        match traffic {
            TrafficMode::Record { directory, shorten_files } => {
                Ok(Self::Record(Recorder::open(directory, *shorten_files)?))
            }
            TrafficMode::Replay { directory, timed } => Ok(Self::Replay(Replayer::open(directory, *timed)?)),
        }
    }

    /// Hands every exchange to an observer.
    #[cfg(feature = "workbench")]
    pub(super) fn observe(observer: Observer) -> Self {
        Self::Record(Recorder::observe(observer))
    }

    /// Registers the secrets of a new session, and records its request.
    pub(super) fn begin(&self, case: &Case<'_>) {
        match self {
            Self::Record(recorder) => recorder.begin(case),
            Self::Replay(replayer) => replayer.begin(case),
        }
    }

    /// Records or replays one attempt; `network` sends it.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing<'_>,
        network: impl Future<Output = Result<Incoming, InvokeError>>,
    ) -> Result<Incoming, InvokeError> {
        match self {
            Self::Record(recorder) => recorder.exchange(&outgoing, network).await,
            Self::Replay(replayer) => replayer.exchange(&outgoing).await,
        }
    }

    /// Whether delays between attempts are skipped.
    pub(super) fn is_hurried(&self) -> bool {
        matches!(self, Self::Replay(replayer) if !replayer.timed)
    }
}

fn at(directory: &Path, error: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", directory.display()))
}
