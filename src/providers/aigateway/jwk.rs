//! Private keys as people have them: one JWK, a key set, a list of JWKs, or PEM. Found, checked, bound to an algorithm.
//!
//! No private part ever appears in an error: only member names, key ids, sizes and curves do.
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

/// Shortest RSA modulus that is safe to sign with, in bits.
const MIN_RSA_BITS: usize = 2048;

/// Base64url as people paste it: padding may be there or not, and unused bits may be set.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why no key could be made; safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither JSON nor PEM.
    #[error("it is neither a JWK, a key set, nor a PEM private key: {0}")]
    Unreadable(String),
    /// A member that must be there is not, or cannot be read.
    #[error("{key}: member `{member}` {problem}")]
    Member {
        /// Which key.
        key: String,
        /// Which member.
        member: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Only the public half is there.
    #[error("{0} holds only a public key; signing needs the private key (with `{1}`)")]
    PublicOnly(String, &'static str),
    /// Key and algorithm, curve or use do not go together.
    #[error("{0}")]
    Conflict(String),
    /// Below the length that the algorithm's specification allows.
    #[error("{key} is too short: {found} bits, {algorithm} needs at least {needed}")]
    TooShort {
        /// Which key.
        key: String,
        /// Its length.
        found: usize,
        /// The shortest length allowed.
        needed: usize,
        /// For what.
        algorithm: &'static str,
    },
    /// The numbers do not form a key.
    #[error("{0} is damaged: its parts do not form a valid key")]
    Damaged(String),
    /// A set in which no key fits.
    #[error("no key of the set fits: {0}")]
    NoneFits(String),
}

/// Reads `text` and picks the key for an algorithm and, when one is asked for, a key id.
///
/// A key that names another algorithm, another use or another id is passed over. Among those that are left one that
/// has the id wins, then one that names the algorithm, then the first. With a single key the reason for passing it over
/// is the error.
pub fn signing_key(text: &str, algorithm: Algorithm, kid: Option<&str>) -> Result<SigningKey, KeyError> {
    let keys = read(text)?;
    let (mut fitting, mut reasons) = (Vec::new(), Vec::new());
    for key in &keys {
        match key.mismatch_reason(algorithm, kid) {
            None => fitting.push(key),
            Some(reason) => reasons.push(reason),
        }
    }
    let chosen = fitting.iter().min_by_key(|key| (key.member("kid") != kid, key.member("alg").is_none()));
    match (chosen, <[KeyError; 1]>::try_from(reasons)) {
        (Some(key), _) => key.bind(algorithm, kid),
        (None, Ok([only])) => Err(only),
        (None, Err(reasons)) if reasons.is_empty() => Err(KeyError::Unreadable("the set holds no key".to_owned())),
        (None, Err(reasons)) => {
            Err(KeyError::NoneFits(reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
    }
}

/// The algorithm that goes with the first key of `text`: the one that it names, else the usual one of its type. HS256 when
/// that cannot be told; [`signing_key`] says what is wrong.
pub fn usual_algorithm(text: &str) -> Algorithm {
    let keys = read(text).unwrap_or_default();
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

/// What kind of key a PEM text has.
fn pem_kind(text: &str) -> Option<KeyKind> {
    pem::blocks(text).iter().find_map(|block| kind_of_der(&Zeroizing::new(block.der()?)))
}

/// One key of the text, still unchecked.
struct Candidate {
    /// What errors call it.
    name: String,
    /// Its JSON members; only `kid`, `alg` and `use` for a PEM.
    members: Map<String, Value>,
    /// The PEM text, for a bare PEM or the member `private_key`.
    pem: Option<String>,
}

fn read(text: &str) -> Result<Vec<Candidate>, KeyError> {
    let text = text.trim();
    if text.contains("-----BEGIN ") && !text.starts_with(['{', '[']) {
        return Ok(vec![Candidate { name: "the PEM key".to_owned(), members: Map::new(), pem: Some(text.to_owned()) }]);
    }
    // The parser's own words never quote the text, only positions.
    let value: Value = serde_json::from_str(text).map_err(|error| KeyError::Unreadable(error.to_string()))?;
    let items = match value {
        Value::Array(items) => items,
        Value::Object(mut map) => match map.remove("keys") {
            Some(Value::Array(items)) => items,
            Some(_) => return Err(KeyError::Unreadable("its `keys` is not a list".to_owned())),
            None => vec![Value::Object(map)],
        },
        _ => return Err(KeyError::Unreadable("the JSON is neither an object nor a list".to_owned())),
    };
    let alone = items.len() == 1;
    items.into_iter().enumerate().map(|(index, item)| Candidate::of(item, index + 1, alone)).collect()
}

impl Candidate {
    fn of(item: Value, number: usize, alone: bool) -> Result<Self, KeyError> {
        let Value::Object(members) = item else {
            return Err(KeyError::Unreadable(format!("key {number} of the set is not an object")));
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

    /// Why this key is not the one, before its numbers are looked at.
    fn mismatch_reason(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<KeyError> {
        let conflict = |text: String| Some(KeyError::Conflict(text));
        let wanted = algorithm.as_str();
        if let (Some(wanted), Some(found)) = (kid, self.member("kid"))
            && wanted != found
        {
            return conflict(format!("{} is not the key `{wanted}` that was asked for", self.name));
        }
        if let Some(found) = self.member("alg")
            && found != wanted
        {
            return conflict(format!("{} is for {found} (its `alg`), the algorithm chosen is {wanted}", self.name));
        }
        if let Some(found) = self.member("use")
            && found != "sig"
        {
            return conflict(format!("{} is for `{found}` (its `use`), not for signatures", self.name));
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
            return conflict(format!("{} is {kind}, but {wanted} needs a key that is {needed}", self.name));
        }
        let private = if kind == KeyKind::Oct { "k" } else { "d" };
        (self.member(private).is_none()).then(|| match kind {
            KeyKind::Oct => self.wrong("k", "is missing"),
            _ => KeyError::PublicOnly(self.name.clone(), "d"),
        })
    }

    fn kind(&self) -> Result<KeyKind, KeyError> {
        let curve = self.member("crv").unwrap_or_default();
        match self.member("kty") {
            None => Err(self.wrong("kty", "is missing")),
            Some("oct") => Ok(KeyKind::Oct),
            Some("RSA") => Ok(KeyKind::Rsa),
            Some("EC") => Curve::ALL
                .into_iter()
                .find(|known| known.as_str() == curve)
                .map(KeyKind::Ec)
                .ok_or_else(|| self.wrong("crv", "must be P-256, P-384 or P-521")),
            Some("OKP") if curve == "Ed25519" => Ok(KeyKind::Ed25519),
            Some("OKP") => Err(self.wrong("crv", "must be Ed25519")),
            Some(_) => Err(self.wrong("kty", "must be oct, RSA, EC or OKP")),
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

    fn wrong(&self, member: &'static str, problem: impl Into<String>) -> KeyError {
        KeyError::Member { key: self.name.clone(), member, problem: problem.into() }
    }

    fn damaged(&self) -> KeyError {
        KeyError::Damaged(self.name.clone())
    }

    /// A base64url member. The standard alphabet is read too, with a warning: the gateway refuses a public key written so.
    fn bytes(&self, member: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.member(member).ok_or_else(|| self.wrong(member, "is missing"))?;
        let mut text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        if text.contains(['+', '/']) {
            tracing::warn!(key = self.name, member, "key material is in base64, not base64url; read all the same");
            text = Zeroizing::new(text.replace('+', "-").replace('/', "_"));
        }
        let bytes = BASE64URL.decode(text.as_bytes()).map_err(|_| self.wrong(member, "is not base64url"))?;
        if bytes.is_empty() {
            return Err(self.wrong(member, "is empty"));
        }
        Ok(Zeroizing::new(bytes))
    }

    /// A number of at most `length` bytes, filled up with leading zeros.
    fn number(&self, member: &'static str, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = self.bytes(member)?;
        let digits = without_leading_zeros(&bytes);
        let zeros = length
            .checked_sub(digits.len())
            .ok_or_else(|| self.wrong(member, format!("is longer than the {length} bytes of the curve")))?;
        let mut whole = Zeroizing::new(vec![0; zeros]);
        whole.extend_from_slice(digits);
        Ok(whole)
    }

    fn oct(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let secret = self.bytes("k")?;
        let digest = algorithm.hmac().ok_or_else(|| self.damaged())?;
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
        let pair = RsaKeyPair::from_components(&components).map_err(|_| self.damaged())?;
        self.rsa_material(pair, algorithm)
    }

    fn rsa_material(&self, pair: RsaKeyPair, algorithm: Algorithm) -> Result<Material, KeyError> {
        let encoding = algorithm.rsa().ok_or_else(|| self.damaged())?;
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
            .map_err(|_| self.damaged())
    }

    fn ed25519(&self) -> Result<Material, KeyError> {
        let seed = self.bytes("d")?;
        if seed.len() != 32 {
            return Err(self.wrong("d", "must be 32 bytes long"));
        }
        let pair = match self.member("x") {
            Some(_) => Ed25519KeyPair::from_seed_and_public_key(&seed, &self.bytes("x")?),
            None => Ed25519KeyPair::from_seed_unchecked(&seed),
        };
        pair.map(Material::Ed25519).map_err(|_| self.damaged())
    }

    fn pem_material(&self, text: &str, algorithm: Algorithm) -> Result<Material, KeyError> {
        let blocks = pem::blocks(text);
        let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).or(blocks.first()) else {
            return Err(KeyError::Unreadable(format!("{} has no matching BEGIN and END lines", self.name)));
        };
        let kind = match block.label.as_str() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => algorithm.key_kind(),
            "ENCRYPTED PRIVATE KEY" => {
                return Err(KeyError::Conflict(format!("{} is encrypted; paste it without a passphrase", self.name)));
            }
            _ => return Err(KeyError::PublicOnly(self.name.clone(), "BEGIN PRIVATE KEY")),
        };
        let der = Zeroizing::new(block.der().ok_or_else(|| self.damaged())?);
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
                "{} is {found}, but {} needs a key that is {kind}",
                self.name,
                algorithm.as_str()
            )),
            _ => self.damaged(),
        })
    }

    fn too_short(&self, found: usize, needed: usize, algorithm: Algorithm) -> KeyError {
        KeyError::TooShort { key: self.name.clone(), found, needed, algorithm: algorithm.as_str() }
    }
}

/// The modulus of an RSA key in PKCS#8 or PKCS#1, whatever its length.
fn rsa_modulus(der: &[u8]) -> Option<Vec<u8>> {
    let inner = pkcs8::PrivateKeyInfo::try_from(der).map_or(der, |info| info.private_key);
    let key = pkcs1::RsaPrivateKey::try_from(inner).ok()?;
    Some(key.modulus.as_bytes().to_vec())
}

/// What a private key in DER is, found out by reading it as each.
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
