//! Maps the stream events of one request to the response they belong to. This module distinguishes the forms of events;
//! [`GeminiResponse`] interprets their content.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::GeminiResponse;
use crate::dialect::gemini::errors;
use crate::dialect::gemini::wire::GenerateContentResponse;
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::codec::json;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{LlmDelta, lenient};
use dify_plugin::upstream::retry::with_stated_wait;
use dify_plugin::upstream::status::{error_text_in, excerpt};

/// A response that may be assembled from several consecutive requests.
#[derive(Clone)]
pub struct SharedResponse(Arc<Mutex<GeminiResponse>>);

impl SharedResponse {
    /// Shares a response between the mapper of a request and the caller that sends the requests.
    pub fn new(shared: GeminiResponse) -> Self {
        Self(Arc::new(Mutex::new(shared)))
    }

    /// Locks the response. The lock is never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, GeminiResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Members whose text continues in the next event.
const CONTINUED: &[&str] = &["parts/text"];

/// Maps the events of one request. [`GeminiResponse::end_of_request`] decides whether the response is complete.
pub struct GenerateMapper {
    shared: SharedResponse,
    reader: json::Reader,
}

impl GenerateMapper {
    /// Creates a mapper for the next request of a response.
    pub fn new(shared: SharedResponse) -> Self {
        Self { shared, reader: json::Reader::new(CONTINUED) }
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
            let value = json::read(data).unwrap_or_else(|_| Value::String(data.to_owned()));
            return Err(errors::from_value(&value, None));
        }
        // A plain-text body.
        if event.bare && !data.starts_with(['{', '[', '"', '<']) {
            let words = format!("unexpected plain-text response: {}", excerpt(data.as_bytes()));
            self.shared.lock().note(with_stated_wait(InvokeError::server_unavailable(words).retryable()));
            return Ok(Flow::Continue);
        }
        // Only an object can be a response; a strict deserializer would also accept an array.
        match data.starts_with('{').then(|| self.reader.read::<GenerateContentResponse>(data)) {
            Some(Ok(response)) => self.take(response, data, out)?,
            Some(Err(error)) => return Err(unreadable(Some(&error), data)),
            None => self.other(data, out)?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if let Some(rest) = self.reader.rest() {
            self.shared.lock().rest(rest, out);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.shared.lock().is_over()
    }

    fn held(&self) -> usize {
        self.shared.lock().held()
    }
}

impl GenerateMapper {
    fn take(&self, response: GenerateContentResponse, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let mut shared = self.shared.lock();
        if response.is_blank()
            && let Ok(value) = json::read::<Value>(data)
            && error_text_in(&value).message.is_some()
        {
            shared.note(errors::from_value(&value, None));
        }
        shared.take(response, out)
    }

    /// Handles an event that is not an object: an array of responses, an error as an array or string, an HTML page.
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
        return errors::page(data);
    }
    let why = error.map(|error| format!(" ({})", lenient::reason(error))).unwrap_or_default();
    InvokeError::server_unavailable(format!("cannot parse a response event{why}: {}", excerpt(data.as_bytes())))
}

#[cfg(test)]
#[path = "mapper/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "mapper/odd_tests.rs"]
mod odd_tests;
