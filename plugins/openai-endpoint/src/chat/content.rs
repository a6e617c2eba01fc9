//! Parts of messages: texts, images, audio, video and files, as a model's prompt and as files of an app.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::protocol::{ContentPart, MediaPart};
use serde::Deserialize;

use crate::error::ApiError;

/// A part as clients send it. Which members it has depends on its type.
#[derive(Debug, Deserialize)]
pub struct WirePart {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    image_url: Option<Link>,
    #[serde(default)]
    video_url: Option<Link>,
    #[serde(default)]
    input_audio: Option<Audio>,
    #[serde(default)]
    file: Option<File>,
}

/// `{"url": …}`, or the URL alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Link {
    Object {
        url: String,
        #[serde(default)]
        detail: Option<String>,
    },
    Url(String),
}

#[derive(Debug, Deserialize)]
struct Audio {
    data: String,
    format: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    file_data: Option<String>,
    #[serde(default)]
    filename: Option<String>,
}

/// A part that was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    Attachment(Attachment),
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    pub kind: Kind,
    pub source: Source,
    pub mime_type: String,
    pub filename: Option<String>,
    /// Of an image.
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Image,
    Audio,
    Video,
    Document,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Url(String),
    Base64(String),
}

impl Kind {
    /// Dify's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
        }
    }

    fn of_mime_type(mime_type: &str) -> Self {
        match mime_type.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }
}

impl WirePart {
    /// Reads a part; `param` is its place in the request.
    pub fn read(self, param: &str) -> Result<Part, ApiError> {
        let missing = |member: &str| {
            ApiError::invalid(format!("`{param}.{member}` is missing.")).with_param(format!("{param}.{member}"))
        };
        match self.kind.as_str() {
            "text" | "input_text" | "output_text" => self.text.map(Part::Text).ok_or_else(|| missing("text")),
            "refusal" => self.refusal.map(Part::Text).ok_or_else(|| missing("refusal")),
            "image_url" => {
                let link = self.image_url.ok_or_else(|| missing("image_url"))?;
                linked(link, Kind::Image, param)
            }
            "video_url" => {
                let link = self.video_url.ok_or_else(|| missing("video_url"))?;
                linked(link, Kind::Video, param)
            }
            "input_audio" => {
                let Audio { data, format } = self.input_audio.ok_or_else(|| missing("input_audio"))?;
                let mime_type = match format.as_str() {
                    "mp3" => "audio/mpeg".to_owned(),
                    other => format!("audio/{other}"),
                };
                let audio = Attachment {
                    kind: Kind::Audio,
                    source: Source::Base64(base64_text(data, param)?),
                    mime_type,
                    filename: None,
                    detail: None,
                };
                Ok(Part::Attachment(audio))
            }
            "file" => {
                let File { file_data, filename } = self.file.ok_or_else(|| missing("file"))?;
                let Some(data) = file_data else {
                    let message =
                        format!("`{param}.file` has no `file_data`: files of an upload API are not available.");
                    return Err(ApiError::invalid(message).with_param(format!("{param}.file.file_data")));
                };
                let mime_type = filename.as_deref().map_or("application/octet-stream", mime_type_of_name);
                let mut file = of_url(data, Kind::Document, mime_type, param)?;
                file.kind = Kind::of_mime_type(&file.mime_type);
                file.filename = filename;
                Ok(Part::Attachment(file))
            }
            other => {
                let message = format!("`{param}.type`: parts of the type `{other}` are not supported.");
                Err(ApiError::invalid(message).with_param(format!("{param}.type")))
            }
        }
    }
}

fn linked(link: Link, kind: Kind, param: &str) -> Result<Part, ApiError> {
    let (url, detail) = match link {
        Link::Object { url, detail } => (url, detail),
        Link::Url(url) => (url, None),
    };
    let fallback = if kind == Kind::Video { "video/mp4" } else { "image/jpeg" };
    let mime_type = match url.starts_with("data:") {
        true => fallback,
        false => Some(mime_type_of_name(&url)).filter(|found| Kind::of_mime_type(found) == kind).unwrap_or(fallback),
    };
    Ok(Part::Attachment(Attachment { kind, detail, ..of_url(url, kind, mime_type, param)? }))
}

/// A data URL, a URL, or Base64 alone.
fn of_url(url: String, kind: Kind, mime_type: &str, param: &str) -> Result<Attachment, ApiError> {
    let attachment = |source, mime_type: &str| Attachment {
        kind,
        source,
        mime_type: mime_type.to_owned(),
        filename: None,
        detail: None,
    };
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(attachment(Source::Url(url), mime_type));
    }
    let Some(rest) = url.strip_prefix("data:") else {
        if kind == Kind::Document {
            return Ok(attachment(Source::Base64(base64_text(url, param)?), mime_type));
        }
        let message = format!("`{param}`: expected a URL (`https://…`) or a data URL (`data:image/png;base64,…`).");
        return Err(ApiError::invalid(message).with_param(param));
    };
    let Some((head, data)) = rest.split_once(',').filter(|(head, _)| head.ends_with(";base64")) else {
        let message = format!("`{param}`: the data URL is not Base64 (`data:image/png;base64,…`).");
        return Err(ApiError::invalid(message).with_param(param));
    };
    let declared = head.split(';').next().filter(|declared| declared.contains('/')).unwrap_or(mime_type);
    Ok(attachment(Source::Base64(base64_text(data.to_owned(), param)?), declared))
}

/// Checks Base64 here, where the error names the part; a provider's would not.
fn base64_text(data: String, param: &str) -> Result<String, ApiError> {
    match STANDARD.decode(&data) {
        Ok(bytes) if !bytes.is_empty() => Ok(data),
        _ => Err(ApiError::invalid(format!("`{param}`: the data is empty or not valid Base64.")).with_param(param)),
    }
}

/// The media type by the extension of a name or of a URL's path.
fn mime_type_of_name(name: &str) -> &'static str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let extension = path.rsplit('/').next().unwrap_or_default().rsplit_once('.').map(|(_, extension)| extension);
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "m4a" => "audio/mp4",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}

impl Attachment {
    /// The file in a model's prompt.
    pub fn into_prompt(self) -> ContentPart {
        let Self { kind, source, mime_type, filename, detail } = self;
        let media = match source {
            Source::Url(url) => MediaPart::link(url),
            Source::Base64(data) => MediaPart::base64(data),
        };
        let mut media = media.with_mime_type(mime_type);
        media.filename = filename;
        match kind {
            Kind::Image => {
                // Dify knows two; `auto` is what is best for the image.
                let detail = if detail.as_deref() == Some("low") { "low" } else { "high" };
                ContentPart::Image(media.with_detail(detail))
            }
            Kind::Audio => ContentPart::Audio(media),
            Kind::Video => ContentPart::Video(media),
            Kind::Document => ContentPart::Document(media),
        }
    }

    /// The bytes, unless they are elsewhere.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match &self.source {
            Source::Url(_) => None,
            Source::Base64(data) => STANDARD.decode(data).ok(),
        }
    }

    /// The name to upload it with.
    pub fn upload_name(&self, index: usize) -> String {
        let subtype = self.mime_type.split(['/', '+', ';']).nth(1).unwrap_or("bin");
        let extension = if subtype == "mpeg" { "mp3" } else { subtype };
        self.filename.clone().unwrap_or_else(|| format!("{}-{}.{extension}", self.kind.as_str(), index + 1))
    }
}
