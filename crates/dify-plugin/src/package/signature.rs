//! Signatures in the form of Dify's own command line: RSA 4096, PKCS#1, over the contents in the order of the archive.
//!
//! Source: `dify-plugin-daemon: pkg/plugin_packager/signer/`, `pkg/plugin_packager/decoder/verifier.go`, `pkg/utils/encryption/`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pem::{EncodeConfig, LineEnding, Pem};
use pkcs8::PrivateKeyInfo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::inspect::{Contents, Entry};
use super::{PackageError, archive, inspect};

/// Says in whose name a package is signed; the last entry of a signed package.
pub const VERIFICATION_FILE: &str = ".verification.dify.json";

/// The comment of a signed archive.
#[derive(Debug, Serialize, Deserialize)]
struct Comment {
    signature: String,
    time: i64,
}

/// A key pair in PEM.
pub struct Keys {
    /// PKCS#1, secret.
    pub private: String,
    /// PKCS#1.
    pub public: String,
}

fn wrong(text: impl Into<String>) -> PackageError {
    PackageError::Wrong(text.into())
}

/// Makes a key pair.
pub fn generate() -> Result<Keys, PackageError> {
    let pair = KeyPair::generate(KeySize::Rsa4096).map_err(|_| wrong("no key could be made"))?;
    let pkcs8 =
        AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| wrong("the key cannot be written"))?;
    let inner = PrivateKeyInfo::try_from(pkcs8.as_ref()).map_err(|_| wrong("the key cannot be written"))?;
    let encode = |tag: &str, der: &[u8]| {
        pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
    };
    Ok(Keys {
        private: encode("RSA PRIVATE KEY", inner.private_key),
        public: encode("RSA PUBLIC KEY", pair.public_key().as_ref()),
    })
}

/// Signs a package; gives the bytes of the signed one.
pub fn sign(path: &Path, private_key: &str, category: &str) -> Result<Vec<u8>, PackageError> {
    let pem = pem::parse(private_key).map_err(|_| wrong("the private key is not PEM"))?;
    let pair = match pem.tag() {
        "RSA PRIVATE KEY" => KeyPair::from_der(pem.contents()),
        "PRIVATE KEY" => KeyPair::from_pkcs8(pem.contents()),
        other => return Err(wrong(format!("the private key is a `{other}`; an `RSA PRIVATE KEY` is needed"))),
    }
    .map_err(|_| wrong("the private key is not an RSA key of 2048 to 8192 bits"))?;
    let contents = inspect::read(path)?;
    // What is no package is not signed, whatever else it is.
    contents.manifest().map_err(|error| wrong(format!("{}: not a package: {error}", path.display())))?;
    let mut entries = contents.entries;
    entries.retain(|entry| entry.path != VERIFICATION_FILE);
    let verification = json!({ "authorized_category": category }).to_string().into_bytes();
    entries.push(Entry { path: VERIFICATION_FILE.to_owned(), bytes: verification });
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed_data(&entries, time), &mut signature)
        .map_err(|_| wrong("the package cannot be signed with this key"))?;
    let comment = json!(Comment { signature: STANDARD.encode(signature), time }).to_string();
    let files = entries.iter().map(|entry| (entry.path.as_str(), entry.bytes.as_slice()));
    archive::write_in_order(files, Some(&comment), |_| 0o644)
}

/// Checks the signature of a package file; says why it does not hold.
pub fn verify(path: &Path, public_key: &str) -> Result<(), PackageError> {
    verify_contents(&inspect::read(path)?, public_key).map_err(|error| match error {
        PackageError::Wrong(reason) => wrong(format!("{}: {reason}", path.display())),
        other => other,
    })
}

/// Checks the signature of a package that was read.
pub fn verify_contents(package: &Contents, public_key: &str) -> Result<(), PackageError> {
    let pem = pem::parse(public_key).map_err(|_| wrong("the public key is not PEM"))?;
    if !matches!(pem.tag(), "RSA PUBLIC KEY" | "PUBLIC KEY") {
        return Err(wrong(format!("the public key is a `{}`; an `RSA PUBLIC KEY` is needed", pem.tag())));
    }
    let comment = package.comment.as_deref().ok_or_else(|| wrong("it is not signed"))?;
    let comment: Comment = serde_json::from_str(comment).map_err(|_| wrong("its comment is no signature"))?;
    let signature = STANDARD.decode(&comment.signature).map_err(|_| wrong("its signature is not base64"))?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pem.contents())
        .verify(&signed_data(&package.entries, comment.time), &signature)
        .map_err(|_| wrong("the signature does not fit: another key signed it, or it was changed"))
}

/// Hashes of the contents in the archive's order, then the time as text. Names are not part of it.
fn signed_data(entries: &[Entry], time: i64) -> Vec<u8> {
    let mut data: Vec<u8> = entries.iter().flat_map(|entry| Sha256::digest(&entry.bytes)).collect();
    data.extend_from_slice(time.to_string().as_bytes());
    data
}
