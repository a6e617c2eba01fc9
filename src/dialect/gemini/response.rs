//! A complete response, which may take several requests: its text, the data that must be sent back with it, and its
//! usage.
//!
//! This module does no I/O. `ending` decides what happens after a request ([`NextStep`]), and the caller sends the
//! requests. All state belongs to one response. Source: Gemini API, "Long decode", "Thought signatures";
//! `googleapis/python-genai: google/genai/models.py`.

mod calls;
mod conclusion;
mod content;
mod ending;
pub mod mapper;
pub mod media;
mod partial_args;
pub mod price;
pub mod served;

use std::sync::Arc;

use serde_json::{Value, json};

use self::calls::Calls;
use self::price::PriceList;
use self::served::Served;
use super::errors;
use super::grounding::{Citations, Grounding};
use super::thought_signatures::Key;
use super::wire::{
    Candidate, GenerateContentResponse, GroundingMetadata, Part, PromptFeedback, SafetyRating, UsageMetadata,
};
use crate::dialect::names::FunctionNames;
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::TokenCounter;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::LlmDelta;

/// Bytes that a buffered part, call or item needs, in addition to its content.
const ENTRY_BYTES: usize = size_of::<Part>();

/// What to do after a request.
#[derive(Debug, PartialEq)]
pub enum NextStep {
    /// The response is complete: call [`GeminiResponse::conclude`].
    Done,
    /// Send the same request with this continuation token.
    Continue(String),
    /// Do the same after this error, with a delay.
    Resume(String, InvokeError),
    /// Nothing was emitted: send the same request again after a delay, if this error is retryable.
    Again(InvokeError),
    /// Send the same request again, requiring calls to match their schema.
    ValidCalls,
    /// Return this error.
    Fail(InvokeError),
}

/// How a response is processed.
#[derive(Clone, Debug, Default)]
pub struct ResponseOptions {
    /// Prices of the tokens.
    pub prices: PriceList,
    /// The requested model, and the one that responds.
    pub served: Served,
    /// Only the JSON text may be emitted.
    pub expects_json: bool,
    /// How sources are shown.
    pub citations: Citations,
    /// Whether recited sources are listed too.
    pub quotes: bool,
    /// Function names as Dify knows them.
    pub names: Arc<FunctionNames>,
    /// Whether the request has functions.
    pub has_functions: bool,
    /// The response may be empty, because a stop sequence may be the first text that the model generates.
    pub may_be_empty: bool,
}

/// Output that is held back until the citation markers are known.
enum Held {
    /// Number of bytes of the response text.
    Text(usize),
    /// Code and its output, which Google does not count as text.
    Code(String),
    /// An image or audio.
    Media(Box<LlmDelta>),
}

/// A response while it arrives.
pub struct GeminiResponse {
    options: ResponseOptions,
    think: ThinkWriter,
    /// Text without thoughts, if markers will be inserted into it.
    text: String,
    /// Length of the text without thoughts, in bytes.
    text_length: usize,
    /// Number of bytes that are buffered until the end of the response.
    kept: usize,
    /// The model's parts in the form that is sent back with the next request.
    parts: Vec<Part>,
    /// Number of bytes of text that were emitted.
    shown: usize,
    held: Vec<Held>,
    calls: Calls,
    /// Index of each call among the parts.
    call_parts: Vec<usize>,
    /// Signatures of images.
    signed_media: Vec<(Key, String)>,
    output: TokenCounter,
    /// Whether text other than whitespace arrived.
    has_text: bool,
    has_images: bool,
    /// Whether output other than whitespace was emitted: the response cannot be restarted.
    emitted: bool,
    grounding: Grounding,
    spent: Vec<UsageMetadata>,
    requests: u32,
    /// Number of consecutive retries without new output.
    resumed: u32,
    /// The request was sent again because of the model's output.
    retried_for_content: bool,
    /// The response was continued with another request.
    continued: bool,
    /// State of the current request.
    now: Request,
}

/// State of one request, other than content.
#[derive(Default)]
pub(super) struct Request {
    pub usage: UsageMetadata,
    pub reason: Option<(String, Option<String>)>,
    pub ratings: Vec<SafetyRating>,
    pub blocked: Option<PromptFeedback>,
    pub grounding: Option<GroundingMetadata>,
    pub token: Option<String>,
    pub text_start: usize,
    pub progress: bool,
    /// A message that is not part of a response; it explains a missing one.
    pub note: Option<InvokeError>,
    /// Highest candidate index.
    pub candidates: u64,
}

impl GeminiResponse {
    /// Creates a response before its first request.
    pub fn new(options: ResponseOptions) -> Self {
        Self {
            options,
            think: ThinkWriter::new(ThinkPolicy::FieldOnly),
            text: String::new(),
            text_length: 0,
            kept: 0,
            parts: Vec::new(),
            shown: 0,
            held: Vec::new(),
            calls: Calls::default(),
            call_parts: Vec::new(),
            signed_media: Vec::new(),
            output: TokenCounter::default(),
            has_text: false,
            has_images: false,
            emitted: false,
            grounding: Grounding::default(),
            spent: Vec::new(),
            requests: 0,
            resumed: 0,
            retried_for_content: false,
            continued: false,
            now: Request::default(),
        }
    }

    /// Sets the service tier that was used, from the response header.
    pub fn set_service_tier(&mut self, tier: String) {
        self.options.prices.served_tier = Some(tier);
    }

    /// Returns the number of bytes that are buffered until the end of the response.
    pub fn held(&self) -> usize {
        self.kept + self.think.held()
    }

    /// Whether the current request has reported its finish reason.
    pub fn is_over(&self) -> bool {
        self.now.reason.is_some()
    }

    /// Records a message that is not part of a response, such as one of a gateway in its own format. It explains a
    /// missing response.
    pub fn note(&mut self, note: InvokeError) {
        self.now.note.get_or_insert(note);
    }

    /// Processes one event.
    pub fn take(&mut self, response: GenerateContentResponse, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let response = response.unwrapped();
        self.now.usage.update(response.usage_metadata.unwrap_or_default());
        let served = &self.options.served;
        if let Some(model) = served.take(response.model_version.as_deref(), response.model_status.as_ref()) {
            self.options.prices.follow(&model);
        }
        if let Some(feedback) = response.prompt_feedback
            && feedback.block_reason.as_ref().is_some_and(|word| word != "BLOCK_REASON_UNSPECIFIED")
        {
            self.now.blocked = Some(feedback);
        }
        self.calls.next_event();
        for (place, candidate) in response.candidates.into_iter().enumerate() {
            // An impossible candidate index is ignored.
            let number = candidate.index.filter(|number| *number <= self.now.candidates + 1).unwrap_or(place as u64);
            self.now.candidates = self.now.candidates.max(number);
            if number == 0 {
                self.candidate(candidate, out);
            }
        }
        if let Some(error) = response.error.filter(is_reported) {
            return Err(errors::from_value(&json!({ "error": error }), None));
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        for part in candidate.content.map(|content| content.parts).unwrap_or_default() {
            for part in part.by_kind() {
                self.part(part, &mut text, out);
            }
        }
        self.push_text(text, out);
        if let Some(reason) = candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            self.now.reason = Some((reason, candidate.finish_message));
        }
        if !candidate.safety_ratings.is_empty() {
            self.now.ratings = candidate.safety_ratings;
        }
        if let Some(grounding) = candidate.grounding_metadata {
            self.now.grounding = Some(grounding);
        }
        if let Some(quoted) = candidate.citation_metadata.filter(|_| self.options.quotes) {
            self.grounding.add_quoted(quoted.citation_sources);
            self.grounding.add_quoted(quoted.citations);
        }
        if let Some(pages) = candidate.url_context_metadata {
            self.grounding.pages(pages.url_metadata);
        }
        if let Some(token) = candidate.continuation_token.filter(|token| !token.is_empty()) {
            self.now.token = Some(token);
        }
    }

    /// Whether the model produced any text or call.
    fn has_output(&self) -> bool {
        self.has_text || !self.calls.is_empty()
    }

    /// Discards the output, so that the request can be retried before any output was emitted. The usage is kept.
    fn restart(&mut self) {
        *self = Self {
            spent: std::mem::take(&mut self.spent),
            requests: self.requests,
            resumed: self.resumed,
            retried_for_content: self.retried_for_content,
            ..Self::new(std::mem::take(&mut self.options))
        };
    }
}

/// Whether the error member contains an error.
fn is_reported(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}
