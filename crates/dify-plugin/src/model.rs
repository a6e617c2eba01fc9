//! The interface of model providers.
//!
//! A provider knows its upstream and nothing of the daemon: it accepts typed requests and returns typed results or
//! [`InvokeError`]s. Dropping a future or stream cancels the upstream request.

mod dialect;
mod kept;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use url::Url;

use crate::declare::{ModelSchema, ProviderDeclaration};
use crate::error::InvokeError;
use crate::protocol::{
    AudioChunk, CheckPollingRequest, Credentials, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest,
    ModelRequest, ModerationRequest, MultimodalEmbeddingRequest, MultimodalRerankRequest, PollingResponse,
    RerankRequest, RerankResult, Speech2TextRequest, TextEmbeddingNumTokensRequest, TextEmbeddingRequest, TtsRequest,
    TtsVoicesRequest, ValidateProviderRequest, Voice,
};
use crate::upstream::Upstream;

pub use dialect::{DeclaredProvider, Dialect, FactProblem, KnownPlugin, LeftOut, Served};
pub use kept::Kept;

/// Result of an action with a single result.
pub type ResultFuture<T> = BoxFuture<'static, Result<T, InvokeError>>;

/// Results of a streaming action.
pub type Chunks<T> = BoxStream<'static, Result<T, InvokeError>>;

/// Credential fields with the environment variables that users may already have for each; the first one that is set is
/// used.
pub type Variables = &'static [(&'static str, &'static [&'static str])];

/// Credentials that work. They may have been corrected, as an address that was found by trying.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Validated {
    /// Fields that Dify stores in place of those that it sent; the others stay as they are.
    pub corrected: Credentials,
}

impl Validated {
    /// The credentials as they were sent.
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// Replaces a field.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.corrected.set(field, value);
        self
    }
}

/// Context of a call in addition to its request.
#[derive(Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// Session ID for logs.
    pub session_id: Arc<str>,
    /// The Dify app that sent the request; a model may be called without one.
    pub app_id: Option<Arc<str>>,
    /// The model: declared in a file, or built by [`Provider::model_schema`]. Absent for schema and provider
    /// validation.
    pub model: Option<Arc<ModelSchema>>,
    /// The provider's declaration, with the names of all predefined models.
    pub declaration: Arc<ProviderDeclaration>,
    /// The models that the provider declares, in Dify's display order.
    pub models: Arc<[Arc<ModelSchema>]>,
    /// HTTP client for upstream requests.
    pub upstream: Upstream,
    /// A place for what follows from the credentials, for later calls with the same ones.
    pub kept: Kept,
}

impl CallContext {
    /// Returns the price of the model.
    pub fn pricing(&self) -> Option<&crate::declare::Pricing> {
        self.model.as_ref().and_then(|model| model.pricing.as_ref())
    }
}

macro_rules! unsupported {
    ($context:ident, $request:ident, $what:literal) => {{
        let message = format!("provider `{}` has no {}", $context.declaration.provider, $what);
        let _ = $request;
        Box::pin(std::future::ready(Err(InvokeError::bad_request(message))))
    }};
}

/// A model provider. By default, every method returns an error that the provider does not support the action.
///
/// Before a call, the runtime has checked the credential form and, for an LLM, the parameters against the model's
/// rules.
pub trait Provider: Send + Sync {
    /// The `provider` of the declaration that this code serves.
    fn name(&self) -> &str;

    /// `invoke_llm`. The last delta carries usage and finish reason.
    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let _ = request;
        let message = format!("provider `{}` has no language models", context.declaration.provider);
        Box::pin(futures_util::stream::once(std::future::ready(Err(InvokeError::bad_request(message)))))
    }

    /// `get_llm_num_tokens`: cheap; may be an estimate.
    fn llm_num_tokens(&self, context: CallContext, request: LlmNumTokensRequest) -> ResultFuture<u64> {
        unsupported!(context, request, "language models")
    }

    /// `invoke_text_embedding`: one embedding per text, in order.
    fn text_embedding(&self, context: CallContext, request: TextEmbeddingRequest) -> ResultFuture<EmbeddingResult> {
        unsupported!(context, request, "text embedding")
    }

    /// `invoke_multimodal_embedding`: one embedding per document, in order.
    fn multimodal_embedding(
        &self,
        context: CallContext,
        request: MultimodalEmbeddingRequest,
    ) -> ResultFuture<EmbeddingResult> {
        unsupported!(context, request, "multimodal embedding")
    }

    /// `get_text_embedding_num_tokens`: one count per text.
    fn text_embedding_num_tokens(
        &self,
        context: CallContext,
        request: TextEmbeddingNumTokensRequest,
    ) -> ResultFuture<Vec<u64>> {
        unsupported!(context, request, "text embedding")
    }

    /// `invoke_rerank`: best first.
    fn rerank(&self, context: CallContext, request: RerankRequest) -> ResultFuture<RerankResult> {
        unsupported!(context, request, "rerank models")
    }

    /// `invoke_multimodal_rerank`: best first.
    fn multimodal_rerank(&self, context: CallContext, request: MultimodalRerankRequest) -> ResultFuture<RerankResult> {
        unsupported!(context, request, "multimodal rerank models")
    }

    /// `invoke_tts`.
    fn tts(&self, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        let _ = request;
        let message = format!("provider `{}` has no text-to-speech models", context.declaration.provider);
        Box::pin(futures_util::stream::once(std::future::ready(Err(InvokeError::bad_request(message)))))
    }

    /// `get_tts_model_voices`.
    fn tts_voices(&self, context: CallContext, request: TtsVoicesRequest) -> ResultFuture<Vec<Voice>> {
        unsupported!(context, request, "text-to-speech models")
    }

    /// `invoke_speech2text`.
    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        unsupported!(context, request, "speech-to-text models")
    }

    /// `invoke_moderation`: `true` means unsafe.
    fn moderation(&self, context: CallContext, request: ModerationRequest) -> ResultFuture<bool> {
        unsupported!(context, request, "moderation models")
    }

    /// `validate_provider_credentials`: any error is shown in the credential form.
    fn validate_provider(&self, context: CallContext, request: ValidateProviderRequest) -> ResultFuture<Validated> {
        unsupported!(context, request, "provider credentials")
    }

    /// `validate_model_credentials`: any error is shown in the credential form.
    fn validate_model(&self, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        unsupported!(context, request, "customizable models")
    }

    /// `get_ai_model_schemas` for a model that no file declares. Dify caches it for an hour, so an unknown model is an
    /// error.
    fn model_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        unsupported!(context, request, "customizable models")
    }

    /// Returns the schema against which requests to such a model are checked. It is called before each request, so it
    /// must be cheap or cached, unless [`Provider::schemas_follow_from_credentials`]. Dify does not store it; rules that are only
    /// assumed must not reject anything.
    fn call_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        self.model_schema(context, request)
    }

    /// Whether [`Provider::call_schema`] follows from the declaration and the request's credentials alone. Then its result is
    /// used for some minutes, instead of being asked for before each request.
    fn schemas_follow_from_credentials(&self) -> bool {
        false
    }

    /// Returns where requests with these credentials go: the API first, then the token endpoint. For diagnosis.
    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        let _ = credentials;
        Ok(Vec::new())
    }

    /// Returns the environment variables that supply credential fields, at the terminal only.
    fn variables(&self) -> Variables {
        &[]
    }

    /// Starts a mock upstream on loopback and returns credentials for it, for a first try at the terminal. It ends with the
    /// process.
    fn mock_server(&self) -> ResultFuture<Option<Map<String, Value>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// `start_polling`.
    fn start_polling(&self, context: CallContext, request: LlmRequest) -> ResultFuture<PollingResponse> {
        let message = format!("model `{}` of `{}` is not polled", request.target.model, context.declaration.provider);
        Box::pin(std::future::ready(Err(InvokeError::new(crate::error::ErrorKind::PollingUnsupported, message))))
    }

    /// `check_polling`.
    fn check_polling(&self, context: CallContext, request: CheckPollingRequest) -> ResultFuture<PollingResponse> {
        let message = format!("model `{}` of `{}` is not polled", request.target.model, context.declaration.provider);
        Box::pin(std::future::ready(Err(InvokeError::new(crate::error::ErrorKind::PollingUnsupported, message))))
    }
}
