//! Events of one request → the answer they belong to. What an event means is [`GeminiResponse`]'s; here its shapes are told apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::errors;
use super::response::GeminiResponse;
use super::wire::GenerateContentResponse;
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::codec::json;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{LlmDelta, lenient};
use dify_plugin::upstream::retry::heed_words;
use dify_plugin::upstream::status::{error_text_in, excerpt, parse_error_text};

/// An answer that several requests may make, one after the other.
#[derive(Clone)]
pub struct SharedResponse(Arc<Mutex<GeminiResponse>>);

impl SharedResponse {
    /// Shares an answer between the mapper of a request and whoever sends the requests.
    pub fn new(answer: GeminiResponse) -> Self {
        Self(Arc::new(Mutex::new(answer)))
    }

    /// The answer. No lock is held while anything is waited for.
    pub fn lock(&self) -> MutexGuard<'_, GeminiResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Members whose texts go on in the next event.
const CONTINUED: &[&str] = &["parts/text"];

/// Maps the events of one request. Whether the answer is complete is asked of [`GeminiResponse::end_of_request`].
pub struct GenerateMapper {
    answer: SharedResponse,
    reader: json::Reader,
}

impl GenerateMapper {
    /// A mapper for the next request of an answer.
    pub fn new(answer: SharedResponse) -> Self {
        Self { answer, reader: json::Reader::new(CONTINUED) }
    }
}

impl StreamMapper for GenerateMapper {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        let data = event.data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(Flow::Continue);
        }
        if event.name == "error" {
            let told = json::read(data).unwrap_or_else(|_| Value::String(data.to_owned()));
            return Err(errors::from_value(&told, None));
        }
        // A body of plain words.
        if event.bare && !data.starts_with(['{', '[', '"', '<']) {
            let words = format!("the service answered in words of its own: {}", excerpt(data.as_bytes()));
            self.answer.lock().note(heed_words(InvokeError::server_unavailable(words).retryable()));
            return Ok(Flow::Continue);
        }
        // Only an object can be a response; a strict reader takes a list for one, too.
        match data.starts_with('{').then(|| self.reader.read::<GenerateContentResponse>(data)) {
            Some(Ok(response)) => self.take(response, data, out)?,
            Some(Err(error)) => return Err(unreadable(Some(&error), data)),
            None => self.other(data, out)?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if let Some(rest) = self.reader.rest() {
            self.answer.lock().rest(rest, out);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.answer.lock().is_over()
    }

    fn held(&self) -> usize {
        self.answer.lock().held()
    }
}

impl GenerateMapper {
    fn take(&self, response: GenerateContentResponse, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let mut answer = self.answer.lock();
        if response.says_nothing()
            && let Ok(value) = json::read::<Value>(data)
            && error_text_in(&value).message.is_some()
        {
            answer.note(errors::from_value(&value, None));
        }
        answer.take(response, out)
    }

    /// An event that is no object: an array of responses, an error as array or text, a page.
    fn other(&self, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        match json::read::<Value>(data) {
            Ok(Value::Array(items)) => {
                for item in items {
                    let text = item.to_string();
                    match GenerateContentResponse::deserialize(json::Named(item)) {
                        Ok(response) => self.take(response, &text, out)?,
                        Err(error) => return Err(unreadable(Some(&error), &text)),
                    }
                }
                Ok(())
            }
            Ok(value @ Value::String(_)) => Err(errors::from_value(&value, None)),
            Ok(_) => Err(unreadable(None, data)),
            Err(error) => Err(unreadable(Some(&error), data)),
        }
    }
}

fn unreadable(error: Option<&serde_json::Error>, data: &str) -> InvokeError {
    if data.starts_with('<') {
        return page(data);
    }
    let why = error.map(|error| format!(" ({})", lenient::reason(error))).unwrap_or_default();
    InvokeError::server_unavailable(format!("an event of the answer cannot be read{why}: {}", excerpt(data.as_bytes())))
}

/// The error of a page in place of a stream.
pub fn page(body: &str) -> InvokeError {
    let text = parse_error_text(body.as_bytes()).message.unwrap_or_default();
    InvokeError::connection(format!("the service answered with {text}"))
        .with_hint("Something between the plugin and Google answered: check base URL and proxy.")
}

#[cfg(test)]
#[path = "mapper/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "mapper/odd_tests.rs"]
mod odd_tests;
