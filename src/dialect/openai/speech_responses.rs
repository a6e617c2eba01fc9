//! Speech responses: audio, and transcriptions.

mod form;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::MapAccess;
use serde_json::Value;

pub use self::form::{SpeechForm, TranscriptFormat, TranscriptionForm};
use super::errors;
use super::members::{Members, Object};
use super::wire::Text;
use dify_plugin::codec::json;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::status;

/// Returns the media type of an audio format.
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

/// Parses the text of a transcription: `{"text"}`, segments with texts, or plain text, which some servers return.
pub fn transcript(body: &[u8], content_type: &str) -> Result<String, InvokeError> {
    #[derive(Default)]
    struct Transcript<'a> {
        text: Text<'a>,
        segments: Text<'a>,
    }
    impl<'de> Members<'de> for Transcript<'de> {
        fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
            match name {
                "text" => self.text = map.next_value()?,
                "segments" | "transcription" => self.segments = map.next_value()?,
                _ => return Ok(false),
            }
            Ok(true)
        }
    }
    let text = String::from_utf8_lossy(body);
    let transcript = match serde_json::from_str::<Object<Transcript<'_>>>(&text) {
        Ok(Object(Some(Transcript { text, segments }))) => text.0.or(segments.0).map(|text| text.trim().to_owned()),
        _ if content_type == "text/plain" => Some(text.trim().to_owned()),
        _ => None,
    };
    transcript.ok_or_else(|| {
        errors::reported_error(&String::from_utf8_lossy(body)).unwrap_or_else(|| {
            InvokeError::server_unavailable(format!(
                "the response ({content_type}) contains no text: {}",
                status::excerpt(body)
            ))
        })
    })
}

/// Number of bytes at the start of a response that decide whether it is audio.
pub const BEGINNING: usize = 512;

/// Whether a response with this start is text instead of audio: JSON, HTML or plain text, whatever its media type is.
pub fn is_text(beginning: &[u8], content_type: &str) -> bool {
    let text = |bytes: &[u8]| {
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // The last character is incomplete.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return false,
        };
        !whole.is_empty() && whole.chars().all(|character| !character.is_control() || character.is_whitespace())
    };
    let is_textual =
        content_type.starts_with("text/") || content_type.ends_with("json") || content_type.ends_with("xml");
    let begins = beginning.trim_ascii_start();
    let marked = match begins.first() {
        Some(b'{') => begins[1..].trim_ascii_start().first().is_none_or(|byte| matches!(byte, b'"' | b'}')),
        Some(b'<') => ["<!", "<?", "<html", "<head", "<body", "<title"]
            .iter()
            .any(|tag| begins.get(..tag.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(tag.as_bytes()))),
        _ => false,
    };
    (is_textual || marked) && text(&beginning[..beginning.len().min(BEGINNING)])
}

/// Returns the audio of a JSON response (Base64), or the error that it contains.
pub fn audio_in_json(body: &[u8]) -> Result<Vec<u8>, InvokeError> {
    let text = String::from_utf8_lossy(body);
    let value: Value = match json::read(&text) {
        Ok(value) => value,
        Err(_) => return Err(errors::error_in_plain_text(&text)),
    };
    const PLACES: [&str; 6] =
        ["/audio/data", "/audio", "/output/audio/data", "/data/audio", "/data", "/choices/0/message/audio/data"];
    let base64 = PLACES.iter().find_map(|place| value.pointer(place)?.as_str()).filter(|text| !text.is_empty());
    if let Some(text) = base64.filter(|_| value.get("error").is_none_or(Value::is_null)) {
        let data = text.split_once(";base64,").map_or(text, |(_, data)| data);
        if let Ok(audio) = STANDARD.decode(data.trim()) {
            return Ok(audio);
        }
    }
    const URLS: [&str; 5] = ["/audioUrl", "/audio_url", "/audio/url", "/output/audio/url", "/url"];
    if URLS
        .iter()
        .any(|place| value.pointer(place).is_some_and(|url| url.as_str().is_some_and(|text| !text.is_empty())))
    {
        return Err(InvokeError::server_unavailable("the server returned the URL of the audio instead of the audio")
            .with_hint("Use an endpoint that returns audio, as OpenAI's `audio/speech` does."));
    }
    Err(errors::reported_error(&text).unwrap_or_else(|| {
        InvokeError::server_unavailable(format!("the server returned JSON without audio: {}", status::excerpt(body)))
    }))
}

/// Removes the keep-alive comments that Xinference inserts into streamed audio, wherever the stream is split.
#[derive(Debug, Default)]
pub struct Pings {
    held: Vec<u8>,
}

impl Pings {
    /// Adds bytes and returns those that are certainly audio.
    pub fn push(&mut self, bytes: Bytes) -> Bytes {
        const PING: &[u8] = b": ping - ";
        const MAX_PING_BYTES: usize = 64;
        if self.held.is_empty() && memchr::memchr(PING[0], &bytes).is_none() {
            return bytes;
        }
        let mut whole = std::mem::take(&mut self.held);
        whole.extend_from_slice(&bytes);
        let (mut audio, mut rest) = (Vec::with_capacity(whole.len()), whole.as_slice());
        while let Some(at) = memchr::memmem::find(rest, PING) {
            let ping = &rest[at..];
            match memchr::memmem::find(&ping[..ping.len().min(MAX_PING_BYTES)], b"\r\n\r\n") {
                Some(length) => {
                    audio.extend_from_slice(&rest[..at]);
                    rest = &ping[length + 4..];
                }
                // The rest of the comment may follow.
                None if ping.len() < MAX_PING_BYTES => {
                    audio.extend_from_slice(&rest[..at]);
                    self.held = ping.to_vec();
                    return audio.into();
                }
                None => {
                    audio.extend_from_slice(&rest[..at + 1]);
                    rest = &rest[at + 1..];
                }
            }
        }
        let begun = (1..PING.len()).rev().find(|length| rest.ends_with(&PING[..*length])).unwrap_or(0);
        let (certain, begun) = rest.split_at(rest.len() - begun);
        audio.extend_from_slice(certain);
        self.held = begun.to_vec();
        audio.into()
    }

    /// Returns the buffered bytes at the end of the audio, which are not a comment.
    pub fn finish(self) -> Bytes {
        self.held.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_transcripts() {
        let cases = [
            (r#"{"text":" Hello "}"#, "application/json", Some("Hello")),
            (r#"{"text":"","segments":[]}"#, "application/json", Some("")),
            ("Hello\n", "text/plain", Some("Hello")),
            ("<html></html>", "text/html", None),
            (r#"{"error":"x"}"#, "application/json", None),
            (r#"{"segments":[{"text":" Hello"},{"text":" there"}]}"#, "application/json", Some("Hello there")),
            (r#"{"text":null,"transcription":[{"text":"Hello"}],"language":7}"#, "application/json", Some("Hello")),
            ("42", "text/plain", Some("42")),
            ("null", "text/plain", Some("null")),
        ];
        for (body, content_type, expected) in cases {
            assert_eq!(transcript(body.as_bytes(), content_type).ok().as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn detects_text_instead_of_audio() {
        for (beginning, content_type, expected) in [
            (&b"{\"error\":1}"[..], "audio/mpeg", true),
            (b" <!DOCTYPE html>", "", true),
            (b"<HTML lang=en>", "audio/mpeg", true),
            (b"{\n \"detail\": 1}", "application/octet-stream", true),
            (b"[1]", "application/json", true),
            (b"<voice>", "audio/mpeg", false),
            (b"[1]", "application/octet-stream", false),
            (b"speaker not found", "text/plain", true),
            (b"{\"a\":\"\xc3", "", true),
            (b"{\x00\x01\xff", "audio/pcm", false),
            (b"<\x00\x01", "", false),
            (b"ID3\x04", "text/plain", false),
            (b"ID3 plain", "audio/mpeg", false),
            (b"RIFF", "", false),
            (b"", "text/plain", false),
        ] {
            assert_eq!(is_text(beginning, content_type), expected, "{beginning:?} {content_type}");
        }
    }

    #[test]
    fn extracts_audio_and_errors_from_json() {
        for body in [
            r#"{"audio":"SUQz"}"#,
            r#"{"audio":{"data":"data:audio/mpeg;base64,SUQz"},"error":null}"#,
            r#"{"output":{"audio":{"data":"SUQz","url":""}}}"#,
        ] {
            assert_eq!(audio_in_json(body.as_bytes()).unwrap(), b"ID3", "{body}");
        }
        for (body, words) in [
            (r#"{"error":{"message":"no such speaker"}}"#, "no such speaker"),
            (r#"{"detail":"no such speaker"}"#, "no such speaker"),
            (r#"{"audioUrl":"http://x/a.mp3"}"#, "URL of the audio"),
            (r#"{"audio":"no base64!"}"#, "without audio"),
            ("{}", "without audio"),
            ("no such speaker", "the server returned: no such speaker"),
            ("<html><title>UI</title></html>", "\"UI\""),
        ] {
            let error = audio_in_json(body.as_bytes()).unwrap_err();
            assert!(error.message.contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn removes_pings_from_audio_at_any_split() {
        let ping = &b": ping - 2026-11-20 21:50:55.583968+00:00\r\n\r\n"[..];
        let long = [b": ping - ".as_slice(), &[b'x'; 100], b"\r\n\r\n"].concat();
        for (whole, expected) in [
            (b"ab".to_vec(), b"ab".to_vec()),
            (ping.to_vec(), vec![]),
            ([b"ab", ping, b"cd"].concat(), b"abcd".to_vec()),
            ([b"ab", ping, ping, b": pi"].concat(), b"ab: pi".to_vec()),
            (b"a: ping - b".to_vec(), b"a: ping - b".to_vec()),
            (long.clone(), long),
        ] {
            for size in 1..=whole.len() {
                let mut pings = Pings::default();
                let mut audio = Vec::new();
                for piece in whole.chunks(size) {
                    audio.extend_from_slice(&pings.push(Bytes::copy_from_slice(piece)));
                }
                audio.extend_from_slice(&pings.finish());
                assert_eq!(audio, expected, "{size}");
            }
        }
    }
}
