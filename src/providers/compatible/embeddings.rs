//! Embedding requests in concurrent batches within the server's limit, with the results in the order of the texts.

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::warn;

use super::{Endpoint, document};
use crate::dialect::openai::embeddings::{EmbeddingBody, EmbeddingResponse, max_response_bytes};
use crate::dialect::tokens::{TokenCounter, estimate_text};
use crate::providers::common::batches::in_batches;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;

/// Options of an embedding request.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingCall {
    /// Wire name of the model.
    pub model: String,
    /// Maximum number of texts per request.
    pub batch: usize,
    /// Maximum number of concurrent requests.
    pub parallel: usize,
    /// `float`, `base64` or none.
    pub encoding_format: Option<&'static str>,
    /// End user ID.
    pub user: Option<String>,
    /// Additional members (`dimensions`, `task`).
    pub extra: Map<String, Value>,
}

/// Returns the embeddings in the order of the inputs, and the tokens that the server counted, if it did.
pub async fn invoke<T: Serialize + Send + Sync>(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &EmbeddingCall,
    inputs: Vec<T>,
) -> Result<(Vec<Vec<f32>>, Option<u64>), InvokeError> {
    let batches = in_batches(inputs, call.batch, call.parallel, |batch| async move {
        let body = EmbeddingBody {
            model: &call.model,
            input: &batch,
            encoding_format: call.encoding_format,
            user: call.user.as_deref(),
            extra: &call.extra,
        };
        let request = endpoint.post_json("embeddings", &body)?;
        let texts = batch.len();
        let response = upstream.send(&request).await?;
        document(response, max_response_bytes(texts), |text| EmbeddingResponse::read(text)?.into_vectors(texts)).await
    })
    .await?;
    let mut vectors = Vec::new();
    let mut tokens = Some(0);
    for (batch, counted) in batches {
        vectors.extend(batch);
        tokens = tokens.zip(counted).map(|(sum, counted): (u64, u64)| sum + counted);
    }
    Ok((vectors, tokens))
}

/// Estimates the tokens of texts.
pub fn estimate<'t>(texts: impl IntoIterator<Item = &'t str>) -> u64 {
    texts.into_iter().map(estimate_text).sum()
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
