//! Proxy and certificates: what decides which pooled client a request uses.
//!
//! Every setting is a credential field too, because newer daemons hand a plugin only a short list of environment variables.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::pem;
use crate::error::InvokeError;
use crate::protocol::Credentials;

/// Proxy and certificates of one provider's calls. The default: environment proxies, system roots or the bundled ones.
#[derive(Clone, Default)]
pub struct NetworkSettings {
    /// `http://`, `https://` or `socks5://` address, or `direct` for none; environment proxies when absent.
    pub proxy: Option<SecretString>,
    /// Certificates in PEM that are trusted in addition.
    pub extra_ca: Option<String>,
}

impl NetworkSettings {
    /// Reads the credential fields `proxy_url` and `tls_ca` (PEM text, line breaks may be lost or written as `\n`).
    pub fn from_credentials(credentials: &Credentials) -> Result<Self, InvokeError> {
        let proxy = credentials.get("proxy_url").map(|text| SecretString::from(text.to_owned()));
        let extra_ca = credentials.get("tls_ca").map(certificates).transpose()?;
        Ok(Self { proxy, extra_ca })
    }

    /// The key of the client pool.
    pub(super) fn key(&self) -> (Option<String>, Option<String>) {
        (self.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned()), self.extra_ca.clone())
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
