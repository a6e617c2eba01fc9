//! Media that a model made → content parts of Dify; raw samples become a WAV file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::request::OPAQUE_KEY;
use super::wire::{Blob, FileData};
use crate::dialect::file_type::by_bytes;
use crate::dialect::wav::wav;
use dify_plugin::protocol::{ContentPart, MediaPart};

/// Inline bytes as Dify shows them; raw PCM becomes a WAV file.
pub(super) fn media(blob: Blob, signature: Option<&str>) -> ContentPart {
    let mut mime_type = blob.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut data = blob.data;
    if mime_type.starts_with("audio/l16")
        && let Ok(samples) = STANDARD.decode(&data)
    {
        data = STANDARD.encode(wav(&samples, sample_rate(&blob.mime_type)));
        mime_type = "audio/wav".to_owned();
    }
    // Google labels some of its pictures with a type that they do not have.
    if (mime_type.is_empty() || mime_type.starts_with("image/"))
        && let Some(found) = by_bytes(&data)
    {
        found.clone_into(&mut mime_type);
    }
    part(mime_type, MediaPart { base64_data: Some(data), ..MediaPart::default() }, signature)
}

/// What stands at an address, as Dify shows it.
pub(super) fn linked(file: &FileData, signature: Option<&str>) -> ContentPart {
    let mime_type = file.mime_type.as_deref().unwrap_or("application/octet-stream").to_ascii_lowercase();
    part(mime_type, MediaPart { url: Some(file.file_uri.clone()), ..MediaPart::default() }, signature)
}

fn part(mime_type: String, media: MediaPart, signature: Option<&str>) -> ContentPart {
    // What has no type is most likely a picture.
    let mime_type = if mime_type.contains('/') { mime_type } else { "image/png".to_owned() };
    let (kind, format) = mime_type.split_once('/').unwrap_or_default();
    let (kind, format) = (kind.to_owned(), format.to_owned());
    let media = MediaPart {
        format,
        mime_type,
        detail: (kind == "image").then(|| "high".to_owned()),
        opaque_body: signature.map(|signature| json!({ OPAQUE_KEY: {"signature": signature} })),
        ..media
    };
    match kind.as_str() {
        "image" => ContentPart::Image(media),
        "audio" => ContentPart::Audio(media),
        "video" => ContentPart::Video(media),
        _ => ContentPart::Document(media),
    }
}

/// Samples a second, as the media type tells.
pub(super) fn sample_rate(mime_type: &str) -> u32 {
    let rate = mime_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate="));
    let rate = rate.and_then(|rate| rate.parse().ok());
    rate.filter(|rate| (1000..=384_000).contains(rate)).unwrap_or(24_000)
}
