//! Downloads files that a prompt refers to by URL, for upstreams that cannot. Only public addresses and ports 80 and
//! 443 are
//! allowed. One limit applies to all files of a prompt, counted uncompressed. No credential is sent, and the connection
//! goes to exactly the address that was checked.
//!
//! Dify's own file host may be private and use any port; the `file_url` credential names it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use http::{HeaderValue, StatusCode};
use url::{Host, Url};

use dify_plugin::error::InvokeError;
use dify_plugin::upstream::client::public_url;
use dify_plugin::upstream::{NetworkSettings, Upstream, UpstreamRequest, UpstreamResponse};

/// Maximum number of redirects; each target is checked like the first URL.
const MAX_REDIRECTS: usize = 3;

/// Timeout for a complete file.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Delays before a busy host is tried again.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1000)];

/// Allowed ports of public hosts.
const PORTS: [u16; 2] = [80, 443];

/// Size limit of all files together, and how much of it is left.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    whole: usize,
    left: usize,
}

impl Room {
    /// Creates a limit of this many bytes.
    pub fn of(whole: usize) -> Self {
        Self { whole, left: whole }
    }

    /// Takes bytes from the limit, or returns an error if too few are left.
    pub fn take(&mut self, bytes: usize) -> Result<(), InvokeError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.exceeded("a file is"))?;
        Ok(())
    }

    fn exceeded(&self, what: &str) -> InvokeError {
        let with = if self.left == self.whole { "" } else { ", together with the others of this prompt" };
        InvokeError::bad_request(format!("{what} larger than {} bytes{with}", self.whole))
    }
}

/// A downloaded file.
pub struct File {
    /// Media type of the response.
    pub mime_type: String,
    /// Content in Base64.
    pub base64: String,
}

/// Downloads a file within the remaining limit. `file_host` is the base URL of Dify's files, to which relative URLs are
/// joined.
pub async fn fetch(
    upstream: &Upstream,
    network: &NetworkSettings,
    file_host: Option<&str>,
    address: &str,
    room: &mut Room,
) -> Result<File, InvokeError> {
    let file_host = file_host.map(self::file_host).transpose()?;
    let url = absolute(address, file_host.as_ref())?;
    let work = follow(upstream, network, file_host.as_ref(), url, room);
    match tokio::time::timeout(DOWNLOAD_TIMEOUT, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(InvokeError::bad_request(format!(
            "downloading a file took longer than {} s",
            DOWNLOAD_TIMEOUT.as_secs()
        ))),
    }
}

/// Reads the credential `file_url`.
pub fn file_host(text: &str) -> Result<Url, InvokeError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| {
        InvokeError::credentials("credential `file_url` must be a URL that starts with http:// or https://")
    })
}

/// Whether a URL leads to the public internet and not to Dify, so that an upstream may be able to fetch it itself. A
/// private
/// address is an error.
pub async fn is_elsewhere(upstream: &Upstream, file_host: Option<&str>, address: &str) -> Result<bool, InvokeError> {
    let file_host = file_host.and_then(|host| Url::parse(host).ok());
    match Url::parse(address) {
        Ok(url) if url.scheme() == "https" && file_host.is_none_or(|base| base.origin() != url.origin()) => {
            resolve(upstream, &url, false).await.map(|_| true)
        }
        _ => Ok(false),
    }
}

fn absolute(address: &str, file_host: Option<&Url>) -> Result<Url, InvokeError> {
    match (Url::parse(address), file_host) {
        (Ok(url), _) if matches!(url.scheme(), "http" | "https") => Ok(url),
        (Ok(url), _) => {
            Err(InvokeError::bad_request(format!("a file has an unsupported URL scheme: {}", url.scheme())))
        }
        (Err(_), Some(base)) => {
            base.join(address).map_err(|error| InvokeError::bad_request(format!("a file URL is not valid: {error}")))
        }
        (Err(_), None) => Err(InvokeError::bad_request("a file has a relative URL")
            .with_hint("Set `file_url` in the provider credentials to the URL of your Dify (FILES_URL).")),
    }
}

async fn follow(
    upstream: &Upstream,
    network: &NetworkSettings,
    file_host: Option<&Url>,
    mut url: Url,
    room: &mut Room,
) -> Result<File, InvokeError> {
    for _ in 0..=MAX_REDIRECTS {
        let shown = public_url(&url);
        let trusted = file_host.is_some_and(|base| base.origin() == url.origin());
        let addresses = resolve(upstream, &url, trusted).await?;
        if !trusted && !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err(InvokeError::bad_request(format!("files are not downloaded from the port of {shown}")).with_hint(
                "Only ports 80 and 443 are allowed. If this is your Dify, set its URL in the `file_url` credential.",
            ));
        }
        let mut request = UpstreamRequest::get(url.clone()).with_network(network.clone());
        // A small compressed response may be large when unpacked.
        request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let response = send(upstream, &request, &addresses).await.map_err(|error| {
            InvokeError::bad_request(format!("cannot download a file from {shown}: {}", error.message)).with_hint(
                "The plugin must be able to reach this URL. For files hosted by Dify, see the `file_url` credential.",
            )
        })?;
        if response.status.is_redirection() {
            let target = response.headers.get(LOCATION).and_then(|target| target.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            url = target.ok_or_else(|| InvokeError::bad_request(format!("{shown} redirects without a target")))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(InvokeError::bad_request(format!(
                    "{shown} redirects to an unsupported URL scheme: {}",
                    url.scheme()
                )));
            }
            continue;
        }
        if !response.status.is_success() {
            return Err(InvokeError::bad_request(format!(
                "cannot download a file: {shown} returned {}",
                response.status
            )));
        }
        let mime_type = response.content_type();
        if response.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(InvokeError::bad_request(format!(
                "the file at {shown} is compressed, although the request does not allow it"
            )));
        }
        let too_large = |room: &Room| room.exceeded(&format!("the file at {shown} is"));
        let length = length(&response);
        if length.is_some_and(|length| length > room.left as u64) {
            return Err(too_large(room));
        }
        // Encoded as it arrives, because the bytes and their Base64 together would take more than twice the memory.
        let mut base64 = String::with_capacity(length.map_or(0, |length| (length as usize).div_ceil(3) * 4));
        let (mut rest, mut size) = (Vec::new(), 0);
        let mut body = response.body;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                InvokeError::bad_request(format!("the download from {shown} was interrupted: {}", error.message))
            })?;
            size += chunk.len();
            if size > room.left {
                return Err(too_large(room));
            }
            rest.extend_from_slice(&chunk);
            let whole = rest.len() / 3 * 3;
            STANDARD.encode_string(&rest[..whole], &mut base64);
            rest.drain(..whole);
        }
        STANDARD.encode_string(&rest, &mut base64);
        if size == 0 {
            return Err(InvokeError::bad_request(format!("the file at {shown} is empty")));
        }
        room.take(size)?;
        return Ok(File { mime_type, base64 });
    }
    Err(InvokeError::bad_request(format!("a file URL redirects more than {MAX_REDIRECTS} times")))
}

/// Sends a request to a host, and retries if it is busy.
async fn send(
    upstream: &Upstream,
    request: &UpstreamRequest,
    addresses: &[SocketAddr],
) -> Result<UpstreamResponse, InvokeError> {
    const BUSY: [StatusCode; 4] = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    for wait in RETRY_DELAYS {
        let response = upstream.send_to(request, addresses).await?;
        if !BUSY.contains(&response.status) {
            return Ok(response);
        }
        tokio::time::sleep(wait).await;
    }
    upstream.send_to(request, addresses).await
}

/// Returns the file size that the server reports.
fn length(response: &UpstreamResponse) -> Option<u64> {
    response.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Resolves the addresses of a host. Unless the host is Dify's own, all of them must be public.
async fn resolve(upstream: &Upstream, url: &Url, trusted: bool) -> Result<Vec<SocketAddr>, InvokeError> {
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => upstream.lookup(name, port).await.map_err(|error| {
            InvokeError::bad_request(format!("cannot resolve the host {name} of a file URL: {}", error.message))
        })?,
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(InvokeError::bad_request("a file URL has no host"));
    }
    if !trusted {
        refuse_private(url.host_str().unwrap_or_default(), &addresses)?;
    }
    Ok(addresses)
}

/// Rejects a host if any of its addresses is private.
fn refuse_private(host: &str, addresses: &[SocketAddr]) -> Result<(), InvokeError> {
    let Some(address) = addresses.iter().find(|address| !is_public(address.ip())) else { return Ok(()) };
    Err(InvokeError::bad_request(format!(
        "files are not downloaded from {host}, which is the private address {}",
        address.ip()
    ))
    .with_hint("If this is your Dify, set its URL in the `file_url` credential."))
}

/// Whether an address belongs to the public internet. Source: IANA special-purpose address registries.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is allocated; some blocks in it are for protocols, for documentation, or map to IPv4.
    let is_given_out = segments[0] & 0xe000 == 0x2000;
    let is_special = (segments[0] == 0x2001 && segments[1] < 0x200)
        || segments[..2] == [0x2001, 0xdb8]
        || segments[0] == 0x2002
        || (segments[0] == 0x3fff && segments[1] < 0x1000);
    is_given_out && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_public_addresses() {
        for address in
            ["8.8.8.8", "142.250.1.1", "2606:4700::1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "::ffff:0:10.0.0.1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
            "fec0::1",
            "ff02::1",
            "192.88.99.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn rejects_hosts_with_a_private_address() {
        let of = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            refuse_private("files.example", &addresses)
        };
        assert!(of(&["8.8.8.8:80", "[2606:4700::1]:80"]).is_ok());
        for addresses in [["8.8.8.8:80", "10.0.0.1:80"], ["[fd00::1]:80", "8.8.8.8:80"], ["8.8.8.8:80", "127.0.0.1:80"]]
        {
            assert!(
                of(&addresses).unwrap_err().message.contains("files.example, which is the private"),
                "{addresses:?}"
            );
        }
    }

    /// The name resolves to another address later (DNS rebinding); the connection goes to the checked one.
    #[tokio::test]
    async fn connects_to_the_checked_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let direct = NetworkSettings::new(Some("direct".into()), None);
        let url = Url::parse(&format!("http://changes.invalid:{}/", address.port())).unwrap();
        let (upstream, request) = (Upstream::new(), UpstreamRequest::get(url).with_network(direct));
        let addresses = [address];
        // The server closes each connection.
        let (sent, accepted) =
            tokio::join!(upstream.send_to(&request, &addresses), async { listener.accept().await.map(drop) });
        assert!(sent.is_err() && accepted.is_ok());
    }

    #[tokio::test]
    async fn rejects_urls_that_are_not_allowed() {
        let upstream = Upstream::new();
        for (address, host, expected) in [
            ("file:///etc/passwd", None, "unsupported URL scheme: file"),
            ("/files/a.png", None, "relative URL"),
            ("http://169.254.169.254/latest", None, "private address 169.254.169.254"),
            ("http://[::ffff:10.0.0.1]/", None, "private address"),
            ("http://localhost:1/", None, "private address"),
            ("https://8.8.8.8:22/", None, "not downloaded from the port"),
            (
                "http://8.8.8.8:8080/a.png?token=s3cret",
                None,
                "not downloaded from the port of http://8.8.8.8:8080/a.png",
            ),
            (
                "http://127.0.0.1:1/x?token=s3cret",
                Some("http://127.0.0.1:1"),
                "cannot download a file from http://127.0.0.1:1/x:",
            ),
        ] {
            let error =
                fetch(&upstream, &NetworkSettings::default(), host, address, &mut Room::of(10)).await.err().unwrap();
            assert!(error.message.contains(expected), "{address}: {error}");
            assert!(!error.detail().contains("s3cret"), "{error}");
        }
    }
}
