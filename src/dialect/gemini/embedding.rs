//! Embedding requests and answers in their three forms: `batchEmbedContents`, Vertex's `embedContent`, and `:predict`.
//!
//! Source: Gemini API, "Embeddings"; `googleapis/python-genai: google/genai/models.py` (which model takes which form).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Surface;
use super::wire::{Blob, ModelStatus, Part};
use dify_plugin::codec::json;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{EmbeddingInputType, lenient};

/// Vectors of this length come normalised; shorter ones may not.
pub const FULL_LENGTH: usize = 3072;

/// What tells a model without the field `taskType` what a vector is for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskWords {
    /// What stands before a text that is stored: `title: none | text: `.
    pub document: String,
    /// What stands before a text that is searched for: `task: search result | query: `.
    pub query: String,
}

/// What an embedding model takes: the `gemini` key of its YAML.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingProfile {
    /// The words that tell the task; without them the field `taskType` does.
    pub task_words: Option<TaskWords>,
    /// Whether Vertex AI has it behind `:predict`.
    pub predict: bool,
    /// Texts of one `:predict` call.
    pub predict_batch: usize,
    /// Whether the developer API has it at all.
    pub vertex_only: bool,
    /// ErrorText in place of a call when the model is gone.
    pub retired: Option<String>,
}

impl Default for EmbeddingProfile {
    fn default() -> Self {
        Self { task_words: None, predict: true, predict_batch: 1, vertex_only: false, retired: None }
    }
}

impl EmbeddingProfile {
    /// The profile in a model's YAML.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        match model.extra.get("gemini") {
            Some(Value::Null) | None => Ok(Self::default()),
            Some(value) => Self::deserialize(value),
        }
    }

    /// The form that a surface takes.
    pub fn form(&self, surface: Surface) -> Form {
        match (surface, self.predict) {
            (Surface::Developer, _) => Form::Batch,
            (_, true) => Form::Predict,
            (_, false) => Form::Single,
        }
    }

    /// A text as one content: one vector comes of it, whatever its parts.
    pub fn text(&self, text: &str, purpose: EmbeddingInputType) -> Vec<Part> {
        let words = self.task_words.as_ref().map(|words| match purpose {
            EmbeddingInputType::Document => words.document.as_str(),
            EmbeddingInputType::Query => words.query.as_str(),
        });
        vec![Part::text([words.unwrap_or_default(), text].concat())]
    }

    /// A picture as one content.
    pub fn image(mime_type: &str, base64: String) -> Vec<Part> {
        vec![Part { inline_data: Some(Blob { mime_type: mime_type.to_owned(), data: base64 }), ..Part::default() }]
    }
}

/// The form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `batchEmbedContents`: many contents.
    Batch,
    /// `embedContent` of Vertex AI: one.
    Single,
    /// `predict`: as many as the model takes.
    Predict,
}

impl Form {
    /// The method in the address.
    pub fn method(self) -> &'static str {
        match self {
            Self::Batch => "batchEmbedContents",
            Self::Single => "embedContent",
            Self::Predict => "predict",
        }
    }
}

/// What goes with every content of a call.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Model id without a path.
    pub model: String,
    /// `RETRIEVAL_DOCUMENT`; `None` where the text says it.
    pub task_type: Option<&'static str>,
    /// Length of the vectors; the model's own when `None`.
    pub dimensions: Option<usize>,
}

impl Options {
    /// The options of a purpose.
    pub fn new(
        profile: &EmbeddingProfile,
        model: &str,
        purpose: EmbeddingInputType,
        dimensions: Option<usize>,
    ) -> Self {
        let task_type = match purpose {
            EmbeddingInputType::Document => "RETRIEVAL_DOCUMENT",
            EmbeddingInputType::Query => "RETRIEVAL_QUERY",
        };
        Self {
            model: model.trim_start_matches("models/").to_owned(),
            task_type: profile.task_words.is_none().then_some(task_type),
            dimensions,
        }
    }

    /// The body of a request with these contents.
    pub fn body(&self, form: Form, contents: &[Vec<Part>]) -> Value {
        match form {
            Form::Batch => {
                let model = format!("models/{}", self.model);
                let requests = contents.iter().map(|parts| {
                    let mut request = self.fields();
                    request.insert("model".to_owned(), json!(model));
                    request.insert("content".to_owned(), json!({ "parts": parts }));
                    request
                });
                json!({ "requests": requests.collect::<Vec<_>>() })
            }
            Form::Single => {
                let mut body = json!({"content": {"role": "user", "parts": contents.first()}});
                let config = self.fields();
                if !config.is_empty() {
                    body["embedContentConfig"] = config.into();
                }
                body
            }
            Form::Predict => {
                let instances = contents.iter().map(|parts| {
                    let text: String = parts.iter().filter_map(|part| part.text.as_deref()).collect();
                    let mut instance = Map::from_iter([("content".to_owned(), json!(text))]);
                    instance.extend(self.task_type.map(|task| ("task_type".to_owned(), json!(task))));
                    instance
                });
                let mut body = json!({ "instances": instances.collect::<Vec<_>>() });
                if let Some(dimensions) = self.dimensions {
                    body["parameters"] = json!({ "outputDimensionality": dimensions });
                }
                body
            }
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.extend(self.task_type.map(|word| ("taskType".to_owned(), json!(word))));
        fields.extend(self.dimensions.map(|length| ("outputDimensionality".to_owned(), json!(length))));
        fields
    }
}

/// An answer in any of the forms.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddingResponse {
    embeddings: Vec<Vector>,
    embedding: Option<Vector>,
    predictions: Vec<Prediction>,
    usage_metadata: Option<Usage>,
    /// The model that answered, where the answer says so.
    #[serde(deserialize_with = "json::fit")]
    pub model_version: Option<String>,
    /// How long that model will be served.
    #[serde(deserialize_with = "json::fit")]
    pub model_status: Option<ModelStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vector {
    values: Vec<f32>,
    statistics: Option<Statistics>,
}

#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default, alias = "tokenCount", deserialize_with = "lenient::count")]
    token_count: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Prediction {
    embeddings: Vector,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    #[serde(default, deserialize_with = "lenient::count")]
    prompt_token_count: Option<u64>,
}

impl EmbeddingResponse {
    /// The vectors of `count` contents in their order, and the tokens where the server counted them.
    pub fn into_vectors(self, count: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), InvokeError> {
        let predicted = self.predictions.into_iter().map(|prediction| prediction.embeddings);
        let vectors: Vec<Vector> = self.embeddings.into_iter().chain(self.embedding).chain(predicted).collect();
        if vectors.len() != count || vectors.iter().any(|vector| vector.values.is_empty()) {
            return Err(InvokeError::server_unavailable(format!(
                "{count} vectors were asked for and {} came",
                vectors.iter().filter(|vector| !vector.values.is_empty()).count()
            )));
        }
        let counted = vectors.iter().map(|vector| vector.statistics.as_ref()?.token_count);
        let tokens = match self.usage_metadata.and_then(|usage| usage.prompt_token_count) {
            None => counted.sum(),
            known => known,
        };
        Ok((vectors.into_iter().map(|vector| vector.values).collect(), tokens))
    }
}

/// Scales a vector to length 1; one of zeros stays.
pub fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// The mean of vectors with these weights, normalised; `None` of no vectors.
pub fn mean(pieces: &[(Vec<f32>, u64)]) -> Option<Vec<f32>> {
    let (first, _) = pieces.first()?;
    let mut sum = vec![0.0; first.len()];
    for (vector, weight) in pieces {
        for (place, value) in sum.iter_mut().zip(vector) {
            *place += value * *weight as f32;
        }
    }
    normalise(&mut sum);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_form_are_counted() {
        let read =
            |value: Value, count| serde_json::from_value::<EmbeddingResponse>(value).unwrap().into_vectors(count);
        let predicted = json!({"predictions": [{"embeddings": {"values": [1.0], "statistics": {"token_count": 3, "truncated": false}}}]});
        for (value, tokens) in [
            (json!({"embeddings": [{"values": [1.0]}]}), None),
            (json!({"embeddings": [{"values": [1.0]}], "usageMetadata": {"promptTokenCount": 3}}), Some(3)),
            (json!({"embedding": {"values": [1.0]}, "usageMetadata": {"promptTokenCount": 3}}), Some(3)),
            (predicted, Some(3)),
        ] {
            assert_eq!(read(value.clone(), 1).unwrap(), (vec![vec![1.0]], tokens), "{value}");
            assert!(read(value, 2).unwrap_err().message.contains("2 vectors"));
        }
        assert!(read(json!({"embeddings": [{"values": []}]}), 1).is_err());
    }

    #[test]
    fn means_are_weighted_and_normalised() {
        let mean = mean(&[(vec![1.0, 0.0], 3), (vec![0.0, 1.0], 4)]).unwrap();
        assert!((mean[0] - 0.6).abs() < 1e-6 && (mean[1] - 0.8).abs() < 1e-6, "{mean:?}");
        assert_eq!(super::mean(&[]), None);
        let mut zeros = [0.0, 0.0];
        normalise(&mut zeros);
        assert_eq!(zeros, [0.0, 0.0]);
    }
}
