//! Files that a prompt names by address, fetched for an upstream that cannot: public addresses and the ports of the web
//! only, one limit for all files of a prompt, counted as they are when unpacked, no credential, and a connection to exactly
//! the address that was checked.
//!
//! Dify's own file host may be private and on any port: it is the one that the `file_url` credential names.

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

/// Redirects that are followed, each checked like the first address.
const MAX_REDIRECTS: usize = 3;

/// Longest wait for the whole file.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits before a host that is busy is asked again.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1000)];

/// Ports of public hosts.
const PORTS: [u16; 2] = [80, 443];

/// Bytes that files may have together, and how many of them are left.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    whole: usize,
    left: usize,
}

impl Room {
    /// So many bytes, all of them left.
    pub fn of(whole: usize) -> Self {
        Self { whole, left: whole }
    }

    /// Takes so many bytes, or says that they are too many.
    pub fn take(&mut self, bytes: usize) -> Result<(), InvokeError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.exceeded("a file is"))?;
        Ok(())
    }

    fn exceeded(&self, what: &str) -> InvokeError {
        let with = if self.left == self.whole { "" } else { ", together with the others of this prompt" };
        InvokeError::bad_request(format!("{what} larger than {} bytes{with}", self.whole))
    }
}

/// A fetched file.
pub struct File {
    /// Media type of the answer.
    pub mime_type: String,
    /// The bytes in base64.
    pub base64: String,
}

/// Fetches a file into the room that is left. `file_host` is the base of Dify's files: relative addresses are joined to it.
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
        Err(_) => {
            Err(InvokeError::bad_request(format!("a file did not arrive within {} s", DOWNLOAD_TIMEOUT.as_secs())))
        }
    }
}

/// Reads the credential `file_url`.
pub fn file_host(text: &str) -> Result<Url, InvokeError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| {
        InvokeError::credentials("credential `file_url` must be an address that begins with http:// or https://")
    })
}

/// Whether an address is of the public internet and not of Dify: then an upstream may be able to fetch it by itself. A
/// private address is an error.
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
            Err(InvokeError::bad_request(format!("files are not fetched from {}: addresses", url.scheme())))
        }
        (Err(_), Some(base)) => base
            .join(address)
            .map_err(|error| InvokeError::bad_request(format!("a file's address cannot be read: {error}"))),
        (Err(_), None) => Err(InvokeError::bad_request("a file has a relative address")
            .with_hint("Set `file_url` in the provider's credentials to the address of your Dify (FILES_URL).")),
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
            return Err(InvokeError::bad_request(format!("files are not fetched from the port of {shown}")).with_hint(
                "Only ports 80 and 443 are asked. If it is your Dify, name its address in the `file_url` credential.",
            ));
        }
        let mut request = UpstreamRequest::get(url.clone()).with_network(network.clone());
        // What is small on its way may be large here.
        request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = send(upstream, &request, &addresses).await.map_err(|error| {
            InvokeError::bad_request(format!("a file cannot be fetched from {shown}: {}", error.message))
                .with_hint("The plugin must reach that address; for files of Dify see the `file_url` credential.")
        })?;
        if answer.status.is_redirection() {
            let target = answer.headers.get(LOCATION).and_then(|target| target.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            url = target.ok_or_else(|| InvokeError::bad_request(format!("{shown} redirects to nowhere")))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(InvokeError::bad_request(format!("{shown} redirects to a {}: address", url.scheme())));
            }
            continue;
        }
        if !answer.status.is_success() {
            return Err(InvokeError::bad_request(format!(
                "a file cannot be fetched: {shown} answers {}",
                answer.status
            )));
        }
        let mime_type = answer.content_type();
        if answer.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(InvokeError::bad_request(format!(
                "the file at {shown} comes compressed, which was not asked for"
            )));
        }
        let too_large = |room: &Room| room.exceeded(&format!("the file at {shown} is"));
        let length = length(&answer);
        if length.is_some_and(|length| length > room.left as u64) {
            return Err(too_large(room));
        }
        // As it comes: the bytes and their base64 together would be more than twice the file.
        let mut base64 = String::with_capacity(length.map_or(0, |length| (length as usize).div_ceil(3) * 4));
        let (mut rest, mut size) = (Vec::new(), 0);
        let mut body = answer.body;
        while let Some(piece) = body.next().await {
            let piece =
                piece.map_err(|error| InvokeError::bad_request(format!("{shown} broke off: {}", error.message)))?;
            size += piece.len();
            if size > room.left {
                return Err(too_large(room));
            }
            rest.extend_from_slice(&piece);
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
    Err(InvokeError::bad_request(format!("a file's address redirects more than {MAX_REDIRECTS} times")))
}

/// Asks a host, and a busy one again.
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
        let answer = upstream.send_to(request, addresses).await?;
        if !BUSY.contains(&answer.status) {
            return Ok(answer);
        }
        tokio::time::sleep(wait).await;
    }
    upstream.send_to(request, addresses).await
}

/// How long the server says that the file is.
fn length(answer: &UpstreamResponse) -> Option<u64> {
    answer.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The addresses of a host; every one of them must be public unless the host is Dify's own.
async fn resolve(upstream: &Upstream, url: &Url, trusted: bool) -> Result<Vec<SocketAddr>, InvokeError> {
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => upstream.lookup(name, port).await.map_err(|error| {
            InvokeError::bad_request(format!("a file's host {name} cannot be resolved: {}", error.message))
        })?,
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(InvokeError::bad_request("a file's address names no host"));
    }
    if !trusted {
        refuse_private(url.host_str().unwrap_or_default(), &addresses)?;
    }
    Ok(addresses)
}

/// One private address among those of a host is enough.
fn refuse_private(host: &str, addresses: &[SocketAddr]) -> Result<(), InvokeError> {
    let Some(address) = addresses.iter().find(|address| !is_public(address.ip())) else { return Ok(()) };
    Err(InvokeError::bad_request(format!(
        "files are not fetched from {host}, which is the private address {}",
        address.ip()
    ))
    .with_hint("If it is your Dify, name its address in the `file_url` credential."))
}

/// Whether an address belongs to the public internet. Source: IANA's special-purpose address registries.
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
    // Only 2000::/3 is given out; in it, some blocks are for protocols, for documentation, or lead to IPv4.
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
    fn only_the_public_internet_is_public() {
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
    fn a_host_with_one_private_address_is_private() {
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

    /// A name that resolves to something else a moment later: the connection goes to what was checked.
    #[tokio::test]
    async fn the_connection_goes_to_the_address_that_was_checked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let direct = NetworkSettings::new(Some("direct".into()), None);
        let url = Url::parse(&format!("http://changes.invalid:{}/", address.port())).unwrap();
        let (upstream, request) = (Upstream::new(), UpstreamRequest::get(url).with_network(direct));
        let addresses = [address];
        // Whoever is connected to hangs up.
        let (sent, accepted) =
            tokio::join!(upstream.send_to(&request, &addresses), async { listener.accept().await.map(drop) });
        assert!(sent.is_err() && accepted.is_ok());
    }

    #[tokio::test]
    async fn what_is_not_fetched_is_named() {
        let upstream = Upstream::new();
        for (address, host, said) in [
            ("file:///etc/passwd", None, "file: addresses"),
            ("/files/a.png", None, "relative address"),
            ("http://169.254.169.254/latest", None, "private address 169.254.169.254"),
            ("http://[::ffff:10.0.0.1]/", None, "private address"),
            ("http://localhost:1/", None, "private address"),
            ("https://8.8.8.8:22/", None, "not fetched from the port"),
            ("http://8.8.8.8:8080/a.png?token=s3cret", None, "not fetched from the port of http://8.8.8.8:8080/a.png"),
            (
                "http://127.0.0.1:1/x?token=s3cret",
                Some("http://127.0.0.1:1"),
                "cannot be fetched from http://127.0.0.1:1/x:",
            ),
        ] {
            let error =
                fetch(&upstream, &NetworkSettings::default(), host, address, &mut Room::of(10)).await.err().unwrap();
            assert!(error.message.contains(said), "{address}: {error}");
            assert!(!error.detail().contains("s3cret"), "{error}");
        }
    }
}
