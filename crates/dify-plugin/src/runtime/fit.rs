//! Fits deltas into lines: many small ones into one, one that no line can carry into several.
//!
//! Text and the arguments of calls are cut, by the length that they have as JSON; a picture is not. Private data that fits
//! no line is left out, because an answer is worth more. It measures content only: what stands around it is the caller's.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use tracing::warn;

use crate::protocol::{Content, ContentPart, LlmDelta, ToolCall};

/// Bytes around a part, a call or private data: its comma, its key.
const AROUND: usize = 24;

/// Deltas as one. Text is joined, parts are appended, fragments of a call are joined by its id.
#[derive(Debug, Default)]
pub(super) struct Joined {
    whole: LlmDelta,
    /// Place of each call that has an id.
    calls: HashMap<String, usize>,
    bytes: usize,
}

impl Joined {
    /// About the bytes of its content and calls as JSON.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds no content and no call.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a stream says the same when it joins a delta to this one.
    pub fn says_the_same(&self, next: &LlmDelta) -> bool {
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

    /// Takes out content and calls. Later fragments of a call repeat its id, so that the host joins them.
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

    /// All of it.
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

/// Appends a part; text that brings nothing private joins the text before it.
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

/// What stands beside the content of a delta: the last piece carries it.
pub(super) fn without_content(delta: &LlmDelta) -> LlmDelta {
    LlmDelta {
        finish_reason: delta.finish_reason.clone(),
        usage: delta.usage.clone(),
        system_fingerprint: delta.system_fingerprint.clone(),
        ..LlmDelta::default()
    }
}

/// About the bytes of a delta's content and calls as JSON; never fewer than they are.
pub(super) fn bytes_of(delta: &LlmDelta) -> usize {
    let content = match &delta.content {
        Content::Text(text) => text_bytes(text),
        Content::Parts(parts) => parts.iter().map(|part| json_bytes(part) + AROUND).sum(),
    };
    content + delta.tool_calls.iter().map(|call| json_bytes(call) + AROUND).sum::<usize>()
}

/// A delta in pieces, each of which fits.
#[derive(Debug, Default)]
pub(super) struct Fitted {
    /// In their order.
    pub pieces: Vec<LlmDelta>,
    /// The first thing that no line can carry, and its bytes.
    pub too_large: Option<(&'static str, usize)>,
}

/// Divides a delta into pieces whose content, calls and private data have at most `room` bytes each.
pub(super) fn fit(delta: LlmDelta, room: usize) -> Fitted {
    let end = without_content(&delta);
    let mut pieces = Pieces { room, used: 0, current: LlmDelta::default(), fitted: Fitted::default() };
    match delta.content {
        Content::Text(text) => pieces.text(&text, |current, piece| match &mut current.content {
            Content::Text(text) => text.push_str(piece),
            Content::Parts(parts) => parts.push(ContentPart::text(piece)),
        }),
        Content::Parts(parts) => parts.into_iter().for_each(|part| pieces.part(part)),
    }
    delta.tool_calls.into_iter().for_each(|call| pieces.call(call));
    if let Some(opaque) = delta.opaque_body {
        let bytes = json_bytes(&opaque) + AROUND;
        if bytes <= room {
            pieces.make_room(bytes);
            pieces.current.opaque_body = Some(opaque);
        } else {
            left_out(bytes);
        }
    }
    let LlmDelta { finish_reason, usage, system_fingerprint, .. } = end;
    let last = LlmDelta { finish_reason, usage, system_fingerprint, ..pieces.current };
    if last != LlmDelta::default() {
        pieces.fitted.pieces.push(last);
    }
    pieces.fitted
}

/// Leaves the private data of a delta out.
pub(super) fn leave_private_out(delta: &mut LlmDelta) {
    let parts = match &mut delta.content {
        Content::Text(_) => &mut [],
        Content::Parts(parts) => parts.as_mut_slice(),
    };
    let private = parts.iter_mut().map(private_of).chain([&mut delta.opaque_body]);
    private.filter_map(Option::take).for_each(|opaque| left_out(json_bytes(&opaque)));
}

/// The private data of a part.
fn private_of(part: &mut ContentPart) -> &mut Option<Value> {
    match part {
        ContentPart::Text(text) => &mut text.opaque_body,
        ContentPart::Image(media)
        | ContentPart::Audio(media)
        | ContentPart::Video(media)
        | ContentPart::Document(media) => &mut media.opaque_body,
    }
}

fn left_out(bytes: usize) {
    warn!(bytes, "private data of the provider fits no line and is left out");
}

struct Pieces {
    room: usize,
    used: usize,
    current: LlmDelta,
    fitted: Fitted,
}

impl Pieces {
    /// Begins a new piece where the current one has no room for so many bytes more.
    fn make_room(&mut self, bytes: usize) {
        if self.used + bytes > self.room && self.used > 0 {
            self.fitted.pieces.push(std::mem::take(&mut self.current));
            self.used = 0;
        }
        self.used += bytes;
    }

    fn too_large(&mut self, what: &'static str, bytes: usize) {
        self.fitted.too_large.get_or_insert((what, bytes));
    }

    /// Cuts a text between letters and hands the pieces to `put`.
    fn text(&mut self, mut text: &str, put: impl Fn(&mut LlmDelta, &str)) {
        while !text.is_empty() {
            let (piece, rest) = text.split_at(cut(text, self.room).max(text.ceil_char_boundary(1)));
            self.make_room(text_bytes(piece));
            put(&mut self.current, piece);
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
        let mut bytes = json_bytes(&part) + AROUND;
        if bytes > self.room
            && let Some(opaque) = private_of(&mut part).take()
        {
            left_out(json_bytes(&opaque));
            bytes = json_bytes(&part) + AROUND;
        }
        match part {
            part if bytes <= self.room => self.put_part(part, bytes),
            ContentPart::Text(text) => {
                let around = json_bytes(&ContentPart::text("")) + AROUND;
                if around >= self.room {
                    return self.too_large("text", bytes);
                }
                let mut rest = text.data.as_str();
                while !rest.is_empty() {
                    let (piece, more) = rest.split_at(cut(rest, self.room - around).max(rest.ceil_char_boundary(1)));
                    self.put_part(ContentPart::text(piece), text_bytes(piece) + around);
                    rest = more;
                }
            }
            media => self.too_large(media.type_name(), bytes),
        }
    }

    fn call(&mut self, call: ToolCall) {
        let bytes = json_bytes(&call) + AROUND;
        if bytes <= self.room {
            self.make_room(bytes);
            self.current.tool_calls.push(call);
            return;
        }
        let mut first = call;
        let arguments = std::mem::take(&mut first.function.arguments);
        let around = json_bytes(&first) + AROUND;
        if around >= self.room {
            return self.too_large("call", bytes);
        }
        let mut rest = arguments.as_str();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(cut(rest, self.room - around).max(rest.ceil_char_boundary(1)));
            self.make_room(text_bytes(piece) + around);
            let mut fragment = first.clone();
            fragment.function.arguments = piece.to_owned();
            self.current.tool_calls.push(fragment);
            // The id alone joins what follows.
            first.function.name.clear();
            rest = more;
        }
    }
}

/// Bytes of a letter within JSON text.
fn letter_bytes(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        control if control < ' ' => 6,
        letter => letter.len_utf8(),
    }
}

/// Bytes of a text within JSON, without its quotes.
fn text_bytes(text: &str) -> usize {
    text.chars().map(letter_bytes).sum()
}

/// How much of a text has at most so many bytes as JSON, up to a letter's end.
fn cut(text: &str, room: usize) -> usize {
    let mut used = 0;
    let mut letters = text.char_indices();
    letters
        .find_map(|(at, letter)| {
            used += letter_bytes(letter);
            (used > room).then_some(at)
        })
        .unwrap_or(text.len())
}

/// Bytes of a value as JSON, without writing it anywhere.
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
