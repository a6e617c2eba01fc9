//! One answer, over as many requests as it takes: what was said, what must come back with it, what it cost, and what
//! is to be done when a request ends.
//!
//! Pure: it decides ([`Step`]), somebody else sends. All state is this answer's own.
//! Source: Gemini API, "Long decode", "Thought signatures"; `googleapis/python-genai: google/genai/models.py`.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::media::media;
use super::names::FunctionNames;
use super::partial_calls::PartialCall;
use super::price::PriceList;
use super::request::OPAQUE_KEY;
use super::sources::{Citations, Sources};
use super::wire::{
    Blob, Candidate, FunctionCall, GenerateContentResponse, GroundingMetadata, Part, PromptFeedback, SafetyRating,
    UsageMetadata,
};
use super::{errors, finish};
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::TokenCounter;
use crate::error::{ErrorKind, InvokeError};
use crate::protocol::{Content, LlmDelta, ToolCall};

/// Most requests that one answer may take.
const MOST_REQUESTS: u32 = 64;

/// Most bytes of an answer that are kept until its end: far more than a model writes, and room for a dozen pictures.
const LONGEST_KEPT: usize = 32 * 1024 * 1024;

/// Repeats in a row that bring nothing new.
const MOST_REPEATS: u32 = 3;

/// What is to be done after a request.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The answer is whole: [`Answer::conclude`].
    Done,
    /// Send the same request with this continuation token.
    Continue(String),
    /// Send the same request again.
    Again,
    /// Send the same request again, with calls held to their schema.
    ValidCalls,
    /// Nothing more can be done.
    Fail(InvokeError),
}

/// How an answer is shown.
#[derive(Clone, Debug, Default)]
pub struct AnswerOptions {
    /// What the tokens cost.
    pub prices: PriceList,
    /// Nothing but the JSON text may be said.
    pub expects_json: bool,
    /// What is shown of the sources.
    pub citations: Citations,
    /// How the host knows the functions.
    pub names: FunctionNames,
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
pub struct Answer {
    options: AnswerOptions,
    think: ThinkWriter,
    /// The answer's text without thoughts, where marks go into it.
    text: String,
    /// Bytes of the answer's text without thoughts.
    text_length: usize,
    /// Bytes that are kept until the answer's end.
    kept: usize,
    /// What the model said, as it goes back with the next request.
    parts: Vec<Part>,
    /// Bytes of text that were handed on.
    shown: usize,
    held: Vec<Held>,
    calls: usize,
    partial: PartialCall,
    partial_signature: Option<String>,
    output: TokenCounter,
    spoke: bool,
    sources: Sources,
    spent: Vec<UsageMetadata>,
    requests: u32,
    repeats: u32,
    most_repeats: u32,
    validated: bool,
    /// What the request that is running told.
    now: Request,
}

/// What one request told besides content.
#[derive(Default)]
struct Request {
    usage: Option<UsageMetadata>,
    reason: Option<(String, Option<String>)>,
    ratings: Vec<SafetyRating>,
    blocked: Option<PromptFeedback>,
    grounding: Option<GroundingMetadata>,
    token: Option<String>,
    text_start: usize,
    progress: bool,
}

impl Answer {
    /// An answer before its first request.
    pub fn new(options: AnswerOptions) -> Self {
        Self {
            options,
            think: ThinkWriter::new(ThinkPolicy::Show),
            text: String::new(),
            text_length: 0,
            kept: 0,
            parts: Vec::new(),
            shown: 0,
            held: Vec::new(),
            calls: 0,
            partial: PartialCall::default(),
            partial_signature: None,
            output: TokenCounter::default(),
            spoke: false,
            sources: Sources::default(),
            spent: Vec::new(),
            requests: 0,
            repeats: 0,
            most_repeats: MOST_REPEATS,
            validated: false,
            now: Request::default(),
        }
    }

    /// Sends a request whose stream broke before any output at most this often again. A checkpoint, which costs nothing
    /// that was already paid for, is still resumed.
    pub fn limit_repeats(&mut self, most: u32) {
        self.most_repeats = most.min(MOST_REPEATS);
    }

    /// The tier that really serves, from the answer's header.
    pub fn set_service_tier(&mut self, tier: String) {
        self.options.prices.service_tier = Some(tier);
    }

    /// Takes one event.
    pub fn take(&mut self, response: GenerateContentResponse, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if let Some(error) = response.error {
            return Err(errors::from_value(&error, None));
        }
        if let Some(usage) = response.usage_metadata {
            self.now.usage = Some(usage);
        }
        if let Some(version) = response.model_version
            && self.options.prices.model_version.is_none()
        {
            self.options.prices.model_version = Some(version);
        }
        if let Some(feedback) = response.prompt_feedback
            && feedback.block_reason.is_some()
        {
            self.now.blocked = Some(feedback);
        }
        for candidate in response.candidates.into_iter().filter(|candidate| candidate.index.unwrap_or(0) == 0) {
            self.candidate(candidate, out);
        }
        if self.kept > LONGEST_KEPT {
            return Err(InvokeError::server_unavailable(format!(
                "the answer is longer than {LONGEST_KEPT} bytes, more than any model writes"
            )));
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        let mut calls = Vec::new();
        for part in candidate.content.map(|content| content.parts).unwrap_or_default() {
            self.part(part, &mut text, &mut calls, out);
        }
        self.push_text(text, out);
        if !calls.is_empty() {
            out.push(LlmDelta { tool_calls: calls, ..LlmDelta::default() });
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            self.now.reason = Some((reason, candidate.finish_message));
        }
        if !candidate.safety_ratings.is_empty() {
            self.now.ratings = candidate.safety_ratings;
        }
        if let Some(grounding) = candidate.grounding_metadata {
            self.now.grounding = Some(grounding);
        }
        if let Some(quoted) = candidate.citation_metadata {
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

    fn part(&mut self, mut part: Part, text: &mut String, calls: &mut Vec<ToolCall>, out: &mut Vec<LlmDelta>) {
        let thought = part.thought.unwrap_or(false);
        if let Some(said) = &part.text {
            self.now.progress |= !said.is_empty();
            if thought {
                self.think.thought(said, text);
            } else {
                self.spoke |= !said.is_empty();
                self.say(said, text);
            }
        } else if let Some(call) = part.function_call.take() {
            self.call(call, part.thought_signature.take(), text, calls);
            return;
        } else if let Some(blob) = &part.inline_data {
            if self.options.citations == Citations::Inline {
                self.kept += blob.data.len();
            }
            self.show(media(blob.clone(), part.thought_signature.as_deref()), text, out);
        } else if let Some(code) = &part.executable_code {
            let language = code.language.to_ascii_lowercase();
            self.code(format!("\n```{language}\n{}\n```\n", code.code.trim_end()), text);
        } else if let Some(result) = &part.code_execution_result {
            let outcome = match result.outcome.as_str() {
                "OUTCOME_OK" | "" => String::new(),
                other => format!("{}\n", other.trim_start_matches("OUTCOME_").to_ascii_lowercase().replace('_', " ")),
            };
            self.code(format!("\n```\n{outcome}{}\n```\n", result.output.trim_end()), text);
        }
        self.keep(part, thought);
    }

    /// Text of the answer: on at once, or held for its marks.
    fn say(&mut self, said: &str, text: &mut String) {
        self.text_length += said.len();
        self.kept += said.len();
        self.output.push(said);
        if self.options.citations == Citations::Inline {
            self.text.push_str(said);
            match self.held.last_mut() {
                Some(Held::Text(length)) => *length += said.len(),
                _ => self.held.push(Held::Text(said.len())),
            }
        } else {
            self.think.text(said, text);
        }
    }

    fn code(&mut self, block: String, text: &mut String) {
        self.kept += block.len();
        (self.spoke, self.now.progress) = (true, true);
        if self.options.citations == Citations::Inline {
            self.held.push(Held::Code(block));
        } else {
            self.think.text(&block, text);
        }
    }

    fn show(&mut self, part: crate::protocol::ContentPart, text: &mut String, out: &mut Vec<LlmDelta>) {
        (self.spoke, self.now.progress) = (true, true);
        let delta = LlmDelta { content: Content::Parts(vec![part]), ..LlmDelta::default() };
        if self.options.citations == Citations::Inline {
            self.held.push(Held::Media(Box::new(delta)));
        } else {
            self.think.close(text);
            self.push_text(std::mem::take(text), out);
            out.push(delta);
        }
    }

    fn call(
        &mut self,
        fragment: FunctionCall,
        signature: Option<String>,
        text: &mut String,
        calls: &mut Vec<ToolCall>,
    ) {
        self.now.progress = true;
        let fragments = fragment.partial_args.iter().flatten();
        self.kept += fragments.filter_map(|fragment| fragment.string_value.as_ref()).map(String::len).sum::<usize>();
        self.partial_signature = signature.or(self.partial_signature.take());
        let Some(mut call) = self.partial.take(fragment) else { return };
        call.name = self.options.names.back(&call.name).to_owned();
        let signature = self.partial_signature.take();
        self.think.close(text);
        self.calls += 1;
        let id = match call.id.take().filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => format!("call_{}", uuid::Uuid::new_v4().simple()),
        };
        let arguments = Value::Object(call.args.clone().unwrap_or_default()).to_string();
        self.output.push(&arguments);
        self.kept += arguments.len();
        calls.push(ToolCall::function(id.clone(), call.name.clone(), arguments));
        call.id = Some(id);
        self.parts.push(Part { function_call: Some(call), thought_signature: signature, ..Part::default() });
    }

    /// Keeps a part for the next request: signed parts stay whole, unsigned text is joined, media are left to the message.
    fn keep(&mut self, mut part: Part, thought: bool) {
        self.kept += part.thought_signature.as_ref().map_or(0, String::len);
        if part.thought_signature.is_none() {
            if thought || part.text.as_deref() == Some("") {
                return;
            }
            if let (Some(said), Some(Part { text: Some(known), thought_signature: None, .. })) =
                (&part.text, self.parts.last_mut())
            {
                known.push_str(said);
                return;
            }
        }
        if let Some(blob) = part.inline_data.take() {
            part.inline_data = Some(Blob { mime_type: blob.mime_type, data: String::new() });
        }
        if part != Part::default() {
            self.parts.push(part);
        }
    }

    fn push_text(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        if !text.is_empty() {
            self.shown += text.len();
            out.push(LlmDelta::text(text));
        }
    }

    /// A request is over, by itself or by an error: what now?
    pub fn end_of_request(&mut self, broken: Option<InvokeError>) -> Step {
        let mut now = std::mem::replace(&mut self.now, Request { text_start: self.text_length, ..Request::default() });
        self.requests += 1;
        self.spent.extend(now.usage.take());
        if let Some(grounding) = now.grounding.take() {
            self.sources.add(grounding, now.text_start);
        }
        if now.progress {
            self.repeats = 0;
        }
        if let Some(feedback) = &now.blocked
            && !self.has_output()
        {
            let word = feedback.block_reason.as_deref().unwrap_or("OTHER");
            let said = feedback.block_reason_message.as_deref();
            return Step::Fail(finish::prompt_blocked(word, said, &feedback.safety_ratings));
        }
        // What breaks after the finish reason takes nothing away from the answer.
        let broken = broken.filter(|error| now.reason.is_none() || error.kind != ErrorKind::Connection);
        let broken = broken.or_else(|| {
            now.reason.is_none().then(|| {
                InvokeError::connection("the answer was cut short: the stream ended without a finish reason")
                    .retryable()
            })
        });
        match (broken, now.reason.take()) {
            (Some(error), _) => self.after_break(error, now),
            (None, Some((word, said))) => self.after_end(&word, said.as_deref(), now),
            (None, None) => Step::Done,
        }
    }

    fn has_output(&self) -> bool {
        self.spoke || self.calls > 0
    }

    /// A checkpoint resumes the answer; without one it is repeated only while nothing was handed on.
    fn after_break(&mut self, error: InvokeError, now: Request) -> Step {
        let passing = error.retryable || error.kind == ErrorKind::Connection;
        if !passing || now.blocked.is_some() || self.repeats >= MOST_REPEATS || self.requests >= MOST_REQUESTS {
            return Step::Fail(error);
        }
        self.repeats += 1;
        match now.token {
            Some(token) => Step::Continue(token),
            None if self.repeats > self.most_repeats => Step::Fail(error),
            None if !now.progress && self.shown == 0 && !self.has_output() => Step::Again,
            None => Step::Fail(error),
        }
    }

    fn after_end(&mut self, word: &str, said: Option<&str>, now: Request) -> Step {
        if let ("CONTINUATION", Some(token)) = (word, now.token) {
            if self.requests < MOST_REQUESTS {
                return Step::Continue(token);
            }
            tracing::warn!(
                requests = self.requests,
                "the answer is longer than the requests one may take; it ends here"
            );
        } else if finish::is_malformed(word) {
            if word == "MALFORMED_FUNCTION_CALL" && !self.has_output() && !std::mem::replace(&mut self.validated, true)
            {
                return Step::ValidCalls;
            }
            return Step::Fail(finish::nothing_said(word, said, &now.ratings));
        } else if !self.has_output() && word != "STOP" {
            return Step::Fail(finish::nothing_said(word, said, &now.ratings));
        }
        self.now.reason = Some((word.to_owned(), None));
        Step::Done
    }

    /// The last deltas: what was held, sources, what must come back, finish reason, usage.
    /// `prompt_estimate` is asked only when the service told no tokens.
    pub fn conclude(&mut self, prompt_estimate: impl FnOnce() -> u64) -> Vec<LlmDelta> {
        let mut out = Vec::new();
        let mut text = String::new();
        self.release(&mut text, &mut out);
        self.think.finish(self.calls > 0, &mut text);
        if !self.options.expects_json && self.options.citations != Citations::Off {
            text.push_str(&self.sources.list());
        }
        self.shown += text.len();
        let word = self.now.reason.take().map_or_else(|| "STOP".to_owned(), |(word, _)| word);
        let word = if word == "CONTINUATION" { "MAX_TOKENS" } else { &word };
        if word == "MAX_TOKENS" && self.options.expects_json {
            tracing::warn!("the JSON is cut off: raise `max_output_tokens` or lower thinking");
        }
        out.push(LlmDelta {
            content: Content::Text(text),
            opaque_body: self.opaque_body(),
            finish_reason: Some(finish::reason(word, self.calls > 0)),
            usage: Some(self.usage(prompt_estimate)),
            ..LlmDelta::default()
        });
        out
    }

    /// Hands on what waited for its marks.
    fn release(&mut self, text: &mut String, out: &mut Vec<LlmDelta>) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        let marks = if self.options.expects_json { Default::default() } else { self.sources.marks(&self.text) };
        let whole = std::mem::take(&mut self.text);
        let mut from = 0;
        for item in held {
            match item {
                Held::Text(length) => {
                    let end = from + length;
                    Sources::marked(&whole, from..end, &marks, |piece| self.think.text(piece, text));
                    from = end;
                }
                Held::Code(block) => self.think.text(&block, text),
                Held::Media(delta) => {
                    self.think.close(text);
                    self.push_text(std::mem::take(text), out);
                    out.push(*delta);
                }
            }
        }
        self.text = whole;
    }

    /// What must come back with the message, when the message alone cannot say it; `length` tells whether it was changed.
    fn opaque_body(&self) -> Option<Value> {
        let private = |part: &Part| {
            part.thought_signature.is_some()
                || part.tool_call.is_some()
                || part.tool_response.is_some()
                || part.executable_code.is_some()
                || part.code_execution_result.is_some()
        };
        self.parts.iter().any(private).then(|| json!({ OPAQUE_KEY: {"length": self.shown, "parts": self.parts} }))
    }

    /// Signatures of calls, for the second carrier.
    pub fn signed_calls(&self) -> impl Iterator<Item = (&FunctionCall, &str)> {
        self.parts.iter().filter_map(|part| Some((part.function_call.as_ref()?, part.thought_signature.as_deref()?)))
    }

    /// Searches that the model made, and their list price where the model's data tells one. Google gives a share of them
    /// free each month, so it is no part of the price of the answer.
    pub fn searches(&self) -> (usize, Option<Decimal>) {
        let searches = self.sources.searches();
        (searches, self.options.prices.details.search.map(|price| price.of(searches as u64)))
    }

    fn usage(&self, prompt_estimate: impl FnOnce() -> u64) -> crate::protocol::LlmUsage {
        if self.spent.is_empty() {
            tracing::warn!("the service told no tokens; the usage is an estimate");
            let estimate = UsageMetadata {
                prompt_token_count: Some(prompt_estimate()),
                candidates_token_count: Some(self.output.total()),
                ..UsageMetadata::default()
            };
            return self.options.prices.usage(std::slice::from_ref(&estimate));
        }
        self.options.prices.usage(&self.spent)
    }
}
