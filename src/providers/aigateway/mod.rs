//! Alibaba Cloud AI Gateway and Higress: the OpenAI-compatible dialect behind three authentication methods.
//!
//! There are only customizable models, which are described by their forms. This module contains what the gateway adds
//! to the
//! dialect: signatures and tokens (`hmac`, `jwt`), its errors (`errors`) and its content moderation (`moderation`,
//! `moderated_stream`).

mod connection;
mod embedding_rerank;
mod errors;
#[cfg(test)]
mod for_tests;
mod hmac;
pub mod jwk;
pub mod jws;
mod jwt;
mod llm;
mod moderated_stream;
mod moderation;
mod schema;
mod speech;
mod validate;

use url::Url;

use crate::dialect::tokens::{estimate_prompt, estimate_text};
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture, Validated};
use dify_plugin::protocol::{
    AudioChunk, Credentials, EmbeddingResult, LlmDelta, LlmNumTokensRequest, LlmRequest, ModelRequest, RerankRequest,
    RerankResult, Speech2TextRequest, TextEmbeddingNumTokensRequest, TextEmbeddingRequest, TtsRequest,
    TtsVoicesRequest, Voice,
};

pub use moderated_stream::ModeratedStream;

/// The provider `ai-gateway`.
#[derive(Clone, Default)]
pub struct AiGateway {
    tokens: jwt::TokenCache,
}

impl Provider for AiGateway {
    fn name(&self) -> &'static str {
        "ai-gateway"
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        llm::invoke(self, context, request)
    }

    fn llm_num_tokens(&self, _context: CallContext, request: LlmNumTokensRequest) -> ResultFuture<u64> {
        Box::pin(std::future::ready(Ok(estimate_prompt(&request.prompt_messages, &request.tools))))
    }

    fn text_embedding(&self, context: CallContext, request: TextEmbeddingRequest) -> ResultFuture<EmbeddingResult> {
        Box::pin(embedding_rerank::embed(self.clone(), context, request))
    }

    fn text_embedding_num_tokens(
        &self,
        _context: CallContext,
        request: TextEmbeddingNumTokensRequest,
    ) -> ResultFuture<Vec<u64>> {
        Box::pin(std::future::ready(Ok(request.texts.iter().map(|text| estimate_text(text)).collect())))
    }

    fn rerank(&self, context: CallContext, request: RerankRequest) -> ResultFuture<RerankResult> {
        Box::pin(embedding_rerank::rerank(self.clone(), context, request))
    }

    fn tts(&self, context: CallContext, request: TtsRequest) -> Chunks<AudioChunk> {
        speech::speak(self, context, request)
    }

    fn tts_voices(&self, _context: CallContext, request: TtsVoicesRequest) -> ResultFuture<Vec<Voice>> {
        Box::pin(std::future::ready(Ok(speech::voices(&request.target.credentials))))
    }

    fn speech2text(&self, context: CallContext, request: Speech2TextRequest) -> ResultFuture<String> {
        Box::pin(speech::transcribe(self.clone(), context, request))
    }

    fn validate_model(&self, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        let this = self.clone();
        Box::pin(async move {
            validate::validate(this, context, request).await?;
            Ok(Validated::unchanged())
        })
    }

    fn model_schema(&self, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(std::future::ready(schema::schema(&request)))
    }

    fn call_schema(&self, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(std::future::ready(schema::call_schema(&request)))
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        Ok(vec![connection::base_url(credentials)?.as_url().clone()])
    }
}
