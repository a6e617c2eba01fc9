//! Embedding requests and responses in their three forms: `batchEmbedContents`, Vertex AI's `embedContent`, and
//! `:predict`.
//!
//! Source: Gemini API, "Embeddings"; `googleapis/python-genai: google/genai/models.py` (which model uses which form).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Surface;
use super::wire::{Blob, ModelStatus, Part};
use dify_plugin::codec::json;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{EmbeddingInputType, lenient};

/// Vectors of this length are returned normalized; shorter ones may not be.
pub const FULL_LENGTH: usize = 3072;

/// Prefixes that express the embedding task for models without `taskType`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskWords {
    /// Prefix of a text to store: `title: none | text: `.
    pub document: String,
    /// Prefix of a search query: `task: search result | query: `.
    pub query: String,
}

/// Capabilities of an embedding model: the `gemini` section of its YAML file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingProfile {
    /// Prefixes that express the task; if absent, the field `taskType` does.
    pub task_words: Option<TaskWords>,
    /// Whether Vertex AI serves the model through `:predict`.
    pub predict: bool,
    /// Maximum number of texts in a `:predict` request.
    pub predict_batch: usize,
    /// Whether the model is available on Vertex AI only.
    pub vertex_only: bool,
    /// Error message that replaces requests to a retired model.
    pub retired: Option<String>,
}

impl Default for EmbeddingProfile {
    fn default() -> Self {
        Self { task_words: None, predict: true, predict_batch: 1, vertex_only: false, retired: None }
    }
}

impl EmbeddingProfile {
    /// Parses the `gemini` section of a model's YAML file.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        match model.extra.get("gemini") {
            Some(Value::Null) | None => Ok(Self::default()),
            Some(value) => Self::deserialize(value),
        }
    }

    /// Returns the request form for a surface.
    pub fn form(&self, surface: Surface) -> Form {
        match (surface, self.predict) {
            (Surface::Developer, _) => Form::Batch,
            (_, true) => Form::Predict,
            (_, false) => Form::Single,
        }
    }

    /// Returns a text as one content. Each content yields one vector, whatever its parts.
    pub fn text(&self, text: &str, purpose: EmbeddingInputType) -> Vec<Part> {
        let words = self.task_words.as_ref().map(|words| match purpose {
            EmbeddingInputType::Query => words.query.as_str(),
            _ => words.document.as_str(),
        });
        vec![Part::text([words.unwrap_or_default(), text].concat())]
    }

    /// Returns an image as one content.
    pub fn image(mime_type: &str, base64: String) -> Vec<Part> {
        vec![Part { inline_data: Some(Blob { mime_type: mime_type.to_owned(), data: base64 }), ..Part::default() }]
    }
}

/// Form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `batchEmbedContents`: many contents.
    Batch,
    /// `embedContent` of Vertex AI: one content.
    Single,
    /// `predict`: as many contents as the model accepts.
    Predict,
}

impl Form {
    /// Returns the method name in the URL.
    pub fn method(self) -> &'static str {
        match self {
            Self::Batch => "batchEmbedContents",
            Self::Single => "embedContent",
            Self::Predict => "predict",
        }
    }
}

/// Options that accompany every content of a request.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Model ID without a path.
    pub model: String,
    /// Task type such as `RETRIEVAL_DOCUMENT`; `None` if the text itself expresses the task.
    pub task_type: Option<&'static str>,
    /// Length of the vectors; `None` for the model's default.
    pub dimensions: Option<usize>,
}

impl Options {
    /// Creates the options for a purpose.
    pub fn new(
        profile: &EmbeddingProfile,
        model: &str,
        purpose: EmbeddingInputType,
        dimensions: Option<usize>,
    ) -> Self {
        let task_type = match purpose {
            EmbeddingInputType::Query => "RETRIEVAL_QUERY",
            _ => "RETRIEVAL_DOCUMENT",
        };
        Self {
            model: model.trim_start_matches("models/").to_owned(),
            task_type: profile.task_words.is_none().then_some(task_type),
            dimensions,
        }
    }

    /// Builds the body of a request with these contents.
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

/// A response in any of the forms.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddingResponse {
    embeddings: Vec<Vector>,
    embedding: Option<Vector>,
    predictions: Vec<Prediction>,
    usage_metadata: Option<Usage>,
    /// The model version that responded, if reported.
    #[serde(deserialize_with = "json::fit")]
    pub model_version: Option<String>,
    /// When that model will be shut down.
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
    /// Returns the vectors of `count` contents in order, and the number of tokens if the server reported it.
    pub fn into_vectors(self, count: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), InvokeError> {
        let predicted = self.predictions.into_iter().map(|prediction| prediction.embeddings);
        let vectors: Vec<Vector> = self.embeddings.into_iter().chain(self.embedding).chain(predicted).collect();
        if vectors.len() != count || vectors.iter().any(|vector| vector.values.is_empty()) {
            return Err(InvokeError::server_unavailable(format!(
                "requested {count} embeddings, received {}",
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

/// Scales a vector to length 1; a zero vector is left unchanged.
pub fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// Returns the weighted mean of vectors, normalized; `None` if there are none.
pub fn mean(vectors: &[(Vec<f32>, u64)]) -> Option<Vec<f32>> {
    let (first, _) = vectors.first()?;
    let mut sum = vec![0.0; first.len()];
    for (vector, weight) in vectors {
        for (place, value) in sum.iter_mut().zip(vector) {
            *place += value * *weight as f32;
        }
    }
    normalize(&mut sum);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_the_number_of_vectors_in_every_form() {
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
            assert!(read(value, 2).unwrap_err().message.contains("requested 2"));
        }
        assert!(read(json!({"embeddings": [{"values": []}]}), 1).is_err());
    }

    #[test]
    fn means_are_weighted_and_normalized() {
        let mean = mean(&[(vec![1.0, 0.0], 3), (vec![0.0, 1.0], 4)]).unwrap();
        assert!((mean[0] - 0.6).abs() < 1e-6 && (mean[1] - 0.8).abs() < 1e-6, "{mean:?}");
        assert_eq!(super::mean(&[]), None);
        let mut zeros = [0.0, 0.0];
        normalize(&mut zeros);
        assert_eq!(zeros, [0.0, 0.0]);
    }
}
