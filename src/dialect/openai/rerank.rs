//! Rerank bodies (Cohere's and Jina's format): the request, and the response mapped to the request's documents.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::members::{Few, Members, Object};
use super::wire::{Number, Text};
use dify_plugin::codec::json::Reader;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::RerankDocument;

/// Body of `POST /rerank`.
#[derive(Debug, Serialize)]
pub struct RerankBody<'a, T> {
    /// Wire name of the model.
    pub model: &'a str,
    /// The query, in the upstream's format.
    pub query: &'a T,
    /// The documents.
    pub documents: &'a [T],
    /// Maximum number of results; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_n: Option<u64>,
    /// Whether the response contains the texts, which are already known.
    pub return_documents: bool,
    /// Additional members.
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
}

/// Maximum number of entries in a response; far more than a request has documents.
const MAX_ENTRIES: usize = 65_536;

/// Response of `POST /rerank`: an array under one of its names, or the array alone (Text Embeddings Inference, SGLang).
#[derive(Debug, Default)]
pub struct RerankResponse {
    results: Option<Vec<RerankEntry>>,
}

impl<'de> Members<'de> for RerankResponse {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let found = match name {
            "results" | "data" => map.next_value::<Entries>()?.0,
            // DashScope's native format nests the results.
            "output" => map.next_value::<Object<Self>>()?.0.and_then(|nested| nested.results),
            _ => return Ok(false),
        };
        self.results = found.or(self.results.take());
        Ok(true)
    }
}

/// An array, or `None` for any other value.
struct Entries(Option<Vec<RerankEntry>>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of documents")
    }

    fn visit_none<E>(self) -> Result<Entries, E> {
        Ok(Entries(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entries, D::Error> {
        let few = Few { most: MAX_ENTRIES, empty: |_: &RerankEntry| false, kind: "documents" };
        deserializer.deserialize_any(few).map(|(list, alone)| Entries((!alone).then_some(list)))
    }
}

#[derive(Debug, Default)]
struct RerankEntry {
    index: Option<i64>,
    relevance_score: Number,
    score: Number,
    document: String,
}

impl<'de> Members<'de> for RerankEntry {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "index" => self.index = map.next_value::<Number>()?.whole(),
            "relevance_score" => self.relevance_score = map.next_value()?,
            "score" => self.score = map.next_value()?,
            "document" | "text" => self.document = map.next_value::<Text<'de>>()?.as_str().to_owned(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Normalization of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreForm {
    /// As the upstream returns them.
    #[default]
    Raw,
    /// Logits mapped to between 0 and 1 by the logistic function.
    Sigmoid,
}

impl RerankResponse {
    /// Parses a response.
    pub fn read(text: &str) -> Result<Self, InvokeError> {
        let text = match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Cow::Borrowed(text),
            // A model that computes in half precision may return NaN scores.
            Err(_) => Cow::Owned(Reader::new(&[]).repaired(text)),
        };
        let read = match text.trim_start().starts_with('[') {
            true => serde_json::from_str::<Entries>(&text).map(|list| Self { results: list.0 }),
            false => serde_json::from_str::<Object<Self>>(&text).map(|found| found.0.unwrap_or_default()),
        };
        let found = read.map_err(|error| {
            InvokeError::server_unavailable(format!("cannot read the ranking of the response: {error}"))
        })?;
        match found.results {
            Some(_) => Ok(found),
            None => Err(InvokeError::server_unavailable("the response has no `results`")),
        }
    }

    /// Returns the documents, best first, with at least the threshold score and at most `top_n`. Texts are the
    /// request's.
    pub fn into_documents(
        self,
        texts: &[String],
        form: ScoreForm,
        threshold: Option<f64>,
        top_n: Option<u64>,
    ) -> Result<Vec<RerankDocument>, InvokeError> {
        let mut documents = Vec::new();
        // Finds documents that the response returns without an index; equal texts have the same score.
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, text) in texts.iter().enumerate().rev() {
            places.entry(text).or_default().push(place);
        }
        for entry in self.results.unwrap_or_default() {
            let place = match entry.index {
                Some(index) => usize::try_from(index).ok(),
                None => places.get_mut(entry.document.as_str()).and_then(Vec::pop),
            };
            let Some((index, text)) = place.and_then(|place| Some((place, texts.get(place)?))) else {
                return Err(InvokeError::server_unavailable(match entry.index {
                    Some(index) => format!("the server ranked document {index}, which was not sent"),
                    None => "the server ranked a document without an index".to_owned(),
                }));
            };
            let Some(raw) = entry.relevance_score.0.or(entry.score.0) else {
                return Err(InvokeError::server_unavailable(format!(
                    "the server returned no score for document {index}"
                ))
                .with_hint("The model may not be a reranker, or its numeric precision is too low."));
            };
            let score = match form {
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
mod tests {
    use super::*;

    fn read(
        json: &str,
        form: ScoreForm,
        threshold: Option<f64>,
        top_n: Option<u64>,
    ) -> Result<Vec<(usize, f64)>, String> {
        let texts = ["zero", "one", "two"].map(str::to_owned);
        RerankResponse::read(json)
            .and_then(|response| response.into_documents(&texts, form, threshold, top_n))
            .map(|documents| documents.into_iter().map(|document| (document.index, document.score)).collect())
            .map_err(|error| error.message)
    }

    #[test]
    fn returns_the_best_documents_first() {
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
            (
                r#"[{"index":2,"score":0.9},{"index":"0","score":"0.5"}]"#,
                ScoreForm::Raw,
                None,
                None,
                vec![(2, 0.9), (0, 0.5)],
            ),
            (
                r#"{"results":[{"document":{"text":"two"},"relevance_score":0.9},{"document":"zero","score":0.5}]}"#,
                ScoreForm::Raw,
                None,
                None,
                vec![(2, 0.9), (0, 0.5)],
            ),
            (
                r#"{"results":[{"index":1,"relevance_score":null,"score":0.2,"x":NaN}],"data":"x","meta":{"a":1}}"#,
                ScoreForm::Raw,
                None,
                None,
                vec![(1, 0.2)],
            ),
        ];
        for (json, form, threshold, top_n, expected) in cases {
            assert_eq!(read(json, form, threshold, top_n).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn rejects_invalid_responses() {
        for (json, words) in [
            (r#"{"results":[{"index":3,"score":1}]}"#, "document 3"),
            (r#"{"results":[{"index":-1,"score":1}]}"#, "document -1"),
            (r#"{"results":[{"score":1}]}"#, "without an index"),
            (r#"{"results":[{"document":"other","score":1}]}"#, "without an index"),
            (r#"{"results":[{"index":0,"relevance_score":null}]}"#, "no score for document 0"),
            (r#"{"results":[{"index":0,"relevance_score":NaN}]}"#, "no score for document 0"),
            (r#"{"results":[{"index":0,"relevance_score":[0.5]}]}"#, "no score for document 0"),
            (r#"{"results":[{"index":0,"relevance_score":"high"}]}"#, "no score for document 0"),
            (r#"{"results":[{"index":0}]}"#, "no score for document 0"),
            (r#"{"results":null}"#, "no `results`"),
            (r#"{"results":{"index":0,"score":1}}"#, "no `results`"),
            (r#"{"ok":true}"#, "no `results`"),
            ("<html>", "cannot read"),
        ] {
            let error = read(json, ScoreForm::Raw, None, None).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
