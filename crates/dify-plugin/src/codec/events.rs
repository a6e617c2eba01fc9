//! Decoder of event streams: server-sent events, and the formats that servers send instead of them.
//!
//! In addition to the standard (any line ending, comments, multi-line `data:`, a byte order mark, a last event without
//! its blank line) it accepts JSON documents without `data:` on one or several lines, a JSON array that is streamed
//! element by element, events without a blank line between them if each is a JSON object, JSON whose later lines have
//! no `data:`, and `error:` lines. A body without any event is returned as one, so that its text is not lost. The
//! decoder finds the end of an event and does not interpret it. Source: WHATWG HTML, "Server-sent events"; formats in
//! use: Gemini without `alt=sse`, gateways that respond with plain JSON or text to a streaming request, error objects
//! between events, llama.cpp's `error:` field.

use memchr::memchr2;

use super::json_scan::{Extent, JsonScan};
use crate::steps;

/// Maximum number of bytes of text outside of events that are kept, in case there is no event.
const MAX_TEXT_BYTES: usize = 2048;

/// A buffer that is larger than this after an event is released instead of reused.
const MAX_REUSED_BUFFER_BYTES: usize = 256 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field, `error` for an `error:` line; empty when there was none.
    pub name: String,
    /// Data lines joined with newlines, a bare JSON document, or the beginning of a body without an event.
    pub data: String,
    /// Whether the event came without `data:`.
    pub bare: bool,
}

/// An event exceeds the size limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
pub struct TooLong {
    /// Maximum size in bytes.
    pub limit: usize,
}

/// Push bytes, pop events, finish. The result does not depend on how the bytes are split.
#[derive(Debug)]
pub struct EventDecoder {
    limit: usize,
    line: Vec<u8>,
    taken: usize,
    /// The current line is a comment, which is not kept.
    in_comment: bool,
    after_carriage_return: bool,
    at_start: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// State of the JSON scan of the data, and the number of bytes that were scanned.
    scan: JsonScan,
    scanned: usize,
    json: Option<BareJson>,
    in_array: bool,
    /// Lines outside of events, until there is an event.
    words: Option<Vec<u8>>,
}

/// A JSON document without `data:`, collected until its braces balance.
#[derive(Debug, Default)]
struct BareJson {
    text: Vec<u8>,
    scan: JsonScan,
}

impl EventDecoder {
    /// Creates a decoder that rejects events larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            taken: 0,
            in_comment: false,
            after_carriage_return: false,
            at_start: true,
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            scan: JsonScan::default(),
            scanned: 0,
            json: None,
            in_array: false,
            words: Some(Vec::new()),
        }
    }

    /// Decodes bytes and appends the completed events.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        if self.after_carriage_return && !bytes.is_empty() {
            self.after_carriage_return = false;
            if bytes[0] == b'\n' {
                bytes = &bytes[1..];
            }
        }
        steps::count(bytes.len());
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            if self.is_comment(&bytes[..end]) {
                self.in_comment = false;
                self.at_start = false;
            } else {
                self.check_size(end)?;
                self.taken = self.taken.wrapping_add(end);
                if self.line.is_empty() {
                    self.take_line(&bytes[..end], events);
                } else {
                    let mut line = std::mem::take(&mut self.line);
                    line.extend_from_slice(&bytes[..end]);
                    self.take_line(&line, events);
                    if line.capacity() <= MAX_REUSED_BUFFER_BYTES {
                        line.clear();
                        self.line = line;
                    }
                }
                self.check_size(0)?;
            }
            let mut next = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(next) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_carriage_return = true,
                }
            }
            bytes = &bytes[next..];
        }
        if self.is_comment(bytes) {
            self.in_comment = true;
            return Ok(());
        }
        self.check_size(bytes.len())?;
        self.taken = self.taken.wrapping_add(bytes.len());
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the stream and emits the last event, even without a terminating blank line.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, events);
        }
        self.dispatch(events);
        if let Some(json) = self.json.take() {
            self.push_bare(json.text, events);
        }
        if let Some(words) = self.words.take() {
            self.push_bare(words, events);
        }
    }

    /// Returns the number of buffered bytes of the current event, without comments.
    pub fn held(&self) -> usize {
        self.line.len() + self.data.len() + self.json.as_ref().map_or(0, |json| json.text.len())
    }

    /// Returns the number of event bytes received so far, complete or not: a number that changes while an event grows.
    /// Comments and blank lines are not counted.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether a line that continues with these bytes is a comment.
    fn is_comment(&self, bytes: &[u8]) -> bool {
        self.in_comment || (self.line.is_empty() && self.json.is_none() && bytes.first() == Some(&b':'))
    }

    /// Checks that `more` bytes fit into the limit. Lines count as they arrive, so the result does not depend on how
    /// the input is split.
    fn check_size(&self, more: usize) -> Result<(), TooLong> {
        if self.held() + more > self.limit { Err(TooLong { limit: self.limit }) } else { Ok(()) }
    }

    fn take_line(&mut self, mut line: &[u8], events: &mut Vec<Event>) {
        steps::count(line.len());
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if self.json.is_some() {
            return self.take_json(line, events);
        }
        if line.is_empty() {
            return self.dispatch(events);
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                // A line after a complete object does not continue it; it is an event of its own.
                if self.is_data(Extent::Whole) {
                    let name = self.name.clone();
                    self.dispatch(events);
                    self.name = name;
                }
                self.add_data(value);
            }
            b"error" if !value.is_empty() => {
                self.dispatch(events);
                self.name = "error".to_owned();
                self.add_data(value);
            }
            b"event" => self.name = String::from_utf8_lossy(value).trim().to_owned(),
            b"" | b"id" | b"retry" => {}
            _ if self.is_data(Extent::Open) => self.add_data(line),
            _ => self.take_bare(line, events),
        }
    }

    fn add_data(&mut self, value: &[u8]) {
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
    }

    /// Whether the data lines so far are an object of this extent.
    fn is_data(&mut self, extent: Extent) -> bool {
        if self.data.first() != Some(&b'{') {
            return false;
        }
        steps::count(self.data.len() - self.scanned);
        self.scan.extend(&self.data[self.scanned..]);
        self.scanned = self.data.len();
        self.scan.extent() == extent
    }

    /// Handles a line that is no field of an event: JSON, or noise that is skipped.
    fn take_bare(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let trimmed = line.trim_ascii_start();
        match trimmed.first() {
            Some(b'{') => {}
            Some(b'[' | b',' | b']') if self.in_array || trimmed[0] == b'[' => {}
            _ => return self.keep_words(line),
        }
        self.dispatch(events);
        self.take_json(trimmed, events);
    }

    fn take_json(&mut self, line: &[u8], events: &mut Vec<Event>) {
        steps::count(line.len());
        for &byte in line {
            match &mut self.json {
                None => match byte {
                    b'{' => {
                        let mut json = BareJson::default();
                        json.push(byte);
                        self.json = Some(json);
                    }
                    b'[' => self.in_array = true,
                    b']' => self.in_array = false,
                    _ => {}
                },
                Some(json) => {
                    if json.push(byte) {
                        let text = std::mem::take(&mut json.text);
                        self.json = None;
                        self.push_bare(text, events);
                    }
                }
            }
        }
        if let Some(json) = &mut self.json {
            json.text.push(b'\n');
        }
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        (self.scan, self.scanned) = (JsonScan::default(), 0);
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        let is_reused = self.data.capacity() <= MAX_REUSED_BUFFER_BYTES;
        // Its check for UTF-8 takes words, not bytes.
        let data = text_of(if is_reused { self.data.clone() } else { std::mem::take(&mut self.data) });
        self.data.clear();
        self.words = None;
        events.push(Event { name, data, bare: false });
    }

    fn push_bare(&mut self, text: Vec<u8>, events: &mut Vec<Event>) {
        let mut data = text_of(text);
        data.truncate(data.trim_end().len());
        if !data.is_empty() {
            self.words = None;
            events.push(Event { name: String::new(), data, bare: true });
        }
    }

    /// Keeps the beginning of a body that may turn out to contain no event.
    fn keep_words(&mut self, line: &[u8]) {
        let limit = MAX_TEXT_BYTES.min(self.limit);
        if let Some(words) = &mut self.words {
            let room = limit.saturating_sub(words.len() + 1);
            if room > 0 {
                words.extend_from_slice(&line[..line.len().min(room)]);
                words.push(b'\n');
            }
        }
    }
}

/// Converts bytes to text; invalid UTF-8 is replaced.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl BareJson {
    /// Adds a byte; returns true when the document is complete.
    fn push(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        self.scan.push(byte);
        self.scan.extent() == Extent::Whole
    }
}

#[cfg(test)]
mod tests;
