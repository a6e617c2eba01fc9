//! The connection of a call, from facts and credentials: base URL, paths, key, headers and query. All errors of a form are
//! found here, before a request is sent. What it is not: the request.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::facts::{Auth, AuthPlace, BaseUrl, ModelFacts, WireName};
use super::template::{Template, Values};
use super::values::CallValues;
use crate::dialect::openai::BaseUrl as Base;
use crate::providers::compatible::{Action, Endpoint};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::auth::{Attempt, HeaderAuthorization, QueryAuthorization, WithHeaders};
use dify_plugin::upstream::{Authorize, NetworkSettings, NoAuthorization, fields};

/// The credential with the key unless the facts name another one.
pub const DEFAULT_KEY: &str = "api_key";

/// A tail of `base_strip` that is the whole path.
pub const WHOLE_PATH: &str = "*";

/// Returns the name of the model in requests.
pub fn wire_name(facts: &ModelFacts, values: &CallValues<'_>) -> Result<String, InvokeError> {
    match &facts.model {
        None => Ok(values.model.to_owned()),
        Some(WireName::Map(names)) => Ok(names.get(values.model).cloned().unwrap_or_else(|| values.model.to_owned())),
        Some(WireName::Template(template)) => template.fill(values).map_err(required),
    }
}

/// Returns the endpoint of a model whose wire name is that of the values.
pub fn endpoint(facts: &ModelFacts, values: &CallValues<'_>) -> Result<Endpoint, InvokeError> {
    let auth = facts.auth.resolve("auth", values)?;
    let base = base_url(facts, values, key(&auth, values).is_some())?;
    let credentials = &values.credentials;
    let mut endpoint = Endpoint {
        credentials: credentials.fingerprint(),
        network: NetworkSettings::from_credentials(credentials)?,
        timeouts: fields::timeouts(credentials)?,
        retry: fields::retries(credentials)?,
        ..Endpoint::new(base, authorization(facts, &auth, values)?)
    };
    for (name, path) in facts.paths.given() {
        let Some(action) = action(name) else { continue };
        let url = address(&endpoint.base, path, values)?;
        endpoint.urls.insert(action, url);
    }
    Ok(endpoint)
}

/// Returns what a key of `paths` is the path of.
fn action(name: &str) -> Option<Action> {
    Some(match name {
        "llm" => Action::Chat,
        "completion" => Action::Completion,
        "text_embedding" => Action::Embeddings,
        "rerank" => Action::Rerank,
        "speech2text" => Action::Transcription,
        "tts" => Action::Speech,
        "moderation" => Action::Moderation,
        "models" => Action::Models,
        _ => return None,
    })
}

/// Returns the URL of a path below the base URL; an absolute URL is itself.
pub fn address(base: &Base, path: &Template, values: &CallValues<'_>) -> Result<Url, InvokeError> {
    let filled = path.fill(values).map_err(required)?;
    if !filled.contains("://") {
        let (path, query) = filled.split_once('?').unwrap_or((&filled, ""));
        let mut url = base.join_path(path.trim_start_matches('/'));
        if !query.is_empty() {
            let joined = [url.query().unwrap_or_default(), query].join("&");
            url.set_query(Some(joined.trim_start_matches('&')));
        }
        return Ok(url);
    }
    match Url::parse(&filled) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(InvokeError::credentials(format!("the path `{path}` is not a valid http:// or https:// URL"))),
    }
}

/// Returns the base URL.
pub fn base_url(facts: &ModelFacts, values: &CallValues<'_>, has_key: bool) -> Result<Base, InvokeError> {
    let Some(of_facts) = &facts.base_url else {
        return Err(InvokeError::credentials("the provider's facts have no `base_url`"));
    };
    let template = match of_facts {
        BaseUrl::Template(template) => template,
        BaseUrl::Choice(choice) => {
            let value = values.value(&choice.by);
            let chosen = value.as_deref().and_then(|value| choice.when.get(value.trim()));
            match chosen.or(choice.other.as_ref()) {
                Some(template) => template,
                None => {
                    let known: Vec<&str> = choice.when.keys().map(String::as_str).collect();
                    let message = format!("credential `{}` must be one of: {}", choice.by, known.join(", "));
                    return Err(InvokeError::credentials(message));
                }
            }
        }
    };
    let text = template.fill(values).map_err(required)?;
    base_of(&text, facts, template.names().first().copied().unwrap_or("base_url"), has_key)
}

/// Parses a base URL, removes and adds what the facts say. `field` names the credential in errors.
fn base_of(text: &str, facts: &ModelFacts, field: &str, has_key: bool) -> Result<Base, InvokeError> {
    // Assuming http:// would send a key in clear text.
    if has_key && !text.contains("://") {
        let message = format!("credential `{field}` has no scheme: start it with https:// (or http://)");
        return Err(InvokeError::credentials(message));
    }
    let mut base = Base::parse(text, field)?;
    for tail in &facts.base_strip {
        base = match tail.as_str() {
            WHOLE_PATH => base.without_path(),
            tail => base.without_tail(tail.trim_matches('/')),
        };
    }
    if let Some(suffix) = facts.base_suffix.as_deref().map(|suffix| suffix.trim_matches('/')) {
        base = base.with_tail(suffix);
    }
    Ok(base)
}

fn required(field: &str) -> InvokeError {
    InvokeError::credentials(format!("credential `{field}` is required"))
}

/// Returns the API key, and the credential that it comes from.
fn key<'v>(auth: &'v Auth, values: &'v CallValues<'_>) -> Option<(&'v str, &'v str)> {
    if auth.place == AuthPlace::None {
        return None;
    }
    let named = auth.credential.as_ref().map(|names| names.0.as_slice());
    let mut names: Vec<&str> = named.into_iter().flatten().map(String::as_str).collect();
    if named.is_none() {
        names.push(DEFAULT_KEY);
    }
    let found = names.into_iter().find_map(|name| Some((values.credentials.get(name)?, name)));
    found.or(auth.fixed.as_deref().map(|fixed| (fixed, "auth.fixed")))
}

fn authorization(facts: &ModelFacts, auth: &Auth, values: &CallValues<'_>) -> Result<Arc<dyn Authorize>, InvokeError> {
    let mut headers = HeaderAuthorization::new();
    for (name, template) in &facts.headers {
        let Ok(value) = template.fill(values) else { continue };
        if value.trim().is_empty() {
            continue;
        }
        let field = template.names().first().copied();
        headers = headers.header(header_name(name)?, header_value(value, field)?);
    }
    headers = fields::extra_headers(&values.credentials, headers)?;
    let mut inner: Arc<dyn Authorize> = Arc::new(NoAuthorization);
    if let Some((key, field)) = key(auth, values) {
        match auth.place {
            AuthPlace::None => {}
            AuthPlace::Bearer => {
                let key = header_value(key.to_owned(), Some(field))?;
                inner = Arc::new(HeaderAuthorization::new().bearer(&key));
            }
            AuthPlace::Header => {
                let name = header_name(auth.name.as_deref().unwrap_or_default())?;
                inner = Arc::new(HeaderAuthorization::new().header(name, header_value(key.to_owned(), Some(field))?));
            }
            AuthPlace::Query => {
                inner = Arc::new(QueryAuthorization::new(auth.name.as_deref().unwrap_or_default(), key));
            }
        }
    }
    for (name, template) in &facts.query {
        let Ok(value) = template.fill(values) else { continue };
        if !value.trim().is_empty() {
            inner = Arc::new(Both(Arc::new(QueryAuthorization::new(name, value.trim())), inner));
        }
    }
    Ok(Arc::new(WithHeaders { headers, inner }))
}

fn header_name(name: &str) -> Result<String, InvokeError> {
    match HeaderName::try_from(name.trim()) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(InvokeError::credentials(format!("`{name}` in the provider's facts is not a valid header name"))),
    }
}

fn header_value(value: String, field: Option<&str>) -> Result<String, InvokeError> {
    if HeaderValue::from_str(&value).is_ok() {
        return Ok(value);
    }
    let field =
        field.map_or_else(|| "a header of the provider's facts".to_owned(), |field| format!("credential `{field}`"));
    Err(InvokeError::credentials(format!(
        "{field} contains characters that are not allowed in a header (such as a line break)"
    )))
}

/// Two authorizations, one after the other.
struct Both(Arc<dyn Authorize>, Arc<dyn Authorize>);

impl Authorize for Both {
    fn authorize<'a>(&'a self, mut attempt: Attempt<'a>) -> BoxFuture<'a, Result<(), InvokeError>> {
        Box::pin(async move {
            self.0.authorize(attempt.reborrow()).await?;
            self.1.authorize(attempt).await
        })
    }
}

#[cfg(test)]
mod tests;
