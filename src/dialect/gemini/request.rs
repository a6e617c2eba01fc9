//! Converts Dify's conversation to Gemini's contents: joins system messages, merges turns, keeps the rounds of tool
//! calls together, and restores signatures byte for byte.

pub mod cache_prefix;
pub mod functions;
pub mod json_schema;
mod media;
pub mod parameters;
mod plugin_text;
mod step;
pub mod tools;

use serde_json::Value;

use self::functions::Functions;
use self::media::{clip_videos, media_of, sent_parts};
use super::wire::{Content, GenerateContentRequest, Part};
use crate::dialect::gemini::models::profile::{ModelProfile, Surface};
use crate::dialect::names::FunctionNames;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{PromptMessage, Role, Tool, ToolCall, ToolChoice};

pub use self::media::is_youtube;
pub use super::thought_signatures::BYPASS as BYPASS_SIGNATURE;

/// Key of the plugin's private JSON in a message's `opaque_body`.
pub const OPAQUE_KEY: &str = "gemini";

/// Inputs of the request builder, in addition to the request itself.
pub struct Conversation<'a> {
    /// The messages; media are inline or are URLs that Google can read.
    pub messages: &'a [PromptMessage],
    /// Functions.
    pub tools: &'a [Tool],
    /// Function names as sent to the service.
    pub names: &'a FunctionNames,
    /// Whether a function must be called, and which.
    pub choice: Option<&'a ToolChoice>,
    /// The function calling mode of the parameters; the request's own `tool_choice` takes precedence.
    pub mode: Option<&'a str>,
    /// Clip and frame rate of the videos.
    pub clip: Option<Value>,
    /// Capabilities of the model.
    pub profile: &'a ModelProfile,
    /// The Google service in use.
    pub surface: Surface,
    /// Remembered signatures of tool calls, for Dify versions that drop `opaque_body`. Signatures of images are stored
    /// with the images.
    pub remembered: &'a (dyn Fn(&ToolCall) -> Option<String> + Sync),
    /// Omits all signatures and sends the bypass value, because the server rejected one as corrupt.
    pub distrust_signatures: bool,
}

impl Conversation<'_> {
    /// Adds the system instruction, contents and functions to a request whose settings are complete.
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
            // Dify truncates long conversations at the start.
            contents.insert(0, turn("user", vec![Part::text("(The beginning of the conversation is left out.)")]));
        }
        // If the prompt consists of instructions only, they become the user message.
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

    /// Returns all system messages in order, and their media.
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

    /// `circulates`: whether calls of Google tools are sent back.
    fn contents(&self, circulates: bool) -> Result<Vec<Content>, InvokeError> {
        let turns: Vec<&PromptMessage> = self.messages.iter().filter(|message| message.role != Role::System).collect();
        let current = turns.iter().rposition(|message| message.role == Role::User);
        let run = |from: usize, role: Role| {
            turns[from..].iter().position(|message| message.role != role).map_or(turns.len(), |length| from + length)
        };
        let mut contents: Vec<Content> = Vec::new();
        let mut from = 0;
        while let Some(message) = turns.get(from) {
            if message.role == Role::User {
                add(&mut contents, "user", sent_parts(&message.content, self.profile.office_files)?);
                from += 1;
                continue;
            }
            // Consecutive assistant messages are one round: Dify may write one message for each of several calls.
            let mut calls_end = run(from, Role::Assistant);
            let mut end = run(calls_end, Role::Tool);
            if end == calls_end {
                // Text after calls without results is sent after their results.
                let last = turns[from..calls_end].iter().rposition(|message| !message.tool_calls.is_empty());
                calls_end = last.map_or(calls_end, |last| from + last + 1);
                end = calls_end;
            }
            let is_current = current.is_none_or(|current| from > current);
            self.step(&mut contents, &turns[from..calls_end], &turns[calls_end..end], is_current, circulates)?;
            from = end;
        }
        Ok(contents)
    }

    /// Handles conversations that end with a model turn: some models continue it, others reject it.
    fn end_with_user(&self, contents: &mut Vec<Content>) -> Result<(), InvokeError> {
        let last = self.messages.iter().rfind(|message| message.role != Role::System);
        if last.is_some_and(|message| message.role == Role::User) {
            contents.push(turn("user", vec![Part::text("(The message is empty.)")]));
        } else if self.profile.refuses_prefill {
            return Err(InvokeError::bad_request(
                "this model does not support prefilled responses: the last message must be a user message",
            ));
        }
        Ok(())
    }
}

/// Inserts parts at the start of the first turn, which is the user's.
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

/// Image models expect a signature on the first part of each of their turns and on every image.
fn sign_images(contents: &mut [Content]) {
    for content in contents.iter_mut().filter(|content| content.role.as_deref() == Some("model")) {
        for (place, part) in content.parts.iter_mut().enumerate() {
            if place == 0 || part.inline_data.is_some() || part.file_data.is_some() {
                part.thought_signature.get_or_insert_with(|| BYPASS_SIGNATURE.to_owned());
            }
        }
    }
}

/// Appends a turn, merging it with the previous turn of the same role. Function responses are not merged, and a
/// function call ends its turn.
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
