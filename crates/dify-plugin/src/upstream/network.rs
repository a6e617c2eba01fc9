//! Proxy and certificates: what decides which pooled client a request uses.
//!
//! Every setting is a credential field too, because newer daemons hand a plugin only a short list of environment variables.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::pem;
use crate::error::InvokeError;
use crate::protocol::Credentials;

/// The word for no proxy at all, whatever the environment says.
pub(super) const DIRECT: &str = "direct";

/// What tells two networks apart.
pub(super) type NetworkKey = (Option<String>, Option<String>, bool);

/// Proxy and certificates of one provider's calls. The default: environment proxies, system roots or the bundled ones.
#[derive(Clone, Default)]
pub struct NetworkSettings {
    /// `http://`, `https://` or `socks5://` address, or `direct` for none; environment proxies when absent.
    pub proxy: Option<SecretString>,
    /// Certificates in PEM that are trusted in addition.
    pub extra_ca: Option<String>,
    /// Whether the addresses of [`super::instance`] may be called.
    of_machine: bool,
}

impl NetworkSettings {
    /// Reads the credential fields `proxy_url` and `tls_ca` (PEM text, line breaks may be lost or written as `\n`).
    pub fn from_credentials(credentials: &Credentials) -> Result<Self, InvokeError> {
        let proxy = credentials.get("proxy_url").map(|text| SecretString::from(text.to_owned()));
        let extra_ca = credentials.get("tls_ca").map(certificates).transpose()?;
        Ok(Self::new(proxy, extra_ca))
    }

    /// Proxy and certificates as a caller names them.
    pub fn new(proxy: Option<SecretString>, extra_ca: Option<String>) -> Self {
        Self { proxy, extra_ca, of_machine: false }
    }

    /// Straight to what answers this machine only: its cloud's metadata server, or an address that the operator allowed.
    /// No form has a say in it.
    pub fn of_machine() -> Self {
        Self { proxy: Some(SecretString::from(DIRECT)), extra_ca: None, of_machine: true }
    }

    /// Whether this is [`NetworkSettings::of_machine`].
    pub(super) fn is_of_machine(&self) -> bool {
        self.of_machine
    }

    /// Whether calls go by nothing that a form named: the operator's proxies or none, the system's roots.
    pub fn is_operators(&self) -> bool {
        self.extra_ca.is_none() && self.proxy.as_ref().is_none_or(|proxy| proxy.expose_secret() == DIRECT)
    }

    /// The key of the client pool.
    pub(super) fn key(&self) -> NetworkKey {
        (self.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned()), self.extra_ca.clone(), self.of_machine)
    }
}

/// A proxy's address; without a scheme it is an `http://` one, as the client takes it.
pub(super) fn proxy_address(text: &str) -> Option<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&with_scheme).ok().filter(Url::has_host)
}

/// The certificates of a form field, each in its normal form.
fn certificates(text: &str) -> Result<String, InvokeError> {
    let found: String =
        pem::blocks(text).iter().filter(|block| block.label == "CERTIFICATE").map(pem::Block::text).collect();
    if found.is_empty() {
        return Err(InvokeError::credentials(
            "credential `tls_ca` holds no certificate: paste the PEM text with its BEGIN and END lines",
        ));
    }
    Ok(found)
}
