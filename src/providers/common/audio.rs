//! Detects audio formats by the first bytes, because upstreams rely on the file extension and media type.

use dify_plugin::error::InvokeError;

/// An audio format: file extension and media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// File extension without the dot (`mp3`).
    pub extension: &'static str,
    /// Media type (`audio/mpeg`).
    pub mime_type: &'static str,
}

const fn container(extension: &'static str, mime_type: &'static str) -> Container {
    Container { extension, mime_type }
}

/// Returns the format of an audio file, or `None` if it is unknown.
pub fn sniff(bytes: &[u8]) -> Option<Container> {
    let at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
    Some(match bytes {
        _ if at(0, b"RIFF") && at(8, b"WAVE") => container("wav", "audio/wav"),
        _ if at(0, b"fLaC") => container("flac", "audio/flac"),
        _ if at(0, b"OggS") => container("ogg", "audio/ogg"),
        _ if at(0, b"ID3") => container("mp3", "audio/mpeg"),
        _ if at(0, b"\x1A\x45\xDF\xA3") => container("webm", "audio/webm"),
        _ if at(4, b"ftypM4A") || at(4, b"ftypM4B") => container("m4a", "audio/mp4"),
        _ if at(4, b"ftyp") => container("mp4", "audio/mp4"),
        _ if at(0, b"#!AMR") => container("amr", "audio/amr"),
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => container("aiff", "audio/aiff"),
        // Frame headers without a tag before them: eleven sync bits, then layer bits (0: AAC, else MPEG audio).
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => container("aac", "audio/aac"),
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x06 != 0 => container("mp3", "audio/mpeg"),
        _ => return None,
    })
}

/// Returns the format of an audio file, or an error with the supported formats.
pub fn require(bytes: &[u8]) -> Result<Container, InvokeError> {
    if bytes.is_empty() {
        return Err(InvokeError::bad_request("the audio file is empty"));
    }
    sniff(bytes).ok_or_else(|| {
        InvokeError::bad_request(
            "unknown audio format (supported: wav, mp3, m4a, mp4, ogg, flac, webm, aac, amr, aiff)",
        )
        .with_hint("Convert the file to a supported format.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_audio_formats() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"RIFF\x00\x00\x00\x00WAVEfmt ", Some("wav")),
            (b"RIFF\x00\x00\x00\x00AVI ", None),
            (b"fLaC\x00", Some("flac")),
            (b"OggS\x00", Some("ogg")),
            (b"ID3\x04", Some("mp3")),
            (b"\xFF\xFB\x90\x00", Some("mp3")),
            (b"\xFF\xF3\x90\x00", Some("mp3")),
            (b"\xFF\xF1\x50\x80", Some("aac")),
            (b"\x1A\x45\xDF\xA3\x01", Some("webm")),
            (b"\x00\x00\x00\x20ftypM4A ", Some("m4a")),
            (b"\x00\x00\x00\x20ftypisom", Some("mp4")),
            (b"#!AMR\n", Some("amr")),
            (b"FORM\x00\x00\x00\x00AIFF", Some("aiff")),
            (b"hello", None),
            (b"\xFF", None),
            (b"", None),
        ];
        for (bytes, extension) in cases {
            assert_eq!(sniff(bytes).map(|container| container.extension), *extension, "{bytes:?}");
        }
        assert!(require(b"").unwrap_err().message.contains("empty"));
        assert!(require(b"%PDF-1.7").unwrap_err().message.contains("unknown audio format"));
    }
}
