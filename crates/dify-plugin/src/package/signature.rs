//! Signatures in the format of Dify's CLI: RSA 4096, PKCS#1, over the contents in the order of the archive.
//!
//! Source: `dify-plugin-daemon: pkg/plugin_packager/signer/`, `pkg/plugin_packager/decoder/verifier.go`,
//! `pkg/utils/encryption/`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "aws-lc")]
use aws_lc_rs as backend;
use backend::rand::SystemRandom;
use backend::rsa::KeyPair;
use backend::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::SubjectPublicKeyInfoRef;
#[cfg(not(feature = "aws-lc"))]
use ring as backend;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::inspect::{Contents, Entry};
use super::{PackageError, archive, inspect};

/// Entry that names the signing authority; always the last entry of a signed package.
pub const VERIFICATION_FILE: &str = ".verification.dify.json";

/// Comment of a signed archive.
#[derive(Debug, Serialize, Deserialize)]
struct Comment {
    signature: String,
    time: i64,
}

fn failure(text: impl Into<String>) -> PackageError {
    PackageError::Wrong(text.into())
}

/// Length of a signature, and largest keys that sign, by backend.
#[cfg(feature = "aws-lc")]
fn signature_bytes(pair: &KeyPair) -> usize {
    pair.public_modulus_len()
}
#[cfg(not(feature = "aws-lc"))]
fn signature_bytes(pair: &KeyPair) -> usize {
    pair.public().modulus_len()
}
const MAX_PRIVATE_KEY_BITS: u32 = if cfg!(feature = "aws-lc") { 8192 } else { 4096 };

/// Signs a package and returns the bytes of the signed package.
pub fn sign(path: &Path, private_key: &str, category: &str) -> Result<Vec<u8>, PackageError> {
    let pem = pem::parse(private_key).map_err(|_| failure("the private key is not in PEM format"))?;
    let pair = match pem.tag() {
        "RSA PRIVATE KEY" => KeyPair::from_der(pem.contents()),
        "PRIVATE KEY" => KeyPair::from_pkcs8(pem.contents()),
        other => return Err(failure(format!("the private key is of type `{other}`; expected `RSA PRIVATE KEY`"))),
    }
    .map_err(|_| failure(format!("the private key is not an RSA key of 2048 to {MAX_PRIVATE_KEY_BITS} bits")))?;
    let contents = inspect::read(path)?;
    // Only packages are signed, not other archives.
    contents.manifest().map_err(|reason| failure(format!("{}: not a package: {reason}", path.display())))?;
    let mut entries = contents.entries;
    entries.retain(|entry| entry.path != VERIFICATION_FILE);
    let verification = json!({ "authorized_category": category }).to_string().into_bytes();
    entries.push(Entry { path: VERIFICATION_FILE.to_owned(), bytes: verification });
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let mut signature = vec![0; signature_bytes(&pair)];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed_data(&entries, time), &mut signature)
        .map_err(|_| failure("cannot sign the package with this key"))?;
    let comment = json!(Comment { signature: STANDARD.encode(signature), time }).to_string();
    let files = entries.iter().map(|entry| (entry.path.as_str(), entry.bytes.as_slice()));
    archive::write_in_order(files, Some(&comment), |_| 0o644)
}

/// Verifies the signature of a package file.
pub fn verify(path: &Path, public_key: &str) -> Result<(), PackageError> {
    verify_contents(&inspect::read(path)?, public_key).map_err(|error| match error {
        PackageError::Wrong(reason) => failure(format!("{}: {reason}", path.display())),
        other => other,
    })
}

/// Verifies the signature of a package in memory.
pub fn verify_contents(package: &Contents, public_key: &str) -> Result<(), PackageError> {
    let pem = pem::parse(public_key).map_err(|_| failure("the public key is not in PEM format"))?;
    let key = match pem.tag() {
        "RSA PUBLIC KEY" => pem.contents(),
        "PUBLIC KEY" => SubjectPublicKeyInfoRef::try_from(pem.contents())
            .ok()
            .and_then(|info| info.subject_public_key.as_bytes())
            .ok_or_else(|| failure("the public key cannot be parsed"))?,
        other => return Err(failure(format!("the public key is of type `{other}`; expected `RSA PUBLIC KEY`"))),
    };
    let comment = package.comment.as_deref().ok_or_else(|| failure("the package is not signed"))?;
    let comment: Comment =
        serde_json::from_str(comment).map_err(|_| failure("the archive comment is not a signature"))?;
    let signature = STANDARD.decode(&comment.signature).map_err(|_| failure("the signature is not valid Base64"))?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(&signed_data(&package.entries, comment.time), &signature)
        .map_err(|_| failure("the signature does not match: the package was signed with another key or was modified"))
}

/// Returns the hashes of the contents in the archive's order, followed by the time as text. Names are not signed.
fn signed_data(entries: &[Entry], time: i64) -> Vec<u8> {
    let mut data: Vec<u8> = entries.iter().flat_map(|entry| Sha256::digest(&entry.bytes)).collect();
    data.extend_from_slice(time.to_string().as_bytes());
    data
}
