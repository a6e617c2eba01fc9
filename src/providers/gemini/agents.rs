//! Background agents through Dify's polling: started once, looked at until they end.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::connection::Connection;
use super::media::{Delivery, Media};
use super::{Gemini, Shared, UNREADABLE, read_json};
use crate::dialect::gemini::interactions::{self, Interaction, TaskState};
use crate::dialect::gemini::{Surface, errors};
use dify_plugin::codec::json::Named;
use dify_plugin::declare::{ModelFeature, price};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{
    CheckPollingRequest, FinishReason, LlmDelta, LlmRequest, PollingResponse, Target, lenient,
};
use dify_plugin::upstream::{RetryPolicy, UpstreamResponse};

/// Names the task in what Dify hands back.
const STATE: &str = "interaction";

/// Seconds between two looks; with Dify's 240 looks that is the hour that a task may take.
const INTERVAL: u64 = 15;

/// Longest task in seconds.
const MAX_TASK_SECONDS: u64 = 3600;

/// Longest report with everything that led to it.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Whether a model of the user's belongs to a provider: models and agents are two.
pub(super) fn belongs(model: &str, provider: &str) -> Result<(), InvokeError> {
    match (provider == Gemini::AGENTS, interactions::is_agent(model)) {
        (false, true) => Err(InvokeError::bad_request(format!(
            "`{model}` is a background agent, which the plugin `gemini-agents` serves"
        ))
        .with_hint(
            "Install that plugin (it needs Dify 1.15.0 or later), enter the same credentials there and choose the \
                     agent from it.",
        )),
        (true, false) => Err(InvokeError::bad_request(format!("`{model}` is not a background agent")).with_hint(
            "Add it to the plugin `gemini`. The names of agents begin with `deep-research-` or `antigravity-`.",
        )),
        _ => Ok(()),
    }
}

/// Agents run on the developer API only.
pub(super) fn reaches(connection: &Connection) -> Result<(), InvokeError> {
    match connection.surface {
        Surface::Developer => Ok(()),
        Surface::Vertex | Surface::VertexExpress => {
            Err(InvokeError::bad_request("background agents are on the developer API only")
                .with_hint("Sign in with an API key."))
        }
    }
}

pub(super) async fn start(
    shared: &Shared,
    context: &CallContext,
    request: &LlmRequest,
) -> Result<PollingResponse, InvokeError> {
    belongs(&request.target.model, &context.declaration.provider)?;
    let connection = connect(shared, context, &request.target)?;
    if !request.tools.is_empty() {
        return Err(InvokeError::bad_request(format!("agent `{}` calls no functions of Dify", request.target.model)));
    }
    let credentials = &request.target.credentials;
    // A task takes minutes: what it is to read must not be gone before it gets there.
    let way = Delivery { links: false, ..Delivery::default() };
    let media = Media { shared, context, connection: &connection, credentials, way, office_files: false };
    let body = interactions::start(&request.target.model, &media.prepare(&request.prompt_messages).await?.messages)?;
    // A task costs dollars: it is never started twice because an answer got lost.
    let request = connection.post(connection.url("interactions")?, &body)?.with_retry(RetryPolicy::never());
    let task = read(context.upstream.send(&request).await?).await?;
    answer(context, task)
}

/// A task that was started before agents had a plugin of their own is paid for: the plugin of models looks at it, too.
pub(super) async fn check(
    shared: &Shared,
    context: &CallContext,
    request: &CheckPollingRequest,
) -> Result<PollingResponse, InvokeError> {
    let connection = connect(shared, context, &request.target)?;
    let id = request.plugin_state.get(STATE).and_then(Value::as_str).unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'~');
    if id.is_empty() || !id.bytes().all(legal) {
        return Err(InvokeError::bad_request("the polling state names no task of this agent"));
    }
    let request = connection.get(connection.url(&format!("interactions/{id}"))?);
    let looked = async { read(context.upstream.send(&request).await?).await };
    match looked.await {
        Ok(mut task) if task.is_reported() => {
            task.id = id.to_owned();
            answer(context, task)
        }
        Ok(_) => {
            tracing::warn!("the task's state came without a status; it goes on");
            Ok(running(id.to_owned()))
        }
        // The task goes on whether or not it can be looked at.
        Err(error) if is_passing(&error) => {
            tracing::warn!(error = error.brief(), "the task cannot be looked at now; it goes on");
            Ok(running(id.to_owned()))
        }
        Err(error) if error.status == Some(404) => {
            Err(error
                .with_hint("The task is not known here any more: it was deleted, or was started with another key."))
        }
        Err(error) => Err(error),
    }
}

/// Whether the next look may find the task all the same: the service is busy, or something between it and the plugin
/// answered in its place.
fn is_passing(error: &InvokeError) -> bool {
    error.retryable || error.kind == ErrorKind::Connection || error.code.as_deref() == Some(UNREADABLE)
}

async fn read(response: UpstreamResponse) -> Result<Interaction, InvokeError> {
    let value = read_json(response, MAX_RESPONSE_BYTES).await?;
    let task = Interaction::deserialize(Named(&value)).map_err(|error: serde_json::Error| {
        let text = format!("the task's state cannot be read: {}", lenient::reason(&error));
        InvokeError::server_unavailable(text).with_code(UNREADABLE)
    })?;
    // A refusal that came as a success.
    if !task.is_reported() && value.get("error").is_some_and(Value::is_object) {
        return Err(errors::from_value(&value, None));
    }
    Ok(task)
}

fn connect(shared: &Shared, context: &CallContext, target: &Target) -> Result<Connection, InvokeError> {
    let polled = context.model.as_ref().is_some_and(|model| model.has(ModelFeature::Polling));
    if !polled {
        let message = format!("model `{}` answers at once and is not polled", target.model);
        return Err(InvokeError::new(ErrorKind::PollingUnsupported, message));
    }
    let connection = shared.connect(&target.credentials, context)?;
    reaches(&connection)?;
    Ok(connection)
}

fn answer(context: &CallContext, task: Interaction) -> Result<PollingResponse, InvokeError> {
    Ok(match task.standing() {
        TaskState::Running if task.id.is_empty() => {
            return Err(InvokeError::server_unavailable("the task was started without an id"));
        }
        TaskState::Running => running(task.id),
        // The service's own words, which may repeat what was sent.
        TaskState::Failed(why) => {
            PollingResponse::Failed(context.upstream.redactor().redact_error(InvokeError::internal(why)).message)
        }
        TaskState::Done { report, complete } => PollingResponse::Succeeded(Box::new(LlmDelta {
            content: report,
            finish_reason: Some(if complete { FinishReason::Stop } else { FinishReason::Length }),
            usage: Some(price::llm_usage(context.pricing(), task.usage.prompt(), task.usage.answer())),
            ..LlmDelta::default()
        })),
    })
}

fn running(id: String) -> PollingResponse {
    PollingResponse::Running {
        plugin_state: Map::from_iter([(STATE.to_owned(), id.into())]),
        next_check_after_seconds: Some(INTERVAL),
        expires_after_seconds: Some(MAX_TASK_SECONDS),
        max_attempts: Some(MAX_TASK_SECONDS / INTERVAL),
    }
}
