//! Dify's conversation → Gemini's contents: system messages joined, turns merged, tool results paired with their calls,
//! signatures put back byte for byte.

use serde_json::{Map, Value, json};

use super::functions::Functions;
use super::media_types::media_type;
use super::profile::{ModelProfile, Surface};
use super::wire::{Blob, Content, FileData, FunctionCall, FunctionResponse, GenerateContentRequest, Part};
use crate::dialect::think::strip_thoughts;
use crate::error::InvokeError;
use crate::protocol::{Content as Said, ContentPart, MediaPart, PromptMessage, Role, Tool, ToolCall, ToolChoice};

pub use super::signatures::BYPASS as BYPASS_SIGNATURE;

/// Key of our private JSON in a message's `opaque_body`.
pub const OPAQUE_KEY: &str = "gemini";

/// What the request builder needs besides the request.
pub struct Conversation<'a> {
    /// The messages; media are inline or addresses that Google reads itself.
    pub messages: &'a [PromptMessage],
    /// Functions.
    pub tools: &'a [Tool],
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
    /// Signatures of calls that this process remembers, for hosts that drop `opaque_body`.
    pub remembered: &'a (dyn Fn(&ToolCall) -> Option<String> + Sync),
    /// Leave every signature out and use the bypass: the server called one corrupted.
    pub distrust_signatures: bool,
}

impl Conversation<'_> {
    /// Fills system instruction, contents and functions into a request.
    pub fn fill(&self, request: &mut GenerateContentRequest) -> Result<(), InvokeError> {
        let (system, media_of_system) = self.system()?;
        let mut contents = self.contents()?;
        if !media_of_system.is_empty() {
            match contents.iter_mut().find(|content| content.role.as_deref() == Some("user")) {
                Some(content) => drop(content.parts.splice(0..0, media_of_system)),
                None => contents.insert(0, turn("user", media_of_system)),
            }
        }
        match (system.is_empty(), contents.is_empty()) {
            (true, true) => return Err(InvokeError::bad_request("the prompt has no messages")),
            // A prompt of nothing but instructions is the question itself.
            (false, true) => contents.push(turn("user", vec![Part::text(system)])),
            (false, false) => {
                request.system_instruction = Some(Content { role: None, parts: vec![Part::text(system)] });
            }
            (true, false) => {}
        }
        let last_is_model = contents.last().is_some_and(|content| content.role.as_deref() == Some("model"));
        if last_is_model && self.profile.refuses_prefill {
            return Err(InvokeError::bad_request(
                "this model does not continue an answer: the last message must be the user's",
            ));
        }
        let first_is_model = contents.first().is_some_and(|content| content.role.as_deref() == Some("model"));
        if first_is_model {
            // Dify cuts long conversations at the front.
            contents.insert(0, turn("user", vec![Part::text("(The beginning of the conversation is left out.)")]));
        }
        if let Some(clip) = &self.clip {
            clip_videos(&mut contents, clip);
        }
        request.contents = contents;
        Functions {
            tools: self.tools,
            choice: self.choice,
            mode: self.mode,
            profile: self.profile,
            surface: self.surface,
        }
        .fill(request)
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
            if let Said::Parts(parts) = &message.content {
                for part in parts.iter().filter(|part| part.media().is_some()) {
                    media.extend(media_part(part)?);
                }
            }
        }
        Ok((texts.join("\n\n"), media))
    }

    fn contents(&self) -> Result<Vec<Content>, InvokeError> {
        let mut contents: Vec<Content> = Vec::new();
        let current = self.messages.iter().rposition(|message| message.role == Role::User);
        let mut messages =
            self.messages.iter().enumerate().filter(|(_, message)| message.role != Role::System).peekable();
        // Calls of the step whose results come next.
        let mut open: Vec<&ToolCall> = Vec::new();
        while let Some((index, message)) = messages.next() {
            match message.role {
                Role::System => {}
                Role::User => add(&mut contents, "user", said_parts(&message.content)?),
                Role::Assistant => {
                    let parts = self.assistant_parts(message, current.is_none_or(|current| index > current))?;
                    add(&mut contents, "model", parts);
                    open = message.tool_calls.iter().collect();
                }
                Role::Tool => {
                    let mut results = vec![message];
                    while let Some((_, next)) = messages.next_if(|(_, next)| next.role == Role::Tool) {
                        results.push(next);
                    }
                    self.results(&mut contents, &std::mem::take(&mut open), results)?;
                    continue;
                }
            }
            let next_is_result = messages.peek().is_some_and(|(_, next)| next.role == Role::Tool);
            if !next_is_result && !open.is_empty() {
                self.results(&mut contents, &std::mem::take(&mut open), Vec::new())?;
            }
        }
        Ok(contents)
    }

    /// The results of one step: as many as calls, in their order, in one content. A call that nobody answered gets an
    /// error as its result; a result whose call was cut from the history goes as the user's text.
    fn results(
        &self,
        contents: &mut Vec<Content>,
        calls: &[&ToolCall],
        mut results: Vec<&PromptMessage>,
    ) -> Result<(), InvokeError> {
        let mut parts = Vec::new();
        let mut media = Vec::new();
        for call in calls {
            let place = results.iter().position(|result| result.tool_call_id.as_deref() == Some(call.id.as_str()));
            // A host may lose ids: what is left is taken in order.
            let place = place.or_else(|| results.iter().position(|result| result.tool_call_id.is_none()));
            let (response, files) = match place.map(|place| results.remove(place)) {
                Some(result) => (response_of(result), media_of(result)?),
                None => (Map::from_iter([("error".to_owned(), json!("this call was not answered"))]), Vec::new()),
            };
            let (inside, beside) =
                if self.profile.needs_signatures { (files, Vec::new()) } else { (Vec::new(), files) };
            media.extend(beside);
            parts.push(Part {
                function_response: Some(FunctionResponse {
                    id: self.wire_id(&call.id),
                    name: call.function.name.clone(),
                    response,
                    parts: inside,
                }),
                ..Part::default()
            });
        }
        if !parts.is_empty() {
            contents.push(turn("user", parts));
        }
        for orphan in results {
            let name = orphan.name.as_deref().unwrap_or("a tool");
            add(contents, "user", vec![Part::text(format!("Result of {name}: {}", orphan.content.text()))]);
            media.extend(media_of(orphan)?);
        }
        add(contents, "user", media);
        Ok(())
    }

    fn assistant_parts(&self, message: &PromptMessage, in_current_turn: bool) -> Result<Vec<Part>, InvokeError> {
        let own = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
        let mut parts = match own.and_then(|own| replay(message, own)) {
            Some(parts) => self.own_ids(parts),
            None => self.rebuilt(message)?,
        };
        if self.distrust_signatures {
            parts.iter_mut().for_each(|part| part.thought_signature = None);
            parts.retain(|part| part.text.as_deref() != Some(""));
        }
        // Only the first call of a step carries one; without it the server refuses the current turn.
        if in_current_turn
            && self.profile.needs_signatures
            && let Some(first) = parts.iter_mut().find(|part| part.function_call.is_some())
        {
            first.thought_signature.get_or_insert_with(|| BYPASS_SIGNATURE.to_owned());
        }
        Ok(parts)
    }

    /// The parts of an answer from what Dify shows of it, with the signatures that are known.
    fn rebuilt(&self, message: &PromptMessage) -> Result<Vec<Part>, InvokeError> {
        let mut parts = match &message.content {
            Said::Text(text) => {
                let text = strip_thoughts(text);
                if text.trim().is_empty() { Vec::new() } else { vec![Part::text(text)] }
            }
            content => said_parts(content)?,
        };
        for call in &message.tool_calls {
            parts.push(Part {
                function_call: Some(self.call(call)?),
                thought_signature: kept_signature(message, &call.id).or_else(|| (self.remembered)(call)),
                ..Part::default()
            });
        }
        Ok(parts)
    }

    /// Ids of calls stand in every kept part; they go out only to models that have them.
    fn own_ids(&self, mut parts: Vec<Part>) -> Vec<Part> {
        for call in parts.iter_mut().filter_map(|part| part.function_call.as_mut()) {
            call.id = call.id.take().and_then(|id| self.wire_id(&id));
        }
        parts
    }

    fn call(&self, call: &ToolCall) -> Result<FunctionCall, InvokeError> {
        let arguments = call.function.arguments.trim();
        let args = match arguments {
            "" | "{}" => None,
            text => Some(serde_json::from_str::<Map<String, Value>>(text).map_err(|error| {
                InvokeError::bad_request(format!(
                    "the arguments of call `{}` are not a JSON object: {error}",
                    call.function.name
                ))
            })?),
        };
        Ok(FunctionCall {
            id: self.wire_id(&call.id),
            name: call.function.name.clone(),
            args,
            ..FunctionCall::default()
        })
    }

    fn wire_id(&self, id: &str) -> Option<String> {
        (self.profile.sends_call_ids && !id.is_empty()).then(|| id.to_owned())
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

/// The parts that were kept with an answer, when the message is still the one they were kept with.
fn replay(message: &PromptMessage, own: &Value) -> Option<Vec<Part>> {
    let length = own.get("length")?.as_u64()?;
    let mut parts: Vec<Part> = serde_json::from_value(own.get("parts")?.clone()).ok()?;
    let calls = parts.iter().filter_map(|part| part.function_call.as_ref()?.id.as_deref());
    if message.content.text().len() as u64 != length
        || !calls.eq(message.tool_calls.iter().map(|call| call.id.as_str()))
    {
        return None;
    }
    let mut media = media_of(message).ok()?.into_iter();
    for part in parts.iter_mut().filter(|part| part.inline_data.is_some()) {
        let shown = media.next()?;
        (part.inline_data, part.file_data) = (shown.inline_data, shown.file_data);
    }
    (media.next().is_none() && !parts.is_empty()).then_some(parts)
}

/// The signature that was kept for a call.
fn kept_signature(message: &PromptMessage, id: &str) -> Option<String> {
    let parts = message.opaque_body.as_ref()?.get(OPAQUE_KEY)?.get("parts")?.as_array()?;
    let part = parts.iter().find(|part| part["functionCall"]["id"] == id)?;
    part["thoughtSignature"].as_str().map(str::to_owned)
}

/// `{"output": …}` or `{"error": …}` around a tool's text, unless it is one already.
fn response_of(result: &PromptMessage) -> Map<String, Value> {
    let text = result.content.text();
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(map)) if map.contains_key("output") || map.contains_key("error") => map,
        _ => Map::from_iter([("output".to_owned(), Value::String(text))]),
    }
}

fn media_of(message: &PromptMessage) -> Result<Vec<Part>, InvokeError> {
    let Said::Parts(parts) = &message.content else { return Ok(Vec::new()) };
    parts.iter().filter_map(|part| media_part(part).transpose()).collect()
}

/// Films by address or inline that have no clip of their own.
fn clip_videos(contents: &mut [Content], clip: &Value) {
    for part in contents.iter_mut().flat_map(|content| &mut content.parts) {
        let mime_type = part.inline_data.as_ref().map(|blob| blob.mime_type.as_str());
        let of_file = part.file_data.as_ref().map(|file| (file.mime_type.as_deref(), file.file_uri.as_str()));
        let film = match (mime_type, of_file) {
            (Some(mime), _) | (None, Some((Some(mime), _))) => mime.starts_with("video/"),
            (None, Some((None, uri))) => is_youtube(uri),
            (None, None) => false,
        };
        if film {
            part.video_metadata.get_or_insert_with(|| clip.clone());
        }
    }
}

fn turn(role: &str, parts: Vec<Part>) -> Content {
    Content { role: Some(role.to_owned()), parts }
}

fn said_parts(content: &Said) -> Result<Vec<Part>, InvokeError> {
    match content {
        Said::Text(text) if text.is_empty() => Ok(Vec::new()),
        Said::Text(text) => Ok(vec![Part::text(text)]),
        Said::Parts(parts) => {
            let mut found = Vec::with_capacity(parts.len());
            for part in parts {
                match part {
                    ContentPart::Text(text) if text.data.is_empty() => {}
                    ContentPart::Text(text) => found.push(Part::text(&text.data)),
                    media => found.extend(media_part(media)?),
                }
            }
            Ok(found)
        }
    }
}

/// A media part: inline bytes, or an address that Google reads.
fn media_part(part: &ContentPart) -> Result<Option<Part>, InvokeError> {
    let Some(media) = part.media() else { return Ok(None) };
    let mut found = Part::default();
    match (&media.base64_data, &media.url) {
        (Some(data), _) => {
            found.inline_data = Some(Blob { mime_type: media_type(part.type_name(), media)?, data: data.clone() });
        }
        (None, Some(url)) => {
            found.file_data =
                Some(FileData { mime_type: type_at(part.type_name(), media, url)?, file_uri: url.clone() });
        }
        (None, None) => {
            return Err(InvokeError::bad_request(format!("this {} has neither data nor an address", part.type_name())));
        }
    }
    if let Some(Value::Object(opaque)) = &media.opaque_body {
        found.thought_signature = opaque.get(OPAQUE_KEY).and_then(|own| own["signature"].as_str()).map(str::to_owned);
        found.video_metadata = opaque.get("videoMetadata").cloned();
    }
    Ok(Some(found))
}

/// The type of what is behind an address. A film of YouTube's is a film, whatever a host found at its page.
fn type_at(kind: &str, media: &MediaPart, url: &str) -> Result<Option<String>, InvokeError> {
    if is_youtube(url) {
        return Ok(Some(media.mime_type.clone()).filter(|mime_type| mime_type.starts_with("video/")));
    }
    media_type(kind, media).map(Some)
}

/// Whether an address is a film of YouTube's.
pub fn is_youtube(url: &str) -> bool {
    const PREFIXES: [&str; 4] =
        ["https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/"];
    PREFIXES.iter().any(|prefix| url.starts_with(prefix))
}

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
