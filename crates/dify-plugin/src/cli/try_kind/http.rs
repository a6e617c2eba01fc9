//! `--request` and its headers and body: an HTTP request as Dify passes it on to endpoints and triggers, and the response of a
//! trigger.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::terminal::{print_part, say};

/// An HTTP request to the plugin.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "HTTP requests to endpoints and triggers")]
pub struct HttpArgs {
    /// HTTP request to an endpoint or a trigger of the plugin, such as "POST /hook"; an endpoint's settings are given like
    /// credentials
    #[arg(long, value_name = "METHOD PATH")]
    pub request: Option<String>,
    /// Header of the HTTP request (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "request")]
    headers: Vec<String>,
    /// Body of the HTTP request
    #[arg(long, requires = "request", value_name = "TEXT", conflicts_with = "body_file")]
    body: Option<String>,
    /// File with the body of the HTTP request
    #[arg(long, requires = "request", value_name = "FILE")]
    body_file: Option<PathBuf>,
}

impl HttpArgs {
    /// The request as hexadecimal HTTP/1.1.
    pub(super) fn raw(&self, request: &str) -> anyhow::Result<String> {
        let body = match (&self.body, &self.body_file) {
            (_, Some(path)) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            (body, None) => body.clone().unwrap_or_default().into_bytes(),
        };
        raw(request, &self.headers, &body)
    }
}

/// Writes a request (`METHOD PATH`) as hexadecimal HTTP/1.1.
pub(super) fn raw(request: &str, headers: &[String], body: &[u8]) -> anyhow::Result<String> {
    let (method, path) = request
        .split_once(' ')
        .filter(|(method, path)| !method.is_empty() && path.starts_with('/') && !path.contains(char::is_whitespace))
        .with_context(|| format!("expected \"METHOD /path\", found `{request}`"))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let mut has_host = false;
    for header in headers {
        let (name, value) = header.split_once(':').context("expected a header \"NAME: VALUE\", but there is no `:`")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains(char::is_whitespace) || header.contains(['\r', '\n']) {
            bail!("expected a header \"NAME: VALUE\" on one line");
        }
        has_host |= name.eq_ignore_ascii_case("host");
        // The length is the body's.
        if !name.eq_ignore_ascii_case("content-length") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !has_host {
        head.push_str("Host: localhost\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    Ok(hex::encode([head.as_bytes(), body].concat()))
}

/// Prints a whole response: its body to standard output, and the rest to standard error.
pub(super) fn print_response(bytes: &[u8]) -> anyhow::Result<()> {
    let (head_end, body_start) = match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (at, at + 4),
        None => (bytes.len(), bytes.len()),
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]);
    for (index, line) in head.lines().enumerate() {
        match line.split_once(' ') {
            Some((version, status)) if index == 0 && version.starts_with("HTTP/") => say(&format!("HTTP {status}")),
            _ => say(line),
        }
    }
    let body = String::from_utf8_lossy(&bytes[body_start..]);
    let newline = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
    print_part(&format!("{body}{newline}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_http() {
        let text = |request: &str, headers: &[&str], body: &str| {
            let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
            raw(request, &headers, body.as_bytes()).map(|raw| String::from_utf8(hex::decode(raw).unwrap()).unwrap())
        };
        assert_eq!(
            text("POST /hook?a=1", &["X-A:1", "Content-Length: 9"], "hi").unwrap(),
            "POST /hook?a=1 HTTP/1.1\r\nX-A: 1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(text("GET /", &["host: x"], "").unwrap().contains("\r\nhost: x\r\nContent-Length: 0\r\n\r\n"));
        for (request, headers) in
            [("/hook", &[][..]), ("POST", &[]), ("POST hook", &[]), ("GET /", &["x"]), ("GET /", &["a: b\r\nc: d"])]
        {
            assert!(text(request, headers, "").is_err(), "{request} {headers:?}");
        }
    }
}
