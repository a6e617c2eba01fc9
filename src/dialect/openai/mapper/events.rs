//! What an event holds: the last word, an error, nothing, one chunk, or several documents in one event.

use tracing::debug;

use super::{ChatMapper, Chunk, Event, Flow, InvokeError, LlmDelta, errors, status};
use dify_plugin::codec::json_scan::{Extent, JsonScan};
use dify_plugin::steps;

/// Words that servers send as data to keep a connection open.
const KEEP_ALIVE: [&str; 10] =
    ["", "[]", "ping", "[ping]", "\"ping\"", "keep-alive", "keepalive", "heartbeat", "null", "undefined"];

/// Around words, in whatever spelling: blanks, quotes, brackets, NUL.
const AROUND_WORDS: [char; 4] = ['[', ']', '"', '\0'];

/// Whether this is the word that ends a stream.
fn is_last_word(data: &str) -> bool {
    data.len() < 64
        && data
            .trim_matches(|letter: char| letter.is_whitespace() || AROUND_WORDS.contains(&letter))
            .eq_ignore_ascii_case("done")
}

impl ChatMapper {
    pub(super) fn read(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        let data = event.data.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
        if is_last_word(data) {
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
                let pieces = documents(data);
                if pieces.is_empty() || pieces == [data] {
                    return self.unreadable(data, &reason, out);
                }
                for piece in pieces {
                    if let Err(reason) = self.document(piece, out)? {
                        return self.unreadable(piece, &reason, out);
                    }
                }
                Ok(Flow::Continue)
            }
        }
    }

    /// Reads one document; says why when it is none.
    fn document(&mut self, data: &str, out: &mut Vec<LlmDelta>) -> Result<Result<(), String>, InvokeError> {
        if !data.starts_with(['{', '"']) {
            return Ok(Err("it is no object".to_owned()));
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
            debug!(reason, "what follows the end of an answer cannot be read and is skipped");
            return Ok(Flow::Continue);
        }
        self.release(out);
        if !data.starts_with(['{', '[']) {
            // Words of whoever stands between, or a page.
            return Err(errors::error_in_words(data));
        }
        Err(InvokeError::server_unavailable(format!(
            "the upstream sent an event that is no chunk of an answer ({reason}): {}",
            status::excerpt(data.as_bytes())
        )))
    }
}

fn extent(data: &str) -> Extent {
    let mut scan = JsonScan::default();
    scan.extend(data.as_bytes());
    scan.extent()
}

/// The objects of an event that holds several: one behind the other, or in a list. Nothing when there is anything else.
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
