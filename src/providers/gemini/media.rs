//! Media of a prompt before it is built: what Google reads itself is passed on, everything else becomes inline bytes,
//! or an uploaded file where it is too large for that.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Shared;
use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::request::mime_type;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, Credentials, MediaPart, PromptMessage};
use crate::providers::CallContext;
use crate::providers::common::download;

/// Raw bytes of all inline parts together; above it the API refuses the request.
pub(super) const MOST_INLINE: usize = 15 * 1024 * 1024;

/// Largest file that is fetched for an upload: it is held in memory.
const MOST_UPLOADED: usize = 100 * 1024 * 1024;

/// Documents that the API reads.
const OFFICE: &[&str] = &["doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "epub"];

/// Messages whose media the API can read.
pub(super) struct Prepared<'a> {
    pub messages: Cow<'a, [PromptMessage]>,
    /// Addresses of the files that were uploaded for them.
    pub uploaded: Vec<String>,
}

/// Fetches what the API cannot, and uploads what is too large to go inline.
pub(super) async fn prepare<'a>(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    messages: &'a [PromptMessage],
) -> Result<Prepared<'a>, InvokeError> {
    let media = |message: &PromptMessage| match &message.content {
        Content::Text(_) => false,
        Content::Parts(parts) => parts.iter().any(|part| part.media().is_some()),
    };
    if !messages.iter().any(media) {
        return Ok(Prepared { messages: Cow::Borrowed(messages), uploaded: Vec::new() });
    }
    let mut prepared = messages.to_vec();
    let mut inline = 0;
    for message in &mut prepared {
        let Content::Parts(parts) = &mut message.content else { continue };
        for part in parts {
            let Some((kind, media)) = media_of(part) else { continue };
            refuse_office(media)?;
            if media.base64_data.is_none() {
                fetch(context, connection, credentials, kind, media).await?;
            }
            inline += media.base64_data.as_ref().map_or(0, |data| data.len() / 4 * 3);
        }
    }
    let mut uploaded = Vec::new();
    if inline > MOST_INLINE {
        if connection.surface != Surface::Developer {
            return Err(InvokeError::bad_request(format!(
                "the files of this prompt are {inline} bytes together, at most {MOST_INLINE} go inline, and Vertex AI \
                 takes no uploads"
            ))
            .with_hint("Send smaller files, or addresses that Google reads itself (gs://)."));
        }
        uploaded = upload(shared, context, connection, credentials, &mut prepared, inline).await?;
    }
    Ok(Prepared { messages: Cow::Owned(prepared), uploaded })
}

/// Uploads the largest files until the rest goes inline; gives their addresses. A gateway without an upload gets
/// everything inline.
async fn upload(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    messages: &mut [PromptMessage],
    mut inline: usize,
) -> Result<Vec<String>, InvokeError> {
    let parts = messages.iter_mut().filter_map(|message| match &mut message.content {
        Content::Text(_) => None,
        Content::Parts(parts) => Some(parts),
    });
    let mut files: Vec<(&'static str, &mut MediaPart)> = parts.flatten().filter_map(media_of).collect();
    let mut uploaded = Vec::new();
    files.sort_by_key(|(_, media)| std::cmp::Reverse(media.base64_data.as_ref().map_or(0, String::len)));
    for (kind, media) in files {
        let Some(data) = media.base64_data.as_ref().filter(|_| inline > MOST_INLINE) else { break };
        let mime_type = mime_type(kind, media)?;
        let bytes: Bytes = STANDARD
            .decode(data)
            .map_err(|_| InvokeError::bad_request(format!("the data of a {kind} part is not base64")))?
            .into();
        let size = bytes.len();
        let owner = credentials.fingerprint();
        let Some(address) = shared.files.address(&context.upstream, connection, owner, &mime_type, bytes).await? else {
            break;
        };
        media.mime_type = mime_type;
        (media.url, media.base64_data) = (Some(address.clone()), None);
        inline = inline.saturating_sub(size);
        uploaded.push(address);
    }
    Ok(uploaded)
}

fn media_of(part: &mut ContentPart) -> Option<(&'static str, &mut MediaPart)> {
    match part {
        ContentPart::Image(media) => Some(("image", media)),
        ContentPart::Audio(media) => Some(("audio", media)),
        ContentPart::Video(media) => Some(("video", media)),
        ContentPart::Document(media) => Some(("document", media)),
        ContentPart::Text(_) => None,
    }
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
    let most = if connection.surface == Surface::Developer { MOST_UPLOADED } else { MOST_INLINE };
    let file =
        download::fetch(&context.upstream, connection.network(), credentials.get("file_url"), &url, most).await?;
    if !media.mime_type.contains('/') {
        media.mime_type = file.mime_type;
    }
    media.base64_data = Some(file.base64);
    media.url = None;
    Ok(())
}
