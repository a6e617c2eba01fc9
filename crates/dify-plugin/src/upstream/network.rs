//! Proxy and certificate settings, which decide which pooled client a request uses.
//!
//! Every setting is also a credential field, because newer daemons pass only a few environment variables to a plugin.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::pem;
use crate::error::InvokeError;
use crate::protocol::Credentials;

/// Value of `proxy_url` that disables every proxy, whatever the environment sets.
pub(super) const DIRECT: &str = "direct";

/// Key by which clients are pooled.
pub(super) type NetworkKey = (Option<String>, Option<String>, bool);

/// Proxy and certificates of one provider's requests. Default: proxies of the environment, root certificates of the
/// system or the bundled ones.
#[derive(Clone, Default)]
pub struct NetworkSettings {
    /// `http://`, `https://` or `socks5://` URL, or `direct` for none; proxies of the environment when absent.
    pub proxy: Option<SecretString>,
    /// Additional trusted certificates in PEM format.
    pub extra_ca: Option<String>,
    /// Whether the addresses in [`super::instance`] are allowed.
    of_machine: bool,
}

impl NetworkSettings {
    /// Reads the credential fields `proxy_url` and `tls_ca` (PEM; line breaks may be lost or written as `\n`).
    pub fn from_credentials(credentials: &Credentials) -> Result<Self, InvokeError> {
        let proxy = credentials.get("proxy_url").map(|text| SecretString::from(text.to_owned()));
        let extra_ca = credentials.get("tls_ca").map(certificates).transpose()?;
        Ok(Self::new(proxy, extra_ca))
    }

    /// Creates settings from a proxy and certificates.
    pub fn new(proxy: Option<SecretString>, extra_ca: Option<String>) -> Self {
        Self { proxy, extra_ca, of_machine: false }
    }

    /// Settings for direct requests to what serves only this machine: its cloud's metadata server, or a URL that the
    /// operator allowed. No credential form can change them.
    pub fn of_machine() -> Self {
        Self { proxy: Some(SecretString::from(DIRECT)), extra_ca: None, of_machine: true }
    }

    /// Whether this is [`NetworkSettings::of_machine`].
    pub(super) fn is_of_machine(&self) -> bool {
        self.of_machine
    }

    /// Whether requests use nothing that a credential form provides: only the operator's proxies and the system's root
    /// certificates.
    pub fn is_operators(&self) -> bool {
        self.extra_ca.is_none() && self.proxy.as_ref().is_none_or(|proxy| proxy.expose_secret() == DIRECT)
    }

    /// Returns the key of the client pool.
    pub(super) fn key(&self) -> NetworkKey {
        (self.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned()), self.extra_ca.clone(), self.of_machine)
    }
}

/// Parses a proxy URL; without a scheme it is `http://`, as in the HTTP client.
pub(super) fn proxy_address(text: &str) -> Option<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&with_scheme).ok().filter(Url::has_host)
}

/// Returns the certificates in a form field, in normalized form.
fn certificates(text: &str) -> Result<String, InvokeError> {
    let found: String =
        pem::blocks(text).iter().filter(|block| block.label == "CERTIFICATE").map(pem::Block::text).collect();
    if found.is_empty() {
        return Err(InvokeError::credentials(
            "credential `tls_ca` contains no certificate; paste the PEM text, including the BEGIN and END lines",
        ));
    }
    Ok(found)
}
