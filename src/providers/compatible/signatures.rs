//! Stores members that a server sends with its responses and tool calls and expects back (Gemini's thought signatures,
//! behind
//! a gateway), because not every caller keeps the message's private JSON.
//!
//! They are sent back only to the model that sent them. Keys are the credentials, the model and the whole call or text.
//! Source: `higress-group/higress#3973`, Google's OpenAI-compatible endpoint ("Thought signatures").

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::dialect::gemini::thought_signatures::{Key, SignatureStore, of_call, of_content};
use crate::dialect::openai::kept::{OPAQUE_KEY, REASONING_KEY, ResponseDigest};
use crate::dialect::think::strip_thoughts;
use dify_plugin::protocol::{LlmDelta, PromptMessage, Role, ToolCall};

/// Members of calls and responses, as JSON text.
static KEPT: LazyLock<SignatureStore> = LazyLock::new(SignatureStore::default);

/// The model and credentials that the calls belong to.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    credentials: u64,
    model: String,
}

impl Owner {
    pub(super) fn new(credentials: u64, model: &str) -> Self {
        Self { credentials, model: model.to_owned() }
    }

    fn key(&self, call: &ToolCall) -> Key {
        let id = format!("{} {} {}", self.credentials, self.model, call.id);
        of_call(&id, &call.function.name, &call.function.arguments)
    }

    fn answer_key(&self, digest: &str) -> Key {
        of_content(&format!("{} {} {digest}", self.credentials, self.model))
    }

    /// Stores the members in a delta, and adds the model to it.
    pub(super) fn keep(&self, delta: &mut LlmDelta) {
        let Some(own) = delta.opaque_body.as_mut().and_then(|body| body.get_mut(OPAQUE_KEY)) else { return };
        for call in &delta.tool_calls {
            if let Some(members) = own.get("tool_calls").and_then(|calls| calls.get(&call.id)) {
                KEPT.keep(self.key(call), &members.to_string());
            }
        }
        if let (Some(members), Some(digest)) = (own.get("message"), own.get("answer").and_then(Value::as_str)) {
            KEPT.keep(self.answer_key(digest), &members.to_string());
        }
        own["model"] = json!(self.model);
    }

    /// Adds stored members to earlier messages, and removes those that another model sent.
    pub(super) fn restore(&self, messages: &mut [PromptMessage]) {
        for message in messages.iter_mut().filter(|message| message.role == Role::Assistant) {
            let own = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
            let own = own.filter(|own| own["model"].as_str().is_none_or(|model| model == self.model));
            let mut calls = own.and_then(|own| own["tool_calls"].as_object()).cloned().unwrap_or_default();
            for call in &message.tool_calls {
                if !calls.contains_key(&call.id)
                    && let Some(known) = find(self.key(call))
                {
                    calls.insert(call.id.clone(), known);
                }
            }
            let members = self.members(own, &message.content.text());
            let is_known = !calls.is_empty() || members.is_some();
            let thoughts = message.opaque_body.as_mut().and_then(|body| Some(body.get_mut(REASONING_KEY)?.take()));
            message.opaque_body = is_known.then(|| json!({ OPAQUE_KEY: {"tool_calls": calls, "message": members} }));
            if let Some(thoughts) = thoughts.filter(Value::is_string) {
                message.opaque_body.get_or_insert_with(|| json!({}))[REASONING_KEY] = thoughts;
            }
        }
    }

    /// Returns the members of a response with this text, unless the text was changed.
    fn members(&self, own: Option<&Value>, text: &str) -> Option<Value> {
        let text = strip_thoughts(text);
        let carried = own.and_then(|own| own.get("message"));
        if carried.is_none() && text.trim().is_empty() {
            return None;
        }
        let digest = ResponseDigest::of(text);
        let is_same = |own: &Value| own["answer"].as_str().is_none_or(|known| known == digest);
        match carried.filter(|_| own.is_some_and(is_same)) {
            Some(members) => Some(members.clone()),
            None => find(self.answer_key(&digest)),
        }
    }
}

fn find(key: Key) -> Option<Value> {
    KEPT.find(key).and_then(|text| serde_json::from_str(&text).ok())
}
