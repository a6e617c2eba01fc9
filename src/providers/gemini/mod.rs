//! Gemini: Google's models on the developer API and on Vertex AI. Wire form and stream mapping are the dialect's.

mod connection;
mod llm;
mod media;
mod schema;
mod validate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use connection::{Connection, TokenSources};

use super::{Answer, CallContext, Chunks, Provider};
use crate::declare::ModelSchema;
use crate::dialect::gemini::parameters;
use crate::dialect::tokens;
use crate::error::InvokeError;
use crate::protocol::{Credentials, LlmDelta, LlmNumTokensRequest, LlmRequest, ModelRequest, ValidateProviderRequest};

/// The provider `google`.
#[derive(Default)]
pub struct Gemini {
    shared: Arc<Shared>,
}

/// What calls share: tokens, and the signatures of calls that a host may not hand back.
#[derive(Default)]
struct Shared {
    tokens: TokenSources,
    signatures: Mutex<HashMap<String, String>>,
}

/// Signatures that are remembered at once.
const MOST_SIGNATURES: usize = 4096;

impl Shared {
    fn connect(&self, credentials: &Credentials, context: &CallContext) -> Result<Connection, InvokeError> {
        Connection::new(credentials, &context.upstream, &self.tokens)
    }

    fn remember(&self, call_id: &str, signature: &str) {
        let mut signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        if signatures.len() >= MOST_SIGNATURES {
            signatures.clear();
        }
        signatures.insert(call_id.to_owned(), signature.to_owned());
    }

    fn remembered(&self, call_id: &str) -> Option<String> {
        self.signatures.lock().unwrap_or_else(PoisonError::into_inner).get(call_id).cloned()
    }
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        "google"
    }

    fn check_unknown_parameter(&self, model: &ModelSchema, name: &str) -> Result<(), InvokeError> {
        if parameters::KNOWN.contains(&name) {
            return Ok(());
        }
        let mut known: Vec<&str> = parameters::nearest(name);
        known.retain(|name| model.rule(name).is_some());
        let meant = if known.is_empty() { String::new() } else { format!("; did you mean {}?", known.join(" or ")) };
        Err(InvokeError::bad_request(format!("model `{}` has no parameter `{name}`{meant}", model.model)))
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        llm::invoke(self.shared.clone(), context, request)
    }

    fn llm_num_tokens(&self, context: CallContext, request: LlmNumTokensRequest) -> Answer<u64> {
        let shared = self.shared.clone();
        Box::pin(async move {
            match llm::count_tokens(&shared, &context, &request).await {
                Ok(count) => Ok(count),
                Err(error) => {
                    tracing::warn!(%error, "countTokens failed; the count is an estimate");
                    Ok(tokens::estimate_prompt(&request.prompt_messages, &request.tools))
                }
            }
        })
    }

    fn validate_provider(&self, context: CallContext, request: ValidateProviderRequest) -> Answer<()> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let connection = shared.connect(&request.credentials, &context)?;
            validate::provider(&context, &connection).await
        })
    }

    fn validate_model(&self, context: CallContext, request: ModelRequest) -> Answer<()> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let connection = shared.connect(&request.target.credentials, &context)?;
            validate::model(&context, &connection, &request.target.model).await
        })
    }

    fn model_schema(&self, _context: CallContext, request: ModelRequest) -> Answer<ModelSchema> {
        Box::pin(async move { schema::customizable(&request) })
    }
}
