//! Errors of requests that got no response or an incomplete one: what failed, where, and what to do about it.
//!
//! Interprets what the HTTP client reports; server error messages are parsed in [`super::status`].

use std::error::Error;
use std::io;

use http::StatusCode;
use rustls::CertificateError;

use super::UpstreamRequest;
use super::instance::Forbidden;
use super::probe::{Route, route};
use crate::error::InvokeError;

/// Error of a request that is not sent because its target is forbidden.
pub(super) fn forbidden_error(error: Forbidden) -> InvokeError {
    InvokeError::bad_request(error.to_string())
}

/// Error of a request that got no response.
pub(super) fn transport_error(error: &reqwest::Error, request: &UpstreamRequest) -> InvokeError {
    if let Some(forbidden) = cause::<Forbidden>(error) {
        return forbidden_error(forbidden.clone());
    }
    let (address, detail) = (address(request), causes(error));
    // The error type for proxy tunnels is private, so its text is matched.
    if error.is_connect() && detail.contains("proxy authorization required") {
        return proxy_login_error(request);
    }
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, true) => {
            let seconds = request.timeouts.connect.as_secs_f64();
            format!("cannot connect to {address} within {seconds} s: {detail}")
        }
        (true, false) => format!("cannot connect to {address}: {detail}"),
        (false, true) => format!("timed out calling {address}: {detail}"),
        (false, false) => format!("connection lost while calling {address}: {detail}"),
    };
    // A reachable server that does not speak the expected protocol will not do so on a retry either.
    let is_understood = tls_error(error).is_none() && !is_no_http(&detail) && !error.is_builder();
    let failure = InvokeError { retryable: is_understood, ..InvokeError::connection(what) };
    match hint_of(error, request) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Error for a proxy that requires credentials or rejects the ones it was given.
pub(super) fn proxy_login_error(request: &UpstreamRequest) -> InvokeError {
    let proxy = match route(&request.url, &request.network) {
        Ok(Route::Proxy { url, from }) => format!(": {url} (from {from})"),
        _ => format!(" in front of {}", address(request)),
    };
    InvokeError::connection(format!("the proxy requires a user name and a password{proxy}"))
        .with_status(StatusCode::PROXY_AUTHENTICATION_REQUIRED.as_u16())
        .with_hint(
            "Add them to the proxy URL: http://user:password@host:port. If they are in it, the proxy rejected them.",
        )
}

/// Whether a server responded, but not in HTTP.
fn is_no_http(detail: &str) -> bool {
    detail.contains("invalid HTTP")
}

/// Error of a response that was interrupted.
pub(super) fn body_error(error: &reqwest::Error, host: &str) -> InvokeError {
    cut_short(host, &causes(error))
}

/// Error of a response that is truncated or cannot be decompressed any further.
pub(super) fn cut_short(host: &str, why: &str) -> InvokeError {
    InvokeError::connection(format!("{host} closed the connection before the response was complete: {why}"))
}

fn hint_of(error: &reqwest::Error, request: &UpstreamRequest) -> Option<String> {
    if let Some(error) = tls_error(error) {
        return tls_hint(error).map(str::to_owned);
    }
    let detail = causes(error).to_ascii_lowercase();
    if !error.is_connect() {
        let other = detail.contains("invalid http version");
        return other
            .then_some(
                "The server does not speak HTTP on this port. Should the URL start with https:// instead of http://?",
            )
            .map(str::to_owned);
    }
    if detail.contains("resolving for socks") {
        return Some(
            "With socks5://, host names are resolved on this machine; with socks5h://, the proxy resolves them."
                .to_owned(),
        );
    }
    if let Ok(Route::Proxy { url, from }) = route(&request.url, &request.network) {
        return Some(format!(
            "Requests go through the proxy {url} (from {from}), which is down or refuses connections. Check the proxy \
             URL."
        ));
    }
    let unresolved = ["dns error", "lookup", "name or service"].iter().any(|word| detail.contains(word));
    unresolved.then(|| "The plugin daemon's network cannot resolve this host name.".to_owned())
}

/// Returns the TLS library's error in a chain of causes.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    cause(error)
}

/// Returns the error of type `E` in a chain of causes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let wrapped = || error.downcast_ref::<io::Error>()?.get_ref().and_then(|inner| cause(inner));
    error.downcast_ref().or_else(wrapped).or_else(|| cause(error.source()?))
}

fn tls_hint(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError::NotValidYetContext;
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet};
    use rustls::Error::{InvalidCertificate, InvalidMessage};

    Some(match error {
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "The server's certificate is for a different host. Use the host name in the certificate."
        }
        InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "The server's certificate has expired, or the clock of this machine is wrong."
        }
        InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "The server's certificate is not valid yet, or the clock of this machine is wrong."
        }
        // Certificates made with `openssl req -x509`; webpki reports this reason only as text.
        InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "The server presents a CA certificate as its own. Issue a server certificate with \
             basicConstraints CA:FALSE, and set `tls_ca` to the CA that issued it."
        }
        InvalidCertificate(_) => {
            "The server's certificate is not trusted. Paste its CA certificate (PEM) into the `tls_ca` credential, or \
             set SSL_CERT_FILE to a file that contains it."
        }
        InvalidMessage(_) => {
            "The server does not speak TLS on this port. Should the URL start with http:// instead of https://?"
        }
        _ => return None,
    })
}

/// Returns the chain of causes without the URL, whose query string may contain a secret.
pub fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() { "no further detail".to_owned() } else { causes.join(": ") }
}

/// Host and port as shown in messages.
pub(super) fn address(request: &UpstreamRequest) -> String {
    let host = request.url.host_str().unwrap_or_default();
    match request.url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn explains_certificate_errors() {
        let other = |text: &str| CertificateError::Other(OtherError(Arc::new(io::Error::other(text.to_owned()))));
        for (error, expected) in [
            (other("CaUsedAsEndEntity"), "CA:FALSE"),
            (other("something else"), "Paste its CA certificate"),
            (CertificateError::UnknownIssuer, "Paste its CA certificate"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidForName, "for a different host"),
        ] {
            let hint = tls_hint(&rustls::Error::InvalidCertificate(error)).unwrap();
            assert!(hint.contains(expected), "{expected}: {hint}");
        }
    }
}
