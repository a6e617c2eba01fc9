//! The gateway's side of each authentication method, written from its rules and not from the plugin's signer: pure
//! functions
//! from a raw request to a verdict. The vector files verify them before anything else relies on them.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use md5::{Digest, Md5};
use serde_json::Value;

/// A request as received.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    pub method: String,
    /// Path and query string, not decoded.
    pub target: String,
    /// Headers with lowercase names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The gateway's decision about a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub status: u16,
    pub body: String,
    /// `x-ca-error-message` or `www-authenticate`.
    pub explanation: String,
}

pub fn pass() -> Verdict {
    deny(200, "")
}

pub fn deny(status: u16, body: &str) -> Verdict {
    Verdict { status, body: body.to_owned(), explanation: String::new() }
}

/// An HMAC consumer and the rules of its route.
#[derive(Clone, Debug)]
pub struct HmacRules {
    pub consumers: Vec<(String, String)>,
    pub allowed: bool,
    /// Maximum clock skew in seconds; not checked if `None`.
    pub window: Option<u64>,
    /// Stricter than the open-source verifier: all four headers signed, a digest for JSON and multipart, no `date`.
    pub strict: bool,
}

pub fn hmac_verdict(rules: &HmacRules, now_ms: i64, raw: &Raw) -> Verdict {
    let Some((_, secret)) = rules.consumers.iter().find(|(key, _)| key == raw.header("x-ca-key")) else {
        return deny(401, "Invalid Key");
    };
    if !rules.allowed {
        return deny(403, "Unauthorized Consumer");
    }
    if raw.header("x-ca-signature").is_empty() {
        return deny(401, "Empty Signature");
    }
    if rules.window.is_some_and(|window| !in_time(raw, now_ms, window)) {
        return deny(400, "Invalid Date");
    }
    let text = text_to_sign(raw);
    if sign(raw.header("x-ca-signature-method"), secret, &text) != raw.header("x-ca-signature") {
        let mut verdict = deny(400, "Invalid Signature");
        verdict.explanation = format!("Server StringToSign:`{}`", text.replace('\n', "#"));
        return verdict;
    }
    if raw.body.len() > 32 * 1024 * 1024 {
        return deny(413, "Request Body Too Large");
    }
    let digest = raw.header("content-md5");
    if !digest.is_empty() && (raw.body.is_empty() || digest != STANDARD.encode(Md5::digest(&raw.body))) {
        return deny(400, "Invalid Content-MD5");
    }
    if rules.strict { strict(raw) } else { pass() }
}

fn strict(raw: &Raw) -> Verdict {
    let list = raw.header("x-ca-signature-headers");
    let signed: Vec<&str> = list.split(',').collect();
    for name in ["x-ca-key", "x-ca-nonce", "x-ca-signature-method", "x-ca-timestamp"] {
        if !signed.contains(&name) {
            return deny(400, &format!("strict: {name} is not signed"));
        }
    }
    let nonce = raw.header("x-ca-nonce").len();
    let checks = [
        (list.contains(' '), "a blank in the list"),
        (raw.header("x-ca-signature-method") != "HmacSHA256", "another method"),
        (raw.header("x-ca-timestamp").len() != 13, "a timestamp not in milliseconds"),
        (!(8..=128).contains(&nonce), "a nonce of invalid length"),
        (!raw.header("date").is_empty(), "a date in addition to the timestamp"),
        (raw.header("accept").is_empty(), "no accept"),
        (!raw.header("authorization").is_empty(), "a second credential"),
    ];
    match checks.iter().find(|(failed, _)| *failed) {
        Some((_, what)) => deny(400, &format!("strict: {what}")),
        None => pass(),
    }
}

fn in_time(raw: &Raw, now_ms: i64, window: u64) -> bool {
    let date = raw.header("date");
    let stamp = raw.header("x-ca-timestamp");
    let seconds = if !date.is_empty() {
        [
            "%a, %d %b %Y %H:%M:%S GMT",
            "%a, %d %b %Y %H:%M:%S GMT+00:00",
            "%A, %d-%b-%y %H:%M:%S GMT",
            "%a %b %e %H:%M:%S %Y",
        ]
        .iter()
        .find_map(|form| jiff::civil::DateTime::strptime(form, date).ok())
        .map(|time| jiff::tz::Offset::UTC.to_timestamp(time).unwrap().as_second())
    } else {
        stamp.parse::<i64>().ok().map(|number| if stamp.len() < 13 { number } else { number / 1000 })
    };
    seconds.is_some_and(|seconds| (seconds - now_ms / 1000).unsigned_abs() <= window)
}

fn text_to_sign(raw: &Raw) -> String {
    let mut lines = vec![raw.method.clone()];
    lines.extend(["accept", "content-md5", "content-type", "date"].map(|name| raw.header(name).to_owned()));
    let skipped = ["", "x-ca-signature", "x-ca-signature-headers", "accept", "content-md5", "content-type", "date"];
    let mut names: Vec<String> = raw.header("x-ca-signature-headers").split(',').map(str::to_lowercase).collect();
    names.retain(|name| !skipped.contains(&name.as_str()));
    names.sort();
    lines.extend(names.iter().map(|name| format!("{name}:{}", raw.header(name))));
    let (path, query) = raw.target.split_once('?').unwrap_or((&raw.target, ""));
    let mut pairs = pairs(query);
    if raw.header("content-type").to_lowercase().contains("application/x-www-form-urlencoded") {
        pairs.extend(self::pairs(&String::from_utf8_lossy(&raw.body)));
    }
    let mut kept: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        if kept.iter().all(|(known, _)| *known != name) {
            kept.push((name, value));
        }
    }
    kept.sort();
    let query: Vec<String> = kept.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    lines.push(format!("{path}{mark}{}", query.join("&")));
    lines.join("\n")
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    // An empty item between two `&` is a parameter with an empty name; after the last one there is none.
    let is_empty = text.is_empty();
    let text = text.strip_suffix('&').unwrap_or(text);
    let items = (!is_empty).then(|| text.split('&')).into_iter().flatten();
    items
        .map(|item| match item.find('=') {
            Some(at) => (decode(&item[..at]), decode(&item[at + 1..])),
            None => (item.to_owned(), String::new()),
        })
        .collect()
}

fn sign(method: &str, secret: &str, text: &str) -> String {
    if method == "HmacSHA1" {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        return STANDARD.encode(mac.finalize().into_bytes());
    }
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A JWT consumer and the rules of its route.
#[derive(Clone, Debug)]
pub struct JwtRules {
    /// Public keys (`{"keys": […]}`).
    pub keys: Value,
    /// Claims that must have these values.
    pub claims: Vec<(String, String)>,
    pub allowed: bool,
    /// Lowercase header name, and the prefix of the token, including its space.
    pub header: String,
    pub prefix: String,
}

const SKEW: f64 = 60.0;
const MISSING: &str = "Jwt is missing";
const FAILS: &str = "Jwt verification fails";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const FORM: &str = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

pub fn jwt_verdict(rules: &JwtRules, now: f64, raw: &Raw) -> Verdict {
    let Some(token) = raw.header(&rules.header).strip_prefix(&rules.prefix).filter(|token| !token.is_empty()) else {
        return challenge(MISSING);
    };
    match check_token(rules, now, token) {
        Err(reason) => challenge(&reason),
        Ok(()) if !rules.allowed => deny(403, "Access Denied"),
        Ok(()) => pass(),
    }
}

fn challenge(reason: &str) -> Verdict {
    let mut verdict = deny(401, reason);
    let invalid = if reason == MISSING { "" } else { ", error=\"invalid_token\"" };
    verdict.explanation = format!("Bearer realm=\"https://gateway.example\"{invalid}");
    verdict
}

fn check_token(rules: &JwtRules, now: f64, token: &str) -> Result<(), String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err(FORM.to_owned()) };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(FORM.to_owned());
    }
    let json =
        |part: &str| URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let (Some(header), Some(claims)) = (json(header), json(payload)) else { return Err("Jwt is malformed".to_owned()) };
    for name in ["iss", "sub", "jti"] {
        if claims.get(name).is_some_and(|claim| !claim.is_string()) {
            return Err(format!("Jwt payload [{name}] field is not a string"));
        }
    }
    for name in ["iat", "nbf", "exp"] {
        if claims.get(name).is_some_and(|claim| claim.as_f64().is_none_or(|number| number < 0.0)) {
            return Err(format!("Jwt payload [{name}] field is not an integer"));
        }
    }
    if rules.claims.iter().any(|(name, text)| claims.get(name).and_then(Value::as_str) != Some(text)) {
        return Err(FAILS.to_owned());
    }
    if claims["nbf"].as_f64().is_some_and(|nbf| now + SKEW < nbf) {
        return Err("Jwt not yet valid".to_owned());
    }
    if claims["exp"].as_f64().is_some_and(|exp| now > exp + SKEW) {
        return Err("Jwt is expired".to_owned());
    }
    if claims["exp"].as_f64().zip(claims["iat"].as_f64()).is_some_and(|(exp, iat)| exp - iat > 604_800.0) {
        return Err("strict: the token lifetime exceeds seven days".to_owned());
    }
    check_signature(&rules.keys, &header, token.rsplit_once('.').unwrap().0, signature)
}

fn check_signature(keys: &Value, header: &Value, signed: &str, signature: &str) -> Result<(), String> {
    let differs =
        |key: &Value, name: &str| key[name].is_string() && header[name].is_string() && key[name] != header[name];
    let fitting: Vec<&Value> =
        keys["keys"].as_array().unwrap().iter().filter(|key| !differs(key, "kid") && !differs(key, "alg")).collect();
    if fitting.is_empty() {
        return Err(NO_KEY.to_owned());
    }
    match fitting.iter().any(|key| verifies(key, header["alg"].as_str().unwrap_or("none"), signed, signature)) {
        true => Ok(()),
        false => Err(FAILS.to_owned()),
    }
}

fn verifies(key: &Value, alg: &str, signed: &str, signature: &str) -> bool {
    if alg == "ES512" {
        let number = |name: &str| {
            URL_SAFE
                .decode(key[name].as_str().unwrap())
                .or_else(|_| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()))
                .unwrap()
        };
        let point = [vec![4], number("x"), number("y")].concat();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        return UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point).verify(signed.as_bytes(), &signature).is_ok();
    }
    let Ok(algorithm) = alg.parse::<Algorithm>() else { return false };
    let Ok(jwk) = serde_json::from_value::<Jwk>(key.clone()) else { return false };
    let Ok(key) = DecodingKey::from_jwk(&jwk) else { return false };
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, algorithm).unwrap_or(false)
}

/// Where an API key is expected.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// A header, with a prefix.
    Header(&'static str, &'static str),
    /// A query parameter.
    Query(&'static str),
}

/// An API key consumer and the rules of its route. Rejections have no body.
#[derive(Clone, Debug)]
pub struct KeyRules {
    pub key: String,
    pub place: KeyPlace,
    pub allowed: bool,
}

pub fn key_verdict(rules: &KeyRules, raw: &Raw) -> Verdict {
    let found = match rules.place {
        KeyPlace::Header(name, prefix) => raw.header(name).strip_prefix(prefix).unwrap_or_default().to_owned(),
        KeyPlace::Query(name) => {
            let query = raw.target.split_once('?').map_or("", |(_, query)| query);
            pairs(query).into_iter().find(|(known, _)| known == name).map_or(String::new(), |(_, value)| value)
        }
    };
    match (found == rules.key, rules.allowed) {
        (false, _) => Verdict { explanation: "Key realm=gateway".to_owned(), ..deny(401, "") },
        (true, false) => deny(403, ""),
        (true, true) => pass(),
    }
}
