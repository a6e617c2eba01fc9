//! Files that a prompt refers to by URL: those of Dify are downloaded and sent with the request, public URLs are left
//! to the
//! server, and private ones that are not configured in the form are rejected.
//!
//! Whether a public name resolves to a private address is not checked here. The server resolves it, and applies its own
//! rules.

use url::{Host, Url};

use crate::dialect::openai::Profile;
use crate::dialect::openai::messages::is_readable;
use crate::providers::common::download::{self, Room};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Content, MediaPart, PromptMessage};
use dify_plugin::upstream::{NetworkSettings, Upstream};

/// Maximum total size of the downloaded files of a prompt, in bytes.
const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Downloads the parts whose URL is relative or on the host of the form's `file_url`. Rejects URLs that no server
/// should be
/// sent to. Parts that the model does not support are ignored.
pub async fn gather(
    upstream: &Upstream,
    network: &NetworkSettings,
    file_url: Option<&str>,
    profile: &Profile,
    messages: &mut [PromptMessage],
) -> Result<(), InvokeError> {
    let mut room = Room::of(MAX_TOTAL_BYTES);
    for message in messages {
        let Content::Parts(parts) = &mut message.content else { continue };
        for part in parts.iter_mut().filter(|part| is_readable(part, profile)) {
            let Some(media) = part.media_mut() else { continue };
            let Some(address) = media.url.take() else { continue };
            match place_of(&address, file_url) {
                // Data that is already present needs no URL.
                Place::Dify | Place::Private(_) if media.base64_data.is_some() => {}
                Place::Dify => {
                    let file = download::fetch(upstream, network, file_url, &address, &mut room).await?;
                    fill(media, file);
                }
                Place::Private(host) => return Err(private_host(&host)),
                Place::Elsewhere => media.url = Some(address),
            }
        }
    }
    Ok(())
}

fn fill(media: &mut MediaPart, file: download::File) {
    if media.mime_type.is_empty() {
        media.mime_type = file.mime_type;
    }
    media.base64_data = Some(file.base64);
}

fn private_host(host: &str) -> InvokeError {
    InvokeError::bad_request(format!("a file URL has the private host {host}, which is never sent to a server"))
        .with_hint(
            "If this is your Dify, set its URL in `file_url`, or let Dify send the files inline \
             (MULTIMODAL_SEND_FORMAT=base64).",
        )
}

/// Target of a URL.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Dify's own files.
    Dify,
    /// A host of a private network.
    Private(String),
    /// The internet, or an invalid URL, which the dialect checks.
    Elsewhere,
}

fn place_of(address: &str, file_url: Option<&str>) -> Place {
    if address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Place::Elsewhere;
    }
    let Ok(url) = Url::parse(address) else { return Place::Dify };
    if file_url.and_then(|base| Url::parse(base).ok()).is_some_and(|base| base.origin() == url.origin()) {
        return Place::Dify;
    }
    match url.host() {
        _ if !matches!(url.scheme(), "http" | "https") => Place::Elsewhere,
        Some(Host::Ipv4(address)) if !download::is_public(address.into()) => Place::Private(address.to_string()),
        Some(Host::Ipv6(address)) if !download::is_public(address.into()) => Place::Private(address.to_string()),
        Some(Host::Domain(name)) if is_private_name(name) => Place::Private(name.to_owned()),
        _ => Place::Elsewhere,
    }
}

/// Whether a host name exists only on this machine, in a container network or in a local network.
fn is_private_name(name: &str) -> bool {
    const ENDINGS: [&str; 5] = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    !name.contains('.') || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_private_hosts_only_if_configured() {
        let dify = Some("http://api:5001");
        let private = |host: &str| Place::Private(host.to_owned());
        for (address, file_url, expected) in [
            ("/files/a.png", None, Place::Dify),
            ("/files/a.png", dify, Place::Dify),
            ("http://api:5001/files/a.png", dify, Place::Dify),
            ("http://api:5001/files/a.png", None, private("api")),
            ("http://api:5002/files/a.png", dify, private("api")),
            ("https://example.com/a.png", dify, Place::Elsewhere),
            ("https://8.8.8.8/a.png", None, Place::Elsewhere),
            ("data:image/png;base64,AA==", dify, Place::Elsewhere),
            ("DATA:image/png;base64,AA==", dify, Place::Elsewhere),
            ("file:///etc/passwd", None, Place::Elsewhere),
            ("gopher://h/x", None, Place::Elsewhere),
            ("http://127.0.0.1:1/", None, private("127.0.0.1")),
            ("http://2130706433/", None, private("127.0.0.1")),
            ("http://0x7f.1/", None, private("127.0.0.1")),
            ("http://[::1]/", None, private("::1")),
            ("http://[::ffff:10.0.0.1]/", None, private("::ffff:10.0.0.1")),
            ("http://169.254.169.254/latest", None, private("169.254.169.254")),
            ("http://LOCALHOST./x", None, private("localhost.")),
            ("http://metadata.google.internal/x", None, private("metadata.google.internal")),
            ("http://printer.local/x", None, private("printer.local")),
        ] {
            assert_eq!(place_of(address, file_url), expected, "{address} {file_url:?}");
        }
    }
}
