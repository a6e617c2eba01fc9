//! Generates the key pairs that sign packages. Of the two backends only aws-lc generates RSA keys.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use pem::{EncodeConfig, LineEnding, Pem};
use pkcs8::PrivateKeyInfo;

use super::PackageError;

/// A key pair in PEM.
pub struct Keys {
    /// Private key (PKCS#1).
    pub private: String,
    /// Public key (PKCS#1).
    pub public: String,
}

/// Generates a key pair: RSA 4096, as Dify's CLI does.
pub fn generate() -> Result<Keys, PackageError> {
    let failure = |text: &str| PackageError::Wrong(text.to_owned());
    let pair = KeyPair::generate(KeySize::Rsa4096).map_err(|_| failure("cannot generate a key pair"))?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| failure("cannot encode the key"))?;
    let inner = PrivateKeyInfo::try_from(pkcs8.as_ref()).map_err(|_| failure("cannot encode the key"))?;
    let encode = |tag: &str, der: &[u8]| {
        pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
    };
    Ok(Keys {
        private: encode("RSA PRIVATE KEY", inner.private_key),
        public: encode("RSA PUBLIC KEY", pair.public_key().as_ref()),
    })
}
