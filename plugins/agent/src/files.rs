//! The files of the query: downloaded for a model that can read them, named for one that cannot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::plugin::{File, FileKind};
use dify_plugin::prelude::*;
use dify_plugin::protocol::{Content, ContentPart, MediaPart, PromptMessage};
use dify_plugin::serde_json::{self, Value};

use crate::conversation::{feature_of, unreadable};

/// Bytes of all files of a request, before they are encoded. The daemon ends a plugin that writes a line of 5 MiB.
const MAX_FILE_BYTES: usize = 2560 * 1024;

/// Bytes that a file of unknown size may have; Dify reports the size of those that users upload.
const MAX_DOWNLOAD_BYTES: usize = 10 * 1024 * 1024;

/// The files of the parameter: a list, or one file. Null is no file.
pub(crate) fn read(value: Option<&Value>) -> Result<Vec<File>, PluginError> {
    let values = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(files)) => files.as_slice(),
        Some(Value::String(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(file) => std::slice::from_ref(file),
    };
    let given = values.iter().enumerate().filter(|(_, value)| !value.is_null());
    given
        .map(|(index, value)| {
            serde_json::from_value(value.clone())
                .map_err(|_| PluginError::bad_request(format!("`files[{index}]` is not a file of Dify")))
        })
        .collect()
}

/// The query with its files, files first.
pub(crate) async fn query(
    call: &Call,
    text: &str,
    files: &[File],
    model: &ModelSelector,
) -> Result<PromptMessage, PluginError> {
    let (mut parts, mut notes) = (Vec::new(), Vec::new());
    let mut room = MAX_FILE_BYTES;
    for file in files {
        let (kind, wrap) = of_kind(file.kind);
        let is_readable = wrap.is_some_and(|wrap| {
            feature_of(&wrap(MediaPart::default())).is_some_and(|feature| model.has_feature(feature))
        });
        match wrap.filter(|_| is_readable) {
            Some(wrap) => parts.push(wrap(media(call, file, &mut room).await?)),
            None => notes.push(unreadable(kind, file.filename.as_deref().unwrap_or_default())),
        }
    }
    let text = notes.into_iter().fold(text.to_owned(), |text, note| format!("{text}\n\n{note}"));
    if parts.is_empty() {
        return Ok(PromptMessage::user(text));
    }
    parts.push(ContentPart::text(text));
    Ok(PromptMessage::user(Content::Parts(parts)))
}

/// Makes a file a part of a message.
type Wrap = fn(MediaPart) -> ContentPart;

/// A kind in words, and what makes it a part of a message.
fn of_kind(kind: FileKind) -> (&'static str, Option<Wrap>) {
    match kind {
        FileKind::Image => ("image", Some(ContentPart::Image)),
        FileKind::Document => ("document", Some(ContentPart::Document)),
        FileKind::Audio => ("audio file", Some(ContentPart::Audio)),
        FileKind::Video => ("video", Some(ContentPart::Video)),
        _ => ("file", None),
    }
}

/// The file itself, while there is room, else its URL: the model's plugin downloads it.
async fn media(call: &Call, file: &File, room: &mut usize) -> Result<MediaPart, PluginError> {
    let fits = file.size.is_none_or(|size| size <= *room as u64);
    let mut media = if fits {
        let bytes = file.download(&call.dify, MAX_DOWNLOAD_BYTES).await?;
        match room.checked_sub(bytes.len()) {
            Some(left) => {
                *room = left;
                MediaPart::base64(STANDARD.encode(bytes))
            }
            None => MediaPart::link(&file.url),
        }
    } else {
        MediaPart::link(&file.url)
    };
    let extension = file.extension.as_deref().unwrap_or_default().trim_start_matches('.').to_ascii_lowercase();
    let subtype = file.mime_type.as_deref().and_then(|mime_type| Some(mime_type.split_once('/')?.1));
    media.format = match (extension.as_str(), subtype) {
        ("", subtype) => subtype.unwrap_or("png").to_owned(),
        ("jpg", _) => "jpeg".to_owned(),
        (extension, _) => extension.to_owned(),
    };
    media.mime_type = file.mime_type.clone().unwrap_or_else(|| {
        let family = match file.kind {
            FileKind::Image => "image",
            FileKind::Audio => "audio",
            FileKind::Video => "video",
            _ => "application",
        };
        format!("{family}/{}", media.format)
    });
    media.filename.clone_from(&file.filename);
    if file.kind == FileKind::Image {
        media.detail = Some("low".to_owned());
    }
    Ok(media)
}
