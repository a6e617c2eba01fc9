//! The Files API of the mock: resumable uploads that are checked step by step, files that are polled until they are
//! ready, and file references that only the owner can use before they expire.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::google::{Seen, Shared, json_answer, refusal};
use super::invalid;

/// Base URL of files at the service.
pub const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/files/";

/// Chunks before the last are a multiple of this many bytes.
const GRAIN: usize = 256 * 1024;

/// How the next chunk of an upload fails.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// This many of its bytes are kept, and the response has this status.
    Refused(u16, usize),
    /// This many of its bytes are kept, and the connection breaks.
    Broken(usize),
    /// The upload is completed, but the response is lost.
    Unheard,
}

/// Uploaded files, and how the next ones behave.
#[derive(Default)]
pub struct Files {
    uploads: Mutex<Vec<Upload>>,
    losses: Mutex<VecDeque<Loss>>,
    steps: Mutex<Vec<String>>,
    /// Processing of files fails.
    pub fails: AtomicBool,
    /// Number of polls that find a file in processing.
    pub processing: AtomicUsize,
    /// Status in response to uploads, if they are not supported.
    pub absent: AtomicU16,
    /// Uploads are opened without a URL.
    pub nameless: AtomicBool,
    /// A gateway removes the sizes from responses and leaves every upload open.
    pub sizeless: AtomicBool,
    /// Only the first chunk is accepted, and it is forgotten when the state is queried.
    pub forgetful: AtomicBool,
}

struct Upload {
    owner: String,
    length: usize,
    mime_type: String,
    bytes: Vec<u8>,
    is_final: bool,
    state: &'static str,
    expired: bool,
}

impl Files {
    /// Returns sizes and types of the files, in order.
    pub fn uploaded(&self) -> Vec<(usize, String)> {
        self.uploads.lock().unwrap().iter().map(|upload| (upload.bytes.len(), upload.mime_type.clone())).collect()
    }

    /// Returns the steps in order: `start`, `upload 0`, `query`, `finalize 8388608`, `get`.
    pub fn steps(&self) -> Vec<String> {
        self.steps.lock().unwrap().clone()
    }

    /// Makes the next chunk fail.
    pub fn lose(&self, loss: Loss) {
        self.losses.lock().unwrap().push_back(loss);
    }

    /// Forgets all uploaded files.
    pub fn expire(&self) {
        self.uploads.lock().unwrap().iter_mut().for_each(|upload| upload.expired = true);
    }

    fn step(&self, what: impl Into<String>) {
        self.steps.lock().unwrap().push(what.into());
    }

    fn described(&self, id: usize) -> Value {
        let upload = &self.uploads.lock().unwrap()[id];
        let mut file = json!({"name": format!("files/f{id}"), "mimeType": upload.mime_type, "state": upload.state,
            "sizeBytes": upload.length.to_string(), "uri": format!("{FILES}f{id}")});
        if upload.state == "FAILED" {
            file["error"] = json!({"code": 3, "message": "unreadable video"});
        }
        file
    }
}

/// Returns the credential that identifies the owner of files.
fn owner(seen: &Seen) -> String {
    seen.header("x-goog-api-key").unwrap_or("bearer").to_owned()
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.header(name).unwrap_or_default()
}

/// Handles a resumable upload: opened with a length, then sent in chunks at the right offsets.
pub fn upload(state: &Shared, seen: &Seen) -> Response {
    let files = &state.files;
    if let status @ 1.. = files.absent.load(Ordering::SeqCst) {
        files.step("refused");
        return match status {
            503 => busy(503),
            status => (StatusCode::from_u16(status).unwrap(), "404 page not found").into_response(),
        };
    }
    let Some(id) = seen.query.strip_prefix("upload_id=CANARY-") else { return start(files, seen) };
    let id: usize = id.parse().unwrap();
    match header(seen, "x-goog-upload-command") {
        "query" => {
            files.step("query");
            if files.forgetful.load(Ordering::SeqCst) {
                files.uploads.lock().unwrap()[id].bytes.clear();
            }
            standing(files, id)
        }
        "upload" => piece(files, id, seen, false),
        "upload, finalize" => piece(files, id, seen, true),
        other => invalid(&format!("no such command: {other}")),
    }
}

fn start(files: &Files, seen: &Seen) -> Response {
    files.step("start");
    let command = (header(seen, "x-goog-upload-protocol"), header(seen, "x-goog-upload-command"));
    let mime_type = header(seen, "x-goog-upload-header-content-type");
    let length = header(seen, "x-goog-upload-header-content-length").parse();
    let (Ok(length), ("resumable", "start"), true) = (length, command, mime_type.contains('/')) else {
        return invalid("not the start of a resumable upload");
    };
    if seen.body["file"].as_object().is_none_or(|file| file.keys().any(|key| key != "display_name")) {
        return invalid("a file of an unknown shape");
    }
    if files.nameless.load(Ordering::SeqCst) {
        return "{}".into_response();
    }
    let mut uploads = files.uploads.lock().unwrap();
    uploads.push(Upload {
        owner: owner(seen),
        length,
        mime_type: mime_type.to_owned(),
        bytes: Vec::new(),
        is_final: false,
        state: "PROCESSING",
        expired: false,
    });
    let address = format!("https://elsewhere.example/upload/v1beta/files?upload_id=CANARY-{}", uploads.len() - 1);
    ([("x-goog-upload-url", address), ("x-goog-upload-status", "active".to_owned())], "").into_response()
}

fn piece(files: &Files, id: usize, seen: &Seen, last: bool) -> Response {
    let offset = header(seen, "x-goog-upload-offset");
    files.step(format!("{} {offset}", if last { "finalize" } else { "upload" }));
    let mut loss = files.losses.lock().unwrap().pop_front();
    if files.forgetful.load(Ordering::SeqCst) && offset != "0" {
        loss = Some(Loss::Refused(503, 0));
    }
    let kept = match loss {
        Some(Loss::Refused(_, kept) | Loss::Broken(kept)) => kept.min(seen.bytes.len()),
        Some(Loss::Unheard) | None => seen.bytes.len(),
    };
    {
        let upload = &mut files.uploads.lock().unwrap()[id];
        if upload.owner != owner(seen) || upload.is_final {
            return invalid("an upload of someone else, or one that is over");
        }
        if offset != upload.bytes.len().to_string() {
            return invalid(&format!("offset {offset}, where {} bytes were received", upload.bytes.len()));
        }
        if !last && !seen.bytes.len().is_multiple_of(GRAIN) {
            return invalid(&format!("a piece of {} bytes is no multiple of {GRAIN}", seen.bytes.len()));
        }
        upload.bytes.extend_from_slice(&seen.bytes[..kept]);
        if last && kept == seen.bytes.len() {
            if upload.bytes.len() != upload.length {
                return invalid(&format!("{} bytes, where {} were announced", upload.bytes.len(), upload.length));
            }
            upload.is_final = true;
        }
    }
    match loss {
        Some(Loss::Refused(status, _)) => busy(status),
        Some(Loss::Broken(_) | Loss::Unheard) => broken(),
        None => standing(files, id),
    }
}

fn busy(status: u16) -> Response {
    let (status, body) = refusal(status, "", "not now");
    json_answer(status, &body)
}

/// Returns a response whose body never arrives.
fn broken() -> Response {
    let body = Body::from_stream(async_stream::stream! {
        yield Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"{"));
        yield Err(std::io::Error::other("cut"));
    });
    ([("x-goog-upload-status", "final")], body).into_response()
}

fn standing(files: &Files, id: usize) -> Response {
    if files.sizeless.load(Ordering::SeqCst) {
        return ([("x-goog-upload-status", "active")], "").into_response();
    }
    let (is_final, received) = {
        let upload = &files.uploads.lock().unwrap()[id];
        (upload.is_final, upload.bytes.len())
    };
    let status = |word: &'static str| ("x-goog-upload-status", word.to_owned());
    if is_final {
        ([status("final")], json!({"file": files.described(id)}).to_string()).into_response()
    } else {
        ([status("active"), ("x-goog-upload-size-received", received.to_string())], "").into_response()
    }
}

/// Handles a poll of a file.
pub fn get(state: &Shared, seen: &Seen, id: &str) -> Response {
    let files = &state.files;
    files.step("get");
    let id: usize = id.parse().unwrap();
    if let Err(refused) = own(files, id, seen) {
        return refused;
    }
    let left = files.processing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    files.uploads.lock().unwrap()[id].state = match left {
        Ok(_) => "PROCESSING",
        Err(_) if files.fails.load(Ordering::SeqCst) => "FAILED",
        Err(_) => "ACTIVE",
    };
    json_answer(200, &files.described(id))
}

#[allow(clippy::result_large_err)] // the error is the answer to send
fn own(files: &Files, id: usize, seen: &Seen) -> Result<(), Response> {
    let known = |upload: &Upload| upload.is_final && !upload.expired && upload.owner == owner(seen);
    if files.uploads.lock().unwrap().get(id).is_some_and(known) {
        return Ok(());
    }
    let why = format!("You do not have permission to access the File f{id} or it may not exist.");
    let (status, body) = refusal(403, "PERMISSION_DENIED", &why);
    Err(json_answer(status, &body))
}

/// Every file of the service that a request names must be the asker's own, ready, and of the type that it was made with.
#[allow(clippy::result_large_err)] // the error is the answer to send
pub fn check_uses(state: &Shared, seen: &Seen, value: &Value) -> Result<(), Response> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_uses(state, seen, item)),
        Value::Object(map) => {
            if let Some(file) = map.get("fileData")
                && let Some(id) = file["fileUri"].as_str().and_then(|uri| uri.strip_prefix(FILES))
            {
                let id = id.trim_start_matches('f').parse().unwrap_or(usize::MAX);
                own(&state.files, id, seen)?;
                let upload = &state.files.uploads.lock().unwrap()[id];
                if upload.state != "ACTIVE" {
                    return Err(invalid(&format!(
                        "The File f{id} is not in an ACTIVE state and usage is not allowed."
                    )));
                }
                if file["mimeType"] != upload.mime_type.as_str() {
                    return Err(invalid(&format!("file f{id} is {}, not {}", upload.mime_type, file["mimeType"])));
                }
            }
            map.values().try_for_each(|value| check_uses(state, seen, value))
        }
        _ => Ok(()),
    }
}
