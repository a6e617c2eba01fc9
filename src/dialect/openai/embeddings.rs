//! Embedding bodies: the request, and vectors in the order of the texts whatever order they come in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::wire::Usage;
use crate::error::InvokeError;

/// Body of `POST /embeddings`.
#[derive(Debug, Serialize)]
pub struct EmbeddingBody<'a, T> {
    /// Model on the wire.
    pub model: &'a str,
    /// Texts, or documents in the upstream's form.
    pub input: &'a [T],
    /// `float` or `base64`; either is understood in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<&'a str>,
    /// End user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// More members (`dimensions`, `task`).
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
}

/// Answer of `POST /embeddings`.
#[derive(Debug, Deserialize)]
pub struct EmbeddingAnswer {
    data: Vec<EmbeddingEntry>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct EmbeddingEntry {
    #[serde(default)]
    index: Option<usize>,
    #[serde(deserialize_with = "vector")]
    embedding: Vec<f32>,
}

impl EmbeddingAnswer {
    /// The vectors in the order of the texts and the tokens that the upstream counted.
    pub fn into_vectors(self, texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), InvokeError> {
        if self.data.len() != texts {
            return Err(InvokeError::server_unavailable(format!(
                "the upstream answered {} vectors to {texts} texts",
                self.data.len()
            )));
        }
        let tokens = self.usage.and_then(|usage| usage.total_tokens.or(usage.prompt()));
        let mut vectors = vec![Vec::new(); texts];
        for (place, entry) in self.data.into_iter().enumerate() {
            let index = entry.index.unwrap_or(place);
            if entry.embedding.is_empty() {
                return Err(InvokeError::server_unavailable(format!("the vector of text {index} is empty")));
            }
            match vectors.get_mut(index) {
                Some(vector) if vector.is_empty() => *vector = entry.embedding,
                Some(_) => {
                    return Err(InvokeError::server_unavailable(format!("the upstream answered text {index} twice")));
                }
                None => {
                    return Err(InvokeError::server_unavailable(format!(
                        "the upstream answered text {index} of {texts} texts"
                    )));
                }
            }
        }
        Ok((vectors, tokens))
    }
}

/// Numbers, or little-endian 32-bit floats in base64.
fn vector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    use serde::de::{Error, SeqAccess, Visitor};
    struct VectorVisitor;
    impl<'de> Visitor<'de> for VectorVisitor {
        type Value = Vec<f32>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a dense vector: a list of numbers, or base64 (is this a sparse embedding model?)")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<f32>, A::Error> {
            let mut vector = Vec::with_capacity(sequence.size_hint().unwrap_or(1024));
            while let Some(number) = sequence.next_element::<f32>()? {
                vector.push(number);
            }
            Ok(vector)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<f32>, E> {
            let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
            let (floats, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(E::custom("base64 of something else than 32-bit floats"));
            }
            Ok(floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
        }
    }
    deserializer.deserialize_any(VectorVisitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), String> {
        let answer: EmbeddingAnswer = serde_json::from_str(json).map_err(|error| error.to_string())?;
        answer.into_vectors(texts).map_err(|error| error.message)
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let (vectors, tokens) = read(
            r#"{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":5,"total_tokens":7}}"#,
            2,
        )
        .unwrap();
        assert_eq!((vectors, tokens), (vec![vec![1.0], vec![2.0]], Some(7)));
        assert_eq!(read(r#"{"data":[]}"#, 0).unwrap(), (vec![], None));
        assert_eq!(read(r#"{"data":[{"embedding":[1]}]}"#, 1).unwrap(), (vec![vec![1.0]], None));
    }

    #[test]
    fn wrong_answers_are_named() {
        let cases = [
            (r#"{"data":[{"embedding":[1]}]}"#, 2, "1 vectors to 2 texts"),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, 2, "text 0 twice"),
            (r#"{"data":[{"index":4,"embedding":[1]}]}"#, 1, "text 4 of 1"),
            (r#"{"data":[{"embedding":[]}]}"#, 1, "is empty"),
            (r#"{"data":[{"embedding":{"12":0.5}}]}"#, 1, "sparse"),
            (r#"{"data":[{"embedding":"AAA="}]}"#, 1, "32-bit"),
        ];
        for (json, texts, expected) in cases {
            let error = read(json, texts).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
