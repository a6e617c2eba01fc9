//! Media of a prompt before it is built: what Google reads itself is passed on, everything else becomes inline bytes,
//! or an uploaded file where it is too large for that. A public address that Google cannot read is fetched here.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Shared;
use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{self, media_type};
use crate::dialect::gemini::request::is_youtube;
use crate::error::InvokeError;
use crate::protocol::{Content, Credentials, MediaPart, PromptMessage};
use crate::providers::CallContext;
use crate::providers::common::download;

/// Raw bytes of all inline parts together; above it the API refuses the request.
pub(super) const MOST_INLINE: usize = 15 * 1024 * 1024;

/// Largest file that is fetched for an upload: it is held in memory.
const MOST_UPLOADED: usize = 100 * 1024 * 1024;

/// Base64 of either alphabet, padded or not, as the API reads it.
const BASE64: [GeneralPurpose; 2] = {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)]
};

/// How media come to the service. What it refused the first time goes another way the second time.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Whether public https addresses are passed on.
    pub links: bool,
    /// Bytes that may go inline; the rest is uploaded.
    pub room: usize,
}

impl Default for Way {
    fn default() -> Self {
        Self { links: true, room: MOST_INLINE }
    }
}

/// Messages whose media the API can read.
#[derive(Default)]
pub(super) struct Prepared {
    pub messages: Vec<PromptMessage>,
    /// Bytes that go inline.
    pub inline: usize,
    /// Addresses of the files that were uploaded.
    pub uploaded: Vec<String>,
    /// Whether the service is to fetch files of the public internet.
    pub linked: bool,
}

/// What media are prepared with.
pub(super) struct Media<'a> {
    pub shared: &'a Shared,
    pub context: &'a CallContext,
    pub connection: &'a Connection,
    pub credentials: &'a Credentials,
    pub way: Way,
}

impl Media<'_> {
    /// Fetches what the API cannot, and uploads what is too large to go inline.
    pub(super) async fn prepare(&self, messages: &[PromptMessage]) -> Result<Prepared, InvokeError> {
        let mut prepared = Prepared { messages: messages.to_vec(), ..Prepared::default() };
        for (kind, media) in media_of(&mut prepared.messages) {
            // What cannot be read is refused before anything is fetched or uploaded.
            if media_types::is_told(media) && !media.url.as_deref().is_some_and(is_youtube) {
                media_type(kind, media)?;
            }
            if media.base64_data.is_none() {
                prepared.linked |= self.resolve(kind, media).await?;
            }
            if let Some(data) = &media.base64_data {
                if !is_base64(data) {
                    return Err(not_base64(kind));
                }
                prepared.inline += data.len() / 4 * 3;
            }
        }
        if prepared.inline > self.way.room {
            if self.connection.surface != Surface::Developer {
                let inline = prepared.inline;
                return Err(InvokeError::bad_request(format!(
                    "the files of this prompt are {inline} bytes together, at most {MOST_INLINE} go inline, and \
                     Vertex AI takes no uploads"
                ))
                .with_hint("Send smaller files, or addresses that Google reads itself (gs://)."));
            }
            self.upload(&mut prepared).await?;
        }
        Ok(prepared)
    }

    /// Uploads the largest files until the rest goes inline. A gateway without an upload gets everything inline.
    async fn upload(&self, prepared: &mut Prepared) -> Result<(), InvokeError> {
        let mut files: Vec<_> = media_of(&mut prepared.messages).collect();
        files.sort_by_key(|(_, media)| std::cmp::Reverse(media.base64_data.as_ref().map_or(0, String::len)));
        for (kind, media) in files {
            let Some(data) = media.base64_data.as_ref().filter(|_| prepared.inline > self.way.room) else { break };
            let mime_type = media_type(kind, media)?;
            let bytes = BASE64.iter().find_map(|base64| base64.decode(data).ok()).ok_or_else(|| not_base64(kind))?;
            let size = bytes.len();
            let (files, upstream) = (&self.shared.files, &self.context.upstream);
            let owner = self.credentials.fingerprint();
            let Some(address) = files.address(upstream, self.connection, owner, &mime_type, bytes.into()).await? else {
                break;
            };
            media.mime_type = mime_type;
            (media.url, media.base64_data) = (Some(address.clone()), None);
            prepared.inline = prepared.inline.saturating_sub(size);
            prepared.uploaded.push(address);
        }
        Ok(())
    }

    /// Makes an address readable for the service; true when the service is to fetch a file of the public internet.
    async fn resolve(&self, kind: &str, media: &mut MediaPart) -> Result<bool, InvokeError> {
        let surface = self.connection.surface;
        let Some(url) = media.url.clone() else {
            return Err(InvokeError::bad_request(format!("this {kind} has neither data nor an address")));
        };
        if is_googles(&url) {
            // Vertex AI wants a type of everything; a film's page has none.
            if surface.is_vertex() && is_youtube(&url) {
                media.mime_type = "video/mp4".to_owned();
            }
            return Ok(false);
        }
        if let Some((mime_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            media.mime_type = mime_type.to_owned();
            (media.base64_data, media.url) = (Some(data.to_owned()), None);
            return Ok(false);
        }
        let file_host = self.credentials.get("file_url");
        if self.way.links
            && media_types::is_told(media)
            && download::is_elsewhere(&self.context.upstream, file_host, &url).await?
        {
            return Ok(true);
        }
        let most = if surface == Surface::Developer { MOST_UPLOADED } else { MOST_INLINE };
        let network = self.connection.network();
        let file = download::fetch(&self.context.upstream, network, file_host, &url, most).await?;
        if !media_types::is_told(media) {
            media.mime_type = file.mime_type;
        } else if file.mime_type == "text/html" && !media_type(kind, media)?.starts_with("text/") {
            return Err(InvokeError::bad_request(format!(
                "the address of this {kind} leads to a web page, not to a file"
            ))
            .with_hint("Its link may have ended or may want a login: attach the file anew."));
        }
        (media.base64_data, media.url) = (Some(file.base64), None);
        Ok(false)
    }
}

/// Whether a request was refused because the service could not read an address.
pub(super) fn is_unread_link(error: &InvokeError) -> bool {
    let said = error.message.to_ascii_lowercase();
    error.status == Some(400) && ["url", "uri", "fetch"].iter().any(|word| said.contains(word))
}

/// All media of messages with their kinds.
fn media_of(messages: &mut [PromptMessage]) -> impl Iterator<Item = (&'static str, &mut MediaPart)> {
    let parts = messages.iter_mut().filter_map(|message| match &mut message.content {
        Content::Text(_) => None,
        Content::Parts(parts) => Some(parts),
    });
    parts.flatten().filter_map(|part| Some((part.type_name(), part.media_mut()?)))
}

/// Addresses that Google reads with rights of its own: YouTube, Cloud Storage, its own files.
fn is_googles(url: &str) -> bool {
    is_youtube(url) || url.starts_with("gs://") || url.starts_with("https://generativelanguage.googleapis.com/")
}

/// Whether text can be base64, without decoding megabytes that go on as they are.
fn is_base64(data: &str) -> bool {
    let letters = data.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    data.len() - letters.len() <= 2 && letters.len() % 4 != 1 && letters.bytes().all(legal)
}

fn not_base64(kind: &str) -> InvokeError {
    InvokeError::bad_request(format!("the data of this {kind} is not base64"))
}
