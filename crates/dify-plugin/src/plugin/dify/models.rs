//! Models other than language models.

use bytes::Bytes;

use super::{Calls, Dify, DifyError};
use crate::protocol::backwards::{
    EmbeddingInvocation, ModelName, ModerationInvocation, RerankInvocation, Speech2TextInvocation, SpeechChunk,
    TtsInvocation,
};
use crate::protocol::{EmbeddingInputType, EmbeddingResult, MultimodalContent, RerankResult};

impl Dify {
    /// A call of an embedding model.
    pub fn embedding(&self, model: impl Into<ModelName>) -> Embedding {
        Embedding { dify: self.clone(), model: model.into(), input_type: EmbeddingInputType::Query }
    }

    /// A call of a rerank model.
    pub fn rerank(&self, model: impl Into<ModelName>) -> Rerank {
        Rerank { dify: self.clone(), model: model.into(), score_threshold: None, top_n: None }
    }

    /// A call of a text-to-speech model, with one of its voices.
    pub fn tts(&self, model: impl Into<ModelName>, voice: impl Into<String>) -> Tts {
        Tts { dify: self.clone(), model: model.into(), voice: voice.into() }
    }

    /// The text of an audio file.
    ///
    /// Dify 1.14.2 decodes the file twice, and fails where that is not possible: then it is sent once more, encoded twice, which
    /// quadruples its bytes. Source: langgenius/dify: `api/core/plugin/entities/request.py`, `backwards_invocation/model.py`.
    pub async fn speech2text(&self, model: impl Into<ModelName>, audio: impl Into<Bytes>) -> Result<String, DifyError> {
        let (model, audio) = (model.into(), audio.into());
        let send = async |audio| self.call_once(Speech2TextInvocation::new(model.clone(), audio)).await;
        let response = match send(audio.clone()).await {
            Err(error) if decodes_twice(&error) => send(hex::encode(&audio).into()).await,
            response => response,
        };
        Ok(response?.result)
    }

    /// Whether a moderation model finds a text unsafe.
    pub async fn moderation(&self, model: impl Into<ModelName>, text: impl Into<String>) -> Result<bool, DifyError> {
        Ok(self.call_once(ModerationInvocation::new(model.into(), text)).await?.result)
    }
}

/// Whether Dify has decoded bytes that are not hexadecimal: the texts are Python's.
fn decodes_twice(error: &DifyError) -> bool {
    ["Odd-length string", "Non-hexadecimal digit found"].iter().any(|text| error.message.contains(text))
}

/// A call of an embedding model that is being described.
#[must_use = "nothing is sent before `texts` or `documents`"]
pub struct Embedding {
    dify: Dify,
    model: ModelName,
    input_type: EmbeddingInputType,
}

impl Embedding {
    /// Whether the texts are documents or queries; queries by default, as in the Python SDK. Dify 1.14.2 ignores it.
    pub fn input_type(mut self, input_type: EmbeddingInputType) -> Self {
        self.input_type = input_type;
        self
    }

    /// Sends texts: one vector each, in their order.
    pub async fn texts<S: Into<String>>(
        self,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<EmbeddingResult, DifyError> {
        let texts = texts.into_iter().map(Into::into).collect();
        self.dify.call_once(EmbeddingInvocation::of_texts(self.model, texts, self.input_type)).await
    }

    /// Sends texts and images. Dify 1.14.2 does not support this.
    pub async fn documents(
        self,
        documents: impl IntoIterator<Item = MultimodalContent>,
    ) -> Result<EmbeddingResult, DifyError> {
        let documents = documents.into_iter().collect();
        self.dify.call_once(EmbeddingInvocation::of_documents(self.model, documents, self.input_type)).await
    }
}

/// A call of a rerank model that is being described.
#[must_use = "nothing is sent before `texts` or `contents`"]
pub struct Rerank {
    dify: Dify,
    model: ModelName,
    score_threshold: Option<f64>,
    top_n: Option<u64>,
}

impl Rerank {
    /// The lowest score to keep; all by default.
    pub fn score_threshold(mut self, score: f64) -> Self {
        self.score_threshold = Some(score);
        self
    }

    /// How many to keep; all by default.
    pub fn top_n(mut self, count: u64) -> Self {
        self.top_n = Some(count);
        self
    }

    /// Orders texts by their relevance.
    pub async fn texts<S: Into<String>>(
        self,
        query: impl Into<String>,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<RerankResult, DifyError> {
        let texts = texts.into_iter().map(Into::into).collect();
        let request = RerankInvocation::of_texts(self.model.clone(), query.into(), texts);
        self.send(request).await
    }

    /// Orders texts and images by their relevance. Dify 1.14.2 does not support this.
    pub async fn contents(
        self,
        query: MultimodalContent,
        contents: impl IntoIterator<Item = MultimodalContent>,
    ) -> Result<RerankResult, DifyError> {
        let request = RerankInvocation::of_contents(self.model.clone(), query, contents.into_iter().collect());
        self.send(request).await
    }

    async fn send(self, mut request: RerankInvocation) -> Result<RerankResult, DifyError> {
        request.score_threshold = self.score_threshold.unwrap_or(request.score_threshold);
        request.top_n = self.top_n.unwrap_or(request.top_n);
        self.dify.call_once(request).await
    }
}

/// A call of a text-to-speech model that is being described.
#[must_use = "nothing is sent before `stream` or `whole`"]
pub struct Tts {
    dify: Dify,
    model: ModelName,
    voice: String,
}

impl Tts {
    /// Sends a text; the audio comes as it is made.
    pub async fn stream(self, text: impl Into<String>) -> Result<Calls<SpeechChunk>, DifyError> {
        self.dify.call(TtsInvocation::new(self.model, self.voice, text)).await
    }

    /// Sends a text and waits for the whole audio.
    pub async fn whole(self, text: impl Into<String>) -> Result<SpeechChunk, DifyError> {
        let mut chunks = self.stream(text).await?.all().await?;
        if chunks.len() == 1 {
            return Ok(chunks.swap_remove(0));
        }
        let mime_type = chunks.iter().find_map(|chunk| chunk.mime_type.clone());
        let bytes = chunks.iter().map(|chunk| &chunk.bytes[..]).collect::<Vec<_>>().concat().into();
        Ok(SpeechChunk { bytes, mime_type })
    }
}
