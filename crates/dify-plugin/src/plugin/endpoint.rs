//! Endpoints: HTTP requests that Dify received at a public URL. The daemon does not route them, so that one value gets all.

use std::fmt;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use tracing::warn;

use super::{Call, PluginError};
use crate::error::ErrorKind;

/// Answers the HTTP requests of all endpoints.
///
/// ```
/// use dify_plugin::prelude::*;
/// use dify_plugin::{bytes::Bytes, http};
///
/// /// Serves the paths of `endpoints/group.yaml`.
/// struct Routes;
///
/// impl Endpoint for Routes {
///     async fn handle(&self, call: Call, request: http::Request<Bytes>) -> Result<http::Response<Body>, PluginError> {
///         match (request.method().as_str(), request.uri().path()) {
///             ("GET", "/hello") => Ok(http::Response::new("Hello".into())),
///             ("POST", "/echo") if call.settings.get("echo") == Some("yes") => {
///                 Ok(http::Response::new(request.into_body().into()))
///             }
///             _ => Err(PluginError::not_found("no such path")),
///         }
///     }
/// }
/// ```
pub trait Endpoint: Send + Sync + 'static {
    /// Answers one request. Its path begins after the part that names the endpoint; [`Call::settings`] is what the user
    /// filled in. An error is answered with a status of its kind.
    fn handle(
        &self,
        call: Call,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Body>, PluginError>> + Send;

    /// The response for an error: of [`Endpoint::handle`], or of a request that does not get there, because it cannot be read or
    /// its body is too large ([`PluginError::status`] 413). By default a text; APIs whose clients expect another form replace it.
    fn error_response(&self, error: PluginError) -> http::Response<Body> {
        let status = error_status(&error);
        let text = if status.is_client_error() {
            error.detail()
        } else {
            // What a client of a public URL may know: what it did wrong, and nothing of what went wrong here.
            warn!(error = error.log_summary(), status = status.as_u16(), "an endpoint failed");
            status.canonical_reason().unwrap_or_default().to_owned()
        };
        let mut response = Response::new(Body::from(format!("{text}\n")));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The status of an error by its kind.
fn error_status(error: &PluginError) -> StatusCode {
    match error.kind {
        ErrorKind::BadRequest if error.status == Some(413) => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::BadRequest | ErrorKind::PollingUnsupported => StatusCode::BAD_REQUEST,
        ErrorKind::Authorization | ErrorKind::CredentialsValidateFailed => StatusCode::UNAUTHORIZED,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Connection | ErrorKind::ServerUnavailable | ErrorKind::FirstTokenTimeout => StatusCode::BAD_GATEWAY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The body of a response: bytes, or a stream of them.
#[derive(Default)]
pub struct Body(Content);

enum Content {
    Whole(Bytes),
    Stream(BoxStream<'static, Result<Bytes, PluginError>>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Bytes as they come, such as server-sent events. An error interrupts the body.
    pub fn stream<S, B>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, PluginError>> + Send + 'static,
        B: Into<Bytes>,
    {
        Self(Content::Stream(stream.map(|part| part.map(Into::into)).boxed()))
    }

    /// The same as a stream, whatever it is.
    pub(crate) fn into_stream(self) -> BoxStream<'static, Result<Bytes, PluginError>> {
        match self.0 {
            Content::Whole(bytes) => futures_util::stream::once(std::future::ready(Ok(bytes))).boxed(),
            Content::Stream(stream) => stream,
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Content::Whole(bytes.into()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &self.0 {
            Content::Whole(_) => "Body(bytes)",
            Content::Stream(_) => "Body(stream)",
        })
    }
}
