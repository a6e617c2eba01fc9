//! Are these credentials good? A wrong key, a busy server, a disabled service, a page in place of an answer and a missing
//! model are told apart.

use serde_json::{Value, json};

use super::connection::Connection;
use super::embedding;
use crate::dialect::gemini::parameters::{self, Parameters};
use crate::dialect::gemini::speech_options::SpeechOptions;
use crate::dialect::gemini::{Surface, mapper};
use crate::providers::common::download;
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::Credentials;
use dify_plugin::upstream::UpstreamResponse;
use dify_plugin::upstream::status::excerpt;

/// Longest answer that is read.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// DoctorTarget one after the other on Vertex AI, which lists no models with their limits: counting is free, and one of them
/// may be gone or be served elsewhere.
const PROBE_MODELS: [&str; 2] = ["gemini-2.5-flash-lite", "gemini-3.5-flash-lite"];

/// Refuses nonsense in a field that a call would read late or never.
pub(super) fn fields(credentials: &Credentials) -> Result<(), InvokeError> {
    embedding::dimensions(credentials)?;
    SpeechOptions::read(credentials.get("speech_options"))?;
    credentials.get("file_url").map(download::file_host).transpose()?;
    parameters::safety(&Parameters(&serde_json::Map::new()), |name| super::safety_floor(credentials, name))?;
    Ok(())
}

/// Validates by listing models, which costs nothing and names no model that may be gone.
pub(super) async fn provider(context: &CallContext, connection: &Connection) -> Result<(), InvokeError> {
    let outcome = match connection.surface {
        Surface::Developer => list(context, connection).await,
        Surface::Vertex | Surface::VertexExpress => probe(context, connection).await,
    };
    judge(outcome)
}

/// Validates one model.
pub(super) async fn model(context: &CallContext, connection: &Connection, model: &str) -> Result<(), InvokeError> {
    judge(count(context, connection, model).await)
}

async fn list(context: &CallContext, connection: &Connection) -> Result<(), InvokeError> {
    let mut url = connection.url("models")?;
    url.set_query(Some("pageSize=1"));
    match context.upstream.send(&connection.get(url)).await {
        Ok(answer) => answered(answer).await,
        // A gateway may serve generation only.
        Err(error) if error.status == Some(404) => probe(context, connection).await,
        Err(error) => Err(error),
    }
}

async fn probe(context: &CallContext, connection: &Connection) -> Result<(), InvokeError> {
    let [first, second] = PROBE_MODELS;
    match count(context, connection, first).await {
        Err(error) if error.status == Some(404) => count(context, connection, second).await,
        outcome => outcome,
    }
}

async fn count(context: &CallContext, connection: &Connection, model: &str) -> Result<(), InvokeError> {
    let url = connection.model_url(model, "countTokens")?;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "ping"}]}]});
    answered(context.upstream.send(&connection.post(url, &body)?).await?).await
}

/// A good answer is a JSON object: a page of a login or of another service is none.
async fn answered(answer: UpstreamResponse) -> Result<(), InvokeError> {
    let body = answer.bytes(MAX_RESPONSE_BYTES).await?;
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(map)) => match map.get("error").filter(|error| error.is_object()) {
            Some(_) => Err(crate::dialect::gemini::errors::from_value(&Value::Object(map), None)),
            None => Ok(()),
        },
        _ if body.trim_ascii_start().starts_with(b"<") => Err(mapper::page(&String::from_utf8_lossy(&body))),
        _ => Err(InvokeError::connection(format!("the service answered no JSON object: {}", excerpt(&body)))
            .with_hint("Something between the plugin and Google answered: check base URL and proxy.")),
    }
}

/// A server that is busy says nothing against the credential: it is accepted, and the log says why.
pub(super) fn judge(outcome: Result<(), InvokeError>) -> Result<(), InvokeError> {
    match outcome {
        Err(error) if matches!(error.kind, ErrorKind::RateLimit | ErrorKind::ServerUnavailable) => {
            tracing::warn!(
                error = error.brief(),
                "the service is busy; the credentials could not be checked and are accepted"
            );
            Ok(())
        }
        outcome => outcome,
    }
}
