//! Writes exchanges to files when they end, or hands them to an observer in the same form as they go on. Recording errors are logged
//! and do not affect the session.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::exchange::{
    Chunk, Data, End, Exchange, FORMAT, Failure, RecordedConnection, RecordedResponse, Request, shortened,
};
use super::sanitize::{BodyPolicy, Secrets, clip};
use super::{Case, Incoming, Outgoing, at};
use crate::error::InvokeError;
use crate::upstream::connect_times::ConnectTimes;

/// Maximum number of files, so that a forgotten recording does not fill the disk.
const MAX_FILES: u32 = 9_999;

/// Maximum number of bytes that are recorded of one body.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Maximum number of bytes of one body that an observer gets.
const MAX_OBSERVED_BYTES: usize = 4 * 1024 * 1024;

/// Maximum number of chunks of one body that an observer gets; the last one has the rest.
const MAX_OBSERVED_CHUNKS: usize = 20_000;

/// A recording that is being written.
pub(in crate::upstream) struct Recorder {
    sink: Sink,
    /// Number of the next exchange, and of its file.
    next: AtomicU32,
    shorten_files: bool,
    secrets: Secrets,
}

/// Where what is recorded goes.
enum Sink {
    /// To numbered files of this directory.
    Directory(PathBuf),
    /// To this function.
    #[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench observes"))]
    Observer(Observer),
}

/// Takes what is new of each exchange. It must not block.
pub(crate) type Observer = Box<dyn Fn(Observed<'_>) + Send + Sync>;

/// What is new of an exchange.
#[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench observes"))]
pub(crate) struct Observed<'a> {
    /// Number of the exchange.
    pub number: u32,
    /// The session that it belongs to.
    pub session_id: Option<&'a str>,
    /// When the request was handed to the HTTP client.
    pub started: Instant,
    /// What happened.
    pub step: Step,
}

/// A step of an exchange. The text of a body comes with the last one: what is secret is found in a whole body only.
#[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench observes"))]
pub(crate) enum Step {
    /// The request, in the form of an exchange of a recording.
    Begun(Value),
    /// The connection and the head of the response, in that form.
    Responded(Value),
    /// A chunk of the response's body.
    Chunk {
        /// Milliseconds since the request.
        at_ms: u64,
        /// Length in bytes.
        bytes: usize,
    },
    /// The exchange has ended.
    Ended {
        /// All of it, as in a recording.
        exchange: Value,
        /// The length of the response's body, and whether all of it is in the exchange.
        length: (usize, bool),
    },
}

impl Recorder {
    /// Creates the directory for its owner only. Existing files are kept, and numbering continues after them.
    pub(super) fn open(directory: &Path, shorten_files: bool) -> io::Result<Arc<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| at(directory, &error))?;
        let names = fs::read_dir(directory).map_err(|error| at(directory, &error))?.filter_map(Result::ok);
        let number = |name: &str| name.split('-').next().and_then(|number| number.parse::<u32>().ok());
        let last = names.filter_map(|entry| number(&entry.file_name().to_string_lossy())).max().unwrap_or(0);
        let next = AtomicU32::new(last + 1);
        let sink = Sink::Directory(directory.to_owned());
        Ok(Arc::new(Self { sink, next, shorten_files, secrets: Secrets::default() }))
    }

    /// Hands everything to an observer; nothing is written.
    #[cfg(feature = "workbench")]
    pub(super) fn observe(observer: Observer) -> Arc<Self> {
        let (sink, next) = (Sink::Observer(observer), AtomicU32::new(1));
        Arc::new(Self { sink, next, shorten_files: false, secrets: Secrets::default() })
    }

    /// Writes a session's request in the format of `invoke`, with its credentials redacted.
    pub(super) fn begin(&self, case: &Case<'_>) {
        let Ok(mut data) = serde_json::from_str::<Map<String, Value>>(case.data) else { return };
        if let Some(Value::Object(credentials)) = data.remove("credentials") {
            let shown = self.secrets.register_credentials(credentials, case.is_secret);
            data.insert("credentials".to_owned(), shown.into());
        }
        if let Sink::Observer(_) = self.sink {
            return;
        }
        let data = if self.shorten_files { shortened(data.into()) } else { data.into() };
        let text = self.secrets.sanitizer(&HeaderMap::new()).text(&data.to_string());
        match serde_json::from_str::<Value>(&text) {
            Ok(data) => self.write(self.number(), "request", &data),
            Err(error) => warn!(%error, "cannot record a request"),
        }
    }

    /// Sends an attempt and writes its outcome.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        outgoing: &Outgoing<'_>,
        network: impl Future<Output = Result<Incoming, InvokeError>>,
    ) -> Result<Incoming, InvokeError> {
        let times = Arc::<ConnectTimes>::default();
        let mut open = Open::new(self.clone(), outgoing, times.clone());
        let outcome = times.observe(network).await;
        match outcome {
            Ok(incoming) => {
                let Incoming { status, headers, body } = incoming;
                open.set_response(status.as_u16(), &headers);
                let body = RecordedBody { body, open: Some(open) }.boxed();
                Ok(Incoming { status, headers, body })
            }
            Err(error) => {
                open.set_failure(&error);
                Err(error)
            }
        }
    }

    /// The number of the next exchange or file.
    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The most that is kept of one body, in bytes.
    fn max_body_bytes(&self) -> usize {
        match self.sink {
            Sink::Directory(_) => MAX_BODY_BYTES,
            Sink::Observer(_) => MAX_OBSERVED_BYTES,
        }
    }

    /// The most chunks that are kept apart.
    fn max_chunks(&self) -> usize {
        match self.sink {
            Sink::Directory(_) => usize::MAX,
            Sink::Observer(_) => MAX_OBSERVED_CHUNKS,
        }
    }

    /// Writes a file that only its owner can read, because it contains prompts and responses.
    fn write<T: Serialize>(&self, number: u32, name: &str, content: &T) {
        let Sink::Directory(directory) = &self.sink else { return };
        if number > MAX_FILES {
            if number == MAX_FILES + 1 {
                warn!(files = MAX_FILES, "recording limit reached; recording stopped");
            }
            return;
        }
        let path = directory.join(format!("{number:04}-{name}.json"));
        let written = serde_json::to_vec_pretty(content).map_err(io::Error::other).and_then(|mut bytes| {
            bytes.push(b'\n');
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(&bytes)
        });
        if let Err(error) = written {
            warn!(%error, file = %path.display(), "cannot record an exchange");
        }
    }
}

/// An exchange in progress. It is written when it is dropped, so that an aborted one is written too.
struct Open {
    recorder: Arc<Recorder>,
    number: u32,
    host: String,
    policy: BodyPolicy,
    sent: HeaderMap,
    started: Instant,
    times: Arc<ConnectTimes>,
    exchange: Exchange,
    body: BytesMut,
    /// Length of the body in bytes, kept or not.
    length: usize,
    /// End of each chunk in the body, and when it arrived.
    chunks: Vec<(usize, u64)>,
}

impl Open {
    fn new(recorder: Arc<Recorder>, outgoing: &Outgoing<'_>, times: Arc<ConnectTimes>) -> Self {
        let sanitizer = recorder.secrets.sanitizer(outgoing.headers);
        let request = outgoing.request;
        let policy = if request.is_confidential { BodyPolicy::Confidential } else { BodyPolicy::Open };
        if request.is_confidential {
            recorder.secrets.register_ranges(&request.body, &sanitizer.ranges(&request.body, policy));
        }
        let exchange = Exchange {
            format: FORMAT.to_owned(),
            recorded_at: jiff::Timestamp::now(),
            session_id: outgoing.session_id.map(str::to_owned),
            request: Request::of(outgoing, &sanitizer, recorder.shorten_files),
            connection: None,
            response: None,
            failure: None,
        };
        let is_plain = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
        let open = Self {
            number: recorder.number(),
            host: request.url.host_str().unwrap_or_default().chars().filter(is_plain).collect(),
            policy,
            sent: outgoing.headers.clone(),
            started: Instant::now(),
            times,
            exchange,
            body: BytesMut::new(),
            length: 0,
            chunks: Vec::new(),
            recorder,
        };
        open.observe(|open| serde_json::to_value(&open.exchange).ok().map(Step::Begun));
        open
    }

    /// Tells the observer, if there is one.
    fn observe(&self, step: impl FnOnce(&Self) -> Option<Step>) {
        let Sink::Observer(observer) = &self.recorder.sink else { return };
        if let Some(step) = step(self) {
            let session_id = self.exchange.session_id.as_deref();
            observer(Observed { number: self.number, session_id, started: self.started, step });
        }
    }

    fn elapsed(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn set_response(&mut self, status: u16, headers: &HeaderMap) {
        let headers = self.recorder.secrets.sanitizer(&self.sent).headers(headers);
        let after_ms = self.elapsed();
        self.exchange.response =
            Some(RecordedResponse { after_ms, status, headers, chunks: Vec::new(), end: End::NotConsumed });
        self.set_connection();
        let head = |open: &Self| json!({"connection": open.exchange.connection, "response": open.exchange.response});
        self.observe(|open| Some(Step::Responded(head(open))));
    }

    fn set_connection(&mut self) {
        let connection = self.times.connection();
        self.exchange.connection = connection.map(|connection| RecordedConnection::of(connection, self.started));
    }

    fn set_failure(&mut self, error: &InvokeError) {
        let mut failure = Failure::of(error, self.elapsed());
        failure.message = self.recorder.secrets.sanitizer(&self.sent).text(&failure.message);
        self.exchange.failure = Some(failure);
    }

    fn add_chunk(&mut self, bytes: &[u8]) {
        // After a chunk that is left out, none is kept: the body has no hole.
        let is_whole = self.length == self.body.len();
        self.length += bytes.len();
        if is_whole && self.length <= self.recorder.max_body_bytes() {
            self.body.extend_from_slice(bytes);
            let (end, at_ms) = (self.body.len(), self.elapsed());
            let has_room = self.chunks.len() < self.recorder.max_chunks();
            match self.chunks.last_mut().filter(|_| !has_room) {
                Some(last) => last.0 = end,
                None => {
                    self.chunks.push((end, at_ms));
                    self.observe(|_| Some(Step::Chunk { at_ms, bytes: bytes.len() }));
                }
            }
        }
    }

    fn set_end(&mut self, end: End) {
        if let Some(response) = &mut self.exchange.response {
            response.end = end;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.set_connection();
        let secrets = &self.recorder.secrets;
        let ranges = secrets.sanitizer(&self.sent).ranges(&self.body, self.policy);
        if self.policy == BodyPolicy::Confidential {
            secrets.register_ranges(&self.body, &ranges);
        }
        if let Some(response) = &mut self.exchange.response {
            let mut start = 0;
            for (end, at_ms) in &self.chunks {
                let shown = clip(&self.body[start..*end], start, &ranges);
                response.chunks.push(Chunk { at_ms: *at_ms, data: Data::of(&shown) });
                start = *end;
            }
        }
        self.observe(|open| {
            let length = (open.length, open.length == open.body.len());
            serde_json::to_value(&open.exchange).ok().map(|exchange| Step::Ended { exchange, length })
        });
        self.recorder.write(self.number, &self.host, &self.exchange);
    }
}

/// A body that is recorded while it is read.
struct RecordedBody {
    body: BoxStream<'static, Result<Bytes, InvokeError>>,
    open: Option<Open>,
}

impl Stream for RecordedBody {
    type Item = Result<Bytes, InvokeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.body.poll_next_unpin(context));
        if let Some(open) = &mut self.open {
            match &item {
                Some(Ok(bytes)) => open.add_chunk(bytes),
                Some(Err(error)) => {
                    open.set_end(End::Truncated(error.message.clone()));
                    self.open = None;
                }
                None => {
                    open.set_end(End::Complete);
                    self.open = None;
                }
            }
        }
        Poll::Ready(item)
    }
}
