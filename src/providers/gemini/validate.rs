//! Are these credentials good? A wrong key, a busy server, a disabled service and a missing model are told apart.

use serde::Deserialize;
use serde_json::json;

use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::error::{ErrorKind, InvokeError};
use crate::providers::CallContext;

/// Asked one after the other on Vertex AI, which lists no models with their limits: counting is free, and one of them
/// may be gone or be served elsewhere.
const PROBE_MODELS: [&str; 2] = ["gemini-2.5-flash-lite", "gemini-3.5-flash-lite"];

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    models: Vec<serde::de::IgnoredAny>,
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
        Ok(answer) => {
            let listed: Listed = answer.json(4 * 1024 * 1024).await?;
            tracing::debug!(models = listed.models.len(), "the credentials list models");
            Ok(())
        }
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
    context.upstream.send(&connection.post(url, &body)?).await.map(drop)
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
