//! Media that a model made → content parts of Dify; raw samples become a WAV file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::request::OPAQUE_KEY;
use super::wire::Blob;
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

fn sample_rate(mime_type: &str) -> u32 {
    let rate = mime_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("rate="));
    rate.and_then(|rate| rate.parse().ok()).unwrap_or(24_000)
}

/// A WAV file of 16-bit mono samples.
pub fn wav(samples: &[u8], rate: u32) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    for field in [1u16, 1] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    for field in [2u16, 16] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}
