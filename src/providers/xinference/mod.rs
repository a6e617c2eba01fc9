//! Xinference: models on the user's own server, described by that server.
//!
//! The abilities of a model are queried from the server and cached for a minute (`model_cache`); schema, requests and
//! validation follow from them. The wire format is that of the OpenAI-compatible dialect.
//! Source: `xorbitsai/inference: xinference/api/restful_api.py`; fields as in
//! `langgenius/dify-official-plugins: models/xinference/`.

mod login;
mod model_cache;
mod model_info;
mod schema;
mod settings;
mod thoughts;
mod validate;
mod voices;

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use url::Url;

use super::compatible;
use super::compatible::audio::{SpeechCall, TranscriptionCall};
use super::compatible::embeddings::{Embedded, EmbeddingCall};
use super::compatible::rerank::RerankCall;
use crate::dialect::openai::chat_request::thinking_switch;
use crate::dialect::openai::embeddings::{EmbeddingForm, MultimodalInput};
use crate::dialect::openai::rerank::{MultimodalDocuments, RerankForm, ReturnDocuments, ScoreForm};
use crate::dialect::openai::speech::{SpeechForm, TranscriptFormat, TranscriptionForm};
use crate::dialect::openai::{ChatMapper, MapperOptions};
use crate::dialect::think::ThinkPolicy;
use crate::dialect::tokens::{estimate_prompt, estimate_text};
use dify_plugin::declare::{ModelSchema, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated};
use dify_plugin::protocol::{
    AudioChunk, Credentials, EmbeddingInputType, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest,
    ModelRequest, ModelType, MultimodalEmbeddingRequest, MultimodalRerankRequest, RerankDocument, RerankRequest,
    RerankResult, Speech2TextRequest, Target, TextEmbeddingNumTokensRequest, TextEmbeddingRequest, TtsRequest,
    TtsVoicesRequest, Voice,
};
use model_cache::Catalog;
use model_info::ModelInfo;
use settings::Settings;
use thoughts::Watched;

/// Maximum number of concurrent speech requests.
const MAX_CONCURRENT_SPEECH: usize = 3;

/// The Xinference provider.
#[derive(Clone, Default)]
pub struct Xinference {
    catalog: Arc<Catalog>,
    tokens: Arc<login::Tokens>,
}

/// Everything that a request needs.
struct Call {
    settings: Settings,
    description: Arc<ModelInfo>,
    /// Why the model info is only assumed.
    assumed_because: Option<InvokeError>,
    context: CallContext,
    catalog: Arc<Catalog>,
}

impl Xinference {
    /// Reads the form and the model info, and rejects a model that has another type according to the server.
    async fn call(&self, context: CallContext, target: &Target, wanted: ModelType) -> Result<Call, InvokeError> {
        let settings = Settings::read(target, &context.upstream, &self.tokens)?;
        let model_cache::Known { description, assumed_because, .. } =
            self.catalog.describe(&context.upstream, &settings).await?;
        if description.is_reported() && !description.serves(wanted) {
            self.catalog.forget(settings.key);
            return Err(description.mismatch(&settings.uid, wanted));
        }
        Ok(Call { settings, description, assumed_because, context, catalog: self.catalog.clone() })
    }
}

impl Call {
    /// Drops the cached model info after an error, because the model may have been changed or stopped.
    fn noticed(&self, error: InvokeError) -> InvokeError {
        if matches!(error.status, Some(400 | 404 | 500 | 503)) {
            self.catalog.forget(self.settings.key);
        }
        error
    }
}

impl Provider for Xinference {
    fn name(&self) -> &'static str {
        "xinference"
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        Ok(vec![settings::root(credentials)?.as_url().clone()])
    }

    fn invoke_llm(&self, context: CallContext, mut request: LlmRequest) -> Chunks<LlmDelta> {
        let this = self.clone();
        async_stream::try_stream! {
            let call = this.call(context, &request.target, ModelType::Llm).await?;
            let profile = schema::profile(&call.description, &call.settings);
            let (settings, messages) = (&call.settings, &mut request.prompt_messages);
            let file_url = settings.file_url.as_deref();
            compatible::files::gather(&call.context.upstream, &settings.api.network, file_url, &profile, messages).await?;
            let mut deltas = call.llm(request)?;
            while let Some(delta) = deltas.next().await {
                yield delta.map_err(|error| call.noticed(error))?;
            }
        }
        .boxed()
    }

    fn llm_num_tokens(&self, _context: CallContext, request: LlmNumTokensRequest) -> ResultFuture<u64> {
        Box::pin(async move { Ok(estimate_prompt(&request.prompt_messages, &request.tools)) })
    }

    fn text_embedding(&self, context: CallContext, request: TextEmbeddingRequest) -> ResultFuture<EmbeddingResult> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::TextEmbedding).await?;
            let (embedding, count) = (call.embedding(&request.target, request.input_type)?, request.texts.len());
            let (upstream, api) = (&call.context.upstream, &call.settings.api);
            call.embedded(
                compatible::embeddings::texts(upstream, api, &embedding, request.texts).await,
                &embedding,
                count,
            )
        })
    }

    fn multimodal_embedding(
        &self,
        context: CallContext,
        request: MultimodalEmbeddingRequest,
    ) -> ResultFuture<EmbeddingResult> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::TextEmbedding).await?;
            let (embedding, count) = (call.embedding(&request.target, request.input_type)?, request.documents.len());
            let (upstream, api) = (&call.context.upstream, &call.settings.api);
            let found = compatible::embeddings::contents(upstream, api, &embedding, request.documents).await;
            call.embedded(found, &embedding, count)
        })
    }

    fn text_embedding_num_tokens(
        &self,
        _context: CallContext,
        request: TextEmbeddingNumTokensRequest,
    ) -> ResultFuture<Vec<u64>> {
        Box::pin(async move { Ok(request.texts.iter().map(|text| estimate_text(text)).collect()) })
    }

    fn rerank(&self, context: CallContext, request: RerankRequest) -> ResultFuture<RerankResult> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Rerank).await?;
            let ranking = call.ranking(&request.target, request.score_threshold, request.top_n)?;
            let (upstream, api) = (&call.context.upstream, &call.settings.api);
            call.ranked(compatible::rerank::texts(upstream, api, &ranking, request.query, request.docs).await)
        })
    }

    fn multimodal_rerank(&self, context: CallContext, request: MultimodalRerankRequest) -> ResultFuture<RerankResult> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Rerank).await?;
            let ranking = call.ranking(&request.target, request.score_threshold, request.top_n)?;
            let (upstream, api) = (&call.context.upstream, &call.settings.api);
            call.ranked(compatible::rerank::contents(upstream, api, &ranking, request.query, request.docs).await)
        })
    }

    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Speech2text).await?;
            let credentials = &request.target.credentials;
            let translate = credentials.get("speech_task") == Some("translate");
            let transcription = call.transcription(credentials.get("language"), translate);
            let upstream = &call.context.upstream;
            compatible::audio::transcribe(upstream, &call.settings.api, &transcription, request.file)
                .await
                .map_err(|error| call.noticed(error))
        })
    }

    fn tts(&self, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        let this = self.clone();
        async_stream::try_stream! {
            let call = this.call(context, &request.target, ModelType::Tts).await?;
            let speech = call.speech(&request);
            let upstream = call.context.upstream.clone();
            let mut audio = compatible::audio::speak(upstream, call.settings.api.clone(), speech, request.content_text);
            while let Some(chunk) = audio.next().await {
                yield chunk.map_err(|error| call.noticed(error))?;
            }
        }
        .boxed()
    }

    fn tts_voices(&self, context: CallContext, request: TtsVoicesRequest) -> ResultFuture<Vec<Voice>> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Tts).await?;
            let voices = voices::of_server(&call.context.upstream, &call.settings, &call.description).await;
            Ok(voices::speaker_voices(&voices, request.language.as_deref()))
        })
    }

    fn validate_model(&self, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        let this = self.clone();
        Box::pin(async move {
            validate::validate(&this, context, request).await?;
            Ok(Validated::unchanged())
        })
    }

    fn model_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, request.model_type).await?;
            match call.assumed_because {
                None => schema::schema(&request, &call.settings, &call.description),
                Some(error) => {
                    let message =
                        format!("the abilities of model `{}` are unknown: {}", call.settings.uid, error.message);
                    Err(error.with_message(message))
                }
            }
        })
    }

    fn call_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, request.model_type).await?;
            let mut schema = schema::schema(&request, &call.settings, &call.description)?;
            schema::admit_unknown(&mut schema, &call.settings, &call.description);
            Ok(schema)
        })
    }
}

impl Call {
    fn llm(&self, request: LlmRequest) -> Result<Chunks<LlmDelta>, InvokeError> {
        let description = &self.description;
        if !request.tools.is_empty() && description.is_reported() && !description.calls_tools() {
            return Err(InvokeError::bad_request(format!(
                "model `{}` ({}) does not support tool calls: the server does not list the `tools` ability for it",
                self.settings.uid,
                description.family()
            ))
            .with_hint("Launch a model with this ability, or use the ReAct strategy."));
        }
        let profile = schema::profile(description, &self.settings);
        let mut options = MapperOptions::of(&request, &profile, self.context.pricing());
        let (catalog, key) = (self.catalog.clone(), self.settings.key);
        let is_switched_on = thinking_switch(&request.model_parameters) == Some(true);
        if options.think != ThinkPolicy::Hide {
            options.think = thoughts::policy(description, is_switched_on, catalog.seen(key, is_switched_on));
        }
        let names = options.names.clone();
        let mapper = Watched { inner: ChatMapper::new(options), catalog, key, is_switched_on };
        let upstream = self.context.upstream.clone();
        let model = self.settings.uid.clone();
        Ok(compatible::chat::invoke_mapped(upstream, self.settings.api.clone(), model, profile, names, mapper, request))
    }

    /// Returns the maximum number of tokens per text of an embedding model.
    fn input_limit(&self) -> u64 {
        self.settings.context_length.or(self.description.max_tokens).unwrap_or(schema::DEFAULT_EMBEDDING_CONTEXT)
    }

    fn embedding(&self, target: &Target, input_type: EmbeddingInputType) -> Result<EmbeddingCall, InvokeError> {
        Ok(EmbeddingCall {
            model: self.settings.uid.clone(),
            form: EmbeddingForm {
                body: self.embedding_task(input_type),
                multimodal: Some(MultimodalInput::Objects),
                ..EmbeddingForm::default()
            },
            max_chunks: Some(schema::max_chunks(&target.credentials)?),
            context_size: Some(self.input_limit()),
            user: None,
            input_type,
        })
    }

    /// Returns the result for this number of inputs.
    fn embedded(
        &self,
        found: Result<Embedded, InvokeError>,
        call: &EmbeddingCall,
        inputs: usize,
    ) -> Result<EmbeddingResult, InvokeError> {
        let mut found = found.map_err(|error| self.noticed(error))?;
        // The server merges concurrent requests and reports the total tokens for each of them.
        found.counted = found.counted.filter(|_| inputs <= call.form.batch_size(call.max_chunks));
        let usage = price::embedding_usage(self.context.pricing(), found.tokens());
        Ok(EmbeddingResult::new(found.vectors, usage))
    }

    /// Returns the task of the embedding, which version 4 of Jina's model requires.
    fn embedding_task(&self, input_type: EmbeddingInputType) -> Map<String, Value> {
        let name = self.description.model_name.as_deref().unwrap_or_default();
        if !name.contains("jina-embeddings-v4") && !self.settings.uid.contains("jina-embeddings-v4") {
            return Map::new();
        }
        let prompt = match input_type {
            EmbeddingInputType::Query => "query",
            _ => "passage",
        };
        Map::from_iter([("task".to_owned(), json!("retrieval")), ("prompt_name".to_owned(), json!(prompt))])
    }

    fn ranking(&self, target: &Target, threshold: Option<f64>, top_n: Option<u64>) -> Result<RerankCall, InvokeError> {
        let credentials = &target.credentials;
        let batch = settings::positive_integer(credentials, "rerank_batch_size")?;
        let form = RerankForm {
            batch: batch.and_then(|size| usize::try_from(size).ok()).and_then(NonZeroUsize::new),
            scores: if credentials.flag("rerank_normalize", false) { ScoreForm::Sigmoid } else { ScoreForm::Raw },
            return_documents: ReturnDocuments(Some(false)),
            multimodal: Some(MultimodalDocuments::Objects),
            ..RerankForm::default()
        };
        Ok(RerankCall { model: self.settings.uid.clone(), form, threshold, top_n })
    }

    fn ranked(&self, found: Result<Vec<RerankDocument>, InvokeError>) -> Result<RerankResult, InvokeError> {
        found.map(RerankResult::new).map_err(|error| self.noticed(error))
    }

    fn transcription(&self, language: Option<&str>, translate: bool) -> TranscriptionCall {
        let form = TranscriptionForm {
            language: language.map(str::to_owned),
            format: TranscriptFormat::Json,
            ..TranscriptionForm::default()
        };
        TranscriptionCall { model: self.settings.uid.clone(), form, file_upload_limit: None, translate }
    }

    fn speech(&self, request: &TtsRequest) -> SpeechCall {
        let voice = request.voice.as_deref().filter(|voice| *voice != voices::DEFAULT);
        SpeechCall {
            model: self.settings.uid.clone(),
            form: SpeechForm {
                stream: Some(voices::streams(&self.description)),
                parallel: NonZeroUsize::new(MAX_CONCURRENT_SPEECH),
                ..SpeechForm::default()
            },
            voice: voice.map(str::to_owned),
            audio_type: Some(schema::audio_type(&request.target.credentials).to_owned()),
            word_limit: usize::try_from(schema::WORD_LIMIT).ok(),
        }
    }
}

/// Whether this model type is supported.
fn is_served(model_type: ModelType) -> bool {
    model_type != ModelType::Moderation
}
