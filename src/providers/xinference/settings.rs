//! Reads the credential form: URL of the server, model, and request settings.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::login::{Login, Tokens};
use crate::dialect::openai::{BaseUrl, errors};
use crate::providers::compatible::Endpoint;
use crate::providers::compatible::form_fields::file_url;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, ModelType, Target};
use dify_plugin::upstream::auth::HeaderAuthorization;
use dify_plugin::upstream::{Authorize, NetworkSettings, RetryPolicy, Upstream, UpstreamRequest, fields};

/// Timeout for model info.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a credential form.
#[derive(Clone)]
pub(super) struct Settings {
    /// UID of the running model.
    pub(super) uid: String,
    /// The compatible API (`…/v1`).
    pub(super) api: Endpoint,
    /// Base URL of the server.
    pub(super) root: BaseUrl,
    /// Cache key for everything that is remembered about this model on this server with this credential.
    pub(super) key: u64,
    /// Cache key of the login by user name and password.
    pub(super) login: u64,
    /// The user's own context size.
    pub(super) context_length: Option<u64>,
    /// The user's own completion mode.
    pub(super) completion_type: Option<String>,
    /// Whether streaming tool calls are advertised; depends on the engine if `None`.
    pub(super) stream_function_calling: Option<bool>,
    /// The user's own voices.
    pub(super) voices: Option<String>,
    /// Base URL of Dify's own files, which the server cannot reach.
    pub(super) file_url: Option<String>,
    /// Assumed model info, for a server that cannot be queried.
    pub(super) assumed: super::ModelInfo,
}

impl Settings {
    pub(super) fn read(target: &Target, upstream: &Upstream, tokens: &Arc<Tokens>) -> Result<Self, InvokeError> {
        let credentials = &target.credentials;
        let root = root(credentials)?;
        let uid = uid(credentials)?;
        let network = NetworkSettings::from_credentials(credentials)?;
        let timeouts = fields::timeouts(credentials)?;
        let retry = fields::retries(credentials)?;
        let auth = authorization(credentials, &root, &network, upstream, tokens)?;
        // BaseUrl::parse has accepted this URL already; only the path is new.
        let base = BaseUrl::parse(root.join(&["v1"]).as_str(), "server_url")?;
        let mut api = Endpoint::new(base, auth);
        api.network = network;
        api.credentials = credentials.fingerprint();
        api.timeouts = timeouts;
        api.retry = retry;
        let choice = |field: &str| match credentials.get(field) {
            None | Some("auto") => None,
            Some(other) => Some(other.to_owned()),
        };
        Ok(Self {
            key: key(credentials, &root, &uid),
            login: key(credentials, &root, ""),
            uid,
            root,
            api,
            context_length: positive_integer(credentials, "context_length")?,
            completion_type: choice("completion_type"),
            stream_function_calling: choice("stream_function_calling").map(|choice| choice == "supported"),
            voices: choice("voices"),
            file_url: choice("file_url"),
            assumed: super::ModelInfo::assumed(credentials),
        })
    }

    /// Creates a `GET` request to a URL of the server, with a short timeout and at most one retry.
    pub(super) fn get(&self, url: Url) -> UpstreamRequest {
        let mut request = self.api.prepared(UpstreamRequest::get(url));
        request.timeouts.first_byte = request.timeouts.first_byte.min(DESCRIBE_TIMEOUT);
        request.timeouts.idle = request.timeouts.idle.min(DESCRIBE_TIMEOUT);
        request.retry = request.retry.with_max_retries(request.retry.max_retries.min(1));
        request
    }

    /// Returns the URL of the model info.
    pub(super) fn description_url(&self) -> Url {
        self.root.join(&["v1", "models", &self.uid])
    }
}

/// Returns the base URL of the server, whichever of its URLs was entered.
pub(super) fn root(credentials: &Credentials) -> Result<BaseUrl, InvokeError> {
    Ok(BaseUrl::parse(credentials.require("server_url")?, "server_url")?.without_tail("v1").without_tail("ui"))
}

fn uid(credentials: &Credentials) -> Result<String, InvokeError> {
    let uid = credentials.require("model_uid")?;
    if uid.contains('/') || uid == "." || uid == ".." {
        return Err(InvokeError::credentials(format!(
            "credential `model_uid`: `{uid}` is not a valid UID, because it cannot be part of a URL path"
        ))
        .with_hint("Use the UID from Xinference's list of running models, not the model's name on a hub."));
    }
    if uid.chars().any(char::is_control) {
        return Err(InvokeError::credentials(
            "credential `model_uid` contains a line break or another control character",
        ));
    }
    Ok(uid.to_owned())
}

/// Uses an API key, or else user name and password, or else nothing: a placeholder would count as a failed login.
fn authorization(
    credentials: &Credentials,
    root: &BaseUrl,
    network: &NetworkSettings,
    upstream: &Upstream,
    tokens: &Arc<Tokens>,
) -> Result<Arc<dyn Authorize>, InvokeError> {
    let headers = fields::extra_headers(credentials, HeaderAuthorization::new())?;
    if let Some(key) = credentials.get("api_key") {
        return Ok(Arc::new(headers.bearer(key)));
    }
    match (credentials.get("username"), credentials.get("password")) {
        (Some(user), Some(password)) => {
            let mut request = UpstreamRequest::post_json(
                root.join(&["token"]),
                &serde_json::json!({"username": user, "password": password}),
            )?
            .with_network(network.clone())
            .with_retry(RetryPolicy::never())
            .with_error_reader(errors::error_of)
            .confidential();
            request.secrets = vec![SecretString::from(password)];
            Ok(Arc::new(Login::new(headers, upstream.clone(), request, tokens.clone(), key(credentials, root, ""))))
        }
        (None, None) => Ok(Arc::new(headers)),
        (Some(_), None) => Err(InvokeError::credentials("credential `password` is required when `username` is set")),
        (None, Some(_)) => Err(InvokeError::credentials("credential `username` is required when `password` is set")),
    }
}

/// Rejects invalid values in fields that a request would read late or never.
pub(super) fn check(credentials: &Credentials, model_type: ModelType) -> Result<(), InvokeError> {
    match model_type {
        ModelType::Llm => file_url(credentials).map(drop),
        ModelType::TextEmbedding => positive_integer(credentials, "max_chunks").map(drop),
        ModelType::Rerank => positive_integer(credentials, "rerank_batch_size").map(drop),
        ModelType::Tts => match credentials.get("voices") {
            Some(voices) if voices.split([',', '，', '\n']).all(|voice| voice.trim().is_empty()) => {
                Err(InvokeError::credentials("credential `voices` contains no voice; enter IDs separated by commas"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Reads an integer field greater than 0.
pub(super) fn positive_integer(credentials: &Credentials, field: &str) -> Result<Option<u64>, InvokeError> {
    match credentials.number(field)? {
        None => Ok(None),
        Some(number) if number >= 1.0 && number.fract() == 0.0 && number <= 1e9 => Ok(Some(number as u64)),
        Some(number) => Err(InvokeError::credentials(format!(
            "credential `{field}` must be an integer greater than 0, found {number}"
        ))),
    }
}

/// Returns a hash that is equal for requests to the same model on the same server with the same credential.
fn key(credentials: &Credentials, root: &BaseUrl, uid: &str) -> u64 {
    const WHO: [&str; 6] = ["api_key", "username", "password", "extra_headers", "proxy_url", "tls_ca"];
    let who = WHO.iter().filter_map(|field| Some(((*field).to_owned(), credentials.get(field)?.to_owned())));
    let model = [("server_url".to_owned(), root.as_url().to_string()), ("model_uid".to_owned(), uid.to_owned())];
    Credentials::from_pairs(who.chain(model)).fingerprint()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(credentials: Value) -> Result<Settings, InvokeError> {
        let target = Target::new("xinference", "m", serde_json::from_value(credentials).unwrap());
        Settings::read(&target, &Upstream::new(), &Arc::default())
    }

    #[test]
    fn url_and_uid_are_sufficient() {
        for server in [
            "host:9997",
            "http://host:9997/",
            "http://host:9997/v1",
            "http://host:9997/v1/chat/completions",
            "http://host:9997/ui/",
        ] {
            let settings = read(json!({"server_url": server, "model_uid": "my model?#é"})).unwrap();
            assert_eq!(
                settings.description_url().as_str(),
                "http://host:9997/v1/models/my%20model%3F%23%C3%A9",
                "{server}"
            );
            assert_eq!(
                settings.api.base.join_path("embeddings").as_str(),
                "http://host:9997/v1/embeddings",
                "{server}"
            );
        }
        let below = read(json!({"server_url": "https://proxy/xinference/v1", "model_uid": "m"})).unwrap();
        assert_eq!(below.description_url().as_str(), "https://proxy/xinference/v1/models/m");
    }

    #[test]
    fn rejects_invalid_values_when_saving() {
        for (model_type, field, wrong, right) in [
            (ModelType::Llm, "file_url", &["x", "/files", "ftp://h", "http://"][..], "http://api:5001"),
            (ModelType::TextEmbedding, "max_chunks", &["x", "0", "1.5", "-1", "1e30", "NaN"], "32"),
            (ModelType::Rerank, "rerank_batch_size", &["x", "0", "-5"], "8"),
            (ModelType::Tts, "voices", &[",", " , ，"], "a,b"),
        ] {
            for text in wrong {
                let error = check(&Credentials::from_pairs([(field, *text)]), model_type).unwrap_err();
                assert!(error.message.contains(&format!("`{field}`")), "{error}");
            }
            for text in [right, "", " "] {
                assert!(check(&Credentials::from_pairs([(field, text)]), model_type).is_ok(), "{field} {text}");
            }
        }
    }

    #[test]
    fn names_invalid_fields() {
        let cases = [
            (json!({"model_uid": "m"}), "`server_url`"),
            (json!({"server_url": "h"}), "`model_uid`"),
            (json!({"server_url": "h", "model_uid": "org/name"}), "`org/name` is not a valid UID"),
            (json!({"server_url": "h", "model_uid": ".."}), "is not a valid UID"),
            (json!({"server_url": "h", "model_uid": "m", "invoke_timeout": "soon"}), "`invoke_timeout`"),
            (json!({"server_url": "h", "model_uid": "m", "max_retries": "-1"}), "`max_retries`"),
            (json!({"server_url": "h", "model_uid": "m", "context_length": "0"}), "`context_length`"),
            (json!({"server_url": "h", "model_uid": "m", "username": "u"}), "`password` is required"),
            (json!({"server_url": "h", "model_uid": "m", "password": "p"}), "`username` is required"),
            (json!({"server_url": "h", "model_uid": "m", "tls_ca": "x"}), "`tls_ca`"),
        ];
        for (credentials, expected) in cases {
            let error = read(credentials.clone()).err().unwrap();
            assert!(error.detail().contains(expected), "{credentials}: {error}");
        }
    }
}
