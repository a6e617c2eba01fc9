//! Writes exchanges to files when they end, or hands them to an observer in the same form. Recording errors are logged and do not
//! affect the session.

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
use serde_json::{Map, Value};
use tracing::warn;

use super::exchange::{Chunk, Data, End, Exchange, FORMAT, Failure, RecordedResponse, Request, shortened};
use super::sanitize::{BodyPolicy, Secrets, clip};
use super::{Case, Incoming, Outgoing, at};
use crate::error::InvokeError;

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
    shorten_files: bool,
    secrets: Secrets,
}

/// Where what is recorded goes.
enum Sink {
    /// To files of this directory, numbered from here on.
    Directory(PathBuf, AtomicU32),
    /// To this function.
    #[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench observes"))]
    Observer(Observer),
}

/// Takes each exchange when it has ended. It must not block.
pub(crate) type Observer = Box<dyn Fn(Observed) + Send + Sync>;

/// An exchange that has ended.
#[cfg_attr(not(feature = "workbench"), allow(dead_code, reason = "only the workbench observes"))]
pub(crate) struct Observed {
    /// The session that it belongs to.
    pub session_id: Option<String>,
    /// When the request was sent.
    pub started: Instant,
    /// The exchange as in a recording.
    pub exchange: Value,
    /// The length of the response's body, and whether all of it is in the exchange.
    pub length: (usize, bool),
}

impl Recorder {
    /// Creates the directory for its owner only. Existing files are kept, and numbering continues after them.
    pub(super) fn open(directory: &Path, shorten_files: bool) -> io::Result<Arc<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| at(directory, &error))?;
        let names = fs::read_dir(directory).map_err(|error| at(directory, &error))?.filter_map(Result::ok);
        let number = |name: &str| name.split('-').next().and_then(|number| number.parse::<u32>().ok());
        let last = names.filter_map(|entry| number(&entry.file_name().to_string_lossy())).max().unwrap_or(0);
        let next = AtomicU32::new(last + 1);
        let sink = Sink::Directory(directory.to_owned(), next);
        Ok(Arc::new(Self { sink, shorten_files, secrets: Secrets::default() }))
    }

    /// Hands everything to an observer; nothing is written.
    #[cfg(feature = "workbench")]
    pub(super) fn observe(observer: Observer) -> Arc<Self> {
        Arc::new(Self { sink: Sink::Observer(observer), shorten_files: false, secrets: Secrets::default() })
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
        let mut open = Open::new(self.clone(), outgoing);
        let outcome = network.await;
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

    /// The number of the next file.
    fn number(&self) -> u32 {
        match &self.sink {
            Sink::Directory(_, next) => next.fetch_add(1, Ordering::Relaxed),
            Sink::Observer(_) => 0,
        }
    }

    /// The most that is kept of one body, in bytes.
    fn max_body_bytes(&self) -> usize {
        match self.sink {
            Sink::Directory(..) => MAX_BODY_BYTES,
            Sink::Observer(_) => MAX_OBSERVED_BYTES,
        }
    }

    /// The most chunks that are kept apart.
    fn max_chunks(&self) -> usize {
        match self.sink {
            Sink::Directory(..) => usize::MAX,
            Sink::Observer(_) => MAX_OBSERVED_CHUNKS,
        }
    }

    /// Writes a file that only its owner can read, because it contains prompts and responses.
    fn write<T: Serialize>(&self, number: u32, name: &str, content: &T) {
        let Sink::Directory(directory, _) = &self.sink else { return };
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
    exchange: Exchange,
    body: BytesMut,
    /// Length of the body in bytes, kept or not.
    length: usize,
    /// End of each chunk in the body, and when it arrived.
    chunks: Vec<(usize, u64)>,
}

impl Open {
    fn new(recorder: Arc<Recorder>, outgoing: &Outgoing<'_>) -> Self {
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
            response: None,
            failure: None,
        };
        let is_plain = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
        Self {
            number: recorder.number(),
            host: request.url.host_str().unwrap_or_default().chars().filter(is_plain).collect(),
            policy,
            sent: outgoing.headers.clone(),
            started: Instant::now(),
            exchange,
            body: BytesMut::new(),
            length: 0,
            chunks: Vec::new(),
            recorder,
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
                None => self.chunks.push((end, at_ms)),
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
        if let Sink::Observer(observer) = &self.recorder.sink
            && let Ok(exchange) = serde_json::to_value(&self.exchange)
        {
            let session_id = self.exchange.session_id.take();
            let length = (self.length, self.length == self.body.len());
            return observer(Observed { session_id, started: self.started, exchange, length });
        }
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
