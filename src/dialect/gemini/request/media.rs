//! Converts the media of messages to parts: inline data, or a URL that the service reads.

use serde_json::Value;

use super::{OPAQUE_KEY, plugin_text};
use crate::dialect::gemini::media_types::media_type;
use crate::dialect::gemini::wire::{Blob, Content, FileData, Part};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Content as MessageContent, ContentPart, MediaPart, PromptMessage};

/// Converts everything in a message, in order; texts are passed through `clean` first. `office`: see [`media_type`].
fn parts(content: &MessageContent, office: bool, clean: impl Fn(&str) -> String) -> Result<Vec<Part>, InvokeError> {
    let mut found = Vec::new();
    let texts = |text: &str| Some(clean(text)).filter(|text| !text.is_empty()).map(Part::text);
    match content {
        MessageContent::Text(text) => found.extend(texts(text)),
        MessageContent::Parts(parts) => {
            for part in parts {
                match part {
                    ContentPart::Text(text) => found.extend(texts(&text.data)),
                    media => found.extend(media_part(media, office)?),
                }
            }
        }
    }
    Ok(found)
}

/// Converts a user message.
pub(super) fn sent_parts(content: &MessageContent, office: bool) -> Result<Vec<Part>, InvokeError> {
    parts(content, office, str::to_owned)
}

/// Converts a model message, without the text that the plugin added to it.
pub(super) fn own_parts(content: &MessageContent, office: bool) -> Result<Vec<Part>, InvokeError> {
    parts(content, office, |text| {
        let own = plugin_text::strip(text);
        if own.trim().is_empty() { String::new() } else { own.into_owned() }
    })
}

/// Converts only the media of a message.
pub(super) fn media_of(message: &PromptMessage, office: bool) -> Result<Vec<Part>, InvokeError> {
    let MessageContent::Parts(parts) = &message.content else { return Ok(Vec::new()) };
    parts.iter().filter_map(|part| media_part(part, office).transpose()).collect()
}

/// Converts a media part: inline data, or a URL that Google can read.
fn media_part(part: &ContentPart, office: bool) -> Result<Option<Part>, InvokeError> {
    let Some(media) = part.media() else { return Ok(None) };
    let mut found = Part::default();
    match (&media.base64_data, &media.url) {
        (Some(data), _) => {
            found.inline_data =
                Some(Blob { mime_type: media_type(part.type_name(), media, office)?, data: data.clone() });
        }
        (None, Some(url)) => {
            found.file_data =
                Some(FileData { mime_type: type_at(part.type_name(), media, url, office)?, file_uri: url.clone() });
        }
        (None, None) => {
            return Err(InvokeError::bad_request(format!("this {} has neither data nor a URL", part.type_name())));
        }
    }
    if let Some(Value::Object(opaque)) = &media.opaque_body {
        found.thought_signature = opaque.get(OPAQUE_KEY).and_then(|own| own["signature"].as_str()).map(str::to_owned);
        found.video_metadata = opaque.get("videoMetadata").cloned();
    }
    Ok(Some(found))
}

/// Returns the type of a linked file. A YouTube URL is always a video, whatever type was detected for its page.
fn type_at(kind: &str, media: &MediaPart, url: &str, office: bool) -> Result<Option<String>, InvokeError> {
    if is_youtube(url) {
        return Ok(Some(media.mime_type.clone()).filter(|mime_type| mime_type.starts_with("video/")));
    }
    media_type(kind, media, office).map(Some)
}

/// Whether a URL is that of a YouTube video.
pub fn is_youtube(url: &str) -> bool {
    const PREFIXES: [&str; 4] =
        ["https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/"];
    PREFIXES.iter().any(|prefix| url.starts_with(prefix))
}

/// Sets the clip of videos, linked or inline, that have none.
pub(super) fn clip_videos(contents: &mut [Content], clip: &Value) {
    for part in contents.iter_mut().flat_map(|content| &mut content.parts) {
        let mime_type = part.inline_data.as_ref().map(|blob| blob.mime_type.as_str());
        let of_file = part.file_data.as_ref().map(|file| (file.mime_type.as_deref(), file.file_uri.as_str()));
        let video = match (mime_type, of_file) {
            (Some(mime), _) | (None, Some((Some(mime), _))) => mime.starts_with("video/"),
            (None, Some((None, uri))) => is_youtube(uri),
            (None, None) => false,
        };
        if video {
            part.video_metadata.get_or_insert_with(|| clip.clone());
        }
    }
}
