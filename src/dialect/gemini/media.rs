//! Media that a model made → content parts of Dify; raw samples become a WAV file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::request::OPAQUE_KEY;
use super::wire::Blob;
use crate::dialect::sound::wav;
use crate::protocol::{ContentPart, MediaPart};

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
    let (kind, format) = mime_type.split_once('/').unwrap_or(("image", "png"));
    let kind = kind.to_owned();
    let media = MediaPart {
        format: format.to_owned(),
        mime_type: mime_type.clone(),
        base64_data: Some(data),
        detail: (kind == "image").then(|| "high".to_owned()),
        opaque_body: signature.map(|signature| json!({ OPAQUE_KEY: {"signature": signature} })),
        ..MediaPart::default()
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
    rate.and_then(|rate| rate.parse().ok()).unwrap_or(24_000)
}
