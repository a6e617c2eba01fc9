//! The one provider behind every source of OpenAI-compatible models: all actions, with files, function names, batches and
//! usage. What it is not: where a model's URL, credential and variant come from, which is the source's.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::{StreamExt, TryFutureExt};
use url::Url;

use super::model::{LanguageVoice, Model, Source};
use super::{audio, chat, embeddings, files, moderation, rerank};
use crate::dialect::openai::{ChatMapper, MapperOptions};
use crate::dialect::tokens::{estimate_prompt, estimate_text};
use dify_plugin::declare::{ModelSchema, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated, Variables};
use dify_plugin::protocol::{
    AudioChunk, Credentials, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest, ModelRequest, ModelType,
    ModerationRequest, MultimodalEmbeddingRequest, MultimodalRerankRequest, RerankRequest, RerankResult,
    Speech2TextRequest, Target, TextEmbeddingNumTokensRequest, TextEmbeddingRequest, TtsRequest, TtsVoicesRequest,
    ValidateProviderRequest, Voice,
};

/// A provider whose models come from a source.
pub struct Compatible<S>(Arc<S>);

/// Which parameters a request to a language model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameters {
    /// Those of the request, and the values for those that the user did not set.
    Completed,
    /// Those of the request only, so that a validation depends on as little as possible.
    AsGiven,
}

impl<S> Clone for Compatible<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Source + Default> Default for Compatible<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S: Source> Compatible<S> {
    /// Creates the provider.
    pub fn new(source: S) -> Self {
        Self(Arc::new(source))
    }

    /// Creates the provider of a shared source.
    pub fn of(source: Arc<S>) -> Self {
        Self(source)
    }

    /// Calls a language model.
    pub(super) fn chat(
        &self,
        context: CallContext,
        mut request: LlmRequest,
        parameters: Parameters,
    ) -> Chunks<LlmDelta> {
        let this = self.clone();
        // In a box of its own, which is freed once the request is made.
        let deltas = Box::pin(async move {
            let model = this.model(&context, &request.target, ModelType::Llm).await?;
            let form = model.chat()?;
            let mut profile = form.profile.clone();
            if parameters == Parameters::AsGiven {
                profile.parameters.0.iter_mut().for_each(|(_, conversion)| conversion.unset = None);
            }
            let (network, messages) = (&model.endpoint.network, &mut request.prompt_messages);
            files::gather(&context.upstream, network, form.file_url.as_deref(), &profile, messages).await?;
            model.hooks.prepare(&mut request)?;
            let mut options = MapperOptions::of(&request, &profile, context.pricing());
            model.hooks.options(&request, &mut options);
            let names = options.names.clone();
            let mapper = model.hooks.mapper(&request, ChatMapper::new(options));
            let (endpoint, name) = (model.endpoint.clone(), model.name.clone());
            let deltas = chat::invoke_mapped(context.upstream, endpoint, name, profile, names, mapper, request);
            Ok(deltas.map(move |delta| delta.or_else(|error| model.hooks.answered(error))))
        });
        deltas.try_flatten_stream().boxed()
    }

    /// Rejects a multimodal call where the source's models read texts only.
    fn check_multimodal(&self, context: &CallContext, kind: &str) -> Result<(), InvokeError> {
        if self.0.is_multimodal() {
            return Ok(());
        }
        let provider = &context.declaration.provider;
        Err(InvokeError::bad_request(format!("provider `{provider}` has no multimodal {kind} models")))
    }

    async fn model(
        &self,
        context: &CallContext,
        target: &Target,
        model_type: ModelType,
    ) -> Result<Arc<Model>, InvokeError> {
        self.0.model(context, target, model_type).await
    }
}

fn speaks(voice: &LanguageVoice, language: Option<&str>) -> bool {
    language.is_none_or(|language| voice.languages.is_empty() || voice.languages.iter().any(|own| own == language))
}

/// Returns the voice of a request: the first one without a choice; one that the model does not have is an error.
fn chosen(voices: &[LanguageVoice], requested: Option<&str>) -> Result<Option<String>, InvokeError> {
    let known = || voices.iter().map(|known| known.voice.value.as_str());
    match requested.map(str::trim).filter(|voice| !voice.is_empty()) {
        None => Ok(known().next().map(str::to_owned)),
        Some(requested) if voices.is_empty() || known().any(|voice| voice == requested) => {
            Ok(Some(requested.to_owned()))
        }
        Some(requested) => Err(InvokeError::bad_request(format!(
            "unknown voice `{requested}`; available voices: {}",
            known().collect::<Vec<_>>().join(", ")
        ))
        .with_hint("If the model's form has a field `voices`, add it there.")),
    }
}

impl<S: Source> Provider for Compatible<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        self.chat(context, request, Parameters::Completed)
    }

    fn llm_num_tokens(&self, _context: CallContext, request: LlmNumTokensRequest) -> ResultFuture<u64> {
        Box::pin(std::future::ready(Ok(estimate_prompt(&request.prompt_messages, &request.tools))))
    }

    fn text_embedding(&self, context: CallContext, request: TextEmbeddingRequest) -> ResultFuture<EmbeddingResult> {
        let this = self.clone();
        Box::pin(async move {
            let model = this.model(&context, &request.target, ModelType::TextEmbedding).await?;
            let call = model.embedding(&request.target.user_id, request.input_type)?;
            let is_whole = request.texts.len() <= call.form.batch_size(call.max_chunks);
            let result = embeddings::texts(&context.upstream, &model.endpoint, &call, request.texts).await;
            embedded(&context, &model, result, is_whole)
        })
    }

    fn multimodal_embedding(
        &self,
        context: CallContext,
        request: MultimodalEmbeddingRequest,
    ) -> ResultFuture<EmbeddingResult> {
        let this = self.clone();
        Box::pin(async move {
            this.check_multimodal(&context, "embedding")?;
            let model = this.model(&context, &request.target, ModelType::TextEmbedding).await?;
            let call = model.embedding(&request.target.user_id, request.input_type)?;
            let is_whole = request.documents.len() <= call.form.batch_size(call.max_chunks);
            let result = embeddings::contents(&context.upstream, &model.endpoint, &call, request.documents).await;
            embedded(&context, &model, result, is_whole)
        })
    }

    fn text_embedding_num_tokens(
        &self,
        _context: CallContext,
        request: TextEmbeddingNumTokensRequest,
    ) -> ResultFuture<Vec<u64>> {
        Box::pin(std::future::ready(Ok(request.texts.iter().map(|text| estimate_text(text)).collect())))
    }

    fn rerank(&self, context: CallContext, request: RerankRequest) -> ResultFuture<RerankResult> {
        let this = self.clone();
        Box::pin(async move {
            let model = this.model(&context, &request.target, ModelType::Rerank).await?;
            let call = model.rerank(request.score_threshold, request.top_n)?;
            let ranked = rerank::texts(&context.upstream, &model.endpoint, &call, request.query, request.docs).await;
            ranked.map(RerankResult::new).map_err(|error| model.hooks.failed(error))
        })
    }

    fn multimodal_rerank(&self, context: CallContext, request: MultimodalRerankRequest) -> ResultFuture<RerankResult> {
        let this = self.clone();
        Box::pin(async move {
            this.check_multimodal(&context, "rerank")?;
            let model = this.model(&context, &request.target, ModelType::Rerank).await?;
            let call = model.rerank(request.score_threshold, request.top_n)?;
            let ranked = rerank::contents(&context.upstream, &model.endpoint, &call, request.query, request.docs).await;
            ranked.map(RerankResult::new).map_err(|error| model.hooks.failed(error))
        })
    }

    fn tts(&self, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        let this = self.clone();
        try_stream! {
            let model = this.model(&context, &request.target, ModelType::Tts).await?;
            let (mut call, voices) = model.speech()?;
            call.voice = model.hooks.voice(chosen(voices, request.voice.as_deref())?.or(call.voice));
            let mut audio = audio::speak(context.upstream, model.endpoint.clone(), call, request.content_text);
            while let Some(chunk) = audio.next().await {
                yield chunk.map_err(|error| model.hooks.failed(error))?;
            }
        }
        .boxed()
    }

    fn tts_voices(&self, context: CallContext, request: TtsVoicesRequest) -> ResultFuture<Vec<Voice>> {
        let this = self.clone();
        Box::pin(async move {
            let voices = match this.0.voices(&context, &request.target).await? {
                Some(voices) => voices,
                None => this.model(&context, &request.target, ModelType::Tts).await?.speech()?.1.to_vec(),
            };
            let language = request.language.as_deref();
            let of_language: Vec<&LanguageVoice> = voices.iter().filter(|voice| speaks(voice, language)).collect();
            // A list for another language is better than none.
            let found = if of_language.is_empty() { voices.iter().collect() } else { of_language };
            Ok(found.into_iter().map(|voice| voice.voice.clone()).collect())
        })
    }

    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        let this = self.clone();
        Box::pin(async move {
            let model = this.model(&context, &request.target, ModelType::Speech2text).await?;
            let call = model.transcription()?;
            let text = audio::transcribe(&context.upstream, &model.endpoint, &call, request.file).await;
            text.map_err(|error| model.hooks.failed(error))
        })
    }

    fn moderation(&self, context: CallContext, request: ModerationRequest) -> ResultFuture<bool> {
        let this = self.clone();
        Box::pin(async move {
            let model = this.model(&context, &request.target, ModelType::Moderation).await?;
            let call = model.moderation()?;
            let verdict = moderation::is_unsafe(&context.upstream, &model.endpoint, &call, &request.text).await;
            verdict.map_err(|error| model.hooks.failed(error))
        })
    }

    fn validate_provider(&self, context: CallContext, request: ValidateProviderRequest) -> ResultFuture<Validated> {
        self.0.clone().validate_provider(context, request)
    }

    fn validate_model(&self, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        self.0.clone().validate_model(context, request)
    }

    fn model_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        self.0.clone().schema(context, request)
    }

    fn call_schema(&self, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        self.0.clone().call_schema(context, request)
    }

    fn schemas_follow_from_credentials(&self) -> bool {
        self.0.schemas_follow_from_credentials()
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        self.0.endpoints(credentials)
    }

    fn variables(&self) -> Variables {
        self.0.variables()
    }
}

fn embedded(
    context: &CallContext,
    model: &Model,
    result: Result<embeddings::Embedded, InvokeError>,
    is_whole: bool,
) -> Result<EmbeddingResult, InvokeError> {
    let found = result.map_err(|error| model.hooks.failed(error))?;
    let tokens = model.hooks.embedding_tokens(found.counted, found.estimate, is_whole);
    Ok(EmbeddingResult::new(found.vectors, price::embedding_usage(context.pricing(), tokens)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_voices() {
        let voice = |name: &str| LanguageVoice { voice: Voice::new(name, name), languages: vec!["en-US".to_owned()] };
        let two = [voice("a"), voice("b")];
        for (voices, requested, expected) in [
            (&two[..], None, Ok(Some("a"))),
            (&two[..], Some(" "), Ok(Some("a"))),
            (&two[..], Some("b"), Ok(Some("b"))),
            (&two[..], Some("c"), Err("available voices: a, b")),
            (&[], Some("c"), Ok(Some("c"))),
            (&[], None, Ok(None)),
        ] {
            match (chosen(voices, requested), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected),
                (Err(error), Err(words)) => assert!(error.message.contains(words), "{error}"),
                (found, _) => panic!("{requested:?}: {found:?}"),
            }
        }
        assert!(speaks(&two[0], Some("en-US")) && !speaks(&two[0], Some("ja-JP")) && speaks(&two[0], None));
    }
}
