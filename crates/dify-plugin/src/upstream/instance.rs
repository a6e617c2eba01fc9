//! Addresses at which a cloud serves only its own machines: metadata, identity tokens, host agents. No credential form
//! and no prompt can reach them, by any name or proxy; only the operator's requests can
//! ([`NetworkSettings::of_machine`]).
//!
//! Not a filter of private networks: a model server may run in one; a file of a prompt may not
//! (`providers::common::download`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::network::{NetworkSettings, proxy_address};

/// Addresses outside the link-local networks, which contain most of them. Sources: the clouds' documentation of their
/// metadata servers, and Azure's of the host agent at 168.63.129.16.
const IPV4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
];

/// The same for IPv6; all of fd00:ec2::/32 is Amazon's.
const IPV6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),       // Google Cloud
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle Cloud
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),        // Scaleway
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),    // Akamai
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),  // Alibaba Cloud
];

/// Host names of the same servers, for requests through a proxy that resolves them itself.
const NAMES: [&str; 7] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
];

/// Error of a form or a prompt that targets the machine's cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is an address that a cloud reserves for its own machines; credential forms and prompts cannot use it")]
pub(super) struct Forbidden {
    host: String,
}

/// Rejects the URL of a request, or its proxy, if it targets such an address as written.
pub(super) fn check(url: &Url, network: &NetworkSettings) -> Result<(), Forbidden> {
    if network.is_of_machine() {
        return Ok(());
    }
    check_host(url)?;
    match network.proxy.as_ref().and_then(|proxy| proxy_address(proxy.expose_secret())) {
        Some(proxy) => check_host(&proxy),
        None => Ok(()),
    }
}

/// Rejects a host if one of its addresses is such an address.
pub(super) fn check_addresses(host: &str, addresses: &[SocketAddr]) -> Result<(), Forbidden> {
    match addresses.iter().find(|address| is_reserved(address.ip())) {
        Some(address) => Err(Forbidden { host: format!("{host} ({})", address.ip()) }),
        None => Ok(()),
    }
}

fn check_host(url: &Url) -> Result<(), Forbidden> {
    // The `url` crate parses numeric hosts as addresses for http and https only; proxies may have other schemes.
    let host = url.host().map(|host| match host {
        Host::Domain(name) => Host::parse(name).unwrap_or_else(|_| Host::Domain(name.to_owned())),
        Host::Ipv4(address) => Host::Ipv4(address),
        Host::Ipv6(address) => Host::Ipv6(address),
    });
    let forbidden = match &host {
        Some(Host::Ipv4(address)) => is_reserved(IpAddr::V4(*address)),
        Some(Host::Ipv6(address)) => is_reserved(IpAddr::V6(*address)),
        Some(Host::Domain(name)) => NAMES.contains(&name.trim_end_matches('.').to_ascii_lowercase().as_str()),
        None => false,
    };
    match (forbidden, host) {
        (true, Some(host)) => Err(Forbidden { host: host.to_string() }),
        _ => Ok(()),
    }
}

/// Whether a cloud reserves an address for its own machines.
fn is_reserved(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || IPV4.contains(&address),
        IpAddr::V6(address) => {
            embedded(address).is_some_and(|inner| is_reserved(IpAddr::V4(inner)))
                || address.is_unicast_link_local()
                || address.segments()[..2] == [0xfd00, 0xec2]
                || IPV6.contains(&address)
        }
    }
}

/// Returns the IPv4 address in an IPv6 address: mapped, compatible, translated (RFC 2765, 6052, 8215) or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0 | 1, _, _, _] => (g, h),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// The system's resolver with checked results.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            check_addresses(name.as_str(), &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_every_form_of_a_metadata_server() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "１６９.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "[::ffff:169.254.169.254]",
            "[::ffff:0:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[fe80::a9fe:a9fe]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "[fd20:ce::254]",
            "[fd00:c1::a9fe:a9fe]",
            "[fd00:42::42]",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
            "metadata",
        ] {
            let url = Url::parse(&format!("http://{host}/latest")).unwrap();
            assert!(check(&url, &NetworkSettings::default()).is_err(), "{host}");
            for scheme in ["", "http://", "socks5://", "socks5h://"] {
                let network = NetworkSettings::new(Some(format!("{scheme}{host}").into()), None);
                let far = Url::parse("https://example.com").unwrap();
                assert!(check(&far, &network).is_err(), "{scheme}{host} as proxy");
            }
            assert!(check(&url, &NetworkSettings::of_machine()).is_ok(), "{host}");
        }
    }

    #[test]
    fn accepts_servers_in_private_networks() {
        for host in ["127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "[fd00::1]", "[::1]", "metadata.example.com"]
        {
            let url = Url::parse(&format!("http://{host}:9997")).unwrap();
            assert_eq!(check(&url, &NetworkSettings::default()), Ok(()), "{host}");
        }
    }

    #[test]
    fn checks_the_addresses_of_a_host_name() {
        let of = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            check_addresses("rebound.example", &addresses)
        };
        assert_eq!(of(&["8.8.8.8:0", "10.0.0.1:0"]), Ok(()));
        let error = of(&["8.8.8.8:0", "169.254.169.254:0"]).unwrap_err().to_string();
        assert!(error.starts_with("rebound.example (169.254.169.254) is an address"), "{error}");
    }
}
