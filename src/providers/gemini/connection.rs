//! Credentials → address, authorization and network of Gemini calls, for the developer API and Vertex AI.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

use crate::dialect::gemini::{Surface, errors};
use crate::error::InvokeError;
use crate::protocol::Credentials;
use crate::providers::common::connection as common;
use crate::upstream::auth::{HeaderAuthorization, WithHeaders};
use crate::upstream::google::{GoogleBearer, Identity, MachineAccess, Reach, TokenSource};
use crate::upstream::{
    Authorize, ErrorResponse, NetworkSettings, RetryPolicy, Timeouts, Upstream, UpstreamRequest, status,
};

/// Base of the developer API.
const DEVELOPER: &str = "https://generativelanguage.googleapis.com";

/// Scopes of every token.
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/generative-language"];

/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':');

/// How a set of credentials reaches Gemini.
#[derive(Clone)]
pub struct Connection {
    /// Which service.
    pub surface: Surface,
    base: Url,
    /// Whether the form names the base.
    is_own_base: bool,
    version: Option<String>,
    project: Option<(String, String)>,
    auth: Arc<dyn Authorize>,
    network: NetworkSettings,
    timeouts: Timeouts,
    retry: RetryPolicy,
}

/// Token sources by credentials: parallel and later calls share one token. And what of this machine they may use.
#[derive(Default)]
pub struct TokenSources {
    by_credentials: Mutex<HashMap<u64, Arc<TokenSource>>>,
    machine: MachineAccess,
}

/// Credentials whose tokens are kept at once.
const MOST_SOURCES: usize = 256;

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
        if sources.len() >= MOST_SOURCES {
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
        Ok(Self {
            surface,
            version: version(&base, credentials.get("google_api_version"), surface)?,
            base,
            is_own_base: credentials.get("google_base_url").is_some(),
            project: project.filter(|_| surface == Surface::Vertex).map(|project| (project, location)),
            auth,
            network,
            timeouts: common::timeouts(credentials, "request_timeout")?,
            retry: common::retries(credentials, "max_retries")?,
        })
    }

    /// How often and when a failed request may be sent again.
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// Proxy and certificates.
    pub fn network(&self) -> &NetworkSettings {
        &self.network
    }

    /// The name of a model as requests and addresses of this service say it.
    pub fn model_name(&self, model: &str) -> Result<String, InvokeError> {
        let name = model.trim().trim_matches('/');
        if name.is_empty() || name.contains("..") || name.contains(['?', '#', '\\', ' ']) {
            return Err(InvokeError::bad_request(format!("`{model}` is not a model name")));
        }
        let short = name.trim_start_matches("publishers/google/").trim_start_matches("google/");
        let short = short.strip_prefix("models/").unwrap_or(short);
        Ok(match (self.surface, &self.project) {
            _ if name.starts_with("projects/") => name.to_owned(),
            (Surface::Vertex, Some((project, location))) if endpoint_id(name).is_some() => {
                format!("projects/{project}/locations/{location}/endpoints/{}", endpoint_id(name).unwrap_or_default())
            }
            (Surface::Vertex, Some((project, location))) => {
                format!("projects/{project}/locations/{location}/publishers/google/models/{short}")
            }
            (Surface::VertexExpress, _) => format!("publishers/google/models/{short}"),
            _ if name.starts_with("tunedModels/") => name.to_owned(),
            _ => format!("models/{short}"),
        })
    }

    /// The address of a model's method (`generateContent`).
    pub fn model_url(&self, model: &str, method: &str) -> Result<Url, InvokeError> {
        let name = self.model_name(model)?;
        let suffix = if method.is_empty() { String::new() } else { format!(":{method}") };
        self.url(&format!("{name}{suffix}"))
    }

    /// The address of the explicit caches; a service in express mode has none.
    pub fn caches_url(&self) -> Option<Url> {
        let path = match (self.surface, &self.project) {
            (Surface::VertexExpress, _) => return None,
            (Surface::Vertex, Some((project, location))) => {
                format!("projects/{project}/locations/{location}/cachedContents")
            }
            _ => "cachedContents".to_owned(),
        };
        self.url(&path).ok()
    }

    /// An address below the API's version.
    pub fn url(&self, path: &str) -> Result<Url, InvokeError> {
        let mut whole = self.base.path().trim_end_matches('/').to_owned();
        for segment in self.version.as_deref().into_iter().chain(path.split('/')) {
            whole.push('/');
            whole.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let mut url = self.base.clone();
        // A name says itself where it is.
        if let (Surface::Vertex, false, Some(location)) = (self.surface, self.is_own_base, location_of(path)) {
            legal_name("google_location", location)?;
            url = parse(&default_base(self.surface, &location.to_ascii_lowercase()))?;
        }
        url.set_path(&whole);
        Ok(url)
    }

    /// Whether somebody stands between us and Google, who may serve less than Google does.
    pub fn is_gateway(&self) -> bool {
        !self.base.domain().is_some_and(|host| host.ends_with(".googleapis.com"))
    }

    /// Where uploads are opened.
    pub fn upload_url(&self) -> Url {
        let base = self.base.path().trim_end_matches('/');
        // A base that ends in a version has the word before it.
        let (prefix, version) = match (&self.version, base.rsplit_once('/')) {
            (None, Some(split)) => split,
            (version, _) => (base, version.as_deref().unwrap_or_default()),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{prefix}/upload/{version}/files"));
        url
    }

    /// The same address at the host that the credentials name: no key goes elsewhere.
    pub fn own_address(&self, address: &Url) -> Url {
        let mut own = self.upload_url();
        let prefix = own.path().split("/upload/").next().unwrap_or_default().to_owned();
        let path = address.path();
        own.set_path(&if path.starts_with(&prefix) { path.to_owned() } else { format!("{prefix}{path}") });
        own.set_query(address.query());
        own
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

/// Who asks for tokens, how far they may go, and the project that the key file names.
struct SignIn {
    identity: Identity,
    reach: Reach,
    project: Option<String>,
}

impl SignIn {
    /// Of what was typed into the form.
    fn typed(identity: Identity, project: Option<String>) -> Self {
        Self { reach: identity.reach(), identity, project }
    }
}

fn sign_in(method: &str, credentials: &Credentials, machine: &MachineAccess) -> Result<SignIn, InvokeError> {
    const KEY_FILE: &str = "google_service_account_json";
    match method {
        "service_account" => {
            let text = credentials.require(KEY_FILE)?;
            let identity = Identity::from_key_file(text, KEY_FILE, machine)?;
            if !matches!(identity, Identity::ServiceAccount { .. }) {
                return Err(InvokeError::credentials(format!(
                    "credential `{KEY_FILE}` is not a service account's key file"
                ))
                .with_hint("For other key files choose `application_default`."));
            }
            Ok(SignIn::typed(identity, Identity::project_of_key_file(text)))
        }
        "oauth_refresh_token" => {
            let required = |name| credentials.require(name).map(str::to_owned);
            let identity = Identity::RefreshToken {
                client_id: required("google_oauth_client_id")?,
                client_secret: SecretString::from(required("google_oauth_client_secret")?),
                refresh_token: SecretString::from(required("google_oauth_refresh_token")?),
                token_uri: token_uri(credentials)?,
            };
            Ok(SignIn::typed(identity, None))
        }
        "application_default" => match credentials.get(KEY_FILE) {
            Some(text) => {
                let identity = Identity::from_key_file(text, KEY_FILE, machine)?;
                Ok(SignIn::typed(identity, Identity::project_of_key_file(text)))
            }
            None => {
                let (identity, project) = machine.identity()?;
                Ok(SignIn { identity, reach: Reach::Google, project })
            }
        },
        other => Err(InvokeError::credentials(format!(
            "credential `auth_method` must be api_key, service_account, oauth_refresh_token, application_default or \
             vertex_express, found `{other}`"
        ))),
    }
}

/// Google's own endpoint, or one on this machine for a local stand-in.
fn token_uri(credentials: &Credentials) -> Result<Url, InvokeError> {
    let text = credentials.get("google_token_uri").unwrap_or(crate::upstream::google::TOKEN_ENDPOINT);
    crate::upstream::google::google_url(text)
        .ok_or_else(|| InvokeError::credentials("credential `google_token_uri` is not an address of Google's"))
}

/// The id of an endpoint that is named without its project: `endpoints/707`, or the number alone.
fn endpoint_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("endpoints/").unwrap_or(name);
    (!id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit())).then_some(id)
}

/// The location in `projects/…/locations/…/…`.
fn location_of(path: &str) -> Option<&str> {
    let mut steps = path.split('/');
    (steps.next() == Some("projects") && steps.nth(1) == Some("locations")).then(|| steps.next()).flatten()
}

fn default_base(surface: Surface, location: &str) -> String {
    match (surface, location) {
        (Surface::Developer, _) => DEVELOPER.to_owned(),
        (Surface::VertexExpress, _) | (_, "global") => "https://aiplatform.googleapis.com".to_owned(),
        (_, "us" | "eu") => format!("https://aiplatform.{location}.rep.googleapis.com"),
        (_, region) => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// What is copied from a page or a command goes on behind the version: `…/v1beta/openai/`, `…/v1beta/models/m:generateContent`.
fn base_url(text: &str) -> Result<Url, InvokeError> {
    let mut url = parse(text.trim_end_matches('/'))?;
    let mut steps = url.path().split('/');
    let base: Vec<&str> = steps.by_ref().take_while(|step| !is_version(step)).collect();
    let version = url.path().split('/').nth(base.len());
    if let (
        Some(version),
        Some("openai" | "models" | "tunedModels" | "publishers" | "projects" | "cachedContents" | "files"),
    ) = (version, steps.next())
    {
        let path = format!("{}/{version}", base.join("/"));
        tracing::debug!(path, "the base URL is read up to its version");
        url.set_path(&path);
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(InvokeError::credentials("credential `google_base_url` must begin with http:// or https://"));
    }
    if url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(InvokeError::credentials("credential `google_base_url` must hold no user name and no query"));
    }
    Ok(url)
}

fn parse(text: &str) -> Result<Url, InvokeError> {
    Url::parse(text)
        .map_err(|error| InvokeError::credentials(format!("credential `google_base_url` is not an address: {error}")))
}

fn is_version(step: &str) -> bool {
    matches!(step, "v1" | "v1beta" | "v1alpha" | "v1beta1")
}

/// A base address that ends in a version keeps it.
fn version(base: &Url, wanted: Option<&str>, surface: Surface) -> Result<Option<String>, InvokeError> {
    let last = base.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if is_version(last) {
        return Ok(None);
    }
    match wanted {
        Some(version) => {
            legal_name("google_api_version", version)?;
            Ok(Some(version.to_owned()))
        }
        None => Ok(Some(if surface.is_vertex() { "v1" } else { "v1beta" }.to_owned())),
    }
}

/// Names become part of a host or a path.
fn legal_name(field: &str, text: &str) -> Result<(), InvokeError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
    if text.bytes().all(legal) && !text.contains("..") {
        Ok(())
    } else {
        Err(InvokeError::credentials(format!("credential `{field}` holds characters that it cannot have")))
    }
}

/// Google's error object where there is one; a page of a proxy otherwise.
fn read_error(answer: &ErrorResponse) -> InvokeError {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
        let mut error = status::error_of(answer);
        error.kind = crate::error::ErrorKind::Connection;
        error.hint = Some("Something between the plugin and Google answered: check base URL and proxy.".to_owned());
        return error;
    };
    let mut error = errors::from_value(&value, Some(answer.status.as_u16()));
    error.request_id = status::request_id(&answer.headers);
    error.retry_after = error.retry_after.or(status::retry_after(&answer.headers));
    error
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The address of a call with these credentials.
    fn address(more: &[(&str, &str)], model: &str) -> Result<String, InvokeError> {
        let user = r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
        let mut fields = serde_json::Map::new();
        for (name, value) in
            [("auth_method", "application_default"), ("google_service_account_json", user), ("google_api_key", "k")]
        {
            fields.insert(name.to_owned(), value.into());
        }
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
        let credentials: Credentials = serde_json::from_value(fields.into()).unwrap();
        let connection = Connection::new(&credentials, &Upstream::new(), &TokenSources::default())?;
        connection.model_url(model, "generateContent").map(String::from)
    }

    type Case<'a> = (Vec<(&'a str, &'a str)>, &'a str, String);

    #[test]
    fn each_service_and_location_has_its_host() {
        const KEY: (&str, &str) = ("auth_method", "api_key");
        const EXPRESS: (&str, &str) = ("auth_method", "vertex_express");
        const PROJECT: (&str, &str) = ("google_project_id", "p-1");
        let place = |name| ("google_location", name);
        let base = |url| ("google_base_url", url);
        let developer = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent";
        let vertex = |host: &str, location: &str, rest: &str| {
            format!(
                "https://{host}/v1/projects/p-1/locations/{location}/publishers/google/models/{rest}:generateContent"
            )
        };
        let cases: Vec<Case<'_>> = vec![
            (vec![KEY], "m", developer.to_owned()),
            (vec![KEY], "models/m", developer.to_owned()),
            (vec![KEY, PROJECT], "google/m", developer.to_owned()),
            (vec![KEY], "tunedModels/t-1", developer.replace("models/m", "tunedModels/t-1")),
            (vec![], "m", developer.to_owned()),
            (vec![PROJECT], "m", vertex("aiplatform.googleapis.com", "global", "m")),
            (vec![PROJECT, place("us-central1")], "m@001", vertex("us-central1-aiplatform.googleapis.com", "us-central1", "m@001")),
            (vec![PROJECT, place("us")], "m", vertex("aiplatform.us.rep.googleapis.com", "us", "m")),
            (vec![PROJECT, place("eu")], "publishers/google/models/m", vertex("aiplatform.eu.rep.googleapis.com", "eu", "m")),
            (
                vec![PROJECT, place("us-east1")],
                "projects/2/locations/us-east1/endpoints/3",
                "https://us-east1-aiplatform.googleapis.com/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
            ),
            // However a location is written, and wherever a name says that it is.
            (vec![PROJECT, place("Global")], "m", vertex("aiplatform.googleapis.com", "global", "m")),
            (vec![PROJECT, place("EU")], "m", vertex("aiplatform.eu.rep.googleapis.com", "eu", "m")),
            (vec![PROJECT, place("US-Central1")], "m", vertex("us-central1-aiplatform.googleapis.com", "us-central1", "m")),
            (
                vec![PROJECT],
                "projects/2/locations/us-east1/endpoints/3",
                "https://us-east1-aiplatform.googleapis.com/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
            ),
            (
                vec![PROJECT, place("us")],
                "projects/2/locations/global/publishers/google/models/m",
                "https://aiplatform.googleapis.com/v1/projects/2/locations/global/publishers/google/models/m:generateContent".to_owned(),
            ),
            (
                vec![PROJECT, base("https://gate.example")],
                "projects/2/locations/us-east1/endpoints/3",
                "https://gate.example/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
            ),
            (
                vec![PROJECT, place("us-east1")],
                "endpoints/707",
                "https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/endpoints/707:generateContent".to_owned(),
            ),
            (
                vec![PROJECT, place("us-east1")],
                "7070905402157694976",
                "https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/endpoints/7070905402157694976:generateContent".to_owned(),
            ),
            // A base URL with what stood behind it where it was copied.
            (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/openai/")], "m", developer.to_owned()),
            (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions")], "m", developer.to_owned()),
            (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/models")], "m", developer.to_owned()),
            (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/models/x:generateContent")], "m", developer.to_owned()),
            (vec![KEY, base("https://gate.example/models/v1/openai")], "m", "https://gate.example/models/v1/models/m:generateContent".to_owned()),
            (vec![KEY, base("https://gate.example/openai/")], "m", "https://gate.example/openai/v1beta/models/m:generateContent".to_owned()),
            (vec![EXPRESS], "m", "https://aiplatform.googleapis.com/v1/publishers/google/models/m:generateContent".to_owned()),
            (vec![KEY, base("https://gate.example/gemini/")], "m", "https://gate.example/gemini/v1beta/models/m:generateContent".to_owned()),
            (vec![KEY, base("https://gate.example/v1beta/")], "m", "https://gate.example/v1beta/models/m:generateContent".to_owned()),
        ];
        for (fields, model, expected) in cases {
            assert_eq!(address(&fields, model).unwrap(), expected, "{fields:?} {model}");
        }
        for model in ["", "a/../b", "m?x=1", "m#x", "a b"] {
            assert!(address(&[KEY], model).is_err(), "{model}");
        }
    }
    #[test]
    fn uploads_stay_at_the_host_that_the_credentials_name() {
        for (base, opened, session) in [
            ("https://gate.example", "/upload/v1beta/files", "/upload/v1beta/files"),
            ("https://gate.example/gemini/", "/gemini/upload/v1beta/files", "/gemini/upload/v1beta/files"),
            ("https://gate.example/gemini/v1", "/gemini/upload/v1/files", "/gemini/upload/v1beta/files"),
        ] {
            let fields = json!({"google_api_key": "k", "google_base_url": base});
            let credentials: Credentials = serde_json::from_value(fields).unwrap();
            let connection = Connection::new(&credentials, &Upstream::new(), &TokenSources::default()).unwrap();
            assert_eq!(connection.upload_url().as_str(), format!("https://gate.example{opened}"));
            let told = Url::parse("https://evil.example/upload/v1beta/files?upload_id=x").unwrap();
            let own = connection.own_address(&told);
            assert_eq!(own.as_str(), format!("https://gate.example{session}?upload_id=x"));
        }
    }
}
