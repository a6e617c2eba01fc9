//! What a server sent along with its calls and wants back with them (Gemini's thought signatures, behind a gateway), for
//! hosts that lose the message's private JSON.
//!
//! It goes back to the model that sent it alone, and is kept by credentials, model and the whole call.
//! Source: `higress-group/higress#3973`, Google's OpenAI-compatible endpoint ("Thought signatures").

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::dialect::gemini::signatures::{Key, SignatureStore, of_call};
use crate::dialect::openai::calls::OPAQUE_KEY;
use crate::protocol::{LlmDelta, PromptMessage, ToolCall};

/// Members of calls, as JSON text.
static KEPT: LazyLock<SignatureStore> = LazyLock::new(SignatureStore::default);

/// Whose calls these are.
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

    /// Keeps what came with the calls of a delta, and notes whose it is.
    pub(super) fn keep(&self, delta: &mut LlmDelta) {
        let Some(own) = delta.opaque_body.as_mut().and_then(|body| body.get_mut(OPAQUE_KEY)) else { return };
        for call in &delta.tool_calls {
            if let Some(members) = own["tool_calls"].get(&call.id) {
                KEPT.keep(self.key(call), &members.to_string());
            }
        }
        own["model"] = json!(self.model);
    }

    /// Puts what is known of earlier calls into their messages, and takes out what another model sent.
    pub(super) fn restore(&self, messages: &mut [PromptMessage]) {
        for message in messages.iter_mut().filter(|message| !message.tool_calls.is_empty()) {
            let own = message.opaque_body.as_ref().and_then(|body| body.get(OPAQUE_KEY));
            let is_mine = |own: &&Value| own["model"].as_str().is_none_or(|model| model == self.model);
            let mut members = match own.filter(is_mine).and_then(|own| own["tool_calls"].as_object()) {
                Some(members) => members.clone(),
                None => Map::new(),
            };
            for call in &message.tool_calls {
                if !members.contains_key(&call.id)
                    && let Some(known) = KEPT.find(self.key(call)).and_then(|text| serde_json::from_str(&text).ok())
                {
                    members.insert(call.id.clone(), known);
                }
            }
            message.opaque_body = Some(json!({ OPAQUE_KEY: {"tool_calls": members} }));
        }
    }
}
