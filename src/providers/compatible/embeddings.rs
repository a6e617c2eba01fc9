//! Embedding requests in concurrent batches within the server's limit, with the results in the order of the texts.

use serde_json::{Map, Value};
use tracing::warn;

use super::{Action, Endpoint, document};
use crate::dialect::openai::embeddings::{EmbeddingForm, EmbeddingResponse, MultimodalInput, max_response_bytes};
use crate::dialect::openai::multimodal;
use crate::dialect::tokens::{TokenCounter, estimate_text};
use crate::providers::common::batches::in_batches;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{EmbeddingInputType, MultimodalContent, MultimodalContentType};
use dify_plugin::upstream::Upstream;

/// Options of an embedding request.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingCall {
    /// Wire name of the model.
    pub model: String,
    /// Format of requests.
    pub form: EmbeddingForm,
    /// Maximum number of texts per request, where the form has none.
    pub max_chunks: Option<usize>,
    /// Maximum number of tokens per text.
    pub context_size: Option<u64>,
    /// End user ID.
    pub user: Option<String>,
    /// Documents or queries.
    pub input_type: EmbeddingInputType,
}

/// Embeddings in the order of the inputs, and their tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// The embeddings.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the server counted, if it did.
    pub counted: Option<u64>,
    /// Estimated tokens.
    pub estimate: u64,
}

impl Embedded {
    /// Returns the counted tokens, else the estimate.
    pub fn tokens(&self) -> u64 {
        self.counted.unwrap_or(self.estimate)
    }
}

/// Returns the embeddings of texts.
pub async fn texts(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &EmbeddingCall,
    texts: Vec<String>,
) -> Result<Embedded, InvokeError> {
    let texts: Vec<String> = texts.into_iter().map(|text| call.prepared(text)).collect();
    let estimate = texts.iter().map(|text| estimate_text(text)).sum();
    let (vectors, counted) = list(upstream, endpoint, call, call.form.inputs(texts)).await?;
    Ok(Embedded { vectors, counted, estimate })
}

/// Returns the embeddings of texts and images.
pub async fn contents(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &EmbeddingCall,
    contents: Vec<MultimodalContent>,
) -> Result<Embedded, InvokeError> {
    let is_image = |content: &MultimodalContent| content.content_type == MultimodalContentType::Image;
    let as_text = |content: MultimodalContent| call.prepared(content.content);
    let estimate = contents.iter().map(|content| if is_image(content) { 1 } else { estimate_text(&content.content) });
    let estimate = estimate.sum();
    match call.form.multimodal {
        Some(MultimodalInput::Objects) => {
            let object = |content| match is_image(&content) {
                true => multimodal::object(content),
                false => multimodal::object(MultimodalContent::text(as_text(content))),
            };
            let (vectors, counted) = list(upstream, endpoint, call, contents.into_iter().map(object).collect()).await?;
            Ok(Embedded { vectors, counted, estimate })
        }
        Some(MultimodalInput::Messages) => {
            let places: Vec<bool> = contents.iter().map(is_image).collect();
            let (images, texts): (Vec<_>, Vec<_>) = contents.into_iter().partition(is_image);
            let texts = texts.into_iter().map(as_text).collect();
            let (text_vectors, text_tokens) = list(upstream, endpoint, call, call.form.inputs(texts)).await?;
            let images = images.into_iter().map(|image| image.content).collect();
            let (image_vectors, image_tokens) = one_by_one(upstream, endpoint, call, images).await?;
            let (mut text_vectors, mut image_vectors) = (text_vectors.into_iter(), image_vectors.into_iter());
            let vectors = places.into_iter().filter_map(|is_image| match is_image {
                true => image_vectors.next(),
                false => text_vectors.next(),
            });
            let counted = text_tokens.zip(image_tokens).map(|(texts, images)| texts.saturating_add(images));
            Ok(Embedded { vectors: vectors.collect(), counted, estimate })
        }
        None if contents.iter().any(is_image) => {
            Err(InvokeError::bad_request("the model has embeddings of texts only, not of images"))
        }
        None => texts(upstream, endpoint, call, contents.into_iter().map(|content| content.content).collect()).await,
    }
}

impl EmbeddingCall {
    /// Returns a text as it is sent: with the prefix, not blank and not too long.
    fn prepared(&self, text: String) -> String {
        let longest = self.context_size.filter(|_| self.form.cut != Some(false)).unwrap_or(u64::MAX);
        fitted(self.form.prefixed(text, self.input_type), longest)
    }
}

/// Embeddings, and the tokens that the server counted, if it did.
type Counted = (Vec<Vec<f32>>, Option<u64>);

/// Sends inputs in batches.
async fn list(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &EmbeddingCall,
    inputs: Vec<Value>,
) -> Result<Counted, InvokeError> {
    let size = call.form.batch_size(call.max_chunks);
    let batches = in_batches(inputs, size, call.form.parallel_requests(), |batch| async move {
        let texts = batch.len();
        let body = call.form.request(&call.model, batch, call.user.as_deref(), call.input_type);
        send(upstream, endpoint, &body, texts).await
    });
    Ok(joined(batches.await?))
}

/// Sends each image in a request of its own.
async fn one_by_one(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &EmbeddingCall,
    images: Vec<String>,
) -> Result<Counted, InvokeError> {
    let batches = in_batches(images, 1, call.form.parallel_requests(), |images| async move {
        let image = images.into_iter().next().unwrap_or_default();
        let body = call.form.image_request(&call.model, image, call.user.as_deref(), call.input_type);
        send(upstream, endpoint, &body, 1).await
    });
    Ok(joined(batches.await?))
}

async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    body: &Map<String, Value>,
    texts: usize,
) -> Result<Counted, InvokeError> {
    let request = endpoint.post_json(Action::Embeddings, body)?;
    let response = upstream.send(&request).await?;
    document(response, max_response_bytes(texts), |text| EmbeddingResponse::read(text)?.into_vectors(texts)).await
}

fn joined(batches: Vec<Counted>) -> Counted {
    let mut vectors = Vec::new();
    let mut tokens = Some(0_u64);
    for (batch, counted) in batches {
        vectors.extend(batch);
        tokens = tokens.zip(counted).map(|(sum, counted)| sum.saturating_add(counted));
    }
    (vectors, tokens)
}

/// Replaces a blank text, because servers reject such a text with its whole batch.
const BLANK: &str = ".";

/// Prepares a text for the server: a blank text is replaced, and a text of more than about `longest` tokens is
/// truncated,
/// which is logged.
pub fn fitted(text: String, longest: u64) -> String {
    if text.trim().is_empty() {
        return BLANK.to_owned();
    }
    // A token has at least one byte, so most texts need no counting.
    if text.len() as u64 <= longest {
        return text;
    }
    let mut counter = TokenCounter::default();
    let mut buffer = [0; 4];
    let end = text.char_indices().find(|(_, letter)| {
        counter.push(letter.encode_utf8(&mut buffer));
        counter.total() > longest
    });
    match end {
        Some((at, _)) => {
            warn!(
                bytes = text.len(),
                kept = at,
                limit_tokens = longest,
                "text exceeds the model's input limit; truncated"
            );
            text[..at].to_owned()
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_long_texts_and_replaces_blank_ones() {
        let cases = [
            ("short", 100, "short"),
            ("one two three four five six", 3, "one two three "),
            ("你好世界你好世界", 2, "你好"),
            ("", 1, "."),
            (" \n\t", 100, "."),
        ];
        for (text, longest, expected) in cases {
            let cut = fitted(text.to_owned(), longest);
            assert_eq!(cut.trim_end(), expected.trim_end(), "{text}");
            assert!(estimate_text(&cut) <= longest);
        }
    }
}
