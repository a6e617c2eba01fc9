//! Maps the chunks of a language model to pieces.

use dify_plugin::protocol::backwards::LlmChunk;
use dify_plugin::protocol::{Content, ContentPart, FinishReason, LlmUsage};
use serde_json::{Map, Value};

use super::calls::Calls;
use super::json_text::JsonText;
use super::think::ThinkParser;
use super::{End, Finish, Piece, Usage};

/// Push each chunk, then finish.
#[derive(Debug, Default)]
pub struct LlmMapper {
    think: ThinkParser,
    calls: Calls,
    /// Of a structured call.
    json: Option<JsonText>,
    structured: Option<Map<String, Value>>,
    finish_reason: Option<FinishReason>,
    usage: Option<LlmUsage>,
    fingerprint: Option<String>,
}

impl LlmMapper {
    pub fn new(is_structured: bool) -> Self {
        Self { json: is_structured.then(JsonText::default), ..Self::default() }
    }

    pub fn push(&mut self, chunk: LlmChunk, out: &mut Vec<Piece>) {
        let LlmChunk { delta, structured_output, .. } = chunk;
        self.text(content(delta.content), out);
        out.extend(delta.tool_calls.into_iter().map(|call| Piece::Call(self.calls.push(call))));
        self.structured = structured_output.or(self.structured.take());
        self.finish_reason = delta.finish_reason.or(self.finish_reason.take());
        self.usage = delta.usage.map(|usage| *usage).or(self.usage.take());
        self.fingerprint = delta.system_fingerprint.or(self.fingerprint.take());
    }

    pub fn finish(mut self, out: &mut Vec<Piece>) -> End {
        let mut rest = Vec::new();
        self.think.finish(&mut rest);
        self.guard(rest, out);
        if let Some(json) = &mut self.json {
            let text = json.finish(self.structured.take());
            out.extend(Some(text).filter(|text| !text.is_empty()).map(Piece::Text));
        }
        out.extend(self.calls.finish().map(Piece::Call));
        let finish_reason = self.finish_reason.as_ref().map_or(Finish::Stop, |reason| Finish::of(reason.as_str()));
        // Some providers call tools and report that they have stopped.
        let finish_reason = match finish_reason {
            Finish::Stop if !self.calls.is_empty() => Finish::ToolCalls,
            Finish::ToolCalls if self.calls.is_empty() => Finish::Stop,
            other => other,
        };
        let usage = self.usage.as_ref().map(Usage::from).unwrap_or_default();
        End { finish_reason, usage, fingerprint: self.fingerprint, ..End::default() }
    }

    fn text(&mut self, text: String, out: &mut Vec<Piece>) {
        if text.is_empty() {
            return;
        }
        if self.json.is_none() {
            return self.think.push(text, out);
        }
        let mut pieces = Vec::new();
        self.think.push(text, &mut pieces);
        self.guard(pieces, out);
    }

    /// Lets through what a structured answer may contain.
    fn guard(&mut self, pieces: Vec<Piece>, out: &mut Vec<Piece>) {
        for piece in pieces {
            match (piece, &mut self.json) {
                (Piece::Text(text), Some(json)) => {
                    let text = json.push(text);
                    out.extend(Some(text).filter(|text| !text.is_empty()).map(Piece::Text));
                }
                (piece, _) => out.push(piece),
            }
        }
    }
}

/// Text as it is; an image that the model has made as Markdown.
fn content(content: Content) -> String {
    let parts = match content {
        Content::Text(text) => return text,
        Content::Parts(parts) => parts,
    };
    let part = |part| match part {
        ContentPart::Text(text) => text.data,
        other => {
            let kind = other.type_name();
            let Some(media) = other.media() else { return String::new() };
            let url = match (&media.url, &media.base64_data) {
                (Some(url), _) => url.clone(),
                (None, Some(data)) => format!("data:{};base64,{data}", media.mime_type),
                (None, None) => return String::new(),
            };
            let mark = if kind == "image" { "!" } else { "" };
            format!("{mark}[{kind}]({url})")
        }
    };
    parts.into_iter().map(part).collect()
}
