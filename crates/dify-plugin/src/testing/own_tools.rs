//! A plugin that calls its own tools through Dify: the tool runs in a session of its own, as in production, and its messages
//! come back as the Dify API returns them.

use serde_json::{Map, Value, json};

use super::answer::CallBack;
use crate::daemon::{Opener, Queue, Replies, SessionEvent};

/// The tools of the plugin that is served, and where they are.
#[derive(Clone)]
pub(super) struct OwnTools {
    pub(super) provider: String,
    pub(super) opener: Opener,
}

impl OwnTools {
    /// Whether a call is for one of these tools.
    pub(super) fn has(&self, call: &CallBack) -> bool {
        call.text("provider").rsplit('/').next() == Some(&self.provider)
    }

    /// Runs the tool, and writes its messages as the responses of the call.
    pub(super) async fn run(self, session_id: String, call: CallBack, replies: Replies) {
        let data = json!({"type": "tool", "action": "invoke_tool", "user_id": "user-1", "provider": self.provider,
            "tool": call.text("tool"), "tool_parameters": call.request.get("tool_parameters"), "credentials": {},
            "credential_type": "api-key"});
        let envelope = json!({"session_id": session_id, "event": "request", "data": data});
        let mut events = self.opener.open(&session_id, &envelope, Queue::Unlimited);
        loop {
            let failure = match events.next().await {
                SessionEvent::Item(item) => {
                    if let Some(message) = transform(item) {
                        replies.response(&message);
                    }
                    continue;
                }
                SessionEvent::Ended => None,
                SessionEvent::Failed(error) => Some(error.message),
                SessionEvent::Closed(reason) => Some(reason),
            };
            if let Some(message) = failure {
                replies.error(&format!("invoke tool failed: {message}"));
            }
            return replies.end();
        }
    }
}

/// A message as the Dify API passes it on: it stores the bytes of a file, and links to it.
fn transform(mut message: Value) -> Option<Value> {
    let is_file = match message["type"].as_str() {
        Some("blob") => true,
        Some("blob_chunk") if message["message"]["end"] == true => true,
        Some("blob_chunk") => return None,
        _ => false,
    };
    if is_file {
        let mut meta: Map<String, Value> = message["meta"].as_object().cloned().unwrap_or_default();
        let id = uuid::Uuid::new_v4().to_string();
        let is_image = meta.get("mime_type").and_then(Value::as_str).is_some_and(|mime| mime.starts_with("image"));
        let kind = if is_image { "image_link" } else { "binary_link" };
        let url = format!("/files/tools/{id}");
        meta.insert("tool_file_id".to_owned(), id.into());
        message = json!({"type": kind, "message": {"text": url}, "meta": meta});
    }
    Some(message)
}
