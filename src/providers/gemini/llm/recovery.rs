//! Changes a request after the service rejected something that the plugin added: signatures, caches, uploaded files,
//! file URLs, or fields that a gateway does not support. `upstream::retry` decides about retries of the unchanged
//! request.

use super::Call;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{is_office, media_type};
use crate::providers::gemini::{Shared, caching, media};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::{Content, ContentPart};
use dify_plugin_gemini::files;

impl Call {
    /// Changes a request because the service no longer accepts something that the plugin added, once for each reason;
    /// returns false if no change applies.
    pub(super) async fn recover(&mut self, shared: &Shared, error: &InvokeError) -> Result<bool, InvokeError> {
        let (owner, connection) = (self.owner(), &self.connection);
        let keep = |field| shared.refusals.keep(owner, connection, &self.request.target.model, field);
        if self.extras.remove_rejected(error, &mut self.body, keep) {
            return Ok(true);
        }
        if is_corrupted_signature(error) && !self.distrust_signatures {
            tracing::warn!("thought signature rejected; retrying without signatures");
            self.distrust_signatures = true;
            self.rebuild(shared)?;
        } else if self.uses_beta && error.status == Some(404) {
            tracing::warn!(
                error = error.log_summary(),
                "server without a beta version; retrying with the stable version"
            );
            self.uses_beta = false;
        } else if let Some(cache) = self.cache.take_if(|_| caching::is_cache_missing(error)) {
            tracing::warn!(error = error.log_summary(), "cached content not found; sending the prompt in full");
            cache.forget().await;
            self.rebuild(shared)?;
        } else if files::is_file_missing(error) && !self.prompt.uploaded.is_empty() && !self.uploaded_again {
            tracing::warn!(error = error.log_summary(), "uploaded file rejected; uploading it again");
            self.uploaded_again = true;
            shared.files.forget(self.owner(), &self.prompt.uploaded);
            self.prepare_media_again(shared).await?;
        } else if self.prompt.linked && media::is_unread_link(error) {
            tracing::warn!(error = error.log_summary(), "service cannot read a file URL; downloading the file");
            self.delivery.links = false;
            self.prepare_media_again(shared).await?;
        } else if self.profile.system_instruction && rejects_instructions(error) {
            tracing::warn!(error = error.log_summary(), "system instruction rejected; sending it as user text");
            self.profile.system_instruction = false;
            self.rebuild(shared)?;
        } else if error.status == Some(413)
            && self.prompt.inline > 0
            && self.delivery.room > 0
            && self.delivery.uploads()
            && self.connection.surface == Surface::Developer
        {
            tracing::warn!(error = error.log_summary(), "request too large; uploading its files");
            self.delivery.room = 0;
            self.prepare_media_again(shared).await?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Adds a possible cause to an error for which the request was not changed.
    pub(super) fn explain(&self, error: InvokeError) -> InvokeError {
        let messages = self.prompt.messages(&self.request.prompt_messages);
        let is_office = |part: &ContentPart| {
            let media_type = part.media().map(|media| media_type(part.type_name(), media, self.profile.office_files));
            media_type.is_some_and(|found| found.is_ok_and(|found| is_office(&found)))
        };
        let has_office = messages.iter().any(|message| match &message.content {
            Content::Parts(parts) => parts.iter().any(is_office),
            Content::Text(_) => false,
        });
        match error.status {
            Some(400) if has_office && error.hint.is_none() => error.with_hint(
                "The prompt has an Office file, which this service may not support. Convert it to PDF, or add Dify's Doc \
                 Extractor node before the LLM.",
            ),
            _ => error,
        }
    }
}

/// Whether a request was rejected because of its system instruction.
fn rejects_instructions(error: &InvokeError) -> bool {
    let message = error.message.to_ascii_lowercase();
    error.status == Some(400)
        && ["developer instruction", "system instruction"].iter().any(|name| message.contains(name))
        && ["not enabled", "not supported"].iter().any(|refusal| message.contains(refusal))
}

fn is_corrupted_signature(error: &InvokeError) -> bool {
    error.kind == ErrorKind::BadRequest && error.message.to_ascii_lowercase().contains("signature")
}
