//! Embedding in batches of texts, and rerank with the scores that the model returns.

use serde_json::{Map, json};

use super::AiGateway;
use super::connection::connect;
use super::schema::{context_size, count, max_chunks};
use crate::dialect::openai::rerank::{RerankResponse, ScoreForm};
use crate::providers::compatible::embeddings::{self, EmbeddingCall};
use crate::providers::compatible::rerank::{self, RerankCall};
use crate::providers::compatible::{Endpoint, MAX_JSON_BYTES, document};
use dify_plugin::declare::price;
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{EmbeddingInputType, EmbeddingResult, RerankRequest, RerankResult, TextEmbeddingRequest};
use dify_plugin::upstream::Upstream;

/// Maximum number of concurrent embedding requests.
const MAX_CONCURRENT_REQUESTS: usize = 4;

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
    let mut extra = Map::new();
    if credentials.get("dimensions").is_some() {
        extra.insert("dimensions".to_owned(), count(credentials, "dimensions", 1)?.into());
    }
    let call = EmbeddingCall {
        model,
        batch: usize::try_from(max_chunks(credentials)?).unwrap_or(usize::MAX),
        parallel: MAX_CONCURRENT_REQUESTS,
        encoding_format: Some("float"),
        user: Some(request.target.user_id.clone()).filter(|user| !user.is_empty()),
        extra,
    };
    let prefix = match request.input_type {
        EmbeddingInputType::Query => credentials.get("query_prefix"),
        _ => credentials.get("document_prefix"),
    };
    let longest = context_size(credentials)?;
    let prefixed = |text: String| prefix.map_or(text.clone(), |prefix| format!("{prefix} {text}"));
    let texts: Vec<String> =
        request.texts.into_iter().map(|text| embeddings::fitted(prefixed(text), longest)).collect();
    let estimate = embeddings::estimate(texts.iter().map(String::as_str));
    let (vectors, tokens) = embeddings::invoke(&context.upstream, &endpoint, &call, texts).await?;
    Ok(EmbeddingResult::new(vectors, price::embedding_usage(context.pricing(), tokens.unwrap_or(estimate))))
}

/// `invoke_rerank`.
pub(super) async fn rerank(
    gateway: AiGateway,
    context: CallContext,
    request: RerankRequest,
) -> Result<RerankResult, InvokeError> {
    let (endpoint, model) = connect(&request.target, &gateway.tokens)?;
    let path = match request.target.credentials.get("rerank_protocol").unwrap_or("reranks") {
        "reranks" => "reranks",
        "rerank" => "rerank",
        "dashscope" if model != DASHSCOPE_FLAT_MODEL => {
            return rerank_by_dashscope(&context.upstream, &endpoint, &model, &request).await;
        }
        "dashscope" => DASHSCOPE_PATH,
        other => {
            return Err(InvokeError::credentials(format!(
                "credential `rerank_protocol` must be reranks, rerank or dashscope, found `{other}`"
            )));
        }
    };
    let call = RerankCall {
        model,
        path,
        batch: None,
        scores: ScoreForm::Raw,
        threshold: request.score_threshold,
        top_n: request.top_n,
        extra: Map::new(),
    };
    let documents = request.docs.clone();
    let docs = rerank::invoke(&context.upstream, &endpoint, &call, &request.query, documents, &request.docs).await?;
    Ok(RerankResult::new(docs))
}

/// Uses DashScope's native body: query and documents in `input`, the rest in `parameters`.
async fn rerank_by_dashscope(
    upstream: &Upstream,
    endpoint: &Endpoint,
    model: &str,
    request: &RerankRequest,
) -> Result<RerankResult, InvokeError> {
    if request.docs.is_empty() {
        return Ok(RerankResult::default());
    }
    let mut parameters = Map::from_iter([("return_documents".to_owned(), false.into())]);
    parameters.extend(request.top_n.map(|top| ("top_n".to_owned(), top.min(request.docs.len() as u64).into())));
    let input = json!({"query": request.query, "documents": request.docs});
    let body = json!({"model": model, "input": input, "parameters": parameters});
    let call = endpoint.post_json(DASHSCOPE_PATH, &body)?;
    let response = document(upstream.send(&call).await?, MAX_JSON_BYTES, RerankResponse::read).await?;
    let docs = response.into_documents(&request.docs, ScoreForm::Raw, request.score_threshold, request.top_n)?;
    Ok(RerankResult::new(docs))
}
