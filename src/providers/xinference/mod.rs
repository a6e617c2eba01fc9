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

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use url::Url;

use super::compatible;
use super::compatible::audio::{SpeechCall, TranscriptionCall};
use super::compatible::embeddings::EmbeddingCall;
use super::compatible::rerank::RerankCall;
use crate::dialect::openai::chat_request::thinking_switch;
use crate::dialect::openai::rerank::ScoreForm;
use crate::dialect::openai::{ChatMapper, MapperOptions};
use crate::dialect::think::ThinkPolicy;
use crate::dialect::tokens::{estimate_prompt, estimate_text};
use dify_plugin::declare::{ModelSchema, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated};
use dify_plugin::protocol::{
    AudioChunk, Credentials, EmbeddingInputType, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest,
    ModelRequest, ModelType, MultimodalContent, MultimodalContentType, MultimodalEmbeddingRequest,
    MultimodalRerankRequest, RerankRequest, RerankResult, Speech2TextRequest, Target, TextEmbeddingNumTokensRequest,
    TextEmbeddingRequest, TtsRequest, TtsVoicesRequest, Voice,
};
use model_cache::Catalog;
use model_info::ModelInfo;
use settings::Settings;
use thoughts::Watched;

/// Maximum number of concurrent embedding requests; the server merges those that arrive together.
const MAX_CONCURRENT_EMBEDDINGS: usize = 4;

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
            let limit = call.input_limit();
            let estimate = compatible::embeddings::estimate(request.texts.iter().map(String::as_str));
            let texts = request.texts.into_iter().map(|text| compatible::embeddings::fitted(text, limit)).collect();
            call.embed(&request.target, texts, request.input_type, estimate).await
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
            let estimate = request.documents.len() as u64;
            let documents: Vec<Value> = request.documents.into_iter().map(document).collect();
            call.embed(&request.target, documents, request.input_type, estimate).await
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
            call.rank(ranking, request.query, request.docs.clone(), &request.docs).await
        })
    }

    fn multimodal_rerank(&self, context: CallContext, request: MultimodalRerankRequest) -> ResultFuture<RerankResult> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Rerank).await?;
            let ranking = call.ranking(&request.target, request.score_threshold, request.top_n)?;
            let texts: Vec<String> = request.docs.iter().map(|item| item.content.clone()).collect();
            let documents: Vec<Value> = request.docs.into_iter().map(document).collect();
            call.rank(ranking, document(request.query), documents, &texts).await
        })
    }

    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        let this = self.clone();
        Box::pin(async move {
            let call = this.call(context, &request.target, ModelType::Speech2text).await?;
            let credentials = &request.target.credentials;
            let transcription = TranscriptionCall {
                model: call.settings.uid.clone(),
                language: credentials.get("language").map(str::to_owned),
                prompt: None,
                translate: credentials.get("speech_task") == Some("translate"),
            };
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

    async fn embed<T: serde::Serialize + Send + Sync>(
        &self,
        target: &Target,
        inputs: Vec<T>,
        input_type: EmbeddingInputType,
        estimate: u64,
    ) -> Result<EmbeddingResult, InvokeError> {
        let batch = schema::max_chunks(&target.credentials)?;
        let whole_in_one = inputs.len() <= batch;
        let call = EmbeddingCall {
            model: self.settings.uid.clone(),
            batch,
            parallel: MAX_CONCURRENT_EMBEDDINGS,
            encoding_format: None,
            user: None,
            extra: self.embedding_task(input_type),
        };
        let (embeddings, counted) =
            compatible::embeddings::invoke(&self.context.upstream, &self.settings.api, &call, inputs)
                .await
                .map_err(|error| self.noticed(error))?;
        // The server merges concurrent requests and reports the total tokens for each of them.
        let tokens = counted.filter(|_| whole_in_one).unwrap_or(estimate);
        let usage = price::embedding_usage(self.context.pricing(), tokens);
        Ok(EmbeddingResult::new(embeddings, usage))
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
        Ok(RerankCall {
            model: self.settings.uid.clone(),
            path: "rerank",
            batch: batch.and_then(|size| usize::try_from(size).ok()),
            scores: if credentials.flag("rerank_normalize", false) { ScoreForm::Sigmoid } else { ScoreForm::Raw },
            threshold,
            top_n,
            extra: Map::new(),
        })
    }

    async fn rank<T: serde::Serialize + Send + Sync>(
        &self,
        ranking: RerankCall,
        query: T,
        documents: Vec<T>,
        texts: &[String],
    ) -> Result<RerankResult, InvokeError> {
        let upstream = &self.context.upstream;
        let docs = compatible::rerank::invoke(upstream, &self.settings.api, &ranking, &query, documents, texts)
            .await
            .map_err(|error| self.noticed(error))?;
        Ok(RerankResult::new(docs))
    }

    fn speech(&self, request: &TtsRequest) -> SpeechCall {
        let voice = request.voice.as_deref().filter(|voice| *voice != voices::DEFAULT);
        SpeechCall {
            model: self.settings.uid.clone(),
            voice: voice.map(str::to_owned),
            format: schema::audio_type(&request.target.credentials).to_owned(),
            speed: None,
            stream: Some(voices::streams(&self.description)),
            longest: schema::WORD_LIMIT as usize,
            parallel: MAX_CONCURRENT_SPEECH,
            extra: Map::new(),
        }
    }
}

/// Converts a text or an image to the format of the server's vision models.
fn document(content: MultimodalContent) -> Value {
    match content.content_type {
        MultimodalContentType::Image => json!({ "image": image(content.content) }),
        _ => json!({ "text": content.content }),
    }
}

/// Converts Base64 without a prefix to a data URL.
fn image(content: String) -> String {
    if content.contains("://") || content.starts_with("data:") {
        return content;
    }
    let mime_type = match content.get(..4) {
        Some("/9j/") => "image/jpeg",
        Some("R0lG") => "image/gif",
        Some("UklG") => "image/webp",
        _ => "image/png",
    };
    format!("data:{mime_type};base64,{content}")
}

/// Whether this model type is supported.
fn is_served(model_type: ModelType) -> bool {
    model_type != ModelType::Moderation
}
