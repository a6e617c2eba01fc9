//! One answer, over as many requests as it takes: what was said, what must come back with it, what it cost.
//!
//! Pure: what is to be done when a request ends is decided in `ending` ([`NextStep`]), and somebody else
//! sends. All state is this answer's own.
//! Source: Gemini API, "Long decode", "Thought signatures"; `googleapis/python-genai: google/genai/models.py`.

mod conclusion;
mod content;

use std::sync::Arc;

use serde_json::{Value, json};

use super::calls::Calls;
use super::errors;
use super::grounding::{Citations, Grounding};
use super::price::PriceList;
use super::served::Served;
use super::thought_signatures::Key;
use super::wire::{
    Candidate, GenerateContentResponse, GroundingMetadata, Part, PromptFeedback, SafetyRating, UsageMetadata,
};
use crate::dialect::names::FunctionNames;
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::TokenCounter;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::LlmDelta;

/// Bytes of a part, a call or an item that waits, beside what it says.
const ENTRY: usize = size_of::<Part>();

/// What is to be done after a request.
#[derive(Debug, PartialEq)]
pub enum NextStep {
    /// The answer is whole: [`GeminiResponse::conclude`].
    Done,
    /// Send the same request with this continuation token.
    Continue(String),
    /// The same after this error, when it is time.
    Resume(String, InvokeError),
    /// Nothing was handed on: send the same request again where this error may be repeated, and when it is time.
    Again(InvokeError),
    /// Send the same request again, with calls held to their schema.
    ValidCalls,
    /// Nothing more can be done.
    Fail(InvokeError),
}

/// How an answer is shown.
#[derive(Clone, Debug, Default)]
pub struct ResponseOptions {
    /// What the tokens cost.
    pub prices: PriceList,
    /// Which model is asked, and which answers.
    pub served: Served,
    /// Nothing but the JSON text may be said.
    pub expects_json: bool,
    /// What is shown of the sources.
    pub citations: Citations,
    /// Recited sources are listed too.
    pub quotes: bool,
    /// How the host knows the functions.
    pub names: Arc<FunctionNames>,
    /// Whether there are any.
    pub has_functions: bool,
    /// The model may say nothing, as a stop sequence may be the first that it says.
    pub may_be_empty: bool,
}

/// Something that waits for the end because marks are to be set before it.
enum Held {
    /// Bytes of the answer's text.
    Text(usize),
    /// Code and its output, which Google does not count as text.
    Code(String),
    /// A picture or sound.
    Media(Box<LlmDelta>),
}

/// An answer while it comes.
pub struct GeminiResponse {
    pub(super) options: ResponseOptions,
    think: ThinkWriter,
    /// The answer's text without thoughts, where marks go into it.
    text: String,
    /// Bytes of the answer's text without thoughts.
    pub(super) text_length: usize,
    /// Bytes that are kept until the answer's end.
    kept: usize,
    /// What the model said, as it goes back with the next request.
    parts: Vec<Part>,
    /// Bytes of text that were handed on.
    shown: usize,
    held: Vec<Held>,
    pub(super) calls: Calls,
    /// Where each call stands among the parts.
    call_parts: Vec<usize>,
    /// Signatures of pictures.
    signed_media: Vec<(Key, String)>,
    output: TokenCounter,
    /// More than blanks was said.
    spoke: bool,
    has_images: bool,
    /// More than blanks was handed on: the answer cannot begin anew.
    pub(super) handed_on: bool,
    pub(super) sources: Grounding,
    pub(super) spent: Vec<UsageMetadata>,
    pub(super) requests: u32,
    /// Repeats of requests that broke and brought nothing new.
    pub(super) resumed: u32,
    /// The answer was asked for once more because of what the model said.
    pub(super) asked_again: bool,
    /// The answer went on with another request.
    pub(super) continued: bool,
    /// What the request that is running told.
    pub(super) now: Request,
}

/// What one request told besides content.
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
    /// Words that belong to no answer; they explain one that never came.
    pub words: Option<InvokeError>,
    /// Highest number of a candidate.
    pub candidates: u64,
}

impl GeminiResponse {
    /// An answer before its first request.
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
            spoke: false,
            has_images: false,
            handed_on: false,
            sources: Grounding::default(),
            spent: Vec::new(),
            requests: 0,
            resumed: 0,
            asked_again: false,
            continued: false,
            now: Request::default(),
        }
    }

    /// The tier that really serves, from the answer's header.
    pub fn set_service_tier(&mut self, tier: String) {
        self.options.prices.served_tier = Some(tier);
    }

    /// Bytes that are kept until the answer's end.
    pub fn held(&self) -> usize {
        self.kept + self.think.held()
    }

    /// Whether the request that is running has said why it ends.
    pub fn is_over(&self) -> bool {
        self.now.reason.is_some()
    }

    /// Words that belong to no answer: what something between the plugin and Google says in its own shape. They explain an
    /// answer that never came.
    pub fn note(&mut self, words: InvokeError) {
        self.now.words.get_or_insert(words);
    }

    /// Takes one event.
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
            // A number that no candidate can have yet says nothing.
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
            self.sources.quote(quoted.citation_sources);
            self.sources.quote(quoted.citations);
        }
        if let Some(pages) = candidate.url_context_metadata {
            self.sources.pages(pages.url_metadata);
        }
        if let Some(token) = candidate.continuation_token.filter(|token| !token.is_empty()) {
            self.now.token = Some(token);
        }
    }

    /// Whether the model said or called anything.
    pub(super) fn has_output(&self) -> bool {
        self.spoke || !self.calls.is_empty()
    }

    /// Forgets what was said, for a request that is sent again before anything was handed on. What it cost stays.
    pub(super) fn restart(&mut self) {
        *self = Self {
            spent: std::mem::take(&mut self.spent),
            requests: self.requests,
            resumed: self.resumed,
            asked_again: self.asked_again,
            ..Self::new(std::mem::take(&mut self.options))
        };
    }
}

/// Whether a member that should hold an error holds one.
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
