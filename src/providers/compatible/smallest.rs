//! The smallest call of each model type, which validates credentials exactly as calls use them. What it is not: the
//! explanation of its errors for a form.

use futures_util::StreamExt;
use serde_json::json;

use super::chat::try_model;
use super::model::Source;
use super::provider::{Compatible, Parameters};
use crate::dialect::wav::silence;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Provider};
use dify_plugin::protocol::{
    LlmRequest, ModelType, ModerationRequest, PromptMessage, RerankRequest, Speech2TextRequest, Target,
    TextEmbeddingRequest, TtsRequest,
};

/// How a chat model is called.
#[derive(Clone, Copy, Debug)]
pub struct Smallest {
    /// Output limit in tokens.
    pub max_tokens: u64,
    /// Whether the response streams.
    pub stream: bool,
}

/// Calls a model once, as small as possible. The end user is not named.
pub async fn call<S: Source>(
    provider: &Compatible<S>,
    context: CallContext,
    mut target: Target,
    model_type: ModelType,
    how: Smallest,
) -> Result<(), InvokeError> {
    target.user_id = String::new();
    match model_type {
        ModelType::Llm => match ask(provider, &context, &target, how, false).await {
            // Some models must think so much that the smallest request is too small.
            Err(error) if mentions_thinking(&error) => {
                ask(provider, &context, &target, how, true).await.map_err(|_| error)
            }
            done => done,
        },
        ModelType::TextEmbedding => {
            let request = TextEmbeddingRequest::new(target, vec!["ping".to_owned()]);
            provider.text_embedding(context, request).await.map(drop)
        }
        ModelType::Rerank => {
            let docs = ["Paris is the capital of France.", "Bread is made of flour."].map(str::to_owned).to_vec();
            let request = RerankRequest::new(target, "What is the capital of France?", docs);
            provider.rerank(context, request).await.map(drop)
        }
        // The first chunk is sufficient; dropping the rest stops the model.
        ModelType::Tts => provider.tts(context, TtsRequest::new(target, "Test.")).next().await.transpose().map(drop),
        ModelType::Speech2text => {
            provider.speech2text(context, Speech2TextRequest::new(target, silence())).await.map(drop)
        }
        ModelType::Moderation => provider.moderation(context, ModerationRequest::new(target, "ping")).await.map(drop),
        _ => Ok(()),
    }
}

/// Asks for a few tokens, with thinking switched off or not.
async fn ask<S: Source>(
    provider: &Compatible<S>,
    context: &CallContext,
    target: &Target,
    how: Smallest,
    without_thinking: bool,
) -> Result<(), InvokeError> {
    try_model(how.max_tokens, |tokens| {
        let mut request = LlmRequest::new(target.clone(), vec![PromptMessage::user("ping")]);
        request.model_parameters.insert("max_tokens".to_owned(), json!(tokens));
        if without_thinking {
            request.model_parameters.insert("thinking".to_owned(), json!({"type": "disabled"}));
            request.model_parameters.insert("enable_thinking".to_owned(), json!(false));
        }
        request.stream = how.stream;
        Ok(provider.chat(context.clone(), request, Parameters::AsGiven))
    })
    .await
}

/// Whether a rejection is about the amount of thinking.
fn mentions_thinking(error: &InvokeError) -> bool {
    let text = error.message.to_ascii_lowercase();
    matches!(error.status, Some(400 | 422)) && (text.contains("budget_tokens") || text.contains("thinking"))
}
