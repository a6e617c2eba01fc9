//! Dify's conversation → Gemini's contents: system messages joined, turns merged, steps of an agent kept together,
//! signatures put back byte for byte.

mod media;
mod step;

use serde_json::Value;

use self::media::{clip_videos, media_of, sent_parts};
use super::functions::Functions;
use super::own_words;
use super::profile::{ModelProfile, Surface};
use super::wire::{Content, GenerateContentRequest, Part};
use crate::dialect::names::FunctionNames;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{PromptMessage, Role, Tool, ToolCall, ToolChoice};

pub use self::media::is_youtube;
pub use super::thought_signatures::BYPASS as BYPASS_SIGNATURE;

/// Key of our private JSON in a message's `opaque_body`.
pub const OPAQUE_KEY: &str = "gemini";

/// What the request builder needs besides the request.
pub struct Conversation<'a> {
    /// The messages; media are inline or addresses that Google reads itself.
    pub messages: &'a [PromptMessage],
    /// Functions.
    pub tools: &'a [Tool],
    /// How the service knows them.
    pub names: &'a FunctionNames,
    /// Whether and which function must be called.
    pub choice: Option<&'a ToolChoice>,
    /// The mode of calling as a parameter; the request's own choice goes before it.
    pub mode: Option<&'a str>,
    /// Clip and frame rate of the films.
    pub clip: Option<Value>,
    /// What the model takes.
    pub profile: &'a ModelProfile,
    /// Which service.
    pub surface: Surface,
    /// Signatures of calls that this process remembers, for hosts that drop `opaque_body`; those of pictures stand at the
    /// pictures.
    pub remembered: &'a (dyn Fn(&ToolCall) -> Option<String> + Sync),
    /// Leave every signature out and use the bypass: the server called one corrupted.
    pub distrust_signatures: bool,
}

impl Conversation<'_> {
    /// Fills system instruction, contents and functions into a request whose settings are already there.
    pub fn fill(&self, request: &mut GenerateContentRequest) -> Result<(), InvokeError> {
        let functions = Functions {
            tools: self.tools,
            names: self.names,
            choice: self.choice,
            mode: self.mode,
            profile: self.profile,
            surface: self.surface,
        };
        let (system, media_of_system) = self.system()?;
        let mut contents = self.contents(functions.combines(request))?;
        let is_model =
            |content: Option<&Content>| content.is_some_and(|content| content.role.as_deref() == Some("model"));
        if is_model(contents.last()) {
            self.end_with_user(&mut contents)?;
        }
        if is_model(contents.first()) {
            // Dify cuts long conversations at the front.
            contents.insert(0, turn("user", vec![Part::text("(The beginning of the conversation is left out.)")]));
        }
        // A prompt of nothing but instructions is the question itself.
        let as_text = !system.is_empty() && (contents.is_empty() || !self.profile.system_instruction);
        let first = as_text.then(|| Part::text(&system)).into_iter().chain(media_of_system).collect();
        begin_with(&mut contents, first);
        if contents.is_empty() {
            return Err(InvokeError::bad_request("the prompt has no messages"));
        }
        if !system.is_empty() && !as_text {
            request.system_instruction = Some(Content { role: None, parts: vec![Part::text(system)] });
        }
        if self.profile.signs_images() {
            sign_images(&mut contents);
        }
        if let Some(clip) = &self.clip {
            clip_videos(&mut contents, clip);
        }
        request.contents = contents;
        functions.fill(request)
    }

    /// All system texts in order, and their media.
    fn system(&self) -> Result<(String, Vec<Part>), InvokeError> {
        let mut texts = Vec::new();
        let mut media = Vec::new();
        for message in self.messages.iter().filter(|message| message.role == Role::System) {
            let text = message.content.text();
            if !text.trim().is_empty() {
                texts.push(text);
            }
            media.extend(media_of(message, self.profile.office_files)?);
        }
        Ok((texts.join("\n\n"), media))
    }

    /// `circulates`: whether calls of Google's own tools go back.
    fn contents(&self, circulates: bool) -> Result<Vec<Content>, InvokeError> {
        let said: Vec<&PromptMessage> = self.messages.iter().filter(|message| message.role != Role::System).collect();
        let current = said.iter().rposition(|message| message.role == Role::User);
        let run = |from: usize, role: Role| {
            said[from..].iter().position(|message| message.role != role).map_or(said.len(), |length| from + length)
        };
        let mut contents: Vec<Content> = Vec::new();
        let mut from = 0;
        while let Some(message) = said.get(from) {
            if message.role == Role::User {
                add(&mut contents, "user", sent_parts(&message.content, self.profile.office_files)?);
                from += 1;
                continue;
            }
            // Neighbouring answers are one step: a host may write one message for each of several calls.
            let mut answered = run(from, Role::Assistant);
            let mut end = run(answered, Role::Tool);
            if end == answered {
                // What the model said after calls that nobody answered comes after their results.
                let last = said[from..answered].iter().rposition(|message| !message.tool_calls.is_empty());
                answered = last.map_or(answered, |last| from + last + 1);
                end = answered;
            }
            let is_current = current.is_none_or(|current| from > current);
            self.step(&mut contents, &said[from..answered], &said[answered..end], is_current, circulates)?;
            from = end;
        }
        Ok(contents)
    }

    /// What to do when the model has the last word: some models continue it, others refuse.
    fn end_with_user(&self, contents: &mut Vec<Content>) -> Result<(), InvokeError> {
        let last = self.messages.iter().rfind(|message| message.role != Role::System);
        if last.is_some_and(|message| message.role == Role::User) {
            contents.push(turn("user", vec![Part::text("(The message is empty.)")]));
        } else if self.profile.refuses_prefill {
            return Err(InvokeError::bad_request(
                "this model does not continue an answer: the last message must be the user's",
            ));
        }
        Ok(())
    }
}

/// Puts parts in front of the first turn, which is the user's.
fn begin_with(contents: &mut Vec<Content>, parts: Vec<Part>) {
    if parts.is_empty() {
        return;
    }
    match contents.first_mut() {
        Some(first) if first.parts.iter().all(|part| part.function_response.is_none()) => {
            first.parts.splice(0..0, parts);
        }
        _ => contents.insert(0, turn("user", parts)),
    }
}

/// Models that draw look for a signature at the first part of each of their turns and at every picture in it.
fn sign_images(contents: &mut [Content]) {
    for content in contents.iter_mut().filter(|content| content.role.as_deref() == Some("model")) {
        for (place, part) in content.parts.iter_mut().enumerate() {
            if place == 0 || part.inline_data.is_some() || part.file_data.is_some() {
                part.thought_signature.get_or_insert_with(|| BYPASS_SIGNATURE.to_owned());
            }
        }
    }
}

/// Adds a turn; neighbours of one speaker become one, parts as they are. Results stand alone, and calls end a turn.
fn add(contents: &mut Vec<Content>, role: &str, parts: Vec<Part>) {
    if parts.is_empty() {
        return;
    }
    let alone =
        |parts: &[Part]| parts.iter().any(|part| part.function_response.is_some() || part.function_call.is_some());
    match contents.last_mut() {
        Some(last)
            if last.role.as_deref() == Some(role) && !alone(&last.parts) && (role == "model" || !alone(&parts)) =>
        {
            last.parts.extend(parts);
        }
        _ => contents.push(turn(role, parts)),
    }
}

fn turn(role: &str, parts: Vec<Part>) -> Content {
    Content { role: Some(role.to_owned()), parts }
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
