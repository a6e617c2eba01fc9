//! Moderation requests: a long text in segments, until one of them is unsafe.

use super::{Action, Endpoint, document};
use crate::dialect::openai::moderation::ModerationForm;
use crate::providers::common::text_split;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;

/// Maximum size of a response in bytes.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Options of a moderation request.
#[derive(Clone, Debug, Default)]
pub struct ModerationCall {
    /// Wire name of the model.
    pub model: String,
    /// Format of requests and responses.
    pub form: ModerationForm,
    /// `max_characters_per_chunk` of the model.
    pub max_characters: Option<usize>,
    /// `max_chunks` of the model.
    pub max_chunks: Option<usize>,
}

/// Returns whether a text is unsafe. A blank text is safe.
pub async fn is_unsafe(
    upstream: &Upstream,
    endpoint: &Endpoint,
    call: &ModerationCall,
    text: &str,
) -> Result<bool, InvokeError> {
    let segments = text_split::split(text, call.form.characters(call.max_characters));
    for batch in segments.chunks(call.form.batch_size(call.max_chunks)) {
        let request = endpoint.post_json(Action::Moderation, &call.form.request(&call.model, batch))?;
        let read = |text: &str| call.form.read(text, batch.len());
        if document(upstream.send(&request).await?, MAX_RESPONSE_BYTES, read).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
