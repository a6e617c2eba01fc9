//! Apps of the workspace.

use serde_json::{Map, Value};

use super::{Calls, Dify, DifyError};
use crate::protocol::backwards::{AppEvent, AppInfo, AppInfoInvocation, AppInvocation, ResponseMode, UploadedFile};

impl Dify {
    /// An app: add inputs, then say how it is called.
    pub fn app(&self, app_id: impl Into<String>) -> App {
        App { dify: self.clone(), app_id: app_id.into(), inputs: Map::new() }
    }

    /// What an app expects and offers.
    pub async fn app_info(&self, app_id: impl Into<String>) -> Result<AppInfo, DifyError> {
        self.call_once(AppInfoInvocation { app_id: app_id.into() }).await
    }
}

/// An app and its inputs.
#[must_use = "nothing is sent before the call is"]
pub struct App {
    dify: Dify,
    app_id: String,
    inputs: Map<String, Value>,
}

impl App {
    /// Sets an input.
    pub fn input(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.inputs.insert(name.into(), value.into());
        self
    }

    /// Sets inputs.
    pub fn inputs(mut self, inputs: Map<String, Value>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// Sets an input to a file. Files beside the inputs do not reach the app.
    pub fn file(self, name: impl Into<String>, file: &UploadedFile) -> Self {
        self.input(name, file.app_input())
    }

    /// Says something to a chat app, an agent or a chatflow.
    pub fn chat(self, query: impl Into<String>) -> AppCall {
        let mut call = self.call();
        call.request.query = Some(query.into());
        call
    }

    /// Runs a completion app.
    pub fn completion(self) -> AppCall {
        self.call()
    }

    /// Runs a workflow.
    pub fn workflow(self) -> AppCall {
        self.call()
    }

    fn call(self) -> AppCall {
        let Self { dify, app_id, inputs } = self;
        AppCall { dify, request: AppInvocation { app_id, inputs, ..AppInvocation::default() } }
    }
}

/// A call of an app that is being described.
#[must_use = "nothing is sent before `stream` or `whole`"]
pub struct AppCall {
    dify: Dify,
    request: AppInvocation,
}

impl AppCall {
    /// Goes on with a conversation; without it a chat begins.
    pub fn conversation(mut self, id: impl Into<String>) -> Self {
        self.request.conversation_id = Some(id.into()).filter(|id| !id.is_empty());
        self
    }

    /// Names the end user. Dify 1.14.2 takes the session's user instead.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.request.user = Some(user.into());
        self
    }

    /// Sends the call; the app's events come as they happen.
    pub async fn stream(mut self) -> Result<Calls<AppEvent>, DifyError> {
        self.request.response_mode = ResponseMode::Streaming;
        self.dify.call(self.request).await
    }

    /// Sends the call and waits for the app's response.
    pub async fn whole(mut self) -> Result<AppEvent, DifyError> {
        self.request.response_mode = ResponseMode::Blocking;
        self.dify.call_once(self.request).await
    }
}
