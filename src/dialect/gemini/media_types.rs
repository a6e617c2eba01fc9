//! Media types of files: what Gemini reads and under which name, and what it does not.
//!
//! Source: Gemini API, "Image understanding", "Document understanding", "File input methods".

use crate::error::InvokeError;
use crate::protocol::MediaPart;

/// Pictures that some model reads; which ones is the service's to say.
const PICTURES: &[&str] = &["png", "jpeg", "webp", "heic", "heif", "bmp", "gif", "tiff"];

/// Documents beside `text/…` that are read as what they are.
const DOCUMENTS: &[&str] = &["pdf", "json", "xml", "rtf", "x-javascript", "x-typescript", "x-python-code"];

/// Text under names that the API does not know.
const TEXTS: &[&str] = &[
    "javascript",
    "typescript",
    "x-python",
    "yaml",
    "x-yaml",
    "toml",
    "sql",
    "x-sql",
    "x-sh",
    "x-httpd-php",
    "x-tex",
    "x-latex",
    "graphql",
    "x-ndjson",
    "jsonl",
    "x-subrip",
];

/// Other names of a type.
const ALIASES: &[(&str, &str)] = &[
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/x-aiff", "audio/aiff"),
    ("audio/x-flac", "audio/flac"),
    ("audio/x-aac", "audio/aac"),
    ("audio/x-m4a", "audio/m4a"),
    ("application/x-pdf", "application/pdf"),
    ("text/x-markdown", "text/markdown"),
];

/// Endings of files whose type is not their name.
const ENDINGS: &[(&str, &str)] = &[
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("markdown", "text/markdown"),
    ("mdx", "text/markdown"),
    ("htm", "text/html"),
    ("pdf", "application/pdf"),
    ("rtf", "application/rtf"),
    ("json", "application/json"),
    ("js", "application/x-javascript"),
    ("ts", "application/x-typescript"),
    ("py", "application/x-python-code"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mpga", "audio/mpeg"),
    ("tif", "image/tiff"),
    ("svg", "image/svg+xml"),
];

/// Office files; their endings and what their types contain.
const OFFICE: &[&str] = &["doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "epub"];
const OFFICE_WORDS: &[&str] = &["officedocument", "msword", "ms-excel", "ms-powerpoint", "opendocument", "epub"];

/// Archives, programs and the like.
const PACKED: &[&str] = &["zip", "gz", "tar", "rar", "7z", "exe", "dll", "bin", "iso", "dmg", "apk", "jar"];

/// Whether a part says what it is.
pub fn is_told(media: &MediaPart) -> bool {
    !said(media).is_empty() || !ending(media).is_empty()
}

/// The media type of a part by the name that the API knows. What the API does not read is an error that names it.
/// `kind` is Dify's: `image`, `audio`, `video`, `document`.
pub fn media_type(kind: &str, media: &MediaPart) -> Result<String, InvokeError> {
    let (said, ending) = (said(media), ending(media));
    let found = match (said.as_str(), ending.as_str()) {
        ("", "") => {
            return Err(InvokeError::bad_request(format!("this {kind} says neither its media type nor its format")));
        }
        ("", ending) => of_ending(kind, ending),
        (said, _) => said.to_owned(),
    };
    let found = ALIASES.iter().find(|(alias, _)| *alias == found).map_or(found, |(_, name)| (*name).to_owned());
    let (family, name) = found.split_once('/').unwrap_or((found.as_str(), ""));
    let fits = match kind {
        "image" => family == "image",
        // Some containers of sound are declared as films.
        "audio" => matches!(family, "audio" | "video"),
        "video" => family == "video",
        _ => true,
    };
    let of_office =
        OFFICE.contains(&ending.as_str()) && family != "text" || OFFICE_WORDS.iter().any(|word| found.contains(word));
    match (family, name) {
        _ if of_office || !fits => Err(unreadable(kind, media, &found, of_office)),
        ("audio" | "video" | "text", _) => Ok(found),
        ("image", name) if PICTURES.contains(&name) => Ok(found),
        ("application", name) if DOCUMENTS.contains(&name) => Ok(found),
        ("application", name) if TEXTS.contains(&name) || name.ends_with("+xml") || name.ends_with("+json") => {
            Ok("text/plain".to_owned())
        }
        _ => Err(unreadable(kind, media, &found, false)),
    }
}

/// The declared type without its parameters; what only says that it is bytes says nothing.
fn said(media: &MediaPart) -> String {
    let said = media.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if said.contains('/') && said != "application/octet-stream" { said } else { String::new() }
}

/// The ending of the file, from its format or its name.
fn ending(media: &MediaPart) -> String {
    let format = media.format.trim().trim_start_matches('.');
    let name = media.filename.as_deref().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    if format.is_empty() { name } else { format }.to_ascii_lowercase()
}

fn of_ending(kind: &str, ending: &str) -> String {
    match (ENDINGS.iter().find(|(known, _)| *known == ending), kind) {
        (Some((_, found)), _) => (*found).to_owned(),
        (None, "document") if PACKED.contains(&ending) || OFFICE.contains(&ending) => format!("application/{ending}"),
        (None, "document") => format!("text/{ending}"),
        (None, kind) => format!("{kind}/{ending}"),
    }
}

fn unreadable(kind: &str, media: &MediaPart, found: &str, office: bool) -> InvokeError {
    let name = media.filename.as_deref().map_or_else(|| format!("this {kind}"), |name| format!("the {kind} `{name}`"));
    let hint = match kind {
        _ if office => "Convert it to PDF or text, or put Dify's document extractor in front.",
        "image" => "Send it as PNG, JPEG, WebP, HEIC or HEIF.",
        "audio" => "Send it as WAV, MP3, AIFF, AAC, OGG or FLAC.",
        "video" => "Send it as MP4, MPEG, MOV, AVI, WebM, WMV or 3GPP.",
        _ => "Send PDF or text, or put Dify's document extractor in front.",
    };
    InvokeError::bad_request(format!("Gemini does not read {name}: its type is `{found}`")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, mime_type: &str, format: &str) -> Result<String, InvokeError> {
        let media = MediaPart { mime_type: mime_type.into(), format: format.into(), ..MediaPart::default() };
        media_type(kind, &media)
    }

    #[test]
    fn types_are_sent_as_the_api_knows_them() {
        for (kind, mime_type, format, expected) in [
            ("image", "image/png", "png", "image/png"),
            ("image", "image/JPG", "", "image/jpeg"),
            ("image", "", "jpg", "image/jpeg"),
            ("image", "application/octet-stream", ".PNG", "image/png"),
            ("audio", "", "mp3", "audio/mpeg"),
            ("audio", "audio/x-wav", "wav", "audio/wav"),
            ("audio", "video/webm", "webm", "video/webm"),
            ("video", "", "mp4", "video/mp4"),
            ("video", "", "mov", "video/quicktime"),
            ("document", "", "pdf", "application/pdf"),
            ("document", "text/plain; charset=utf-8", "txt", "text/plain"),
            ("document", "text/markdown", "md", "text/markdown"),
            ("document", "", "md", "text/markdown"),
            ("document", "", "csv", "text/csv"),
            ("document", "application/x-yaml", "yaml", "text/plain"),
            ("document", "application/atom+xml", "", "text/plain"),
            ("document", "application/json", "json", "application/json"),
            ("document", "text/plain", "doc", "text/plain"),
            ("document", "image/png", "png", "image/png"),
        ] {
            assert_eq!(check(kind, mime_type, format).unwrap(), expected, "{kind} {mime_type} {format}");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (kind, mime_type, format, said, hint) in [
            ("document", "", "docx", "`application/docx`", "extractor"),
            (
                "document",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "",
                "wordprocessing",
                "extractor",
            ),
            ("document", "application/zip", "zip", "`application/zip`", "PDF"),
            ("document", "", "exe", "`application/exe`", "PDF"),
            ("image", "image/vnd.adobe.photoshop", "psd", "photoshop", "PNG"),
            ("image", "", "svg", "`image/svg+xml`", "PNG"),
            ("image", "text/html", "png", "`text/html`", "PNG"),
            ("video", "image/png", "mp4", "`image/png`", "MP4"),
            ("audio", "application/pdf", "", "`application/pdf`", "WAV"),
            ("image", "", "", "neither its media type", ""),
            ("document", "application/octet-stream", "", "neither its media type", ""),
        ] {
            let error = check(kind, mime_type, format).unwrap_err().detail();
            assert!(error.contains(said) && error.contains(hint), "{kind} {mime_type} {format}: {error}");
        }
    }
}
