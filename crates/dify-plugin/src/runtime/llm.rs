//! Result items of a language model's response: the deltas of a stream, or the response of a blocking call in as few
//! items as possible.
//!
//! Buffered output is written before the response ends, whether by its end, an error or a dropped session. Deltas are
//! split into lines by [`fit`](super::fit).

use std::time::Instant;

use super::fit::{self, Fitted};
use super::logs;
use super::responder::{RAISE_THE_LIMIT, Responder, Unsent};
use super::session_log::SessionLog;
use crate::error::{InvokeError, MAX_FIELD_BYTES};
use crate::protocol::text_line::TextLine;
use crate::protocol::{Content, FinishReason, LlmChunk, LlmDelta};

/// Maximum size in bytes of text that is joined while the daemon does not read. Then the upstream has to wait too.
const MAX_JOINED_BYTES: usize = 64 * 1024;

/// A response that is being written.
pub(super) struct LlmResponse<'a> {
    /// Responder of the session.
    pub responder: &'a mut Responder,
    log: &'a mut SessionLog,
    model: String,
    started: Instant,
    text_line: TextLine,
    index: u64,
    buffered: Option<fit::Joined>,
    /// Why a part of the response was not delivered; reported after everything else.
    lost: Option<InvokeError>,
}

impl<'a> LlmResponse<'a> {
    /// Starts an empty response.
    pub fn new(responder: &'a mut Responder, log: &'a mut SessionLog, model: String, started: Instant) -> Self {
        let text_line = TextLine::new(responder.session_id(), &model);
        Self { responder, log, model, started, text_line, index: 0, buffered: None, lost: None }
    }

    /// Whether there is buffered output.
    pub fn has_pending(&self) -> bool {
        self.buffered.is_some() || self.responder.has_lines()
    }

    /// Adds a delta of a stream: writes it, or joins it with buffered text while the daemon lags behind.
    pub fn stream(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        if self
            .buffered
            .as_ref()
            .is_some_and(|buffered| buffered.bytes() >= MAX_JOINED_BYTES || !buffered.can_join(&delta))
        {
            self.release()?;
        }
        let must_wait = self.responder.is_lagging() && fit::is_plain_text(&delta);
        if self.buffered.is_none() && !must_wait {
            return self.write(delta);
        }
        self.buffered.get_or_insert_default().add(delta);
        if must_wait { Ok(()) } else { self.release() }
    }

    /// Adds a delta of a blocking call. It is buffered until a line is full, so that the response is one item if
    /// possible.
    pub fn collect(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        let buffered = self.buffered.get_or_insert_default();
        let more = fit::bytes_of(&delta);
        if !buffered.is_empty() && more > 0 && buffered.bytes() + more > self.responder.max_line_bytes() {
            self.release_content()?;
        }
        self.buffered.get_or_insert_default().add(delta);
        Ok(())
    }

    /// Writes the buffered delta.
    pub fn release(&mut self) -> Result<(), InvokeError> {
        match self.buffered.take() {
            Some(buffered) => self.write(buffered.into_delta()),
            None => Ok(()),
        }
    }

    /// Writes the buffered content, except for the fields that belong to the end of the response.
    fn release_content(&mut self) -> Result<(), InvokeError> {
        let Some(mut buffered) = self.buffered.take() else { return Ok(()) };
        let content = buffered.take_content();
        self.buffered = Some(buffered);
        self.write(content)
    }

    /// Ends the response. Returns an error if a part of it could not be delivered.
    pub fn finish(mut self) -> Result<(), InvokeError> {
        self.release()?;
        self.lost.take().map_or(Ok(()), Err)
    }

    fn write(&mut self, mut delta: LlmDelta) -> Result<(), InvokeError> {
        // Neither field is worth a line of its own.
        delta.system_fingerprint.take_if(|fingerprint| fingerprint.len() > MAX_FIELD_BYTES);
        if let Some(FinishReason::Other(word)) = &mut delta.finish_reason {
            word.truncate(word.floor_char_boundary(MAX_FIELD_BYTES));
        }
        if let Some(usage) = &mut delta.usage {
            if usage.latency == 0.0 {
                usage.latency = super::dispatch::seconds_since(self.started);
            }
            self.log.set_usage(&**usage);
        }
        match self.push(&delta) {
            Ok(()) => Ok(()),
            Err(Unsent::TooLong { .. }) => self.write_split(delta),
            Err(unsent) => Err(unsent.into()),
        }
    }

    /// Splits a delta that does not fit into one line.
    fn write_split(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        let envelope = fit::without_content(&delta);
        let overhead = self.responder.length_of(&LlmChunk::of(&self.model, u64::MAX, &envelope));
        let limit = self.responder.max_line_bytes();
        let Some(room) = limit.checked_sub(overhead).filter(|room| *room > 0) else {
            let message = format!("the model name exceeds the line limit of the plugin protocol ({limit} bytes)");
            return Err(InvokeError::bad_request(message));
        };
        let Fitted { deltas, too_large } = fit::fit(delta, room);
        for delta in deltas {
            self.push(&delta)?;
        }
        if let Some((what, bytes)) = too_large {
            let message = format!(
                "the {what} in the response has {bytes} bytes, which exceeds the line limit of the plugin protocol"
            );
            let hint = match what {
                "image" => "Request a smaller one (parameter `resolution`, if the model has it)",
                _ => "Request a shorter response",
            };
            let error = InvokeError::bad_request(format!("{message} ({limit} bytes)"));
            self.lost.get_or_insert(error.with_hint(format!("{hint}, or {RAISE_THE_LIMIT}.")));
        }
        Ok(())
    }

    fn push(&mut self, delta: &LlmDelta) -> Result<(), Unsent> {
        let chunk = LlmChunk::of(&self.model, self.index, delta);
        match &delta.content {
            Content::Text(text) if fit::is_plain_text(delta) && delta.system_fingerprint.is_none() => {
                self.responder.push_text(&self.text_line, self.index, text)?;
            }
            _ => self.responder.push(&chunk)?,
        }
        self.index += 1;
        self.log.count_chunk();
        logs::item(&chunk);
        Ok(())
    }
}

/// A response that is interrupted still writes its buffered output.
impl Drop for LlmResponse<'_> {
    fn drop(&mut self) {
        // An error here is ignored, because the session's own error follows.
        let _ = self.release();
    }
}
