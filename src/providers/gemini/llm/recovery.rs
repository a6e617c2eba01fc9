//! What a request is changed to after a refusal for something of ours: signatures, caches, uploaded files, addresses of
//! files, fields that a server in front of Google does not know. Whether the same is sent again is `upstream::retry`'s.

use super::Call;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{is_office, media_type};
use crate::providers::gemini::{Shared, caching, files, media};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::{Content, ContentPart};

impl Call {
    /// Changes a request that was refused for something of ours that the service no longer takes, for each reason once;
    /// false when there is nothing of that.
    pub(super) async fn recover(&mut self, shared: &Shared, error: &InvokeError) -> Result<bool, InvokeError> {
        let (owner, connection) = (self.owner(), &self.connection);
        let keep = |field| shared.refusals.keep(owner, connection, &self.request.target.model, field);
        if self.extras.take_out(error, &mut self.body, keep) {
            return Ok(true);
        }
        if is_corrupted_signature(error) && !self.distrust_signatures {
            tracing::warn!("the server refused a thought signature; sent once more without signatures");
            self.distrust_signatures = true;
            self.rebuild(shared)?;
        } else if self.asks_beta && error.status == Some(404) {
            tracing::warn!(error = error.brief(), "the server has no beta version; sent once more to the stable one");
            self.asks_beta = false;
        } else if let Some(cache) = self.cache.take_if(|_| caching::is_gone(error)) {
            tracing::warn!(error = error.brief(), "the service lost a cache; the prompt goes whole");
            cache.forget().await;
            self.rebuild(shared)?;
        } else if files::is_gone(error) && !self.prompt.uploaded.is_empty() && !self.uploaded_again {
            tracing::warn!(error = error.brief(), "the service refuses an uploaded file; uploaded once more");
            self.uploaded_again = true;
            shared.files.forget(self.owner(), &self.prompt.uploaded);
            self.prepare_again(shared).await?;
        } else if self.prompt.linked && media::is_unread_link(error) {
            tracing::warn!(error = error.brief(), "the service cannot read the address of a file; it is fetched here");
            self.way.links = false;
            self.prepare_again(shared).await?;
        } else if self.profile.system_instruction && refuses_instructions(error) {
            tracing::warn!(
                error = error.brief(),
                "the model takes no system instruction; its text goes with the user's"
            );
            self.profile.system_instruction = false;
            self.rebuild(shared)?;
        } else if error.status == Some(413)
            && self.prompt.inline > 0
            && self.way.room > 0
            && self.way.uploads()
            && self.connection.surface == Surface::Developer
        {
            tracing::warn!(error = error.brief(), "the request is too large; its files are uploaded");
            self.way.room = 0;
            self.prepare_again(shared).await?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Says what may be behind a refusal that nothing was changed for.
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
                "The prompt has an Office file, which this service may not read: convert it to PDF, or add Dify's Doc \
                 Extractor node before the LLM.",
            ),
            _ => error,
        }
    }
}

/// Whether a request was refused for its system instruction.
fn refuses_instructions(error: &InvokeError) -> bool {
    let said = error.message.to_ascii_lowercase();
    error.status == Some(400)
        && ["developer instruction", "system instruction"].iter().any(|name| said.contains(name))
        && ["not enabled", "not supported"].iter().any(|refusal| said.contains(refusal))
}

fn is_corrupted_signature(error: &InvokeError) -> bool {
    error.kind == ErrorKind::BadRequest && error.message.to_ascii_lowercase().contains("signature")
}
