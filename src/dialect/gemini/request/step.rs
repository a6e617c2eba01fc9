//! One round of tool calls: the model's text and calls, and the results of these calls in the form that the service
//! expects.
//!
//! All results follow the calls in one content, as many as there are calls and in the same order, with IDs that are
//! unique within the round. A call without a result gets an error as its result. A result whose call was truncated from
//! the history is sent as user text, as are a call of a function that is no longer declared and its result. Signatures
//! are sent back byte for byte.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};

use super::media::{media_of, own_parts};
use super::{BYPASS_SIGNATURE, Conversation, OPAQUE_KEY, add, turn};
use crate::dialect::gemini::wire::{Content, FunctionCall, FunctionResponse, Part};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{PromptMessage, ToolCall};

/// A call within its round.
struct Call<'a> {
    call: &'a ToolCall,
    /// ID of the call in this request.
    id: String,
    /// Function name as sent to the service; `None` if the function is no longer declared.
    name: Option<Cow<'a, str>>,
}

impl Conversation<'_> {
    /// Adds the assistant messages of one round and the results that follow them.
    pub(super) fn step(
        &self,
        contents: &mut Vec<Content>,
        answers: &[&PromptMessage],
        results: &[&PromptMessage],
        in_current_turn: bool,
        circulates: bool,
    ) -> Result<(), InvokeError> {
        let calls = self.calls(answers);
        let mut parts = Vec::new();
        let mut next = calls.iter();
        for answer in answers {
            for mut part in self.answer_parts(answer, circulates)? {
                if let Some(function) = &mut part.function_call {
                    // Both forms of parts contain all calls of their message, in order.
                    let Some(Call { id, name: Some(name), .. }) = next.next() else { continue };
                    function.id = self.wire_id(id);
                    function.name = name.clone().into_owned();
                }
                parts.push(part);
            }
        }
        // Only the first call of a round carries a signature; without it, the server rejects the current turn.
        if in_current_turn
            && self.profile.needs_signatures
            && let Some(first) = parts.iter_mut().find(|part| part.function_call.is_some())
        {
            first.thought_signature.get_or_insert_with(|| BYPASS_SIGNATURE.to_owned());
        }
        add(contents, "model", parts);
        self.results(contents, &calls, results)
    }

    /// Returns the calls of a round; repeated IDs get numbers.
    fn calls<'a>(&'a self, answers: &[&'a PromptMessage]) -> Vec<Call<'a>> {
        let all = || answers.iter().flat_map(|answer| &answer.tool_calls);
        let mut taken: HashSet<String> = all().map(|call| call.id.clone()).collect();
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let mut calls = Vec::new();
        for call in all() {
            let number = uses.entry(&call.id).and_modify(|number| *number += 1).or_insert(1);
            let mut id = call.id.clone();
            while *number > 1 && !id.is_empty() {
                id = format!("{}_{number}", call.id);
                if taken.insert(id.clone()) {
                    break;
                }
                *number += 1;
            }
            let name = &call.function.name;
            // Without tools, no declaration can contradict a call.
            let is_known = self.tools.is_empty() || self.names.has(name);
            let name = is_known.then(|| self.names.out(name));
            calls.push(Call { call, id, name });
        }
        calls
    }

    fn results(
        &self,
        contents: &mut Vec<Content>,
        calls: &[Call<'_>],
        results: &[&PromptMessage],
    ) -> Result<(), InvokeError> {
        let mut waiting = Waiting::of(results);
        let (mut responses, mut texts, mut media) = (Vec::new(), Vec::new(), Vec::new());
        for Call { call, id, name } in calls {
            let result = waiting.take(&call.id);
            let office = self.profile.office_files;
            let files = result.map(|result| media_of(result, office)).transpose()?.unwrap_or_default();
            let Some(name) = name else {
                let function = &call.function;
                let output = result.map_or_else(|| "none".to_owned(), |result| result.content.text());
                texts.push(format!("Result of {}({}): {output}", function.name, function.arguments.trim()));
                media.extend(files);
                continue;
            };
            let response = result.map_or_else(not_answered, response_of);
            let (inside, beside) =
                if self.profile.needs_signatures { (files, Vec::new()) } else { (Vec::new(), files) };
            media.extend(beside);
            responses.push(Part {
                function_response: Some(FunctionResponse {
                    id: self.wire_id(id),
                    name: name.clone().into_owned(),
                    response,
                    parts: inside,
                }),
                ..Part::default()
            });
        }
        if !responses.is_empty() {
            contents.push(turn("user", responses));
        }
        for orphan in waiting.rest() {
            let name = orphan.name.as_deref().unwrap_or("a tool");
            texts.push(format!("Result of {name}: {}", orphan.content.text()));
            media.extend(media_of(orphan, self.profile.office_files)?);
        }
        for text in texts {
            add(contents, "user", vec![Part::text(text)]);
        }
        add(contents, "user", media);
        Ok(())
    }

    /// Returns the parts of an assistant message: those stored with it, or those that Dify shows.
    fn answer_parts(&self, message: &PromptMessage, circulates: bool) -> Result<Vec<Part>, InvokeError> {
        let own = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
        let mut parts = match own.and_then(|own| replay(message, own, self.profile.office_files)) {
            Some(parts) => parts,
            None => self.rebuilt(message)?,
        };
        if !circulates {
            parts.retain(|part| part.tool_call.is_none() && part.tool_response.is_none());
        }
        if self.distrust_signatures {
            parts.iter_mut().for_each(|part| part.thought_signature = None);
            parts.retain(|part| part.text.as_deref() != Some(""));
        }
        Ok(parts)
    }

    /// Rebuilds the parts of an assistant message from what Dify shows, with the signatures that are known.
    fn rebuilt(&self, message: &PromptMessage) -> Result<Vec<Part>, InvokeError> {
        let kept = kept_signatures(message);
        let mut parts = own_parts(&message.content, self.profile.office_files)?;
        parts.extend(message.tool_calls.iter().map(|call| Part {
            function_call: Some(FunctionCall { args: arguments(call), ..FunctionCall::default() }),
            thought_signature:
                kept.get(call.id.as_str()).map(|signature| (*signature).to_owned()).or_else(|| (self.remembered)(call)),
            ..Part::default()
        }));
        Ok(parts)
    }

    fn wire_id(&self, id: &str) -> Option<String> {
        (self.profile.sends_call_ids && !id.is_empty()).then(|| id.to_owned())
    }
}

/// Calls that wait for their results.
struct Waiting<'a> {
    results: Vec<Option<&'a PromptMessage>>,
    by_id: HashMap<&'a str, VecDeque<usize>>,
    /// Dify may drop IDs: results without an ID are assigned in order.
    nameless: VecDeque<usize>,
}

impl<'a> Waiting<'a> {
    fn of(results: &[&'a PromptMessage]) -> Self {
        let mut waiting = Self {
            results: results.iter().copied().map(Some).collect(),
            by_id: HashMap::new(),
            nameless: VecDeque::new(),
        };
        for (place, result) in results.iter().enumerate() {
            match result.tool_call_id.as_deref() {
                Some(id) => waiting.by_id.entry(id).or_default().push_back(place),
                None => waiting.nameless.push_back(place),
            }
        }
        waiting
    }

    fn take(&mut self, id: &str) -> Option<&'a PromptMessage> {
        let place = self.by_id.get_mut(id).and_then(VecDeque::pop_front).or_else(|| self.nameless.pop_front())?;
        self.results[place].take()
    }

    fn rest(self) -> impl Iterator<Item = &'a PromptMessage> {
        self.results.into_iter().flatten()
    }
}

/// Returns the parts stored with a message, if the message has not been changed since.
fn replay(message: &PromptMessage, own: &Value, office: bool) -> Option<Vec<Part>> {
    let length = own.get("length")?.as_u64()?;
    let mut parts: Vec<Part> = serde_json::from_value(own.get("parts")?.clone()).ok()?;
    let calls = parts.iter().filter_map(|part| Some(part.function_call.as_ref()?.id.as_deref().unwrap_or_default()));
    if message.content.text().len() as u64 != length
        || !calls.eq(message.tool_calls.iter().map(|call| call.id.as_str()))
    {
        return None;
    }
    let mut media = media_of(message, office).ok()?.into_iter();
    for part in parts.iter_mut().filter(|part| part.inline_data.is_some()) {
        let shown = media.next()?;
        (part.inline_data, part.file_data) = (shown.inline_data, shown.file_data);
        // An image carries its own signature.
        part.thought_signature = part.thought_signature.take().or(shown.thought_signature);
    }
    (media.next().is_none() && !parts.is_empty()).then_some(parts)
}

/// Returns the stored signatures of calls, by call ID.
fn kept_signatures(message: &PromptMessage) -> HashMap<&str, &str> {
    let own = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
    let parts = own.and_then(|own| own.get("parts")).and_then(Value::as_array);
    parts
        .into_iter()
        .flatten()
        .filter_map(|part| Some((part["functionCall"]["id"].as_str()?, part["thoughtSignature"].as_str()?)))
        .collect()
}

/// Returns the arguments of a call as an object. Arguments that Dify changed must not end the conversation: a string
/// that contains an object is parsed again, and anything else is sent as text.
fn arguments(call: &ToolCall) -> Option<Map<String, Value>> {
    let text = call.function.arguments.trim();
    let read = match serde_json::from_str(text) {
        Ok(Value::String(inner)) => serde_json::from_str(&inner).ok(),
        read => read.ok(),
    };
    match read {
        Some(Value::Object(map)) => Some(map).filter(|map| !map.is_empty()),
        _ if matches!(text, "" | "null" | "None" | "\"\"" | "[]") => None,
        _ => {
            tracing::warn!(function = call.function.name, "the arguments of an earlier call are not a JSON object");
            Some(Map::from_iter([("arguments".to_owned(), text.into())]))
        }
    }
}

fn not_answered() -> Map<String, Value> {
    Map::from_iter([("error".to_owned(), json!("this call was not answered"))])
}

/// Wraps a tool's text as `{"output": …}`, unless it is already such an object: the service drops other members and
/// interprets anything that looks like a reference to a file.
fn response_of(result: &PromptMessage) -> Map<String, Value> {
    let text = result.content.text();
    let plain = |(key, value): (&String, &Value)| {
        matches!(key.as_str(), "output" | "error")
            && matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(map)) if !map.is_empty() && map.iter().all(plain) => map,
        _ => Map::from_iter([("output".to_owned(), Value::String(text))]),
    }
}
