//! Media of a prompt before it is built: what Google reads itself is passed on, everything else becomes inline bytes,
//! or an uploaded file where it is too large for that. A public address that Google cannot read is fetched here.

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
use super::connection::Connection;
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::media_types::{self, media_type};
use crate::dialect::gemini::request::{OPAQUE_KEY, is_youtube};
use crate::dialect::gemini::thought_signatures::of_content;
use crate::providers::common::download::{self, Room};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{Content, ContentPart, Credentials, MediaPart, PromptMessage, Role};

/// Bytes of a whole request; above it the API refuses it. Files are in it in base64.
const MAX_REQUEST_BYTES: usize = 20 * 1024 * 1024;

/// Bytes of files that go inline at most: without any text, and before base64.
pub(super) const MAX_INLINE_BYTES: usize = MAX_REQUEST_BYTES / 4 * 3;

/// Bytes of all files of a prompt that are held in memory.
const MAX_BUFFERED_BYTES: usize = 100 * 1024 * 1024;

/// Bytes of a request that stand beside its files and texts, and of each part of it.
const FRAME: (usize, usize) = (16 * 1024, 256);

/// Base64 of either alphabet, padded or not, as the API reads it.
const BASE64: [GeneralPurpose; 2] = {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [GeneralPurpose::new(&STANDARD, config), GeneralPurpose::new(&URL_SAFE, config)]
};

/// How media come to the service. What it refused the first time goes another way the second time.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    /// Whether public https addresses are passed on.
    pub links: bool,
    /// Bytes that a request may have; files beyond it are uploaded.
    pub room: usize,
    /// Bytes of the request beside its messages.
    pub beside: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { links: true, room: MAX_REQUEST_BYTES, beside: 0 }
    }
}

impl Delivery {
    /// Every file goes with the request, however large.
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
    /// Whether they are those of the request, which are then kept there alone.
    is_as_asked: bool,
    /// Bytes that go inline, in base64.
    pub inline: usize,
    /// Addresses of the files that were uploaded.
    pub uploaded: Vec<String>,
    /// Whether the service is to fetch files of the public internet.
    pub linked: bool,
}

impl Prepared {
    /// Keeps nothing twice: messages in which nothing was changed are those of the request.
    pub(super) fn beside(mut self, asked: &[PromptMessage]) -> Self {
        self.is_as_asked = self.messages == asked;
        if self.is_as_asked {
            self.messages = Vec::new();
        }
        self
    }

    /// The messages, of a prompt that is kept beside its request.
    pub(super) fn messages<'a>(&'a self, asked: &'a [PromptMessage]) -> &'a [PromptMessage] {
        if self.is_as_asked { asked } else { &self.messages }
    }
}

/// What media are prepared with.
pub(super) struct Media<'a> {
    pub shared: &'a Shared,
    pub context: &'a CallContext,
    pub connection: &'a Connection,
    pub credentials: &'a Credentials,
    pub way: Delivery,
    /// Whether the model reads Office files.
    pub office_files: bool,
}

impl Media<'_> {
    /// Fetches what the API cannot, and uploads what is too large to go inline. A file of an earlier message that cannot
    /// be read is left out: hosts send it again with every message, and the conversation must go on.
    pub(super) async fn prepare(&self, messages: &[PromptMessage]) -> Result<Prepared, InvokeError> {
        let mut prepared = Prepared { messages: messages.to_vec(), ..Prepared::default() };
        let current = messages.iter().rposition(|message| message.role == Role::User).unwrap_or(0);
        let mut room = Room::of(MAX_BUFFERED_BYTES);
        // The newest first: what is asked about has room before what was said long ago.
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
                    Err(error) if is_earlier && error.kind == ErrorKind::BadRequest => leave_out(part, kind, &error),
                    Err(error) => return Err(error),
                }
            }
        }
        let room = self.way.room.saturating_sub(self.way.beside + size(&prepared.messages));
        if prepared.inline > room && self.way.uploads() {
            if self.connection.surface == Surface::Developer {
                self.upload(&mut prepared, room).await?;
            } else {
                leave_out_earlier(&mut prepared, current, room);
                if prepared.inline > room {
                    return Err(too_much(prepared.inline));
                }
            }
        }
        Ok(prepared)
    }

    /// Makes one file readable for the service; true when the service is to fetch it from the public internet.
    async fn make_readable(&self, kind: &str, media: &mut MediaPart, room: &mut Room) -> Result<bool, InvokeError> {
        // What cannot be read is refused before anything is fetched or uploaded.
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
            // Its bytes may tell another type.
            media_type(kind, media, self.office_files)?;
        }
        Ok(linked)
    }

    /// Gives a picture of the model back the signature that this process knows for it.
    fn sign(&self, media: &mut MediaPart) {
        let signature = || self.shared.signatures.find(of_content(media.base64_data.as_deref()?));
        if media.opaque_body.is_none()
            && let Some(signature) = signature()
        {
            media.opaque_body = Some(json!({ OPAQUE_KEY: {"signature": signature} }));
        }
    }

    /// Uploads the largest files until the rest goes inline. A gateway without an upload gets everything inline.
    async fn upload(&self, prepared: &mut Prepared, room: usize) -> Result<(), InvokeError> {
        let mut files: Vec<_> = media_of(&mut prepared.messages).collect();
        files.sort_by_key(|(_, media)| std::cmp::Reverse(media.base64_data.as_ref().map_or(0, String::len)));
        for (kind, media) in files {
            if prepared.inline <= room {
                break;
            }
            let mime_type = media_type(kind, media, self.office_files)?;
            // Let go before the upload, which holds the bytes.
            let Some(data) = media.base64_data.take() else { break };
            let bytes = BASE64.iter().find_map(|base64| base64.decode(&data).ok()).ok_or_else(|| not_base64(kind))?;
            let (size, bytes) = (data.len(), Bytes::from(bytes));
            drop(data);
            let (files, upstream) = (&self.shared.files, &self.context.upstream);
            let owner = self.credentials.fingerprint();
            let Some(address) = files.address(upstream, self.connection, owner, &mime_type, bytes.clone()).await?
            else {
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

    /// Makes an address readable for the service; true when the service is to fetch a file of the public internet.
    async fn resolve(&self, kind: &str, media: &mut MediaPart, room: &mut Room) -> Result<bool, InvokeError> {
        let surface = self.connection.surface;
        let Some(url) = media.url.clone() else {
            return Err(InvokeError::bad_request(format!("this {kind} has neither data nor an address")));
        };
        if is_youtube(&url) {
            // Vertex AI wants a type of everything; a film's page has none.
            if surface.is_vertex() {
                media.mime_type = "video/mp4".to_owned();
            }
            return Ok(false);
        }
        if is_googles(&url) {
            return self.check_allowed(&url).map(|()| false);
        }
        if let Some((mime_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            room.take(data.len() / 4 * 3)?;
            media.mime_type = mime_type.to_owned();
            (media.base64_data, media.url) = (Some(data.to_owned()), None);
            return Ok(false);
        }
        let file_host = self.credentials.get("file_url");
        if self.way.links
            && media_types::is_reported(media)
            && download::is_elsewhere(&self.context.upstream, file_host, &url).await?
        {
            return Ok(true);
        }
        let network = self.connection.network();
        // Where nothing can be uploaded, no more is fetched than can be sent.
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
                "the address of this {kind} leads to a web page, not to a file"
            ))
            .with_hint("Its link may have ended or may want a login: attach the file anew."));
        }
        (media.base64_data, media.url) = (Some(file.base64), None);
        Ok(false)
    }

    /// Google reads these addresses with the rights of the credentials, which an app's users do not have: whoever fills in
    /// the form names the buckets that they may read.
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
        .with_hint(format!("Credential `{FIELD}` names the buckets that prompts may read.")))
    }
}

/// Says in a part's place that it is left out.
fn leave_out(part: &mut ContentPart, kind: &str, error: &InvokeError) {
    tracing::warn!(error = error.brief(), "a file of an earlier message cannot be read; it is left out");
    let name = part.media().and_then(|media| media.filename.clone()).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"));
    *part = ContentPart::text(format!("[{name}: left out, it cannot be read]"));
}

/// Leaves out files of earlier messages, the oldest first, until the rest fits.
fn leave_out_earlier(prepared: &mut Prepared, current: usize, room: usize) {
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
        leave_out(part, kind, &too_much(prepared.inline));
        prepared.inline -= size;
    }
}

fn too_much(inline: usize) -> InvokeError {
    InvokeError::bad_request(format!(
        "the files of this prompt are {} bytes together, at most {MAX_INLINE_BYTES} go inline, fewer beside a long text, and \
         Vertex AI takes no uploads",
        inline / 4 * 3
    ))
    .with_hint("Send smaller files, or addresses that Google reads itself (gs://).")
}

/// Bytes of messages in a request beside their files, rather too many than too few.
fn size(messages: &[PromptMessage]) -> usize {
    let of_message = |message: &PromptMessage| {
        let texts = match &message.content {
            Content::Text(text) => written(text),
            Content::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    ContentPart::Text(text) => FRAME.1 + written(&text.data),
                    media => FRAME.1 + written(&media.media().map(|media| (&media.opaque_body, &media.url))),
                })
                .sum(),
        };
        let calls = message.tool_calls.iter().map(|call| FRAME.1 + written(&call.function.arguments)).sum::<usize>();
        FRAME.1 + texts + calls + written(&message.opaque_body)
    };
    FRAME.0 + messages.iter().map(of_message).sum::<usize>()
}

/// Bytes of a value as JSON.
pub(super) fn written<T: Serialize>(value: &T) -> usize {
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
    // What is written here was made from JSON: it cannot fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
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

/// Addresses that Google reads with the rights of the credentials: Cloud Storage, and the files of its Files API.
fn is_googles(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "gs" || url.host_str() == Some("generativelanguage.googleapis.com"))
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
