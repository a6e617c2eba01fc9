//! Requests to an OpenAI-compatible upstream: chat, embeddings, rerank, speech, moderation. A provider supplies an [`Endpoint`]
//! (URL and
//! credential) and a [`crate::dialect::openai::Profile`] (dialect variant); it needs no request code of its own.
//!
//! Nothing in this module depends on a provider.

pub mod audio;
pub mod chat;
pub mod embeddings;
pub mod files;
pub mod form_fields;
pub mod model;
pub mod moderation;
pub mod provider;
mod rejections;
pub mod rerank;
mod signatures;
pub mod smallest;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use url::Url;

use crate::dialect::openai::profile::Mode;
use crate::dialect::openai::{BaseUrl, errors};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::client::public_url;
use dify_plugin::upstream::request::ErrorReader;
use dify_plugin::upstream::status::excerpt;
use dify_plugin::upstream::{Authorize, NetworkSettings, RetryPolicy, Timeouts, UpstreamRequest, UpstreamResponse};

/// Maximum size of a JSON response in bytes, enough for the embeddings of a large batch.
pub const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A conversation.
    Chat,
    /// The completion of a prompt.
    Completion,
    /// Embeddings.
    Embeddings,
    /// A ranking.
    Rerank,
    /// Text to speech.
    Speech,
    /// Speech to text.
    Transcription,
    /// Speech to English text.
    Translation,
    /// Moderation.
    Moderation,
    /// The list of models.
    Models,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 9] = [
        Self::Chat,
        Self::Completion,
        Self::Embeddings,
        Self::Rerank,
        Self::Speech,
        Self::Transcription,
        Self::Translation,
        Self::Moderation,
        Self::Models,
    ];

    /// Path below the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Completion => "completions",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
            Self::Speech => "audio/speech",
            Self::Transcription => "audio/transcriptions",
            Self::Translation => "audio/translations",
            Self::Moderation => "moderations",
            Self::Models => "models",
        }
    }
}

impl From<Mode> for Action {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Chat => Self::Chat,
            Mode::Completion => Self::Completion,
        }
    }
}

/// URL of an upstream, and how requests are sent to it.
#[derive(Clone)]
pub struct Endpoint {
    /// Base URL of the compatible API, below which `chat/completions` is.
    pub base: BaseUrl,
    /// URLs of actions that are not at their usual path below the base URL.
    pub urls: BTreeMap<Action, Url>,
    /// Adds the credential to requests.
    pub auth: Arc<dyn Authorize>,
    /// Hash of all form fields, so that what is learned about the server of one form is not used for another.
    pub credentials: u64,
    /// Proxy and certificates.
    pub network: NetworkSettings,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Retry policy.
    pub retry: RetryPolicy,
    /// Converts error responses.
    pub error_reader: ErrorReader,
}

impl Endpoint {
    /// Creates an endpoint with the dialect's error table and default timeouts.
    pub fn new(base: BaseUrl, auth: Arc<dyn Authorize>) -> Self {
        Self {
            base,
            urls: BTreeMap::new(),
            auth,
            credentials: 0,
            network: NetworkSettings::default(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            error_reader: errors::error_of,
        }
    }

    /// Sends every action to this path below the base URL.
    #[must_use]
    pub fn with_only_path(mut self, path: &str) -> Self {
        let url = self.base.join_path(path);
        self.urls = Action::ALL.into_iter().map(|action| (action, url.clone())).collect();
        self
    }

    /// Returns the URL of an action.
    pub fn url(&self, action: Action) -> Url {
        self.urls.get(&action).cloned().unwrap_or_else(|| self.base.action(action.path()))
    }

    /// Creates a `POST` request with a serialized JSON body.
    pub fn post(&self, action: Action, body: Bytes) -> UpstreamRequest {
        let mut request = UpstreamRequest::new(http::Method::POST, self.url(action));
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = body;
        self.prepared(request)
    }

    /// Creates a `POST` request with a JSON body.
    pub fn post_json<T: serde::Serialize>(&self, action: Action, body: &T) -> Result<UpstreamRequest, InvokeError> {
        UpstreamRequest::post_json(self.url(action), body).map(|request| self.prepared(request))
    }

    /// Adds this endpoint's credential, network settings, timeouts and error table to a request.
    pub fn prepared(&self, request: UpstreamRequest) -> UpstreamRequest {
        request
            .with_auth(self.auth.clone())
            .with_network(self.network.clone())
            .with_timeouts(self.timeouts)
            .with_retry(self.retry)
            .with_error_reader(self.error_reader)
    }
}

/// Parses a JSON response. If that fails, the error contains the server's error message, if there is one.
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
        if let Some(reported) = errors::reported_error(&text) {
            error = reported;
        } else {
            error.message = format!("{} ({content_type}): {}", error.message, excerpt(&body));
        }
        error.status = error.status.or(Some(status));
        error.request_id = error.request_id.or(id);
        redactor.redact_error(error)
    })
}

/// Rejects an HTML page of a proxy or a web interface instead of an API response.
pub async fn refuse_page(response: UpstreamResponse, address: &Url) -> Result<UpstreamResponse, InvokeError> {
    if response.content_type() != "text/html" {
        return Ok(response);
    }
    let (status, redactor) = (response.status.as_u16(), response.redactor.clone());
    let body = response.bytes(64 * 1024).await.unwrap_or_default();
    let content =
        dify_plugin::upstream::status::parse_error_text(&body).message.unwrap_or_else(|| "an HTML page".to_owned());
    let error = InvokeError::server_unavailable(format!("{} returned {content}", public_url(address)))
        .with_status(status)
        .with_hint("This is the URL of a web page or a proxy, not of the API.");
    Err(redactor.redact_error(error))
}
