//! Maps response chunks to deltas, for chat and completion mode, for streams and complete documents.
//!
//! Text is emitted as it arrives, after the filters for thoughts and for tool calls in the text. Tool calls are emitted
//! complete, at the end. A last delta carries usage and finish reason. Timeouts, size limits and the connection belong
//! to
//! the driver.

mod events;
mod strip;

use std::sync::Arc;

use serde_json::json;
use tracing::debug;

use super::chat_request::thinks_not;
use super::errors;
use super::kept::{Kept, REASONING_KEY, ResponseDigest, opaque_body};
use super::profile::{Profile, ReasoningBack, ToolForm};
use super::text_tool_calls::TextToolCalls;
use super::tool_calls::{CallMerger, Calls};
use super::wire::{CONTINUED, Choice, Chunk, Delta, Failure, Usage};
use crate::dialect::names::FunctionNames;
use crate::dialect::think::{Beginning, Sink, ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::{TokenCounter, estimate_prompt};
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::codec::json::Reader;
use dify_plugin::declare::{Pricing, price};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{FinishReason, LlmDelta, LlmRequest, LlmUsage, Tool, ToolCall, ToolChoiceMode};
use dify_plugin::upstream::status;
use strip::Strip;

/// Maximum size of the thoughts in the private JSON of a response, in bytes.
const MAX_KEPT_THOUGHTS: usize = 1024 * 1024;

/// Options of the mapper that depend on the request.
#[derive(Clone, Debug, Default)]
pub struct MapperOptions {
    /// What to do with thoughts.
    pub think: ThinkPolicy,
    /// Whether tool calls in the response are accepted.
    pub accept_calls: bool,
    /// Wire names of the request's functions.
    pub names: Arc<FunctionNames>,
    /// The offered tools with their wire names; the text is searched for calls of them.
    pub tools: Vec<Tool>,
    /// Whether calls between other text count even if the upstream reports no tool call.
    pub leaks_calls: bool,
    /// Texts that are removed from the response.
    pub strip: Vec<String>,
    /// Whether the thoughts are returned in the private JSON, too, because the server expects them back.
    pub keeps_thoughts: bool,
    /// Price of the model.
    pub pricing: Option<Pricing>,
    /// Estimated prompt tokens, for an upstream that reports none.
    pub prompt_estimate: u64,
}

impl MapperOptions {
    /// Derives the options from a request; `think` is [`ThinkPolicy::Hide`] if the user switched thinking off.
    pub fn of(request: &LlmRequest, profile: &Profile, pricing: Option<&Pricing>) -> Self {
        let accept_calls = profile.tools != ToolForm::None;
        let forbidden = request.tool_choice.as_ref().is_some_and(|choice| choice.mode == ToolChoiceMode::None)
            || ["tool_choice", "function_call"]
                .iter()
                .any(|name| request.model_parameters.get(*name) == Some(&"none".into()));
        let names = FunctionNames::of(&request.tools, super::chat_request::NAMES);
        Self {
            think: if profile.hides_thoughts || thinks_not(&request.model_parameters, profile) {
                ThinkPolicy::Hide
            } else {
                ThinkPolicy::Show
            },
            strip: profile.strip.clone(),
            keeps_thoughts: profile.reasoning_back != ReasoningBack::Never,
            accept_calls,
            tools: if accept_calls && !forbidden { names.on_the_wire(&request.tools) } else { Vec::new() },
            names: Arc::new(names),
            leaks_calls: profile.leaks_calls,
            pricing: pricing.cloned(),
            prompt_estimate: estimate_prompt(&request.prompt_messages, &request.tools),
        }
    }
}

/// Mapper of chat and completion responses; see the module documentation.
#[derive(Debug)]
pub struct ChatMapper {
    options: MapperOptions,
    reader: Reader,
    think: ThinkWriter,
    leaked: Option<TextToolCalls>,
    calls: CallMerger,
    /// Members of the message itself that the server expects back, their size, and the text that they belong to.
    kept: Kept,
    kept_bytes: usize,
    answer: ResponseDigest,
    /// Thoughts of the separate field, if they are returned in the private JSON.
    thoughts: String,
    strip: Strip,
    usage: Usage,
    reason: Option<FinishReason>,
    fingerprint: Option<String>,
    output: TokenCounter,
    /// Index of the choice that is read: the first one with content.
    choice: Option<i64>,
    /// Deltas with content were received, so a final message that repeats them is ignored.
    streamed: bool,
    /// A choice was received.
    has_choice: bool,
    /// Text was emitted.
    has_text: bool,
    done: bool,
}

/// Routes text to the output. Tool calls are searched for in the response only, not in thoughts.
struct Filter<'m> {
    leaked: Option<&'m mut TextToolCalls>,
    digest: &'m mut ResponseDigest,
    text: &'m mut String,
}

impl Sink for Filter<'_> {
    fn thoughts(&mut self, text: &str) {
        if let Some(leaked) = &mut self.leaked {
            leaked.settle(self.text);
        }
        self.text.push_str(text);
    }

    fn answer(&mut self, text: &str) {
        self.digest.push(text);
        match &mut self.leaked {
            Some(leaked) => leaked.push(text, self.text),
            None => self.text.push_str(text),
        }
    }
}

impl ChatMapper {
    /// Creates a mapper at the start of a response.
    pub fn new(mut options: MapperOptions) -> Self {
        Self {
            reader: Reader::new(CONTINUED),
            think: ThinkWriter::new(options.think),
            leaked: (!options.tools.is_empty()).then(|| TextToolCalls::new(&options.tools, options.leaks_calls)),
            calls: CallMerger::default(),
            kept: Kept::default(),
            kept_bytes: 0,
            answer: ResponseDigest::default(),
            thoughts: String::new(),
            strip: Strip::new(std::mem::take(&mut options.strip)),
            usage: Usage::default(),
            reason: None,
            fingerprint: None,
            output: TokenCounter::default(),
            choice: None,
            streamed: false,
            has_choice: false,
            has_text: false,
            done: false,
            options,
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        self.usage.absorb(chunk.usage);
        if self.fingerprint.is_none() {
            self.fingerprint = chunk.system_fingerprint.0.map(|text| text.into_owned());
        }
        let mut failure = chunk.error.and_then(Failure::value);
        let no_choices = chunk.choices.0.is_empty();
        // Only one of several choices is read, no matter which events contain them.
        let wanted =
            |choice: &Choice<'_>| self.choice.is_none() || choice.index.is_none() || choice.index == self.choice;
        let choice = chunk.choices.0.into_iter().find(wanted);
        if let Some(choice) = choice {
            self.has_choice = true;
            let index = choice.index;
            self.usage.absorb(choice.usage);
            failure = failure.or_else(|| choice.error.and_then(Failure::value));
            let ended = self.choice(choice, out)?;
            if self.has_text || self.streamed {
                self.choice = self.choice.or(index);
            }
            if let Some(word) = ended.filter(|_| failure.is_none()) {
                self.release(out);
                return Err(InvokeError::server_unavailable(format!(
                    "the server aborted the response with the finish reason `{word}`"
                )));
            }
        } else if no_choices && failure.is_none() && chunk.usage.is_empty() {
            self.without_choices(data, out)?;
        }
        match failure {
            Some(reported) => {
                self.release(out);
                Err(errors::error_in(&json!({ "error": reported })))
            }
            None => Ok(()),
        }
    }

    /// Maps one choice. Returns its finish reason if that reports a failure.
    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<LlmDelta>) -> Result<Option<String>, InvokeError> {
        let mut text = String::new();
        let delta = choice.delta.filter(|delta| choice.message.is_none() || !delta.is_empty());
        if let Some(delta) = delta {
            self.streamed |= !delta.is_empty();
            self.parts(delta, &mut text)?;
        } else if let Some(mut message) = choice.message {
            if self.streamed {
                let calls =
                    if self.calls.is_empty() { std::mem::take(&mut message.tool_calls) } else { Default::default() };
                message = Delta::default();
                message.tool_calls = calls;
            }
            self.parts(message, &mut text)?;
            self.done = true;
        }
        self.say(&mut text, |think, sink| think.text(choice.text.as_str(), sink));
        self.pass(text, out);
        let word = choice.finish_reason.as_str();
        match reason_of(word) {
            Reason::None => {}
            Reason::Failure => return Ok(Some(word.to_owned())),
            Reason::Is(reason) => {
                if matches!(self.reason, None | Some(FinishReason::Stop)) {
                    self.reason = Some(reason);
                }
            }
        }
        Ok(None)
    }

    fn parts(&mut self, delta: Delta<'_>, text: &mut String) -> Result<(), InvokeError> {
        let thoughts = [delta.thoughts.as_str(), &delta.content.thoughts];
        if delta.has_thought_field() || !delta.content.thoughts.is_empty() {
            self.say(text, |think, sink| think.separate_field(sink));
        }
        for thoughts in thoughts.into_iter().filter(|thoughts| !thoughts.is_empty()) {
            self.output.push(thoughts);
            self.keep_thoughts(thoughts);
            self.say(text, |think, sink| think.thought(thoughts, sink));
        }
        self.kept.take(&delta.kept, &mut self.kept_bytes);
        let content = delta.content.text.as_str();
        let content = if content.is_empty() { delta.refusal.as_str() } else { content };
        self.say(text, |think, sink| think.text(content, sink));
        if !self.options.accept_calls {
            return Ok(());
        }
        for fragment in &delta.tool_calls.0 {
            self.calls.push(fragment)?;
        }
        if let Some(function) = delta.function_call {
            self.calls.push_function(function)?;
        }
        if !self.calls.is_empty() {
            self.say(text, |think, sink| think.close(sink));
        }
        Ok(())
    }

    /// Collects thoughts for the private JSON; too many are not kept at all, because a server
    /// expects all of them or none.
    fn keep_thoughts(&mut self, thoughts: &str) {
        if !self.options.keeps_thoughts {
            return;
        }
        if self.thoughts.len() + thoughts.len() > MAX_KEPT_THOUGHTS {
            self.thoughts = String::new();
            self.options.keeps_thoughts = false;
            return;
        }
        self.thoughts.push_str(thoughts);
    }

    fn say(&mut self, text: &mut String, what: impl FnOnce(&mut ThinkWriter, &mut Filter<'_>)) {
        what(&mut self.think, &mut Filter { leaked: self.leaked.as_mut(), digest: &mut self.answer, text });
    }

    /// Emits text, without what is removed from it.
    fn pass(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        let text = self.strip.push(text);
        self.emit(text, out);
    }

    fn emit(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        if !text.is_empty() {
            self.has_text = true;
            self.output.push(&text);
            out.push(LlmDelta::text(text));
        }
    }

    /// Handles an object without choices: an error in any shape, or something to ignore.
    fn without_choices(&mut self, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        match errors::reported_error(data) {
            Some(error) => {
                self.release(out);
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Returns Dify's name of a called function. Some models prefix it with `functions.`.
    fn dify_name<'n>(&'n self, name: &'n str) -> &'n str {
        let names = &self.options.names;
        let bare = name.strip_prefix("functions.").filter(|bare| !names.is_declared(name) && names.is_declared(bare));
        names.back(bare.unwrap_or(name))
    }

    /// Whether the response is complete and consists of text only.
    fn ends_by_itself(&self) -> bool {
        let is_whole = match &self.reason {
            None => self.done,
            Some(reason) => *reason == FinishReason::Stop,
        };
        is_whole && self.calls.is_empty()
    }

    /// Returns how the thoughts in the text began.
    pub fn beginning(&self) -> Option<Beginning> {
        self.think.beginning()
    }

    /// Emits all buffered text, because nothing follows that could change its meaning.
    fn release(&mut self, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        if let Some(half) = self.reader.rest() {
            self.say(&mut text, |think, sink| think.text(half.encode_utf8(&mut [0; 4]), sink));
        }
        let calls = !self.calls.is_empty();
        self.say(&mut text, |think, sink| think.finish(calls, sink));
        self.pass(text, out);
        let rest = self.strip.finish();
        self.emit(rest, out);
    }

    /// Returns the tool calls found in the buffered text, or emits the text unchanged.
    fn finish_leaked(&mut self, out: &mut Vec<LlmDelta>) -> Calls {
        let (reason, mut text) = (self.reason.as_ref(), String::new());
        let calls = self.leaked.as_mut().map(|leaked| leaked.finish(reason, &mut text)).unwrap_or_default();
        self.pass(text, out);
        let rest = self.strip.finish();
        self.emit(rest, out);
        Calls { calls, ..Calls::default() }
    }

    fn usage(&self) -> LlmUsage {
        let counted = self.usage;
        let prompt = counted.prompt().unwrap_or(self.options.prompt_estimate);
        let completion = counted
            .completion()
            .or_else(|| counted.total_tokens.and_then(|total| total.checked_sub(prompt)))
            .unwrap_or_else(|| self.output.total());
        debug!(
            prompt,
            completion,
            cached = counted.cached_tokens,
            thoughts = counted.reasoning_tokens,
            estimated = counted.prompt().is_none() || counted.completion().is_none(),
            "response tokens"
        );
        price::cached_llm_usage(
            self.options.pricing.as_ref(),
            prompt,
            counted.cached_tokens.unwrap_or_default(),
            completion,
        )
    }
}

impl StreamMapper for ChatMapper {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        self.read(event, out)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if !self.has_choice {
            return Err(InvokeError::server_unavailable("the server closed the stream without a response"));
        }
        if self.ends_by_itself() {
            let mut text = String::new();
            self.say(&mut text, |think, sink| think.end_whole(sink));
            self.pass(text, out);
        }
        self.release(out);
        if !self.done && self.reason.is_none() {
            self.finish_leaked(out);
            return Err(InvokeError::connection(
                "the server closed the stream before the response was complete, without a finish reason",
            ));
        }
        let cut = self.reason == Some(FinishReason::Length);
        // An invalid call must not cost the text that is buffered after it.
        let made = self.calls.finish(cut);
        let leaked = self.finish_leaked(out);
        let Calls { calls: mut tool_calls, kept } = match made? {
            made if made.calls.is_empty() => leaked,
            made => made,
        };
        let members = std::mem::take(&mut self.kept).into_members();
        let mut opaque_body = opaque_body(kept, members, std::mem::take(&mut self.answer));
        if !self.thoughts.is_empty() {
            opaque_body.get_or_insert_with(|| json!({}))[REASONING_KEY] = std::mem::take(&mut self.thoughts).into();
        }
        if !self.has_text && tool_calls.is_empty() {
            match self.reason {
                None => return Err(InvokeError::server_unavailable("the server returned an empty response")),
                Some(FinishReason::ToolCalls) => {
                    return Err(InvokeError::server_unavailable("the server reports a tool call, but sent none"));
                }
                _ => {}
            }
        }
        for ToolCall { function, .. } in &mut tool_calls {
            self.output.push(&function.name);
            self.output.push(&function.arguments);
            function.name = self.dify_name(&function.name).to_owned();
        }
        let mut reason = self.reason.take().unwrap_or(FinishReason::Stop);
        if !tool_calls.is_empty() && reason == FinishReason::Stop {
            reason = FinishReason::ToolCalls;
        }
        if !tool_calls.is_empty() || opaque_body.is_some() {
            out.push(LlmDelta::calls(tool_calls).with_opaque_body(opaque_body));
        }
        let mut end = LlmDelta::end(reason, self.usage());
        end.system_fingerprint = self.fingerprint.take();
        out.push(end);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.reason.is_some()
    }

    fn held(&self) -> usize {
        self.think.held()
            + self.leaked.as_ref().map_or(0, TextToolCalls::held)
            + self.calls.held()
            + self.kept_bytes
            + self.thoughts.len()
            + self.strip.held()
    }
}

/// Meaning of a finish reason.
enum Reason {
    None,
    Is(FinishReason),
    /// The server could not complete the response.
    Failure,
}

fn reason_of(word: &str) -> Reason {
    Reason::Is(match word.to_ascii_lowercase().as_str() {
        "" | "null" | "none" | "0" => return Reason::None,
        "error"
        | "failed"
        | "failure"
        | "abort"
        | "aborted"
        | "internal_error"
        | "server_error"
        | "network_error"
        | "insufficient_system_resource" => return Reason::Failure,
        "stop" | "eos" | "eos_token" | "end" | "end_turn" | "stop_sequence" | "complete" | "completed" => {
            FinishReason::Stop
        }
        "length" | "max_tokens" | "max_output_tokens" | "max_length" | "model_length" => FinishReason::Length,
        "tool_calls" | "tool_call" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "content-filter" | "safety" | "sensitive" | "prohibited_content" => {
            FinishReason::ContentFilter
        }
        _ => FinishReason::Other(word.to_owned()),
    })
}

#[cfg(test)]
mod tests;
