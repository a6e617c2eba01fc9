//! How a provider expects rerank requests and names the members of its responses, and the bodies of requests. As YAML:
//! the block `rerank`.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::dialect::openai::form_values::{self, TextOrFalse};
use crate::dialect::openai::multimodal;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{MultimodalContent, MultimodalContentType};

/// How documents are ranked by `POST /rerank`. Names of members are names, or paths with dots.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RerankForm {
    /// Format of the query: `text`, or `object` (`{"text": …}`). Default: `text`.
    pub query: QueryForm,
    /// Member of the query. Default: `query`.
    pub query_field: Option<String>,
    /// Member of the documents. Default: `documents`.
    pub documents: Option<String>,
    /// Whether documents are objects (`{"text": …}`) instead of texts. Default: false.
    pub objects: bool,
    /// Member of the maximum number of results; `false`: not sent. The response is limited in any case. Default:
    /// `top_n`.
    pub top_n: Option<TextOrFalse>,
    /// Whether the response contains the texts, which are already known: `true`, `false` or `omit` (not sent). Default:
    /// `omit`.
    pub return_documents: ReturnDocuments,
    /// Member of `return_documents`. Default: `return_documents`.
    pub return_documents_field: Option<String>,
    /// More members of the body. Default: none.
    pub body: Map<String, Value>,
    /// Member of the results in the response; `.`: the response is the list. Default: `results`, else `data`, else
    /// `output.results`, else the response itself.
    pub results: Option<String>,
    /// Member of the score in a result. Default: `relevance_score`, else `score`.
    pub score: Option<String>,
    /// `raw`: scores as the server returns them; `sigmoid`: logits, mapped to between 0 and 1. Default: `raw`.
    pub scores: ScoreForm,
    /// Index of the first document in results. Default: 0.
    pub first_index: u32,
    /// Maximum number of documents per request. Default: all in one request.
    pub batch: Option<NonZeroUsize>,
    /// How texts and images of a multimodal model are sent: `objects` (`{"text"}` and `{"image"}`) or `parts`
    /// (`{"content": [part]}` and a query of text, as vLLM reads them). Default: images are rejected.
    pub multimodal: Option<MultimodalDocuments>,
}

/// Format of the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryForm {
    /// A text.
    #[default]
    Text,
    /// `{"text": …}`
    Object,
}

/// Normalization of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScoreForm {
    /// As the upstream returns them.
    #[default]
    Raw,
    /// Logits mapped to between 0 and 1 by the logistic function.
    Sigmoid,
}

/// Format of the documents of a multimodal model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MultimodalDocuments {
    /// `{"text"}` and `{"image"}`, for the query, too.
    Objects,
    /// `{"content": [part]}`; the query is a text.
    Parts,
}

/// Whether the response contains the texts; not sent if `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReturnDocuments(pub Option<bool>);

impl<'de> Deserialize<'de> for ReturnDocuments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReturnDocumentsVisitor;
        impl Visitor<'_> for ReturnDocumentsVisitor {
            type Value = ReturnDocuments;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false or omit")
            }

            fn visit_bool<E>(self, value: bool) -> Result<ReturnDocuments, E> {
                Ok(ReturnDocuments(Some(value)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ReturnDocuments, E> {
                match text {
                    "omit" => Ok(ReturnDocuments(None)),
                    other => Err(E::unknown_variant(other, &["true", "false", "omit"])),
                }
            }
        }
        deserializer.deserialize_any(ReturnDocumentsVisitor)
    }
}

impl JsonSchema for ReturnDocuments {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "return_documents".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": [true, false, "omit"]})
    }
}

impl RerankForm {
    /// Returns the query and the documents of a request, in the format of the server.
    pub fn texts(&self, query: String, documents: Vec<String>) -> (Value, Vec<Value>) {
        let object = |text: String| json!({"text": text});
        let query = match self.query {
            QueryForm::Text => query.into(),
            QueryForm::Object => object(query),
        };
        let documents = documents.into_iter();
        (query, if self.objects { documents.map(object).collect() } else { documents.map(Value::from).collect() })
    }

    /// Returns the query and the documents of a multimodal request.
    pub fn contents(
        &self,
        query: MultimodalContent,
        documents: Vec<MultimodalContent>,
    ) -> Result<(Value, Vec<Value>), InvokeError> {
        let is_text = |content: &MultimodalContent| content.content_type != MultimodalContentType::Image;
        match self.multimodal {
            Some(MultimodalDocuments::Objects) => {
                Ok((multimodal::object(query), documents.into_iter().map(multimodal::object).collect()))
            }
            Some(MultimodalDocuments::Parts) if !is_text(&query) => {
                Err(InvokeError::bad_request("the query must be a text: this server ranks images, but not by an image"))
            }
            Some(MultimodalDocuments::Parts) => {
                Ok((query.content.into(), documents.into_iter().map(multimodal::parts).collect()))
            }
            None if is_text(&query) && documents.iter().all(is_text) => {
                Ok(self.texts(query.content, documents.into_iter().map(|document| document.content).collect()))
            }
            None => Err(InvokeError::bad_request("the model ranks texts only, not images")),
        }
    }

    /// Returns the body of a request.
    pub fn request(&self, model: &str, query: Value, documents: Vec<Value>, top_n: Option<u64>) -> Map<String, Value> {
        let name = |name: &Option<String>, default: &str| name.clone().unwrap_or_else(|| default.to_owned());
        let mut body = Map::from_iter([("model".to_owned(), model.into())]);
        form_values::insert(&mut body, &name(&self.query_field, "query"), query);
        form_values::insert(&mut body, &name(&self.documents, "documents"), documents.into());
        match (top_n, &self.top_n) {
            (None, _) | (_, Some(TextOrFalse::False)) => {}
            (Some(top_n), None) => form_values::insert(&mut body, "top_n", top_n.into()),
            (Some(top_n), Some(TextOrFalse::Text(name))) => form_values::insert(&mut body, name, top_n.into()),
        }
        if let Some(value) = self.return_documents.0 {
            form_values::insert(&mut body, &name(&self.return_documents_field, "return_documents"), value.into());
        }
        body.extend(self.body.clone());
        body
    }
}
