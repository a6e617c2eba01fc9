//! HMAC authentication of the gateway (`x-ca-*`): signs requests, and explains why a signature was rejected.
//!
//! The string to sign is built from the attempt exactly as it is sent, so nothing may change after it.
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

/// Headers that are signed in addition to the fixed ones; the list must not contain spaces.
const SIGNED_HEADER_LIST: &str = "x-ca-key,x-ca-nonce,x-ca-signature-method,x-ca-timestamp";

/// Headers with a fixed line; the verifier skips them in the list of signed headers.
const FIXED_HEADERS: [&str; 4] = ["accept", CONTENT_MD5, "content-type", "date"];

/// Prefix of all other signed headers.
const SIGNED_PREFIX: &str = "x-ca-";

/// The only other digest algorithm that the gateway supports.
const HMAC_SHA1: &str = "HmacSHA1";

/// Maximum size in bytes of a body whose digest a gateway may verify. The gateway counts its buffer again with every
/// chunk that arrives, so its effective limit is 0.5 to 7 MB, depending on the chunk size; its error says so.
const MAX_DIGESTED_BYTES: usize = 32 * 1024 * 1024;

/// Maximum number of characters of a line that an error shows.
const MAX_LINE_CHARACTERS: usize = 160;

/// Signs each attempt with an access key and its secret.
pub(super) struct HmacAuthorization {
    access_key: String,
    secret: SecretString,
    /// Whether the digest of the body is sent.
    content_digest: bool,
}

impl HmacAuthorization {
    pub(super) fn new(access_key: &str, secret: &str, content_digest: bool) -> Self {
        Self { access_key: access_key.to_owned(), secret: SecretString::from(secret.to_owned()), content_digest }
    }

    fn sign(&self, attempt: Attempt<'_>, nonce: &str, milliseconds: u128) -> Result<(), InvokeError> {
        let headers = attempt.headers;
        // The HTTP client would add this header later, unsigned.
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if self.content_digest && !attempt.body.is_empty() && !is_form(headers) {
            check_size(attempt.body.len())?;
            insert(headers, CONTENT_MD5, &STANDARD.encode(Md5::digest(attempt.body)))?;
        }
        insert_secret(headers, KEY, &self.access_key)?;
        insert(headers, NONCE, nonce)?;
        insert(headers, METHOD, "HmacSHA256")?;
        insert(headers, TIMESTAMP, &milliseconds.to_string())?;
        insert(headers, SIGNED_HEADERS, SIGNED_HEADER_LIST)?;
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

    fn refused<'a>(&'a self, response: &'a ErrorResponse, sent: Sent<'a>) -> BoxFuture<'a, AuthOutcome> {
        let outcome = match server_string(&response.headers) {
            Some(theirs) => {
                let ours = string_to_sign(sent.method, &target(sent.url), sent.headers, sent.body);
                AuthOutcome::Explained(explain(response, &String::from_utf8_lossy(&ours), &theirs))
            }
            None => AuthOutcome::Final,
        };
        Box::pin(std::future::ready(outcome))
    }
}

fn check_size(size: usize) -> Result<(), InvokeError> {
    if size <= MAX_DIGESTED_BYTES {
        return Ok(());
    }
    Err(InvokeError::bad_request(format!(
        "the request has {size} bytes, but the gateway verifies digests of at most {MAX_DIGESTED_BYTES} bytes"
    ))
    .with_hint("Send less, or set `hmac_content_digest` to off."))
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), InvokeError> {
    let value = HeaderValue::from_str(value).map_err(|_| {
        InvokeError::internal(format!("the value of header `{name}` contains characters that are not allowed"))
    })?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Returns path and query string as they are sent.
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

/// Returns the string to sign: method, the four fixed headers, the other signed headers by name, then path and
/// parameters.
/// `target` is path and query string as sent, without decoding.
fn string_to_sign(method: &Method, target: &str, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut out = method.as_str().as_bytes().to_vec();
    out.push(b'\n');
    for name in FIXED_HEADERS {
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

/// Returns the names in a list of signed headers that have a line, in their order.
fn signed_names(list: &[u8]) -> Vec<String> {
    let list = String::from_utf8_lossy(list).to_ascii_lowercase();
    let mut names: Vec<String> = list
        .split(',')
        .filter(|name| !name.is_empty() && ![SIGNATURE, SIGNED_HEADERS].contains(name) && !FIXED_HEADERS.contains(name))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// Returns the parameters by decoded name. The first value of a name counts, and the query string precedes the form.
fn parameters(query: &[u8], form: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for text in [query, form] {
        if text.is_empty() {
            continue;
        }
        // A lone `&` is a parameter with an empty name.
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
    // HMAC accepts keys of any length.
    let Ok(mac) = <M as KeyInit>::new_from_slice(secret.as_bytes()) else { return String::new() };
    STANDARD.encode(mac.chain_update(to_sign).finalize().into_bytes())
}

/// Returns the gateway's string to sign, in which line breaks are written as `#`.
fn server_string(headers: &HeaderMap) -> Option<String> {
    let message = String::from_utf8_lossy(headers.get(ERROR_MESSAGE)?.as_bytes()).into_owned();
    let (_, quoted) = message.split_once("Server StringToSign:")?;
    let quoted = quoted.trim();
    // One quotation mark on each side; further ones belong to the URL.
    Some(quoted.strip_prefix('`').and_then(|text| text.strip_suffix('`')).unwrap_or(quoted).to_owned())
}

/// Returns an error that names the first line in which the two strings differ.
fn explain(response: &ErrorResponse, ours: &str, theirs: &str) -> InvokeError {
    let mut error = errors::read(errors::Method::Hmac, response);
    let status = response.status.as_u16();
    let Some(line) = first_difference(ours, theirs) else {
        error.message =
            format!("HTTP {status}: the gateway rejected the signature, although it built the same string to sign");
        return error.with_hint(
            "`hmac_secret_key` does not belong to this access key; copy it again, without spaces around it.",
        );
    };
    error.message = format!(
        "HTTP {status}: the gateway built a different string to sign: line {} ({}) is {} in the plugin and {} at the gateway",
        line.number,
        line.name,
        show(Some(line.ours)),
        show(line.theirs)
    );
    error.with_hint(match line.name {
        "content-md5" => {
            "Something between the plugin and the gateway rewrites bodies or headers. Set `hmac_content_digest` to off."
        }
        "path" => "Something in front of the gateway rewrites the URL. Set `endpoint_url` to the gateway's own URL.",
        _ => "Something between the plugin and the gateway (a proxy or load balancer) changes this header.",
    })
}

/// A line that differs between the two strings.
struct Difference<'a> {
    /// Line number, starting at 1.
    number: usize,
    name: &'a str,
    ours: &'a str,
    /// `None` if the gateway's string has ended.
    theirs: Option<&'a str>,
}

/// Compares line by line. Only the gateway knows which `#` in its string is a line break, so each of our lines must
/// match
/// at the current position; the last one, path and parameters, may contain line breaks itself.
fn first_difference<'a>(ours: &'a str, theirs: &'a str) -> Option<Difference<'a>> {
    let mut rest = Some(theirs);
    let mut begin = 0;
    for number in 1.. {
        let (line, end) = line_at(ours, begin, number);
        let is_last = end.is_none();
        let same = rest.is_some_and(|rest| match is_last {
            true => {
                line.len() == rest.len() && line.bytes().zip(rest.bytes()).all(|(our, their)| as_reported(our) == their)
            }
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

/// Returns a byte as the gateway reports it.
fn as_reported(byte: u8) -> u8 {
    if byte == b'\n' { b'#' } else { byte }
}

/// Returns the line at this position and its end. Path and parameters are one line, whatever they contain.
fn line_at(text: &str, begin: usize, number: usize) -> (&str, Option<usize>) {
    let rest = text.get(begin..).unwrap_or_default();
    let is_header = number <= 1 + FIXED_HEADERS.len() || rest.starts_with(SIGNED_PREFIX);
    match rest.find('\n').filter(|_| is_header) {
        Some(at) => (&rest[..at], Some(begin + at)),
        None => (rest, None),
    }
}

/// Returns the name of a line other than the last; its number starts at 1.
fn line_name(number: usize, line: &str) -> &str {
    match number {
        1 => "method",
        2..=5 => FIXED_HEADERS[number - 2],
        _ => line.split(':').next().unwrap_or_default(),
    }
}

/// Formats a line for an error. The access key and query strings, which may contain another key, are redacted.
fn show(line: Option<&str>) -> String {
    let Some(line) = line else { return "no such line".to_owned() };
    if line.starts_with(KEY) {
        return "(redacted)".to_owned();
    }
    let (shown, query) = match line.split_once('?') {
        Some((before, _)) => (before, " and a query string (redacted)"),
        None => (line, ""),
    };
    let clipped: String = shown.chars().take(MAX_LINE_CHARACTERS).collect();
    format!("`{clipped}`{query}")
}

#[cfg(test)]
mod tests;
