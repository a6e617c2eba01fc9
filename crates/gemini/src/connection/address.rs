//! URLs of the service: base URL, API version, and model names in the path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::Connection;
use crate::Surface;
use dify_plugin::error::InvokeError;

/// Base URL of the Gemini Developer API.
const DEVELOPER_BASE_URL: &str = "https://generativelanguage.googleapis.com";

/// Version of Vertex AI that supports continuation tokens and service tiers; other requests use the stable version.
/// Source: Google Cloud, "Gemini 4 Carbon" (as of 26 November 2026): "continuation_token is supported only in the
/// v1beta1 API"; google-genai 3.6.1, `_api_client.py`, uses only this version for Vertex AI.
const VERTEX_BETA: &str = "v1beta1";

/// Characters that are not escaped in a path segment.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':');

impl Connection {
    /// Returns the model name in the form that requests and URLs of this service use.
    pub fn model_name(&self, model: &str) -> Result<String, InvokeError> {
        let name = model.trim().trim_matches('/');
        if name.is_empty() || name.contains("..") || name.contains(['?', '#', '\\', ' ']) {
            return Err(InvokeError::bad_request(format!("`{model}` is not a valid model name")));
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

    /// Returns the URL of a model's method (`generateContent`).
    pub fn model_url(&self, model: &str, method: &str) -> Result<Url, InvokeError> {
        let name = self.model_name(model)?;
        let suffix = if method.is_empty() { String::new() } else { format!(":{method}") };
        self.url(&format!("{name}{suffix}"))
    }

    /// Returns the same URL with the beta version of Vertex AI, unless the credentials set a version.
    pub fn beta_url(&self, model: &str, method: &str) -> Result<Url, InvokeError> {
        match self.has_beta() {
            true => self.versioned_url(Some(VERTEX_BETA), &format!("{}:{method}", self.model_name(model)?)),
            false => self.model_url(model, method),
        }
    }

    /// Whether there is a beta version; the Gemini Developer API has all features in one version.
    pub fn has_beta(&self) -> bool {
        self.surface.is_vertex() && self.is_default_version
    }

    /// Returns the URL of the context caches; `None` in express mode, which has none.
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

    /// Returns a URL below the API version.
    pub fn url(&self, path: &str) -> Result<Url, InvokeError> {
        self.versioned_url(self.version.as_deref(), path)
    }

    fn versioned_url(&self, version: Option<&str>, path: &str) -> Result<Url, InvokeError> {
        let mut whole = self.base.path().trim_end_matches('/').to_owned();
        for segment in version.into_iter().chain(path.split('/')) {
            whole.push('/');
            whole.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let mut url = self.base.clone();
        // A full resource name contains its location.
        if let (Surface::Vertex, false, Some(location)) = (self.surface, self.is_own_base, location_of(path)) {
            check_name("google_location", location)?;
            url = parse(&default_base(self.surface, &location.to_ascii_lowercase()))?;
        }
        url.set_path(&whole);
        Ok(url)
    }

    /// Whether a gateway is used in place of Google; it may support less than Google does.
    pub fn is_gateway(&self) -> bool {
        !self.base.domain().is_some_and(|host| host.ends_with(".googleapis.com"))
    }

    /// Returns the base URL.
    pub fn base(&self) -> &str {
        self.base.as_str()
    }

    /// Returns the URL at which uploads are opened.
    pub fn upload_url(&self) -> Url {
        let base = self.base.path().trim_end_matches('/');
        // If the base URL ends in a version, `upload` is inserted before it.
        let (prefix, version) = match (&self.version, base.rsplit_once('/')) {
            (None, Some(split)) => split,
            (version, _) => (base, version.as_deref().unwrap_or_default()),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{prefix}/upload/{version}/files"));
        url
    }

    /// Rewrites the URL to the host in the credentials, so that the key is never sent to another host.
    pub fn on_own_host(&self, address: &Url) -> Url {
        let mut own = self.upload_url();
        let prefix = own.path().split("/upload/").next().unwrap_or_default().to_owned();
        let path = address.path();
        own.set_path(&if path.starts_with(&prefix) { path.to_owned() } else { format!("{prefix}{path}") });
        own.set_query(address.query());
        own
    }
}

/// Returns the ID of an endpoint that is given without its project: `endpoints/707`, or only the number.
fn endpoint_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("endpoints/").unwrap_or(name);
    (!id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit())).then_some(id)
}

/// Returns the location in `projects/…/locations/…/…`.
fn location_of(path: &str) -> Option<&str> {
    let mut steps = path.split('/');
    (steps.next() == Some("projects") && steps.nth(1) == Some("locations")).then(|| steps.next()).flatten()
}

pub(super) fn default_base(surface: Surface, location: &str) -> String {
    match (surface, location) {
        (Surface::Developer, _) => DEVELOPER_BASE_URL.to_owned(),
        (Surface::VertexExpress, _) | (_, "global") => "https://aiplatform.googleapis.com".to_owned(),
        (_, "us" | "eu") => format!("https://aiplatform.{location}.rep.googleapis.com"),
        (_, region) => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// Parses the base URL. URLs copied from a page or a command may continue after the version: `…/v1beta/openai/`,
/// `…/v1beta/models/m:generateContent`.
pub(super) fn base_url(text: &str) -> Result<Url, InvokeError> {
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
        tracing::debug!(path, "path after the version in the base URL ignored");
        url.set_path(&path);
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(InvokeError::credentials("credential `google_base_url` must start with http:// or https://"));
    }
    if url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(InvokeError::credentials(
            "credential `google_base_url` must not contain a user name or a query string",
        ));
    }
    Ok(url)
}

pub(super) fn parse(text: &str) -> Result<Url, InvokeError> {
    Url::parse(text)
        .map_err(|error| InvokeError::credentials(format!("credential `google_base_url` is not a valid URL: {error}")))
}

fn is_version(step: &str) -> bool {
    matches!(step, "v1" | "v1beta" | "v1alpha" | "v1beta1")
}

/// Returns the API version; a version at the end of the base URL is kept.
pub(super) fn version(base: &Url, wanted: Option<&str>, surface: Surface) -> Result<Option<String>, InvokeError> {
    let last = base.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if is_version(last) {
        return Ok(None);
    }
    match wanted {
        Some(version) => {
            check_name("google_api_version", version)?;
            Ok(Some(version.to_owned()))
        }
        None => Ok(Some(if surface.is_vertex() { "v1" } else { "v1beta" }.to_owned())),
    }
}

/// Rejects characters that cannot be part of a host name or path.
pub(super) fn check_name(field: &str, text: &str) -> Result<(), InvokeError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
    if text.bytes().all(legal) && !text.contains("..") {
        Ok(())
    } else {
        Err(InvokeError::credentials(format!("credential `{field}` contains characters that are not allowed")))
    }
}
