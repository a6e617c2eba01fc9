//! Decoder of event streams: server-sent events, and the shapes that upstreams send in their place.
//!
//! Besides the standard (any line ending, comments, multi-line `data:`, a byte-order mark, a last event without its
//! blank line) it accepts JSON documents without `data:` on one or several lines, a JSON array that is streamed element
//! by element, events without a blank line between them where each is a JSON object, JSON whose later lines lack their
//! `data:`, and `error:` lines. A body without a single event is handed on as one, so that its words are not lost. It
//! knows where an event ends, not what it means.
//! Source: WHATWG HTML, "Server-sent events"; shapes seen in the wild: Gemini without `alt=sse`, gateways that answer
//! plain JSON or plain words to a stream request, error objects between events, llama.cpp's `error:` field.

use memchr::memchr2;

use super::json_scan::{Extent, JsonScan};
use crate::steps;

/// Bytes of text that is no event which are kept, in case nothing else comes.
const MAX_TEXT_BYTES: usize = 2048;

/// A buffer that grew beyond this for one event is not kept for the next.
const MAX_REUSED_BUFFER_BYTES: usize = 256 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field, `error` for an `error:` line; empty when there was none.
    pub name: String,
    /// The data lines joined by newlines, a bare JSON document, or the beginning of a body that holds no event.
    pub data: String,
    /// Whether this came without `data:`.
    pub bare: bool,
}

/// An event that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit that was passed.
    pub limit: usize,
}

/// Push bytes, pop events, finish. Any split of the bytes gives the same events.
#[derive(Debug)]
pub struct EventDecoder {
    limit: usize,
    line: Vec<u8>,
    taken: usize,
    /// The line so far is a comment; it is not kept.
    in_comment: bool,
    after_carriage_return: bool,
    at_start: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// How far the data is JSON, and how much of it was looked at.
    scan: JsonScan,
    scanned: usize,
    json: Option<BareJson>,
    in_array: bool,
    /// Lines that are no part of an event, until there is one.
    words: Option<Vec<u8>>,
}

/// A JSON document without `data:`, collected until its braces balance.
#[derive(Debug, Default)]
struct BareJson {
    text: Vec<u8>,
    scan: JsonScan,
}

impl EventDecoder {
    /// A decoder that refuses events longer than `limit` bytes.
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

    /// Takes bytes and appends the events they complete.
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

    /// The stream is over: delivers what is still held, blank line or not.
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

    /// Bytes of the event that is on its way. Comments are none of them.
    pub fn held(&self) -> usize {
        self.line.len() + self.data.len() + self.json.as_ref().map_or(0, |json| json.text.len())
    }

    /// Bytes of events that came so far, whole or not: a number that changes as long as an event grows. Comments and blank
    /// lines change nothing.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether a line that goes on with these bytes is a comment.
    fn is_comment(&self, bytes: &[u8]) -> bool {
        self.in_comment || (self.line.is_empty() && self.json.is_none() && bytes.first() == Some(&b':'))
    }

    /// Whether `more` bytes may be held too. A line counts before it is read: how it was cut makes no difference.
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
                // A second line makes no JSON of a whole object: it is an event of its own.
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

    /// A line that is no field of an event: JSON, or noise that is passed over.
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
        let data = if self.data.capacity() > MAX_REUSED_BUFFER_BYTES {
            text_of(std::mem::take(&mut self.data))
        } else {
            String::from_utf8_lossy(&self.data).into_owned()
        };
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

    /// Keeps the beginning of a body that may turn out to hold no event.
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

/// Bytes as text; what is no UTF-8 is replaced.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl BareJson {
    /// Takes one byte; true when the document is complete.
    fn push(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        self.scan.push(byte);
        self.scan.extent() == Extent::Whole
    }
}

#[cfg(test)]
mod tests;
