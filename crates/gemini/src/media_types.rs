//! Media types of files: which ones Gemini supports and under which names.
//!
//! Source: Gemini API, "Image understanding", "Document understanding", "File input methods"; for Office files the
//! guide of Gemini 4 Carbon in Google Cloud's documentation and OpenRouter's model page, both as of 26 November 2026.
//! Google does not say whether the Gemini Developer API supports Office files too, nor how large they may be.

use crate::file_type::by_bytes;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::MediaPart;

/// Image types that every model supports.
const IMAGES: &[&str] = &["png", "jpeg", "webp", "heic", "heif"];

/// Document types, in addition to `text/…`, that are sent unchanged.
const DOCUMENTS: &[&str] = &["pdf", "json", "xml", "rtf", "x-javascript", "x-typescript", "x-python-code"];

/// Text under type names that the API does not know.
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

/// Alternative names of a type.
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

/// File extensions that differ from the name of their type.
const EXTENSIONS: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("css", "text/css"),
    ("html", "text/html"),
    ("xml", "text/xml"),
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

/// Office files that Gemini 4 models support, and their types.
const OFFICE_TYPES: &[(&str, &str)] = &[
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("dotx", "application/vnd.openxmlformats-officedocument.wordprocessingml.template"),
    ("doc", "application/msword"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xls", "application/vnd.ms-excel"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
];

/// Extensions of Office files, and parts of their type names.
const OFFICE: &[&str] = &["doc", "docx", "dotx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "epub"];
const OFFICE_WORDS: &[&str] = &["officedocument", "msword", "ms-excel", "ms-powerpoint", "opendocument", "epub"];

/// Archives, programs and other binary files.
const PACKED: &[&str] = &["zip", "gz", "tar", "rar", "7z", "exe", "dll", "bin", "iso", "dmg", "apk", "jar"];

/// Whether a part has a media type or a file extension.
pub fn is_reported(media: &MediaPart) -> bool {
    !declared(media).is_empty() || !extension(media).is_empty()
}

/// Whether a type is that of an Office file.
pub fn is_office(mime_type: &str) -> bool {
    OFFICE_TYPES.iter().any(|(_, known)| *known == mime_type)
}

/// Returns the media type of a part under the name that the API knows. Unsupported types are an error that names the
/// type. `kind` is Dify's: `image`, `audio`, `video` or `document`; `office`: whether the model supports Office files.
pub fn media_type(kind: &str, media: &MediaPart, office: bool) -> Result<String, InvokeError> {
    let (declared, extension) = (declared(media), extension(media));
    let by_bytes = media.base64_data.as_deref().and_then(by_bytes);
    let found = match (declared.as_str(), extension.as_str()) {
        ("", "") if by_bytes.is_some() => String::new(),
        ("", "") => {
            return Err(InvokeError::bad_request(format!("this {kind} has neither a media type nor a format")));
        }
        ("", extension) => type_of_extension(kind, extension),
        (declared, _) => declared.to_owned(),
    };
    let found = ALIASES.iter().find(|(alias, _)| *alias == found).map_or(found, |(_, name)| (*name).to_owned());
    let found = actual_type(kind, found, by_bytes);
    let (family, name) = found.split_once('/').unwrap_or((found.as_str(), ""));
    let fits = match kind {
        "image" => family == "image",
        "audio" => family == "audio",
        "video" => family == "video",
        _ => true,
    };
    let of_office = OFFICE.contains(&extension.as_str()) && family != "text"
        || OFFICE_WORDS.iter().any(|word| found.contains(word));
    if office
        && fits
        && let Some(office_type) = office_type(&found, &extension)
    {
        return Ok(office_type.to_owned());
    }
    match (family, name) {
        _ if of_office || !fits => Err(unreadable(kind, media, &found, of_office)),
        ("audio" | "video" | "text", _) => Ok(found),
        ("image", name) if IMAGES.contains(&name) => Ok(found),
        ("application", name) if DOCUMENTS.contains(&name) => Ok(found),
        ("application", name) if TEXTS.contains(&name) || name.ends_with("+xml") || name.ends_with("+json") => {
            Ok("text/plain".to_owned())
        }
        _ => Err(unreadable(kind, media, &found, false)),
    }
}

/// Returns the type of an Office file. If the label is missing or only that of the container, the file name decides.
fn office_type(label: &str, extension: &str) -> Option<&'static str> {
    let (_, name) = label.split_once('/')?;
    let by_name = name == extension || matches!(name, "zip" | "x-zip-compressed");
    let is_it = |known: &str, office_type: &str| office_type == label || (by_name && known == extension);
    OFFICE_TYPES.iter().find(|(known, office_type)| is_it(known, office_type)).map(|(_, office_type)| *office_type)
}

/// Returns the actual type of a file, whatever its label: models inspect the bytes of an image and reject a wrong
/// label, and some audio containers are labeled as video.
fn actual_type(kind: &str, label: String, by_bytes: Option<&str>) -> String {
    let of_image = kind == "image" || label.is_empty() || label.starts_with("image/");
    match by_bytes {
        Some(image) if image.starts_with("image/") && of_image => return image.to_owned(),
        Some(document) if kind == "document" && !document.starts_with("image/") => return document.to_owned(),
        _ => {}
    }
    match label.strip_prefix("video/") {
        Some("mp4" | "quicktime" | "x-m4v") if kind == "audio" => "audio/mp4".to_owned(),
        Some(container) if kind == "audio" => format!("audio/{container}"),
        _ => label,
    }
}

/// Returns the declared type without parameters; generic binary types count as missing.
fn declared(media: &MediaPart) -> String {
    let declared = media.mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if declared.contains('/') && declared != "application/octet-stream" { declared } else { String::new() }
}

/// Returns the file extension from the format or the file name.
fn extension(media: &MediaPart) -> String {
    let format = media.format.trim().trim_start_matches('.');
    let name = media.filename.as_deref().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
    if format.is_empty() { name } else { format }.to_ascii_lowercase()
}

fn type_of_extension(kind: &str, extension: &str) -> String {
    match (EXTENSIONS.iter().find(|(known, _)| *known == extension), kind) {
        (Some((_, found)), _) => (*found).to_owned(),
        (None, "document") if PACKED.contains(&extension) || OFFICE.contains(&extension) => {
            format!("application/{extension}")
        }
        (None, "document") => "text/plain".to_owned(),
        (None, kind) => format!("{kind}/{extension}"),
    }
}

fn unreadable(kind: &str, media: &MediaPart, found: &str, office: bool) -> InvokeError {
    let name = media.filename.as_deref().map_or_else(|| format!("this {kind}"), |name| format!("the {kind} `{name}`"));
    let hint = match kind {
        _ if office => {
            "Convert it to PDF or text, add Dify's Doc Extractor node before the LLM, or choose a Gemini 4 model, which \
             reads Office files."
        }
        "image" => "Send it as PNG, JPEG, WebP, HEIC or HEIF.",
        "audio" => "Send it as WAV, MP3, AIFF, AAC, OGG or FLAC.",
        "video" => "Send it as MP4, MPEG, MOV, AVI, WebM, WMV or 3GPP.",
        _ => "Send PDF or text, or add Dify's Doc Extractor node before the LLM.",
    };
    InvokeError::bad_request(format!("Gemini does not support {name}: its type is `{found}`")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, mime_type: &str, format: &str) -> Result<String, InvokeError> {
        let mut media = MediaPart::default();
        (media.mime_type, media.format) = (mime_type.into(), format.into());
        media_type(kind, &media, false)
    }

    #[test]
    fn office_files_are_sent_to_models_that_support_them() {
        let of = |kind: &str, mime_type: &str, name: &str, office: bool| {
            let mut media = MediaPart::default();
            (media.mime_type, media.filename) = (mime_type.into(), Some(name.to_owned()));
            media_type(kind, &media, office)
        };
        for (extension, mime_type) in OFFICE_TYPES {
            let name = format!("file.{extension}");
            for declared in [*mime_type, "", "application/octet-stream", "application/zip"] {
                assert_eq!(of("document", declared, &name, true).unwrap(), *mime_type, "{name} {declared}");
                let error = of("document", declared, &name, false).unwrap_err().detail();
                assert!(
                    error.contains("Doc Extractor node") && error.contains("Gemini 4"),
                    "{name} {declared}: {error}"
                );
            }
        }
        // Other files keep their type, and unsupported types are rejected for every model.
        assert_eq!(of("document", "text/plain", "notes.doc", true).unwrap(), "text/plain");
        for (kind, mime_type, name) in [
            ("document", "application/epub+zip", "book.epub"),
            ("document", "application/zip", "files.zip"),
            ("image", "application/msword", "file.doc"),
        ] {
            assert!(of(kind, mime_type, name, true).is_err(), "{name}");
        }
    }

    #[test]
    fn types_are_sent_under_the_names_of_the_api() {
        for (kind, mime_type, format, expected) in [
            ("image", "image/png", "png", "image/png"),
            ("image", "image/JPG", "", "image/jpeg"),
            ("image", "", "jpg", "image/jpeg"),
            ("image", "application/octet-stream", ".PNG", "image/png"),
            ("audio", "", "mp3", "audio/mpeg"),
            ("audio", "audio/x-wav", "wav", "audio/wav"),
            ("audio", "video/webm", "webm", "audio/webm"),
            ("audio", "video/mp4", "mp4", "audio/mp4"),
            ("audio", "video/ogg", "", "audio/ogg"),
            ("video", "video/webm", "webm", "video/webm"),
            ("document", "", "rs", "text/plain"),
            ("document", "", "ini", "text/plain"),
            ("document", "", "xml", "text/xml"),
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
    fn errors_name_the_unsupported_type() {
        for (kind, mime_type, format, declared, hint) in [
            ("document", "", "docx", "`application/docx`", "Doc Extractor"),
            (
                "document",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "",
                "wordprocessing",
                "Doc Extractor",
            ),
            ("document", "application/zip", "zip", "`application/zip`", "PDF"),
            ("document", "", "exe", "`application/exe`", "PDF"),
            ("image", "image/vnd.adobe.photoshop", "psd", "photoshop", "PNG"),
            ("image", "", "svg", "`image/svg+xml`", "PNG"),
            ("image", "text/html", "png", "`text/html`", "PNG"),
            ("image", "image/gif", "gif", "`image/gif`", "PNG"),
            ("image", "", "bmp", "`image/bmp`", "PNG"),
            ("image", "image/tiff", "", "`image/tiff`", "PNG"),
            ("video", "image/png", "mp4", "`image/png`", "MP4"),
            ("audio", "application/pdf", "", "`application/pdf`", "WAV"),
            ("image", "", "", "neither a media type", ""),
            ("document", "application/octet-stream", "", "neither a media type", ""),
        ] {
            let error = check(kind, mime_type, format).unwrap_err().detail();
            assert!(error.contains(declared) && error.contains(hint), "{kind} {mime_type} {format}: {error}");
        }
    }

    #[test]
    fn the_content_decides_the_image_type() {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        type Case<'a> = (&'a str, &'a str, &'a [u8], Result<&'a str, &'a str>);
        let cases: &[Case<'_>] = &[
            ("image", "image/png", b"\xFF\xD8\xFF\xE0\0\x10JFIF", Ok("image/jpeg")),
            ("image", "image/jpeg", b"\x89PNG\r\n\x1A\n", Ok("image/png")),
            ("image", "image/png", b"RIFF\x01\x02\x03\x04WEBPVP8 ", Ok("image/webp")),
            ("image", "image/jpeg", b"\0\0\0\x18ftypheic\0\0\0\0", Ok("image/heic")),
            ("image", "image/jpeg", b"\0\0\0\x18ftypmif1\0\0\0\0", Ok("image/heif")),
            ("image", "", b"\x89PNG\r\n\x1A\n", Ok("image/png")),
            ("image", "text/html", b"\x89PNG\r\n\x1A\n", Ok("image/png")),
            ("document", "image/png", b"\xFF\xD8\xFF\xE0", Ok("image/jpeg")),
            ("document", "text/plain", b"%PDF-1.7", Ok("application/pdf")),
            ("document", "text/plain", b"BM is short for", Ok("text/plain")),
            ("document", "text/csv", b"a;b;c", Ok("text/csv")),
            ("image", "image/png", b"\x89", Ok("image/png")),
            ("image", "image/png", b"no known signature", Ok("image/png")),
            ("image", "image/png", b"GIF89a\x01\0\x01\0", Err("image/gif")),
            ("image", "image/jpeg", b"II*\0\x08\0\0\0", Err("image/tiff")),
            ("image", "image/png", b"BM\x46\0\0\0\0\0\0\0\x36\0", Err("image/bmp")),
            ("image", "image/png", b"\0\0\0\x1Cftypavif\0\0\0\0", Err("image/avif")),
            ("image", "image/png", b"%PDF-1.7", Ok("image/png")),
        ];
        for (kind, mime_type, bytes, expected) in cases {
            let mut media = MediaPart::base64(STANDARD.encode(bytes));
            media.mime_type = (*mime_type).into();
            match (media_type(kind, &media, false), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{kind} {mime_type} {bytes:?}"),
                (Err(error), Err(declared)) => assert!(error.message.contains(declared), "{error}"),
                (found, expected) => panic!("{kind} {mime_type} {bytes:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}
