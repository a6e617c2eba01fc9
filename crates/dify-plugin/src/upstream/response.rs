//! An upstream's answer: status and headers at once, the body as it comes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::redact::Redactor;
use super::share::Share;
use super::status::{excerpt, request_id};
use crate::codec::json;
use crate::error::InvokeError;

/// A 2xx answer.
pub struct UpstreamResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Longest silence before the answer begins.
    pub first: Duration,
    /// Longest silence between two events or pieces.
    pub idle: Duration,
    /// The body. Dropping it closes the upstream call.
    pub body: BoxStream<'static, Result<Bytes, InvokeError>>,
    /// What was sent as proof: errors that quote the answer must not repeat it.
    pub redactor: Redactor,
    /// What is held of it, of the memory for all responses.
    pub share: Share,
}

/// A non-2xx answer, its body read up to a limit.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Bytes,
    /// The address without query and user part.
    pub url: Url,
}

impl UpstreamResponse {
    /// The media type without parameters, in lower case.
    pub fn content_type(&self) -> String {
        content_type(&self.headers)
    }

    /// The upstream's request id.
    pub fn request_id(&self) -> Option<String> {
        request_id(&self.headers)
    }

    /// The whole body, refused above `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, InvokeError> {
        let mut whole = BytesMut::new();
        loop {
            let wait = if whole.is_empty() { self.first } else { self.idle };
            match tokio::time::timeout(wait, self.body.next()).await {
                Err(_) => return Err(silence(wait, !whole.is_empty()).with_status(self.status.as_u16())),
                Ok(None) => return Ok(Bytes::from_owner(Held { bytes: whole.freeze(), _share: self.share })),
                Ok(Some(piece)) => whole.extend_from_slice(&piece?),
            }
            self.share.set(whole.len())?;
            if whole.len() > limit {
                return Err(InvokeError::server_unavailable(format!(
                    "the upstream's answer is longer than {limit} bytes"
                )));
            }
        }
    }

    /// The whole body as JSON; an HTML page or anything else is an error that shows its beginning.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, InvokeError> {
        let content_type = self.content_type();
        let status = self.status.as_u16();
        let id = self.request_id();
        let redactor = self.redactor.clone();
        let body = self.bytes(limit).await?;
        let text = String::from_utf8_lossy(&body);
        json::read(&text).map_err(|error| {
            let mut failure = InvokeError::server_unavailable(format!(
                "the upstream's answer ({content_type}) cannot be read{}: {error}: {}",
                place::<T>(&text),
                excerpt(&body)
            ))
            .with_status(status);
            failure.request_id = id;
            redactor.hide(failure)
        })
    }
}

/// Where a text is not what was expected, for a person to look at.
fn place<T: DeserializeOwned>(text: &str) -> String {
    /// A longer text is not read twice.
    const MAX_TEXT_BYTES: usize = 256 * 1024;
    let text = Some(text).filter(|text| text.len() <= MAX_TEXT_BYTES);
    let read = |text| serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(text));
    text.and_then(|text| read(text).err()).map(|error| format!(" at `{}`", error.path())).unwrap_or_default()
}

/// A body that gives back its share when nobody holds it any more.
struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The error of an upstream that sends nothing more, or nothing at all behind its headers.
fn silence(wait: Duration, begun: bool) -> InvokeError {
    let wait = wait.as_secs_f64();
    InvokeError::connection(match begun {
        true => format!("the upstream sent nothing for {wait} s in the middle of its answer"),
        false => format!("the upstream accepted the request, but sent nothing of an answer for {wait} s"),
    })
}

/// The media type without parameters, in lower case.
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

    fn answer(body: impl Into<Bytes>, budget: &Budget) -> UpstreamResponse {
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
    async fn a_body_holds_its_share_as_long_as_somebody_holds_it() {
        let (most, budget) = (48 << 20, Budget::default());
        let read = || answer(vec![b' '; most], &budget).bytes(most);
        let mut held = Vec::new();
        for _ in 0..MAX_TOTAL_BYTES / most {
            held.push(read().await.unwrap());
        }
        assert!(read().await.unwrap_err().message.contains("no room"));
        let part = held.pop().unwrap().slice(1..);
        assert!(read().await.is_err());
        drop(part);
        assert_eq!(read().await.unwrap().len(), most);
    }

    #[tokio::test]
    async fn a_list_of_many_values_is_refused_before_it_is_memory() {
        let zeros = format!("{{\"data\":[{}0]}}", "0,".repeat(7_000_000));
        let read = answer(zeros, &Budget::default()).json::<serde_json::Value>(64 << 20).await;
        assert!(read.unwrap_err().message.contains("take more than"));
        let read =
            answer("{\"data\": [1, \"a\"]}", &Budget::default()).json::<BTreeMap<String, Vec<u8>>>(1 << 20).await;
        let message = read.unwrap_err().message;
        assert!(message.contains("cannot be read at `data[1]`"), "{message}");
    }
}
