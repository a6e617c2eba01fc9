//! Files of a call: downloaded from Dify, then sent in the request, or through the Files API if they are too large for
//! one. Google Cloud has no Files API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::bytes::Bytes;
use dify_plugin::prelude::*;
use dify_plugin::protocol::MediaPart;
use dify_plugin_gemini::Surface;
use dify_plugin_gemini::files::is_file_missing;
use dify_plugin_gemini::media_types::media_type;
use dify_plugin_gemini::wire::{Blob, FileData, Part};
use url::Url;

use crate::service::Account;

/// Maximum bytes of all files of a call, which are held in memory.
const MAX_BYTES: usize = 100 * 1024 * 1024;

/// Maximum bytes of files in one request: three quarters of its 20 MiB, because Base64 takes four bytes for three, less
/// the rest of the request.
pub const MAX_INLINE_BYTES: usize = 15 * 1024 * 1024 - 64 * 1024;

/// First bytes of a file that contain its signature.
const HEAD_BYTES: usize = 48;

/// A file that was downloaded.
pub struct Downloaded {
    pub name: String,
    pub mime_type: String,
    bytes: Bytes,
}

/// What a tool can read.
#[derive(Clone, Copy)]
pub struct Readable {
    /// Whether only images are readable.
    pub only_images: bool,
    /// Whether Office files are readable, by the model.
    pub office_files: bool,
}

/// Downloads the files of a parameter. Errors name the parameter, the file and its type.
pub async fn download(
    call: &Call,
    parameter: &str,
    files: &[File],
    readable: Readable,
) -> Result<Vec<Downloaded>, PluginError> {
    let mut left = MAX_BYTES;
    let mut downloaded = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let name = file.filename.clone().unwrap_or_else(|| format!("file {}", index + 1));
        let named = |error: PluginError| {
            let message = format!("parameter `{parameter}`: {}", error.message);
            error.with_message(message)
        };
        // Unsupported files are rejected before they are downloaded.
        mime_type(file, &[], readable).map_err(named)?;
        if file.size.is_some_and(|size| size > left as u64) {
            return Err(PluginError::bad_request(format!(
                "parameter `{parameter}`: the files up to `{name}` have more than {MAX_BYTES} bytes"
            ))
            .with_hint("Compress them, or split the task."));
        }
        let bytes = file.download(&call.dify, left).await.map_err(named)?;
        if bytes.is_empty() {
            return Err(PluginError::bad_request(format!("parameter `{parameter}`: file `{name}` is empty")));
        }
        left -= bytes.len();
        let mime_type = mime_type(file, &bytes, readable).map_err(named)?;
        downloaded.push(Downloaded { name, mime_type, bytes });
    }
    Ok(downloaded)
}

/// Returns the media type by the file's label and name, and by its first bytes.
fn mime_type(file: &File, bytes: &[u8], readable: Readable) -> Result<String, PluginError> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let mut media = match head {
        [] => MediaPart::default(),
        head => MediaPart::base64(STANDARD.encode(head)),
    };
    media.mime_type = file.mime_type.clone().unwrap_or_default();
    media.format = file.extension.clone().unwrap_or_default();
    media.filename.clone_from(&file.filename);
    let family = media.mime_type.split('/').next().unwrap_or_default();
    let kind = match (file.kind, family) {
        _ if readable.only_images => "image",
        (FileKind::Image, _) | (FileKind::Custom, "image") => "image",
        (FileKind::Audio, _) | (FileKind::Custom, "audio") => "audio",
        (FileKind::Video, _) | (FileKind::Custom, "video") => "video",
        _ => "document",
    };
    media_type(kind, &media, readable.office_files)
}

/// Returns the media type of a file at a URL, by the end of its path.
pub fn mime_type_of_url(parameter: &str, url: &str, only_images: bool) -> Result<String, PluginError> {
    let wrong = |why: &str| PluginError::bad_request(format!("parameter `{parameter}`: `{url}` {why}"));
    let parsed = Url::parse(url).ok().filter(Url::has_host).ok_or_else(|| wrong("is not a URL"))?;
    if parsed.scheme() != "https" {
        return Err(wrong("does not start with https://").with_hint("Google reads public https URLs only."));
    }
    let extension = parsed.path().rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    let Some((_, extension)) = extension else {
        return Err(wrong("does not end in a file name with an extension")
            .with_hint("Without one, the type of the file is unknown. Upload the file to Dify instead."));
    };
    let mut media = MediaPart::default();
    media.format = extension.to_owned();
    let kinds: &[&str] = if only_images { &["image"] } else { &["image", "audio", "video", "document"] };
    let read = kinds.iter().map(|kind| (kind, media_type(kind, &media, false)));
    // An extension fits one kind: `video/mp4` is no image.
    let mut found = read.filter_map(|(kind, read)| read.ok().filter(|mime_type| fits(kind, mime_type)));
    found.next().ok_or_else(|| wrong(&format!("has the extension `{extension}`, which Gemini does not read here")))
}

fn fits(kind: &str, mime_type: &str) -> bool {
    const KNOWN: [&str; 24] = [
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/heic",
        "image/heif",
        "audio/mpeg",
        "audio/wav",
        "audio/aac",
        "audio/ogg",
        "audio/flac",
        "audio/aiff",
        "audio/m4a",
        "video/mp4",
        "video/mpeg",
        "video/quicktime",
        "video/webm",
        "video/avi",
        "video/x-flv",
        "video/mpg",
        "video/wmv",
        "video/3gpp",
        "application/pdf",
        "text/plain",
        "text/html",
    ];
    kind == "document" || KNOWN.contains(&mime_type)
}

/// Turns files into parts of a request: inline while they fit, and uploaded, the largest first, if they do not.
/// `uploaded` gets the URIs of the latter.
pub async fn parts(
    account: &Account<'_>,
    files: &[Downloaded],
    uploaded: &mut Vec<String>,
) -> Result<Vec<Part>, PluginError> {
    let mut inline: usize = files.iter().map(|file| file.bytes.len()).sum();
    let mut by_size: Vec<usize> = (0..files.len()).collect();
    by_size.sort_by_key(|index| std::cmp::Reverse(files[*index].bytes.len()));
    let mut uris = vec![None; files.len()];
    for index in by_size {
        if inline <= MAX_INLINE_BYTES {
            break;
        }
        let file = &files[index];
        if account.connection.surface != Surface::Developer {
            return Err(PluginError::bad_request(format!(
                "the files have {inline} bytes; a request to Google Cloud can contain at most {MAX_INLINE_BYTES} bytes, \
                 and Google Cloud has no uploads"
            ))
            .with_hint("Use smaller files, or an API key of the Gemini Developer API."));
        }
        let owner = account.call.credentials.fingerprint();
        let (files_api, upstream) = (&account.service.files, account.call.upstream());
        let uri = files_api.uri(upstream, &account.connection, owner, &file.mime_type, file.bytes.clone()).await?;
        // A gateway without uploads gets everything inline.
        let Some(uri) = uri else { break };
        inline -= file.bytes.len();
        uploaded.push(uri.clone());
        uris[index] = Some(uri);
    }
    let parts = files.iter().zip(uris).map(|(file, uri)| match uri {
        Some(uri) => at(Some(file.mime_type.clone()), &uri),
        None => {
            let blob = Blob { mime_type: file.mime_type.clone(), data: STANDARD.encode(&file.bytes) };
            Part { inline_data: Some(blob), ..Part::default() }
        }
    });
    Ok(parts.collect())
}

/// Whether a request failed because the service no longer has a file that an earlier call uploaded. Such files are
/// forgotten, so that [`parts`] uploads them again.
pub fn forget_missing(account: &Account<'_>, uploaded: &[String], error: &PluginError) -> bool {
    if uploaded.is_empty() || !is_file_missing(error) {
        return false;
    }
    tracing::warn!(error = error.log_summary(), "uploaded file rejected; uploading it again");
    account.service.files.forget(account.call.credentials.fingerprint(), uploaded);
    true
}

/// Returns the part for a file at a URL that Google reads.
pub fn at(mime_type: Option<String>, url: &str) -> Part {
    Part { file_data: Some(FileData { mime_type, file_uri: url.to_owned() }), ..Part::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_file_shows_its_type() {
        for (url, only_images, mime_type) in [
            ("https://a.example/x.png", true, "image/png"),
            ("https://a.example/x.JPG?size=1", false, "image/jpeg"),
            ("https://a.example/a/talk.mp3", false, "audio/mpeg"),
            ("https://a.example/talk.mp4", false, "video/mp4"),
            ("https://a.example/report.pdf", false, "application/pdf"),
        ] {
            assert_eq!(mime_type_of_url("url", url, only_images).unwrap(), mime_type, "{url}");
        }
        for (url, only_images, reason) in [
            ("nothing", false, "is not a URL"),
            ("http://a.example/x.png", false, "https://"),
            ("gs://bucket/x.png", false, "https://"),
            ("https://a.example/x", false, "extension"),
            ("https://a.example/talk.mp4", true, "`mp4`"),
            ("https://a.example/a.zip", false, "`zip`"),
        ] {
            let error = mime_type_of_url("url", url, only_images).unwrap_err().message;
            assert!(error.contains(reason) && error.contains("`url`"), "{url}: {error}");
        }
    }
}
