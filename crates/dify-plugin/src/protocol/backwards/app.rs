//! Apps of the workspace: chat, completion and workflow, and what one of them expects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BackwardsRequest, InvokeType};
use crate::protocol::lenient::null_default;

/// How an app responds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResponseMode {
    /// Events, as they happen.
    #[default]
    Streaming,
    /// One object, at the end.
    Blocking,
}

/// `app`. Files of the request are dropped by the daemon; they travel within `inputs`.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AppInvocation {
    /// The app.
    pub app_id: String,
    /// What the user says; chat apps need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Inputs by name.
    pub inputs: Map<String, Value>,
    /// How the app responds.
    pub response_mode: ResponseMode,
    /// The conversation that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Ignored by Dify 1.14.2: the end user is the session's.
    pub user: Option<String>,
}

impl BackwardsRequest for AppInvocation {
    type Response = AppEvent;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::App
    }
}

/// An event of an app, as in the public API of chats and workflows; of a blocking call the one object.
///
/// An `error` event is what the app reports, not a failure of the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppEvent(pub Map<String, Value>);

impl AppEvent {
    /// Its name (`message`, `workflow_finished`).
    pub fn event(&self) -> &str {
        self.text("event")
    }

    /// The text of a `message` event, or the whole text of a blocking call.
    pub fn answer(&self) -> &str {
        self.text("answer")
    }

    /// The conversation, to go on with it.
    pub fn conversation_id(&self) -> Option<&str> {
        Some(self.text("conversation_id")).filter(|id| !id.is_empty())
    }

    /// The outputs of a workflow, once it has finished.
    pub fn outputs(&self) -> Option<&Map<String, Value>> {
        self.0.get("data")?.get("outputs")?.as_object()
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// `fetch_app`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AppInfoInvocation {
    /// The app.
    pub app_id: String,
}

impl BackwardsRequest for AppInfoInvocation {
    type Response = AppInfo;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::FetchApp
    }
}

/// What an app expects and offers: its `parameters` object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct AppInfo {
    /// What a chat begins with.
    #[serde(default, deserialize_with = "null_default")]
    pub opening_statement: String,
    /// Questions that are offered with it.
    #[serde(default, deserialize_with = "null_default")]
    pub suggested_questions: Vec<String>,
    /// The inputs, one object each with its type as the only key.
    #[serde(default, deserialize_with = "null_default")]
    pub user_input_form: Vec<Value>,
    /// Everything else (`file_upload`, `system_parameters` …).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
