//! Addresses at which a cloud answers its own machines: metadata, identity tokens, agents of the host. No form and no
//! prompt leads there, under whatever name or proxy; only a request of the operator's does ([`NetworkSettings::of_machine`]).
//!
//! It is no filter of private networks: a model server may stand in one, a file of a prompt may not
//! (`providers::common::download`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::network::{NetworkSettings, proxy_address};

/// Beside the link-local networks, which hold most of them. Sources: the clouds' documentation of their metadata
/// servers, and Azure's of the host agent at 168.63.129.16.
const IPV4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
];

/// The same over IPv6; all of fd00:ec2::/32 is Amazon's.
const IPV6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),       // Google Cloud
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle Cloud
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),        // Scaleway
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),    // Akamai
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),  // Alibaba Cloud
];

/// Names of the same servers, for calls by a proxy, which resolves them itself.
const NAMES: [&str; 7] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
];

/// A form or a prompt leads to the machine's cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is an address at which a cloud answers its own machines; no form and no prompt leads there")]
pub(super) struct Forbidden {
    host: String,
}

/// Refuses an address of a request, and the proxy on the way to it, as they are written.
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

/// Refuses a host if one of its addresses is such a one.
pub(super) fn check_addresses(host: &str, addresses: &[SocketAddr]) -> Result<(), Forbidden> {
    match addresses.iter().find(|address| answers_machines(address.ip())) {
        Some(address) => Err(Forbidden { host: format!("{host} ({})", address.ip()) }),
        None => Ok(()),
    }
}

fn check_host(url: &Url) -> Result<(), Forbidden> {
    // Only http and https addresses have their hosts read as numbers; those of proxies may be of other schemes.
    let host = url.host().map(|host| match host {
        Host::Domain(name) => Host::parse(name).unwrap_or_else(|_| Host::Domain(name.to_owned())),
        Host::Ipv4(address) => Host::Ipv4(address),
        Host::Ipv6(address) => Host::Ipv6(address),
    });
    let forbidden = match &host {
        Some(Host::Ipv4(address)) => answers_machines(IpAddr::V4(*address)),
        Some(Host::Ipv6(address)) => answers_machines(IpAddr::V6(*address)),
        Some(Host::Domain(name)) => NAMES.contains(&name.trim_end_matches('.').to_ascii_lowercase().as_str()),
        None => false,
    };
    match (forbidden, host) {
        (true, Some(host)) => Err(Forbidden { host: host.to_string() }),
        _ => Ok(()),
    }
}

/// Whether a cloud answers its own machines at an address.
fn answers_machines(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || IPV4.contains(&address),
        IpAddr::V6(address) => {
            embedded(address).is_some_and(|inner| answers_machines(IpAddr::V4(inner)))
                || address.is_unicast_link_local()
                || address.segments()[..2] == [0xfd00, 0xec2]
                || IPV6.contains(&address)
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (RFC 2765, 6052, 8215) or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0 | 1, _, _, _] => (g, h),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// The system's resolver, whose answers are looked at.
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
    fn no_spelling_of_a_metadata_server_is_let_through() {
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
    fn servers_of_ones_own_network_are_let_through() {
        for host in ["127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "[fd00::1]", "[::1]", "metadata.example.com"]
        {
            let url = Url::parse(&format!("http://{host}:9997")).unwrap();
            assert_eq!(check(&url, &NetworkSettings::default()), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_is_what_its_addresses_are() {
        let of = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            check_addresses("rebound.example", &addresses)
        };
        assert_eq!(of(&["8.8.8.8:0", "10.0.0.1:0"]), Ok(()));
        let error = of(&["8.8.8.8:0", "169.254.169.254:0"]).unwrap_err().to_string();
        assert!(error.starts_with("rebound.example (169.254.169.254) is an address"), "{error}");
    }
}
