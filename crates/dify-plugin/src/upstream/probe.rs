//! One address, step by step: proxy, name, connection, TLS, HTTP, clock. For diagnosis: it says which step fails.
//!
//! It uses the client that calls use, and sends no credential. It judges no status: whoever answers, answers.

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

/// Longest wait for each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// What was tried, and how it went.
pub struct ProbeStep {
    /// `proxy`, `dns`, `tcp`, `tls`, `http`.
    pub name: &'static str,
    /// What was seen, or why it ended here.
    pub outcome: Result<String, InvokeError>,
}

/// Everything that was tried, up to the first step that failed.
#[derive(Default)]
pub struct Probe {
    /// In order.
    pub steps: Vec<ProbeStep>,
    /// Seconds that the server's clock is ahead of ours; its `Date` is told in whole seconds.
    pub clock_ahead: Option<f64>,
}

/// Which way a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the server itself.
    Direct,
    /// By a proxy; its address without user and password.
    Proxy {
        /// The address.
        url: Url,
        /// Who named it.
        from: &'static str,
    },
}

/// Which way a call to an address goes: the credential's choice, else that of the environment, as the client decides it.
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
    let wrong = || InvokeError::credentials(format!("the proxy that {from} names is not an address"));
    Ok(Route::Proxy { url: public_url(&proxy_address(&address).ok_or_else(wrong)?), from })
}

/// Walks the way to an address.
pub async fn probe(upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Probe {
    let mut probe = Probe::default();
    // The error stands in the last step.
    let _ = probe.walk(upstream, url, network).await;
    probe
}

/// The step failed, and its error stands in the list.
struct Ended;

impl Probe {
    fn tell(&mut self, name: &'static str, outcome: Result<String, InvokeError>) -> Result<(), Ended> {
        let failed = outcome.is_err();
        self.steps.push(ProbeStep { name, outcome });
        if failed { Err(Ended) } else { Ok(()) }
    }

    async fn walk(&mut self, upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Result<(), Ended> {
        if let Err(forbidden) = instance::check(url, network) {
            return self.tell("tcp", Err(forbidden_error(forbidden)));
        }
        let route = match route(url, network) {
            Ok(route) => route,
            Err(error) => return self.tell("proxy", Err(error)),
        };
        let next = match &route {
            Route::Direct => url,
            Route::Proxy { url: proxy, from } => {
                self.tell("proxy", Ok(format!("{proxy} is used ({from})")))?;
                proxy
            }
        };
        self.connect(next).await?;
        self.request(upstream, url, network).await
    }

    /// Finds and opens the first hop.
    async fn connect(&mut self, url: &Url) -> Result<(), Ended> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(if url.scheme().starts_with("socks") { 1080 } else { 80 });
        let addresses = match lookup(&host, port).await {
            Ok(addresses) => addresses,
            Err(error) => return self.tell("dns", Err(error)),
        };
        if host.parse::<std::net::IpAddr>().is_err() {
            let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            self.tell("dns", Ok(format!("{host} is {}", list.join(", "))))?;
        }
        if let Err(forbidden) = instance::check_addresses(&host, &addresses) {
            return self.tell("tcp", Err(forbidden_error(forbidden)));
        }
        let opened = open(&host, port, &addresses).await;
        self.tell("tcp", opened)
    }

    /// Asks the server for its root, as a call would: pooled client, roots, proxy.
    async fn request(&mut self, upstream: &Upstream, url: &Url, network: &NetworkSettings) -> Result<(), Ended> {
        let request = UpstreamRequest::get(public_url(url)).with_network(network.clone());
        let client = match upstream.pool.client(network, STEP_TIMEOUT) {
            Ok(client) => client,
            Err(error) => return self.tell("tls", Err(error)),
        };
        let (before, started) = (Timestamp::now(), Instant::now());
        let answer = match tokio::time::timeout(STEP_TIMEOUT, client.get(request.url.clone()).send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let name = if tls_error(&error).is_some() { "tls" } else { "http" };
                return self.tell(name, Err(transport_error(&error, &request)));
            }
            Err(_) => {
                let message = format!("{} is connected but says nothing for {} s", request.url, STEP_TIMEOUT.as_secs());
                return self.tell("http", Err(InvokeError::connection(message)));
            }
        };
        let took = started.elapsed();
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return self.tell("proxy", Err(proxy_login_error(&request)));
        }
        if url.scheme() == "https" {
            self.tell("tls", Ok("the server's certificate is trusted".to_owned()))?;
        }
        self.clock_ahead = status::date(answer.headers()).map(|date| {
            let middle = before.as_second() as f64 + took.as_secs_f64() / 2.0 + before.subsec_nanosecond() as f64 / 1e9;
            // The server cut its time to whole seconds.
            date.as_second() as f64 + 0.5 - middle
        });
        self.tell(
            "http",
            Ok(format!("{} answers HTTP {} in {} ms", request.url, answer.status().as_u16(), took.as_millis())),
        )
    }
}

async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, InvokeError> {
    let failure = |why: String| {
        InvokeError::connection(format!("{host} cannot be resolved: {why}"))
            .with_hint("Check the name, and the DNS server of the machine or container that runs the plugin daemon.")
    };
    match tokio::time::timeout(STEP_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() { Err(failure("no address".to_owned())) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(failure(error.to_string())),
        Err(_) => Err(failure(format!("no answer within {} s", STEP_TIMEOUT.as_secs()))),
    }
}

/// Connects to the first address that answers.
async fn open(host: &str, port: u16, addresses: &[SocketAddr]) -> Result<String, InvokeError> {
    let started = Instant::now();
    match tokio::time::timeout(STEP_TIMEOUT, TcpStream::connect(addresses)).await {
        Ok(Ok(stream)) => {
            let peer = stream.peer_addr().map_or_else(|_| format!("{host}:{port}"), |peer| peer.to_string());
            Ok(format!("connected to {peer} in {} ms", started.elapsed().as_millis()))
        }
        Ok(Err(error)) => Err(InvokeError::connection(format!("{host}:{port} refuses the connection: {error}"))
            .with_hint("Check host and port, and that the server listens on an address this machine reaches.")),
        Err(_) => {
            Err(InvokeError::connection(format!("{host}:{port} does not answer within {} s", STEP_TIMEOUT.as_secs()))
                .with_hint(
                    "A firewall that drops packets looks like this; so does a network that is only reached by a proxy.",
                ))
        }
    }
}
