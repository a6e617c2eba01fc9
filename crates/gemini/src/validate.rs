//! Validates credentials. Distinguishes a wrong key, a busy server, a disabled service, an HTML page and a missing
//! model.

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::{Surface, errors};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::upstream::status::excerpt;
use dify_plugin::upstream::{Upstream, UpstreamResponse};

/// Maximum bytes of a response.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Models to try in this order on Vertex AI, which does not list models with their limits. Counting tokens is free, and
/// one of the models may be retired or unavailable in the location.
const PROBE_MODELS: [&str; 2] = ["gemini-2.5-flash-lite", "gemini-3.5-flash-lite"];

/// Validates by listing models, which is free and depends on no particular model.
pub async fn provider(upstream: &Upstream, connection: &Connection) -> Result<(), InvokeError> {
    let outcome = match connection.surface {
        Surface::Developer => list(upstream, connection).await,
        Surface::Vertex | Surface::VertexExpress => probe(upstream, connection).await,
    };
    judge(outcome)
}

/// Validates a model.
pub async fn model(upstream: &Upstream, connection: &Connection, model: &str) -> Result<(), InvokeError> {
    judge(count(upstream, connection, model).await)
}

async fn list(upstream: &Upstream, connection: &Connection) -> Result<(), InvokeError> {
    let mut url = connection.url("models")?;
    url.set_query(Some("pageSize=1"));
    match upstream.send(&connection.get(url)).await {
        Ok(response) => check_json(response).await,
        // A gateway may support generation only.
        Err(error) if error.status == Some(404) => probe(upstream, connection).await,
        Err(error) => Err(error),
    }
}

async fn probe(upstream: &Upstream, connection: &Connection) -> Result<(), InvokeError> {
    let [first, second] = PROBE_MODELS;
    match count(upstream, connection, first).await {
        Err(error) if error.status == Some(404) => count(upstream, connection, second).await,
        outcome => outcome,
    }
}

async fn count(upstream: &Upstream, connection: &Connection, model: &str) -> Result<(), InvokeError> {
    let url = connection.model_url(model, "countTokens")?;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "ping"}]}]});
    check_json(upstream.send(&connection.post(url, &body)?).await?).await
}

/// Checks that a response is a JSON object, and not a login page or the page of another service.
async fn check_json(response: UpstreamResponse) -> Result<(), InvokeError> {
    let body = response.bytes(MAX_RESPONSE_BYTES).await?;
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(map)) => match map.get("error").filter(|error| error.is_object()) {
            Some(_) => Err(errors::from_value(&Value::Object(map), None)),
            None => Ok(()),
        },
        _ if body.trim_ascii_start().starts_with(b"<") => Err(errors::page(&String::from_utf8_lossy(&body))),
        _ => Err(InvokeError::connection(format!("the service did not return a JSON object: {}", excerpt(&body)))
            .with_hint(errors::NOT_GOOGLE)),
    }
}

/// Accepts the credentials if the server is busy, and logs the reason: an overloaded server does not prove them wrong.
pub fn judge(outcome: Result<(), InvokeError>) -> Result<(), InvokeError> {
    match outcome {
        Err(error) if matches!(error.kind, ErrorKind::RateLimit | ErrorKind::ServerUnavailable) => {
            tracing::warn!(error = error.log_summary(), "service busy; credentials accepted without validation");
            Ok(())
        }
        outcome => outcome,
    }
}
