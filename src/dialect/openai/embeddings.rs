//! Embedding responses: the embeddings in the order of the texts.

mod form;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub use self::form::{EmbeddingForm, EncodingFormat, InputForm, InputTypeMember, MultimodalInput, Prefix};
use super::members::{Few, Members, Object};
use super::wire::{Number, Usage};
use dify_plugin::error::InvokeError;

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
mod tests;
