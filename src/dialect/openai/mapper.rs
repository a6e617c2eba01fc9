//! The stream's chunks → our deltas. One mapper for chat and completion mode, for streams and whole documents.
//!
//! Text goes out as it comes, through the thoughts' and the leaked calls' filters; calls go out once, whole, at the end;
//! one last delta carries usage and finish reason. Holds no policy: time, size and connection belong to the driver.

use serde_json::Value;
use tracing::debug;

use super::calls::CallMerger;
use super::errors;
use super::leaked_calls::LeakedCalls;
use super::names::FunctionNames;
use super::profile::{Profile, ToolForm};
use super::wire::{Choice, Chunk, Delta, First, Usage};
use crate::codec::events::Event;
use crate::declare::{Pricing, price};
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::tokens::{TokenCounter, estimate_prompt};
use crate::dialect::{Flow, StreamMapper};
use crate::error::InvokeError;
use crate::protocol::{Content, FinishReason, LlmDelta, LlmRequest, LlmUsage, Tool};
use crate::upstream::status;

/// Words that servers send as data to keep a connection open.
const KEEP_ALIVE: [&str; 6] = ["ping", "[ping]", "keep-alive", "keepalive", "heartbeat", "{}"];

/// What the mapper must know of the request.
#[derive(Clone, Debug, Default)]
pub struct MapperOptions {
    /// What to do with thoughts.
    pub think: ThinkPolicy,
    /// Whether calls in the answer count.
    pub accept_calls: bool,
    /// The tools that were offered; text is searched for calls of them.
    pub tools: Vec<Tool>,
    /// The model's price.
    pub pricing: Option<Pricing>,
    /// Tokens of the prompt, for an upstream that does not say.
    pub prompt_estimate: u64,
}

impl MapperOptions {
    /// The options that follow from a request; `think` is [`ThinkPolicy::Hide`] when the user switched thinking off.
    pub fn of(request: &LlmRequest, profile: &Profile, pricing: Option<&Pricing>) -> Self {
        let accept_calls = profile.tools != ToolForm::None;
        Self {
            think: match super::chat_request::thinking_switch(&request.model_parameters) {
                Some(false) => ThinkPolicy::Hide,
                _ => ThinkPolicy::Show,
            },
            accept_calls,
            tools: if accept_calls {
                FunctionNames::of(&request.tools).on_the_wire(&request.tools)
            } else {
                Vec::new()
            },
            pricing: pricing.cloned(),
            prompt_estimate: estimate_prompt(&request.prompt_messages, &request.tools),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct ChatMapper {
    accept_calls: bool,
    pricing: Option<Pricing>,
    prompt_estimate: u64,
    think: ThinkWriter,
    leaked: Option<LeakedCalls>,
    calls: CallMerger,
    usage: Option<Usage>,
    reason: Option<FinishReason>,
    fingerprint: Option<String>,
    output: TokenCounter,
    /// Deltas with text came: a whole message that repeats them is passed over.
    streamed: bool,
    answered: bool,
    done: bool,
}

impl ChatMapper {
    /// A mapper at the beginning of an answer.
    pub fn new(options: MapperOptions) -> Self {
        Self {
            accept_calls: options.accept_calls,
            pricing: options.pricing,
            prompt_estimate: options.prompt_estimate,
            think: ThinkWriter::new(options.think),
            leaked: (!options.tools.is_empty()).then(|| LeakedCalls::new(&options.tools)),
            calls: CallMerger::default(),
            usage: None,
            reason: None,
            fingerprint: None,
            output: TokenCounter::default(),
            streamed: false,
            answered: false,
            done: false,
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Vec<LlmDelta>) {
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage);
        }
        if let Some(fingerprint) = chunk.system_fingerprint.0
            && self.fingerprint.is_none()
        {
            self.fingerprint = Some(fingerprint.into_owned());
        }
        match chunk.choices {
            First::Absent => {}
            First::Empty => self.answered = true,
            First::One(choice) => {
                self.answered = true;
                self.choice(choice, out);
            }
        }
    }

    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        if let Some(delta) = choice.delta {
            self.streamed |= !delta.content.as_str().is_empty();
            self.parts(delta, &mut text);
        } else if let Some(message) = choice.message {
            if !self.streamed {
                self.parts(message, &mut text);
            }
            self.done = true;
        }
        self.think.text(choice.text.as_str(), &mut text);
        self.pass(text, out);
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            let reason = reason_of(&word);
            if matches!(self.reason, None | Some(FinishReason::Stop)) {
                self.reason = Some(reason);
            }
        }
    }

    fn parts(&mut self, delta: Delta<'_>, text: &mut String) {
        if delta.has_thought_field() {
            self.think.separate_field(text);
            let thoughts = delta.thoughts();
            self.output.push(thoughts);
            self.think.thought(thoughts, text);
        }
        let content = delta.content.as_str();
        self.think.text(if content.is_empty() { delta.refusal.as_str() } else { content }, text);
        if !self.accept_calls {
            return;
        }
        for fragment in delta.tool_calls.iter().flatten() {
            self.calls.push(fragment);
        }
        if let Some(function) = delta.function_call {
            self.calls.push_function(function);
        }
        if !self.calls.is_empty() {
            self.think.close(text);
        }
    }

    /// Text on its way out.
    fn pass(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        let text = match &mut self.leaked {
            Some(leaked) => {
                let mut certain = String::new();
                leaked.push(&text, &mut certain);
                certain
            }
            None => text,
        };
        if !text.is_empty() {
            self.output.push(&text);
            out.push(LlmDelta::text(text));
        }
    }

    /// An object without choices: an error in any shape, or something to pass over.
    fn without_choices(&mut self, data: &str, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let value: Value = serde_json::from_str(data).unwrap_or(Value::Null);
        let is_error = value.get("error").is_some_and(|error| !error.is_null());
        if is_error || status::said_in(&value).message.is_some() {
            self.release(out);
            return Err(errors::error_in(&value));
        }
        Ok(())
    }

    /// Writes what is held back, because nothing follows that could decide what it is.
    fn release(&mut self, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        self.think.finish(!self.calls.is_empty(), &mut text);
        self.pass(text, out);
    }

    fn unreadable(&mut self, event: &Event, reason: &str, out: &mut Vec<LlmDelta>) -> InvokeError {
        self.release(out);
        InvokeError::server_unavailable(format!(
            "the upstream sent an event that is no chunk of an answer ({reason}): {}",
            status::excerpt(event.data.as_bytes())
        ))
    }

    fn usage(&self) -> LlmUsage {
        let counted = self.usage.unwrap_or_default();
        let prompt = counted.prompt().unwrap_or(self.prompt_estimate);
        let completion = counted
            .completion()
            .or_else(|| counted.total_tokens.and_then(|total| total.checked_sub(prompt)))
            .unwrap_or_else(|| self.output.total());
        debug!(
            prompt,
            completion,
            cached = counted.prompt_tokens_details.and_then(|details| details.cached_tokens),
            thoughts = counted.completion_tokens_details.and_then(|details| details.reasoning_tokens),
            estimated = counted.prompt().is_none() || counted.completion().is_none(),
            "tokens of an answer"
        );
        price::llm_usage(self.pricing.as_ref(), prompt, completion)
    }
}

impl StreamMapper for ChatMapper {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(Flow::Done);
        }
        if event.name == "error" {
            self.release(out);
            let value = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
            return Err(errors::error_in(&value));
        }
        if data.is_empty() || KEEP_ALIVE.iter().any(|word| data.eq_ignore_ascii_case(word)) {
            return Ok(Flow::Continue);
        }
        let chunk: Chunk<'_> = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                self.without_choices(data, out)?;
                return Err(self.unreadable(event, &error.to_string(), out));
            }
        };
        let empty = !matches!(chunk.choices, First::One(_));
        if empty && (chunk.error.is_some() || chunk.usage.is_none()) {
            self.without_choices(data, out)?;
        }
        self.chunk(chunk, out);
        Ok(Flow::Continue)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if !self.answered && !self.done {
            return Err(InvokeError::server_unavailable("the upstream closed the stream without an answer"));
        }
        self.release(out);
        let mut text = String::new();
        let leaked = self.leaked.as_mut().map(|leaked| leaked.finish(&mut text)).unwrap_or_default();
        if !text.is_empty() {
            self.output.push(&text);
            out.push(LlmDelta::text(text));
        }
        if !self.done && self.reason.is_none() {
            return Err(InvokeError::connection(
                "the upstream closed the stream in the middle of its answer, without a finish reason",
            ));
        }
        let mut tool_calls = self.calls.finish()?;
        if tool_calls.is_empty() {
            tool_calls = leaked;
        }
        for call in &tool_calls {
            self.output.push(&call.function.name);
            self.output.push(&call.function.arguments);
        }
        let mut reason = self.reason.take().unwrap_or(FinishReason::Stop);
        if !tool_calls.is_empty() {
            if reason == FinishReason::Stop {
                reason = FinishReason::ToolCalls;
            }
            out.push(LlmDelta { tool_calls, ..LlmDelta::default() });
        }
        out.push(LlmDelta {
            content: Content::default(),
            finish_reason: Some(reason),
            usage: Some(self.usage()),
            system_fingerprint: self.fingerprint.take(),
            ..LlmDelta::default()
        });
        Ok(())
    }
}

fn reason_of(word: &str) -> FinishReason {
    match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests;
