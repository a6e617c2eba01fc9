//! `POST /v1/rerank`: documents in order of their relevance, in the form of Cohere's, Jina's and vLLM's APIs. No I/O.

use dify_plugin::protocol::RerankResult;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::read::required;

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RerankRequest {
    pub model: Option<String>,
    query: Option<String>,
    documents: Option<Vec<Document>>,
    top_n: Option<u64>,
    return_documents: Option<bool>,
}

/// A text, or an object with one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Document {
    Text(String),
    Object { text: String },
}

/// A request that is valid.
#[derive(Debug, PartialEq)]
pub struct RerankCall {
    pub query: String,
    pub documents: Vec<String>,
    pub top_n: Option<u64>,
    pub returns_documents: bool,
}

impl RerankRequest {
    pub fn into_call(self) -> Result<RerankCall, ApiError> {
        let query = required(self.query.filter(|query| !query.is_empty()), "query")?;
        let documents = required(self.documents.filter(|documents| !documents.is_empty()), "documents")?;
        if self.top_n == Some(0) {
            return Err(ApiError::invalid("`top_n` must be at least 1.").with_param("top_n"));
        }
        let text = |document| match document {
            Document::Text(text) | Document::Object { text } => text,
        };
        let documents = documents.into_iter().map(text).collect();
        Ok(RerankCall {
            query,
            documents,
            top_n: self.top_n,
            returns_documents: self.return_documents.unwrap_or(false),
        })
    }
}

/// The response.
pub fn write(id: &str, model: &str, returns_documents: bool, result: RerankResult) -> Value {
    let entry = |document: dify_plugin::protocol::RerankDocument| {
        let mut entry = json!({"index": document.index, "relevance_score": document.score});
        if returns_documents {
            entry["document"] = json!({"text": document.text});
        }
        entry
    };
    let results: Vec<Value> = result.docs.into_iter().map(entry).collect();
    // Dify reports no tokens. Clients expect the members.
    json!({"id": id, "object": "list", "model": model, "results": results, "usage": {"total_tokens": 0}})
}

#[cfg(test)]
mod tests {
    use dify_plugin::protocol::RerankDocument;

    use super::*;

    #[test]
    fn documents_are_texts_or_objects() {
        let body =
            json!({"query": "q", "documents": ["a", {"text": "b", "id": 1}], "top_n": 1, "return_documents": true});
        let request: RerankRequest = crate::read::json(body.to_string().as_bytes()).unwrap();
        let call = request.into_call().unwrap();
        assert_eq!((call.documents, call.top_n, call.returns_documents), (vec!["a".into(), "b".into()], Some(1), true));
        let response = write("r", "m", true, RerankResult::new(vec![RerankDocument::new(1, "b", 0.5)]));
        assert_eq!(response["results"][0], json!({"index": 1, "relevance_score": 0.5, "document": {"text": "b"}}));
        for (body, param) in [
            (json!({"documents": ["a"]}), "query"),
            (json!({"query": "q"}), "documents"),
            (json!({"query": "q", "documents": []}), "documents"),
            (json!({"query": "q", "documents": [5]}), "documents[0]"),
            (json!({"query": "q", "documents": ["a"], "top_n": 0}), "top_n"),
        ] {
            let request = crate::read::json::<RerankRequest>(body.to_string().as_bytes());
            let error = request.and_then(RerankRequest::into_call).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{body}: {}", error.message);
        }
    }
}
