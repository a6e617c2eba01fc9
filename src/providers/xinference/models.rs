//! A running model that is ready to be called: the format of its requests by model type, and what the server's oddities
//! change about calls.

use std::num::NonZeroUsize;
use std::sync::Arc;

use serde_json::{Map, json};

use super::Found;
use super::model_cache::Catalog;
use super::model_info::ModelInfo;
use super::settings::{Settings, positive_integer};
use super::thoughts::{self, Watched};
use super::{schema_from_server, voices};
use crate::dialect::StreamMapper;
use crate::dialect::openai::chat_request::thinking_switch;
use crate::dialect::openai::embeddings::{EmbeddingForm, InputTypeMember, MultimodalInput};
use crate::dialect::openai::rerank::{MultimodalDocuments, RerankForm, ReturnDocuments, ScoreForm};
use crate::dialect::openai::speech_responses::{SpeechForm, TranscriptFormat, TranscriptionForm};
use crate::dialect::openai::{ChatMapper, MapperOptions};
use crate::dialect::think::ThinkPolicy;
use crate::providers::compatible::audio::{SpeechCall, TranscriptionCall};
use crate::providers::compatible::embeddings::EmbeddingCall;
use crate::providers::compatible::model::{ChatForm, Form, Hooks, Model};
use crate::providers::compatible::rerank::RerankCall;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, LlmDelta, LlmRequest, ModelType};

/// Maximum number of concurrent speech requests.
pub(super) const MAX_CONCURRENT_SPEECH: usize = 3;

/// Returns the model of a form.
pub(super) fn model(
    found: Found,
    catalog: Arc<Catalog>,
    credentials: &Credentials,
    model_type: ModelType,
) -> Result<Model, InvokeError> {
    let Found { settings, description, .. } = found;
    let form = match model_type {
        ModelType::Llm => Form::Chat(Box::new(ChatForm {
            profile: schema_from_server::profile(&description, &settings),
            file_url: settings.file_url.clone(),
            ..ChatForm::default()
        })),
        ModelType::TextEmbedding => Form::Embedding(Box::new(embedding(&settings, &description, credentials)?)),
        ModelType::Rerank => Form::Rerank(Box::new(ranking(credentials)?)),
        // The server decides about the requested voice.
        ModelType::Tts => Form::Speech(Box::new(speech(&description, credentials)), Vec::new()),
        ModelType::Speech2text => Form::Transcription(Box::new(transcription(credentials))),
        other => return Err(description.mismatch(&settings.uid, other)),
    };
    let (endpoint, name) = (settings.api, settings.uid);
    let hooks = ServerHooks { key: settings.key, uid: name.clone(), description, catalog };
    Ok(Model::new(endpoint, name, form).with_hooks(Arc::new(hooks)))
}

fn embedding(
    settings: &Settings,
    description: &ModelInfo,
    credentials: &Credentials,
) -> Result<EmbeddingCall, InvokeError> {
    let limit =
        settings.context_length.or(description.max_tokens).unwrap_or(schema_from_server::DEFAULT_EMBEDDING_CONTEXT);
    let mut form = EmbeddingForm { multimodal: Some(MultimodalInput::Objects), ..EmbeddingForm::default() };
    // Version 4 of Jina's model requires a task.
    let name = description.model_name.as_deref().unwrap_or_default();
    if [name, &settings.uid].iter().any(|name| name.contains("jina-embeddings-v4")) {
        form.body = Map::from_iter([("task".to_owned(), json!("retrieval"))]);
        form.input_type = Some(InputTypeMember {
            field: "prompt_name".to_owned(),
            query: "query".to_owned(),
            document: "passage".to_owned(),
        });
    }
    Ok(EmbeddingCall {
        form,
        max_chunks: Some(schema_from_server::max_chunks(credentials)?),
        context_size: Some(limit),
        ..EmbeddingCall::default()
    })
}

fn ranking(credentials: &Credentials) -> Result<RerankCall, InvokeError> {
    let batch = positive_integer(credentials, "rerank_batch_size")?;
    let form = RerankForm {
        batch: batch.and_then(|size| usize::try_from(size).ok()).and_then(NonZeroUsize::new),
        scores: if credentials.flag("rerank_normalize", false) { ScoreForm::Sigmoid } else { ScoreForm::Raw },
        return_documents: ReturnDocuments(Some(false)),
        multimodal: Some(MultimodalDocuments::Objects),
        ..RerankForm::default()
    };
    Ok(RerankCall { form, ..RerankCall::default() })
}

fn speech(description: &ModelInfo, credentials: &Credentials) -> SpeechCall {
    SpeechCall {
        form: SpeechForm {
            stream: Some(voices::streams(description)),
            parallel: NonZeroUsize::new(MAX_CONCURRENT_SPEECH),
            ..SpeechForm::default()
        },
        audio_type: Some(schema_from_server::audio_type(credentials).to_owned()),
        word_limit: usize::try_from(schema_from_server::WORD_LIMIT).ok(),
        ..SpeechCall::default()
    }
}

fn transcription(credentials: &Credentials) -> TranscriptionCall {
    let form = TranscriptionForm {
        language: credentials.get("language").map(str::to_owned),
        format: TranscriptFormat::Json,
        ..TranscriptionForm::default()
    };
    let translate = credentials.get("speech_task") == Some("translate");
    TranscriptionCall { form, translate, ..TranscriptionCall::default() }
}

/// What the server's oddities change about calls.
struct ServerHooks {
    /// Cache key of the model.
    key: u64,
    uid: String,
    description: Arc<ModelInfo>,
    catalog: Arc<Catalog>,
}

impl Hooks for ServerHooks {
    fn prepare(&self, request: &mut LlmRequest) -> Result<(), InvokeError> {
        if request.tools.is_empty() || !self.description.is_reported() || self.description.calls_tools() {
            return Ok(());
        }
        Err(InvokeError::bad_request(format!(
            "model `{}` ({}) does not support tool calls: the server does not list the `tools` ability for it",
            self.uid,
            self.description.family()
        ))
        .with_hint("Launch a model with this ability, or use the ReAct strategy."))
    }

    fn options(&self, request: &LlmRequest, options: &mut MapperOptions) {
        let is_switched_on = thinking_switch(&request.model_parameters) == Some(true);
        if options.think != ThinkPolicy::Hide {
            let seen = self.catalog.seen(self.key, is_switched_on);
            options.think = thoughts::policy(&self.description, is_switched_on, seen);
        }
    }

    fn mapper(&self, request: &LlmRequest, mapper: ChatMapper) -> Box<dyn StreamMapper<Item = LlmDelta>> {
        let is_switched_on = thinking_switch(&request.model_parameters) == Some(true);
        Box::new(Watched { inner: mapper, catalog: self.catalog.clone(), key: self.key, is_switched_on })
    }

    fn voice(&self, voice: Option<String>) -> Option<String> {
        voice.filter(|voice| voice != voices::DEFAULT)
    }

    /// Drops the cached model info after an error, because the model may have been changed or stopped.
    fn failed(&self, error: InvokeError) -> InvokeError {
        if matches!(error.status, Some(400 | 404 | 500 | 503)) {
            self.catalog.forget(self.key);
        }
        error
    }

    /// The server merges concurrent requests and reports the total tokens for each of them.
    fn embedding_tokens(&self, counted: Option<u64>, estimate: u64, is_whole: bool) -> u64 {
        counted.filter(|_| is_whole).unwrap_or(estimate)
    }
}
