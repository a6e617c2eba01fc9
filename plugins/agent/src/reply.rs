//! A model's response, joined from its chunks: words, thoughts, files and tool calls, and what of it the user sees at once.
//! Pure, but for [`send`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::prelude::*;
use dify_plugin::protocol::backwards::{LlmChunk, LlmCollector};
use dify_plugin::protocol::{Content, ContentPart, LlmUsage, MediaPart, ToolCall};
use dify_plugin::serde_json::{Deserializer, Map, Value};

use crate::thoughts::{Part, Thoughts};

/// A whole response.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// What the model answered.
    pub(crate) text: String,
    /// What it thought about it.
    pub(crate) thoughts: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) usage: Option<LlmUsage>,
}

/// What a chunk adds.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Thought(String),
    File(MediaPart),
}

/// Joins chunks: push each, then finish.
#[derive(Default)]
pub(crate) struct ReplyBuilder {
    thoughts: Thoughts,
    whole: LlmCollector,
    reply: Reply,
}

impl ReplyBuilder {
    /// Takes the next chunk, and returns what it adds to what the user may see.
    pub(crate) fn push(&mut self, mut chunk: LlmChunk) -> Vec<Piece> {
        let content = std::mem::take(&mut chunk.delta.content);
        self.whole.push(chunk);
        let parts = match content {
            Content::Text(text) => vec![ContentPart::text(text)],
            Content::Parts(parts) => parts,
        };
        let mut pieces = Vec::new();
        for part in parts {
            match part {
                ContentPart::Text(text) => {
                    let parts = self.thoughts.push(&text.data);
                    pieces.extend(parts.into_iter().map(|part| self.keep(part)));
                }
                ContentPart::Image(media)
                | ContentPart::Audio(media)
                | ContentPart::Video(media)
                | ContentPart::Document(media) => pieces.push(Piece::File(media)),
                _ => {}
            }
        }
        pieces
    }

    /// The whole, and the end of what the user may see.
    pub(crate) fn finish(mut self) -> (Vec<Piece>, Reply) {
        let parts = self.thoughts.finish();
        let pieces = parts.into_iter().map(|part| self.keep(part)).collect();
        let whole = self.whole.finish();
        let calls = whole.tool_calls.into_iter().flat_map(separate).collect();
        (pieces, Reply { calls, usage: whole.usage, ..self.reply })
    }

    fn keep(&mut self, part: Part) -> Piece {
        match part {
            Part::Text(text) => {
                self.reply.text.push_str(&text);
                Piece::Text(text)
            }
            Part::Thought(text) => {
                self.reply.thoughts.push_str(&text);
                Piece::Thought(text)
            }
        }
    }
}

/// Calls that a model's plugin gave the same ID were joined to one, with arguments that follow one another.
fn separate(call: ToolCall) -> Vec<ToolCall> {
    let objects: Result<Vec<Map<String, Value>>, _> =
        Deserializer::from_str(&call.function.arguments).into_iter().collect();
    match objects {
        Ok(objects) if objects.len() > 1 => {
            // Some begin with an empty object before the first fragment.
            let objects = objects.into_iter().enumerate().filter(|(index, object)| *index > 0 || !object.is_empty());
            let calls = objects.enumerate().map(|(number, (_, object))| {
                let id = if number == 0 { call.id.clone() } else { format!("{}_{}", call.id, number + 1) };
                ToolCall::function(id, call.function.name.clone(), Value::Object(object).to_string())
            });
            calls.collect()
        }
        _ => vec![call],
    }
}

/// Shows a response as it comes: thoughts in blocks that are always closed, whatever the model wrote.
#[derive(Default)]
pub(crate) struct Display {
    is_in_thought: bool,
    /// Whether there was anything to see.
    pub(crate) has_shown: bool,
}

impl Display {
    /// The text that shows a piece; none for a file.
    pub(crate) fn text_of(&mut self, piece: &Piece) -> Option<String> {
        let (is_thought, text) = match piece {
            Piece::Text(text) => (false, text),
            Piece::Thought(text) => (true, text),
            Piece::File(_) => return None,
        };
        self.has_shown = true;
        let tag = match (self.is_in_thought, is_thought) {
            (false, true) => "<think>",
            (true, false) => "</think>",
            _ => "",
        };
        self.is_in_thought = is_thought;
        Some(format!("{tag}{text}"))
    }

    /// What closes a block that is open.
    pub(crate) fn finish(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.is_in_thought).then_some("</think>")
    }
}

/// Sends a file that a model made.
pub(crate) async fn send(media: MediaPart, out: &mut AgentMessages) -> Result<(), PluginError> {
    let mime_type = if media.mime_type.is_empty() { "application/octet-stream" } else { &media.mime_type };
    let mut meta = BlobMeta::new(mime_type);
    if let Some(name) = &media.filename {
        meta = meta.with_filename(name);
    }
    match (&media.base64_data, &media.url) {
        (Some(data), _) => match STANDARD.decode(data) {
            Ok(bytes) => out.blob(bytes, meta).await,
            Err(_) => Err(PluginError::upstream("the model sent a file that is not Base64")),
        },
        (None, Some(url)) if mime_type.starts_with("image/") => out.image_url(url).await,
        (None, Some(url)) => out.link(url).await,
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
