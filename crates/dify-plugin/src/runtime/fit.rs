//! Fits deltas into lines: joins small deltas, and splits a delta that does not fit into one line.
//!
//! Text and the arguments of tool calls are split by their length as JSON; images are not. Private data that fits into
//! no line is dropped, because the response is more important. Only content is measured; the caller accounts for the
//! rest of the line.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use tracing::warn;

use crate::protocol::{Content, ContentPart, LlmDelta, ToolCall};

/// Overhead in bytes of a part, a call or private data: its comma and its key.
const OVERHEAD: usize = 24;

/// Deltas that are joined into one. Text is joined, parts are appended, and fragments of a call are joined by its ID.
#[derive(Debug, Default)]
pub(super) struct Joined {
    whole: LlmDelta,
    /// Index of each call with an ID.
    calls: HashMap<String, usize>,
    bytes: usize,
}

impl Joined {
    /// Returns the approximate size in bytes of its content and calls as JSON.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has no content and no call.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a stream can join a delta to this one without changing its meaning.
    pub fn can_join(&self, next: &LlmDelta) -> bool {
        is_plain_text(&self.whole) && is_plain_text(next) && self.whole.system_fingerprint == next.system_fingerprint
    }

    /// Adds a delta.
    pub fn add(&mut self, delta: LlmDelta) {
        self.bytes += bytes_of(&delta);
        self.whole.content = match (std::mem::take(&mut self.whole.content), delta.content) {
            (Content::Text(mut text), Content::Text(more)) => {
                text.push_str(&more);
                Content::Text(text)
            }
            (first, next) => {
                let mut parts = into_parts(first);
                into_parts(next).into_iter().for_each(|part| append(&mut parts, part));
                Content::Parts(parts)
            }
        };
        for call in delta.tool_calls {
            self.call(call);
        }
        let whole = &mut self.whole;
        whole.opaque_body = delta.opaque_body.or(whole.opaque_body.take());
        whole.finish_reason = delta.finish_reason.or(whole.finish_reason.take());
        whole.usage = delta.usage.or(whole.usage.take());
        whole.system_fingerprint = delta.system_fingerprint.or(whole.system_fingerprint.take());
    }

    fn call(&mut self, call: ToolCall) {
        let known = self.calls.get(&call.id).and_then(|place| self.whole.tool_calls.get_mut(*place));
        match known {
            Some(known) => {
                known.function.arguments.push_str(&call.function.arguments);
                if known.function.name.is_empty() {
                    known.function.name = call.function.name;
                }
            }
            None => {
                if !call.id.is_empty() {
                    self.calls.insert(call.id.clone(), self.whole.tool_calls.len());
                }
                self.whole.tool_calls.push(call);
            }
        }
    }

    /// Takes the content and calls. Later fragments of a call have the same ID, so that Dify joins them.
    pub fn take_content(&mut self) -> LlmDelta {
        self.bytes = 0;
        self.calls.clear();
        LlmDelta {
            content: std::mem::take(&mut self.whole.content),
            tool_calls: std::mem::take(&mut self.whole.tool_calls),
            system_fingerprint: self.whole.system_fingerprint.clone(),
            ..LlmDelta::default()
        }
    }

    /// Returns the joined delta.
    pub fn into_delta(self) -> LlmDelta {
        self.whole
    }
}

/// Whether a delta is text and nothing else.
pub(super) fn is_plain_text(delta: &LlmDelta) -> bool {
    matches!(delta.content, Content::Text(_))
        && delta.tool_calls.is_empty()
        && delta.opaque_body.is_none()
        && delta.finish_reason.is_none()
        && delta.usage.is_none()
}

fn into_parts(content: Content) -> Vec<ContentPart> {
    match content {
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![ContentPart::text(text)],
        Content::Parts(parts) => parts,
    }
}

/// Appends a part. Text without private data is joined to the text before it.
fn append(parts: &mut Vec<ContentPart>, part: ContentPart) {
    match (parts.last_mut(), part) {
        (Some(ContentPart::Text(last)), ContentPart::Text(next))
            if last.opaque_body.is_none() && next.opaque_body.is_none() =>
        {
            last.data.push_str(&next.data);
        }
        (_, part) => parts.push(part),
    }
}

/// Returns a delta without its content, for the last delta of a split.
pub(super) fn without_content(delta: &LlmDelta) -> LlmDelta {
    LlmDelta {
        finish_reason: delta.finish_reason.clone(),
        usage: delta.usage.clone(),
        system_fingerprint: delta.system_fingerprint.clone(),
        ..LlmDelta::default()
    }
}

/// Returns an upper bound of the size in bytes of a delta's content and calls as JSON.
pub(super) fn bytes_of(delta: &LlmDelta) -> usize {
    let content = match &delta.content {
        Content::Text(text) => text_bytes(text),
        Content::Parts(parts) => parts.iter().map(|part| json_bytes(part) + OVERHEAD).sum(),
    };
    content + delta.tool_calls.iter().map(|call| json_bytes(call) + OVERHEAD).sum::<usize>()
}

/// A delta that was split so that each part fits into a line.
#[derive(Debug, Default)]
pub(super) struct Fitted {
    /// Deltas in their order.
    pub deltas: Vec<LlmDelta>,
    /// First item that fits into no line, and its size in bytes.
    pub too_large: Option<(&'static str, usize)>,
}

/// Splits a delta into deltas whose content, calls and private data have at most `room` bytes each.
pub(super) fn fit(delta: LlmDelta, room: usize) -> Fitted {
    let end = without_content(&delta);
    let mut splitter = Splitter { room, used: 0, current: LlmDelta::default(), fitted: Fitted::default() };
    match delta.content {
        Content::Text(text) => splitter.text(&text, |current, chunk| match &mut current.content {
            Content::Text(text) => text.push_str(chunk),
            Content::Parts(parts) => parts.push(ContentPart::text(chunk)),
        }),
        Content::Parts(parts) => parts.into_iter().for_each(|part| splitter.part(part)),
    }
    delta.tool_calls.into_iter().for_each(|call| splitter.call(call));
    if let Some(opaque) = delta.opaque_body {
        let bytes = json_bytes(&opaque) + OVERHEAD;
        if bytes <= room {
            splitter.make_room(bytes);
            splitter.current.opaque_body = Some(opaque);
        } else {
            warn_dropped(bytes);
        }
    }
    let LlmDelta { finish_reason, usage, system_fingerprint, .. } = end;
    let last = LlmDelta { finish_reason, usage, system_fingerprint, ..splitter.current };
    if last != LlmDelta::default() {
        splitter.fitted.deltas.push(last);
    }
    splitter.fitted
}

/// Drops the private data of a delta.
pub(super) fn drop_private_data(delta: &mut LlmDelta) {
    let parts = match &mut delta.content {
        Content::Text(_) => &mut [],
        Content::Parts(parts) => parts.as_mut_slice(),
    };
    let private = parts.iter_mut().map(private_of).chain([&mut delta.opaque_body]);
    private.filter_map(Option::take).for_each(|opaque| warn_dropped(json_bytes(&opaque)));
}

/// Returns the private data of a part.
fn private_of(part: &mut ContentPart) -> &mut Option<Value> {
    match part {
        ContentPart::Text(text) => &mut text.opaque_body,
        ContentPart::Image(media)
        | ContentPart::Audio(media)
        | ContentPart::Video(media)
        | ContentPart::Document(media) => &mut media.opaque_body,
    }
}

fn warn_dropped(bytes: usize) {
    warn!(bytes, "private data of the provider dropped; it exceeds the line limit");
}

struct Splitter {
    room: usize,
    used: usize,
    current: LlmDelta,
    fitted: Fitted,
}

impl Splitter {
    /// Starts a new delta if the current one has no room for `bytes` more bytes.
    fn make_room(&mut self, bytes: usize) {
        if self.used + bytes > self.room && self.used > 0 {
            self.fitted.deltas.push(std::mem::take(&mut self.current));
            self.used = 0;
        }
        self.used += bytes;
    }

    fn too_large(&mut self, what: &'static str, bytes: usize) {
        self.fitted.too_large.get_or_insert((what, bytes));
    }

    /// Splits a text at character boundaries and passes the chunks to `put`.
    fn text(&mut self, mut text: &str, put: impl Fn(&mut LlmDelta, &str)) {
        while !text.is_empty() {
            let (chunk, rest) = text.split_at(split_index(text, self.room).max(text.ceil_char_boundary(1)));
            self.make_room(text_bytes(chunk));
            put(&mut self.current, chunk);
            text = rest;
        }
    }

    fn put_part(&mut self, part: ContentPart, bytes: usize) {
        self.make_room(bytes);
        match &mut self.current.content {
            Content::Parts(parts) => parts.push(part),
            content => *content = Content::Parts(vec![part]),
        }
    }

    fn part(&mut self, mut part: ContentPart) {
        let mut bytes = json_bytes(&part) + OVERHEAD;
        if bytes > self.room
            && let Some(opaque) = private_of(&mut part).take()
        {
            warn_dropped(json_bytes(&opaque));
            bytes = json_bytes(&part) + OVERHEAD;
        }
        match part {
            part if bytes <= self.room => self.put_part(part, bytes),
            ContentPart::Text(text) => {
                let overhead = json_bytes(&ContentPart::text("")) + OVERHEAD;
                if overhead >= self.room {
                    return self.too_large("text", bytes);
                }
                let mut rest = text.data.as_str();
                while !rest.is_empty() {
                    let (chunk, more) =
                        rest.split_at(split_index(rest, self.room - overhead).max(rest.ceil_char_boundary(1)));
                    self.put_part(ContentPart::text(chunk), text_bytes(chunk) + overhead);
                    rest = more;
                }
            }
            media => self.too_large(media.type_name(), bytes),
        }
    }

    fn call(&mut self, call: ToolCall) {
        let bytes = json_bytes(&call) + OVERHEAD;
        if bytes <= self.room {
            self.make_room(bytes);
            self.current.tool_calls.push(call);
            return;
        }
        let mut first = call;
        let arguments = std::mem::take(&mut first.function.arguments);
        let overhead = json_bytes(&first) + OVERHEAD;
        if overhead >= self.room {
            return self.too_large("call", bytes);
        }
        let mut rest = arguments.as_str();
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(split_index(rest, self.room - overhead).max(rest.ceil_char_boundary(1)));
            self.make_room(text_bytes(chunk) + overhead);
            let mut fragment = first.clone();
            fragment.function.arguments = chunk.to_owned();
            self.current.tool_calls.push(fragment);
            // The following fragments are joined by the ID alone.
            first.function.name.clear();
            rest = more;
        }
    }
}

/// Returns the size in bytes of a character in a JSON string.
fn char_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        control if control < ' ' => 6,
        character => character.len_utf8(),
    }
}

/// Returns the size in bytes of a text in a JSON string, without the quotes.
fn text_bytes(text: &str) -> usize {
    text.chars().map(char_bytes).sum()
}

/// Returns the length of the longest prefix that has at most `room` bytes as JSON and ends at a character boundary.
fn split_index(text: &str, room: usize) -> usize {
    let mut used = 0;
    let mut characters = text.char_indices();
    characters
        .find_map(|(at, character)| {
            used += char_bytes(character);
            (used > room).then_some(at)
        })
        .unwrap_or(text.len())
}

/// Returns the size in bytes of a value as JSON, without serializing it to memory.
fn json_bytes<T: Serialize>(value: &T) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

#[cfg(test)]
mod tests;
