//! A server's response: status and headers immediately, the body as it arrives.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::redact::Redactor;
use super::share::Share;
use super::status::{excerpt, request_id};
use crate::codec::json;
use crate::error::InvokeError;

/// A 2xx response.
pub struct UpstreamResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Maximum time without data before the body starts.
    pub first: Duration,
    /// Maximum time between two events or chunks.
    pub idle: Duration,
    /// Body. Dropping it closes the connection.
    pub body: BoxStream<'static, Result<Bytes, InvokeError>>,
    /// Secrets of the request, to be redacted from errors that quote the response.
    pub redactor: Redactor,
    /// Memory of this response, within the budget of all responses.
    pub share: Share,
}

/// A non-2xx response, its body read up to a limit.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Beginning of the body.
    pub body: Bytes,
    /// URL without query string and user name.
    pub url: Url,
}

impl UpstreamResponse {
    /// Returns the media type without parameters, in lower case.
    pub fn content_type(&self) -> String {
        content_type(&self.headers)
    }

    /// Returns the server's request ID.
    pub fn request_id(&self) -> Option<String> {
        request_id(&self.headers)
    }

    /// Returns the complete body; rejects one of more than `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, InvokeError> {
        let mut whole = BytesMut::new();
        loop {
            let wait = if whole.is_empty() { self.first } else { self.idle };
            match tokio::time::timeout(wait, self.body.next()).await {
                Err(_) => return Err(idle_timeout(wait, !whole.is_empty()).with_status(self.status.as_u16())),
                Ok(None) => return Ok(Bytes::from_owner(SharedBody { bytes: whole.freeze(), _share: self.share })),
                Ok(Some(chunk)) => whole.extend_from_slice(&chunk?),
            }
            self.share.set(whole.len())?;
            if whole.len() > limit {
                return Err(InvokeError::server_unavailable(format!("the response is larger than {limit} bytes")));
            }
        }
    }

    /// Parses the complete body as JSON; an HTML page or anything else is an error that quotes its beginning.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, InvokeError> {
        let content_type = self.content_type();
        let status = self.status.as_u16();
        let id = self.request_id();
        let redactor = self.redactor.clone();
        let body = self.bytes(limit).await?;
        let text = String::from_utf8_lossy(&body);
        json::read(&text).map_err(|error| {
            let mut failure = InvokeError::server_unavailable(format!(
                "cannot parse the response ({content_type}){}: {error}: {}",
                place::<T>(&text),
                excerpt(&body)
            ))
            .with_status(status);
            failure.request_id = id;
            redactor.redact_error(failure)
        })
    }
}

/// Reads the rest of a body whose content is complete, so that its connection can be used again: a server that writes its last
/// piece late would otherwise cost the next call a new connection. The caller waits for a moment only, so that a call that
/// follows at once finds the connection; after that a task reads on, up to a limit. Source: HTTP/1.1 requires the complete body
/// to be read before the next request (RFC 9112, section 9.3).
pub async fn read_rest(mut body: impl Stream<Item = Result<Bytes, InvokeError>> + Send + Unpin + 'static) {
    /// How long the caller waits.
    const AT_ONCE: Duration = Duration::from_millis(5);
    /// How long the rest may take.
    const LATER: Duration = Duration::from_secs(1);
    /// Maximum size of the rest, in bytes.
    const MAX_BYTES: usize = 64 * 1024;
    let mut read = Box::pin(async move {
        let mut length = 0;
        while let Some(Ok(chunk)) = body.next().await {
            length += chunk.len();
            if length > MAX_BYTES {
                return;
            }
        }
    });
    if tokio::time::timeout(AT_ONCE, &mut read).await.is_err() {
        tokio::spawn(tokio::time::timeout(LATER, read));
    }
}

/// Returns the path of the value that does not match the expected type, for error messages.
fn place<T: DeserializeOwned>(text: &str) -> String {
    /// Maximum size of a text that is parsed a second time, in bytes.
    const MAX_TEXT_BYTES: usize = 256 * 1024;
    let text = Some(text).filter(|text| text.len() <= MAX_TEXT_BYTES);
    let read = |text| serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(text));
    text.and_then(|text| read(text).err()).map(|error| format!(" at `{}`", error.path())).unwrap_or_default()
}

/// A body that releases its share of the budget when its last handle is dropped.
struct SharedBody {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for SharedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Error of a server that sends no more data, or no data at all after its headers.
fn idle_timeout(wait: Duration, begun: bool) -> InvokeError {
    let wait = wait.as_secs_f64();
    InvokeError::connection(match begun {
        true => format!("the server sent no data for {wait} s before the response was complete"),
        false => format!("the server accepted the request, but sent no data for {wait} s"),
    })
}

/// Returns the media type without parameters, in lower case.
pub fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::stream;

    use super::*;
    use crate::upstream::share::{Budget, MAX_TOTAL_BYTES};

    fn response(body: impl Into<Bytes>, budget: &Budget) -> UpstreamResponse {
        let body = body.into();
        UpstreamResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            first: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            body: stream::iter(
                (0..body.len()).step_by(1 << 20).map(move |at| Ok(body.slice(at..body.len().min(at + (1 << 20))))),
            )
            .boxed(),
            redactor: Redactor::default(),
            share: budget.share(),
        }
    }

    #[tokio::test]
    async fn keeps_the_share_until_the_last_handle_is_dropped() {
        let (most, budget) = (48 << 20, Budget::default());
        let read = || response(vec![b' '; most], &budget).bytes(most);
        let mut held = Vec::new();
        for _ in 0..MAX_TOTAL_BYTES / most {
            held.push(read().await.unwrap());
        }
        assert!(read().await.unwrap_err().message.contains("too many large responses"));
        let part = held.pop().unwrap().slice(1..);
        assert!(read().await.is_err());
        drop(part);
        assert_eq!(read().await.unwrap().len(), most);
    }

    #[tokio::test]
    async fn rejects_arrays_that_would_exhaust_memory() {
        let zeros = format!("{{\"data\":[{}0]}}", "0,".repeat(7_000_000));
        let read = response(zeros, &Budget::default()).json::<serde_json::Value>(64 << 20).await;
        assert!(read.unwrap_err().message.contains("take more than"));
        let read =
            response("{\"data\": [1, \"a\"]}", &Budget::default()).json::<BTreeMap<String, Vec<u8>>>(1 << 20).await;
        let message = read.unwrap_err().message;
        assert!(message.contains("cannot parse the response () at `data[1]`"), "{message}");
    }
}
