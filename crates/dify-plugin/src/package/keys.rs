//! Generates the key pairs that sign packages: RSA 4096 in PEM, as Dify's CLI does.
//!
//! Of the two backends only aws-lc generates RSA keys; with ring, the command `openssl` of the machine does.

#[cfg_attr(feature = "aws-lc", path = "keys/aws_lc.rs")]
#[cfg_attr(not(feature = "aws-lc"), path = "keys/openssl.rs")]
mod generator;

use pem::{EncodeConfig, LineEnding, Pem};
use pkcs8::PrivateKeyInfoRef;

use super::PackageError;

/// A key pair in PEM.
pub struct Keys {
    /// Private key (PKCS#1).
    pub private: String,
    /// Public key (PKCS#1).
    pub public: String,
}

/// A key pair in DER.
struct Pair {
    private_pkcs8: Vec<u8>,
    public_pkcs1: Vec<u8>,
}

/// Generates a key pair.
pub fn generate() -> Result<Keys, PackageError> {
    let Pair { private_pkcs8, public_pkcs1 } = generator::generate().map_err(PackageError::Wrong)?;
    let private = PrivateKeyInfoRef::try_from(private_pkcs8.as_slice())
        .map_err(|_| PackageError::Wrong("cannot encode the key".to_owned()))?;
    let encode = |tag: &str, der: &[u8]| {
        pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
    };
    Ok(Keys {
        private: encode("RSA PRIVATE KEY", private.private_key.as_bytes()),
        public: encode("RSA PUBLIC KEY", &public_pkcs1),
    })
}
