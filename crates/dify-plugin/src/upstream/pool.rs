//! The HTTP clients of the process: pooled connections, root certificates, proxies.
//!
//! Clients are built on first use and kept per proxy and certificate setting. [`super::client`] decides what is sent
//! through them and how often.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect;
use secrecy::ExposeSecret;
use tracing::warn;

use super::certificates;
use super::connect_times::ConnectLayer;
use super::instance::Resolver;
use super::network::{DIRECT, NetworkKey, NetworkSettings};
use super::transport_error::causes;
use crate::error::InvokeError;

/// Maximum number of different proxy and certificate settings whose clients are kept.
const MAX_CLIENTS: usize = 64;

/// Maximum number of idle connections per host, so that memory is released after a burst.
const MAX_IDLE_CONNECTIONS: usize = 32;

type ClientKey = (NetworkKey, Duration);

/// Additional certificates that Python's HTTP clients on this machine trust.
static BUNDLE: LazyLock<Vec<reqwest::Certificate>> = LazyLock::new(|| {
    let Some((file, text)) = certificates::requests_bundle() else { return Vec::new() };
    let found = text.map_err(|error| error.to_string());
    let found =
        found.and_then(|text| reqwest::Certificate::from_pem_bundle(text.as_bytes()).map_err(|error| causes(&error)));
    found.unwrap_or_else(|reason| {
        warn!(file = %file.display(), reason, "cannot read REQUESTS_CA_BUNDLE; its certificates are not trusted");
        Vec::new()
    })
});

/// The user agent of a plugin that names none.
const DEFAULT_USER_AGENT: &str = concat!("dify-plugin/", env!("CARGO_PKG_VERSION"));

/// Clients by settings: what one credential form provides is used for that form only.
#[derive(Default)]
pub(super) struct Pool {
    clients: Mutex<Clients>,
    user_agent: Option<Arc<str>>,
    /// Whether the clients note when they open connections.
    pub(super) is_observed: bool,
}

#[derive(Default)]
struct Clients {
    by_key: HashMap<ClientKey, (reqwest::Client, u64)>,
    /// Number of uses, to find the least recently used client.
    uses: u64,
}

impl Pool {
    /// An empty pool, whose clients note when they open connections.
    pub(super) fn observed() -> Self {
        Self { is_observed: true, ..Self::default() }
    }

    /// An empty pool like this one, whose clients name this user agent.
    pub(super) fn with_user_agent(&self, user_agent: Arc<str>) -> Self {
        Self { clients: Mutex::default(), user_agent: Some(user_agent), is_observed: self.is_observed }
    }

    /// Returns the user agent of the clients.
    pub(super) fn user_agent(&self) -> &str {
        self.user_agent.as_deref().unwrap_or(DEFAULT_USER_AGENT)
    }

    /// Builds a client that is not pooled, which connects to these addresses of the host.
    pub(super) fn pinned(
        &self,
        network: &NetworkSettings,
        connect: Duration,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Result<reqwest::Client, InvokeError> {
        self.build(network, connect, Some((host, addresses)))
    }

    /// Returns the pooled client for these settings.
    pub(super) fn client(&self, network: &NetworkSettings, connect: Duration) -> Result<reqwest::Client, InvokeError> {
        let key = (network.key(), connect);
        let clients = &mut *self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.uses += 1;
        if let Some((client, used)) = clients.by_key.get_mut(&key) {
            *used = clients.uses;
            return Ok(client.clone());
        }
        let client = self.build(network, connect, None)?;
        if clients.by_key.len() >= MAX_CLIENTS
            && let Some(oldest) = clients.by_key.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            clients.by_key.remove(&oldest);
        }
        clients.by_key.insert(key, (client.clone(), clients.uses));
        Ok(client)
    }

    /// Builds a client with the system's root certificates, or with the bundled ones if the system has none.
    #[allow(clippy::disallowed_methods)] // the only allowed use
    fn build(
        &self,
        network: &NetworkSettings,
        connect: Duration,
        pinned: Option<(&str, &[SocketAddr])>,
    ) -> Result<reqwest::Client, InvokeError> {
        let mut extra = BUNDLE.clone();
        if let Some(pem) = &network.extra_ca {
            let given = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            extra.extend(
                given
                    .map_err(|error| InvokeError::credentials(format!("cannot parse credential `tls_ca`: {error}")))?,
            );
        }
        let builder = || -> Result<reqwest::ClientBuilder, InvokeError> {
            let mut builder = reqwest::Client::builder()
                .user_agent(self.user_agent())
                .connect_timeout(connect)
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
                .tcp_keepalive(Duration::from_secs(30))
                .tcp_nodelay(true)
                .redirect(redirect::Policy::none())
                // Decompressed by `unpack`, which measures the size.
                .no_gzip()
                .no_brotli();
            #[cfg(feature = "http2")]
            {
                builder = builder
                    .http2_keep_alive_interval(Duration::from_secs(30))
                    .http2_keep_alive_timeout(Duration::from_secs(20))
                    .http2_adaptive_window(true);
            }
            if self.is_observed {
                builder = builder.connector_layer(ConnectLayer);
            }
            if !network.is_of_machine() {
                builder = builder.dns_resolver(Resolver);
            }
            if let Some((host, addresses)) = pinned {
                builder = builder.resolve_to_addrs(host, addresses);
            }
            if let Some(proxy) = &network.proxy {
                let address = proxy.expose_secret();
                builder = match address {
                    DIRECT => builder.no_proxy(),
                    _ => builder.proxy(reqwest::Proxy::all(address).map_err(|_| {
                        InvokeError::credentials(
                            "credential `proxy_url` must be an http://, https:// or socks5:// URL, or `direct`",
                        )
                    })?),
                };
            }
            Ok(builder)
        };
        use_backend();
        let system = builder()?.tls_certs_merge(extra.iter().cloned()).build();
        system.or_else(|error| {
            warn!(reason = %error, "no usable system certificate store; using the bundled root certificates");
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .filter_map(|root| reqwest::Certificate::from_der(root).ok());
            builder()
                .map(|builder| builder.tls_certs_only(bundled.chain(extra.iter().cloned())))?
                .build()
                .map_err(|error| InvokeError::internal(format!("cannot set up the HTTP client: {}", causes(&error))))
        })
    }
}

/// Makes the backend of this build the process's default, unless the process has chosen one.
fn use_backend() {
    #[cfg(feature = "aws-lc")]
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(all(feature = "ring", not(feature = "aws-lc")))]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_the_least_recently_used_client() {
        let pool = Pool::default();
        let network = |number: usize| NetworkSettings::new(Some(format!("http://127.0.0.1:{number}").into()), None);
        let get = |number: usize| drop(pool.client(&network(number), Duration::from_secs(1)).unwrap());
        let is_kept = |number: usize| {
            pool.clients.lock().unwrap().by_key.contains_key(&(network(number).key(), Duration::from_secs(1)))
        };
        (1..=MAX_CLIENTS).for_each(get);
        get(1);
        get(MAX_CLIENTS + 1);
        assert!(is_kept(1) && !is_kept(2), "the least recently used client is evicted");
        assert!((3..=MAX_CLIENTS + 1).all(is_kept));
    }
}
