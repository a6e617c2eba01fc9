//! `validate_model_credentials`: sends one small request that is authenticated like every other, and names the part of
//! the
//! form that is wrong if it fails.

use std::sync::Arc;

use super::Gateway;
use super::errors::NOT_ALLOWED;
use crate::providers::compatible::provider::Compatible;
use crate::providers::compatible::smallest::{self, Smallest};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::{CallContext, Validated};
use dify_plugin::protocol::ModelRequest;

/// Output limit of the validation request, in tokens.
const VALIDATION_MAX_TOKENS: u64 = 10;

/// Sends the validation request.
pub(super) async fn validate(
    gateway: Arc<Gateway>,
    mut context: CallContext,
    request: ModelRequest,
) -> Result<Validated, InvokeError> {
    let schema = super::schema_from_form::schema(&request)?;
    context.model = Some(schema.into());
    // A model that only streams is validated again with a stream; an earlier form could select a stream directly.
    let stream = request.target.credentials.get("stream_mode_auth") == Some("use");
    let how = Smallest { max_tokens: VALIDATION_MAX_TOKENS, stream };
    let provider = Compatible::of(gateway);
    let outcome = smallest::call(&provider, context, request.target, request.model_type, how).await;
    outcome.map(|()| Validated::unchanged()).map_err(name_invalid_part)
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
