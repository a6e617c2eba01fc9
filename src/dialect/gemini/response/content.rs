//! The parts of an answer as they come: what of each is shown, and what of it is kept for the next request.

use super::{ENTRY, GeminiResponse, Held};
use crate::dialect::gemini::grounding::Citations;
use crate::dialect::gemini::media::{linked, media};
use crate::dialect::gemini::thought_signatures::of_content;
use crate::dialect::gemini::wire::{Blob, FunctionCall, Part};
use dify_plugin::protocol::{Content, ContentPart, LlmDelta};

impl GeminiResponse {
    /// Takes a part of one kind of data.
    pub(super) fn part(&mut self, mut part: Part, text: &mut String, out: &mut Vec<LlmDelta>) {
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
        self.has_images |= shown.type_name() == "image";
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

    pub(super) fn push_text(&mut self, text: String, out: &mut Vec<LlmDelta>) {
        if !text.is_empty() {
            self.shown += text.len();
            self.handed_on |= !text.trim().is_empty();
            out.push(LlmDelta::text(text));
        }
    }
}

/// A listing. Its fence is longer than any in it.
fn fenced(language: &str, listing: &str) -> String {
    let longest = listing.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    format!("\n{fence}{language}\n{listing}\n{fence}\n")
}
