//! What the client trusts, told: certificates of this system, of a file, of a form field, and until when they are good.
//!
//! Which certificates a call really uses is decided in `pool`.

use std::path::PathBuf;
use std::{env, fs, io};

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::pem;

/// One certificate, as far as a person needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it names (`CN=Example Root CA,O=Example`).
    pub subject: String,
    /// Not good before.
    pub from: Timestamp,
    /// Not good after.
    pub until: Timestamp,
}

/// The certificates of a PEM text, in its order; one that cannot be read says why.
pub fn certificates(text: &str) -> Vec<Result<CertificateFacts, String>> {
    let blocks = pem::blocks(text);
    blocks.iter().filter(|block| block.label == "CERTIFICATE").map(facts).collect()
}

fn facts(block: &pem::Block) -> Result<CertificateFacts, String> {
    let der = block.der().ok_or("its base64 is damaged")?;
    let certificate = Certificate::from_der(&der).map_err(|error| format!("it is not X.509: {error}"))?;
    let body = certificate.tbs_certificate;
    let time = |time: x509_cert::time::Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    Ok(CertificateFacts {
        subject: body.subject.to_string(),
        from: time(body.validity.not_before),
        until: time(body.validity.not_after),
    })
}

/// The certificate store of this system, as the client reads it.
pub struct SystemStore {
    /// How many certificates it holds.
    pub certificates: usize,
    /// What of it could not be read.
    pub problems: Vec<String>,
}

/// Reads the store of this system: that of `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set.
pub fn system_store() -> SystemStore {
    let found = rustls_native_certs::load_native_certs();
    SystemStore { certificates: found.certs.len(), problems: found.errors.iter().map(ToString::to_string).collect() }
}

/// The file that `REQUESTS_CA_BUNDLE` names, for which operators know Python's clients, and its text. It is looked at where
/// neither `SSL_CERT_FILE` nor `SSL_CERT_DIR` is set, and trusted besides the store of this system.
pub fn requests_bundle() -> Option<(PathBuf, io::Result<String>)> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if set("SSL_CERT_FILE").is_some() || set("SSL_CERT_DIR").is_some() {
        return None;
    }
    let file = PathBuf::from(set("REQUESTS_CA_BUNDLE")?);
    let text = fs::read_to_string(&file);
    Some((file, text))
}

/// How many roots are built in, for a system without a store.
pub fn bundled_roots() -> usize {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_bundled_root_is_read_back_with_its_dates() {
        let der = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[0];
        let text = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", STANDARD.encode(der));
        let found = certificates(&text);
        let facts = found[0].as_ref().unwrap();
        assert!(!facts.subject.is_empty() && facts.from < facts.until, "{facts:?}");
    }

    #[test]
    fn what_is_no_certificate_says_why() {
        let text = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----\
                    -----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----\
                    -----BEGIN CERTIFICATE-----*-----END CERTIFICATE-----";
        let found = certificates(text);
        assert_eq!(found.len(), 2);
        assert!(found[0].as_ref().unwrap_err().contains("X.509"));
        assert!(found[1].as_ref().unwrap_err().contains("base64"));
    }
}
