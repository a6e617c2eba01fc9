//! Gemini's stream → deltas: text, thoughts, calls, images, audio, code, sources, usage, and an ending that always explains.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::price::PriceList;
use super::request::OPAQUE_KEY;
use super::wire::{
    Blob, Candidate, GenerateContentResponse, GroundingMetadata, Part, PromptFeedback, SafetyRating, UsageMetadata,
};
use super::{errors, finish};
use crate::codec::events::Event;
use crate::dialect::think::{ThinkPolicy, ThinkWriter};
use crate::dialect::{Flow, StreamMapper};
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, LlmDelta, MediaPart, ToolCall};

/// Maps one answer. All state is this answer's own.
pub struct GenerateMapper {
    think: ThinkWriter,
    prices: PriceList,
    usage: Option<UsageMetadata>,
    reason: Option<(String, Option<String>)>,
    ratings: Vec<SafetyRating>,
    blocked: Option<PromptFeedback>,
    signatures: Map<String, Value>,
    grounding: Option<GroundingMetadata>,
    pages: Vec<(String, String)>,
    calls: usize,
    spoke: bool,
    expects_json: bool,
}

impl GenerateMapper {
    /// A mapper for one answer. `expects_json`: nothing but the JSON text may be said.
    pub fn new(prices: PriceList, expects_json: bool) -> Self {
        Self {
            think: ThinkWriter::new(ThinkPolicy::Show),
            prices,
            usage: None,
            reason: None,
            ratings: Vec::new(),
            blocked: None,
            signatures: Map::new(),
            grounding: None,
            pages: Vec::new(),
            calls: 0,
            spoke: false,
            expects_json,
        }
    }

    fn take(&mut self, answer: GenerateContentResponse, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if let Some(error) = answer.error {
            return Err(errors::from_value(&error, None));
        }
        if let Some(usage) = answer.usage_metadata {
            self.usage = Some(usage);
        }
        if let Some(feedback) = answer.prompt_feedback
            && feedback.block_reason.is_some()
        {
            self.blocked = Some(feedback);
        }
        for candidate in answer.candidates.into_iter().filter(|candidate| candidate.index.unwrap_or(0) == 0) {
            self.candidate(candidate, out);
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate, out: &mut Vec<LlmDelta>) {
        let mut delta = LlmDelta::default();
        let mut text = String::new();
        for part in candidate.content.map(|content| content.parts).unwrap_or_default() {
            self.part(part, &mut text, &mut delta, out);
        }
        push_text(text, out);
        if !delta.tool_calls.is_empty() {
            delta.opaque_body = self.opaque_body();
            out.push(delta);
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            self.reason = Some((reason, candidate.finish_message));
        }
        if !candidate.safety_ratings.is_empty() {
            self.ratings = candidate.safety_ratings;
        }
        if let Some(grounding) = candidate.grounding_metadata {
            self.grounding = Some(grounding);
        }
        if let Some(pages) = candidate.url_context_metadata {
            self.pages =
                pages.url_metadata.into_iter().map(|page| (page.retrieved_url, page.url_retrieval_status)).collect();
        }
    }

    fn part(&mut self, part: Part, text: &mut String, delta: &mut LlmDelta, out: &mut Vec<LlmDelta>) {
        let thought = part.thought.unwrap_or(false);
        if let Some(said) = part.text {
            self.spoke |= !thought && !said.is_empty();
            if thought { self.think.thought(&said, text) } else { self.think.text(&said, text) }
        }
        if let Some(call) = part.function_call {
            self.think.close(text);
            self.calls += 1;
            let id = call
                .id
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| format!("call_{}", uuid::Uuid::new_v4().simple()));
            if let Some(signature) = part.thought_signature {
                self.signatures.insert(id.clone(), signature.into());
            }
            let arguments = Value::Object(call.args.unwrap_or_default()).to_string();
            delta.tool_calls.push(ToolCall::function(id, call.name, arguments));
            return;
        }
        if let Some(blob) = part.inline_data {
            self.spoke = true;
            self.think.close(text);
            push_text(std::mem::take(text), out);
            let content = Content::Parts(vec![media(blob, part.thought_signature.as_deref())]);
            out.push(LlmDelta { content, ..LlmDelta::default() });
            return;
        }
        if let Some(code) = part.executable_code {
            self.spoke = true;
            self.think
                .text(&format!("\n```{}\n{}\n```\n", code.language.to_ascii_lowercase(), code.code.trim_end()), text);
        }
        if let Some(result) = part.code_execution_result {
            let outcome = match result.outcome.as_str() {
                "OUTCOME_OK" | "" => String::new(),
                other => format!("{}\n", other.trim_start_matches("OUTCOME_").to_ascii_lowercase().replace('_', " ")),
            };
            self.think.text(&format!("\n```\n{outcome}{}\n```\n", result.output.trim_end()), text);
        }
        if let Some(signature) = part.thought_signature
            && !thought
        {
            self.signatures.insert("text".to_owned(), signature.into());
        }
    }

    /// Everything that must come back with the message; cumulative, so that the last one is complete.
    fn opaque_body(&self) -> Option<Value> {
        (!self.signatures.is_empty()).then(|| json!({ OPAQUE_KEY: {"signatures": self.signatures} }))
    }

    /// Sources of search and pages that could not be read, as text behind the answer.
    fn sources(&self) -> String {
        let mut text = String::new();
        if self.expects_json {
            return text;
        }
        if let Some(grounding) = &self.grounding {
            let sources = grounding
                .grounding_chunks
                .iter()
                .filter_map(|chunk| chunk.web.as_ref().or(chunk.maps.as_ref()).or(chunk.retrieved_context.as_ref()));
            for (number, source) in sources.enumerate() {
                let title = if source.title.is_empty() { &source.uri } else { &source.title };
                text.push_str(&format!("\n[{}] [{}]({})", number + 1, title.replace(['[', ']'], " "), source.uri));
            }
            if !text.is_empty() {
                text.insert_str(0, "\n\nSources:");
            }
            if !grounding.web_search_queries.is_empty() {
                text.push_str(&format!("\n\nSearched for: {}", grounding.web_search_queries.join("; ")));
            }
        }
        for (url, status) in self.pages.iter().filter(|(_, status)| status != "URL_RETRIEVAL_STATUS_SUCCESS") {
            let why = status.trim_start_matches("URL_RETRIEVAL_STATUS_").to_ascii_lowercase();
            text.push_str(&format!("\n\nCould not read {url} ({why})"));
        }
        text
    }

    fn ending(&mut self, word: &str, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        self.think.finish(self.calls > 0, &mut text);
        text.push_str(&self.sources());
        out.push(LlmDelta {
            content: Content::Text(text),
            opaque_body: self.opaque_body(),
            finish_reason: Some(finish::reason(word, self.calls > 0)),
            usage: Some(self.prices.usage(&self.usage.take().unwrap_or_default())),
            ..LlmDelta::default()
        });
    }
}

/// Hands collected text on as a delta of its own.
fn push_text(text: String, out: &mut Vec<LlmDelta>) {
    if !text.is_empty() {
        out.push(LlmDelta::text(text));
    }
}

/// Inline bytes as Dify shows them; raw PCM becomes a WAV file.
fn media(blob: Blob, signature: Option<&str>) -> ContentPart {
    let mut mime_type = blob.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut data = blob.data;
    if mime_type.starts_with("audio/l16")
        && let Ok(samples) = STANDARD.decode(&data)
    {
        data = STANDARD.encode(wav(&samples, sample_rate(&blob.mime_type)));
        mime_type = "audio/wav".to_owned();
    }
    let (kind, format) = mime_type.split_once('/').unwrap_or(("image", "png"));
    let kind = kind.to_owned();
    let media = MediaPart {
        format: format.to_owned(),
        mime_type: mime_type.clone(),
        base64_data: Some(data),
        detail: (kind == "image").then(|| "high".to_owned()),
        opaque_body: signature.map(|signature| json!({ OPAQUE_KEY: {"signature": signature} })),
        ..MediaPart::default()
    };
    match kind.as_str() {
        "image" => ContentPart::Image(media),
        "audio" => ContentPart::Audio(media),
        "video" => ContentPart::Video(media),
        _ => ContentPart::Document(media),
    }
}

fn sample_rate(mime_type: &str) -> u32 {
    let rate = mime_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate="));
    rate.and_then(|rate| rate.parse().ok()).unwrap_or(24_000)
}

/// A WAV file of 16-bit mono samples.
pub fn wav(samples: &[u8], rate: u32) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    for field in [1u16, 1] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    for field in [2u16, 16] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}

impl StreamMapper for GenerateMapper {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        let data = event.data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(Flow::Continue);
        }
        match serde_json::from_str::<GenerateContentResponse>(data) {
            Ok(answer) => self.take(answer, out).map(|()| Flow::Continue),
            Err(error) => match serde_json::from_str::<Value>(data) {
                Ok(Value::Array(items)) if items.iter().all(|item| item.get("candidates").is_some()) => {
                    for item in items {
                        let answer = serde_json::from_value(item).map_err(|error| unreadable(&error, data))?;
                        self.take(answer, out)?;
                    }
                    Ok(Flow::Continue)
                }
                Ok(value @ (Value::String(_) | Value::Array(_))) => Err(errors::from_value(&value, None)),
                _ => Err(unreadable(&error, data)),
            },
        }
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        if let Some(feedback) = self.blocked.take()
            && !self.spoke
            && self.calls == 0
        {
            let word = feedback.block_reason.as_deref().unwrap_or("OTHER");
            return Err(finish::prompt_blocked(
                word,
                feedback.block_reason_message.as_deref(),
                &feedback.safety_ratings,
            ));
        }
        let Some((word, said)) = self.reason.take() else {
            return Err(InvokeError::connection("the answer was cut short: the stream ended without a finish reason")
                .retryable());
        };
        let nothing = !self.spoke && self.calls == 0;
        if finish::is_malformed(&word) || (nothing && word != "STOP") {
            return Err(finish::nothing_said(&word, said.as_deref(), &self.ratings));
        }
        self.ending(&word, out);
        Ok(())
    }
}

fn unreadable(error: &serde_json::Error, data: &str) -> InvokeError {
    let beginning: String = data.chars().take(200).collect();
    InvokeError::server_unavailable(format!("an event of the answer cannot be read ({error}): {beginning}"))
}
