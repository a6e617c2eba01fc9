//! Embedding in batches of texts, and rerank with the scores that the model returns.

use super::AiGateway;
use super::connection::connect;
use super::schema::{context_size, count, max_chunks};
use crate::dialect::openai::embeddings::{EmbeddingForm, EncodingFormat, Prefix};
use crate::dialect::openai::form_values::TextOrFalse;
use crate::dialect::openai::rerank::{RerankForm, ReturnDocuments};
use crate::providers::compatible::embeddings::{self, EmbeddingCall};
use crate::providers::compatible::rerank::{self, RerankCall};
use crate::providers::compatible::{Action, Endpoint};
use dify_plugin::declare::price;
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{EmbeddingResult, RerankRequest, RerankResult, TextEmbeddingRequest};

/// Path of DashScope's native rerank API.
const DASHSCOPE_PATH: &str = "api/v1/services/rerank/text-rerank/text-rerank";

/// DashScope model that accepts the flat body at that path.
const DASHSCOPE_FLAT_MODEL: &str = "qwen3-rerank";

/// `invoke_text_embedding`.
pub(super) async fn embed(
    gateway: AiGateway,
    context: CallContext,
    request: TextEmbeddingRequest,
) -> Result<EmbeddingResult, InvokeError> {
    let (endpoint, model) = connect(&request.target, &gateway.tokens)?;
    let credentials = &request.target.credentials;
    let prefix = |field: &str| credentials.get(field).map(str::to_owned);
    let mut form = EmbeddingForm {
        format: EncodingFormat::Float,
        user: true,
        prefix: Prefix { query: prefix("query_prefix"), document: prefix("document_prefix") },
        ..EmbeddingForm::default()
    };
    if credentials.get("dimensions").is_some() {
        form.body.insert("dimensions".to_owned(), count(credentials, "dimensions", 1)?.into());
    }
    let call = EmbeddingCall {
        model,
        form,
        max_chunks: usize::try_from(max_chunks(credentials)?).ok(),
        context_size: Some(context_size(credentials)?),
        user: Some(request.target.user_id.clone()),
        input_type: request.input_type,
    };
    let found = embeddings::texts(&context.upstream, &endpoint, &call, request.texts).await?;
    let tokens = found.tokens();
    Ok(EmbeddingResult::new(found.vectors, price::embedding_usage(context.pricing(), tokens)))
}

/// `invoke_rerank`.
pub(super) async fn rerank(
    gateway: AiGateway,
    context: CallContext,
    request: RerankRequest,
) -> Result<RerankResult, InvokeError> {
    let (endpoint, model) = connect(&request.target, &gateway.tokens)?;
    let form = RerankForm { return_documents: ReturnDocuments(Some(false)), ..RerankForm::default() };
    let (path, form) = match request.target.credentials.get("rerank_protocol").unwrap_or("reranks") {
        path @ ("reranks" | "rerank") => (path, form),
        "dashscope" if model != DASHSCOPE_FLAT_MODEL => (DASHSCOPE_PATH, nested(form)),
        "dashscope" => (DASHSCOPE_PATH, form),
        other => {
            return Err(InvokeError::credentials(format!(
                "credential `rerank_protocol` must be reranks, rerank or dashscope, found `{other}`"
            )));
        }
    };
    let endpoint = at(endpoint, path);
    let call = RerankCall { model, form, threshold: request.score_threshold, top_n: request.top_n };
    let docs = rerank::texts(&context.upstream, &endpoint, &call, request.query, request.docs).await?;
    Ok(RerankResult::new(docs))
}

/// Sends rankings to this path, unless the form has a path for every action.
fn at(mut endpoint: Endpoint, path: &str) -> Endpoint {
    let url = endpoint.base.action(path);
    endpoint.urls.entry(Action::Rerank).or_insert(url);
    endpoint
}

/// DashScope's native body: query and documents in `input`, the rest in `parameters`.
fn nested(form: RerankForm) -> RerankForm {
    RerankForm {
        query_field: Some("input.query".to_owned()),
        documents: Some("input.documents".to_owned()),
        top_n: Some(TextOrFalse::Text("parameters.top_n".to_owned())),
        return_documents_field: Some("parameters.return_documents".to_owned()),
        ..form
    }
}
