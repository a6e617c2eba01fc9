//! Replays exchanges from a directory: each recorded exchange once, in recorded order, matched by method, URL and body.
//! A request that was not recorded is an error that describes the difference.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::exchange::{End, Exchange, FORMAT, RecordedResponse, Request, header_map};
use super::sanitize::Secrets;
use super::{Case, Incoming, Outgoing, at, diff};
use crate::error::InvokeError;
use crate::upstream::status;

/// A recording that is being replayed.
pub(in crate::upstream) struct Replayer {
    directory: PathBuf,
    /// Whether the original timing is kept.
    pub(super) timed: bool,
    secrets: Secrets,
    exchanges: Mutex<Vec<Recorded>>,
}

struct Recorded {
    file: String,
    exchange: Exchange,
    used: bool,
}

/// Maximum size of a recorded file in bytes: bodies are recorded up to 64 MiB, and Base64 makes them longer.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Reads a file of the directory, which may come from anyone; a pipe would block.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("not a regular file of at most {MAX_FILE_BYTES} bytes")));
    }
    fs::read(path)
}

impl Replayer {
    /// Reads the directory.
    pub(super) fn open(directory: &Path, timed: bool) -> io::Result<Self> {
        let entries = fs::read_dir(directory).map_err(|error| at(directory, &error))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut exchanges = Vec::new();
        for path in files {
            let text = read(&path).map_err(|error| at(&path, &error))?;
            let value: Value = serde_json::from_slice(&text).map_err(|error| at(&path, &error))?;
            match value["format"].as_str() {
                Some(FORMAT) => {}
                Some(other) => return Err(at(&path, &format!("has format `{other}`; expected `{FORMAT}`"))),
                // The request of a session.
                None => continue,
            }
            let exchange = serde_json::from_value(value).map_err(|error| at(&path, &error))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            exchanges.push(Recorded { file, exchange, used: false });
        }
        if exchanges.is_empty() {
            return Err(at(directory, &"contains no recorded exchanges"));
        }
        Ok(Self {
            directory: directory.to_owned(),
            timed,
            secrets: Secrets::default(),
            exchanges: Mutex::new(exchanges),
        })
    }

    /// Registers the secrets that this session uses instead of the recorded ones.
    pub(super) fn begin(&self, case: &Case<'_>) {
        let data: Map<String, Value> = serde_json::from_str(case.data).unwrap_or_default();
        if let Some(Value::Object(credentials)) = data.get("credentials") {
            self.secrets.register_credentials(credentials.clone(), case.is_secret);
        }
    }

    /// Returns the recorded outcome of an attempt.
    pub(super) async fn exchange(&self, outgoing: &Outgoing<'_>) -> Result<Incoming, InvokeError> {
        let started = Instant::now();
        let exchange = self.find(outgoing)?;
        let clock = Clock { started: self.timed.then_some(started) };
        match (exchange.response, exchange.failure) {
            (Some(response), _) => {
                clock.wait(response.after_ms).await;
                incoming(response, exchange.recorded_at, clock)
            }
            (None, Some(failure)) => {
                clock.wait(failure.after_ms).await;
                Err(failure.error())
            }
            // The recorded session was aborted while it waited.
            (None, None) => std::future::pending().await,
        }
    }

    /// Takes the next exchange with this request.
    fn find(&self, outgoing: &Outgoing<'_>) -> Result<Exchange, InvokeError> {
        let sanitizer = self.secrets.sanitizer(outgoing.headers);
        let (whole, short) = (Request::of(outgoing, &sanitizer, false), Request::of(outgoing, &sanitizer, true));
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |recorded: &Request| recorded.is_same(&whole) || recorded.is_same(&short);
        if let Some(found) = exchanges.iter_mut().find(|recorded| !recorded.used && is_same(&recorded.exchange.request))
        {
            found.used = true;
            return Ok(found.exchange.clone());
        }
        let place = self.directory.display();
        let what = format!("{} {}", whole.method, whole.url);
        let replayed: Vec<&Recorded> =
            exchanges.iter().filter(|recorded| is_same(&recorded.exchange.request)).collect();
        if let Some(last) = replayed.last() {
            return Err(InvokeError::internal(format!(
                "the recording in {place} contains {what}, but all {} exchanges were replayed ({} was the last)",
                replayed.len(),
                last.file
            )));
        }
        let nearest = exchanges.iter().filter(|recorded| !recorded.used).min_by_key(|recorded| {
            let request = &recorded.exchange.request;
            (request.url != whole.url, request.method != whole.method)
        });
        Err(InvokeError::internal(match nearest {
            None => format!("the recording in {place} has no {what}, and every exchange was replayed"),
            Some(nearest) => format!(
                "the recording in {place} has no {what}; the next exchange is {}: {}",
                nearest.file,
                diff::between(&nearest.exchange.request, &whole)
            ),
        }))
    }
}

impl Request {
    fn is_same(&self, other: &Self) -> bool {
        self.method == other.method && self.url == other.url && self.body == other.body
    }
}

/// Keeps the recorded timing, if required.
#[derive(Clone, Copy)]
struct Clock {
    started: Option<Instant>,
}

impl Clock {
    async fn wait(self, until_ms: u64) {
        if let Some(started) = self.started {
            sleep_until(started + Duration::from_millis(until_ms)).await;
        }
    }
}

fn incoming(response: RecordedResponse, recorded_at: Timestamp, clock: Clock) -> Result<Incoming, InvokeError> {
    let invalid = |what: String| InvokeError::internal(format!("cannot replay the recording: {what}"));
    let status = StatusCode::from_u16(response.status).map_err(|error| invalid(error.to_string()))?;
    let mut headers = header_map(&response.headers);
    // The difference between the server's clock and this machine's was recorded; the age of the recording is not part
    // of it.
    if let Some(date) = status::date(&headers) {
        let now = date + Timestamp::now().duration_since(recorded_at);
        if let Ok(value) = HeaderValue::try_from(now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            headers.insert(header::DATE, value);
        }
    }
    let mut chunks: VecDeque<(u64, Bytes)> = VecDeque::new();
    for chunk in &response.chunks {
        chunks.push_back((chunk.at_ms, chunk.data.bytes().map_err(invalid)?));
    }
    let body = async_stream::stream! {
        for (at_ms, bytes) in chunks {
            clock.wait(at_ms).await;
            yield Ok(bytes);
        }
        match response.end {
            End::Complete => {}
            End::Truncated(message) => yield Err(InvokeError::connection(message)),
            // The recorded session did not read on, so there is no more data.
            End::NotConsumed => std::future::pending().await,
        }
    };
    Ok(Incoming { status, headers, body: body.boxed() })
}
