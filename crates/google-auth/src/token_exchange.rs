//! Fetches access tokens: signed assertion, refresh token, metadata server, token exchange.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::credential::{ExternalAccount, GoogleCredential, SubjectSource};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::lenient;
use dify_plugin::upstream::auth::HeaderAuthorization;
use dify_plugin::upstream::auth::fetched::Token;
use dify_plugin::upstream::{ErrorResponse, NetworkSettings, RetryPolicy, Timeouts, Upstream, UpstreamRequest, status};

/// Maximum size of a token endpoint's response in bytes.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// Lifetime of a token whose expiry the endpoint does not report.
const DEFAULT_LIFETIME_SECONDS: u64 = 300;

/// Secret fields of a token endpoint's form.
const SECRET_FIELDS: [&str; 4] = ["assertion", "client_secret", "refresh_token", "subject_token"];

/// Seconds by which `iat` is in the past, to tolerate clock skew.
const CLOCK_SKEW_SECONDS: u64 = 10;

#[derive(Deserialize)]
struct TokenResponse {
    access_token: SecretString,
    #[serde(default, deserialize_with = "lenient::count")]
    expires_in: Option<u64>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// Fetches a token.
pub(super) async fn fetch(
    upstream: &Upstream,
    network: &NetworkSettings,
    identity: &GoogleCredential,
    scopes: &[String],
) -> Result<Token, InvokeError> {
    let scope = scopes.join(" ");
    match identity {
        GoogleCredential::ServiceAccount { client_email, key_id, private_key, token_uri } => {
            let assertion = assertion(client_email, key_id, private_key, token_uri, &scope)?;
            let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
            token(upstream, post_form(token_uri, &form, network)?).await
        }
        GoogleCredential::RefreshToken { client_id, client_secret, refresh_token, token_uri } => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret.expose_secret()),
                ("refresh_token", refresh_token.expose_secret()),
            ];
            token(upstream, post_form(token_uri, &form, network)?).await
        }
        GoogleCredential::Metadata { host } => metadata(upstream, host, &scopes.join(",")).await,
        GoogleCredential::External(account) => external(upstream, network, account, &scope).await,
    }
}

fn assertion(
    email: &str,
    key_id: &str,
    key: &SecretString,
    audience: &Url,
    scope: &str,
) -> Result<String, InvokeError> {
    let issued = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
        .saturating_sub(CLOCK_SKEW_SECONDS);
    let key = EncodingKey::from_rsa_pem(key.expose_secret().as_bytes())
        .map_err(|_| InvokeError::credentials("the service account's `private_key` is not an RSA key in PEM format"))?;
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key_id.to_owned()).filter(|id| !id.is_empty());
    let claims = Claims { iss: email, scope, aud: audience.as_str(), iat: issued, exp: issued + 3600 };
    jsonwebtoken::encode(&header, &claims, &key)
        .map_err(|_| InvokeError::credentials("the service account's `private_key` cannot sign"))
}

fn post_form(url: &Url, form: &[(&str, &str)], network: &NetworkSettings) -> Result<UpstreamRequest, InvokeError> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = UpstreamRequest::new(Method::POST, url.clone());
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request.body = body.into();
    let secret = form.iter().filter(|(name, _)| SECRET_FIELDS.contains(name));
    request.secrets = secret.map(|(_, value)| SecretString::from(*value)).collect();
    Ok(token_request(request).with_network(network.clone()))
}

/// Adds short timeouts: token endpoints respond quickly or not at all.
fn token_request(request: UpstreamRequest) -> UpstreamRequest {
    let wait = Duration::from_secs(20);
    request
        .with_timeouts(Timeouts::default().with_first_byte(wait).with_idle(wait))
        .with_retry(RetryPolicy::default().with_first_wait(Duration::from_millis(200)))
        .with_error_reader(token_error)
        .confidential()
}

async fn token(upstream: &Upstream, request: UpstreamRequest) -> Result<Token, InvokeError> {
    let response: TokenResponse = upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await.map_err(unreadable)?;
    let lifetime = Duration::from_secs(response.expires_in.unwrap_or(DEFAULT_LIFETIME_SECONDS));
    Ok(Token::new(response.access_token, lifetime))
}

/// The response may contain a token, so its text is not quoted.
fn unreadable(error: InvokeError) -> InvokeError {
    InvokeError::new(error.kind, "cannot parse the response of the token endpoint").retryable()
}

/// Reads `{"error", "error_description"}`, which is not the format of the API's own errors.
fn token_error(response: &ErrorResponse) -> InvokeError {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let (Some(code), described) = (text("error"), text("error_description")) else { return status::error_of(response) };
    let mut error =
        InvokeError::authorization(format!("Google did not issue a token: {code}: {}", described.unwrap_or_default()));
    error.status = Some(response.status.as_u16());
    error.hint = Some(
        match code.as_str() {
            "invalid_grant" => {
                "The key or refresh token was deleted, revoked or has expired, or this machine's clock is wrong."
            }
            "invalid_rapt" => "Your organization requires reauthentication; create a new refresh token.",
            "invalid_client" | "unauthorized_client" => "The OAuth client ID and client secret do not match.",
            "invalid_scope" => "The account is not allowed to use this scope.",
            _ => "Check the credentials.",
        }
        .to_owned(),
    );
    if status::is_transient(response.status) {
        error.kind = ErrorKind::ServerUnavailable;
        error.retryable = true;
    }
    error.code = Some(code);
    error
}

async fn metadata(upstream: &Upstream, host: &Url, scopes: &str) -> Result<Token, InvokeError> {
    let mut url = host
        .join("computeMetadata/v1/instance/service-accounts/default/token")
        .map_err(|_| InvokeError::internal("the metadata server URL is not valid"))?;
    url.query_pairs_mut().append_pair("scopes", scopes);
    let mut request = machine_request(url);
    request.headers.insert("metadata-flavor", HeaderValue::from_static("Google"));
    let response = upstream.send(&request).await?;
    if response.headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return Err(InvokeError::credentials("the response of the metadata server does not come from Google"));
    }
    let response: TokenResponse = response.json(MAX_RESPONSE_BYTES).await.map_err(unreadable)?;
    let lifetime = Duration::from_secs(response.expires_in.unwrap_or(DEFAULT_LIFETIME_SECONDS));
    Ok(Token::new(response.access_token, lifetime))
}

/// Servers that serve only this machine are close, so the timeouts are short.
fn machine_request(url: Url) -> UpstreamRequest {
    let wait = Duration::from_secs(3);
    UpstreamRequest::get(url)
        .with_timeouts(Timeouts::default().with_connect(wait).with_first_byte(wait).with_idle(wait))
        .with_network(NetworkSettings::of_machine())
        .confidential()
}

/// Exchanges an external token, and impersonates a service account if required.
async fn external(
    upstream: &Upstream,
    network: &NetworkSettings,
    account: &ExternalAccount,
    scope: &str,
) -> Result<Token, InvokeError> {
    let subject = subject_token(upstream, &account.source).await?;
    let platform = "https://www.googleapis.com/auth/cloud-platform";
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", &account.audience),
        ("scope", if account.impersonation_url.is_some() { platform } else { scope }),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", subject.expose_secret()),
        ("subject_token_type", &account.subject_token_type),
    ];
    let federated = token(upstream, post_form(&account.token_url, &form, network)?).await?;
    let Some(url) = &account.impersonation_url else { return Ok(federated) };

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Impersonated {
        access_token: SecretString,
        #[serde(default)]
        expire_time: Value,
    }
    let scopes: Vec<&str> = scope.split(' ').collect();
    let request = UpstreamRequest::post_json(url.clone(), &json!({"scope": scopes, "lifetime": "3600s"}))?;
    let bearer = HeaderAuthorization::new().bearer(federated.secret().expose_secret());
    let request = token_request(request).with_network(network.clone()).with_auth(std::sync::Arc::new(bearer));
    let response: Impersonated = upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await.map_err(unreadable)?;
    let expires = response.expire_time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let left =
        expires.map_or(DEFAULT_LIFETIME_SECONDS as f64, |end| end.duration_since(jiff::Timestamp::now()).as_secs_f64());
    let lifetime = Duration::try_from_secs_f64(left).unwrap_or_default();
    Ok(Token::new(response.access_token, lifetime))
}

async fn subject_token(upstream: &Upstream, source: &SubjectSource) -> Result<SecretString, InvokeError> {
    let no_token = || InvokeError::credentials(format!("{source} provides no token"));
    let (text, field) = match source {
        SubjectSource::File { path, field } => {
            let text = read_token_file(path)
                .await
                .map_err(|error| InvokeError::credentials(format!("cannot read {source}: {error}")))?;
            (text, field)
        }
        SubjectSource::Url { url, headers, field } => {
            let mut auth = HeaderAuthorization::new();
            for (name, value) in headers {
                auth = auth.header(name, value.expose_secret());
            }
            let request = machine_request(url.clone()).with_auth(std::sync::Arc::new(auth));
            let body = upstream.send(&request).await?.bytes(MAX_RESPONSE_BYTES).await?;
            (String::from_utf8_lossy(&body).into_owned(), field)
        }
    };
    let value: Value;
    let token = match field {
        None => text.trim(),
        Some(field) => {
            value = serde_json::from_str(&text).unwrap_or_default();
            value[field.as_str()].as_str().ok_or_else(no_token)?
        }
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_token());
    }
    Ok(SecretString::from(token.to_owned()))
}

/// Reads a small regular file; a pipe or device might never end.
async fn read_token_file(path: &Path) -> std::io::Result<String> {
    let metadata = tokio::fs::metadata(path).await?;
    if !metadata.is_file() || metadata.len() > MAX_RESPONSE_BYTES as u64 {
        return Err(std::io::Error::other("not a regular file, or too large for a token"));
    }
    tokio::fs::read_to_string(path).await
}
