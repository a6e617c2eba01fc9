//! Decoder of event streams: server-sent events, and the shapes that upstreams send in their place.
//!
//! Besides the standard (any line ending, comments, multi-line `data:`, a byte-order mark, a last event without its
//! blank line) it accepts JSON documents without `data:` on one or several lines, and a JSON array that is streamed
//! element by element. It knows where an event ends, not what it means.
//! Source: WHATWG HTML, "Server-sent events"; shapes seen in the wild: Gemini without `alt=sse`, gateways that answer
//! plain JSON to a stream request, error objects between events.

use memchr::memchr2;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field; empty when there was none.
    pub name: String,
    /// The data lines joined by newlines, or a bare JSON document.
    pub data: String,
    /// Whether this was JSON without `data:`.
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
    after_carriage_return: bool,
    at_start: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    json: Option<BareJson>,
    in_array: bool,
}

/// A JSON document without `data:`, collected until its braces balance.
#[derive(Debug, Default)]
struct BareJson {
    text: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl EventDecoder {
    /// A decoder that refuses events longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            after_carriage_return: false,
            at_start: true,
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            json: None,
            in_array: false,
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
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            self.check_size(end)?;
            if self.line.is_empty() {
                self.take_line(&bytes[..end], events);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.take_line(&line, events);
                line.clear();
                self.line = line;
            }
            self.check_size(0)?;
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
        self.check_size(bytes.len())?;
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
            push_bare(&json.text, events);
        }
    }

    /// Whether `more` bytes may be held too. A line counts before it is read: how it was cut makes no difference.
    fn check_size(&self, more: usize) -> Result<(), TooLong> {
        let held = self.line.len() + self.data.len() + self.json.as_ref().map_or(0, |json| json.text.len());
        if held + more > self.limit { Err(TooLong { limit: self.limit }) } else { Ok(()) }
    }

    fn take_line(&mut self, mut line: &[u8], events: &mut Vec<Event>) {
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
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = String::from_utf8_lossy(value).trim().to_owned(),
            b"" | b"id" | b"retry" => {}
            _ => self.take_bare(line, events),
        }
    }

    /// A line that is no field of an event: JSON, or noise that is passed over.
    fn take_bare(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let trimmed = line.trim_ascii_start();
        match trimmed.first() {
            Some(b'{') => {}
            Some(b'[' | b',' | b']') if self.in_array || trimmed[0] == b'[' => {}
            _ => return,
        }
        self.dispatch(events);
        self.take_json(trimmed, events);
    }

    fn take_json(&mut self, line: &[u8], events: &mut Vec<Event>) {
        for &byte in line {
            match &mut self.json {
                None => match byte {
                    b'{' => self.json = Some(BareJson { text: vec![byte], depth: 1, ..BareJson::default() }),
                    b'[' => self.in_array = true,
                    b']' => self.in_array = false,
                    _ => {}
                },
                Some(json) => {
                    if json.push(byte) {
                        push_bare(&json.text, events);
                        self.json = None;
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
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        let data = match std::str::from_utf8(&self.data) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(&self.data).into_owned(),
        };
        self.data.clear();
        events.push(Event { name, data, bare: false });
    }
}

impl BareJson {
    /// Takes one byte; true when the document is complete.
    fn push(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

fn push_bare(text: &[u8], events: &mut Vec<Event>) {
    let data = String::from_utf8_lossy(text).trim().to_owned();
    if !data.is_empty() {
        events.push(Event { name: String::new(), data, bare: true });
    }
}

#[cfg(test)]
mod tests;
