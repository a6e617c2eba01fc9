//! Validates the credentials of a model, and names the invalid field and the valid values.
//!
//! The model info is queried, then the model is used once with a minimal request, because the info may outlive a
//! replica
//! that died.

use std::sync::Arc;

use tracing::warn;

use super::model_cache::{self, Running};
use super::settings::{self, Settings};
use super::{Server, Xinference, is_served};
use crate::providers::compatible::smallest::{self, Smallest};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::{CallContext, Provider, Validated};
use dify_plugin::protocol::{ModelRequest, ModelType, TextEmbeddingRequest};
use dify_plugin::upstream::Upstream;

/// Output limit of the validation request, in tokens.
const VALIDATION_MAX_TOKENS: u64 = 5;

/// Maximum number of models that an error lists.
const MAX_NAMED_MODELS: usize = 20;

pub(super) async fn validate(
    server: Arc<Server>,
    context: CallContext,
    request: ModelRequest,
) -> Result<Validated, InvokeError> {
    if !is_served(request.model_type) {
        return Err(InvokeError::credentials(format!(
            "the Xinference provider does not support {} models",
            request.model_type.as_str()
        )));
    }
    settings::check(&request.target.credentials, request.model_type)?;
    let settings = Settings::read(&request.target, &context.upstream, &server.tokens)?;
    // The user may have fixed on the server what caused an earlier rejection of the login.
    server.tokens.admit(settings.login);
    let description = match server.catalog.ask(&context.upstream, &settings).await {
        Ok(description) => description,
        Err(error) => return Err(explain(error, &context.upstream, &settings, request.model_type).await),
    };
    if !description.serves(request.model_type) {
        let message = format!(
            "model `{}` has type {}, expected {}",
            settings.uid,
            description.types(),
            request.model_type.as_str()
        );
        let hint = running(&context.upstream, &settings, request.model_type).await;
        return Err(InvokeError::credentials(message).with_hint(hint));
    }
    let (key, uid) = (settings.key, settings.uid);
    let catalog = server.catalog.clone();
    match probe(&Xinference::of(server), context, request, description.dimensions).await {
        Ok(()) => Ok(Validated::unchanged()),
        Err(error) => {
            catalog.forget(key);
            Err(used(error, &uid))
        }
    }
}

/// Uses the model once.
async fn probe(
    provider: &Xinference,
    context: CallContext,
    request: ModelRequest,
    dimensions: Option<u64>,
) -> Result<(), InvokeError> {
    if request.model_type != ModelType::TextEmbedding {
        let how = Smallest { max_tokens: VALIDATION_MAX_TOKENS, stream: false };
        return smallest::call(provider, context, request.target, request.model_type, how).await;
    }
    let request = TextEmbeddingRequest::new(request.target, vec!["ping".to_owned()]);
    let result = provider.text_embedding(context, request).await?;
    let found = result.embeddings.first().map(|vector| vector.len() as u64);
    if dimensions.is_some() && found != dimensions {
        warn!(described = dimensions, found, "the dimensions of the embeddings do not match the model info");
    }
    Ok(())
}

/// Explains why the model info could not be queried.
async fn explain(error: InvokeError, upstream: &Upstream, settings: &Settings, wanted: ModelType) -> InvokeError {
    let address = settings.root.as_url();
    match (error.status, error.kind) {
        (None, ErrorKind::Connection) => unreachable_server(error, address),
        (Some(400 | 404), _) => match model_cache::list(upstream, settings).await {
            Ok(models) => {
                InvokeError::credentials(format!("no model with the UID `{}` is running on {address}", settings.uid))
                    .with_hint(name_running(&models, wanted))
            }
            Err(_) => InvokeError::credentials(format!("{address} does not respond like a Xinference server: {}", error.message))
                .with_hint("Set `server_url` to the URL of the server itself, such as http://host:9997."),
        },
        (Some(401 | 403), _) => error.with_hint(
            "The server requires authentication. Check `api_key` (or `username` and `password`), and that the key may list \
             and use this model.",
        ),
        (Some(503), _) => {
            let message = format!("model `{}` is still loading: {}", settings.uid, error.message);
            error.with_message(message)
        }
        _ => error,
    }
}

fn unreachable_server(error: InvokeError, address: &url::Url) -> InvokeError {
    let local = matches!(address.host_str(), Some("localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0"));
    let hint = match (&error.hint, local) {
        (Some(hint), _) => hint.clone(),
        (None, true) => "This address points to the plugin daemon's own container. Use the name of the host or \
                         host.docker.internal, and start Xinference with `--host 0.0.0.0`."
            .to_owned(),
        (None, false) => {
            "Check `server_url`, and that the plugin daemon can reach the address on which the server listens."
                .to_owned()
        }
    };
    error.with_hint(hint)
}

/// Explains why a listed model cannot be used.
fn used(error: InvokeError, uid: &str) -> InvokeError {
    let message = match (error.status, error.kind) {
        (Some(404), _) => format!("model `{uid}` was stopped during validation: {}", error.message),
        (Some(503), _) => format!("model `{uid}` is still loading: {}", error.message),
        (_, ErrorKind::ServerUnavailable | ErrorKind::Connection) => {
            format!("model `{uid}` is listed but does not respond (has its replica died?): {}", error.message)
        }
        _ => format!("model `{uid}` rejected a test request: {}", error.message),
    };
    error.with_message(message)
}

async fn running(upstream: &Upstream, settings: &Settings, wanted: ModelType) -> String {
    match model_cache::list(upstream, settings).await {
        Ok(models) => name_running(&models, wanted),
        Err(_) => "Choose a model of the expected type.".to_owned(),
    }
}

fn name_running(models: &[Running], wanted: ModelType) -> String {
    let fitting: Vec<&str> = models
        .iter()
        .filter(|model| model.description.serves(wanted))
        .map(|model| model.id.as_str())
        .take(MAX_NAMED_MODELS)
        .collect();
    let kind = wanted.as_str();
    match (fitting.as_slice(), models) {
        ([], []) => "No models are running on this server; launch one first.".to_owned(),
        ([], models) => {
            let all: Vec<&str> = models.iter().map(|model| model.id.as_str()).take(MAX_NAMED_MODELS).collect();
            format!("No {kind} models are running on this server. Models of other types: {}.", all.join(", "))
        }
        (fitting, _) => format!("Running {kind} models: {}.", fitting.join(", ")),
    }
}
