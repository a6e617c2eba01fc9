//! Background agents through Dify's polling: a task is started once and polled until it ends.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::media::{Delivery, Media};
use super::{Gemini, Shared};
use crate::dialect::gemini::agents::interactions::{self, Interaction, TaskState};
use crate::dialect::gemini::{Surface, errors};
use dify_plugin::codec::json::Named;
use dify_plugin::declare::{ModelFeature, price};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{
    CheckPollingRequest, FinishReason, LlmDelta, LlmRequest, PollingResponse, Target, lenient,
};
use dify_plugin::upstream::{RetryPolicy, UpstreamResponse};
use dify_plugin_gemini::connection::Connection;
use dify_plugin_gemini::generate::{UNREADABLE, read_json};

/// Key of the task ID in Dify's polling state.
const TASK_KEY: &str = "interaction";

/// Polling interval in seconds; 240 polls by Dify then cover the hour that a task may take.
const POLL_INTERVAL_SECONDS: u64 = 15;

/// Maximum duration of a task in seconds.
const MAX_TASK_SECONDS: u64 = 3600;

/// Maximum bytes of a report with all its intermediate steps.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Checks that a custom model belongs to the provider: models and agents have separate providers.
pub(super) fn check_provider(model: &str, provider: &str) -> Result<(), InvokeError> {
    match (provider == Gemini::AGENTS, interactions::is_agent(model)) {
        (false, true) => Err(InvokeError::bad_request(format!(
            "`{model}` is a background agent, which requires the plugin `gemini-agents`"
        ))
        .with_hint(
            "Install that plugin (it needs Dify 1.15.0 or later), enter the same credentials there and choose the \
                     agent from it.",
        )),
        (true, false) => Err(InvokeError::bad_request(format!("`{model}` is not a background agent"))
            .with_hint("Add it to the plugin `gemini`. Agent names start with `deep-research-` or `antigravity-`.")),
        _ => Ok(()),
    }
}

/// Checks that the service supports agents: they run on the Gemini Developer API only.
pub(super) fn check_service(connection: &Connection) -> Result<(), InvokeError> {
    match connection.surface {
        Surface::Developer => Ok(()),
        Surface::Vertex | Surface::VertexExpress => {
            Err(InvokeError::bad_request("background agents are available on the Gemini Developer API only")
                .with_hint("Use an API key."))
        }
    }
}

pub(super) async fn start(
    shared: &Shared,
    context: &CallContext,
    request: &LlmRequest,
) -> Result<PollingResponse, InvokeError> {
    check_provider(&request.target.model, &context.declaration.provider)?;
    let connection = connect(shared, context, &request.target)?;
    if !request.tools.is_empty() {
        return Err(InvokeError::bad_request(format!("agent `{}` does not support Dify tools", request.target.model)));
    }
    let credentials = &request.target.credentials;
    // A task takes minutes, so it must not depend on links that may expire before they are read.
    let delivery = Delivery { links: false, ..Delivery::default() };
    let media = Media { shared, context, connection: &connection, credentials, delivery, office_files: false };
    let body = interactions::start(&request.target.model, &media.prepare(&request.prompt_messages).await?.messages)?;
    // A task costs dollars, so it is never started again because a response was lost.
    let request = connection.post(connection.url("interactions")?, &body)?.with_retry(RetryPolicy::never());
    let task = read(context.upstream.send(&request).await?).await?;
    answer(context, task)
}

/// Polls a task. The models plugin also polls tasks that were started before agents had their own plugin, because they
/// are already paid for.
pub(super) async fn check(
    shared: &Shared,
    context: &CallContext,
    request: &CheckPollingRequest,
) -> Result<PollingResponse, InvokeError> {
    let connection = connect(shared, context, &request.target)?;
    let id = request.plugin_state.get(TASK_KEY).and_then(Value::as_str).unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'~');
    if id.is_empty() || !id.bytes().all(legal) {
        return Err(InvokeError::bad_request("the polling state contains no task of this agent"));
    }
    let request = connection.get(connection.url(&format!("interactions/{id}"))?);
    let looked = async { read(context.upstream.send(&request).await?).await };
    match looked.await {
        Ok(mut task) if task.is_reported() => {
            task.id = id.to_owned();
            answer(context, task)
        }
        Ok(_) => {
            tracing::warn!("task state without a status; polling continues");
            Ok(running(id.to_owned()))
        }
        // The task continues even if it cannot be polled at the moment.
        Err(error) if is_temporary(&error) => {
            tracing::warn!(error = error.log_summary(), "cannot poll the task; polling continues");
            Ok(running(id.to_owned()))
        }
        Err(error) if error.status == Some(404) => {
            Err(error.with_hint("The task no longer exists here: it was deleted, or was started with another key."))
        }
        Err(error) => Err(error),
    }
}

/// Whether the next poll may still find the task: the service is busy, or a gateway or proxy responded in its place.
fn is_temporary(error: &InvokeError) -> bool {
    error.retryable || error.kind == ErrorKind::Connection || error.code.as_deref() == Some(UNREADABLE)
}

async fn read(response: UpstreamResponse) -> Result<Interaction, InvokeError> {
    let value = read_json(response, MAX_RESPONSE_BYTES).await?;
    let task = Interaction::deserialize(Named(&value)).map_err(|error: serde_json::Error| {
        let text = format!("cannot parse the task state: {}", lenient::reason(&error));
        InvokeError::server_unavailable(text).with_code(UNREADABLE)
    })?;
    // An error in a response with a success status.
    if !task.is_reported() && value.get("error").is_some_and(Value::is_object) {
        return Err(errors::from_value(&value, None));
    }
    Ok(task)
}

fn connect(shared: &Shared, context: &CallContext, target: &Target) -> Result<Connection, InvokeError> {
    let polled = context.model.as_ref().is_some_and(|model| model.has(ModelFeature::Polling));
    if !polled {
        let message = format!("model `{}` responds directly and does not support polling", target.model);
        return Err(InvokeError::new(ErrorKind::PollingUnsupported, message));
    }
    let connection = shared.connect(&target.credentials, context)?;
    check_service(&connection)?;
    Ok(connection)
}

fn answer(context: &CallContext, task: Interaction) -> Result<PollingResponse, InvokeError> {
    Ok(match task.state() {
        TaskState::Running if task.id.is_empty() => {
            return Err(InvokeError::server_unavailable("the task was started without an ID"));
        }
        TaskState::Running => running(task.id),
        // The service's error message, which may quote the request.
        TaskState::Failed(why) => {
            PollingResponse::Failed(context.upstream.redactor().redact_error(InvokeError::internal(why)).message)
        }
        TaskState::Done { report, complete } => {
            let reason = if complete { FinishReason::Stop } else { FinishReason::Length };
            let usage = price::llm_usage(context.pricing(), task.usage.prompt(), task.usage.completion());
            PollingResponse::Succeeded(Box::new(LlmDelta::end(reason, usage).with_content(report)))
        }
    })
}

fn running(id: String) -> PollingResponse {
    PollingResponse::Running {
        plugin_state: Map::from_iter([(TASK_KEY.to_owned(), id.into())]),
        next_check_after_seconds: Some(POLL_INTERVAL_SECONDS),
        expires_after_seconds: Some(MAX_TASK_SECONDS),
        max_attempts: Some(MAX_TASK_SECONDS / POLL_INTERVAL_SECONDS),
    }
}
