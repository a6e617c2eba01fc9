//! Who may ask the workbench: the page that it served, and nothing else. Every route passes here, and every response gets the
//! headers that keep it from being framed, guessed at, cached or extended.
//!
//! The order is: `Host` (a name that was rebound to loopback has another), then `Origin` and `Sec-Fetch-Site` (another page of the
//! same browser), then the token (another process of the machine). A check that a header passes does not pass without it, except
//! where browsers leave it out. Cookies are not used: all ports of a host share them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::MARKER;
use super::error::ApiError;
use super::token::Token;

/// What the page may load: its own files, and what it was given as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a file of the plugin may do when it is opened by itself: an SVG may contain scripts.
pub(super) const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// The rest of the headers of every response.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a request is compared with.
pub(super) struct Safety {
    hosts: Vec<String>,
    token: Token,
}

impl Safety {
    /// The rules of a server at this address.
    pub(super) fn new(address: SocketAddr, token: Token) -> Self {
        let port = address.port();
        let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")).into();
        hosts.push(address.to_string());
        Self { hosts, token }
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = text(header::HOST).unwrap_or_default();
        if !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Err(forbidden("the workbench is not known by this name").with_hint("Use the printed link."));
        }
        let origin = text(header::ORIGIN);
        if origin.is_some_and(|origin| !is_own(origin, host)) {
            return Err(forbidden("another page must not use the workbench"));
        }
        // A link from elsewhere may lead to the page, which does nothing without the token.
        let is_page = method == Method::GET && path == "/";
        let site = text(HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) && !is_page {
            return Err(forbidden("another page must not use the workbench"));
        }
        if !path.starts_with("/api/") {
            return Ok(());
        }
        if !self.token.is_in(text(header::AUTHORIZATION).unwrap_or_default()) {
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "the token is missing, or belongs to another run");
            return Err(error.with_hint("Open the link that the terminal shows."));
        }
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        if origin.is_none() {
            return Err(forbidden("the request does not say which page sent it"));
        }
        let content_type = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if method != Method::DELETE && !content_type.eq_ignore_ascii_case("application/json") {
            let message = "the content type must be application/json";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        Ok(())
    }
}

fn forbidden(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}

fn is_own(origin: &str, host: &str) -> bool {
    origin.strip_prefix("http://").is_some_and(|name| name.eq_ignore_ascii_case(host))
}

/// Checks a request before anything reads it, and completes the headers of its response.
pub(super) async fn guard(State(safety): State<Arc<Safety>>, request: Request, next: Next) -> Response {
    let checked = safety.check(request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(header::SERVER, HeaderValue::from_static(MARKER));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_page_passes() {
        let token = Token::generate();
        let bearer = format!("Bearer {}", token.reveal());
        let safety = Safety::new(SocketAddr::from(([127, 0, 0, 1], 4321)), token);
        let own =
            [("host", "127.0.0.1:4321"), ("origin", "http://127.0.0.1:4321"), ("content-type", "application/json")];
        // Method, path, members that differ from the page's own request (an empty one is left out), with the token, status.
        for (method, path, changed, has_token, expected) in [
            (Method::GET, "/", &[][..], false, 200),
            (Method::GET, "/", &[("host", "")], false, 403),
            (Method::GET, "/", &[("host", "localhost:4321"), ("origin", "")], false, 200),
            (Method::GET, "/", &[("host", "LOCALHOST:4321"), ("origin", "")], false, 200),
            (Method::GET, "/", &[("host", "[::1]:4321"), ("origin", "")], false, 200),
            (Method::GET, "/", &[("host", "127.0.0.1"), ("origin", "")], false, 403),
            (Method::GET, "/", &[("host", "127.0.0.1:80"), ("origin", "")], false, 403),
            (Method::GET, "/", &[("host", "evil.example:4321"), ("origin", "")], false, 403),
            (Method::GET, "/", &[("host", "127.0.0.1.evil.example:4321"), ("origin", "")], false, 403),
            // A link from elsewhere opens the page, and nothing but the page.
            (Method::GET, "/", &[("origin", ""), ("sec-fetch-site", "cross-site")], false, 200),
            (Method::GET, "/app/main.js", &[("origin", ""), ("sec-fetch-site", "cross-site")], false, 403),
            (Method::GET, "/app/main.js", &[("origin", ""), ("sec-fetch-site", "same-origin")], false, 200),
            (Method::GET, "/app/main.js", &[("origin", "http://evil.example")], false, 403),
            (Method::GET, "/api/plugin", &[], false, 401),
            (Method::GET, "/api/plugin", &[], true, 200),
            (Method::GET, "/api/plugin", &[("origin", "")], true, 200),
            (Method::GET, "/api/plugin", &[("origin", "null")], true, 403),
            (Method::GET, "/api/plugin", &[("origin", "http://127.0.0.1:4322")], true, 403),
            (Method::GET, "/api/plugin", &[("origin", "https://127.0.0.1:4321")], true, 403),
            (Method::GET, "/api/plugin", &[("sec-fetch-site", "same-site")], true, 403),
            (Method::POST, "/api/calls", &[], true, 200),
            (Method::POST, "/api/calls", &[], false, 401),
            (Method::POST, "/api/calls", &[("origin", "")], true, 403),
            (Method::POST, "/api/calls", &[("content-type", "text/plain")], true, 415),
            (Method::POST, "/api/calls", &[("content-type", "")], true, 415),
            (Method::POST, "/api/calls", &[("content-type", "application/json; charset=utf-8")], true, 200),
            (Method::DELETE, "/api/credentials/endpoint", &[("content-type", "")], true, 200),
            (Method::DELETE, "/api/credentials/endpoint", &[("origin", "")], true, 403),
            (Method::OPTIONS, "/api/calls", &[("origin", "http://evil.example")], true, 403),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in own.iter().chain(changed) {
                match value.is_empty() {
                    true => drop(headers.remove(*name)),
                    false => drop(headers.insert(*name, HeaderValue::from_str(value).unwrap())),
                }
            }
            if has_token {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&bearer).unwrap());
            }
            let found = safety
                .check(&method, path, &headers)
                .map_or_else(|error| error.into_response().status(), |()| StatusCode::OK);
            assert_eq!(found.as_u16(), expected, "{method} {path} {changed:?} {has_token}");
        }
    }
}
