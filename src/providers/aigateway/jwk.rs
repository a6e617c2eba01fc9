//! Private keys as users have them: a JWK, a JWKS, an array of JWKs, or PEM. Finds, validates and binds a key to an
//! algorithm.
//!
//! Errors never contain private parts of a key, only member names, key IDs, sizes and curves.
//! Source: RFC 7517 (keys), RFC 7518 section 6 (oct, RSA, EC), RFC 8037 (OKP), RFC 7468 (PEM).

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::jws::{Algorithm, Curve, KeyKind, Material, SigningKey};
use dify_plugin::upstream::pem;

/// Minimum size of an RSA modulus in bits.
const MIN_RSA_BITS: usize = 2048;

/// Base64url as users paste it: with or without padding, and with unused bits set.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why no key can be used; safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither JSON nor PEM.
    #[error("not a JWK, JWKS or PEM private key: {0}")]
    Unreadable(String),
    /// A required member is missing or invalid.
    #[error("{key}: member `{member}` {problem}")]
    Member {
        /// Name of the key.
        key: String,
        /// Name of the member.
        member: &'static str,
        /// Description of the problem.
        problem: String,
    },
    /// Only the public key is present.
    #[error("{0} is a public key; signing requires the private key (with `{1}`)")]
    PublicOnly(String, &'static str),
    /// Key and algorithm, curve or use do not match.
    #[error("{0}")]
    Conflict(String),
    /// The key is shorter than its algorithm allows.
    #[error("{key} is too short: {found} bits; {algorithm} requires at least {needed}")]
    TooShort {
        /// Name of the key.
        key: String,
        /// Length in bits.
        found: usize,
        /// Minimum length in bits.
        needed: usize,
        /// Algorithm.
        algorithm: &'static str,
    },
    /// The components do not form a key.
    #[error("{0} is not valid: its components do not form a key")]
    Invalid(String),
    /// No key in a JWKS matches.
    #[error("no key in the JWKS matches: {0}")]
    NoMatch(String),
}

/// Parses `text` and selects the key for an algorithm and, if given, a key ID.
///
/// A key with another algorithm, use or ID is skipped. Of the remaining ones, a key with the ID is preferred, then one
/// with the algorithm, then the first. If there is a single key, the reason for skipping it is the error.
pub fn signing_key(text: &str, algorithm: Algorithm, kid: Option<&str>) -> Result<SigningKey, KeyError> {
    let keys = parse(text)?;
    let (mut matching, mut reasons) = (Vec::new(), Vec::new());
    for key in &keys {
        match key.mismatch_reason(algorithm, kid) {
            None => matching.push(key),
            Some(reason) => reasons.push(reason),
        }
    }
    let chosen = matching.iter().min_by_key(|key| (key.member("kid") != kid, key.member("alg").is_none()));
    match (chosen, <[KeyError; 1]>::try_from(reasons)) {
        (Some(key), _) => key.bind(algorithm, kid),
        (None, Ok([only])) => Err(only),
        (None, Err(reasons)) if reasons.is_empty() => Err(KeyError::Unreadable("the JWKS contains no keys".to_owned())),
        (None, Err(reasons)) => {
            Err(KeyError::NoMatch(reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
    }
}

/// Returns the algorithm for the first key of `text`: the one in the key, or else the usual one for its type. HS256 if
/// it is unknown; [`signing_key`] reports the error.
pub fn usual_algorithm(text: &str) -> Algorithm {
    let keys = parse(text).unwrap_or_default();
    let usual = |key: &Candidate| match key.member("alg").map(str::parse) {
        Some(Ok(named)) => Some(named),
        _ => match key.pem.as_deref().map_or_else(|| key.kind().ok(), pem_kind)? {
            KeyKind::Oct => Some(Algorithm::Hs256),
            KeyKind::Rsa => Some(Algorithm::Rs256),
            KeyKind::Ec(Curve::P256) => Some(Algorithm::Es256),
            KeyKind::Ec(Curve::P384) => Some(Algorithm::Es384),
            KeyKind::Ec(Curve::P521) => Some(Algorithm::Es512),
            KeyKind::Ed25519 => Some(Algorithm::EdDsa),
        },
    };
    keys.iter().find_map(usual).unwrap_or(Algorithm::Hs256)
}

/// Returns the type of key in a PEM text.
fn pem_kind(text: &str) -> Option<KeyKind> {
    pem::blocks(text).iter().find_map(|block| kind_of_der(&Zeroizing::new(block.der()?)))
}

/// A key of the text, not validated yet.
struct Candidate {
    /// Name for error messages.
    name: String,
    /// JSON members; only `kid`, `alg` and `use` for PEM.
    members: Map<String, Value>,
    /// PEM text, of a bare PEM or of the member `private_key`.
    pem: Option<String>,
}

fn parse(text: &str) -> Result<Vec<Candidate>, KeyError> {
    let text = text.trim();
    if text.contains("-----BEGIN ") && !text.starts_with(['{', '[']) {
        return Ok(vec![Candidate { name: "the PEM key".to_owned(), members: Map::new(), pem: Some(text.to_owned()) }]);
    }
    // The parser's error message contains positions only, never the text.
    let value: Value = serde_json::from_str(text).map_err(|error| KeyError::Unreadable(error.to_string()))?;
    let items = match value {
        Value::Array(items) => items,
        Value::Object(mut map) => match map.remove("keys") {
            Some(Value::Array(items)) => items,
            Some(_) => return Err(KeyError::Unreadable("`keys` is not an array".to_owned())),
            None => vec![Value::Object(map)],
        },
        _ => return Err(KeyError::Unreadable("the JSON is neither an object nor an array".to_owned())),
    };
    let alone = items.len() == 1;
    items.into_iter().enumerate().map(|(index, item)| Candidate::of(item, index + 1, alone)).collect()
}

impl Candidate {
    fn of(item: Value, number: usize, alone: bool) -> Result<Self, KeyError> {
        let Value::Object(members) = item else {
            return Err(KeyError::Unreadable(format!("key {number} of the JWKS is not an object")));
        };
        let name = match members.get("kid").and_then(Value::as_str) {
            Some(kid) => format!("key `{kid}`"),
            None if alone => "the key".to_owned(),
            None => format!("key {number}"),
        };
        let pem = members.get("private_key").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { name, members, pem })
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns why this key does not match, without checking its key material.
    fn mismatch_reason(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<KeyError> {
        let conflict = |text: String| Some(KeyError::Conflict(text));
        let wanted = algorithm.as_str();
        if let (Some(wanted), Some(found)) = (kid, self.member("kid"))
            && wanted != found
        {
            return conflict(format!("{} is not the requested key `{wanted}`", self.name));
        }
        if let Some(found) = self.member("alg")
            && found != wanted
        {
            return conflict(format!("{} is for {found} (`alg`), but the selected algorithm is {wanted}", self.name));
        }
        if let Some(found) = self.member("use")
            && found != "sig"
        {
            return conflict(format!("{} is for `{found}` (`use`), not for signatures", self.name));
        }
        if self.pem.is_some() {
            return None;
        }
        let kind = match self.kind() {
            Ok(kind) => kind,
            Err(error) => return Some(error),
        };
        if kind != algorithm.key_kind() {
            let needed = algorithm.key_kind();
            return conflict(format!("{} is {kind}, but {wanted} requires a key of type {needed}", self.name));
        }
        let private = if kind == KeyKind::Oct { "k" } else { "d" };
        (self.member(private).is_none()).then(|| match kind {
            KeyKind::Oct => self.member_error("k", "is missing"),
            _ => KeyError::PublicOnly(self.name.clone(), "d"),
        })
    }

    fn kind(&self) -> Result<KeyKind, KeyError> {
        let curve = self.member("crv").unwrap_or_default();
        match self.member("kty") {
            None => Err(self.member_error("kty", "is missing")),
            Some("oct") => Ok(KeyKind::Oct),
            Some("RSA") => Ok(KeyKind::Rsa),
            Some("EC") => Curve::ALL
                .into_iter()
                .find(|known| known.as_str() == curve)
                .map(KeyKind::Ec)
                .ok_or_else(|| self.member_error("crv", "must be P-256, P-384 or P-521")),
            Some("OKP") if curve == "Ed25519" => Ok(KeyKind::Ed25519),
            Some("OKP") => Err(self.member_error("crv", "must be Ed25519")),
            Some(_) => Err(self.member_error("kty", "must be oct, RSA, EC or OKP")),
        }
    }

    fn bind(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<SigningKey, KeyError> {
        let material = match &self.pem {
            Some(text) => self.pem_material(text, algorithm)?,
            None => match algorithm.key_kind() {
                KeyKind::Oct => self.oct(algorithm)?,
                KeyKind::Rsa => self.rsa(algorithm)?,
                KeyKind::Ec(curve) => self.ec(curve)?,
                KeyKind::Ed25519 => self.ed25519()?,
            },
        };
        let kid = self.member("kid").or(kid).map(str::to_owned);
        Ok(SigningKey { algorithm, kid, material })
    }

    fn member_error(&self, member: &'static str, problem: impl Into<String>) -> KeyError {
        KeyError::Member { key: self.name.clone(), member, problem: problem.into() }
    }

    fn invalid(&self) -> KeyError {
        KeyError::Invalid(self.name.clone())
    }

    /// Decodes a Base64url member. Standard Base64 is accepted with a warning, because the gateway rejects a public key
    /// in that form.
    fn bytes(&self, member: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.member(member).ok_or_else(|| self.member_error(member, "is missing"))?;
        let mut text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        if text.contains(['+', '/']) {
            tracing::warn!(key = self.name, member, "key material is Base64 instead of Base64url; accepted");
            text = Zeroizing::new(text.replace('+', "-").replace('/', "_"));
        }
        let bytes =
            BASE64URL.decode(text.as_bytes()).map_err(|_| self.member_error(member, "is not valid Base64url"))?;
        if bytes.is_empty() {
            return Err(self.member_error(member, "is empty"));
        }
        Ok(Zeroizing::new(bytes))
    }

    /// Decodes a number of at most `length` bytes and pads it with leading zeros.
    fn number(&self, member: &'static str, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = self.bytes(member)?;
        let digits = without_leading_zeros(&bytes);
        let zeros = length
            .checked_sub(digits.len())
            .ok_or_else(|| self.member_error(member, format!("is longer than the {length} bytes of the curve")))?;
        let mut whole = Zeroizing::new(vec![0; zeros]);
        whole.extend_from_slice(digits);
        Ok(whole)
    }

    fn oct(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let secret = self.bytes("k")?;
        let digest = algorithm.hmac().ok_or_else(|| self.invalid())?;
        let needed = digest.digest_algorithm().output_len();
        if secret.len() < needed {
            return Err(self.too_short(secret.len() * 8, needed * 8, algorithm));
        }
        Ok(Material::Hmac(Box::new(hmac::Key::new(digest, &secret))))
    }

    fn rsa(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let (modulus, exponent) = (self.bytes("n")?, self.bytes("e")?);
        let part = |member| self.bytes(member);
        let modulus = without_leading_zeros(&modulus);
        self.check_modulus(modulus, algorithm)?;
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: modulus, e: without_leading_zeros(&exponent) },
            d: part("d")?,
            p: part("p")?,
            q: part("q")?,
            dP: part("dp")?,
            dQ: part("dq")?,
            qInv: part("qi")?,
        };
        let pair = RsaKeyPair::from_components(&components).map_err(|_| self.invalid())?;
        self.rsa_material(pair, algorithm)
    }

    fn rsa_material(&self, pair: RsaKeyPair, algorithm: Algorithm) -> Result<Material, KeyError> {
        let encoding = algorithm.rsa().ok_or_else(|| self.invalid())?;
        Ok(Material::Rsa(Box::new(pair), encoding))
    }

    fn check_modulus(&self, modulus: &[u8], algorithm: Algorithm) -> Result<(), KeyError> {
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        match modulus.len() * 8 - unused {
            bits if bits < MIN_RSA_BITS => Err(self.too_short(bits, MIN_RSA_BITS, algorithm)),
            _ => Ok(()),
        }
    }

    fn ec(&self, curve: Curve) -> Result<Material, KeyError> {
        let length = curve.coordinate_length();
        let mut point = vec![0x04]; // uncompressed
        point.extend_from_slice(&self.number("x", length)?);
        point.extend_from_slice(&self.number("y", length)?);
        let private = self.number("d", length)?;
        EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &private, &point)
            .map(Material::Ecdsa)
            .map_err(|_| self.invalid())
    }

    fn ed25519(&self) -> Result<Material, KeyError> {
        let seed = self.bytes("d")?;
        if seed.len() != 32 {
            return Err(self.member_error("d", "must be 32 bytes long"));
        }
        let pair = match self.member("x") {
            Some(_) => Ed25519KeyPair::from_seed_and_public_key(&seed, &self.bytes("x")?),
            None => Ed25519KeyPair::from_seed_unchecked(&seed),
        };
        pair.map(Material::Ed25519).map_err(|_| self.invalid())
    }

    fn pem_material(&self, text: &str, algorithm: Algorithm) -> Result<Material, KeyError> {
        let blocks = pem::blocks(text);
        let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).or(blocks.first()) else {
            return Err(KeyError::Unreadable(format!("{} has no matching BEGIN and END lines", self.name)));
        };
        let kind = match block.label.as_str() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => algorithm.key_kind(),
            "ENCRYPTED PRIVATE KEY" => {
                return Err(KeyError::Conflict(format!(
                    "{} is encrypted; paste the key without a passphrase",
                    self.name
                )));
            }
            _ => return Err(KeyError::PublicOnly(self.name.clone(), "BEGIN PRIVATE KEY")),
        };
        let der = Zeroizing::new(block.der().ok_or_else(|| self.invalid())?);
        let material = match kind {
            KeyKind::Oct => None,
            KeyKind::Rsa => {
                if let Some(modulus) = rsa_modulus(&der) {
                    self.check_modulus(without_leading_zeros(&modulus), algorithm)?;
                }
                let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).ok();
                pair.map(|pair| self.rsa_material(pair, algorithm)).transpose()?
            }
            KeyKind::Ec(curve) => EcdsaKeyPair::from_private_key_der(curve.signing(), &der).ok().map(Material::Ecdsa),
            KeyKind::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Material::Ed25519),
        };
        material.ok_or_else(|| match kind_of_der(&der) {
            Some(found) if found != kind => KeyError::Conflict(format!(
                "{} is {found}, but {} requires a key of type {kind}",
                self.name,
                algorithm.as_str()
            )),
            _ => self.invalid(),
        })
    }

    fn too_short(&self, found: usize, needed: usize, algorithm: Algorithm) -> KeyError {
        KeyError::TooShort { key: self.name.clone(), found, needed, algorithm: algorithm.as_str() }
    }
}

/// Returns the modulus of an RSA key in PKCS#8 or PKCS#1, whatever its length.
fn rsa_modulus(der: &[u8]) -> Option<Vec<u8>> {
    let inner = pkcs8::PrivateKeyInfoRef::try_from(der).map_or(der, |info| info.private_key.as_bytes());
    let key = pkcs1::RsaPrivateKeyRef::try_from(inner).ok()?;
    Some(key.modulus.as_bytes().to_vec())
}

/// Returns the type of a private key in DER, by parsing it as each type.
fn kind_of_der(der: &[u8]) -> Option<KeyKind> {
    if rsa_modulus(der).is_some() {
        return Some(KeyKind::Rsa);
    }
    if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
        return Some(KeyKind::Ed25519);
    }
    let on = |curve: &Curve| EcdsaKeyPair::from_private_key_der(curve.signing(), der).is_ok();
    Curve::ALL.into_iter().find(on).map(KeyKind::Ec)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests;
