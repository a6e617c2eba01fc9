//! Rerank requests, in one request or in batches; scores are comparable across batches because each document is scored
//! alone.

use serde_json::Value;

use super::{Action, Endpoint, MAX_JSON_BYTES, document};
use crate::dialect::openai::rerank::{RerankForm, RerankResponse};
use crate::providers::common::batches::in_batches;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{MultimodalContent, RerankDocument};
use dify_plugin::upstream::Upstream;

/// Options of a rerank request.
#[derive(Clone, Debug, Default)]
pub struct RerankCall {
    /// Wire name of the model.
    pub model: String,
    /// Format of requests and responses.
    pub form: RerankForm,
    /// Minimum score.
    pub threshold: Option<f64>,
    /// Maximum number of results.
    pub top_n: Option<u64>,
}

/// Ranks texts, best first.
pub async fn texts(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &RerankCall,
    query: String,
    texts: Vec<String>,
) -> Result<Vec<RerankDocument>, InvokeError> {
    let sent = call.form.texts(query, texts.clone());
    rank(upstream, endpoint, call, sent, &texts).await
}

/// Ranks texts and images, best first.
pub async fn contents(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &RerankCall,
    query: MultimodalContent,
    contents: Vec<MultimodalContent>,
) -> Result<Vec<RerankDocument>, InvokeError> {
    let texts: Vec<String> = contents.iter().map(|content| content.content.clone()).collect();
    let sent = call.form.contents(query, contents)?;
    rank(upstream, endpoint, call, sent, &texts).await
}

/// Ranks documents. `texts` are returned; the documents are sent, in the same order.
async fn rank(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &RerankCall,
    (query, documents): (Value, Vec<Value>),
    texts: &[String],
) -> Result<Vec<RerankDocument>, InvokeError> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let batch = call.form.batch.map_or(documents.len(), std::num::NonZeroUsize::get);
    let numbered: Vec<(usize, Value)> = documents.into_iter().enumerate().collect();
    let query = &query;
    let ranked = in_batches(numbered, batch, 1, |batch: Vec<(usize, Value)>| async move {
        let (first, count) = (batch.first().map_or(0, |(index, _)| *index), batch.len());
        let documents: Vec<Value> = batch.into_iter().map(|(_, document)| document).collect();
        // The best of each batch contain the best of all.
        let top_n = call.top_n.map(|top| top.min(count as u64));
        let body = call.form.request(&call.model, query.clone(), documents, top_n);
        let request = endpoint.post_json(Action::Rerank, &body)?;
        let read = |text: &str| RerankResponse::read(text, &call.form);
        let response = document(upstream.send(&request).await?, MAX_JSON_BYTES, read).await?;
        let sent = texts.get(first..first + count).unwrap_or_default();
        let mut ranked = response.into_documents(sent, &call.form, call.threshold, call.top_n)?;
        for document in &mut ranked {
            document.index += first;
        }
        Ok(ranked)
    })
    .await?;
    let mut ranked: Vec<RerankDocument> = ranked.into_iter().flatten().collect();
    ranked.sort_by(|left, right| right.score.total_cmp(&left.score));
    ranked.truncate(call.top_n.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX));
    Ok(ranked)
}
