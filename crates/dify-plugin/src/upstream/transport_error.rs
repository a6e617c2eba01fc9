//! Calls that brought no answer, or only a part of one: what broke, where, and what to do about it.
//!
//! It judges what the HTTP client reports; what a server says is read in [`super::status`].

use std::error::Error;
use std::io;

use http::StatusCode;
use rustls::CertificateError;

use super::UpstreamRequest;
use super::instance::Forbidden;
use super::probe::{Route, route};
use crate::error::InvokeError;

/// A call that is not made.
pub(super) fn forbidden_error(error: Forbidden) -> InvokeError {
    InvokeError::bad_request(error.to_string())
}

/// What became of a call that brought no answer.
pub(super) fn transport_error(error: &reqwest::Error, request: &UpstreamRequest) -> InvokeError {
    if let Some(forbidden) = cause::<Forbidden>(error) {
        return forbidden_error(forbidden.clone());
    }
    let (address, detail) = (address(request), causes(error));
    // The tunnel's error is of a type that cannot be named.
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
        (false, false) => format!("the connection broke while calling {address}: {detail}"),
    };
    // A server that was reached and does not speak as expected does not do so a moment later either.
    let is_understood = tls_error(error).is_none() && !is_no_http(&detail) && !error.is_builder();
    let failure = InvokeError { retryable: is_understood, ..InvokeError::connection(what) };
    match hint_of(error, request) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// A proxy on the way wants a login, or does not take the one that it was given.
pub(super) fn proxy_login_error(request: &UpstreamRequest) -> InvokeError {
    let proxy = match route(&request.url, &request.network) {
        Ok(Route::Proxy { url, from }) => format!(": {url} ({from})"),
        _ => format!(" on the way to {}", address(request)),
    };
    InvokeError::connection(format!("the proxy wants a user and a password{proxy}"))
        .with_status(StatusCode::PROXY_AUTHENTICATION_REQUIRED.as_u16())
        .with_hint("Write them into its address: http://user:password@host:port. If they stand there, they are wrong.")
}

/// Whether a server answered, but not in HTTP.
fn is_no_http(detail: &str) -> bool {
    detail.contains("invalid HTTP")
}

/// What became of an answer that broke off.
pub(super) fn body_error(error: &reqwest::Error, host: &str) -> InvokeError {
    cut_short(host, &causes(error))
}

/// The error of a response that broke off, or that cannot be unpacked any further.
pub(super) fn cut_short(host: &str, why: &str) -> InvokeError {
    InvokeError::connection(format!("{host} cut its answer short: {why}"))
}

fn hint_of(error: &reqwest::Error, request: &UpstreamRequest) -> Option<String> {
    if let Some(error) = tls_error(error) {
        return tls_hint(error).map(str::to_owned);
    }
    let detail = causes(error).to_ascii_lowercase();
    if !error.is_connect() {
        let other = detail.contains("invalid http version");
        return other
            .then(|| "The server does not speak HTTP on this port: is it https:// instead of http://?".to_owned());
    }
    if detail.contains("resolving for socks") {
        return Some(
            "A proxy at socks5:// has names resolved on this machine; at socks5h:// it does so itself.".to_owned(),
        );
    }
    if let Ok(Route::Proxy { url, from }) = route(&request.url, &request.network) {
        return Some(format!(
            "The way leads by the proxy {url} ({from}), which is down or refuses: check its address."
        ));
    }
    let unresolved = ["dns error", "lookup", "name or service"].iter().any(|word| detail.contains(word));
    unresolved.then(|| "The host name cannot be resolved from the plugin daemon's network.".to_owned())
}

/// The TLS library's error in a chain of causes.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    cause(error)
}

/// The error of a type in a chain of causes.
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
            "The server's certificate is for another host: call it by the name that the certificate bears."
        }
        InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "The server's certificate has expired, or the clock of this machine is wrong."
        }
        InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "The server's certificate is not valid yet, or the clock of this machine is wrong."
        }
        // What `openssl req -x509` makes, and webpki tells by name only.
        InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "The server shows the certificate of a CA as its own: give the server one that was made with \
             basicConstraints CA:FALSE, and `tls_ca` the CA that issued it."
        }
        InvalidCertificate(_) => {
            "The server's certificate is not trusted: give its CA in the `tls_ca` credential (PEM), or name a file with \
             it in SSL_CERT_FILE."
        }
        InvalidMessage(_) => "The server does not speak TLS on this port: is it http:// instead of https://?",
        _ => return None,
    })
}

/// The chain of causes without the address, which may hold a secret in its query.
pub fn causes(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() { "no further detail".to_owned() } else { causes.join(": ") }
}

/// Host and port as they stand in messages.
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
    fn a_certificate_that_no_ca_mends_is_told_apart() {
        let other = |text: &str| CertificateError::Other(OtherError(Arc::new(io::Error::other(text.to_owned()))));
        for (error, expected) in [
            (other("CaUsedAsEndEntity"), "CA:FALSE"),
            (other("something else"), "give its CA"),
            (CertificateError::UnknownIssuer, "give its CA"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidForName, "for another host"),
        ] {
            let hint = tls_hint(&rustls::Error::InvalidCertificate(error)).unwrap();
            assert!(hint.contains(expected), "{expected}: {hint}");
        }
    }
}
