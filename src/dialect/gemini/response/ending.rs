//! Decides what happens after a request of a response has ended or failed.
//!
//! This module knows what can be done safely (nothing emitted yet, a checkpoint available) and how the model's own
//! failures are handled. How often and when a failed request is retried is decided by `upstream::retry`.

use super::{GeminiResponse, NextStep, Request};
use crate::dialect::gemini::finish;
use dify_plugin::error::{ErrorKind, InvokeError};

/// Maximum number of requests for one response.
const MAX_REQUESTS: u32 = 64;

/// Maximum number of consecutive requests that break at the same checkpoint.
const MAX_RESUMES_PER_CHECKPOINT: u32 = 3;

impl GeminiResponse {
    /// Decides what to do after a request has ended or failed.
    pub fn end_of_request(&mut self, broken: Option<InvokeError>) -> NextStep {
        let mut now = std::mem::replace(&mut self.now, Request { text_start: self.text_length, ..Request::default() });
        self.requests += 1;
        self.spent.extend(Some(std::mem::take(&mut now.usage)).filter(|usage| usage.is_reported()));
        if let Some(grounding) = now.grounding.take() {
            self.grounding.add(grounding, now.text_start);
        }
        if now.progress {
            self.resumed = 0;
        }
        if let Some(feedback) = &now.blocked
            && !self.has_output()
        {
            let reason = feedback.block_reason.as_deref().unwrap_or("OTHER");
            let message = feedback.block_reason_message.as_deref();
            return NextStep::Fail(finish::prompt_blocked(reason, message, &feedback.safety_ratings));
        }
        // An error after the finish reason does not affect the response.
        let broken = broken.filter(|error| now.reason.is_none() || error.kind != ErrorKind::Connection);
        match (broken, now.reason.take()) {
            (Some(error), _) => self.after_break(error, now),
            (None, Some((reason, message))) => self.after_end(&reason, message.as_deref(), now),
            (None, None) => {
                let error = now.note.take().unwrap_or_else(|| {
                    InvokeError::connection("the response is incomplete: the stream ended without a finish reason")
                });
                self.after_break(error, now)
            }
        }
    }

    /// Resumes the response from a checkpoint; without one, retries only if no output was emitted.
    fn after_break(&mut self, mut error: InvokeError, now: Request) -> NextStep {
        error.retryable |= error.kind == ErrorKind::Connection;
        if !error.retryable || now.blocked.is_some() || self.requests >= MAX_REQUESTS {
            return NextStep::Fail(error);
        }
        match now.token {
            Some(token) if self.resumed < MAX_RESUMES_PER_CHECKPOINT => {
                (self.resumed, self.continued) = (self.resumed + 1, true);
                NextStep::Resume(token, error)
            }
            None if self.is_unreported() => {
                self.restart();
                NextStep::Again(error)
            }
            _ => NextStep::Fail(error),
        }
    }

    /// Whether the response consists of one request and nothing of it was emitted.
    fn is_unreported(&self) -> bool {
        !self.emitted && !self.continued
    }

    fn after_end(&mut self, reason: &str, message: Option<&str>, now: Request) -> NextStep {
        if let ("CONTINUATION", Some(token)) = (reason, now.token) {
            if self.requests < MAX_REQUESTS {
                self.continued = true;
                return NextStep::Continue(token);
            }
            tracing::warn!(requests = self.requests, "response truncated: too many continuation requests");
        }
        let error = match self.calls.fault(reason == "STOP") {
            Some(fault) => Some(finish::malformed_call(fault.message(), reason)),
            None if finish::is_malformed(reason) => {
                Some(finish::malformed_output(reason, message, &now.ratings, self.has_output()))
            }
            None if self.has_output() => None,
            None if reason == "STOP" => Some(finish::empty_response()),
            None => Some(finish::no_output(reason, message, &now.ratings)),
        };
        let Some(error) = error else {
            self.now.reason = Some((reason.to_owned(), None));
            return NextStep::Done;
        };
        let helps = finish::retryable_by_class(reason) || error.code.as_deref() == Some(finish::MALFORMED_CALL);
        if helps && self.is_unreported() && !std::mem::replace(&mut self.retried_for_content, true) {
            let calls = error.code.as_deref() == Some(finish::MALFORMED_CALL) && self.options.has_functions;
            self.restart();
            return if calls { NextStep::ValidCalls } else { NextStep::Again(error.retryable()) };
        }
        if reason == "STOP" && !self.has_output() && self.options.may_be_empty {
            self.now.reason = Some((reason.to_owned(), None));
            return NextStep::Done;
        }
        NextStep::Fail(error)
    }
}
