//! Media of a prompt before it is built: what Google reads itself is passed on, everything else becomes inline bytes,
//! or an uploaded file where it is too large for that. A public address that Google cannot read is fetched here.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Shared;
use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{self, media_type};
use crate::dialect::gemini::request::is_youtube;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, Credentials, MediaPart, PromptMessage};
use crate::providers::CallContext;
use crate::providers::common::download;

/// Raw bytes of all inline parts together; above it the API refuses the request.
pub(super) const MOST_INLINE: usize = 15 * 1024 * 1024;

/// Largest file that is fetched for an upload: it is held in memory.
const MOST_UPLOADED: usize = 100 * 1024 * 1024;

/// Messages whose media the API can read.
pub(super) struct Prepared<'a> {
    pub messages: Cow<'a, [PromptMessage]>,
    /// Addresses of the files that were uploaded for them.
    pub uploaded: Vec<String>,
    /// Whether the service is to fetch files of the public internet.
    pub linked: bool,
}

/// Fetches what the API cannot, and uploads what is too large to go inline.
pub(super) async fn prepare<'a>(
    shared: &Shared,
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    messages: &'a [PromptMessage],
    links: Links,
) -> Result<Prepared<'a>, InvokeError> {
    let media = |message: &PromptMessage| match &message.content {
        Content::Text(_) => false,
        Content::Parts(parts) => parts.iter().any(|part| part.media().is_some()),
    };
    if !messages.iter().any(media) {
        return Ok(Prepared { messages: Cow::Borrowed(messages), uploaded: Vec::new(), linked: false });
    }
    let mut prepared = messages.to_vec();
    let (mut inline, mut linked) = (0, false);
    for message in &mut prepared {
        let Content::Parts(parts) = &mut message.content else { continue };
        for part in parts {
            let Some((kind, media)) = media_of(part) else { continue };
            // What cannot be read is refused before anything is fetched or uploaded.
            if media_types::is_told(media) && !media.url.as_deref().is_some_and(is_youtube) {
                media_type(kind, media)?;
            }
            if media.base64_data.is_none() {
                linked |= resolve(context, connection, credentials, links, kind, media).await?;
            }
            if let Some(data) = &media.base64_data {
                if !is_base64(data) {
                    return Err(InvokeError::bad_request(format!("the data of this {kind} is not base64")));
                }
                inline += data.len() / 4 * 3;
            }
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
    Ok(Prepared { messages: Cow::Owned(prepared), uploaded, linked })
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
        let mime_type = media_type(kind, media)?;
        let bytes: Bytes = STANDARD
            .decode(data)
            .map_err(|_| InvokeError::bad_request(format!("the data of this {kind} is not base64")))?
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

/// Whether text can be base64 as the API reads it: of either alphabet, padded or not.
fn is_base64(data: &str) -> bool {
    let letters = data.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    data.len() - letters.len() <= 2 && letters.len() % 4 != 1 && letters.bytes().all(legal)
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

/// Addresses that Google reads with rights of its own: YouTube, Cloud Storage, its own files.
fn is_googles(url: &str) -> bool {
    is_youtube(url) || url.starts_with("gs://") || url.starts_with("https://generativelanguage.googleapis.com/")
}

/// How files behind addresses come to the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Public https addresses are passed on.
    PassedOn,
    /// The service could not read one: all files are fetched here.
    Fetched,
}

/// Whether a request was refused because the service could not read an address.
pub(super) fn is_unread_link(error: &InvokeError) -> bool {
    let said = error.message.to_ascii_lowercase();
    error.status == Some(400) && ["url", "uri", "fetch"].iter().any(|word| said.contains(word))
}

/// Makes an address readable for the service; true when the service is to fetch a file of the public internet.
async fn resolve(
    context: &CallContext,
    connection: &Connection,
    credentials: &Credentials,
    links: Links,
    kind: &str,
    media: &mut MediaPart,
) -> Result<bool, InvokeError> {
    let Some(url) = media.url.clone() else {
        return Err(InvokeError::bad_request(format!("this {kind} has neither data nor an address")));
    };
    if is_googles(&url) {
        // Vertex AI wants a type of everything; a film's page has none.
        if connection.surface.is_vertex() && is_youtube(&url) {
            media.mime_type = "video/mp4".to_owned();
        }
        return Ok(false);
    }
    if let Some((mime_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        media.mime_type = mime_type.to_owned();
        media.base64_data = Some(data.to_owned());
        media.url = None;
        return Ok(false);
    }
    let file_host = credentials.get("file_url");
    if links == Links::PassedOn && media_types::is_told(media) && download::is_elsewhere(file_host, &url).await? {
        return Ok(true);
    }
    let most = if connection.surface == Surface::Developer { MOST_UPLOADED } else { MOST_INLINE };
    let file = download::fetch(&context.upstream, connection.network(), file_host, &url, most).await?;
    if !media_types::is_told(media) {
        media.mime_type = file.mime_type;
    } else if file.mime_type == "text/html" && !media_type(kind, media)?.starts_with("text/") {
        return Err(InvokeError::bad_request(format!("the address of this {kind} leads to a web page, not to a file"))
            .with_hint("Its link may have ended or may want a login: attach the file anew."));
    }
    media.base64_data = Some(file.base64);
    media.url = None;
    Ok(false)
}
