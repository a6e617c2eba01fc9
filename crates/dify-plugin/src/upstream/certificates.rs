//! Certificate details for diagnosis: of the system's store, of a file and of a form field.
//!
//! `pool` decides which certificates a request uses.

use std::path::PathBuf;
use std::{env, fs, io};

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::pem;

/// Details of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject (`CN=Example Root CA,O=Example`).
    pub subject: String,
    /// Start of the validity period.
    pub from: Timestamp,
    /// End of the validity period.
    pub until: Timestamp,
}

/// Parses the certificates of a PEM text, in order; each error is the reason why one cannot be parsed.
pub fn certificates(text: &str) -> Vec<Result<CertificateFacts, String>> {
    let blocks = pem::blocks(text);
    blocks.iter().filter(|block| block.label == "CERTIFICATE").map(facts).collect()
}

fn facts(block: &pem::Block) -> Result<CertificateFacts, String> {
    let der = block.der().ok_or("invalid Base64")?;
    let certificate = Certificate::from_der(&der).map_err(|error| format!("not an X.509 certificate: {error}"))?;
    let body = certificate.tbs_certificate();
    let time = |time: x509_cert::time::Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    Ok(CertificateFacts {
        subject: body.subject().to_string(),
        from: time(body.validity().not_before),
        until: time(body.validity().not_after),
    })
}

/// The system's certificate store, as the HTTP client reads it.
pub struct SystemStore {
    /// Number of certificates.
    pub certificates: usize,
    /// Errors of what could not be read.
    pub problems: Vec<String>,
}

/// Reads the system's certificate store, or `SSL_CERT_FILE` and `SSL_CERT_DIR` if they are set.
pub fn system_store() -> SystemStore {
    let found = rustls_native_certs::load_native_certs();
    SystemStore { certificates: found.certs.len(), problems: found.errors.iter().map(ToString::to_string).collect() }
}

/// Returns the file in `REQUESTS_CA_BUNDLE`, which operators know from Python's HTTP clients, and its text. It is used
/// if neither `SSL_CERT_FILE` nor `SSL_CERT_DIR` is set, in addition to the system's certificate store.
pub fn requests_bundle() -> Option<(PathBuf, io::Result<String>)> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if set("SSL_CERT_FILE").is_some() || set("SSL_CERT_DIR").is_some() {
        return None;
    }
    let file = PathBuf::from(set("REQUESTS_CA_BUNDLE")?);
    let text = fs::read_to_string(&file);
    Some((file, text))
}

/// Number of bundled root certificates, for a system without a store.
pub fn bundled_roots() -> usize {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn parses_a_bundled_root_certificate() {
        let der = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[0];
        let text = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", STANDARD.encode(der));
        let found = certificates(&text);
        let facts = found[0].as_ref().unwrap();
        assert!(!facts.subject.is_empty() && facts.from < facts.until, "{facts:?}");
    }

    #[test]
    fn explains_invalid_certificates() {
        let text = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----\
                    -----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----\
                    -----BEGIN CERTIFICATE-----*-----END CERTIFICATE-----";
        let found = certificates(text);
        assert_eq!(found.len(), 2);
        assert!(found[0].as_ref().unwrap_err().contains("X.509"));
        assert!(found[1].as_ref().unwrap_err().contains("Base64"));
    }
}
