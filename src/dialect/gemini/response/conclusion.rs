//! The end of a response: its buffered output, calls, sources, the data that must be sent back with it, and its usage.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::calls;
use super::{GeminiResponse, Held};
use crate::dialect::gemini::finish;
use crate::dialect::gemini::grounding::{Citations, Grounding};
use crate::dialect::gemini::request::OPAQUE_KEY;
use crate::dialect::gemini::thought_signatures::{Key, of_call};
use crate::dialect::gemini::wire::{FunctionCall, ModalityTokens, Part, UsageMetadata};
use dify_plugin::protocol::{LlmDelta, ToolCall};

impl GeminiResponse {
    /// Returns the last deltas: buffered output, calls, sources, private data, finish reason and usage.
    /// `prompt_estimate` is called only if the service reported no token counts.
    pub fn conclude(&mut self, prompt_estimate: impl FnOnce() -> u64) -> Vec<LlmDelta> {
        let mut out = Vec::new();
        let mut text = String::new();
        self.release(&mut text, &mut out);
        let has_calls = !self.calls.is_empty();
        self.think.finish(has_calls, &mut text);
        if has_calls {
            self.push_text(std::mem::take(&mut text), &mut out);
            out.push(LlmDelta::calls(self.take_tool_calls()));
        }
        if !self.options.expects_json && self.options.citations != Citations::Off {
            text.push_str(&self.grounding.list());
        }
        self.shown += text.len();
        let word = self.now.reason.take().map_or_else(|| "STOP".to_owned(), |(word, _)| word);
        let word = if word == "CONTINUATION" { "MAX_TOKENS" } else { &word };
        if word == "MAX_TOKENS" && self.options.expects_json {
            tracing::warn!("JSON response truncated; raise `max_output_tokens` or lower the thinking level");
        }
        let end = LlmDelta::end(finish::reason(word, has_calls), self.usage(prompt_estimate));
        out.push(end.with_content(text).with_opaque_body(self.opaque_body()));
        out
    }

    /// Returns the calls with Dify's function names, and updates the stored parts accordingly.
    fn take_tool_calls(&mut self) -> Vec<ToolCall> {
        let mut handed = Vec::new();
        for (call, place) in self.calls.iter().zip(&self.call_parts) {
            let names = &self.options.names;
            let name = names.back(calls::declared_name(&call.name, |name| names.is_declared(name))).to_owned();
            let arguments = Value::Object(call.arguments.clone()).to_string();
            self.output.push(&arguments);
            handed.push(ToolCall::function(call.id.clone(), name.clone(), arguments));
            let args = (!call.arguments.is_empty()).then(|| call.arguments.clone());
            self.parts[*place].function_call =
                Some(FunctionCall { id: Some(call.id.clone()), name, args, ..FunctionCall::default() });
        }
        handed
    }

    /// Emits the output that waited for citation markers.
    fn release(&mut self, text: &mut String, out: &mut Vec<LlmDelta>) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        let marks = if self.options.expects_json { Default::default() } else { self.grounding.marks(&self.text) };
        let whole = std::mem::take(&mut self.text);
        let mut from = 0;
        for item in held {
            match item {
                Held::Text(length) => {
                    let end = from + length;
                    Grounding::marked(&whole, from..end, &marks, |piece| self.think.text(piece, text));
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

    /// Returns the private data to store with the message if its text alone cannot reproduce the response. `length`
    /// reveals later edits. The signature of an image is stored with the image.
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

    /// Returns the signatures of calls and images for the signature store. Call it after the response was concluded.
    pub fn signed(&self) -> impl Iterator<Item = (Key, &str)> {
        let calls = self.parts.iter().filter_map(|part| {
            let (call, signature) = (part.function_call.as_ref()?, part.thought_signature.as_deref()?);
            let arguments = Value::Object(call.args.clone().unwrap_or_default()).to_string();
            Some((of_call(call.id.as_deref().unwrap_or_default(), &call.name, &arguments), signature))
        });
        calls.chain(self.signed_media.iter().map(|(key, signature)| (*key, signature.as_str())))
    }

    /// Returns the number of searches that the model made, and their list price if the model's data contains one.
    /// Google provides a free monthly quota, so the price of the response does not include it.
    pub fn searches(&self) -> (usize, Option<Decimal>) {
        let searches = self.grounding.searches();
        (searches, self.options.prices.details.search.map(|price| price.of(searches as u64)))
    }

    fn usage(&self, prompt_estimate: impl FnOnce() -> u64) -> dify_plugin::protocol::LlmUsage {
        if self.spent.is_empty() {
            tracing::warn!("no token usage in the response; using an estimate");
            let estimate = UsageMetadata {
                prompt_token_count: Some(prompt_estimate()),
                candidates_token_count: Some(self.output.total()),
                ..UsageMetadata::default()
            };
            return self.options.prices.usage(std::slice::from_ref(&estimate));
        }
        let mut spent = self.spent.clone();
        // Image tokens are more expensive: output tokens that are not text are counted as image tokens if the service
        // does not report them.
        if let Some(last) = spent.last_mut().filter(|_| self.has_images)
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
