//! Rerank responses (Cohere's and Jina's format, and others by their form), mapped to the documents of the request.

mod form;
mod response;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;

pub use self::form::{MultimodalDocuments, QueryForm, RerankForm, ReturnDocuments, ScoreForm};
use self::response::RerankEntry;
use dify_plugin::codec::json::Reader;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::RerankDocument;

/// Response of `POST /rerank`: an array under one of its names, or the array alone (Text Embeddings Inference, SGLang).
#[derive(Debug)]
pub struct RerankResponse {
    results: Vec<RerankEntry>,
}

impl RerankResponse {
    /// Parses a response with the names of this form.
    pub fn read(text: &str, form: &RerankForm) -> Result<Self, InvokeError> {
        let text = match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Cow::Borrowed(text),
            // A model that computes in half precision may return NaN scores.
            Err(_) => Cow::Owned(Reader::new(&[]).repaired(text)),
        };
        let list = response::list(&text, form.results.as_deref());
        let results = list.and_then(|list| list.map(|list| response::entries(list, form.score.as_deref())).transpose());
        match results {
            Ok(Some(results)) => Ok(Self { results }),
            Ok(None) => Err(InvokeError::server_unavailable(format!(
                "the response has no `{}`",
                form.results.as_deref().filter(|path| *path != ".").unwrap_or("results")
            ))),
            Err(error) => {
                Err(InvokeError::server_unavailable(format!("cannot read the ranking of the response: {error}")))
            }
        }
    }

    /// Returns the documents, best first, with at least the threshold score and at most `top_n`. Texts are the
    /// request's.
    pub fn into_documents(
        self,
        texts: &[String],
        form: &RerankForm,
        threshold: Option<f64>,
        top_n: Option<u64>,
    ) -> Result<Vec<RerankDocument>, InvokeError> {
        let mut documents = Vec::new();
        // Finds documents that the response returns without an index; equal texts have the same score.
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, text) in texts.iter().enumerate().rev() {
            places.entry(text).or_default().push(place);
        }
        for entry in self.results {
            let place = match entry.index {
                Some(index) => index.checked_sub(form.first_index.into()).and_then(|index| usize::try_from(index).ok()),
                None => places.get_mut(entry.document.as_str()).and_then(Vec::pop),
            };
            let Some((index, text)) = place.and_then(|place| Some((place, texts.get(place)?))) else {
                return Err(InvokeError::server_unavailable(match entry.index {
                    Some(index) => format!("the server ranked document {index}, which was not sent"),
                    None => "the server ranked a document without an index".to_owned(),
                }));
            };
            let Some(raw) = entry.score else {
                return Err(InvokeError::server_unavailable(format!(
                    "the server returned no score for document {index}"
                ))
                .with_hint("The model may not be a reranker, or its numeric precision is too low."));
            };
            let score = match form.scores {
                ScoreForm::Raw => raw,
                ScoreForm::Sigmoid => 1.0 / (1.0 + (-raw).exp()),
            };
            documents.push(RerankDocument::new(index, text, score));
        }
        documents.retain(|document| threshold.is_none_or(|threshold| document.score >= threshold));
        documents.sort_by(|left, right| right.score.total_cmp(&left.score));
        documents.truncate(top_n.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX));
        Ok(documents)
    }
}

#[cfg(test)]
mod tests;
