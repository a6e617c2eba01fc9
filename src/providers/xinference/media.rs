//! Files of Dify that the server cannot reach: fetched here and sent with the request.
//!
//! The server refuses private addresses and does not know Dify's host; public addresses are left to it.

use url::Url;

use super::settings::Settings;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, MediaPart, PromptMessage};
use crate::providers::common::download;
use crate::upstream::Upstream;

/// Largest file; the server's own limit.
const LARGEST_FILE: usize = 64 * 1024 * 1024;

/// Fetches the parts whose address is relative or on the host of the `file_url` credential.
pub(super) async fn inline(
    upstream: &Upstream,
    settings: &Settings,
    messages: &mut [PromptMessage],
) -> Result<(), InvokeError> {
    let file_host = settings.file_url.as_deref();
    for message in messages {
        let Content::Parts(parts) = &mut message.content else { continue };
        for media in parts.iter_mut().filter_map(media_mut).filter(|media| media.base64_data.is_none()) {
            let Some(address) = media.url.take_if(|address| is_of_dify(address, file_host)) else { continue };
            let file = download::fetch(upstream, &settings.api.network, file_host, &address, LARGEST_FILE).await?;
            if media.mime_type.is_empty() {
                media.mime_type = file.mime_type;
            }
            media.base64_data = Some(file.base64);
        }
    }
    Ok(())
}

fn media_mut(part: &mut ContentPart) -> Option<&mut MediaPart> {
    match part {
        ContentPart::Text(_) => None,
        ContentPart::Image(media)
        | ContentPart::Audio(media)
        | ContentPart::Video(media)
        | ContentPart::Document(media) => Some(media),
    }
}

fn is_of_dify(address: &str, file_host: Option<&str>) -> bool {
    match (Url::parse(address), file_host.map(Url::parse)) {
        (Err(_), _) => true,
        (Ok(url), Some(Ok(base))) => url.origin() == base.origin(),
        (Ok(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_dify_are_fetched() {
        let dify = Some("http://api:5001");
        for (address, file_host, expected) in [
            ("/files/a.png", None, true),
            ("/files/a.png", dify, true),
            ("http://api:5001/files/a.png", dify, true),
            ("http://api:5001/files/a.png", None, false),
            ("https://example.com/a.png", dify, false),
            ("data:image/png;base64,AA==", dify, false),
        ] {
            assert_eq!(is_of_dify(address, file_host), expected, "{address} {file_host:?}");
        }
    }
}
