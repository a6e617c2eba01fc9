//! Upstream traffic on tape: written to files with its secrets taken out, or answered from such files without a network.
//!
//! A recording is what a person attaches to a bug report and what a test replays. It is a folder: one file for each session's
//! request, one for each exchange with an upstream. Off, it costs a comparison per attempt. It is not a cache and no log:
//! it holds prompts and answers, and is made only when somebody asks for it.

mod diff;
mod exchange;
mod recorder;
mod replayer;
mod sanitize;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use url::Url;

use self::recorder::Recorder;
use self::replayer::Replayer;
use super::request::UpstreamRequest;
use crate::error::InvokeError;

/// What to do with upstream traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrafficMode {
    /// Write it to this folder.
    Record {
        /// The folder; made when it is not there.
        directory: PathBuf,
        /// Files (base64, bytes) are written as length and digest only.
        shorten_files: bool,
    },
    /// RecordedResponse from this folder.
    Replay {
        /// The folder.
        directory: PathBuf,
        /// With the pauses of the recording; otherwise at once.
        timed: bool,
    },
}

/// A recorder or a replayer.
pub(super) enum TrafficStore {
    /// Writes.
    Record(Arc<Recorder>),
    /// Answers.
    Replay(Replayer),
}

/// An attempt as it goes out.
pub(super) struct Outgoing<'a> {
    /// The request without its credential.
    pub request: &'a UpstreamRequest,
    /// The address with the credential.
    pub url: &'a Url,
    /// The headers with the credential.
    pub headers: &'a HeaderMap,
    /// The session that asks, if it is one.
    pub session_id: Option<&'a str>,
}

/// An answer as it comes in, of any status.
pub(super) struct Incoming {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it comes.
    pub body: BoxStream<'static, Result<Bytes, InvokeError>>,
}

/// What a session was asked, for the tape.
pub struct Case<'a> {
    /// Names the session.
    pub session_id: &'a str,
    /// The request's fields as JSON, credentials included.
    pub data: &'a str,
    /// Whether a credential field of this name holds a secret.
    pub is_secret: &'a dyn Fn(&str) -> bool,
}

impl TrafficStore {
    /// Makes or reads the folder.
    pub(super) fn open(traffic: &TrafficMode) -> io::Result<Self> {
        match traffic {
            TrafficMode::Record { directory, shorten_files } => {
                Ok(Self::Record(Recorder::open(directory, *shorten_files)?))
            }
            TrafficMode::Replay { directory, timed } => Ok(Self::Replay(Replayer::open(directory, *timed)?)),
        }
    }

    /// A session begins: its secrets are learnt, and its request is written when recording.
    pub(super) fn begin(&self, case: &Case<'_>) {
        match self {
            Self::Record(recorder) => recorder.begin(case),
            Self::Replay(replayer) => replayer.begin(case),
        }
    }

    /// One attempt; `network` is what really makes it.
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

    /// Whether waits between attempts are left out.
    pub(super) fn is_hurried(&self) -> bool {
        matches!(self, Self::Replay(replayer) if !replayer.timed)
    }
}

fn at(directory: &Path, error: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", directory.display()))
}
