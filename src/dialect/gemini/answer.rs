//! One answer, over as many requests as it takes: what was said, what must come back with it, what it cost.
//!
//! Pure: what is to be done when a request ends is decided in `ending` ([`Step`]), and somebody else
//! sends. All state is this answer's own.
//! Source: Gemini API, "Long decode", "Thought signatures"; `googleapis/python-genai: google/genai/models.py`.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::calls::{self, Calls};
use super::errors;
use super::media::{linked, media};
use super::price::PriceList;
use super::request::OPAQUE_KEY;
use super::signatures::{Key, of_call, of_content};
use super::sources::{Citations, Sources};
use super::wire::{
    Blob, Candidate, FunctionCall, GenerateContentResponse, GroundingMetadata, ModalityTokens, Part, PromptFeedback,
    SafetyRating, UsageMetadata,
};
use crate::dialect::names::FunctionNames;
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::TokenCounter;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, LlmDelta, ToolCall};

/// Bytes of a part, a call or an item that waits, beside what it says.
const ENTRY: usize = size_of::<Part>();

/// What is to be done after a request.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The answer is whole: [`Answer::conclude`].
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
pub struct AnswerOptions {
    /// What the tokens cost.
    pub prices: PriceList,
    /// Nothing but the JSON text may be said.
    pub expects_json: bool,
    /// What is shown of the sources.
    pub citations: Citations,
    /// Recited sources are listed too.
    pub quotes: bool,
    /// How the host knows the functions.
    pub names: FunctionNames,
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
pub struct Answer {
    pub(super) options: AnswerOptions,
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
    has_pictures: bool,
    /// More than blanks was handed on: the answer cannot begin anew.
    pub(super) handed_on: bool,
    pub(super) sources: Sources,
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

impl Answer {
    /// An answer before its first request.
    pub fn new(options: AnswerOptions) -> Self {
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
            has_pictures: false,
            handed_on: false,
            sources: Sources::default(),
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
        if let Some(version) = response.model_version
            && self.options.prices.model_version.is_none()
        {
            self.options.prices.model_version = Some(version);
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
        if let Some(error) = response.error.filter(is_told) {
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

    /// Takes a part of one kind of data.
    fn part(&mut self, mut part: Part, text: &mut String, out: &mut Vec<LlmDelta>) {
        let thought = part.thought.unwrap_or(false);
        if let Some(call) = part.function_call.take() {
            return self.call(call, part.thought_signature.take(), text);
        }
        if part.inline_data.is_some() || part.file_data.is_some() {
            // A draft of the model's thinking is no picture of the answer, and does not go back as one.
            if !thought {
                self.media(part, text, out);
            }
            return;
        }
        if let Some(said) = part.text.as_ref().or(part.audio_transcription.as_ref().map(|turn| &turn.text)) {
            self.now.progress |= !said.is_empty();
            if thought {
                self.think.thought(said, text);
            } else {
                let said = said.clone();
                self.say(&said, text);
            }
        } else if let Some(code) = &part.executable_code {
            let language = code.language.to_ascii_lowercase();
            if !code.code.is_empty() {
                self.code(fenced(&language, code.code.trim_end()), text);
            }
        } else if let Some(result) = &part.code_execution_result {
            let outcome = match result.outcome.strip_prefix("OUTCOME_") {
                Some("OK") | None => String::new(),
                Some(word) => format!("{}\n", word.to_ascii_lowercase().replace('_', " ")),
            };
            if !(result.outcome.is_empty() && result.output.is_empty()) {
                self.code(fenced("", &format!("{outcome}{}", result.output.trim_end())), text);
            }
        }
        self.keep(part, thought);
    }

    /// Half a character that stays alone, in place of its text.
    pub fn rest(&mut self, rest: char, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        self.say(rest.encode_utf8(&mut [0; 4]), &mut text);
        self.push_text(text, out);
    }

    /// Text of the answer: on at once, or held for its marks.
    fn say(&mut self, said: &str, text: &mut String) {
        self.spoke |= !said.trim().is_empty();
        self.text_length += said.len();
        self.kept += said.len();
        self.output.push(said);
        if self.options.citations == Citations::Inline {
            self.text.push_str(said);
            match self.held.last_mut() {
                Some(Held::Text(length)) => *length += said.len(),
                _ => self.hold(Held::Text(said.len())),
            }
        } else {
            self.think.text(said, text);
        }
    }

    fn code(&mut self, block: String, text: &mut String) {
        self.kept += block.len();
        (self.spoke, self.now.progress) = (true, true);
        if self.options.citations == Citations::Inline {
            self.hold(Held::Code(block));
        } else {
            self.think.text(&block, text);
        }
    }

    fn hold(&mut self, item: Held) {
        self.kept += ENTRY;
        self.held.push(item);
    }

    /// A picture, sound or the like: inline, or by its address.
    fn media(&mut self, mut part: Part, text: &mut String, out: &mut Vec<LlmDelta>) {
        let is_there = part.inline_data.as_ref().is_some_and(|blob| !blob.data.is_empty())
            || part.file_data.as_ref().is_some_and(|file| !file.file_uri.is_empty());
        if !is_there {
            return;
        }
        (self.spoke, self.now.progress) = (true, true);
        let signature = part.thought_signature.take();
        let shown = match (part.inline_data.take(), part.file_data.take()) {
            (Some(blob), _) => {
                if self.options.citations == Citations::Inline {
                    self.kept += blob.data.len();
                }
                let shown = media(blob, signature.as_deref());
                let kept = shown.media().map(|media| Blob { mime_type: media.mime_type.clone(), data: String::new() });
                part.inline_data = kept;
                shown
            }
            (None, Some(file)) => {
                let shown = linked(&file, signature.as_deref());
                part.file_data = Some(file);
                shown
            }
            (None, None) => return,
        };
        self.has_pictures |= shown.type_name() == "image";
        // The signature goes back with the picture itself; here it stands for pictures whose host loses that.
        if let (Some(signature), Some(content)) = (signature, shown.media().and_then(|it| it.base64_data.as_deref())) {
            self.kept += ENTRY + signature.len();
            self.signed_media.push((of_content(content), signature));
        }
        self.keep(part, false);
        self.show(shown, text, out);
    }

    fn show(&mut self, part: ContentPart, text: &mut String, out: &mut Vec<LlmDelta>) {
        let delta = LlmDelta { content: Content::Parts(vec![part]), ..LlmDelta::default() };
        if self.options.citations == Citations::Inline {
            self.hold(Held::Media(Box::new(delta)));
        } else {
            self.think.close(text);
            self.push_text(std::mem::take(text), out);
            self.handed_on = true;
            out.push(delta);
        }
    }

    /// A call or more of one; it is handed on when the answer is over.
    fn call(&mut self, call: FunctionCall, signature: Option<String>, text: &mut String) {
        self.now.progress = true;
        self.kept += call.length() + signature.as_ref().map_or(0, String::len);
        let Some((place, begins)) = self.calls.take(call) else { return };
        if begins {
            self.kept += 2 * ENTRY;
            self.think.close(text);
            self.call_parts.push(self.parts.len());
            self.parts.push(Part { function_call: Some(FunctionCall::default()), ..Part::default() });
        }
        let part = &mut self.parts[self.call_parts[place]];
        part.thought_signature = signature.or(part.thought_signature.take());
    }

    /// Keeps a part for the next request: signed parts stay whole, unsigned text is joined, media are left to the message.
    fn keep(&mut self, part: Part, thought: bool) {
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
        if part != Part::default() {
            self.kept += ENTRY;
            self.parts.push(part);
        }
    }

    fn push_text(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        if !text.is_empty() {
            self.shown += text.len();
            self.handed_on |= !text.trim().is_empty();
            out.push(LlmDelta::text(text));
        }
    }

    /// Whether the model said or called anything.
    pub(super) fn has_output(&self) -> bool {
        self.spoke || !self.calls.is_empty()
    }

    /// Forgets what was said, for a request that is sent again before anything was handed on. What it cost stays.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            spent: std::mem::take(&mut self.spent),
            requests: self.requests,
            resumed: self.resumed,
            asked_again: self.asked_again,
            ..Self::new(std::mem::take(&mut self.options))
        };
    }

    /// The last deltas: what was held, calls, sources, what must come back, finish reason, usage.
    /// `prompt_estimate` is asked only when the service told no tokens.
    pub fn conclude(&mut self, prompt_estimate: impl FnOnce() -> u64) -> Vec<LlmDelta> {
        let mut out = Vec::new();
        let mut text = String::new();
        self.release(&mut text, &mut out);
        let has_calls = !self.calls.is_empty();
        self.think.finish(has_calls, &mut text);
        if has_calls {
            self.push_text(std::mem::take(&mut text), &mut out);
            out.push(LlmDelta { tool_calls: self.hand_calls_on(), ..LlmDelta::default() });
        }
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
            finish_reason: Some(super::finish::reason(word, has_calls)),
            usage: Some(self.usage(prompt_estimate)),
            ..LlmDelta::default()
        });
        out
    }

    /// The calls as the host knows them. What is kept of them says the same.
    fn hand_calls_on(&mut self) -> Vec<ToolCall> {
        let mut handed = Vec::new();
        for (call, place) in self.calls.iter().zip(&self.call_parts) {
            let names = &self.options.names;
            let name = names.back(calls::meant(&call.name, |name| names.is_declared(name))).to_owned();
            let arguments = Value::Object(call.arguments.clone()).to_string();
            self.output.push(&arguments);
            handed.push(ToolCall::function(call.id.clone(), name.clone(), arguments));
            let args = (!call.arguments.is_empty()).then(|| call.arguments.clone());
            self.parts[*place].function_call =
                Some(FunctionCall { id: Some(call.id.clone()), name, args, ..FunctionCall::default() });
        }
        handed
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
    /// A picture's signature stands with the picture.
    fn opaque_body(&self) -> Option<Value> {
        let private = |part: &Part| {
            part.thought_signature.is_some()
                || part.tool_call.is_some()
                || part.tool_response.is_some()
                || part.executable_code.is_some()
                || part.code_execution_result.is_some()
        };
        let private = self.parts.iter().any(private) || !self.signed_media.is_empty();
        private.then(|| json!({ OPAQUE_KEY: {"length": self.shown, "parts": self.parts} }))
    }

    /// Signatures of calls and pictures, for the second carrier. Asked when the answer is concluded.
    pub fn signed(&self) -> impl Iterator<Item = (Key, &str)> {
        let calls = self.parts.iter().filter_map(|part| {
            let (call, signature) = (part.function_call.as_ref()?, part.thought_signature.as_deref()?);
            let arguments = Value::Object(call.args.clone().unwrap_or_default()).to_string();
            Some((of_call(call.id.as_deref().unwrap_or_default(), &call.name, &arguments), signature))
        });
        calls.chain(self.signed_media.iter().map(|(key, signature)| (*key, signature.as_str())))
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
        let mut spent = self.spent.clone();
        // Pictures cost more than text: what is not text is theirs where nobody says it.
        if let Some(last) = spent.last_mut().filter(|_| self.has_pictures)
            && last.candidates_tokens_details.is_empty()
        {
            let of_text = self.output.total();
            let rest = last.candidates_token_count.unwrap_or_default().saturating_sub(of_text);
            last.candidates_tokens_details =
                vec![ModalityTokens { modality: "IMAGE".to_owned(), token_count: Some(rest) }];
        }
        self.options.prices.usage(&spent)
    }
}

/// Whether a member that should hold an error holds one.
fn is_told(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

/// A listing. Its fence is longer than any in it.
fn fenced(language: &str, listing: &str) -> String {
    let longest = listing.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("\n{fence}{language}\n{listing}\n{fence}\n")
}
