//! What is to be done when a request of an answer is over, by itself or by an error.
//!
//! It is told here what may be done without harm (nothing was handed on, a checkpoint is there) and what the model's own
//! failures call for. How often and when a failed request is sent again is `upstream::retry`'s to say.

use super::finish;
use super::response::{GeminiResponse, NextStep, Request};
use dify_plugin::error::{ErrorKind, InvokeError};

/// Most requests that one answer may take.
const MAX_REQUESTS: u32 = 64;

/// Requests in a row that break at the same checkpoint.
const MAX_RESUMES_PER_CHECKPOINT: u32 = 3;

impl GeminiResponse {
    /// A request is over, by itself or by an error: what now?
    pub fn end_of_request(&mut self, broken: Option<InvokeError>) -> NextStep {
        let mut now = std::mem::replace(&mut self.now, Request { text_start: self.text_length, ..Request::default() });
        self.requests += 1;
        self.spent.extend(Some(std::mem::take(&mut now.usage)).filter(|usage| usage.tells()));
        if let Some(grounding) = now.grounding.take() {
            self.sources.add(grounding, now.text_start);
        }
        if now.progress {
            self.resumed = 0;
        }
        if let Some(feedback) = &now.blocked
            && !self.has_output()
        {
            let word = feedback.block_reason.as_deref().unwrap_or("OTHER");
            let said = feedback.block_reason_message.as_deref();
            return NextStep::Fail(finish::prompt_blocked(word, said, &feedback.safety_ratings));
        }
        // What breaks after the finish reason takes nothing away from the answer.
        let broken = broken.filter(|error| now.reason.is_none() || error.kind != ErrorKind::Connection);
        match (broken, now.reason.take()) {
            (Some(error), _) => self.after_break(error, now),
            (None, Some((word, said))) => self.after_end(&word, said.as_deref(), now),
            (None, None) => {
                let error = now.words.take().unwrap_or_else(|| {
                    InvokeError::connection("the answer was cut short: the stream ended without a finish reason")
                });
                self.after_break(error, now)
            }
        }
    }

    /// A checkpoint resumes the answer; without one it is repeated only while nothing was handed on.
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

    /// Nothing of this answer was handed on, and it is all of one request.
    fn is_unreported(&self) -> bool {
        !self.handed_on && !self.continued
    }

    fn after_end(&mut self, word: &str, said: Option<&str>, now: Request) -> NextStep {
        if let ("CONTINUATION", Some(token)) = (word, now.token) {
            if self.requests < MAX_REQUESTS {
                self.continued = true;
                return NextStep::Continue(token);
            }
            tracing::warn!(
                requests = self.requests,
                "the answer is longer than the requests one may take; it ends here"
            );
        }
        let error = match self.calls.fault(word == "STOP") {
            Some(fault) => Some(finish::malformed_call(fault.words(), word)),
            None if finish::is_malformed(word) => Some(finish::broke_off(word, said, &now.ratings, self.has_output())),
            None if self.has_output() => None,
            None if word == "STOP" => Some(finish::is_silent()),
            None => Some(finish::no_output(word, said, &now.ratings)),
        };
        let Some(error) = error else {
            self.now.reason = Some((word.to_owned(), None));
            return NextStep::Done;
        };
        let helps = finish::retryable_by_class(word) || error.code.as_deref() == Some(finish::MALFORMED_CALL);
        if helps && self.is_unreported() && !std::mem::replace(&mut self.asked_again, true) {
            let calls = error.code.as_deref() == Some(finish::MALFORMED_CALL) && self.options.has_functions;
            self.restart();
            return if calls { NextStep::ValidCalls } else { NextStep::Again(error.retryable()) };
        }
        if word == "STOP" && !self.has_output() && self.options.may_be_empty {
            self.now.reason = Some((word.to_owned(), None));
            return NextStep::Done;
        }
        NextStep::Fail(error)
    }
}
