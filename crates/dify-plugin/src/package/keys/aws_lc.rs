//! Generates a key pair with aws-lc.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;

use super::Pair;

/// Generates a pair, or says why it cannot.
pub(super) fn generate() -> Result<Pair, String> {
    let pair = KeyPair::generate(KeySize::Rsa4096).map_err(|_| "cannot generate a key pair")?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| "cannot encode the key")?;
    Ok(Pair { private_pkcs8: private.as_ref().to_vec(), public_pkcs1: pair.public_key().as_ref().to_vec() })
}
