//! HTTP/1.1 messages as they are on a connection: a request from its bytes, a response to bytes. Lenient with what others
//! wrote: what is not valid in a header is left out.
//!
//! It is no server: a message is whole, and its body is what follows the head.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};

/// Reads a request. The body was decoded by who received it, so that no length and no encoding of it counts.
pub fn parse_request(bytes: Vec<u8>) -> Result<Request<Bytes>, &'static str> {
    let (head_end, body_start) = split(&bytes);
    let head = &bytes[..head_end];
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let method_end = first.iter().position(|byte| *byte == b' ').ok_or("the request line is malformed")?;
    let version_start = first.iter().rposition(|byte| *byte == b' ').ok_or("the request line is malformed")?;
    let target = first.get(method_end + 1..version_start).ok_or("the request line is malformed")?;
    if !first[version_start..].starts_with(b" HTTP/1.") {
        return Err("the request line has no HTTP version");
    }
    let method = Method::from_bytes(&first[..method_end]).map_err(|_| "the method is malformed")?;
    let uri = Uri::try_from(encoded(target)).map_err(|_| "the target is malformed")?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && name != TRANSFER_ENCODING
        {
            request.headers_mut().append(name, value);
        }
    }
    *request.body_mut() = Bytes::from(bytes).slice(body_start..);
    Ok(request)
}

/// Where the head ends and the body begins.
fn split(bytes: &[u8]) -> (usize, usize) {
    let find = |mark: &[u8]| memchr::memmem::find(bytes, mark).map(|at| (at, at + mark.len()));
    match (find(b"\r\n\r\n"), find(b"\n\n")) {
        (Some(whole), Some(bare)) => whole.min(bare),
        (Some(place), None) | (None, Some(place)) => place,
        (None, None) => (bytes.len(), bytes.len()),
    }
}

/// A target without bytes that a URI cannot have.
fn encoded(target: &[u8]) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(byte) => text.push(*byte as char),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// Writes a response, with the length of its body.
pub fn write_response(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("")).into_bytes();
    for (name, value) in response.headers() {
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body().len()).as_bytes());
    bytes.extend_from_slice(response.body());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_come() {
        for (bytes, method, target, headers, body) in [
            ("GET /a?b=1 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n", "GET", "/a?b=1", "host=x;x-a=1;x-a=2", ""),
            ("PATCH / HTTP/1.0\nA:b\n\nbody\r\n\r\n", "PATCH", "/", "a=b", "body\r\n\r\n"),
            ("POST /a b/é?q=ü HTTP/1.1\r\n\r\nx", "POST", "/a%20b/%C3%A9?q=%C3%BC", "", "x"),
            ("GET /{x} HTTP/1.1", "GET", "/%7Bx%7D", "", ""),
            (
                "GET / HTTP/1.1\r\nno colon\r\nb d: 1\r\nTransfer-Encoding: chunked\r\nOk: \t1 \r\n\r\n5",
                "GET",
                "/",
                "ok=1",
                "5",
            ),
        ] {
            let request = parse_request(bytes.as_bytes().to_vec()).unwrap();
            let found: Vec<String> =
                request.headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
            assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), (method, target));
            assert_eq!((found.join(";").as_str(), &request.body()[..]), (headers, body.as_bytes()), "{bytes}");
        }
        for bytes in ["", "GET", "GET /", "GET / FTP/1", " / HTTP/1.1", "G(T / HTTP/1.1", "\r\n\r\n"] {
            assert!(parse_request(bytes.as_bytes().to_vec()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn responses_have_the_length_of_their_body() {
        let mut response = Response::new(Bytes::from_static(b"ok"));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("99"));
        response.headers_mut().insert("x-a", HeaderValue::from_static("1"));
        assert_eq!(write_response(&response), b"HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nok");
    }
}
