//! Classifies stream events: end marker, error, nothing, one chunk, or several documents in one event.

use tracing::debug;

use super::{ChatMapper, Chunk, Event, Flow, InvokeError, LlmDelta, errors, status};
use dify_plugin::codec::json_scan::{Extent, JsonScan};
use dify_plugin::steps;

/// Data that servers send to keep a connection open.
const KEEP_ALIVE: [&str; 10] =
    ["", "[]", "ping", "[ping]", "\"ping\"", "keep-alive", "keepalive", "heartbeat", "null", "undefined"];

/// Characters that may surround such a word: brackets, quotes, NUL.
const AROUND_WORDS: [char; 4] = ['[', ']', '"', '\0'];

/// Whether this data ends a stream.
fn is_end_marker(data: &str) -> bool {
    data.len() < 64
        && data
            .trim_matches(|character: char| character.is_whitespace() || AROUND_WORDS.contains(&character))
            .eq_ignore_ascii_case("done")
}

impl ChatMapper {
    pub(super) fn read(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        let data = event.data.trim_matches(|character: char| character.is_whitespace() || character == '\0');
        if is_end_marker(data) {
            self.done = true;
            return Ok(Flow::Done);
        }
        if event.name == "error" {
            self.release(out);
            return Err(errors::error_in_text(data));
        }
        if KEEP_ALIVE.iter().any(|word| data.eq_ignore_ascii_case(word)) {
            return Ok(Flow::Continue);
        }
        match self.document(data, out)? {
            Ok(()) => Ok(Flow::Continue),
            Err(reason) => {
                let documents = documents(data);
                if documents.is_empty() || documents == [data] {
                    return self.unreadable(data, &reason, out);
                }
                for document in documents {
                    if let Err(reason) = self.document(document, out)? {
                        return self.unreadable(document, &reason, out);
                    }
                }
                Ok(Flow::Continue)
            }
        }
    }

    /// Maps one document. Returns the reason if it is not one.
    fn document(&mut self, data: &str, out: &mut Vec<LlmDelta>) -> Result<Result<(), String>, InvokeError> {
        if !data.starts_with(['{', '"']) {
            return Ok(Err("not an object".to_owned()));
        }
        if !self.reader.goes_on()
            && let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(data)
        {
            return self.chunk(chunk, data, out).map(Ok);
        }
        if extent(data) != Extent::Whole {
            return Ok(Err(serde_json::from_str::<Chunk<'_>>(data)
                .err()
                .map_or_else(String::new, |error| error.to_string())));
        }
        let repaired = self.reader.repaired(data);
        match serde_json::from_str::<Chunk<'_>>(&repaired) {
            Ok(chunk) => self.chunk(chunk, &repaired, out).map(Ok),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn unreadable(&mut self, data: &str, reason: &str, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        if self.reason.is_some() {
            debug!(reason, "unreadable data after the end of the response; skipping");
            return Ok(Flow::Continue);
        }
        self.release(out);
        if !data.starts_with(['{', '[']) {
            // Plain text of a proxy, or an HTML page.
            return Err(errors::error_in_plain_text(data));
        }
        Err(InvokeError::server_unavailable(format!(
            "the server sent an event that is not a valid response chunk ({reason}): {}",
            status::excerpt(data.as_bytes())
        )))
    }
}

fn extent(data: &str) -> Extent {
    let mut scan = JsonScan::default();
    scan.extend(data.as_bytes());
    scan.extent()
}

/// Returns the objects of an event that contains several: concatenated, or in an array. Empty if there is anything
/// else.
fn documents(data: &str) -> Vec<&str> {
    steps::count(data.len());
    let inside = data.strip_prefix('[').and_then(|data| data.strip_suffix(']')).unwrap_or(data);
    let mut found = Vec::new();
    let (mut scan, mut from) = (JsonScan::default(), None);
    for (at, byte) in inside.bytes().enumerate() {
        match (from, byte) {
            (None, b'{') => from = Some(at),
            (None, b',' | b' ' | b'\t' | b'\r' | b'\n') => continue,
            (None, _) => return Vec::new(),
            (Some(_), _) => {}
        }
        scan.push(byte);
        if let (Some(begin), Extent::Whole) = (from, scan.extent()) {
            found.push(&inside[begin..=at]);
            (scan, from) = (JsonScan::default(), None);
        }
    }
    if from.is_some() { Vec::new() } else { found }
}
