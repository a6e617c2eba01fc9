//! Derives URL, authentication and network settings of Gemini requests from the credentials, for the Gemini Developer
//! API and Vertex AI.

mod address;
mod sign_in;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Serialize;
use url::Url;

use self::address::{base_url, check_name, default_base, parse, version};
use self::sign_in::{SignIn, sign_in};
use crate::{Surface, errors};
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;
use dify_plugin::upstream::auth::{HeaderAuthorization, WithHeaders};
use dify_plugin::upstream::{
    Authorize, ErrorResponse, NetworkSettings, RetryPolicy, Timeouts, Upstream, UpstreamRequest, fields, status,
};
use dify_plugin_google_auth::{GoogleBearer, TokenSource};

/// OAuth scopes of every token.
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/generative-language"];

/// How requests with a set of credentials are sent to Gemini.
#[derive(Clone)]
pub struct Connection {
    /// The Google service in use.
    pub surface: Surface,
    base: Url,
    /// Whether the form sets the base URL.
    is_own_base: bool,
    version: Option<String>,
    /// Whether the API version is the default.
    is_default_version: bool,
    project: Option<(String, String)>,
    auth: Arc<dyn Authorize>,
    network: NetworkSettings,
    timeouts: Timeouts,
    /// Whether the form sets timeouts.
    has_own_timeout: bool,
    retry: RetryPolicy,
}

/// Token sources by credentials, so that concurrent and later requests share a token; and what the forms may use of
/// this machine.
#[derive(Default)]
pub struct TokenSources {
    by_credentials: Mutex<HashMap<u64, Arc<TokenSource>>>,
    machine: MachineAccess,
}

/// Maximum number of credentials with cached tokens.
const MAX_TOKEN_SOURCES: usize = 256;

impl TokenSources {
    /// Creates an empty set of token sources.
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
    /// Parses the credentials. Errors name the missing or malformed field.
    pub fn new(credentials: &Credentials, upstream: &Upstream, sources: &TokenSources) -> Result<Self, InvokeError> {
        let network = NetworkSettings::from_credentials(credentials)?;
        let method = credentials.get("auth_method").unwrap_or("api_key");
        let (auth, vertex_project): (Arc<dyn Authorize>, Option<String>) = match method {
            "api_key" | "vertex_express" => {
                let headers =
                    HeaderAuthorization::new().header("x-goog-api-key", credentials.require("google_api_key")?);
                (Arc::new(fields::extra_headers(credentials, headers)?), None)
            }
            _ => {
                let SignIn { identity, reach, project } = sign_in(method, credentials, &sources.machine)?;
                let source = sources.get(credentials, || {
                    TokenSource::new(identity, reach, SCOPES.map(str::to_owned).to_vec(), upstream.clone())
                });
                let quota = credentials.get("google_quota_project").map(str::to_owned);
                let headers = fields::extra_headers(credentials, HeaderAuthorization::new())?;
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
        check_name("google_location", &location)?;
        if let Some(project) = &project {
            check_name("google_project_id", project)?;
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
            timeouts: fields::timeouts(credentials)?,
            has_own_timeout: credentials.get("request_timeout").is_some(),
            retry: fields::retries(credentials)?,
        })
    }

    /// Returns the retry policy.
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// Extends the timeouts for the first byte and between events, unless the form sets them.
    pub fn extend_timeouts(&mut self, wait: Duration) {
        if !self.has_own_timeout {
            self.timeouts.first_byte = self.timeouts.first_byte.max(wait);
            self.timeouts.idle = self.timeouts.idle.max(wait);
        }
    }

    /// Returns the proxy and certificate settings.
    pub fn network(&self) -> &NetworkSettings {
        &self.network
    }

    /// Creates a request with the authentication and headers of the credentials.
    pub fn request(&self, method: Method, url: Url) -> UpstreamRequest {
        self.with_settings(UpstreamRequest::new(method, url))
    }

    /// Creates a `POST` request with a JSON body.
    pub fn post<T: Serialize>(&self, url: Url, body: &T) -> Result<UpstreamRequest, InvokeError> {
        Ok(self.with_settings(UpstreamRequest::post_json(url, body)?))
    }

    /// Creates a `GET` request.
    pub fn get(&self, url: Url) -> UpstreamRequest {
        self.request(Method::GET, url)
    }

    fn with_settings(&self, request: UpstreamRequest) -> UpstreamRequest {
        request
            .with_auth(self.auth.clone())
            .with_network(self.network.clone())
            .with_timeouts(self.timeouts)
            .with_retry(self.retry)
            .with_error_reader(parse_error)
    }
}

/// Returns the base URL of the API and the token endpoints.
pub fn endpoints(credentials: &Credentials, sources: &TokenSources) -> Result<Vec<Url>, InvokeError> {
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

/// Converts Google's error object, or else the HTML page of a proxy.
fn parse_error(response: &ErrorResponse) -> InvokeError {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&response.body) else {
        let mut error = status::error_of(response);
        error.kind = dify_plugin::error::ErrorKind::Connection;
        error.hint = Some(errors::NOT_GOOGLE.to_owned());
        return error;
    };
    let mut error = errors::from_value(&value, Some(response.status.as_u16()));
    error.request_id = status::request_id(&response.headers);
    error.retry_after = error.retry_after.or(status::retry_after(&response.headers));
    error
}

#[cfg(test)]
#[path = "connection/tests.rs"]
mod tests;
