//! Prepares the media of a prompt: URLs that Google can read are passed on, and everything else is sent inline, or
//! uploaded if it is too large. A public URL that Google cannot read is downloaded by the plugin.

use std::io;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::STANDARD as STANDARD_BASE64;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use url::Url;

use super::Shared;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{self, media_type};
use crate::dialect::gemini::request::{OPAQUE_KEY, is_youtube};
use crate::dialect::gemini::thought_signatures::of_content;
use crate::providers::common::download::{self, Room};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{Content, ContentPart, Credentials, MediaPart, PromptMessage, Role};
use dify_plugin_gemini::connection::Connection;

/// Maximum bytes of a request, above which the API rejects it. Files are contained as Base64.
const MAX_REQUEST_BYTES: usize = 20 * 1024 * 1024;

/// Maximum bytes of inline files, in a request without text and before Base64 encoding.
pub(super) const MAX_INLINE_BYTES: usize = MAX_REQUEST_BYTES / 4 * 3;

/// Maximum bytes of all files of a prompt that are held in memory.
const MAX_BUFFERED_BYTES: usize = 100 * 1024 * 1024;

/// Bytes of a request in addition to its files and texts, and of each of its parts.
const OVERHEAD_BYTES: (usize, usize) = (16 * 1024, 256);

/// Base64 with either alphabet, padded or not, as the API accepts it.
const BASE64: [GeneralPurpose; 2] = {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)]
};

/// How media are delivered to the service. If it rejects one method, another is used for the retry.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    /// Whether public https URLs are passed on.
    pub links: bool,
    /// Maximum bytes of a request; files that do not fit are uploaded.
    pub room: usize,
    /// Bytes of the request in addition to its messages.
    pub beside: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { links: true, room: MAX_REQUEST_BYTES, beside: 0 }
    }
}

impl Delivery {
    /// Sends every file inline, whatever its size.
    pub(super) fn inline(self) -> Self {
        Self { room: usize::MAX, ..self }
    }

    /// Whether files may be uploaded.
    pub(super) fn uploads(self) -> bool {
        self.room < usize::MAX
    }
}

/// Messages whose media the API can read.
#[derive(Default)]
pub(super) struct Prepared {
    pub messages: Vec<PromptMessage>,
    /// Whether the messages are unchanged; they are then stored in the request only.
    is_unchanged: bool,
    /// Bytes of inline data, in Base64.
    pub inline: usize,
    /// URIs of the uploaded files.
    pub uploaded: Vec<String>,
    /// Whether the service has to fetch files from the internet.
    pub linked: bool,
}

impl Prepared {
    /// Drops the copy of messages that are the same as those of the request.
    pub(super) fn without_copy(mut self, original: &[PromptMessage]) -> Self {
        self.is_unchanged = self.messages == original;
        if self.is_unchanged {
            self.messages = Vec::new();
        }
        self
    }

    /// Returns the messages, given those of the request.
    pub(super) fn messages<'a>(&'a self, original: &'a [PromptMessage]) -> &'a [PromptMessage] {
        if self.is_unchanged { original } else { &self.messages }
    }
}

/// Context for preparing media.
pub(super) struct Media<'a> {
    pub shared: &'a Shared,
    pub context: &'a CallContext,
    pub connection: &'a Connection,
    pub credentials: &'a Credentials,
    pub delivery: Delivery,
    /// Whether the model supports Office files.
    pub office_files: bool,
}

impl Media<'_> {
    /// Downloads what the API cannot read, and uploads what is too large to be sent inline. An unreadable file of an
    /// earlier message is dropped, because Dify sends it again with every message and the conversation must continue.
    pub(super) async fn prepare(&self, messages: &[PromptMessage]) -> Result<Prepared, InvokeError> {
        let mut prepared = Prepared { messages: messages.to_vec(), ..Prepared::default() };
        let current = messages.iter().rposition(|message| message.role == Role::User).unwrap_or(0);
        let mut room = Room::of(MAX_BUFFERED_BYTES);
        // Newest messages first, so that their files take precedence over those of earlier messages.
        for (index, message) in prepared.messages.iter_mut().enumerate().rev() {
            let is_earlier = index < current && message.role != Role::System;
            let Content::Parts(parts) = &mut message.content else { continue };
            for part in parts {
                let kind = part.type_name();
                let Some(media) = part.media_mut() else { continue };
                match self.make_readable(kind, media, &mut room).await {
                    Ok(linked) => {
                        prepared.linked |= linked;
                        prepared.inline += media.base64_data.as_ref().map_or(0, String::len);
                        if message.role == Role::Assistant {
                            self.sign(media);
                        }
                    }
                    Err(error) if is_earlier && error.kind == ErrorKind::BadRequest => drop_file(part, kind, &error),
                    Err(error) => return Err(error),
                }
            }
        }
        let room = self.delivery.room.saturating_sub(self.delivery.beside + size(&prepared.messages));
        if prepared.inline > room && self.delivery.uploads() {
            if self.connection.surface == Surface::Developer {
                self.upload(&mut prepared, room).await?;
            } else {
                drop_earlier_files(&mut prepared, current, room);
                if prepared.inline > room {
                    return Err(too_much(prepared.inline));
                }
            }
        }
        Ok(prepared)
    }

    /// Makes a file readable for the service; returns true if the service has to fetch it from the internet.
    async fn make_readable(&self, kind: &str, media: &mut MediaPart, room: &mut Room) -> Result<bool, InvokeError> {
        // Unsupported files are rejected before anything is downloaded or uploaded.
        if media_types::is_reported(media) && !media.url.as_deref().is_some_and(is_youtube) {
            media_type(kind, media, self.office_files)?;
        }
        let mut linked = false;
        match &media.base64_data {
            Some(data) => room.take(data.len() / 4 * 3)?,
            None => linked = self.resolve(kind, media, room).await?,
        }
        if let Some(data) = &media.base64_data {
            if data.is_empty() {
                return Err(InvokeError::bad_request(format!("this {kind} is empty")));
            }
            if !is_base64(data) {
                return Err(not_base64(kind));
            }
            // The content may show a different type.
            media_type(kind, media, self.office_files)?;
        }
        Ok(linked)
    }

    /// Restores the remembered signature of an image that the model generated.
    fn sign(&self, media: &mut MediaPart) {
        let signature = || self.shared.signatures.find(of_content(media.base64_data.as_deref()?));
        if media.opaque_body.is_none()
            && let Some(signature) = signature()
        {
            media.opaque_body = Some(json!({ OPAQUE_KEY: {"signature": signature} }));
        }
    }

    /// Uploads the largest files until the rest fits inline. Through a gateway without uploads, everything is sent
    /// inline.
    async fn upload(&self, prepared: &mut Prepared, room: usize) -> Result<(), InvokeError> {
        let mut files: Vec<_> = media_of(&mut prepared.messages).collect();
        files.sort_by_key(|(_, media)| std::cmp::Reverse(media.base64_data.as_ref().map_or(0, String::len)));
        for (kind, media) in files {
            if prepared.inline <= room {
                break;
            }
            let mime_type = media_type(kind, media, self.office_files)?;
            // Dropped before the upload, which holds the decoded data.
            let Some(data) = media.base64_data.take() else { break };
            let bytes = BASE64.iter().find_map(|base64| base64.decode(&data).ok()).ok_or_else(|| not_base64(kind))?;
            let (size, bytes) = (data.len(), Bytes::from(bytes));
            drop(data);
            let (files, upstream) = (&self.shared.files, &self.context.upstream);
            let owner = self.credentials.fingerprint();
            let Some(address) = files.uri(upstream, self.connection, owner, &mime_type, bytes.clone()).await? else {
                media.base64_data = Some(STANDARD_BASE64.encode(&bytes));
                break;
            };
            media.mime_type = mime_type;
            media.url = Some(address.clone());
            prepared.inline = prepared.inline.saturating_sub(size);
            prepared.uploaded.push(address);
        }
        Ok(())
    }

    /// Makes a URL readable for the service; returns true if the service has to fetch the file from the internet.
    async fn resolve(&self, kind: &str, media: &mut MediaPart, room: &mut Room) -> Result<bool, InvokeError> {
        let surface = self.connection.surface;
        let Some(url) = media.url.clone() else {
            return Err(InvokeError::bad_request(format!("this {kind} has neither data nor a URL")));
        };
        if is_youtube(&url) {
            // Vertex AI requires a type for every file; the page of a video has none.
            if surface.is_vertex() {
                media.mime_type = "video/mp4".to_owned();
            }
            return Ok(false);
        }
        if is_google_storage(&url) {
            return self.check_allowed(&url).map(|()| false);
        }
        if let Some((mime_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            room.take(data.len() / 4 * 3)?;
            media.mime_type = mime_type.to_owned();
            (media.base64_data, media.url) = (Some(data.to_owned()), None);
            return Ok(false);
        }
        let file_host = self.credentials.get("file_url");
        if self.delivery.links
            && media_types::is_reported(media)
            && download::is_elsewhere(&self.context.upstream, file_host, &url).await?
        {
            return Ok(true);
        }
        let network = self.connection.network();
        // Without uploads, no more is downloaded than can be sent.
        let (mut little, room) = (Room::of(MAX_INLINE_BYTES), room);
        let limited = surface != Surface::Developer;
        let fetched = if limited { &mut little } else { &mut *room };
        let file = download::fetch(&self.context.upstream, network, file_host, &url, fetched).await?;
        if limited {
            room.take(file.base64.len() / 4 * 3)?;
        }
        if !media_types::is_reported(media) {
            media.mime_type = file.mime_type;
        } else if file.mime_type == "text/html" && !media_type(kind, media, self.office_files)?.starts_with("text/") {
            return Err(InvokeError::bad_request(format!(
                "the URL of this {kind} points to a web page, not to a file"
            ))
            .with_hint("The link may have expired or may require a login; attach the file again."));
        }
        (media.base64_data, media.url) = (Some(file.base64), None);
        Ok(false)
    }

    /// Google reads these URLs with the permissions of the credentials, which the users of an app do not have. The
    /// credential form therefore lists the buckets that they may read.
    fn check_allowed(&self, url: &str) -> Result<(), InvokeError> {
        const FIELD: &str = "google_file_buckets";
        let allowed = self.credentials.get(FIELD).unwrap_or_default();
        let bucket = url.strip_prefix("gs://").and_then(|rest| rest.split('/').next());
        let mut names = allowed.split([',', '，', ' ', '\n']).map(|name| name.trim().trim_start_matches("gs://"));
        if names.any(|name| name == "*" || (!name.is_empty() && Some(name.trim_end_matches('/')) == bucket)) {
            return Ok(());
        }
        let what =
            bucket.map_or_else(|| "files of the Files API".to_owned(), |bucket| format!("files of gs://{bucket}"));
        Err(InvokeError::bad_request(format!(
            "{what} are read with the rights of these credentials, which do not allow it"
        ))
        .with_hint(format!("Credential `{FIELD}` lists the buckets that prompts may read.")))
    }
}

/// Replaces a dropped file with a note.
fn drop_file(part: &mut ContentPart, kind: &str, error: &InvokeError) {
    tracing::warn!(error = error.log_summary(), "cannot read a file of an earlier message; dropping it");
    let name = part.media().and_then(|media| media.filename.clone()).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"));
    *part = ContentPart::text(format!("[{name}: left out, it cannot be read]"));
}

/// Drops files of earlier messages, the oldest first, until the rest fits.
fn drop_earlier_files(prepared: &mut Prepared, current: usize, room: usize) {
    let earlier = prepared.messages.iter_mut().take(current).filter(|message| message.role != Role::System);
    let parts = earlier.filter_map(|message| match &mut message.content {
        Content::Text(_) => None,
        Content::Parts(parts) => Some(parts),
    });
    for part in parts.flatten() {
        if prepared.inline <= room {
            return;
        }
        let kind = part.type_name();
        let Some(size) = part.media().and_then(|media| media.base64_data.as_ref()).map(String::len) else { continue };
        drop_file(part, kind, &too_much(prepared.inline));
        prepared.inline -= size;
    }
}

fn too_much(inline: usize) -> InvokeError {
    InvokeError::bad_request(format!(
        "the files in this prompt total {} bytes; at most {MAX_INLINE_BYTES} bytes can be sent inline (fewer with a long \
         text), and Vertex AI does not support uploads",
        inline / 4 * 3
    ))
    .with_hint("Send smaller files, or URLs that Google can read itself (gs://).")
}

/// Returns an upper estimate of the bytes of messages in a request, without their files.
fn size(messages: &[PromptMessage]) -> usize {
    let of_message = |message: &PromptMessage| {
        let texts = match &message.content {
            Content::Text(text) => json_length(text),
            Content::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    ContentPart::Text(text) => OVERHEAD_BYTES.1 + json_length(&text.data),
                    media => {
                        OVERHEAD_BYTES.1 + json_length(&media.media().map(|media| (&media.opaque_body, &media.url)))
                    }
                })
                .sum(),
        };
        let calls = message
            .tool_calls
            .iter()
            .map(|call| OVERHEAD_BYTES.1 + json_length(&call.function.arguments))
            .sum::<usize>();
        OVERHEAD_BYTES.1 + texts + calls + json_length(&message.opaque_body)
    };
    OVERHEAD_BYTES.0 + messages.iter().map(of_message).sum::<usize>()
}

/// Returns the length of a value as JSON, in bytes.
pub(super) fn json_length<T: Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Serializing JSON values cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Whether a request was rejected because the service could not read a URL.
pub(super) fn is_unread_link(error: &InvokeError) -> bool {
    let message = error.message.to_ascii_lowercase();
    error.status == Some(400) && ["url", "uri", "fetch"].iter().any(|word| message.contains(word))
}

/// Returns all media of messages with their types.
fn media_of(messages: &mut [PromptMessage]) -> impl Iterator<Item = (&'static str, &mut MediaPart)> {
    let parts = messages.iter_mut().filter_map(|message| match &mut message.content {
        Content::Text(_) => None,
        Content::Parts(parts) => Some(parts),
    });
    parts.flatten().filter_map(|part| Some((part.type_name(), part.media_mut()?)))
}

/// Whether Google reads a URL with the permissions of the credentials: Cloud Storage, and files of the Files API.
fn is_google_storage(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "gs" || url.host_str() == Some("generativelanguage.googleapis.com"))
}

/// Whether a text may be Base64, without decoding megabytes that are passed on unchanged.
fn is_base64(data: &str) -> bool {
    let letters = data.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    data.len() - letters.len() <= 2 && letters.len() % 4 != 1 && letters.bytes().all(legal)
}

fn not_base64(kind: &str) -> InvokeError {
    InvokeError::bad_request(format!("the data of this {kind} is not valid Base64"))
}
