//! The log of a run, which Dify shows as a tree: an entry is sent when its work begins and once more when it ends.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::plugin::PluginError;
use crate::plugin::outgoing::Outbox;
use crate::protocol::LlmUsage;
use crate::protocol::tool_message::{Content, Log, LogStatus, Message};

/// Bytes that are left of a text in data that does not fit a line.
const MAX_CUT_BYTES: usize = 16 * 1024;

/// An entry of the log before it is sent.
pub struct SpanBuilder {
    outbox: Outbox,
    entry: Log,
}

impl SpanBuilder {
    pub(super) fn new(outbox: Outbox, parent_id: Option<String>, label: String) -> Self {
        let entry = Log {
            id: uuid::Uuid::new_v4().to_string(),
            label,
            parent_id,
            error: None,
            status: LogStatus::Start,
            data: Map::new(),
            metadata: Map::new(),
        };
        Self { outbox, entry }
    }

    /// Adds details.
    #[must_use]
    pub fn data(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.entry.data, name, value);
        self
    }

    /// Adds one of the members that Dify understands: `provider`, `total_tokens`, `total_price`, `currency`.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.entry.metadata, name, value);
        self
    }

    /// Sends the entry. It is sent once more when it is finished.
    pub async fn start(mut self) -> Result<Span, PluginError> {
        insert(&mut self.entry.metadata, "started_at", unix_seconds());
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await?;
        Ok(Span { outbox: self.outbox, entry: self.entry, started: Instant::now(), is_open: true })
    }
}

/// An entry of the log whose work goes on. One that is dropped unfinished is shown as failed.
pub struct Span {
    outbox: Outbox,
    entry: Log,
    started: Instant,
    is_open: bool,
}

impl Span {
    /// Begins an entry below this one.
    pub fn child(&self, label: impl Into<String>) -> SpanBuilder {
        SpanBuilder::new(self.outbox.clone(), Some(self.entry.id.clone()), label.into())
    }

    /// Adds one of the members that Dify understands, to be sent with the end.
    pub fn set_metadata(&mut self, name: &str, value: impl Serialize) {
        insert(&mut self.entry.metadata, name, value);
    }

    /// Shows what a call of a model used, if that is known: `total_tokens`, `total_price`, `currency`.
    pub fn set_usage<'a>(&mut self, usage: impl Into<Option<&'a LlmUsage>>) {
        let Some(usage) = usage.into() else { return };
        self.set_metadata("total_tokens", usage.total_tokens);
        self.set_metadata("total_price", &usage.total_price);
        self.set_metadata("currency", &usage.currency);
    }

    /// The work is done; `data` is shown.
    pub async fn finish(mut self, data: impl Serialize) -> Result<(), PluginError> {
        self.set_data(data);
        self.close(LogStatus::Success, None);
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await
    }

    /// The work failed.
    pub async fn fail(self, error: impl std::fmt::Display) -> Result<(), PluginError> {
        self.fail_with(error, ()).await
    }

    /// The work failed; `data` is shown with the error.
    pub async fn fail_with(mut self, error: impl std::fmt::Display, data: impl Serialize) -> Result<(), PluginError> {
        self.set_data(data);
        self.close(LogStatus::Error, Some(error.to_string()));
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await
    }

    /// What does not fit a line is cut: an entry of the log costs no answer.
    fn set_data(&mut self, data: impl Serialize) {
        let Ok(mut data @ Value::Object(_)) = serde_json::to_value(data) else { return };
        let limit = self.outbox.max_item_bytes() / 2;
        let mut length = data.to_string().len();
        if length > limit {
            cut(&mut data);
            length = data.to_string().len();
        }
        self.entry.data = match data {
            Value::Object(data) if length <= limit => data,
            _ => Map::from_iter([("note".to_owned(), format!("{length} bytes do not fit a line to Dify").into())]),
        };
    }

    fn close(&mut self, status: LogStatus, error: Option<String>) {
        self.is_open = false;
        self.entry.status = status;
        self.entry.error = error;
        insert(&mut self.entry.metadata, "finished_at", unix_seconds());
        insert(&mut self.entry.metadata, "elapsed_time", self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_open {
            self.close(LogStatus::Error, Some("given up".to_owned()));
            self.outbox.item_now(&Message::new(Content::Log(self.entry.clone())));
        }
    }
}

/// Cuts long texts, and says so.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > MAX_CUT_BYTES => {
            let length = text.len();
            text.truncate(text.floor_char_boundary(MAX_CUT_BYTES));
            text.push_str(&format!("… ({length} bytes)"));
        }
        Value::Array(values) => values.iter_mut().for_each(cut),
        Value::Object(members) => members.values_mut().for_each(cut),
        _ => {}
    }
}

fn insert(members: &mut Map<String, Value>, name: &str, value: impl Serialize) {
    if let Ok(value) = serde_json::to_value(value) {
        members.insert(name.to_owned(), value);
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
