//! Answers attempts from a folder: each recorded exchange once, in the order in which they were recorded, matched by
//! method, address and body. A request that was not recorded is an error that says what differs.

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

/// A folder that is played.
pub(in crate::upstream) struct Replayer {
    directory: PathBuf,
    /// With the pauses of the recording.
    pub(super) timed: bool,
    secrets: Secrets,
    traffic_store: Mutex<Vec<Recorded>>,
}

struct Recorded {
    file: String,
    exchange: Exchange,
    used: bool,
}

/// Largest file of a recording: bodies are recorded up to 64 MiB, and base64 makes them longer.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Reads a file of the folder, which may be anybody's; a pipe would never open.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("is no regular file of at most {MAX_FILE_BYTES} bytes")));
    }
    fs::read(path)
}

impl Replayer {
    /// Reads the folder.
    pub(super) fn open(directory: &Path, timed: bool) -> io::Result<Self> {
        let entries = fs::read_dir(directory).map_err(|error| at(directory, &error))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut traffic_store = Vec::new();
        for path in files {
            let text = read(&path).map_err(|error| at(&path, &error))?;
            let value: Value = serde_json::from_slice(&text).map_err(|error| at(&path, &error))?;
            match value["format"].as_str() {
                Some(FORMAT) => {}
                Some(other) => return Err(at(&path, &format!("is of the format `{other}`; this reads `{FORMAT}`"))),
                // A session's request.
                None => continue,
            }
            let exchange = serde_json::from_value(value).map_err(|error| at(&path, &error))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            traffic_store.push(Recorded { file, exchange, used: false });
        }
        if traffic_store.is_empty() {
            return Err(at(directory, &"holds no recorded exchange"));
        }
        Ok(Self {
            directory: directory.to_owned(),
            timed,
            secrets: Secrets::default(),
            traffic_store: Mutex::new(traffic_store),
        })
    }

    /// Learns the secrets that this session uses in place of the recorded ones.
    pub(super) fn begin(&self, case: &Case<'_>) {
        let data: Map<String, Value> = serde_json::from_str(case.data).unwrap_or_default();
        if let Some(Value::Object(credentials)) = data.get("credentials") {
            self.secrets.learn_credentials(credentials.clone(), case.is_secret);
        }
    }

    /// The recorded outcome of an attempt.
    pub(super) async fn exchange(&self, outgoing: &Outgoing<'_>) -> Result<Incoming, InvokeError> {
        let started = Instant::now();
        let exchange = self.find(outgoing)?;
        let clock = Clock { started: self.timed.then_some(started) };
        match (exchange.answer, exchange.failure) {
            (Some(answer), _) => {
                clock.wait(answer.after_ms).await;
                incoming(answer, exchange.recorded_at, clock)
            }
            (None, Some(failure)) => {
                clock.wait(failure.after_ms).await;
                Err(failure.error())
            }
            // It was given up while it waited.
            (None, None) => std::future::pending().await,
        }
    }

    /// Takes the next exchange with this request from the tape.
    fn find(&self, outgoing: &Outgoing<'_>) -> Result<Exchange, InvokeError> {
        let scrub = self.secrets.scrub(outgoing.headers);
        let (whole, short) = (Request::of(outgoing, &scrub, false), Request::of(outgoing, &scrub, true));
        let mut traffic_store = self.traffic_store.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |recorded: &Request| recorded.is_same(&whole) || recorded.is_same(&short);
        if let Some(found) =
            traffic_store.iter_mut().find(|recorded| !recorded.used && is_same(&recorded.exchange.request))
        {
            found.used = true;
            return Ok(found.exchange.clone());
        }
        let place = self.directory.display();
        let what = format!("{} {}", whole.method, whole.url);
        let played: Vec<&Recorded> =
            traffic_store.iter().filter(|recorded| is_same(&recorded.exchange.request)).collect();
        if let Some(last) = played.last() {
            return Err(InvokeError::internal(format!(
                "the recording in {place} has {what} {} time(s), and all were played ({} was the last)",
                played.len(),
                last.file
            )));
        }
        let nearest = traffic_store.iter().filter(|recorded| !recorded.used).min_by_key(|recorded| {
            let request = &recorded.exchange.request;
            (request.url != whole.url, request.method != whole.method)
        });
        Err(InvokeError::internal(match nearest {
            None => format!("the recording in {place} has no {what}, and all of it was played"),
            Some(nearest) => format!(
                "the recording in {place} has no {what}; what comes next is {}: {}",
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

/// Keeps the recorded times, or none.
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

fn incoming(answer: RecordedResponse, recorded_at: Timestamp, clock: Clock) -> Result<Incoming, InvokeError> {
    let wrong = |what: String| InvokeError::internal(format!("the recording cannot be played: {what}"));
    let status = StatusCode::from_u16(answer.status).map_err(|error| wrong(error.to_string()))?;
    let mut headers = header_map(&answer.headers);
    // The server's clock was as far from ours as it was then, not by the age of the recording.
    if let Some(date) = status::date(&headers) {
        let now = date + Timestamp::now().duration_since(recorded_at);
        if let Ok(value) = HeaderValue::try_from(now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            headers.insert(header::DATE, value);
        }
    }
    let mut pieces: VecDeque<(u64, Bytes)> = VecDeque::new();
    for piece in &answer.pieces {
        pieces.push_back((piece.at_ms, piece.data.bytes().map_err(wrong)?));
    }
    let body = async_stream::stream! {
        for (at_ms, bytes) in pieces {
            clock.wait(at_ms).await;
            yield Ok(bytes);
        }
        match answer.end {
            End::Complete => {}
            End::Cut(message) => yield Err(InvokeError::connection(message)),
            // Who reads on where nobody did waits, as then.
            End::NotReadOn => std::future::pending().await,
        }
    };
    Ok(Incoming { status, headers, body: body.boxed() })
}
