//! Decompresses response bodies as they arrive. A small body may decompress to very much data, so the size is checked
//! against what the server sent.
//!
//! The size limit of a response is enforced where the response is kept.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "brotli")]
use async_compression::tokio::bufread::BrotliDecoder;
use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::transport_error::cut_short;
use crate::error::InvokeError;

/// Maximum average expansion of one byte. Streams of small events, which repeat most of their text, stay below 40.
const MAX_EXPANSION: usize = 100;

/// Size in bytes to which any response may decompress.
const FREE_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of bytes that are decompressed at once.
const CHUNK_BYTES: usize = 16 * 1024;

type Body = BoxStream<'static, Result<Bytes, InvokeError>>;

/// What is accepted. The dictionary of Brotli is a good part of a small executable; every server that has it has gzip, too.
const ACCEPTED: &str = if cfg!(feature = "brotli") { "gzip, br" } else { "gzip" };

/// Accepts compressed responses, unless the request has its own `Accept-Encoding`.
pub(super) fn accept(headers: &mut HeaderMap) {
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(ACCEPTED));
}

/// Decompresses a body according to its headers, and removes these headers.
pub(super) fn unpack(headers: &mut HeaderMap, mut body: Body, host: &str) -> Body {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|name| name.to_str().ok()).map(str::to_ascii_lowercase);
    let open: fn(Reader) -> Box<dyn AsyncRead + Send + Unpin> = match encoding.as_deref().map(str::trim) {
        Some("gzip" | "x-gzip") => |reader| {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(decoder)
        },
        #[cfg(feature = "brotli")]
        Some("br") => |reader| Box::new(BrotliDecoder::new(reader)),
        _ => return body,
    };
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    let (packed, host) = (Arc::new(AtomicUsize::new(0)), host.to_owned());
    let counted = packed.clone();
    stream::once(async move {
        // An empty body was not compressed.
        let Some(first) = body.next().await else { return stream::empty().boxed() };
        let packed_body = stream::iter([first]).chain(body);
        let counting = packed_body.inspect_ok(move |chunk| {
            counted.fetch_add(chunk.len(), Ordering::Relaxed);
        });
        let reader: Reader = StreamReader::new(counting.map_err(io::Error::other).boxed());
        let mut unpacked = 0usize;
        let measured = ReaderStream::with_capacity(open(reader), CHUNK_BYTES).map(move |chunk| {
            let chunk = chunk.map_err(|error| match error.downcast::<InvokeError>() {
                Ok(own) => own,
                Err(error) => cut_short(&host, &error.to_string()),
            })?;
            unpacked = unpacked.saturating_add(chunk.len());
            if unpacked > FREE_BYTES && unpacked > packed.load(Ordering::Relaxed).saturating_mul(MAX_EXPANSION) {
                return Err(InvokeError::server_unavailable(format!(
                    "the compressed response of {host} expands to more than {MAX_EXPANSION} times its size"
                )));
            }
            Ok(chunk)
        });
        // Nothing is read after an error.
        measured
            .scan(false, |failed, chunk| {
                let over = std::mem::replace(failed, chunk.is_err());
                std::future::ready((!over).then_some(chunk))
            })
            .boxed()
    })
    .flatten()
    .boxed()
}

type Reader = StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>;

#[cfg(test)]
mod tests {
    #[cfg(feature = "brotli")]
    use async_compression::tokio::write::BrotliEncoder;
    use async_compression::tokio::write::GzipEncoder;
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn packed(encoding: &str, text: &[u8]) -> Vec<u8> {
        match encoding {
            #[cfg(feature = "brotli")]
            "br" => {
                let mut encoder = BrotliEncoder::with_quality(Vec::new(), async_compression::Level::Precise(1));
                encoder.write_all(text).await.unwrap();
                encoder.shutdown().await.unwrap();
                encoder.into_inner()
            }
            _ => {
                let mut encoder = GzipEncoder::new(Vec::new());
                encoder.write_all(text).await.unwrap();
                encoder.shutdown().await.unwrap();
                encoder.into_inner()
            }
        }
    }

    /// Returns the length of a body that arrives in chunks of `size` bytes, and how it ends.
    async fn read(encoding: &str, bytes: &[u8], size: usize) -> (usize, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap());
        let chunks: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut body = unpack(&mut headers, stream::iter(chunks).boxed(), "h");
        assert!(!headers.contains_key(CONTENT_ENCODING) || encoding == "other");
        let (mut length, mut error) = (0, None);
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => length += chunk.len(),
                Err(failure) => error = Some(failure.message),
            }
        }
        (length, error)
    }

    #[tokio::test]
    async fn stops_bodies_that_expand_too_much() {
        let zeros = vec![b'a'; 4 * FREE_BYTES];
        let text: String =
            (0..400_000).map(|number| format!("data: {{\"id\":\"c-1\",\"t\":\"{number}\"}}\n\n")).collect();
        for encoding in ACCEPTED.split(", ") {
            let bomb = packed(encoding, &zeros).await;
            assert!(bomb.len() * 500 < zeros.len(), "{encoding}: {}", bomb.len());
            let (length, error) = read(encoding, &bomb, 1000).await;
            assert!((FREE_BYTES - CHUNK_BYTES..FREE_BYTES * 2).contains(&length), "{encoding}: {length}");
            assert!(error.unwrap().contains("more than 100 times its size"), "{encoding}");
            // Expands as much, but stays within the size that any response may have.
            let small = packed(encoding, &zeros[..FREE_BYTES]).await;
            assert_eq!(read(encoding, &small, 1000).await, (FREE_BYTES, None), "{encoding}");
            let events = packed(encoding, text.as_bytes()).await;
            assert_eq!(read(encoding, &events, 1000).await, (text.len(), None), "{encoding}");
        }
    }

    #[tokio::test]
    async fn decompresses_complete_bodies() {
        let hello = packed("gzip", b"Hello").await;
        let twice = [hello.clone(), hello.clone()].concat();
        for (encoding, bytes, expected) in [
            ("gzip", &hello[..], (5, false)),
            ("GZIP", &hello, (5, false)),
            ("x-gzip", &twice, (10, false)),
            #[cfg(feature = "brotli")]
            ("br", &packed("br", b"Hello").await, (5, false)),
            ("gzip", b"", (0, false)),
            ("other", b"as it is", (8, false)),
            ("gzip", &hello[..hello.len() - 9], (5, true)),
            ("gzip", b"no gzip at all", (0, true)),
        ] {
            for size in [1, 7, 1000] {
                let (length, error) = read(encoding, bytes, size).await;
                let message = error.as_deref().unwrap_or("before the response was complete");
                assert!(message.contains("before the response was complete"), "{encoding}: {message}");
                assert!(length <= expected.0 && (expected.1 || length == expected.0), "{encoding} {size}: {length}");
                assert_eq!(error.is_some(), expected.1, "{encoding} {size}");
            }
        }
    }
}
