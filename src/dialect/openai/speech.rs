//! Speech bodies in both directions: text to sound, and a recording to text.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::InvokeError;

/// Body of `POST /audio/speech`.
#[derive(Debug, Serialize)]
pub struct SpeechBody<'a> {
    /// Model on the wire.
    pub model: &'a str,
    /// What is spoken.
    pub input: &'a str,
    /// Who speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<&'a str>,
    /// `mp3`, `wav`, `opus`, `flac`, `pcm`, `aac`.
    pub response_format: &'a str,
    /// Speed; 1 is normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Whether the sound is sent while it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// More members.
    #[serde(flatten)]
    pub extra: &'a Map<String, Value>,
}

/// Media type of a format.
pub fn mime_type(format: &str) -> Option<&'static str> {
    Some(match format {
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "opus" | "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "pcm" => "audio/pcm",
        "mp4" | "m4a" => "audio/mp4",
        _ => return None,
    })
}

/// Text fields of `POST /audio/transcriptions` and `/audio/translations`; only what is set is sent.
pub fn transcription_fields(model: &str, language: Option<&str>, prompt: Option<&str>) -> Vec<(&'static str, String)> {
    let mut fields = vec![("model", model.to_owned()), ("response_format", "json".to_owned())];
    fields.extend(language.map(|language| ("language", language.to_owned())));
    fields.extend(prompt.map(|prompt| ("prompt", prompt.to_owned())));
    fields
}

/// The text of a transcription: `{"text"}`, or the plain text that some servers answer.
pub fn transcript(body: &[u8], content_type: &str) -> Result<String, InvokeError> {
    #[derive(Deserialize)]
    struct Transcript {
        text: Option<String>,
    }
    match serde_json::from_slice::<Transcript>(body) {
        Ok(Transcript { text: Some(text) }) => Ok(text.trim().to_owned()),
        Err(_) if content_type == "text/plain" => Ok(String::from_utf8_lossy(body).trim().to_owned()),
        _ => Err(InvokeError::server_unavailable(format!(
            "the upstream's answer ({content_type}) holds no text: {}",
            crate::upstream::status::excerpt(body)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcripts_are_read() {
        let cases = [
            (r#"{"text":" Hello "}"#, "application/json", Some("Hello")),
            (r#"{"text":"","segments":[]}"#, "application/json", Some("")),
            ("Hello\n", "text/plain", Some("Hello")),
            ("<html></html>", "text/html", None),
            (r#"{"error":"x"}"#, "application/json", None),
        ];
        for (body, content_type, expected) in cases {
            assert_eq!(transcript(body.as_bytes(), content_type).ok().as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn only_set_fields_are_sent() {
        assert_eq!(transcription_fields("m", None, None).len(), 2);
        assert_eq!(transcription_fields("m", Some("de"), Some("p")).len(), 4);
    }
}
