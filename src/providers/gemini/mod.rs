//! Gemini: Google's models on the Gemini Developer API and Vertex AI. Wire format and stream mapping are in the
//! dialect.

mod agents;
mod caching;
mod embedding;
mod limits;
mod llm;
mod media;
mod mock_upstream;
mod response_timeout;
mod schema_from_resemblance;
mod speech_calls;
mod token_counts;
mod validate;

use std::sync::Arc;

use dify_plugin_gemini::connection::{self, Connection, TokenSources};
use dify_plugin_gemini::extras::Rejections;
use dify_plugin_gemini::files::Files;
use dify_plugin_gemini::validate as service;
use limits::LimitsCache;
use serde_json::{Map, Value};
use url::Url;

use crate::dialect::gemini::agents::interactions::is_agent;
use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::thought_signatures::{SignatureStore, of_call};
use crate::dialect::tokens;
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated, Variables};
use dify_plugin::protocol::{
    AudioChunk, CheckPollingRequest, Credentials, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest,
    ModelRequest, ModelType, MultimodalEmbeddingRequest, PollingResponse, Speech2TextRequest,
    TextEmbeddingNumTokensRequest, TextEmbeddingRequest, ToolCall, TtsRequest, TtsVoicesRequest,
    ValidateProviderRequest, Voice,
};

/// The provider for models. Background agents have a separate provider with the same code, because only newer Dify
/// versions can parse their declarations.
pub struct Gemini {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Gemini {
    /// Name of the provider for models.
    pub const MODELS: &'static str = "google";

    /// Name of the provider for background agents.
    pub const AGENTS: &'static str = "gemini-agents";

    /// Creates the provider for models. `machine` is what credential forms may use of this machine.
    pub fn new(machine: MachineAccess) -> Self {
        let shared = Arc::new(Shared { tokens: TokenSources::new(machine), ..Shared::default() });
        Self { name: Self::MODELS, shared }
    }

    /// Returns the provider for background agents, which shares tokens and uploaded files with the provider for models.
    #[must_use]
    pub fn agents(&self) -> Self {
        Self { name: Self::AGENTS, shared: self.shared.clone() }
    }
}

/// Returns the administrator's minimum for a safety filter: that of its category, which former forms had, or else the
/// common one.
fn safety_floor(credentials: &Credentials, filter: &str) -> Option<String> {
    credentials.get(&format!("{filter}_floor")).or_else(|| credentials.get("safety_floor")).map(str::to_owned)
}

/// State shared by all calls: tokens, signatures, rejected fields and limits of models, uploaded files, prompt caches,
/// and token counts.
#[derive(Default)]
struct Shared {
    tokens: TokenSources,
    signatures: SignatureStore,
    limits: LimitsCache,
    files: Files,
    caches: caching::Caches,
    counts: token_counts::Counts,
    refusals: Rejections,
}

impl Shared {
    fn connect(&self, credentials: &Credentials, context: &CallContext) -> Result<Connection, InvokeError> {
        Connection::new(credentials, &context.upstream, &self.tokens)
    }

    fn remembered(&self, call: &ToolCall) -> Option<String> {
        self.signatures.find(of_call(&call.id, &call.function.name, &call.function.arguments))
    }
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        self.name
    }

    fn variables(&self) -> Variables {
        &[("google_api_key", &["GEMINI_API_KEY", "GOOGLE_API_KEY"])]
    }

    fn mock_server(&self) -> ResultFuture<Option<Map<String, Value>>> {
        if self.name == Self::AGENTS {
            return Box::pin(std::future::ready(Ok(None)));
        }
        Box::pin(async {
            let url = mock_upstream::start().await.map_err(|error| InvokeError::connection(error.to_string()))?;
            let fields = [("google_base_url", url), ("google_api_key", "mock-upstream".to_owned())];
            Ok(Some(fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()))
        })
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        llm::invoke(self.shared.clone(), context, request)
    }

    fn llm_num_tokens(&self, context: CallContext, request: LlmNumTokensRequest) -> ResultFuture<u64> {
        let shared = self.shared.clone();
        Box::pin(async move {
            match token_counts::count(&shared, &context, &request).await {
                Ok(count) => Ok(count),
                Err(error) => {
                    tracing::warn!(error = error.log_summary(), "countTokens failed; using an estimate");
                    Ok(tokens::estimate_prompt(&request.prompt_messages, &request.tools))
                }
            }
        })
    }

    fn text_embedding(&self, context: CallContext, request: TextEmbeddingRequest) -> ResultFuture<EmbeddingResult> {
        let shared = self.shared.clone();
        Box::pin(async move { embedding::texts(&shared, &context, request).await })
    }

    fn multimodal_embedding(
        &self,
        context: CallContext,
        request: MultimodalEmbeddingRequest,
    ) -> ResultFuture<EmbeddingResult> {
        let shared = self.shared.clone();
        Box::pin(async move { embedding::documents(&shared, &context, request).await })
    }

    /// Estimated locally: a request to Google for every text of a knowledge base would take longer than the indexing.
    fn text_embedding_num_tokens(
        &self,
        _context: CallContext,
        request: TextEmbeddingNumTokensRequest,
    ) -> ResultFuture<Vec<u64>> {
        Box::pin(async move { Ok(request.texts.iter().map(|text| tokens::estimate_text(text)).collect()) })
    }

    fn tts(&self, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        speech_calls::speak(self.shared.clone(), context, request)
    }

    fn tts_voices(&self, _context: CallContext, _request: TtsVoicesRequest) -> ResultFuture<Vec<Voice>> {
        Box::pin(std::future::ready(Ok(speech_calls::voices())))
    }

    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        let shared = self.shared.clone();
        Box::pin(async move { speech_calls::transcribe(&shared, &context, &request).await })
    }

    fn start_polling(&self, context: CallContext, request: LlmRequest) -> ResultFuture<PollingResponse> {
        let shared = self.shared.clone();
        Box::pin(async move { agents::start(&shared, &context, &request).await })
    }

    fn check_polling(&self, context: CallContext, request: CheckPollingRequest) -> ResultFuture<PollingResponse> {
        let shared = self.shared.clone();
        Box::pin(async move { agents::check(&shared, &context, &request).await })
    }

    fn validate_provider(&self, context: CallContext, request: ValidateProviderRequest) -> ResultFuture<Validated> {
        let shared = self.shared.clone();
        Box::pin(async move {
            validate::fields(&request.credentials)?;
            let connection = shared.connect(&request.credentials, &context)?;
            if context.declaration.provider == Self::AGENTS {
                agents::check_service(&connection)?;
            }
            service::provider(&context.upstream, &connection).await?;
            Ok(Validated::unchanged())
        })
    }

    fn validate_model(&self, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        let shared = self.shared.clone();
        Box::pin(async move {
            validate::fields(&request.target.credentials)?;
            agents::check_provider(&request.target.model, &context.declaration.provider)?;
            let like = schema_from_resemblance::like(&request, &Catalog::new(context.models.clone()))?;
            let schema = schema_from_resemblance::customizable(&request, like.as_ref(), limits::Limits::default())?;
            if request.model_type == ModelType::TextEmbedding {
                let mut context = context;
                context.model = Some(Arc::new(schema));
                service::judge(embedding::validate(&shared, &context, &request).await)?;
                return Ok(Validated::unchanged());
            }
            let connection = shared.connect(&request.target.credentials, &context)?;
            service::model(&context.upstream, &connection, &request.target.model).await?;
            Ok(Validated::unchanged())
        })
    }

    fn model_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        let shared = self.shared.clone();
        Box::pin(async move {
            if context.declaration.provider == Self::AGENTS {
                agents::check_provider(&request.target.model, Self::AGENTS)?;
            }
            let connection = shared.connect(&request.target.credentials, &context)?;
            let like = schema_from_resemblance::like(&request, &Catalog::new(context.models.clone()))?;
            let limits = match &like {
                Some(like) if like.is_named => limits::Limits::default(),
                // Google reports no limits for agents.
                _ if is_agent(&request.target.model) => limits::Limits::default(),
                _ => shared.limits.get(&connection, &context.upstream, &request.target).await,
            };
            schema_from_resemblance::customizable(&request, like.as_ref(), limits)
        })
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        connection::endpoints(credentials, &self.shared.tokens)
    }
}
