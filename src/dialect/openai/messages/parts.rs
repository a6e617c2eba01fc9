//! Converts message parts: text, and media as data or as a URL. Checks only whether a server could fetch a URL at all,
//! not
//! whether it is allowed to.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use url::Url;

use crate::dialect::file_type::by_bytes;
use crate::dialect::openai::profile::{AudioForm, DocumentForm, ImageForm, Profile, VideoForm};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{ContentPart, MediaPart};

/// Media type of most documents.
const PDF: &str = "application/pdf";

/// A part on the wire.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Text(Cow<'a, str>),
    /// `{"type": kind, kind: {"url", "detail"?}}`
    Link {
        kind: &'static str,
        media: Media<'a>,
        detail: Option<&'a str>,
    },
    InputAudio {
        data: &'a str,
        format: &'a str,
    },
    File {
        name: &'a str,
        media: Media<'a>,
    },
}

/// Source of the bytes of a part.
#[derive(Debug)]
pub(super) enum Media<'a> {
    Url(&'a str),
    Inline { mime_type: Cow<'a, str>, base64: &'a str },
    Bare(&'a str),
}

/// Whether a model with this profile gets a part itself, not a text about it.
pub fn is_readable(part: &ContentPart, profile: &Profile) -> bool {
    match part {
        ContentPart::Text(_) => true,
        ContentPart::Image(_) => !matches!(profile.image, ImageForm::Unsupported | ImageForm::Text),
        ContentPart::Video(_) => !matches!(profile.video, VideoForm::Unsupported | VideoForm::Text),
        ContentPart::Audio(_) => !matches!(profile.audio, AudioForm::Unsupported | AudioForm::Text),
        ContentPart::Document(_) => !matches!(profile.document, DocumentForm::Unsupported | DocumentForm::Text),
        _ => false,
    }
}

/// Returns the text that replaces a file that the model does not support.
pub(super) fn left_out(part: &ContentPart) -> String {
    let name = part.media().and_then(|media| media.filename.as_deref()).map(|name| format!(" {name}"));
    format!("[left out: the {}{}, which this model does not read]", part.type_name(), name.unwrap_or_default())
}

/// Converts a part as the profile specifies.
pub(super) fn convert<'a>(part: &'a ContentPart, profile: &Profile) -> Result<Part<'a>, InvokeError> {
    let link = |kind, media: &'a MediaPart, detail| {
        Ok(Part::Link { kind, media: media_of(part.type_name(), media, profile)?, detail })
    };
    match part {
        ContentPart::Text(text) => Ok(Part::Text(Cow::Borrowed(&text.data))),
        ContentPart::Image(image) => match profile.image {
            ImageForm::ImageUrl => link("image_url", image, Some(image.detail.as_deref().unwrap_or("auto"))),
            ImageForm::ImageUrlWithoutDetail => link("image_url", image, None),
            ImageForm::Base64 => Ok(Part::Link { kind: "image_url", media: bare(part, image, profile)?, detail: None }),
            ImageForm::Text => Ok(in_words(part)),
            ImageForm::Unsupported => Err(unsupported(part)),
        },
        ContentPart::Video(video) => match profile.video {
            VideoForm::VideoUrl => link("video_url", video, None),
            VideoForm::ImageUrl => link("image_url", video, None),
            VideoForm::Base64 => Ok(Part::Link { kind: "video_url", media: bare(part, video, profile)?, detail: None }),
            VideoForm::Text => Ok(in_words(part)),
            VideoForm::Unsupported => Err(unsupported(part)),
        },
        ContentPart::Audio(audio) => match profile.audio {
            AudioForm::AudioUrl => link("audio_url", audio, None),
            AudioForm::ImageUrl => link("image_url", audio, None),
            AudioForm::InputAudio => input_audio(audio, profile),
            AudioForm::Text => Ok(in_words(part)),
            AudioForm::Unsupported => Err(unsupported(part)),
        },
        ContentPart::Document(document) => match profile.document {
            DocumentForm::File => Ok(Part::File {
                name: document.filename.as_deref().unwrap_or("document"),
                media: media_of("document", document, profile)?,
            }),
            DocumentForm::Text => Ok(in_words(part)),
            DocumentForm::Unsupported => Err(unsupported(part)),
        },
        _ => Err(unsupported(part)),
    }
}

fn in_words(part: &ContentPart) -> Part<'_> {
    Part::Text(Cow::Owned(left_out(part)))
}

/// Returns the data without the prefix of a data URL, or the URL if the data is unknown.
fn bare<'a>(kind: &'a ContentPart, part: &'a MediaPart, profile: &Profile) -> Result<Media<'a>, InvokeError> {
    Ok(match (part.base64_data.as_deref(), media_of(kind.type_name(), part, profile)?) {
        (Some(base64), _) | (None, Media::Inline { base64, .. }) => Media::Bare(base64),
        (None, Media::Url(url)) if url.starts_with("data:") => {
            url.split_once(";base64,").map_or(Media::Url(url), |(_, base64)| Media::Bare(base64))
        }
        (None, other) => other,
    })
}

fn unsupported(part: &ContentPart) -> InvokeError {
    InvokeError::bad_request(format!("this model does not support {} input", part.type_name()))
        .with_hint("Remove the file, or choose a model that supports it.")
}

fn media_of<'a>(kind: &str, part: &'a MediaPart, profile: &Profile) -> Result<Media<'a>, InvokeError> {
    let inline =
        part.base64_data.as_deref().map(|base64| Media::Inline { mime_type: media_type(kind, part, base64), base64 });
    match (part.url.as_deref().map(fetchable_url), inline) {
        (_, Some(inline)) if profile.prefer_inline => Ok(inline),
        (Some(Ok(url)), _) => Ok(Media::Url(url)),
        (_, Some(inline)) => Ok(inline),
        (Some(Err(error)), None) => Err(error),
        (None, None) => Err(InvokeError::bad_request("a media part has neither a URL nor data")),
    }
}

/// Checks that a server can fetch a URL, which may be a data URL.
fn fetchable_url(text: &str) -> Result<&str, InvokeError> {
    if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Ok(text);
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text),
        Ok(url) => Err(InvokeError::bad_request(format!("a file has an unsupported URL scheme: {}", url.scheme()))),
        Err(_) => Err(InvokeError::bad_request("a file has a relative URL").with_hint(
            "Dify sends such URLs if its FILES_URL is not set. Set it there, or set `file_url` in the \
             model credentials.",
        )),
    }
}

/// Returns the media type of data. Models check the bytes of an image or a PDF and reject a label that does not match.
fn media_type<'a>(kind: &str, part: &'a MediaPart, base64: &str) -> Cow<'a, str> {
    match by_bytes(base64) {
        Some(found) if kind == "image" || (kind == "document" && found == PDF) => return Cow::Borrowed(found),
        _ => {}
    }
    let label = part.mime_type.as_str();
    match label.strip_prefix("video/") {
        Some(container) if kind == "audio" => return Cow::Owned(format!("audio/{container}")),
        _ if !label.is_empty() => return Cow::Borrowed(label),
        _ => {}
    }
    let format = part.format.trim_start_matches('.').to_ascii_lowercase();
    match (kind, format.as_str()) {
        ("image", "") => Cow::Borrowed("image/png"),
        ("image", "jpg") => Cow::Borrowed("image/jpeg"),
        ("image", "svg") => Cow::Borrowed("image/svg+xml"),
        ("audio", "" | "mp3" | "mpga") => Cow::Borrowed("audio/mpeg"),
        ("video", "") => Cow::Borrowed("video/mp4"),
        ("video", "mov") => Cow::Borrowed("video/quicktime"),
        ("document", "" | "pdf") => Cow::Borrowed(PDF),
        ("document", "txt" | "md" | "markdown") => Cow::Borrowed("text/plain"),
        ("document", _) => Cow::Borrowed("application/octet-stream"),
        (kind, format) => Cow::Owned(format!("{kind}/{format}")),
    }
}

fn input_audio<'a>(part: &'a MediaPart, profile: &Profile) -> Result<Part<'a>, InvokeError> {
    let format = if part.format.is_empty() { "wav" } else { &part.format };
    let data = match media_of("audio", part, profile)? {
        Media::Inline { base64, .. } | Media::Bare(base64) => Some(base64),
        Media::Url(url) if url.starts_with("data:") => url.split_once(";base64,").map(|(_, data)| data),
        Media::Url(_) => part.base64_data.as_deref(),
    };
    let data = data.ok_or_else(|| InvokeError::bad_request("this server accepts audio as data, not as a URL"))?;
    Ok(Part::InputAudio { data, format })
}

impl Serialize for Media<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Url(text) | Self::Bare(text) => serializer.serialize_str(text),
            Self::Inline { mime_type, base64 } => {
                serializer.collect_str(&format_args!("data:{mime_type};base64,{base64}"))
            }
        }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Link<'a> {
            url: &'a Media<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct InputAudio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Serialize)]
        struct File<'a> {
            filename: &'a str,
            file_data: &'a Media<'a>,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        let kind = match self {
            Self::Text(_) => "text",
            Self::Link { kind, .. } => kind,
            Self::InputAudio { .. } => "input_audio",
            Self::File { .. } => "file",
        };
        map.serialize_entry("type", kind)?;
        match self {
            Self::Text(text) => map.serialize_entry(kind, text)?,
            Self::Link { media, detail, .. } => map.serialize_entry(kind, &Link { url: media, detail: *detail })?,
            Self::InputAudio { data, format } => map.serialize_entry(kind, &InputAudio { data, format })?,
            Self::File { name, media } => map.serialize_entry(kind, &File { filename: name, file_data: media })?,
        }
        map.end()
    }
}
