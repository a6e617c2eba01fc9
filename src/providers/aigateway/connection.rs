//! Reads a credential form: URL, credential and timeouts of the requests. All errors of a form are found here, before a
//! request is sent.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::errors::Method;
use super::hmac::HmacAuthorization;
use super::jwt::TokenCache;
use crate::dialect::openai::BaseUrl;
use crate::providers::compatible::Endpoint;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, Target};
use dify_plugin::upstream::auth::{HeaderAuthorization, QueryAuthorization, WithHeaders};
use dify_plugin::upstream::{Authorize, NetworkSettings, NoAuthorization, fields};

/// Headers of HTTP, the body or the signature, which neither the credential nor extra headers may set.
const OWN_HEADERS: [&str; 8] =
    ["accept", "connection", "content-length", "content-md5", "content-type", "date", "host", "transfer-encoding"];

/// Headers that carry a credential; a request carries only one.
const CREDENTIAL_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-hi-original-auth"];

/// Returns the endpoint of a model and its wire name.
pub(super) fn connect(target: &Target, tokens: &TokenCache) -> Result<(Endpoint, String), InvokeError> {
    let credentials = &target.credentials;
    let base = base_url(credentials)?;
    let (auth, header) = authorization(credentials, &base, tokens)?;
    let headers = extra_headers(credentials, header.as_deref())?;
    let path = custom_path(credentials)?;
    let endpoint = Endpoint {
        credentials: credentials.fingerprint(),
        network: NetworkSettings::from_credentials(credentials)?,
        timeouts: fields::timeouts(credentials)?,
        retry: fields::retries(credentials)?,
        error_reader: method(credentials)?.reader(),
        ..Endpoint::new(base, Arc::new(WithHeaders { headers, inner: auth }))
    };
    let endpoint = match path {
        Some(path) => endpoint.with_only_path(&path),
        None => endpoint,
    };
    Ok((endpoint, credentials.get("endpoint_model_name").unwrap_or(&target.model).to_owned()))
}

fn wrong(field: &str, what: impl std::fmt::Display) -> InvokeError {
    InvokeError::credentials(format!("credential `{field}` {what}"))
}

/// Returns the base URL in the form.
pub(super) fn base_url(credentials: &Credentials) -> Result<BaseUrl, InvokeError> {
    const FIELD: &str = "endpoint_url";
    let text = credentials.require(FIELD)?;
    // Assuming http:// would send a credential in clear text.
    if !text.contains("://") {
        return Err(wrong(FIELD, "has no scheme: start it with https:// (or http://)"));
    }
    BaseUrl::parse(text, FIELD)
}

/// Returns the authentication method selected in the form.
fn method(credentials: &Credentials) -> Result<Method, InvokeError> {
    match credentials.get("auth_method").unwrap_or("api_key") {
        "api_key" => Ok(Method::ApiKey),
        "jwt" => Ok(Method::Jwt),
        "hmac" => Ok(Method::Hmac),
        other => Err(wrong("auth_method", format_args!("must be api_key, jwt or hmac, found `{other}`"))),
    }
}

/// Checks that the gateway can decode the query string to sign, and that it can report it in a header when it rejects
/// it.
fn check_signable(base: &BaseUrl) -> Result<(), InvokeError> {
    const FIELD: &str = "endpoint_url";
    let query = base.as_url().query().unwrap_or_default();
    let mut behind = query.split('%').skip(1);
    if !behind.all(|text| text.len() >= 2 && text.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())) {
        return Err(wrong(
            FIELD,
            "contains a `%` in its query string that is not followed by two hexadecimal digits (write %25 for a percent sign)",
        ));
    }
    // The gateway reports a line break as `#`; other control characters would make its response header invalid.
    let unsendable = |byte: u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n');
    if percent_decode_str(query).any(unsendable) {
        return Err(wrong(
            FIELD,
            "contains a control character in its query string, which the gateway cannot report in an error",
        ));
    }
    Ok(())
}

fn custom_path(credentials: &Credentials) -> Result<Option<String>, InvokeError> {
    const FIELD: &str = "endpoint_path";
    let Some(text) = credentials.get(FIELD) else { return Ok(None) };
    if text.contains("://") || text.contains(['?', '#', '\\']) || text.split('/').any(|part| matches!(part, "." | ".."))
    {
        return Err(wrong(
            FIELD,
            "must be a path below `endpoint_url`, such as /v1/reranks, without a query string (add that to `endpoint_url`)",
        ));
    }
    Ok(Some(text.trim_matches('/').to_owned()).filter(|path| !path.is_empty()))
}

/// Returns the credential of the requests, and the header that it occupies.
fn authorization(
    credentials: &Credentials,
    base: &BaseUrl,
    tokens: &TokenCache,
) -> Result<(Arc<dyn Authorize>, Option<String>), InvokeError> {
    match method(credentials)? {
        Method::ApiKey => api_key(credentials, base),
        Method::Jwt => {
            let authorization = tokens.authorization(credentials)?;
            let header = header_name(authorization.header(), "jwt_header_name")?;
            Ok((Arc::new(authorization), Some(header)))
        }
        Method::Hmac => {
            check_signable(base)?;
            credentials.require("hmac_secret_key")?;
            let key = credentials.require("hmac_access_key")?;
            // Blanks may be part of a secret; line breaks are copied by mistake.
            let secret = credentials.get_raw("hmac_secret_key").unwrap_or_default().trim_matches(['\r', '\n']);
            if HeaderValue::from_str(key).is_err() {
                return Err(wrong("hmac_access_key", "contains characters that are not allowed in a header"));
            }
            let digest = credentials.flag("hmac_content_digest", true);
            Ok((Arc::new(HmacAuthorization::new(key, secret, digest)), None))
        }
    }
}

/// Where an API key is sent.
enum KeyPlace<'a> {
    Bearer,
    Header(&'a str),
    Query(&'a str),
}

impl<'a> KeyPlace<'a> {
    /// `api_key_name` is a header, or a query parameter if it starts with a question mark; without it the key is a
    /// bearer
    /// token. Older forms select one of the three with `api_key_location`.
    fn of(credentials: &'a Credentials) -> Result<Self, InvokeError> {
        let name = credentials.get("api_key_name");
        Ok(match (credentials.get("api_key_location"), name) {
            (None, None) | (Some("bearer"), _) => Self::Bearer,
            (None, Some(name)) => match name.strip_prefix('?').map(str::trim) {
                Some("") => return Err(wrong("api_key_name", "has no name after the question mark")),
                Some(parameter) => Self::Query(parameter),
                None if name.eq_ignore_ascii_case("authorization: bearer") => Self::Bearer,
                None => Self::Header(name),
            },
            (Some("header"), name) => Self::Header(name.unwrap_or("X-API-Key")),
            (Some("query"), name) => Self::Query(name.unwrap_or("apikey")),
            (Some(other), _) => {
                return Err(wrong(
                    "api_key_location",
                    format_args!("must be bearer, header or query, found `{other}`"),
                ));
            }
        })
    }
}

fn api_key(credentials: &Credentials, base: &BaseUrl) -> Result<(Arc<dyn Authorize>, Option<String>), InvokeError> {
    let Some(key) = credentials.get("api_key") else { return Ok((Arc::new(NoAuthorization), None)) };
    let place = KeyPlace::of(credentials)?;
    if !matches!(place, KeyPlace::Query(_)) && HeaderValue::from_str(key).is_err() {
        return Err(wrong("api_key", "contains characters that are not allowed in a header (such as a line break)"));
    }
    let headers = HeaderAuthorization::new();
    match place {
        KeyPlace::Bearer => Ok((Arc::new(headers.bearer(key)), Some("authorization".to_owned()))),
        KeyPlace::Header(name) => {
            let name = header_name(name, "api_key_name")?;
            Ok((Arc::new(headers.header(name.clone(), key)), Some(name)))
        }
        KeyPlace::Query(name) => {
            if base.as_url().query_pairs().any(|(known, _)| known == name) {
                return Err(wrong(
                    "endpoint_url",
                    format_args!("already contains the query parameter `{name}` of the API key"),
                ));
            }
            Ok((Arc::new(QueryAuthorization::new(name, key)), None))
        }
    }
}

/// Returns the lowercase name of a header that may carry the credential.
fn header_name(name: &str, field: &str) -> Result<String, InvokeError> {
    let parsed = HeaderName::try_from(name).map_err(|_| wrong(field, "is not a valid header name"))?;
    if is_own(parsed.as_str()) {
        return Err(wrong(field, format_args!("must not be `{parsed}`, which is a reserved header")));
    }
    Ok(parsed.as_str().to_owned())
}

/// Reads `extra_headers`; none of them may carry a second credential.
fn extra_headers(
    credentials: &Credentials,
    credential_header: Option<&str>,
) -> Result<HeaderAuthorization, InvokeError> {
    let headers = fields::extra_headers(credentials, HeaderAuthorization::new())?;
    for name in headers.names() {
        if is_own(&name) {
            return Err(wrong("extra_headers", format_args!("must not set `{name}`, which the plugin sets itself")));
        }
        if CREDENTIAL_HEADERS.contains(&name.as_str()) || credential_header == Some(name.as_str()) {
            return Err(wrong(
                "extra_headers",
                format_args!("must not set `{name}`: a request carries only the credential selected by `auth_method`"),
            ));
        }
    }
    Ok(headers)
}

fn is_own(header: &str) -> bool {
    OWN_HEADERS.contains(&header) || header.starts_with("x-ca-")
}

#[cfg(test)]
mod tests;
