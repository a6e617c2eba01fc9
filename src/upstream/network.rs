//! Proxy and certificates: what decides which pooled client a request uses.
//!
//! Every setting is a credential field too, because newer daemons hand a plugin only a short list of environment variables.

use secrecy::{ExposeSecret, SecretString};

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
        let extra_ca = credentials.get("tls_ca").map(normalise_pem).transpose()?;
        Ok(Self { proxy, extra_ca })
    }

    /// The key of the client pool.
    pub(super) fn key(&self) -> (Option<String>, Option<String>) {
        (self.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned()), self.extra_ca.clone())
    }
}

/// A one-line form field loses line breaks: `-----BEGIN CERTIFICATE-----` is found again and the base64 re-wrapped.
fn normalise_pem(text: &str) -> Result<String, InvokeError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut pem = String::new();
    let mut rest = text.as_str();
    while let Some(begin) = rest.find(BEGIN) {
        let body = &rest[begin + BEGIN.len()..];
        let Some(end) = body.find(END) else { break };
        let base64: String = body[..end].split_whitespace().collect();
        pem.push_str(BEGIN);
        pem.push('\n');
        for line in base64.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str(END);
        pem.push('\n');
        rest = &body[end + END.len()..];
    }
    if pem.is_empty() {
        return Err(InvokeError::credentials(
            "credential `tls_ca` holds no certificate: paste the PEM text with its BEGIN and END lines",
        ));
    }
    Ok(pem)
}
