//! Events of one request → the answer they belong to. What an event means is [`Answer`]'s; here its shapes are told apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::answer::Answer;
use super::errors;
use super::wire::GenerateContentResponse;
use crate::codec::events::Event;
use crate::dialect::{Flow, StreamMapper};
use crate::error::InvokeError;
use crate::protocol::LlmDelta;
use crate::upstream::status::{excerpt, said};

/// An answer that several requests may make, one after the other.
#[derive(Clone)]
pub struct SharedAnswer(Arc<Mutex<Answer>>);

impl SharedAnswer {
    /// Shares an answer between the mapper of a request and whoever sends the requests.
    pub fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(answer)))
    }

    /// The answer. No lock is held while anything is waited for.
    pub fn lock(&self) -> MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maps the events of one request. Whether the answer is complete is asked of [`Answer::end_of_request`].
pub struct GenerateMapper(SharedAnswer);

impl GenerateMapper {
    /// A mapper for the next request of an answer.
    pub fn new(answer: SharedAnswer) -> Self {
        Self(answer)
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
            let told = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
            return Err(errors::from_value(&told, None));
        }
        match serde_json::from_str::<GenerateContentResponse>(data) {
            Ok(response) if !data.starts_with('[') => self.0.lock().take(response, out)?,
            Ok(_) => self.other(data, None, out)?,
            Err(error) => self.other(data, Some(error), out)?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        Ok(())
    }
}

impl GenerateMapper {
    /// An event that is no response: an array of them, an error as array or text, a page.
    fn other(&self, data: &str, error: Option<serde_json::Error>, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        match serde_json::from_str::<Value>(data) {
            Ok(Value::Array(items)) => {
                for item in items {
                    let text = item.to_string();
                    match serde_json::from_value::<GenerateContentResponse>(item) {
                        Ok(response) => self.0.lock().take(response, out)?,
                        Err(error) => return Err(unreadable(Some(&error), &text)),
                    }
                }
                Ok(())
            }
            Ok(value @ Value::String(_)) => Err(errors::from_value(&value, None)),
            _ => Err(unreadable(error.as_ref(), data)),
        }
    }
}

fn unreadable(error: Option<&serde_json::Error>, data: &str) -> InvokeError {
    if data.starts_with('<') {
        return page(data);
    }
    let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
    InvokeError::server_unavailable(format!("an event of the answer cannot be read{why}: {}", excerpt(data.as_bytes())))
}

/// The error of a page in place of a stream.
pub fn page(body: &str) -> InvokeError {
    let text = said(body.as_bytes()).message.unwrap_or_default();
    InvokeError::connection(format!("the service answered with {text}"))
        .with_hint("Something between the plugin and Google answered: check base URL and proxy.")
}

#[cfg(test)]
#[path = "mapper/tests.rs"]
mod tests;
