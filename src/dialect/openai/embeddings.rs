//! Embedding bodies: the request, and the response with its embeddings in the order of the texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::members::{Few, Members, Object};
use super::wire::{Number, Usage};
use dify_plugin::error::InvokeError;

/// Body of `POST /embeddings`.
#[derive(Debug, Serialize)]
pub struct EmbeddingBody<'a, T> {
    /// Wire name of the model.
    pub model: &'a str,
    /// Texts, or documents in the upstream's format.
    pub input: &'a [T],
    /// `float` or `base64`; both are understood in the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<&'a str>,
    /// End user ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// Additional members (`dimensions`, `task`).
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
}

/// Maximum number of embeddings in a response; far more than a request has texts.
const MAX_VECTORS: usize = 65_536;

/// Maximum number of dimensions of an embedding.
const MAX_DIMENSIONS: usize = 65_536;

/// Maximum size in bytes of the response for this number of texts, with room for many dimensions and long numbers.
pub fn max_response_bytes(texts: usize) -> usize {
    const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;
    const PER_TEXT: usize = 1024 * 1024;
    texts.saturating_add(1).saturating_mul(PER_TEXT).min(MAX_RESPONSE_BYTES)
}

/// Response of `POST /embeddings`.
#[derive(Debug, Default)]
pub struct EmbeddingResponse {
    data: Option<Entries>,
    usage: Usage,
}

impl<'de> Members<'de> for EmbeddingResponse {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "data" => self.data = map.next_value()?,
            "usage" => self.usage.absorb(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct Entries(Vec<EmbeddingEntry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let few = Few { most: MAX_VECTORS, empty: |_: &EmbeddingEntry| false, kind: "vectors" };
        deserializer.deserialize_any(few).map(|(list, _)| Self(list))
    }
}

#[derive(Debug, Default)]
struct EmbeddingEntry {
    index: Option<usize>,
    embedding: Vec<f32>,
}

impl<'de> Members<'de> for EmbeddingEntry {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "index" => self.index = map.next_value::<Number>()?.whole().and_then(|index| index.try_into().ok()),
            "embedding" => self.embedding = map.next_value::<Vector>()?.0,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl EmbeddingResponse {
    /// Parses a response.
    pub fn read(text: &str) -> Result<Self, InvokeError> {
        let found: Object<Self> = serde_json::from_str(text).map_err(unreadable)?;
        let found = found.0.unwrap_or_default();
        if found.data.is_none() {
            return Err(InvokeError::server_unavailable("the response has no embeddings in `data`"));
        }
        Ok(found)
    }

    /// Returns the embeddings in the order of the texts, and the tokens that the upstream counted.
    pub fn into_vectors(self, texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), InvokeError> {
        let data = self.data.map(|entries| entries.0).unwrap_or_default();
        if data.len() != texts {
            return Err(InvokeError::server_unavailable(format!(
                "the server returned {} embeddings for {texts} texts",
                data.len()
            )));
        }
        let tokens = self.usage.total_tokens.or(self.usage.prompt());
        // Some servers give every embedding the same index; then the order is that of the texts.
        let all_alike = texts > 1 && data.iter().all(|entry| entry.index == data[0].index);
        let mut vectors = vec![Vec::new(); texts];
        for (place, entry) in data.into_iter().enumerate() {
            let index = entry.index.filter(|_| !all_alike).unwrap_or(place);
            if entry.embedding.is_empty() {
                return Err(InvokeError::server_unavailable(format!("the embedding of text {index} is empty")));
            }
            match vectors.get_mut(index) {
                Some(vector) if vector.is_empty() => *vector = entry.embedding,
                Some(_) => {
                    return Err(InvokeError::server_unavailable(format!(
                        "the server returned the embedding of text {index} twice"
                    )));
                }
                None => {
                    return Err(InvokeError::server_unavailable(format!(
                        "the server returned an embedding for text {index}, but only {texts} texts were sent"
                    )));
                }
            }
        }
        Ok((vectors, tokens))
    }
}

fn unreadable(error: serde_json::Error) -> InvokeError {
    InvokeError::server_unavailable(format!("cannot read the embeddings of the response: {error}"))
}

/// An embedding: an array of numbers, or little-endian 32-bit floats in Base64.
struct Vector(Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor).map(Self)
    }
}

struct VectorVisitor;

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vec<f32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a dense vector: an array of numbers, or Base64 (is this a sparse embedding model?)")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut vector = Vec::new();
        while let Some(number) = sequence.next_element::<f32>()? {
            if vector.len() == MAX_DIMENSIONS {
                return Err(A::Error::custom(format!("an embedding of more than {MAX_DIMENSIONS} numbers")));
            }
            vector.push(number);
        }
        Ok(vector)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let bytes = STANDARD.decode(text).map_err(|_| E::custom("not valid Base64"))?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("Base64 that does not contain 32-bit floats"));
        }
        let vector: Vec<f32> = floats.iter().map(|float| f32::from_le_bytes(*float)).collect();
        match vector.iter().all(|number| number.is_finite()) {
            true => Ok(vector),
            false => Err(E::custom("Base64 of a float that is not a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), String> {
        EmbeddingResponse::read(json).and_then(|response| response.into_vectors(texts)).map_err(|error| error.message)
    }

    #[test]
    fn returns_embeddings_in_the_order_of_the_texts() {
        let (vectors, tokens) = read(
            r#"{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":5,"total_tokens":7}}"#,
            2,
        )
        .unwrap();
        assert_eq!((vectors, tokens), (vec![vec![1.0], vec![2.0]], Some(7)));
        let same_index = r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}],"usage":""}"#;
        assert_eq!(read(same_index, 2).unwrap(), (vec![vec![1.0], vec![2.0]], None));
        let odd =
            r#"{"data":[{"index":"1","embedding":[1],"object":7},null,{"index":0.0,"embedding":[2]}],"data2":[{}]}"#;
        assert_eq!(read(odd, 2).unwrap().0, [[2.0], [1.0]]);
        assert_eq!(read(r#"{"data":[]}"#, 0).unwrap(), (vec![], None));
        assert_eq!(read(r#"{"data":[{"embedding":[1]}]}"#, 1).unwrap(), (vec![vec![1.0]], None));
    }

    #[test]
    fn rejects_invalid_responses() {
        let cases = [
            (r#"{"data":[{"embedding":[1]}]}"#, 2, "1 embeddings for 2 texts"),
            (
                r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}"#,
                3,
                "text 0 twice",
            ),
            (r#"{"data":[{"embedding":[null]}]}"#, 1, "cannot read"),
            (r#"{"data":[{"embedding":[NaN]}]}"#, 1, "cannot read"),
            (r#"{"data":[{"embedding":"AADAfw=="}]}"#, 1, "not a number"),
            (r#"{"data":[{"embedding":[[1,2]]}]}"#, 1, "cannot read"),
            (r#"{"data":null}"#, 1, "no embeddings"),
            (r#"{"ok":true}"#, 1, "no embeddings"),
            (r#"[]"#, 1, "no embeddings"),
            (r#"{"data":[{"index":4,"embedding":[1]}]}"#, 1, "text 4, but only 1"),
            (r#"{"data":[{"embedding":[]}]}"#, 1, "is empty"),
            (r#"{"data":[{"embedding":{"12":0.5}}]}"#, 1, "sparse"),
            (r#"{"data":[{"embedding":"AAA="}]}"#, 1, "32-bit"),
        ];
        for (json, texts, expected) in cases {
            let error = read(json, texts).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn limits_the_size_of_unrequested_embeddings() {
        let many = |piece: &str| format!(r#"{{"data":[{}{piece}]}}"#, format!("{piece},").repeat(200_000));
        let error = read(&many(r#"{"embedding":[0]}"#), 1).unwrap_err();
        assert!(error.contains("65536 embeddings for 1 texts"), "{error}");
        let long = format!(r#"{{"data":[{{"embedding":[0{}]}}]}}"#, ",0".repeat(MAX_DIMENSIONS));
        assert!(read(&long, 1).unwrap_err().contains("more than 65536 numbers"));
        assert_eq!((max_response_bytes(1), max_response_bytes(usize::MAX)), (2 << 20, 64 << 20));
    }
}
