//! The items of one language model's answer: a stream's deltas as they come, a blocking call's collected into as few as fit.
//!
//! Whatever ends the answer (its end, an error, a session that is dropped), what was held back goes out before. It asks no
//! provider and waits for nobody; how a delta is fitted into lines is told in [`fit`](super::fit).

use std::time::Instant;

use super::fit::{self, Fitted};
use super::logs;
use super::responder::{RAISE_THE_LIMIT, Responder, Unsent};
use super::session_log::SessionLog;
use crate::error::{InvokeError, MAX_FIELD_BYTES};
use crate::protocol::{FinishReason, LlmChunk, LlmDelta};

/// Text that is joined while the host does not read. After that the upstream waits too.
const MAX_JOINED_BYTES: usize = 64 * 1024;

/// One answer on its way out.
pub(super) struct LlmResponse<'a> {
    /// Where it goes.
    pub reply: &'a mut Responder,
    log: &'a mut SessionLog,
    model: String,
    started: Instant,
    index: u64,
    held: Option<fit::Joined>,
    /// Why something of the answer is not delivered; told when everything else is.
    lost: Option<InvokeError>,
}

impl<'a> LlmResponse<'a> {
    /// Nothing yet.
    pub fn new(reply: &'a mut Responder, log: &'a mut SessionLog, model: String, started: Instant) -> Self {
        Self { reply, log, model, started, index: 0, held: None, lost: None }
    }

    /// Whether anything waits to be handed on.
    pub fn waits(&self) -> bool {
        self.held.is_some() || self.reply.has_lines()
    }

    /// A step of a stream: on its way at once, or joined with what waits for a host that lags.
    pub fn stream(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        if self.held.as_ref().is_some_and(|held| held.bytes() >= MAX_JOINED_BYTES || !held.says_the_same(&delta)) {
            self.release()?;
        }
        let waits = self.reply.is_lagging() && fit::is_plain_text(&delta);
        self.held.get_or_insert_default().add(delta);
        if waits { Ok(()) } else { self.release() }
    }

    /// A step of an answer that is asked for whole: kept until a line is full, so that it is one item where it can be one.
    pub fn collect(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        let held = self.held.get_or_insert_default();
        let more = fit::bytes_of(&delta);
        if !held.is_empty() && more > 0 && held.bytes() + more > self.reply.max_line_bytes() {
            self.release_content()?;
        }
        self.held.get_or_insert_default().add(delta);
        Ok(())
    }

    /// Writes what is held back.
    pub fn release(&mut self) -> Result<(), InvokeError> {
        match self.held.take() {
            Some(held) => self.write(held.into_delta()),
            None => Ok(()),
        }
    }

    /// Writes what is held back, but for what belongs to the end of the answer.
    fn release_content(&mut self) -> Result<(), InvokeError> {
        let Some(mut held) = self.held.take() else { return Ok(()) };
        let content = held.take_content();
        self.held = Some(held);
        self.write(content)
    }

    /// The end of the answer. Fails when a part of it could not be delivered.
    pub fn finish(mut self) -> Result<(), InvokeError> {
        self.release()?;
        self.lost.take().map_or(Ok(()), Err)
    }

    fn write(&mut self, mut delta: LlmDelta) -> Result<(), InvokeError> {
        // Both only decorate; neither is worth a line of its own.
        delta.system_fingerprint.take_if(|fingerprint| fingerprint.len() > MAX_FIELD_BYTES);
        if let Some(FinishReason::Other(word)) = &mut delta.finish_reason {
            word.truncate(word.floor_char_boundary(MAX_FIELD_BYTES));
        }
        if let Some(usage) = &mut delta.usage {
            if usage.latency == 0.0 {
                usage.latency = super::dispatch::seconds_since(self.started);
            }
            self.log.used(&*usage);
        }
        match self.push(&delta) {
            Ok(()) => Ok(()),
            Err(Unsent::TooLong { .. }) => self.write_in_pieces(delta),
            Err(unsent) => Err(unsent.into()),
        }
    }

    /// A delta that no line can carry whole.
    fn write_in_pieces(&mut self, delta: LlmDelta) -> Result<(), InvokeError> {
        let around = fit::without_content(&delta);
        let around = self.reply.length_of(&LlmChunk::of(&self.model, u64::MAX, &around));
        let limit = self.reply.max_line_bytes();
        let Some(room) = limit.checked_sub(around).filter(|room| *room > 0) else {
            let message = format!("the model's name is too long for one line of the plugin protocol (limit {limit})");
            return Err(InvokeError::bad_request(message));
        };
        let Fitted { pieces, too_large } = fit::fit(delta, room);
        for piece in pieces {
            self.push(&piece)?;
        }
        if let Some((what, bytes)) = too_large {
            let message =
                format!("the answer's {what} of {bytes} bytes is too large for one line of the plugin protocol");
            let hint = match what {
                "image" => "Ask for a smaller one (parameter `resolution`, where the model has it)",
                _ => "Ask for a shorter answer",
            };
            let error = InvokeError::bad_request(format!("{message} (limit {limit})"));
            self.lost.get_or_insert(error.with_hint(format!("{hint}, or {RAISE_THE_LIMIT}.")));
        }
        Ok(())
    }

    fn push(&mut self, delta: &LlmDelta) -> Result<(), Unsent> {
        let chunk = LlmChunk::of(&self.model, self.index, delta);
        self.reply.push(&chunk)?;
        self.index += 1;
        self.log.chunk();
        logs::item(&chunk);
        Ok(())
    }
}

/// An answer that breaks off has said what it has said.
impl Drop for LlmResponse<'_> {
    fn drop(&mut self) {
        // What cannot be written any more cannot be told either: the session's own error follows.
        let _ = self.release();
    }
}
