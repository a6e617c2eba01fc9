//! `POST /v1/audio/speech` and `POST /v1/audio/transcriptions`: requests and forms of responses. The parts of a form are read by
//! `http_io`.

use dify_plugin::bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::read::required;

/// Formats of audio that clients request. Dify has no parameter for them: the model decides.
const FORMATS: [&str; 6] = ["mp3", "opus", "aac", "flac", "wav", "pcm"];

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SpeechRequest {
    pub model: Option<String>,
    input: Option<String>,
    voice: Option<Voice>,
    response_format: Option<String>,
    stream_format: Option<String>,
}

/// A name, or an object with an ID.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Voice {
    Name(String),
    Custom { id: String },
}

impl SpeechRequest {
    /// The text and the voice, which may come from the settings.
    pub fn into_call(self, default_voice: Option<&str>) -> Result<(String, String), ApiError> {
        let text = required(self.input.filter(|text| !text.trim().is_empty()), "input")?;
        if let Some(format) = self.response_format.filter(|format| !FORMATS.contains(&format.as_str())) {
            let message = format!("`response_format`: `{format}` is not one of {}.", FORMATS.join(", "));
            return Err(ApiError::invalid(message).with_param("response_format"));
        }
        if self.stream_format.is_some_and(|format| format != "audio") {
            return Err(ApiError::unsupported("stream_format", "Only the format `audio` is supported for streams."));
        }
        let voice = self.voice.map(|(Voice::Name(voice) | Voice::Custom { id: voice })| voice);
        let voice = voice.filter(|voice| !voice.is_empty()).or_else(|| default_voice.map(str::to_owned));
        Ok((text, required(voice, "voice")?))
    }
}

/// The media type of audio: as Dify reports it, or by its first bytes.
pub fn media_type(reported: Option<&str>, start: &[u8]) -> String {
    if let Some(reported) = reported.filter(|reported| reported.contains('/')) {
        return reported.to_owned();
    }
    let found = match start {
        [b'R', b'I', b'F', b'F', ..] => "audio/wav",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'I', b'D', b'3', ..] => "audio/mpeg",
        [0xff, second, ..] if second & 0xf6 == 0xf0 => "audio/aac",
        [0xff, second, ..] if second & 0xe0 == 0xe0 => "audio/mpeg",
        _ => "application/octet-stream",
    };
    found.to_owned()
}

/// The fields of a transcription's form.
#[derive(Debug, Default)]
pub struct TranscriptionForm {
    pub model: Option<String>,
    pub file: Option<Bytes>,
    pub response_format: Option<String>,
    pub language: Option<String>,
}

/// How a transcription is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscriptionFormat {
    Json,
    /// The default of LiteLLM. Dify reports no times, so that it has no segments; the language is that of the request.
    Verbose {
        language: Option<String>,
    },
    Text,
}

impl TranscriptionForm {
    pub fn into_call(self) -> Result<(Bytes, TranscriptionFormat), ApiError> {
        let file = required(self.file.filter(|file| !file.is_empty()), "file")?;
        let format = match self.response_format.as_deref() {
            None | Some("json") => TranscriptionFormat::Json,
            Some("verbose_json") => TranscriptionFormat::Verbose { language: self.language },
            Some("text") => TranscriptionFormat::Text,
            Some(other) => {
                let message = format!(
                    "`response_format`: `{other}` is not supported, because Dify reports no times: use `json`, `verbose_json` or `text`."
                );
                return Err(ApiError::unsupported("response_format", message));
            }
        };
        Ok((file, format))
    }
}

impl TranscriptionFormat {
    /// The response as JSON, or as the text alone.
    pub fn write(self, text: String) -> Result<Value, String> {
        match self {
            Self::Json => Ok(json!({"text": text})),
            Self::Verbose { language } => Ok(
                json!({"task": "transcribe", "language": language.unwrap_or_default(), "text": text, "segments": []}),
            ),
            Self::Text => Err(text + "\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_that_of_the_audio() {
        for (reported, start, expected) in [
            (Some("audio/opus"), &b"RIFF"[..], "audio/opus"),
            (Some(""), b"RIFF....WAVE", "audio/wav"),
            (None, b"ID3\x04", "audio/mpeg"),
            (None, b"\xff\xfb\x90", "audio/mpeg"),
            (None, b"\xff\xf1\x50", "audio/aac"),
            (None, b"OggS", "audio/ogg"),
            (None, b"fLaC", "audio/flac"),
            (None, b"", "application/octet-stream"),
        ] {
            assert_eq!(media_type(reported, start), expected, "{start:?}");
        }
    }

    #[test]
    fn a_voice_is_needed_from_somewhere() {
        for (body, default, expected) in [
            (json!({"input": "Hi", "voice": "alloy"}), Some("other"), Ok("alloy")),
            (json!({"input": "Hi", "voice": {"id": "v1"}}), None, Ok("v1")),
            (json!({"input": "Hi"}), Some("other"), Ok("other")),
            (json!({"input": "Hi"}), None, Err("voice")),
            (json!({"voice": "alloy"}), None, Err("input")),
            (json!({"input": "Hi", "voice": "a", "response_format": "x"}), None, Err("response_format")),
            (json!({"input": "Hi", "voice": "a", "stream_format": "sse"}), None, Err("stream_format")),
        ] {
            let request: SpeechRequest = crate::read::json(body.to_string().as_bytes()).unwrap();
            match (request.into_call(default), expected) {
                (Ok((_, voice)), Ok(expected)) => assert_eq!(voice, expected),
                (Err(error), Err(param)) => assert_eq!(error.param.as_deref(), Some(param)),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }
}
