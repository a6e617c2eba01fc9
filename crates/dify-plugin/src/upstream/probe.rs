//! Checks a URL step by step for diagnosis: proxy, DNS, connection, TLS, HTTP, clock. Reports the step that fails.
//!
//! Uses the same client as requests, and sends no credential. Any response counts, whatever its status.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use url::Url;

use super::client::public_url;
use super::instance;
use super::network::{DIRECT, NetworkSettings, proxy_address};
use super::request::UpstreamRequest;
use super::transport_error::{forbidden_error, proxy_login_error, tls_error, transport_error};
use super::{Upstream, status};
use crate::error::InvokeError;

/// Maximum duration of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// One step and its outcome.
pub struct ProbeStep {
    /// Step: `proxy`, `dns`, `tcp`, `tls` or `http`.
    pub name: &'static str,
    /// What was found, or why the step failed.
    pub outcome: Result<String, InvokeError>,
}

/// All steps, up to the first one that failed.
#[derive(Default)]
pub struct Probe {
    /// Steps in order.
    pub steps: Vec<ProbeStep>,
    /// Seconds by which the server's clock is ahead of this machine's; its `Date` header has a resolution of one
    /// second.
    pub clock_ahead: Option<f64>,
}

/// Route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// Direct connection.
    Direct,
    /// Through a proxy.
    Proxy {
        /// Proxy URL without user name and password.
        url: Url,
        /// Setting that the URL comes from.
        from: &'static str,
    },
}

/// Returns the route of a request: the proxy of the credentials, or else that of the environment, as the HTTP client
/// chooses it.
pub fn route(url: &Url, network: &NetworkSettings) -> Result<Route, InvokeError> {
    let (address, from) = match &network.proxy {
        Some(proxy) if proxy.expose_secret() == DIRECT => return Ok(Route::Direct),
        Some(proxy) => (proxy.expose_secret().to_owned(), "credential `proxy_url`"),
        None => {
            let target: Option<Uri> = url.as_str().parse().ok();
            match target.and_then(|target| Matcher::from_env().intercept(&target)) {
                Some(found) => (found.uri().to_string(), "the environment"),
                None => return Ok(Route::Direct),
            }
        }
    };
    let invalid = || InvokeError::credentials(format!("the proxy URL from {from} is not valid"));
    Ok(Route::Proxy { url: public_url(&proxy_address(&address).ok_or_else(invalid)?), from })
}

/// Checks a URL.
pub async fn probe(upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Probe {
    let mut probe = Probe::default();
    // The error is in the last step.
    let _ = probe.walk(upstream, url, network).await;
    probe
}

/// A step failed; its error is in the list.
struct Failed;

impl Probe {
    fn record(&mut self, name: &'static str, outcome: Result<String, InvokeError>) -> Result<(), Failed> {
        let failed = outcome.is_err();
        self.steps.push(ProbeStep { name, outcome });
        if failed { Err(Failed) } else { Ok(()) }
    }

    async fn walk(&mut self, upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Result<(), Failed> {
        if let Err(forbidden) = instance::check(url, network) {
            return self.record("tcp", Err(forbidden_error(forbidden)));
        }
        let route = match route(url, network) {
            Ok(route) => route,
            Err(error) => return self.record("proxy", Err(error)),
        };
        let next = match &route {
            Route::Direct => url,
            Route::Proxy { url: proxy, from } => {
                self.record("proxy", Ok(format!("using {proxy} (from {from})")))?;
                proxy
            }
        };
        self.connect(next).await?;
        self.request(upstream, url, network).await
    }

    /// Resolves and connects to the first hop.
    async fn connect(&mut self, url: &Url) -> Result<(), Failed> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(if url.scheme().starts_with("socks") { 1080 } else { 80 });
        let addresses = match lookup(&host, port).await {
            Ok(addresses) => addresses,
            Err(error) => return self.record("dns", Err(error)),
        };
        if host.parse::<std::net::IpAddr>().is_err() {
            let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            self.record("dns", Ok(format!("{host} resolves to {}", list.join(", "))))?;
        }
        if let Err(forbidden) = instance::check_addresses(&host, &addresses) {
            return self.record("tcp", Err(forbidden_error(forbidden)));
        }
        let opened = open(&host, port, &addresses).await;
        self.record("tcp", opened)
    }

    /// Requests the server's root path like any request: pooled client, certificates, proxy.
    async fn request(&mut self, upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Result<(), Failed> {
        let request = UpstreamRequest::get(public_url(url)).with_network(network.clone());
        let client = match upstream.pool.client(network, STEP_TIMEOUT) {
            Ok(client) => client,
            Err(error) => return self.record("tls", Err(error)),
        };
        let (before, started) = (Timestamp::now(), Instant::now());
        let response = match tokio::time::timeout(STEP_TIMEOUT, client.get(request.url.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let name = if tls_error(&error).is_some() { "tls" } else { "http" };
                return self.record(name, Err(transport_error(&error, &request)));
            }
            Err(_) => {
                let message = format!(
                    "{} accepted the connection but sent no response within {} s",
                    request.url,
                    STEP_TIMEOUT.as_secs()
                );
                return self.record("http", Err(InvokeError::connection(message)));
            }
        };
        let took = started.elapsed();
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return self.record("proxy", Err(proxy_login_error(&request)));
        }
        if url.scheme() == "https" {
            self.record("tls", Ok("the server's certificate is trusted".to_owned()))?;
        }
        self.clock_ahead = status::date(response.headers()).map(|date| {
            let middle = before.as_second() as f64 + took.as_secs_f64() / 2.0 + before.subsec_nanosecond() as f64 / 1e9;
            // The server truncated its time to seconds.
            date.as_second() as f64 + 0.5 - middle
        });
        self.record(
            "http",
            Ok(format!(
                "{} responded with HTTP {} in {} ms",
                request.url,
                response.status().as_u16(),
                took.as_millis()
            )),
        )
    }
}

async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, InvokeError> {
    let failure = |why: String| {
        InvokeError::connection(format!("cannot resolve {host}: {why}")).with_hint(
            "Check the host name, and the DNS server of the machine or container that runs the plugin daemon.",
        )
    };
    match tokio::time::timeout(STEP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() { Err(failure("no addresses found".to_owned())) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(failure(error.to_string())),
        Err(_) => Err(failure(format!("no response within {} s", STEP_TIMEOUT.as_secs()))),
    }
}

/// Connects to the first address that accepts a connection.
async fn open(host: &str, port: u16, addresses: &[SocketAddr]) -> Result<String, InvokeError> {
    let started = Instant::now();
    match tokio::time::timeout(STEP_TIMEOUT, TcpStream::connect(addresses)).await {
        Ok(Ok(stream)) => {
            let peer = stream.peer_addr().map_or_else(|_| format!("{host}:{port}"), |peer| peer.to_string());
            Ok(format!("connected to {peer} in {} ms", started.elapsed().as_millis()))
        }
        Ok(Err(error)) => Err(InvokeError::connection(format!("cannot connect to {host}:{port}: {error}"))
            .with_hint("Check the host and port, and that the server listens on an address this machine can reach.")),
        Err(_) => {
            Err(InvokeError::connection(format!("{host}:{port} did not respond within {} s", STEP_TIMEOUT.as_secs()))
                .with_hint(
                    "A firewall may be dropping packets, or this network may be reachable only through a proxy.",
                ))
        }
    }
}
