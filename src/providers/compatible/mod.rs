//! Calls of an OpenAI-compatible upstream: chat, embeddings, rerank, speech. A provider brings an [`Endpoint`] (where and
//! with which credential) and a [`crate::dialect::openai::Profile`] (which variant); it needs no calls of its own.
//!
//! Nothing here knows a provider.

pub mod audio;
pub mod chat;
pub mod embeddings;
pub mod files;
mod rejections;
pub mod rerank;
mod signatures;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};

use crate::dialect::openai::{BaseUrl, errors};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::client::public_url;
use dify_plugin::upstream::request::ErrorReader;
use dify_plugin::upstream::status::excerpt;
use dify_plugin::upstream::{Authorize, NetworkSettings, RetryPolicy, Timeouts, UpstreamRequest, UpstreamResponse};

/// Longest JSON answer: the vectors of a large batch.
pub const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;

/// Where an upstream is and how it is called.
#[derive(Clone)]
pub struct Endpoint {
    /// Root of the compatible API; `chat/completions` follows.
    pub base: BaseUrl,
    /// A path below the root that stands in for every action's own, for a gateway that routes otherwise.
    pub path: Option<String>,
    /// Adds the credential.
    pub auth: Arc<dyn Authorize>,
    /// Stands for everything that the form says: what is learnt of one form's server is used for no other.
    pub credentials: u64,
    /// Proxy and certificates.
    pub network: NetworkSettings,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Reads a refusal.
    pub error_reader: ErrorReader,
}

impl Endpoint {
    /// An endpoint with the dialect's error table and default waits.
    pub fn new(base: BaseUrl, auth: Arc<dyn Authorize>) -> Self {
        Self {
            base,
            path: None,
            auth,
            credentials: 0,
            network: NetworkSettings::default(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            error_reader: errors::error_of,
        }
    }

    /// The address of an action by its own path.
    pub fn url(&self, path: &str) -> url::Url {
        match &self.path {
            Some(own) => self.base.join_path(own),
            None => self.base.action(path),
        }
    }

    /// A `POST` of a finished JSON body.
    pub fn post(&self, path: &str, body: Bytes) -> UpstreamRequest {
        let mut request = UpstreamRequest::new(http::Method::POST, self.url(path));
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = body;
        self.prepared(request)
    }

    /// A `POST` of JSON.
    pub fn post_json<T: serde::Serialize>(&self, path: &str, body: &T) -> Result<UpstreamRequest, InvokeError> {
        UpstreamRequest::post_json(self.url(path), body).map(|request| self.prepared(request))
    }

    /// Any request with this endpoint's credential, network, waits and error table.
    pub fn prepared(&self, request: UpstreamRequest) -> UpstreamRequest {
        request
            .with_auth(self.auth.clone())
            .with_network(self.network.clone())
            .with_timeouts(self.timeouts)
            .with_retry(self.retry)
            .with_error_reader(self.error_reader)
    }
}

/// A document that its dialect reads. One that cannot be read is an error with the words that stand in its place.
pub async fn document<T>(
    response: UpstreamResponse,
    limit: usize,
    read: impl FnOnce(&str) -> Result<T, InvokeError>,
) -> Result<T, InvokeError> {
    let (status, id, redactor) = (response.status.as_u16(), response.request_id(), response.redactor.clone());
    let content_type = response.content_type();
    let body = response.bytes(limit).await?;
    let text = String::from_utf8_lossy(&body);
    read(&text).map_err(|mut error| {
        if let Some(told) = errors::reported_error(&text) {
            error = told;
        } else {
            error.message = format!("{} ({content_type}): {}", error.message, excerpt(&body));
        }
        error.status = error.status.or(Some(status));
        error.request_id = error.request_id.or(id);
        redactor.redact_error(error)
    })
}

/// Refuses a page of a proxy or of a web interface where an answer of the API belongs.
pub async fn refuse_page(response: UpstreamResponse, address: &url::Url) -> Result<UpstreamResponse, InvokeError> {
    if response.content_type() != "text/html" {
        return Ok(response);
    }
    let (status, redactor) = (response.status.as_u16(), response.redactor.clone());
    let body = response.bytes(64 * 1024).await.unwrap_or_default();
    let said =
        dify_plugin::upstream::status::parse_error_text(&body).message.unwrap_or_else(|| "an HTML page".to_owned());
    let error = InvokeError::server_unavailable(format!("{} answered {said}", public_url(address)))
        .with_status(status)
        .with_hint("The address is that of a web page or a proxy, not of the API.");
    Err(redactor.redact_error(error))
}
