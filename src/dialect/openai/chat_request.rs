//! Builds the body of `/chat/completions` or `/completions` as a [`Profile`] specifies.
//!
//! Parameters that the user did not set are not sent, so the defaults of the server and the model apply.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::messages::{Message, messages, prompt_text};
use super::options::parameters::{Conversion, apply_rules, switched};
use super::profile::{Mode, Profile, StopForm, StreamForm, ToolForm};
use super::structured::{JSON_INSTRUCTION, structured};
use crate::dialect::names::{FunctionNames, NameRule, distinct};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Content, ContentPart, LlmRequest, Tool, ToolChoice, ToolChoiceMode};

/// Function names that OpenAI accepts: `^[a-zA-Z0-9_-]{1,64}$`.
pub const NAMES: NameRule = NameRule { punctuation: "-", begins_with_any: true };

/// Parameters with which users switch thinking on and off. The second is that of the official Xinference plugin; the third
/// may also be the object that a server expects, which is sent as it is.
const THINKING_SWITCHES: [&str; 3] = ["enable_thinking", "think", "thinking"];

/// Parameters for the amount of thinking; they are not sent when thinking is off.
const THINKING_MEASURES: [&str; 2] = ["reasoning_effort", "thinking_budget"];

#[derive(Debug, Serialize)]
struct ChatBody<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// Returns the body as JSON; `model` is the wire name, `names` maps the request's functions.
pub fn chat_request(
    model: &str,
    request: &LlmRequest,
    profile: &Profile,
    names: &FunctionNames,
) -> Result<Bytes, InvokeError> {
    let mut rest: Map<String, Value> = request.model_parameters.clone();
    rest.retain(|_, value| !value.is_null());
    if let StreamForm::Parameter(name) = &profile.stream {
        rest.remove(name);
    }
    profile.parameters.fill(&mut rest);
    if thinks_not(&rest, profile) {
        THINKING_MEASURES.iter().for_each(|measure| {
            rest.remove(*measure);
        });
    }
    apply_rules(&profile.rules, &mut rest);
    let structured = structured(&mut rest, request.json_schema.as_ref(), profile.structured)?;
    let stop = stops(&request.stop, profile.stop);
    thinking(&mut rest, profile);
    guided(&mut rest)?;
    rename(&mut rest, model, profile);
    let mut own_tools = Vec::new();
    profile.parameters.apply(&mut rest, &mut own_tools)?;
    add_tools(&mut rest, own_tools);
    let mut instruction = structured.instruction.as_deref();
    if let Some(format) = structured.response_format {
        // OpenAI and DashScope reject the JSON mode for a prompt that does not mention JSON.
        if instruction.is_none() && format["type"] == "json_object" && !mentions_json(request) {
            instruction = Some(JSON_INSTRUCTION);
        }
        rest.insert("response_format".to_owned(), format);
    }
    offer_tools(&mut rest, request, profile, names)?;
    merge(&mut rest, &profile.extra_body);
    for own in ["model", "messages", "prompt", "stream", "stream_options", "stop", "user"] {
        rest.remove(own);
    }
    if let Some(form) = profile.user.as_ref().filter(|_| !request.target.user_id.is_empty()) {
        rest.insert(form.field.clone(), form.value(&request.target.user_id).into());
    }
    let chat = profile.mode == Mode::Chat;
    let body = ChatBody {
        model,
        messages: chat.then(|| messages(request, profile, names, instruction)).transpose()?,
        prompt: (!chat).then(|| prompt_text(&request.prompt_messages, instruction)).transpose()?,
        stream: request.stream,
        stream_options: (request.stream && profile.include_usage).then_some(StreamOptions { include_usage: true }),
        stop,
        rest,
    };
    let mut json = Vec::with_capacity(usual_bytes(request));
    serde_json::to_writer(&mut json, &body)
        .map_err(|error| InvokeError::internal(format!("cannot write the upstream request: {error}")))?;
    Ok(json.into())
}

/// Returns the length of most bodies, so that a long one is not copied while it is written: its texts and files, some escapes,
/// and the rest.
fn usual_bytes(request: &LlmRequest) -> usize {
    let part = |part: &ContentPart| match part {
        ContentPart::Text(text) => text.data.len(),
        other => other.media().and_then(|media| media.base64_data.as_ref()).map_or(0, String::len),
    };
    let contents = request.prompt_messages.iter().map(|message| match &message.content {
        Content::Text(text) => text.len(),
        Content::Parts(parts) => parts.iter().map(part).sum(),
    });
    let bytes: usize = contents.sum();
    bytes + bytes / 16 + 1024
}

/// Whether the prompt contains the word JSON, in any case.
fn mentions_json(request: &LlmRequest) -> bool {
    let has = |text: &str| text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
    request.prompt_messages.iter().any(|message| match &message.content {
        Content::Text(text) => has(text),
        Content::Parts(parts) => parts.iter().any(|part| matches!(part, ContentPart::Text(text) if has(&text.data))),
    })
}

/// Returns the user's choice: on, off, or none.
pub fn thinking_switch(parameters: &Map<String, Value>) -> Option<bool> {
    THINKING_SWITCHES.iter().find_map(|name| switched(parameters.get(*name)?))
}

/// Whether the user switched thinking off, with a switch of the dialect or a parameter that the profile converts to one.
pub fn thinks_not(parameters: &Map<String, Value>, profile: &Profile) -> bool {
    let is_off = |name: &str| parameters.get(name).and_then(switched) == Some(false);
    thinking_switch(parameters) == Some(false)
        || profile.parameters.0.iter().any(|(name, conversion)| conversion.is_switch() && is_off(name))
}

/// Moves the thinking switch to where the upstream expects it, unless a conversion of the profile says how it is sent.
fn thinking(rest: &mut Map<String, Value>, profile: &Profile) {
    let form = profile.thinking;
    let mut switch = None;
    for name in THINKING_SWITCHES {
        let is_sent = name == "thinking" && (!form.is_switchable() || rest.get(name).is_some_and(Value::is_object));
        if is_sent || profile.parameters.get(name).is_some_and(Conversion::says_how) {
            continue;
        }
        switch = switch.or_else(|| rest.get(name).and_then(switched));
        rest.remove(name);
    }
    let mut template = Map::new();
    if let Some(on) = switch {
        if form.template_kwargs {
            template.insert("enable_thinking".to_owned(), on.into());
            template.insert("thinking".to_owned(), on.into());
        }
        if form.top_level {
            rest.insert("enable_thinking".to_owned(), on.into());
        }
        if form.object {
            rest.insert("thinking".to_owned(), json!({"type": if on { "enabled" } else { "disabled" }}));
        }
    }
    if form.template_kwargs
        && let Some(effort) = rest.get("reasoning_effort")
    {
        template.insert("reasoning_effort".to_owned(), effort.clone());
    }
    if !template.is_empty() {
        match rest.get_mut("chat_template_kwargs") {
            Some(Value::Object(own)) => own.extend(template),
            _ => {
                rest.insert("chat_template_kwargs".to_owned(), Value::Object(template));
            }
        }
    }
}

/// Returns the stop sequences without empty ones and consecutive duplicates.
fn stops(request: &[String], form: StopForm) -> Vec<String> {
    let mut stops: Vec<String> = request.iter().filter(|stop| !stop.is_empty()).cloned().collect();
    stops.dedup();
    if let StopForm::AtMost(number) = form {
        stops.truncate(number);
    }
    stops
}

/// Adds members; objects are merged, other members replaced.
fn merge(members: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (members.get_mut(name), value) {
            (Some(Value::Object(own)), Value::Object(more)) => merge(own, more),
            _ => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Adds tools of the server, such as a web search, to those that the body already has.
fn add_tools(rest: &mut Map<String, Value>, own: Vec<Value>) {
    if own.is_empty() {
        return;
    }
    match rest.get_mut("tools") {
        Some(Value::Array(tools)) => tools.extend(own),
        _ => {
            rest.insert("tools".to_owned(), Value::Array(own));
        }
    }
}

/// Replaces a schema given as a string with the object it describes.
fn guided(rest: &mut Map<String, Value>) -> Result<(), InvokeError> {
    if let Some(Value::String(text)) = rest.get("guided_json") {
        if text.trim().is_empty() {
            rest.remove("guided_json");
            return Ok(());
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| InvokeError::bad_request(format!("parameter `guided_json` is not valid JSON: {error}")))?;
        rest.insert("guided_json".to_owned(), schema);
    }
    Ok(())
}

fn rename(rest: &mut Map<String, Value>, model: &str, profile: &Profile) {
    let limit = profile.max_tokens.for_model(model);
    let is_converted = profile.parameters.get("max_tokens").is_some_and(Conversion::says_how);
    if limit != "max_tokens"
        && !is_converted
        && let Some(value) = rest.remove("max_tokens")
    {
        rest.insert(limit.to_owned(), value);
    }
}

fn offer_tools(
    rest: &mut Map<String, Value>,
    request: &LlmRequest,
    profile: &Profile,
    names: &FunctionNames,
) -> Result<(), InvokeError> {
    if request.tools.is_empty() || profile.tools == ToolForm::None {
        return Ok(());
    }
    let tools = distinct(&request.tools)?;
    let functions = tools.into_iter().map(|tool| function(tool, names));
    let choice = request.tool_choice.as_ref();
    if profile.tools == ToolForm::FunctionCall {
        rest.insert("functions".to_owned(), functions.collect());
        if let Some(choice) = choice {
            rest.insert("function_call".to_owned(), choose(choice, |name| json!({"name": names.out(name)})));
        }
        return Ok(());
    }
    let offered = functions.map(|function| json!({"type": "function", "function": function}));
    // A tool that the body already has (a web search of the gateway) stays in the list.
    let mut tools: Vec<Value> = rest.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
    tools.extend(offered);
    rest.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = choice {
        let named = |name: &str| json!({"type": "function", "function": {"name": names.out(name)}});
        rest.insert("tool_choice".to_owned(), choose(choice, named));
    } else if profile.always_chooses {
        rest.entry("tool_choice").or_insert_with(|| "auto".into());
    }
    Ok(())
}

fn choose(choice: &ToolChoice, named: impl Fn(&str) -> Value) -> Value {
    match (choice.mode, &choice.name) {
        (ToolChoiceMode::Tool, Some(name)) => named(name),
        (ToolChoiceMode::None, _) => "none".into(),
        (ToolChoiceMode::Required | ToolChoiceMode::Tool, _) => "required".into(),
        (_, _) => "auto".into(),
    }
}

fn function(tool: &Tool, names: &FunctionNames) -> Value {
    let parameters = if tool.parameters.is_empty() {
        json!({"type": "object", "properties": {}})
    } else {
        Value::Object(tool.parameters.clone())
    };
    json!({"name": names.out(&tool.name), "description": tool.description, "parameters": parameters})
}

#[cfg(test)]
mod tests;
