//! Models other than language models: embedding, rerank, speech, moderation.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BackwardsRequest, InvokeType, ModelConfig};
use crate::protocol::lenient::{empty_string_as_none, hex_bytes};
use crate::protocol::{EmbeddingInputType, EmbeddingResult, ModelType, MultimodalContent, RerankResult};

/// Which model of which provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelName {
    /// The provider's full name (`langgenius/openai/openai`).
    pub provider: String,
    /// The model.
    pub model: String,
}

impl ModelName {
    /// A model of a provider.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into() }
    }
}

impl From<ModelConfig> for ModelName {
    fn from(config: ModelConfig) -> Self {
        Self { provider: config.provider, model: config.model }
    }
}

impl From<&ModelConfig> for ModelName {
    fn from(config: &ModelConfig) -> Self {
        Self::new(&config.provider, &config.model)
    }
}

impl From<&ModelName> for ModelName {
    fn from(name: &ModelName) -> Self {
        name.clone()
    }
}

#[derive(Clone, Debug, Serialize)]
struct Model {
    #[serde(flatten)]
    name: ModelName,
    model_type: ModelType,
}

/// `text_embedding`, and with documents `multimodal_embedding`, for which Dify 1.14.2 has no route.
#[derive(Clone, Debug, Serialize)]
pub struct EmbeddingInvocation {
    #[serde(flatten)]
    model: Model,
    #[serde(flatten)]
    input: EmbeddingInput,
    input_type: EmbeddingInputType,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum EmbeddingInput {
    Texts(Vec<String>),
    Documents(Vec<MultimodalContent>),
}

impl EmbeddingInvocation {
    /// Vectors of texts.
    pub fn of_texts(model: ModelName, texts: Vec<String>, input_type: EmbeddingInputType) -> Self {
        let model = Model { name: model, model_type: ModelType::TextEmbedding };
        Self { model, input: EmbeddingInput::Texts(texts), input_type }
    }

    /// Vectors of texts and images.
    pub fn of_documents(model: ModelName, documents: Vec<MultimodalContent>, input_type: EmbeddingInputType) -> Self {
        let model = Model { name: model, model_type: ModelType::TextEmbedding };
        Self { model, input: EmbeddingInput::Documents(documents), input_type }
    }
}

impl BackwardsRequest for EmbeddingInvocation {
    type Response = EmbeddingResult;

    fn invoke_type(&self) -> InvokeType {
        match self.input {
            EmbeddingInput::Texts(_) => InvokeType::TextEmbedding,
            EmbeddingInput::Documents(_) => InvokeType::MultimodalEmbedding,
        }
    }
}

/// `rerank`, and with contents `multimodal_rerank`, for which Dify 1.14.2 has no route.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RerankInvocation {
    #[serde(flatten)]
    model: Model,
    #[serde(flatten)]
    input: RerankInput,
    /// The lowest score to keep. Dify's API takes no null here.
    pub score_threshold: f64,
    /// How many to keep.
    pub top_n: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum RerankInput {
    Texts { query: String, docs: Vec<String> },
    Contents { query: MultimodalContent, docs: Vec<MultimodalContent> },
}

impl RerankInvocation {
    /// Texts, all of them by default.
    pub fn of_texts(model: ModelName, query: String, docs: Vec<String>) -> Self {
        let top_n = docs.len() as u64;
        Self::new(model, RerankInput::Texts { query, docs }, top_n)
    }

    /// Texts and images, all of them by default.
    pub fn of_contents(model: ModelName, query: MultimodalContent, docs: Vec<MultimodalContent>) -> Self {
        let top_n = docs.len() as u64;
        Self::new(model, RerankInput::Contents { query, docs }, top_n)
    }

    fn new(model: ModelName, input: RerankInput, top_n: u64) -> Self {
        Self { model: Model { name: model, model_type: ModelType::Rerank }, input, score_threshold: 0.0, top_n }
    }
}

impl BackwardsRequest for RerankInvocation {
    type Response = RerankResult;

    fn invoke_type(&self) -> InvokeType {
        match self.input {
            RerankInput::Texts { .. } => InvokeType::Rerank,
            RerankInput::Contents { .. } => InvokeType::MultimodalRerank,
        }
    }
}

/// `tts`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TtsInvocation {
    #[serde(flatten)]
    model: Model,
    /// The voice's `value`; the daemon rejects an empty one.
    pub voice: String,
    content_text: String,
}

impl TtsInvocation {
    /// A text to be spoken.
    pub fn new(model: ModelName, voice: impl Into<String>, text: impl Into<String>) -> Self {
        let model = Model { name: model, model_type: ModelType::Tts };
        Self { model, voice: voice.into(), content_text: text.into() }
    }
}

impl BackwardsRequest for TtsInvocation {
    type Response = SpeechChunk;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Tts
    }
}

/// A part of the spoken audio; joined in order they are the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SpeechChunk {
    /// The bytes; hexadecimal on the wire.
    #[serde(rename = "result", deserialize_with = "from_hex")]
    pub bytes: Bytes,
    /// Its media type, where Dify reports it.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub mime_type: Option<String>,
}

/// `speech2text`.
#[derive(Clone, Debug, Serialize)]
pub struct Speech2TextInvocation {
    #[serde(flatten)]
    model: Model,
    #[serde(serialize_with = "as_hex")]
    file: Bytes,
}

impl Speech2TextInvocation {
    /// An audio file.
    pub fn new(model: ModelName, file: Bytes) -> Self {
        Self { model: Model { name: model, model_type: ModelType::Speech2text }, file }
    }
}

impl BackwardsRequest for Speech2TextInvocation {
    type Response = ResultOf<String>;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Speech2text
    }
}

/// `moderation`.
#[derive(Clone, Debug, Serialize)]
pub struct ModerationInvocation {
    #[serde(flatten)]
    model: Model,
    text: String,
}

impl ModerationInvocation {
    /// A text to be checked.
    pub fn new(model: ModelName, text: impl Into<String>) -> Self {
        Self { model: Model { name: model, model_type: ModelType::Moderation }, text: text.into() }
    }
}

impl BackwardsRequest for ModerationInvocation {
    type Response = ResultOf<bool>;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Moderation
    }
}

/// `{"result": …}`.
#[derive(Clone, Debug, Deserialize)]
pub struct ResultOf<T> {
    /// The result.
    pub result: T,
}

fn as_hex<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    hex_bytes(deserializer).map(Bytes::from)
}
