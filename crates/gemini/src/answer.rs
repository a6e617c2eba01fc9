//! A complete response of `generateContent`, ready to be used: its parts, how it ended, its sources and its usage.

use serde::Deserialize;
use serde_json::Value;

use crate::errors;
use crate::finish;
use crate::wire::{GenerateContentResponse, GroundingMetadata, Part, UrlMetadata, UsageMetadata};
use dify_plugin::codec::json::Named;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::lenient;
use dify_plugin::upstream::status::error_text_in;

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    /// Parts of the first candidate.
    pub parts: Vec<Part>,
    /// How the response ended.
    pub ended: Ended,
    /// Sources of a search.
    pub grounding: Option<GroundingMetadata>,
    /// Pages that the service fetched.
    pub pages: Vec<UrlMetadata>,
    /// Token counts.
    pub usage: UsageMetadata,
    /// The model that responded.
    pub model: Option<String>,
}

impl Answer {
    /// Reads a response. An error object and a blocked prompt are errors.
    pub fn read(response: &Value) -> Result<Self, InvokeError> {
        let response = match response {
            Value::Array(events) if events.len() == 1 => &events[0],
            response => response,
        };
        let read = GenerateContentResponse::deserialize(Named(response)).map_err(|error: serde_json::Error| {
            InvokeError::server_unavailable(format!("cannot parse the response: {}", lenient::reason(&error)))
        })?;
        let read = read.unwrapped();
        if read.error.is_some() || read.is_blank() && error_text_in(response).message.is_some() {
            return Err(errors::from_value(response, None));
        }
        let feedback = read.prompt_feedback.unwrap_or_default();
        if let Some(word) = feedback.block_reason {
            let message = feedback.block_reason_message.as_deref();
            return Err(finish::prompt_blocked(&word, message, &feedback.safety_ratings));
        }
        let candidate = read.candidates.into_iter().next().unwrap_or_default();
        let reason = candidate.finish_reason.unwrap_or_default();
        let error = finish::no_output(&reason, candidate.finish_message.as_deref(), &candidate.safety_ratings);
        Ok(Self {
            parts: candidate.content.unwrap_or_default().parts,
            ended: Ended { reason, error },
            grounding: candidate.grounding_metadata,
            pages: candidate.url_context_metadata.map(|pages| pages.url_metadata).unwrap_or_default(),
            usage: read.usage_metadata.unwrap_or_default(),
            model: read.model_version,
        })
    }

    /// Returns the text, without thoughts.
    pub fn text(&self) -> String {
        let spoken = self.parts.iter().filter(|part| part.thought != Some(true));
        spoken.filter_map(|part| part.text.as_deref()).collect()
    }
}

/// How a response ended.
#[derive(Debug)]
pub struct Ended {
    /// Finish reason; empty if a gateway omits it.
    pub reason: String,
    /// The error of a response without content that ended for this reason.
    error: InvokeError,
}

impl Ended {
    /// Whether the response is complete. A gateway may omit the finish reason.
    pub fn is_whole(&self) -> bool {
        matches!(self.reason.as_str(), "" | "STOP" | "FINISH_REASON_UNSPECIFIED")
    }

    /// Returns the error for incomplete output.
    pub fn cut(self, what: &str) -> InvokeError {
        let message =
            self.error.message.split_once(": ").map(|(_, message)| format!(": {message}")).unwrap_or_default();
        let error = self.error.with_message(format!("{what} is incomplete ({}){message}", self.reason));
        match self.reason.as_str() {
            "MAX_TOKENS" => error.with_hint("It exceeds the model's output limit; split it into parts."),
            _ => error,
        }
    }

    /// Returns the error for a response without content.
    pub fn no_output(self) -> InvokeError {
        match self.is_whole() {
            true => finish::empty_response(),
            false => self.error,
        }
    }
}
