//! The gateway's HMAC scheme (`x-ca-*`): what is signed, and why a signature was refused.
//!
//! The string to sign is made from the attempt exactly as it goes out, so nothing may change after it.
//! Source: `alibaba/higress: plugins/wasm-cpp/extensions/hmac_auth/plugin.cc`, `plugins/wasm-cpp/common/http_util.cc`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use md5::{Digest, Md5};
use percent_encoding::percent_decode;
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::Sha256;
use url::Url;

use super::errors;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::auth::{Attempt, Sent, insert_secret};
use dify_plugin::upstream::{AuthOutcome, Authorize, ErrorResponse};

const KEY: &str = "x-ca-key";
const NONCE: &str = "x-ca-nonce";
const METHOD: &str = "x-ca-signature-method";
const TIMESTAMP: &str = "x-ca-timestamp";
const SIGNATURE: &str = "x-ca-signature";
const SIGNED_HEADERS: &str = "x-ca-signature-headers";
const ERROR_MESSAGE: &str = "x-ca-error-message";
const CONTENT_MD5: &str = "content-md5";

/// The headers that we sign besides the fixed ones; the list must hold no blank.
const OUR_SIGNED_HEADERS: &str = "x-ca-key,x-ca-nonce,x-ca-signature-method,x-ca-timestamp";

/// Headers with a line of their own; the verifier passes them over in the list of signed headers.
const FIXED: [&str; 4] = ["accept", CONTENT_MD5, "content-type", "date"];

/// How the names of all headers begin that we sign besides.
const SIGNED_BEGIN: &str = "x-ca-";

/// The only other digest that the gateway knows.
const HMAC_SHA1: &str = "HmacSHA1";

/// Longest body whose digest a gateway may check, in bytes. It counts what it has gathered anew with each piece that
/// comes, so that its real limit is 0.5 to 7 MB, by the size of the pieces: its refusal says so.
const MAX_DIGESTED_BYTES: usize = 32 * 1024 * 1024;

/// Longest piece of a line that an error shows.
const MAX_LINE_CHARACTERS: usize = 160;

/// Signs each attempt with an access key and its secret.
pub(super) struct HmacAuthorization {
    access_key: String,
    secret: SecretString,
    /// Whether the body's digest goes along.
    content_digest: bool,
}

impl HmacAuthorization {
    pub(super) fn new(access_key: &str, secret: &str, content_digest: bool) -> Self {
        Self { access_key: access_key.to_owned(), secret: SecretString::from(secret.to_owned()), content_digest }
    }

    fn sign(&self, attempt: Attempt<'_>, nonce: &str, milliseconds: u128) -> Result<(), InvokeError> {
        let headers = attempt.headers;
        // The HTTP client would add this very header later, unsigned.
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if self.content_digest && !attempt.body.is_empty() && !is_form(headers) {
            check_size(attempt.body.len())?;
            insert(headers, CONTENT_MD5, &STANDARD.encode(Md5::digest(attempt.body)))?;
        }
        insert_secret(headers, KEY, &self.access_key)?;
        insert(headers, NONCE, nonce)?;
        insert(headers, METHOD, "HmacSHA256")?;
        insert(headers, TIMESTAMP, &milliseconds.to_string())?;
        insert(headers, SIGNED_HEADERS, OUR_SIGNED_HEADERS)?;
        let to_sign = string_to_sign(attempt.method, &target(attempt.url), headers, attempt.body);
        insert_secret(headers, SIGNATURE, &signature(&to_sign, self.secret.expose_secret(), headers))
    }
}

impl Authorize for HmacAuthorization {
    fn authorize<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let nonce = uuid::Uuid::new_v4().to_string();
        Box::pin(std::future::ready(self.sign(attempt, &nonce, now)))
    }

    fn refused<'a>(&'a self, answer: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        let verdict = match server_string(&answer.headers) {
            Some(theirs) => {
                let ours = string_to_sign(sent.method, &target(sent.url), sent.headers, sent.body);
                AuthOutcome::Explained(refusal(answer, &String::from_utf8_lossy(&ours), &theirs))
            }
            None => AuthOutcome::Final,
        };
        Box::pin(std::future::ready(verdict))
    }
}

fn check_size(size: usize) -> Result<(), InvokeError> {
    if size <= MAX_DIGESTED_BYTES {
        return Ok(());
    }
    Err(InvokeError::bad_request(format!(
        "the request has {size} bytes, and the gateway checks digests of at most {MAX_DIGESTED_BYTES}"
    ))
    .with_hint("Send less, or switch `hmac_content_digest` off."))
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), InvokeError> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| InvokeError::internal(format!("the value of header `{name}` cannot be sent")))?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Path and query as they go out.
fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(kind).to_ascii_lowercase().contains("application/x-www-form-urlencoded")
}

/// The bytes that are signed: method, the four fixed headers, the signed headers by name, then path and parameters.
/// `target` is path and query as sent, nothing decoded.
fn string_to_sign(method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut out = method.as_str().as_bytes().to_vec();
    out.push(b'\n');
    for name in FIXED {
        out.extend_from_slice(value(name));
        out.push(b'\n');
    }
    for name in signed_names(value(SIGNED_HEADERS)) {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value(&name));
        out.push(b'\n');
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    out.extend_from_slice(path.as_bytes());
    let form = if is_form(headers) { body } else { &[] };
    for (index, (name, value)) in parameters(query.as_bytes(), form).iter().enumerate() {
        out.push(if index == 0 { b'?' } else { b'&' });
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    out
}

/// The names of a list of signed headers that get a line, in their order.
fn signed_names(list: &[u8]) -> Vec<String> {
    let list = String::from_utf8_lossy(list).to_ascii_lowercase();
    let mut names: Vec<String> = list
        .split(',')
        .filter(|name| !name.is_empty() && ![SIGNATURE, SIGNED_HEADERS].contains(name) && !FIXED.contains(name))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// Parameters by decoded name; the first of a name counts, and one of the query before one of the form.
fn parameters(query: &[u8], form: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for text in [query, form] {
        if text.is_empty() {
            continue;
        }
        // A lone `&` is one parameter without a name.
        let text = text.strip_suffix(b"&").unwrap_or(text);
        for item in text.split(|byte| *byte == b'&') {
            let mut halves = item.splitn(2, |byte| *byte == b'=');
            let (name, value) = match (halves.next().unwrap_or_default(), halves.next()) {
                (name, Some(value)) => (percent_decode(name).collect(), percent_decode(value).collect()),
                (name, None) => (name.to_vec(), Vec::new()),
            };
            found.entry(name).or_insert(value);
        }
    }
    found
}

fn signature(to_sign: &[u8], secret: &str, headers: &HeaderMap) -> String {
    if headers.get(METHOD).is_some_and(|method| method == HMAC_SHA1) {
        return digest::<Hmac<Sha1>>(to_sign, secret);
    }
    digest::<Hmac<Sha256>>(to_sign, secret)
}

fn digest<M: Mac + KeyInit>(to_sign: &[u8], secret: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mac) = <M as KeyInit>::new_from_slice(secret.as_bytes()) else { return String::new() };
    STANDARD.encode(mac.chain_update(to_sign).finalize().into_bytes())
}

/// The string that the gateway built, line breaks written as `#`.
fn server_string(headers: &HeaderMap) -> Option<String> {
    let message = String::from_utf8_lossy(headers.get(ERROR_MESSAGE)?.as_bytes()).into_owned();
    let (_, quoted) = message.split_once("Server StringToSign:")?;
    let quoted = quoted.trim();
    // The quotes are one mark on each side; more of them belong to the address.
    Some(quoted.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(quoted).to_owned())
}

/// Names the first line in which the two strings differ.
fn refusal(answer: &ErrorResponse, ours: &str, theirs: &str) -> InvokeError {
    let mut error = errors::read(errors::Method::Hmac, answer);
    let status = answer.status.as_u16();
    let Some(line) = first_difference(ours, theirs) else {
        error.message = format!("HTTP {status}: the gateway refused the signature although it signed the same text");
        return error.with_hint(
            "So `hmac_secret_key` is not the secret of this access key: copy it again, without blanks around it.",
        );
    };
    error.message = format!(
        "HTTP {status}: the gateway signed another text: line {} ({}) is {} here and {} there",
        line.number,
        line.name,
        show(Some(line.ours)),
        show(line.theirs)
    );
    error.with_hint(match line.name {
        "content-md5" => {
            "Something between here and the gateway rewrites bodies or headers: switch `hmac_content_digest` off."
        }
        "path" => "Something in front of the gateway rewrites the address: give its own address as `endpoint_url`.",
        _ => "Something between here and the gateway (a proxy, a load balancer) changes this header.",
    })
}

/// A line that the gateway built otherwise.
struct Difference<'a> {
    /// From 1.
    number: usize,
    name: &'a str,
    ours: &'a str,
    /// `None` when their text is over.
    theirs: Option<&'a str>,
}

/// Goes line by line through our text. Only the gateway knows which `#` of its own is a line break, so each of our lines
/// must be found where theirs begins; the last one, path and parameters, may hold line breaks itself.
fn first_difference<'a>(ours: &'a str, theirs: &'a str) -> Option<Difference<'a>> {
    let mut rest = Some(theirs);
    let mut begin = 0;
    for number in 1.. {
        let (line, end) = line_at(ours, begin, number);
        let is_last = end.is_none();
        let same = rest.is_some_and(|rest| match is_last {
            true => line.len() == rest.len() && line.bytes().zip(rest.bytes()).all(|(our, their)| told(our) == their),
            false => rest.strip_prefix(line).is_some_and(|behind| behind.is_empty() || behind.starts_with('#')),
        });
        if !same {
            let name = if is_last { "path" } else { line_name(number, line) };
            let theirs = rest.map(|rest| rest.split('#').next().unwrap_or_default());
            return Some(Difference { number, name, ours: line, theirs });
        }
        begin = end? + 1;
        rest = rest.and_then(|rest| rest.get(line.len() + 1..));
    }
    None
}

/// How the gateway tells a byte.
fn told(byte: u8) -> u8 {
    if byte == b'\n' { b'#' } else { byte }
}

/// The line that begins here, and where it ends; path and parameters are one line, whatever they hold.
fn line_at(text: &str, begin: usize, number: usize) -> (&str, Option<usize>) {
    let rest = text.get(begin..).unwrap_or_default();
    let is_header = number <= 1 + FIXED.len() || rest.starts_with(SIGNED_BEGIN);
    match rest.find('\n').filter(|_| is_header) {
        Some(at) => (&rest[..at], Some(begin + at)),
        None => (rest, None),
    }
}

/// What a line before the last holds; its number counts from 1.
fn line_name(number: usize, line: &str) -> &str {
    match number {
        1 => "method",
        2..=5 => FIXED[number - 2],
        _ => line.split(':').next().unwrap_or_default(),
    }
}

/// A line for an error. The access key is left out, and a query, which may hold a key of some other kind.
fn show(line: Option<&str>) -> String {
    let Some(line) = line else { return "no such line".to_owned() };
    if line.starts_with(KEY) {
        return "(not shown)".to_owned();
    }
    let (shown, query) = match line.split_once('?') {
        Some((before, _)) => (before, " and a query (not shown)"),
        None => (line, ""),
    };
    let clipped: String = shown.chars().take(MAX_LINE_CHARACTERS).collect();
    format!("`{clipped}`{query}")
}

#[cfg(test)]
mod tests;
