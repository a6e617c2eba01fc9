//! Media of a prompt before it is built: what Google reads itself is passed on, everything else becomes inline bytes.

use std::borrow::Cow;

use super::connection::Connection;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, Credentials, MediaPart, PromptMessage};
use crate::providers::CallContext;
use crate::providers::common::download;

/// Raw bytes of all inline parts together; above it the API refuses the request.
pub(super) const MOST_INLINE: usize = 15 * 1024 * 1024;

/// Documents that the API reads.
const OFFICE: &[&str] = &["doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "epub"];

/// Fetches what the API cannot.
pub(super) async fn prepare<'a>(
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    messages: &'a [PromptMessage],
) -> Result<Cow<'a, [PromptMessage]>, InvokeError> {
    let media = |message: &PromptMessage| match &message.content {
        Content::Text(_) => false,
        Content::Parts(parts) => parts.iter().any(|part| part.media().is_some()),
    };
    if !messages.iter().any(media) {
        return Ok(Cow::Borrowed(messages));
    }
    let mut prepared = messages.to_vec();
    let mut inline = 0;
    for message in &mut prepared {
        let Content::Parts(parts) = &mut message.content else { continue };
        for part in parts {
            let kind = part.type_name();
            let (ContentPart::Image(media)
            | ContentPart::Audio(media)
            | ContentPart::Video(media)
            | ContentPart::Document(media)) = part
            else {
                continue;
            };
            refuse_office(media)?;
            if media.base64_data.is_none() {
                fetch(context, connection, credentials, kind, media).await?;
            }
            inline += media.base64_data.as_ref().map_or(0, |data| data.len() / 4 * 3);
        }
    }
    if inline > MOST_INLINE {
        return Err(InvokeError::bad_request(format!(
            "the files of this prompt are {inline} bytes together, at most {MOST_INLINE} go inline"
        ))
        .with_hint("Send smaller files, or addresses that Google reads itself."));
    }
    Ok(Cow::Owned(prepared))
}

fn refuse_office(media: &MediaPart) -> Result<(), InvokeError> {
    let format = media.format.trim_start_matches('.').to_ascii_lowercase();
    let mime = media.mime_type.to_ascii_lowercase();
    let office = OFFICE.contains(&format.as_str())
        || ["officedocument", "msword", "ms-excel", "ms-powerpoint", "opendocument"]
            .iter()
            .any(|word| mime.contains(word));
    if !office {
        return Ok(());
    }
    let name = media.filename.as_deref().unwrap_or("the document");
    Err(InvokeError::bad_request(format!(
        "Gemini does not read {name} ({}{mime})",
        if mime.is_empty() { &format } else { "" }
    ))
    .with_hint("Convert it to PDF or text, or put Dify's document extractor in front."))
}

/// Addresses that Google reads: YouTube, Cloud Storage, its own files.
fn is_googles(url: &str) -> bool {
    const PREFIXES: [&str; 5] = [
        "gs://",
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://youtu.be/",
        "https://generativelanguage.googleapis.com/",
    ];
    PREFIXES.iter().any(|prefix| url.starts_with(prefix))
}

async fn fetch(
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    kind: &str,
    media: &mut MediaPart,
) -> Result<(), InvokeError> {
    let Some(url) = media.url.clone() else {
        return Err(InvokeError::bad_request(format!("a {kind} part has neither data nor an address")));
    };
    if is_googles(&url) {
        return Ok(());
    }
    if let Some((mime_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        media.mime_type = mime_type.to_owned();
        media.base64_data = Some(data.to_owned());
        media.url = None;
        return Ok(());
    }
    let file = download::fetch(&context.upstream, connection.network(), credentials.get("file_url"), &url, MOST_INLINE)
        .await?;
    if !media.mime_type.contains('/') {
        media.mime_type = file.mime_type;
    }
    media.base64_data = Some(file.base64);
    media.url = None;
    Ok(())
}
