//! What is remembered of one session: its frames in both directions and its exchanges with upstreams, on one time axis, without
//! secrets and within a limit.

use std::time::Instant;

use serde_json::{Value, json};

use super::exchanges::Exchanges;
use super::opened::HIDDEN;
use crate::upstream::recording::{Observed, Scrubber};
use crate::workbench::credentials::masked;

/// Maximum size of the text of a frame, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// How much of a longer text is read, so that a secret at the cut is found whole.
const MAX_READ_BYTES: usize = MAX_TEXT_BYTES + 16 * 1024;

/// Maximum size of what is kept of one session, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A session.
pub(super) struct Record {
    pub(super) id: String,
    pub(super) action: String,
    pub(super) access_type: String,
    pub(super) provider: String,
    pub(super) model: Option<String>,
    /// `running`, `ended`, `failed`, `cancelled` or `opened`.
    pub(super) state: &'static str,
    /// Type and message.
    pub(super) error: Option<(String, String)>,
    pub(super) started_at: jiff::Timestamp,
    started: Instant,
    /// Duration in milliseconds, once it has ended.
    pub(super) milliseconds: Option<f64>,
    usage: Option<Value>,
    items: usize,
    /// The request as it may be shown.
    pub(super) request: Value,
    frames: Vec<Value>,
    exchanges: Exchanges,
    /// Of the request and the frames.
    bytes: usize,
    /// Frames that did not fit.
    dropped: usize,
    /// Absent in a session that was opened from a recording, which has no secrets.
    scrubber: Option<Scrubber>,
}

impl Record {
    /// Begins with a request as it may be shown.
    pub(super) fn new(id: String, request: Value, scrubber: Option<Scrubber>) -> Self {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let part = ["model", "tool", "agent_strategy", "datasource", "event"].into_iter().map(text);
        let provider = ["provider", "agent_strategy_provider"].into_iter().map(text);
        Self {
            id,
            action: text("action"),
            access_type: text("type"),
            provider: provider.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
            model: part.into_iter().find(|name| !name.is_empty()),
            state: "running",
            error: None,
            started_at: jiff::Timestamp::now(),
            started: Instant::now(),
            milliseconds: None,
            usage: None,
            items: 0,
            bytes: request.to_string().len(),
            request,
            frames: Vec::new(),
            exchanges: Exchanges::default(),
            dropped: 0,
            scrubber,
        }
    }

    /// Milliseconds since the beginning.
    pub(super) fn now(&self) -> f64 {
        milliseconds(self.started.elapsed())
    }

    /// Size of what is kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.exchanges.bytes()
    }

    /// A text without the session's secrets.
    pub(super) fn shown(&self, text: &str) -> String {
        self.scrubber.as_ref().map_or_else(|| text.to_owned(), |scrubber| scrubber.text(text))
    }

    /// A line from the plugin.
    pub(super) fn line_from_plugin(&mut self, line: &str) {
        let mut message: Value = serde_json::from_str(line).unwrap_or_default();
        let mut hidden = None;
        let kind = match message["data"]["type"].as_str() {
            Some("stream") => {
                self.items += 1;
                let data = &mut message["data"]["data"];
                let usage = [&data["delta"]["usage"], &data["usage"]].into_iter().find(|usage| usage.is_object());
                let usage = usage.map(|usage| self.without_secrets(usage.clone()));
                self.usage = usage.or(self.usage.take());
                if self.returns_credentials() && mask(data) {
                    hidden = Some(message.to_string());
                }
                "item"
            }
            Some("invoke") => "callback",
            Some("error") => "error",
            _ => "end",
        };
        self.frame("out", kind, hidden.as_deref().unwrap_or(line));
    }

    /// Whether an item may be new credentials, such as the tokens of a sign-in.
    pub(super) fn returns_credentials(&self) -> bool {
        self.access_type == "oauth" || self.action.starts_with("validate_") || self.action.ends_with("_trigger")
    }

    /// A value without the session's secrets.
    pub(super) fn without_secrets(&self, value: Value) -> Value {
        let text = value.to_string();
        let shown = self.shown(&text);
        if shown == text { value } else { serde_json::from_str(&shown).unwrap_or_default() }
    }

    /// A line in a direction: `in` is to the plugin.
    pub(super) fn frame(&mut self, direction: &str, kind: &str, line: &str) {
        let at = self.now();
        if self.bytes() >= MAX_BYTES {
            self.dropped += 1;
            return;
        }
        let read = &line[..line.floor_char_boundary(MAX_READ_BYTES)];
        let shown = self.shown(read);
        // The secrets of a request were removed before.
        let is_redacted = shown != read || (kind == "request" && read.contains(HIDDEN));
        let text = &shown[..shown.floor_char_boundary(MAX_TEXT_BYTES)];
        self.bytes += text.len() + 128;
        self.frames.push(json!({
            "at": at, "direction": direction, "kind": kind, "bytes": line.len(), "redacted": is_redacted,
            "text": text, "truncated": text.len() < shown.len() || read.len() < line.len(),
        }));
    }

    /// A step of an exchange with an upstream. Recordings have removed its secrets.
    pub(super) fn exchange(&mut self, observed: Observed<'_>) {
        let at = milliseconds(observed.started.saturating_duration_since(self.started));
        let room = MAX_BYTES.saturating_sub(self.bytes);
        let mut exchanges = std::mem::take(&mut self.exchanges);
        // What is secret in this session only, such as a setting, is not known to the recorder.
        exchanges.take(observed.number, observed.step, at, &self.id, room, |value| self.without_secrets(value));
        self.exchanges = exchanges;
    }

    /// Ends it, once.
    pub(super) fn end(&mut self, state: &'static str, error: Option<(String, String)>) {
        if self.state == "running" {
            self.state = state;
            self.error = error.map(|(kind, message)| (self.shown(&kind), self.shown(&message)));
            self.milliseconds = Some(self.now());
        }
    }

    /// What lists show.
    pub(super) fn summary(&self) -> Value {
        json!({
            "id": self.id, "action": self.action, "type": self.access_type, "provider": self.provider, "model": self.model,
            "state": self.state, "started": self.started_at.to_string(),
            "milliseconds": self.milliseconds.unwrap_or_else(|| self.now()),
            "error": self.error.as_ref().map(|(kind, message)| json!({"kind": kind, "message": message})),
            "usage": self.usage, "items": self.items,
        })
    }

    /// All of it.
    pub(super) fn whole(&self) -> Value {
        let mut whole = self.summary();
        whole["request"] = self.request.clone();
        whole["frames"] = self.frames.clone().into();
        whole["exchanges"] = self.exchanges.values().cloned().collect();
        whole["dropped"] = self.dropped();
        whole
    }

    /// What is new since a page has read so many frames and this change of the exchanges.
    pub(super) fn since(&self, frames: usize, change: u64) -> Value {
        let mut new = self.summary();
        let (exchanges, grown) = self.exchanges.since(change);
        new["frames"] = self.frames.get(frames..).unwrap_or_default().into();
        (new["exchanges"], new["grown"]) = (exchanges.into(), grown.into());
        (new["change"], new["dropped"]) = (self.exchanges.version().into(), self.dropped());
        new
    }

    fn dropped(&self) -> Value {
        json!({"frames": self.dropped, "exchanges": self.exchanges.dropped()})
    }

    /// Exchanges in the form of the page.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = &Value> {
        self.exchanges.values()
    }

    /// Restores what a recording holds.
    pub(super) fn restore(&mut self, frames: Vec<Value>, exchanges: Vec<Value>, usage: Option<Value>, items: usize) {
        frames.into_iter().for_each(|frame| {
            let size = frame["text"].as_str().map_or(0, str::len) + 128;
            match self.bytes() + size > MAX_BYTES {
                true => self.dropped += 1,
                false => {
                    self.bytes += size;
                    self.frames.push(frame);
                }
            }
        });
        let room = MAX_BYTES.saturating_sub(self.bytes);
        for exchange in exchanges {
            self.exchanges.add(exchange, room);
        }
        (self.usage, self.items) = (usage, items);
    }
}

/// Members of an item that are new credentials, or the properties of a new subscription.
const RETURNED: [&str; 2] = ["/credentials", "/subscription/properties"];

/// Masks the credentials of an item. Returns whether there are some.
pub(super) fn mask(item: &mut Value) -> bool {
    let mut is_masked = false;
    for member in RETURNED {
        let Some(fields) = item.pointer_mut(member).and_then(Value::as_object_mut) else { continue };
        for value in fields.values_mut().filter(|value| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            *value = masked(&text).into();
        }
        is_masked = true;
    }
    is_masked
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
