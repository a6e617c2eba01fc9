//! Rerank requests, in one request or in batches; scores are comparable across batches because each document is scored
//! alone.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Endpoint, MAX_JSON_BYTES, document};
use crate::dialect::openai::rerank::{RerankBody, RerankResponse, ScoreForm};
use crate::providers::common::batches::in_batches;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::RerankDocument;
use dify_plugin::upstream::Upstream;

/// Options of a rerank request.
#[derive(Clone, Debug)]
pub struct RerankCall {
    /// Wire name of the model.
    pub model: String,
    /// Path below the base URL (`rerank`).
    pub path: &'static str,
    /// Maximum number of documents per request; all if `None`.
    pub batch: Option<usize>,
    /// Normalization of scores.
    pub scores: ScoreForm,
    /// Minimum score.
    pub threshold: Option<f64>,
    /// Maximum number of results.
    pub top_n: Option<u64>,
    /// Additional members.
    pub extra: Map<String, Value>,
}

/// Ranks documents, best first. `texts` are returned; `documents` are sent, in the same order.
pub async fn invoke<T: Serialize + Send + Sync>(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &RerankCall,
    query: &T,
    documents: Vec<T>,
    texts: &[String],
) -> Result<Vec<RerankDocument>, InvokeError> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let whole = documents.len();
    let batch = call.batch.unwrap_or(whole).max(1);
    let numbered: Vec<(usize, T)> = documents.into_iter().enumerate().collect();
    let ranked = in_batches(numbered, batch, 1, |batch: Vec<(usize, T)>| async move {
        let first = batch.first().map_or(0, |(index, _)| *index);
        let documents: Vec<T> = batch.into_iter().map(|(_, document)| document).collect();
        let body = RerankBody {
            model: &call.model,
            query,
            documents: &documents,
            // The best of each batch contain the best of all.
            top_n: call.top_n.map(|top| top.min(documents.len() as u64)),
            return_documents: false,
            extra: &call.extra,
        };
        let request = endpoint.post_json(call.path, &body)?;
        let response = document(upstream.send(&request).await?, MAX_JSON_BYTES, RerankResponse::read).await?;
        let within = first..first + documents.len();
        let sent = texts.get(within).unwrap_or_default();
        let mut ranked = response.into_documents(sent, call.scores, call.threshold, call.top_n)?;
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
