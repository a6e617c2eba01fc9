//! `validate_model_credentials`: sends one small request that is authenticated like every other, and names the part of
//! the
//! form that is wrong if it fails.

use serde_json::json;

use super::errors::NOT_ALLOWED;
use super::{AiGateway, embedding_rerank, llm, speech};
use crate::dialect::wav::silence;
use crate::providers::compatible::chat::{drain, try_model};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{
    LlmRequest, ModelRequest, ModelType, PromptMessage, RerankRequest, Speech2TextRequest, Target,
    TextEmbeddingRequest, TtsRequest,
};

/// Output limit of the validation request, in tokens.
const VALIDATION_MAX_TOKENS: u64 = 10;

/// Sends the validation request.
pub(super) async fn validate(
    gateway: AiGateway,
    mut context: CallContext,
    request: ModelRequest,
) -> Result<(), InvokeError> {
    let schema = super::schema::schema(&request)?;
    context.model = Some(schema.into());
    let target = request.target;
    let outcome = match request.model_type {
        ModelType::Llm => ask(&gateway, context, target).await,
        ModelType::TextEmbedding => {
            let request = TextEmbeddingRequest::new(target, vec!["ping".to_owned()]);
            embedding_rerank::embed(gateway, context, request).await.map(drop)
        }
        ModelType::Rerank => {
            let docs = ["Paris is the capital of France.", "Bread is made of flour."].map(str::to_owned).to_vec();
            let request = RerankRequest::new(target, "What is the capital of France?", docs);
            embedding_rerank::rerank(gateway, context, request).await.map(drop)
        }
        ModelType::Tts => {
            let request = TtsRequest::new(target, "Test.");
            drain(speech::speak(&gateway, context, request)).await
        }
        ModelType::Speech2text => {
            let request = Speech2TextRequest::new(target, silence());
            speech::transcribe(gateway, context, request).await.map(drop)
        }
        _ => Ok(()),
    };
    outcome.map_err(name_invalid_part)
}

async fn ask(gateway: &AiGateway, context: CallContext, target: Target) -> Result<(), InvokeError> {
    // A model that only streams is validated again with a stream; an earlier form could select a stream directly.
    let stream = target.credentials.get("stream_mode_auth") == Some("use");
    try_model(VALIDATION_MAX_TOKENS, |tokens| {
        let mut request = LlmRequest::new(target.clone(), vec![PromptMessage::user("ping")]);
        request.model_parameters.insert("max_tokens".to_owned(), json!(tokens));
        request.stream = stream;
        Ok(llm::invoke(gateway, context.clone(), request))
    })
    .await
}

/// Adds the part of the form that is probably wrong to the error.
fn name_invalid_part(mut error: InvokeError) -> InvokeError {
    let text = error.message.to_ascii_lowercase();
    let part = match (error.kind, error.status) {
        // The plugin's own errors already name the field.
        (ErrorKind::CredentialsValidateFailed, _) | (ErrorKind::BadRequest, None) => return error,
        (ErrorKind::Connection, _) | (_, Some(300..=399)) => "the endpoint is wrong or unreachable (`endpoint_url`)",
        (ErrorKind::Authorization, Some(403)) if error.hint.as_deref().is_none_or(|hint| hint == NOT_ALLOWED) => {
            "the consumer is not authorized for this route"
        }
        (ErrorKind::Authorization, _) => "the credential was rejected",
        (ErrorKind::RateLimit, _) => "the credential is valid, but its quota or rate limit is exhausted",
        (_, Some(400..=499)) if text.contains("model") => {
            "the model name is wrong (`endpoint_model_name`, or the model name in Dify)"
        }
        (_, Some(404 | 405)) => "the path is wrong (`endpoint_url`, `endpoint_path`)",
        (_, Some(400..=499)) => "the endpoint rejected the request",
        _ => "the service behind the gateway failed",
    };
    error.message = format!("{part}: {}", error.message);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_part_that_is_wrong() {
        let error = |kind, status: Option<u16>, message: &str| {
            let mut error = InvokeError::new(kind, message);
            error.status = status;
            name_invalid_part(error).message
        };
        use ErrorKind::{
            Authorization, BadRequest, Connection, CredentialsValidateFailed, RateLimit, ServerUnavailable,
        };
        for (kind, status, message, expected) in [
            (Connection, None, "cannot connect", "the endpoint is wrong"),
            (BadRequest, Some(301), "redirects", "the endpoint is wrong"),
            (Authorization, Some(401), "Invalid Key", "the credential was rejected"),
            (Authorization, Some(400), "Invalid Signature", "the credential was rejected"),
            (Authorization, Some(403), "Access Denied", "the consumer is not authorized"),
            (RateLimit, Some(403), "No quota left", "the credential is valid"),
            (BadRequest, Some(404), "", "the path is wrong"),
            (BadRequest, Some(404), "model m does not exist", "the model name is wrong"),
            (BadRequest, Some(400), "Model not exist.", "the model name is wrong"),
            (BadRequest, Some(400), "bad body", "the endpoint rejected"),
            (ServerUnavailable, Some(503), "no healthy upstream", "the service behind"),
        ] {
            assert!(error(kind, status, message).starts_with(expected), "{}", error(kind, status, message));
        }
        assert_eq!(error(CredentialsValidateFailed, None, "credential `x`"), "credential `x`");
        assert_eq!(error(BadRequest, None, "voice `x`"), "voice `x`");
    }
}
