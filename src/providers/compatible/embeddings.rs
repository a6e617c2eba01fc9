//! Embedding calls: batches within the server's limit, some at a time, vectors in the order of the texts.

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::warn;

use super::{Endpoint, document};
use crate::dialect::openai::embeddings::{EmbeddingBody, EmbeddingResponse, max_response_bytes};
use crate::dialect::tokens::{TokenCounter, estimate_text};
use crate::providers::common::batches::in_batches;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;

/// How texts are embedded.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingCall {
    /// Model on the wire.
    pub model: String,
    /// Texts per request.
    pub batch: usize,
    /// Requests at a time.
    pub parallel: usize,
    /// `float`, `base64` or nothing.
    pub encoding_format: Option<&'static str>,
    /// End user.
    pub user: Option<String>,
    /// More members (`dimensions`, `task`).
    pub extra: Map<String, Value>,
}

/// The vectors in the order of the inputs, and the tokens as the server counted them; `None` when it did not.
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
        let answer = upstream.send(&request).await?;
        document(answer, max_response_bytes(texts), |text| EmbeddingResponse::read(text)?.into_vectors(texts)).await
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

/// Tokens of some texts, estimated.
pub fn estimate<'t>(texts: impl IntoIterator<Item = &'t str>) -> u64 {
    texts.into_iter().map(estimate_text).sum()
}

/// Stands in place of a text of blanks alone: servers refuse such a text with its whole batch.
const BLANK: &str = ".";

/// A text as a server takes it: cut at its end to about this many tokens, which the log tells, and not blank. Others stay
/// as they are.
pub fn fitted(text: String, longest: u64) -> String {
    if text.trim().is_empty() {
        return BLANK.to_owned();
    }
    // A token is at least one byte: most texts need no counting.
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
                "a text is longer than the model reads and was cut"
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
    fn long_texts_are_cut_between_characters_and_blank_ones_are_not_sent() {
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
