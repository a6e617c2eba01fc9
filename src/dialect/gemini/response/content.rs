//! The parts of a response as they arrive: what of each is emitted, and what is stored for the next request.

use super::media::{linked, media};
use super::{ENTRY_BYTES, GeminiResponse, Held};
use crate::dialect::gemini::grounding::Citations;
use crate::dialect::gemini::thought_signatures::of_content;
use crate::dialect::gemini::wire::{Blob, FunctionCall, Part};
use dify_plugin::protocol::{ContentPart, LlmDelta};

impl GeminiResponse {
    /// Processes a part with one type of data.
    pub(super) fn part(&mut self, mut part: Part, text: &mut String, out: &mut Vec<LlmDelta>) {
        let thought = part.thought.unwrap_or(false);
        if let Some(call) = part.function_call.take() {
            return self.call(call, part.thought_signature.take(), text);
        }
        if part.inline_data.is_some() || part.file_data.is_some() {
            // A draft from the model's thinking is not an image of the response, and is not sent back as one.
            if !thought {
                self.media(part, text, out);
            }
            return;
        }
        if let Some(new_text) = part.text.as_ref().or(part.audio_transcription.as_ref().map(|turn| &turn.text)) {
            self.now.progress |= !new_text.is_empty();
            if thought {
                self.think.thought(new_text, text);
            } else {
                let new_text = new_text.clone();
                self.emit_text(&new_text, text);
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

    /// Emits an incomplete character at the end as a replacement character.
    pub fn rest(&mut self, rest: char, out: &mut Vec<LlmDelta>) {
        let mut text = String::new();
        self.emit_text(rest.encode_utf8(&mut [0; 4]), &mut text);
        self.push_text(text, out);
    }

    /// Emits text immediately, or buffers it until citation markers can be inserted.
    fn emit_text(&mut self, new_text: &str, text: &mut String) {
        self.has_text |= !new_text.trim().is_empty();
        self.text_length += new_text.len();
        self.kept += new_text.len();
        self.output.push(new_text);
        if self.options.citations == Citations::Inline {
            self.text.push_str(new_text);
            match self.held.last_mut() {
                Some(Held::Text(length)) => *length += new_text.len(),
                _ => self.hold(Held::Text(new_text.len())),
            }
        } else {
            self.think.text(new_text, text);
        }
    }

    fn code(&mut self, block: String, text: &mut String) {
        self.kept += block.len();
        (self.has_text, self.now.progress) = (true, true);
        if self.options.citations == Citations::Inline {
            self.hold(Held::Code(block));
        } else {
            self.think.text(&block, text);
        }
    }

    fn hold(&mut self, item: Held) {
        self.kept += ENTRY_BYTES;
        self.held.push(item);
    }

    /// Processes an image, audio or another file: inline, or by URL.
    fn media(&mut self, mut part: Part, text: &mut String, out: &mut Vec<LlmDelta>) {
        let is_there = part.inline_data.as_ref().is_some_and(|blob| !blob.data.is_empty())
            || part.file_data.as_ref().is_some_and(|file| !file.file_uri.is_empty());
        if !is_there {
            return;
        }
        (self.has_text, self.now.progress) = (true, true);
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
        self.has_images |= shown.type_name() == "image";
        // The signature is sent back with the image; this copy is for Dify versions that lose it.
        if let (Some(signature), Some(content)) = (signature, shown.media().and_then(|it| it.base64_data.as_deref())) {
            self.kept += ENTRY_BYTES + signature.len();
            self.signed_media.push((of_content(content), signature));
        }
        self.keep(part, false);
        self.show(shown, text, out);
    }

    fn show(&mut self, part: ContentPart, text: &mut String, out: &mut Vec<LlmDelta>) {
        let delta = LlmDelta::parts(vec![part]);
        if self.options.citations == Citations::Inline {
            self.hold(Held::Media(Box::new(delta)));
        } else {
            self.think.close(text);
            self.push_text(std::mem::take(text), out);
            self.emitted = true;
            out.push(delta);
        }
    }

    /// Adds a call or a further part of one; calls are emitted at the end of the response.
    fn call(&mut self, call: FunctionCall, signature: Option<String>, text: &mut String) {
        self.now.progress = true;
        self.kept += call.length() + signature.as_ref().map_or(0, String::len);
        let Some((place, begins)) = self.calls.take(call) else { return };
        if begins {
            self.kept += 2 * ENTRY_BYTES;
            self.think.close(text);
            self.call_parts.push(self.parts.len());
            self.parts.push(Part { function_call: Some(FunctionCall::default()), ..Part::default() });
        }
        let part = &mut self.parts[self.call_parts[place]];
        part.thought_signature = signature.or(part.thought_signature.take());
    }

    /// Stores a part for the next request: signed parts unchanged, unsigned text joined. Media are stored in the
    /// message itself.
    fn keep(&mut self, part: Part, thought: bool) {
        self.kept += part.thought_signature.as_ref().map_or(0, String::len);
        if part.thought_signature.is_none() {
            if thought || part.text.as_deref() == Some("") {
                return;
            }
            if let (Some(new_text), Some(Part { text: Some(known), thought_signature: None, .. })) =
                (&part.text, self.parts.last_mut())
            {
                known.push_str(new_text);
                return;
            }
        }
        if part != Part::default() {
            self.kept += ENTRY_BYTES;
            self.parts.push(part);
        }
    }

    pub(super) fn push_text(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        if !text.is_empty() {
            self.shown += text.len();
            self.emitted |= !text.trim().is_empty();
            out.push(LlmDelta::text(text));
        }
    }
}

/// Formats a code block. Its fence is longer than any in the code.
fn fenced(language: &str, listing: &str) -> String {
    let longest = listing.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("\n{fence}{language}\n{listing}\n{fence}\n")
}
