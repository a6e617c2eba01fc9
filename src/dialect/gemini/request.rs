//! Dify's conversation → Gemini's contents: system messages joined, turns merged, tool results paired with their calls,
//! signatures put back byte for byte.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::profile::{ModelProfile, Surface};
use super::wire::{Blob, Content, FileData, FunctionCall, FunctionResponse, GenerateContentRequest, Part};
use crate::dialect::think::strip_thoughts;
use crate::error::InvokeError;
use crate::protocol::{
    Content as Said, ContentPart, MediaPart, PromptMessage, Role, Tool, ToolCall, ToolChoice, ToolChoiceMode,
};

/// Stands for the signature of a call that the API did not make, or whose signature the host lost.
/// Documented by Google for histories of other models.
pub const BYPASS_SIGNATURE: &str = "skip_thought_signature_validator";

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
    /// What the model takes.
    pub profile: &'a ModelProfile,
    /// Which service.
    pub surface: Surface,
    /// Signatures by call id that this process remembers, for hosts that drop `opaque_body`.
    pub remembered: &'a (dyn Fn(&str) -> Option<String> + Sync),
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
        request.contents = contents;
        self.functions(request)
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
        let names = self.call_names();
        let current = self.messages.iter().rposition(|message| message.role == Role::User);
        for (index, message) in self.messages.iter().enumerate() {
            let (role, parts) = match message.role {
                Role::System => continue,
                Role::User => ("user", said_parts(&message.content)?),
                Role::Assistant => {
                    ("model", self.assistant_parts(message, current.is_none_or(|current| index > current))?)
                }
                Role::Tool => ("user", vec![self.tool_result(message, &names)?]),
            };
            if parts.is_empty() {
                continue;
            }
            let answers = |parts: &[Part]| parts.iter().any(|part| part.function_response.is_some());
            match contents.last_mut() {
                // Results of one step go into one content, and nothing else goes into it.
                Some(last) if last.role.as_deref() == Some(role) && answers(&last.parts) == answers(&parts) => {
                    last.parts.extend(parts);
                }
                _ => contents.push(turn(role, parts)),
            }
        }
        Ok(contents)
    }

    /// Names of all functions that were called, by call id.
    fn call_names(&self) -> HashMap<&str, &str> {
        let calls = self.messages.iter().flat_map(|message| &message.tool_calls);
        calls.map(|call| (call.id.as_str(), call.function.name.as_str())).collect()
    }

    fn assistant_parts(&self, message: &PromptMessage, in_current_turn: bool) -> Result<Vec<Part>, InvokeError> {
        let opaque = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
        let signature = |key: &str| {
            let signature = opaque.and_then(|opaque| opaque.get("signatures")).and_then(|map| map.get(key));
            signature.and_then(Value::as_str).map(str::to_owned).filter(|_| !self.distrust_signatures)
        };
        let mut parts = match &message.content {
            Said::Text(text) => {
                let text = strip_thoughts(text);
                if text.trim().is_empty() { Vec::new() } else { vec![Part::text(text)] }
            }
            content => said_parts(content)?,
        };
        if let (Some(last), Some(text_signature)) = (parts.last_mut(), signature("text")) {
            last.thought_signature = Some(text_signature);
        }
        for (number, call) in message.tool_calls.iter().enumerate() {
            let remembered = || (self.remembered)(&call.id).filter(|_| !self.distrust_signatures);
            let mut own = signature(&call.id).or_else(remembered);
            // Only the first call of a step carries one; without it the server refuses the current turn.
            if own.is_none() && number == 0 && in_current_turn && self.profile.needs_signatures {
                own = Some(BYPASS_SIGNATURE.to_owned());
            }
            parts.push(Part { function_call: Some(self.call(call)?), thought_signature: own, ..Part::default() });
        }
        Ok(parts)
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
        Ok(FunctionCall { id: self.wire_id(&call.id), name: call.function.name.clone(), args })
    }

    fn wire_id(&self, id: &str) -> Option<String> {
        (self.profile.sends_call_ids && !id.is_empty()).then(|| id.to_owned())
    }

    fn tool_result(&self, message: &PromptMessage, names: &HashMap<&str, &str>) -> Result<Part, InvokeError> {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let name = names.get(id).copied().or(message.name.as_deref()).ok_or_else(|| {
            InvokeError::bad_request(format!(
                "the tool result for call `{id}` fits no call in the conversation and names no tool"
            ))
        })?;
        let text = message.content.text();
        let response = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) if map.contains_key("output") || map.contains_key("error") => map,
            _ => Map::from_iter([("output".to_owned(), Value::String(text))]),
        };
        Ok(Part {
            function_response: Some(FunctionResponse { id: self.wire_id(id), name: name.to_owned(), response }),
            ..Part::default()
        })
    }

    fn functions(&self, request: &mut GenerateContentRequest) -> Result<(), InvokeError> {
        if self.tools.is_empty() {
            return Ok(());
        }
        if request.generation_config.contains_key("responseMimeType") && !self.profile.combines_schema {
            return Err(InvokeError::bad_request(
                "this model gives JSON answers or calls tools, not both in one request",
            )
            .with_hint("Remove the tools or the structured output, or choose a Gemini 3 model."));
        }
        let declarations: Vec<Value> = self.tools.iter().map(declaration).collect();
        let google_tools = !request.tools.is_empty();
        if google_tools && (!self.profile.combines_tools || self.surface.is_vertex()) {
            request.tools.clear();
        }
        let combined = !request.tools.is_empty();
        request.tools.push(json!({"functionDeclarations": declarations}));
        let mut config = json!({"functionCallingConfig": self.calling_mode(combined)});
        if combined {
            config["includeServerSideToolInvocations"] = true.into();
        }
        if combined || self.choice.is_some() {
            request.tool_config = Some(config);
        }
        Ok(())
    }

    fn calling_mode(&self, combined: bool) -> Value {
        match self.choice {
            Some(ToolChoice { mode: ToolChoiceMode::None, .. }) => json!({"mode": "NONE"}),
            Some(ToolChoice { mode: ToolChoiceMode::Required, .. }) => json!({"mode": "ANY"}),
            Some(ToolChoice { mode: ToolChoiceMode::Tool, name: Some(name) }) => {
                json!({"mode": "ANY", "allowedFunctionNames": [name]})
            }
            _ if combined => json!({"mode": "VALIDATED"}),
            _ => json!({"mode": "AUTO"}),
        }
    }
}

fn turn(role: &str, parts: Vec<Part>) -> Content {
    Content { role: Some(role.to_owned()), parts }
}

/// A function without arguments has no schema at all.
fn declaration(tool: &Tool) -> Value {
    let mut declaration = json!({"name": tool.name, "description": tool.description});
    let properties = tool.parameters.get("properties").and_then(Value::as_object);
    if properties.is_some_and(|properties| !properties.is_empty()) || tool.parameters.contains_key("$ref") {
        declaration["parametersJsonSchema"] = tool.parameters.clone().into();
    }
    declaration
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
            found.inline_data = Some(Blob { mime_type: mime_type(part.type_name(), media)?, data: data.clone() });
        }
        (None, Some(url)) => {
            let mime_type = Some(media.mime_type.clone()).filter(|mime| !mime.is_empty());
            found.file_data = Some(FileData { mime_type, file_uri: url.clone() });
        }
        (None, None) => {
            return Err(InvokeError::bad_request(format!(
                "a {} part has neither data nor an address",
                part.type_name()
            )));
        }
    }
    if let Some(Value::Object(opaque)) = &media.opaque_body {
        found.thought_signature = opaque.get(OPAQUE_KEY).and_then(|own| own["signature"].as_str()).map(str::to_owned);
        found.video_metadata = opaque.get("videoMetadata").cloned();
    }
    Ok(Some(found))
}

/// The media type, from the part or its file ending.
fn mime_type(kind: &str, media: &MediaPart) -> Result<String, InvokeError> {
    if media.mime_type.contains('/') {
        return Ok(media.mime_type.clone());
    }
    let format = match media.format.trim_start_matches('.').to_ascii_lowercase() {
        format if format.is_empty() => {
            return Err(InvokeError::bad_request(format!("a {kind} part says neither its media type nor its format")));
        }
        format => format,
    };
    Ok(match (kind, format.as_str()) {
        ("image", "jpg") => "image/jpeg".to_owned(),
        ("audio", "mp3") => "audio/mpeg".to_owned(),
        ("document", "pdf") => "application/pdf".to_owned(),
        ("document", "txt") => "text/plain".to_owned(),
        ("document", "md" | "markdown") => "text/markdown".to_owned(),
        ("document", format) => format!("text/{format}"),
        (kind, format) => format!("{kind}/{format}"),
    })
}
