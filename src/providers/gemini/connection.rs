//! Credentials → address, authorization and network of Gemini calls, for the developer API and Vertex AI.

mod address;
mod sign_in;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Serialize;
use url::Url;

use self::address::{base_url, default_base, legal_name, parse, version};
use self::sign_in::{SignIn, sign_in};
use crate::dialect::gemini::{Surface, errors};
use crate::providers::common::connection as common;
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;
use dify_plugin::upstream::auth::{HeaderAuthorization, WithHeaders};
use dify_plugin::upstream::{
    Authorize, ErrorResponse, NetworkSettings, RetryPolicy, Timeouts, Upstream, UpstreamRequest, status,
};
use dify_plugin_google_auth::{GoogleBearer, TokenSource};

/// Scopes of every token.
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/generative-language"];

/// How a set of credentials reaches Gemini.
#[derive(Clone)]
pub struct Connection {
    /// Which service.
    pub surface: Surface,
    base: Url,
    /// Whether the form names the base.
    is_own_base: bool,
    version: Option<String>,
    /// Whether nobody named the version.
    is_default_version: bool,
    project: Option<(String, String)>,
    auth: Arc<dyn Authorize>,
    network: NetworkSettings,
    timeouts: Timeouts,
    /// Whether the form names them.
    has_own_timeout: bool,
    retry: RetryPolicy,
}

/// Token sources by credentials: parallel and later calls share one token. And what of this machine they may use.
#[derive(Default)]
pub struct TokenSources {
    by_credentials: Mutex<HashMap<u64, Arc<TokenSource>>>,
    machine: MachineAccess,
}

/// Credentials whose tokens are kept at once.
const MAX_TOKEN_SOURCES: usize = 256;

impl TokenSources {
    /// No source yet.
    pub fn new(machine: MachineAccess) -> Self {
        Self { by_credentials: Mutex::default(), machine }
    }

    fn get(&self, credentials: &Credentials, make: impl FnOnce() -> TokenSource) -> Arc<TokenSource> {
        let mut sources = self.by_credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let key = credentials.fingerprint();
        if let Some(source) = sources.get(&key) {
            return source.clone();
        }
        let source = Arc::new(make());
        if sources.len() >= MAX_TOKEN_SOURCES {
            sources.clear();
        }
        sources.insert(key, source.clone());
        source
    }
}

impl Connection {
    /// Reads the credentials; what is missing or malformed is named.
    pub fn new(credentials: &Credentials, upstream: &Upstream, sources: &TokenSources) -> Result<Self, InvokeError> {
        let network = NetworkSettings::from_credentials(credentials)?;
        let method = credentials.get("auth_method").unwrap_or("api_key");
        let (auth, vertex_project): (Arc<dyn Authorize>, Option<String>) = match method {
            "api_key" | "vertex_express" => {
                let headers =
                    HeaderAuthorization::new().header("x-goog-api-key", credentials.require("google_api_key")?);
                (Arc::new(common::extra_headers(credentials, headers)?), None)
            }
            _ => {
                let SignIn { identity, reach, project } = sign_in(method, credentials, &sources.machine)?;
                let source = sources.get(credentials, || {
                    TokenSource::new(identity, reach, SCOPES.map(str::to_owned).to_vec(), upstream.clone())
                });
                let quota = credentials.get("google_quota_project").map(str::to_owned);
                let headers = common::extra_headers(credentials, HeaderAuthorization::new())?;
                let inner = Arc::new(GoogleBearer::new(source, quota));
                (Arc::new(WithHeaders { headers, inner }), project)
            }
        };
        let project = credentials.get("google_project_id").map(str::to_owned).or(vertex_project);
        let location = credentials.get("google_location").unwrap_or("global").to_ascii_lowercase();
        let surface = match (method, &project) {
            ("api_key", _) => Surface::Developer,
            ("vertex_express", _) => Surface::VertexExpress,
            (_, Some(_)) => Surface::Vertex,
            (_, None) => Surface::Developer,
        };
        legal_name("google_location", &location)?;
        if let Some(project) = &project {
            legal_name("google_project_id", project)?;
        }
        let base = match credentials.get("google_base_url") {
            Some(text) => base_url(text)?,
            None => parse(&default_base(surface, &location))?,
        };
        let named_version = credentials.get("google_api_version");
        let version = version(&base, named_version, surface)?;
        Ok(Self {
            surface,
            is_default_version: version.is_some() && named_version.is_none(),
            version,
            base,
            is_own_base: credentials.get("google_base_url").is_some(),
            project: project.filter(|_| surface == Surface::Vertex).map(|project| (project, location)),
            auth,
            network,
            timeouts: common::timeouts(credentials)?,
            has_own_timeout: credentials.get("request_timeout").is_some(),
            retry: common::retries(credentials)?,
        })
    }

    /// How often and when a failed request may be sent again.
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// Waits longer for the first byte and between events, unless the form says how long.
    pub fn be_patient(&mut self, wait: Duration) {
        if !self.has_own_timeout {
            self.timeouts.first_byte = self.timeouts.first_byte.max(wait);
            self.timeouts.idle = self.timeouts.idle.max(wait);
        }
    }

    /// Proxy and certificates.
    pub fn network(&self) -> &NetworkSettings {
        &self.network
    }

    /// A request with everything that the credentials say.
    pub fn request(&self, method: Method, url: Url) -> UpstreamRequest {
        self.with_settings(UpstreamRequest::new(method, url))
    }

    /// A `POST` of JSON with everything that the credentials say.
    pub fn post<T: Serialize>(&self, url: Url, body: &T) -> Result<UpstreamRequest, InvokeError> {
        Ok(self.with_settings(UpstreamRequest::post_json(url, body)?))
    }

    /// A `GET` with everything that the credentials say.
    pub fn get(&self, url: Url) -> UpstreamRequest {
        self.request(Method::GET, url)
    }

    fn with_settings(&self, request: UpstreamRequest) -> UpstreamRequest {
        request
            .with_auth(self.auth.clone())
            .with_network(self.network.clone())
            .with_timeouts(self.timeouts)
            .with_retry(self.retry)
            .with_error_reader(read_error)
    }
}

/// The API's base, and where its tokens come from.
pub(super) fn endpoints(credentials: &Credentials, sources: &TokenSources) -> Result<Vec<Url>, InvokeError> {
    let connection = Connection::new(credentials, &Upstream::new(), sources)?;
    let tokens = match credentials.get("auth_method").unwrap_or("api_key") {
        "api_key" | "vertex_express" => Vec::new(),
        method => {
            let identity = sign_in(method, credentials, &sources.machine)?.identity;
            identity.token_endpoints().into_iter().cloned().collect()
        }
    };
    Ok(std::iter::once(connection.base).chain(tokens).collect())
}

/// Google's error object where there is one; a page of a proxy otherwise.
fn read_error(answer: &ErrorResponse) -> InvokeError {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        let mut error = status::error_of(answer);
        error.kind = dify_plugin::error::ErrorKind::Connection;
        error.hint = Some("Something between the plugin and Google answered: check base URL and proxy.".to_owned());
        return error;
    };
    let mut error = errors::from_value(&value, Some(answer.status.as_u16()));
    error.request_id = status::request_id(&answer.headers);
    error.retry_after = error.retry_after.or(status::retry_after(&answer.headers));
    error
}

#[cfg(test)]
#[path = "connection/tests.rs"]
mod tests;
