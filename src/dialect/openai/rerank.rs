//! Rerank bodies (Cohere's and Jina's form): the request, and documents by the index of the request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::InvokeError;
use crate::protocol::RerankDocument;

/// Body of `POST /rerank`.
#[derive(Debug, Serialize)]
pub struct RerankBody<'a, T> {
    /// Model on the wire.
    pub model: &'a str,
    /// The question, in the upstream's form.
    pub query: &'a T,
    /// The documents.
    pub documents: &'a [T],
    /// How many to answer; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_n: Option<u64>,
    /// Whether to send the texts back; they are known.
    pub return_documents: bool,
    /// More members.
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
}

/// Answer of `POST /rerank`.
#[derive(Debug, Deserialize)]
pub struct RerankAnswer {
    #[serde(default)]
    results: Option<Vec<RerankEntry>>,
    /// Some gateways' name for the results.
    #[serde(default)]
    data: Option<Vec<RerankEntry>>,
    /// DashScope's native form nests the results.
    #[serde(default)]
    output: Option<NestedResults>,
}

#[derive(Debug, Deserialize)]
struct NestedResults {
    results: Vec<RerankEntry>,
}

#[derive(Debug, Deserialize)]
struct RerankEntry {
    index: usize,
    #[serde(default)]
    relevance_score: Option<f64>,
    #[serde(default)]
    score: Option<f64>,
}

/// How scores are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreForm {
    /// As the upstream gives them.
    #[default]
    Raw,
    /// Logits brought between 0 and 1 by the logistic function.
    Sigmoid,
}

impl RerankAnswer {
    /// The documents, best first: scores of at least the threshold, at most `top_n`. Texts are those of the request.
    pub fn into_documents<'t>(
        self,
        text_of: impl Fn(usize) -> Option<&'t str>,
        form: ScoreForm,
        threshold: Option<f64>,
        top_n: Option<u64>,
    ) -> Result<Vec<RerankDocument>, InvokeError> {
        let entries = self
            .results
            .or(self.data)
            .or(self.output.map(|output| output.results))
            .ok_or_else(|| InvokeError::server_unavailable("the upstream's answer has no `results`"))?;
        let mut documents = Vec::with_capacity(entries.len());
        for entry in entries {
            let text = text_of(entry.index).ok_or_else(|| {
                InvokeError::server_unavailable(format!(
                    "the upstream ranked document {}, which was not sent",
                    entry.index
                ))
            })?;
            let raw = entry.relevance_score.or(entry.score).unwrap_or_default();
            let score = match form {
                ScoreForm::Raw => raw,
                ScoreForm::Sigmoid => 1.0 / (1.0 + (-raw).exp()),
            };
            documents.push(RerankDocument { index: entry.index, text: text.to_owned(), score });
        }
        documents.retain(|document| threshold.is_none_or(|threshold| document.score >= threshold));
        documents.sort_by(|left, right| right.score.total_cmp(&left.score));
        documents.truncate(top_n.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX));
        Ok(documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        json: &str,
        form: ScoreForm,
        threshold: Option<f64>,
        top_n: Option<u64>,
    ) -> Result<Vec<(usize, f64)>, String> {
        let answer: RerankAnswer = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let texts = ["zero", "one", "two"];
        answer
            .into_documents(|index| texts.get(index).copied(), form, threshold, top_n)
            .map(|documents| documents.into_iter().map(|document| (document.index, document.score)).collect())
            .map_err(|error| error.message)
    }

    #[test]
    fn best_first_by_the_index_of_the_request() {
        let three = r#"{"results":[{"index":2,"relevance_score":0.1,"document":null},{"index":0,"relevance_score":0.9,"document":"zero"},{"index":1,"relevance_score":0.5,"document":{"text":"one"}}]}"#;
        let cases = [
            (three, ScoreForm::Raw, None, None, vec![(0, 0.9), (1, 0.5), (2, 0.1)]),
            (three, ScoreForm::Raw, Some(0.5), None, vec![(0, 0.9), (1, 0.5)]),
            (three, ScoreForm::Raw, None, Some(1), vec![(0, 0.9)]),
            (r#"{"data":[{"index":1,"score":-2.0}]}"#, ScoreForm::Raw, None, None, vec![(1, -2.0)]),
            (
                r#"{"output":{"results":[{"index":1,"relevance_score":0.0}]}}"#,
                ScoreForm::Sigmoid,
                None,
                None,
                vec![(1, 0.5)],
            ),
            (
                r#"{"results":[{"index":1,"score":0.2,"relevance_score":0.2}],"data":null}"#,
                ScoreForm::Raw,
                None,
                None,
                vec![(1, 0.2)],
            ),
            (r#"{"results":[]}"#, ScoreForm::Raw, None, None, vec![]),
        ];
        for (json, form, threshold, top_n, expected) in cases {
            assert_eq!(read(json, form, threshold, top_n).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn wrong_answers_are_named() {
        assert!(read(r#"{"results":[{"index":3}]}"#, ScoreForm::Raw, None, None).unwrap_err().contains("document 3"));
        assert!(read(r#"{"ok":true}"#, ScoreForm::Raw, None, None).unwrap_err().contains("results"));
    }
}
