//! Calls back into Dify: permission, the closure that answers, and the events that are written, at the pace and within the
//! limits of the daemon.
//!
//! Source: `dify-plugin-daemon: internal/core/io_tunnel/backwards_invocation/task.go`,
//! `pkg/utils/http_requests/http_warpper.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answer, CallBack};
use super::own_tools::OwnTools;
use super::storage::Storage;
use super::{OutputFile, uploads};
use crate::daemon::{Invoke, Replies};
use crate::declare::permission::{Permission, Permissions};
use crate::plugin::dify::permission::needed;
use crate::protocol::backwards::InvokeType;

/// How long the daemon reads a response of Dify, from its beginning: `DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT`.
const READ_TIMEOUT: Duration = Duration::from_secs(240);

/// Answers calls of one type.
pub(super) type Handler = Arc<dyn Fn(&CallBack) -> Answer + Send + Sync>;

/// What answers the calls of a host; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Backwards(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    pub(super) handlers: BTreeMap<InvokeType, Handler>,
    pub(super) permissions: Option<Permissions>,
    pub(super) denied: BTreeSet<Permission>,
    pub(super) storage: Storage,
    pub(super) calls: Vec<CallBack>,
    /// Files that the plugin has uploaded, and where.
    pub(super) uploads: Vec<OutputFile>,
    pub(super) upload_url: Option<String>,
    pub(super) own_tools: Option<OwnTools>,
    /// Sessions of the plugin's own tools so far.
    pub(super) inner_sessions: u64,
    /// Sessions of model plugins, which may not call back.
    pub(super) models: BTreeSet<String>,
}

impl Backwards {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call. Never blocks; what takes time is a task that ends with the session.
    pub(super) fn take(&self, session_id: &str, invoke: Invoke, replies: Replies) {
        let Some((call, answer)) = self.answer(session_id, invoke, &replies) else { return };
        let Some(answer) = answer else { return self.run_own_tool(call, replies) };
        tokio::spawn(async move {
            let session = replies.session().clone();
            let is_late = answer.late;
            let writing = write(&call, answer, if is_late { replies.even_late() } else { replies });
            if is_late {
                return writing.await;
            }
            tokio::select! {
                () = writing => {}
                () = session.cancelled() => {}
            }
        });
    }

    /// Runs the tool in a session that outlives a caller who goes away, as in Dify.
    fn run_own_tool(&self, call: CallBack, replies: Replies) {
        let state = &mut *self.state();
        let Some(own_tools) = state.own_tools.clone() else { return };
        state.inner_sessions += 1;
        let session_id = format!("{}-tool-{}", call.session_id, state.inner_sessions);
        tokio::spawn(own_tools.run(session_id, call, replies));
    }

    /// The call and its answer, none if one of the plugin's own tools is called; a rejected call has its events already.
    fn answer(&self, session_id: &str, invoke: Invoke, replies: &Replies) -> Option<(CallBack, Option<Answer>)> {
        let reject = |text: String| {
            replies.error(&text);
            replies.end();
            None
        };
        if self.state().models.contains(session_id) {
            return reject("you can not invoke dify from model".to_owned());
        }
        let Some(invoke_type) = InvokeType::of_name(&invoke.invoke_type) else {
            return reject(format!("unsupported invoke type: {}", invoke.invoke_type));
        };
        if let Some(permission) = needed(invoke_type).filter(|permission| !self.state().grants(*permission)) {
            let name = permission_name(permission);
            return reject(format!("permission denied, you need to enable {name} access in plugin manifest"));
        }
        let call = CallBack::new(invoke_type, session_id, invoke.request);
        let handler = {
            let mut state = self.state();
            state.calls.push(call.clone());
            state.handlers.get(&invoke_type).cloned()
        };
        // The closure runs without the lock, so that it may use the host.
        let answer = match handler {
            Some(handler) => handler(&call),
            None if invoke_type == InvokeType::Storage => {
                let state = &mut *self.state();
                let limit = state.permissions.as_ref().and_then(Permissions::storage_size);
                state.storage.answer(&call, limit)
            }
            None if invoke_type == InvokeType::UploadFile => uploads::answer(self, &call),
            None if invoke_type == InvokeType::Tool && self.state().has_own(&call) => return Some((call, None)),
            None => Answer::error(format!(
                "the test answers no calls of type `{}`: add `.{}(|call| …)` to the host",
                invoke_type.as_str(),
                closure_name(invoke_type)
            )),
        };
        Some((call, Some(answer)))
    }
}

impl State {
    fn has_own(&self, call: &CallBack) -> bool {
        self.own_tools.as_ref().is_some_and(|tools| tools.has(call))
    }

    fn grants(&self, permission: Permission) -> bool {
        !self.denied.contains(&permission)
            && self.permissions.as_ref().is_none_or(|permissions| permissions.has(permission))
    }
}

async fn write(call: &CallBack, answer: Answer, replies: Replies) {
    sleep(answer.delay).await;
    let deadline = Instant::now() + READ_TIMEOUT;
    let repeats = if answer.repeats { 2 } else { 1 };
    let events = async {
        for (index, response) in answer.responses(call).iter().enumerate() {
            if index > 0 {
                sleep(answer.interval).await;
            }
            if answer.foreign {
                write_foreign(&replies);
            }
            for _ in 0..repeats {
                replies.response(response);
            }
        }
        sleep(answer.interval).await;
        if answer.open && !answer.parts.is_empty() {
            std::future::pending::<()>().await;
        }
    };
    if answer.open && answer.parts.is_empty() {
        return;
    }
    let failure = match timeout_at(deadline, events).await {
        Ok(()) => answer.error,
        Err(_) => Some(format!(
            "read {} response failed: read tcp: use of closed network connection",
            call.invoke_type.as_str()
        )),
    };
    for _ in 0..repeats {
        if let Some(text) = &failure {
            replies.error(text);
        }
        replies.end();
    }
}

/// Events that no call waits for.
fn write_foreign(replies: &Replies) {
    for request_id in ["", "0", "another-call", "fffffffffffffffff-1-1"] {
        let foreign = replies.of_call(request_id);
        foreign.response(&serde_json::json!({"result": "foreign"}));
        foreign.error("foreign");
        foreign.end();
    }
}

/// The name of a permission in the daemon's texts.
fn permission_name(permission: Permission) -> &'static str {
    match permission.keys() {
        (_, Some("text_embedding")) => "text-embedding",
        (_, Some(key)) => key,
        (block, None) => block,
    }
}

/// The method of a host that takes the closure for a type of call.
pub(super) fn closure_name(invoke_type: InvokeType) -> &'static str {
    match invoke_type {
        InvokeType::Llm => "on_llm",
        InvokeType::LlmStructuredOutput => "on_structured_output",
        InvokeType::SystemSummary => "on_summary",
        InvokeType::TextEmbedding => "on_embedding",
        InvokeType::MultimodalEmbedding => "on_multimodal_embedding",
        InvokeType::Rerank => "on_rerank",
        InvokeType::MultimodalRerank => "on_multimodal_rerank",
        InvokeType::Tts => "on_tts",
        InvokeType::Speech2text => "on_speech2text",
        InvokeType::Moderation => "on_moderation",
        InvokeType::Tool => "on_tool",
        InvokeType::App => "on_app",
        InvokeType::FetchApp => "on_app_info",
        InvokeType::NodeParameterExtractor => "on_parameter_extractor",
        InvokeType::NodeQuestionClassifier => "on_question_classifier",
        InvokeType::Storage => "on_storage",
        InvokeType::UploadFile => "on_upload",
    }
}
