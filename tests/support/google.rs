//! A mock of Google as the Gemini provider uses it: the OAuth token endpoint, the metadata server, the token exchange,
//! and the API.
//!
//! Credentials are checked as Google checks them, and all requests are recorded.
#![allow(clippy::result_large_err)] // the error is the answer to send

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::google_api as api;

pub const API_KEY: &str = "AIza-CANARY-KEY";
/// The key of another project.
pub const OTHER_KEY: &str = "AIza-CANARY-OTHER-KEY";
pub const CLIENT_SECRET: &str = "CANARY-CLIENT-SECRET";
pub const REFRESH_TOKEN: &str = "1//CANARY-REFRESH";
pub const SUBJECT_TOKEN: &str = "CANARY-SUBJECT-TOKEN";
pub const EMAIL: &str = "dify@my-project.iam.gserviceaccount.com";
pub const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
pub const SCOPES: &str =
    "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/generative-language";

/// A recorded API request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub body: Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The response to an API request, instead of the usual one.
pub type Reply = (u16, Value);

#[derive(Default)]
pub struct Shared {
    pub url: String,
    seen: Mutex<Vec<Seen>>,
    live: Mutex<HashSet<String>>,
    grants: Mutex<Vec<String>>,
    refusals: Mutex<VecDeque<Reply>>,
    replies: Mutex<VecDeque<(&'static str, Reply)>>,
    /// Lifetime of new tokens in seconds; 0 means an hour.
    pub token_life: AtomicU64,
    pub files: api::files::Files,
}

pub struct Google {
    pub url: String,
    pub state: Arc<Shared>,
}

impl Google {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared { url: url.clone(), ..Shared::default() });
        let router = Router::new()
            .route("/token", post(token))
            .route("/computeMetadata/v1/instance/service-accounts/default/token", get(metadata))
            .route("/v1/token", post(exchange))
            .route("/v1/projects/-/serviceAccounts/{account}", post(impersonate))
            .fallback(call)
            .layer(axum::extract::DefaultBodyLimit::max(64 * 1024 * 1024))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Returns the grants used, in order.
    pub fn grants(&self) -> Vec<String> {
        self.state.grants.lock().unwrap().clone()
    }

    /// Rejects the next token request with this response.
    pub fn refuse_token(&self, status: u16, body: Value) {
        self.state.refusals.lock().unwrap().push_back((status, body));
    }

    /// Returns the number of prepared rejections that were not used yet.
    pub fn waiting_refusals(&self) -> usize {
        self.state.refusals.lock().unwrap().len()
    }

    /// Responds to the next token request with this body; the API accepts this token.
    pub fn give_token(&self, token: &str, body: Value) {
        self.state.live.lock().unwrap().insert(token.to_owned());
        self.refuse_token(200, body);
    }

    /// Responds to the next API request with this body, in which `ECHO` is replaced with the key or token of the
    /// request.
    pub fn reply(&self, status: u16, body: Value) {
        self.reply_to("", status, body);
    }

    /// Responds to the next API request whose path contains `part` with this body.
    pub fn reply_to(&self, part: &'static str, status: u16, body: Value) {
        self.state.replies.lock().unwrap().push_back((part, (status, body)));
    }

    /// Invalidates all tokens.
    pub fn end_tokens(&self) {
        self.state.live.lock().unwrap().clear();
    }

    /// Returns the API requests whose path contains `part`.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        self.state.seen.lock().unwrap().iter().filter(|seen| seen.path.contains(part)).cloned().collect()
    }
}

pub fn json_answer(status: u16, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}

/// Returns a Google error object.
pub fn refusal(status: u16, word: &str, message: &str) -> Reply {
    (status, json!({"error": {"code": status, "message": message, "status": word}}))
}

fn form(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, String)>, Response> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/x-www-form-urlencoded") {
        return Err(json_answer(400, &json!({"error": "invalid_request", "error_description": "not a form"})));
    }
    Ok(url::form_urlencoded::parse(body).into_owned().collect())
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

impl Shared {
    /// Issues a token; slowly, so that concurrent requests overlap.
    async fn give(&self, grant: &str) -> String {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let mut grants = self.grants.lock().unwrap();
        grants.push(grant.to_owned());
        let token = format!("ya29.CANARY-{grant}-{}", grants.len());
        self.live.lock().unwrap().insert(token.clone());
        token
    }

    fn scripted(&self, path: &str) -> Option<Reply> {
        let mut replies = self.replies.lock().unwrap();
        let place = replies.iter().position(|(part, _)| path.contains(part))?;
        replies.remove(place).map(|(_, reply)| reply)
    }

    fn refused(&self) -> Option<Response> {
        self.refusals.lock().unwrap().pop_front().map(|(status, body)| json_answer(status, &body))
    }
}

fn invalid_grant(why: &str) -> Response {
    json_answer(400, &json!({"error": "invalid_grant", "error_description": why}))
}

/// Verifies an assertion with the public key of the tests.
fn verify(assertion: &str, audience: &str) -> Result<(), String> {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    let public = vectors["keys"]["rsa_public_pem"].as_str().unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[audience, "https://oauth2.googleapis.com/token"]);
    rules.set_issuer(&[EMAIL]);
    rules.set_required_spec_claims(&["exp", "aud", "iss"]);
    let key = DecodingKey::from_rsa_pem(public.as_bytes()).unwrap();
    let read = jsonwebtoken::decode::<Value>(assertion, &key, &rules).map_err(|error| error.to_string())?;
    let number = |name: &str| read.claims[name].as_i64().ok_or_else(|| format!("no {name}"));
    let (issued, ends) = (number("iat")?, number("exp")?);
    let now = jiff::Timestamp::now().as_second();
    match &read.claims["scope"] {
        scope if scope != SCOPES => Err(format!("scope {scope}")),
        _ if read.header.kid.as_deref() != Some("key-1") => Err(format!("kid {:?}", read.header.kid)),
        _ if ends - issued > 3600 || issued > now || issued < now - 60 => Err(format!("times {issued} {ends}")),
        _ => Ok(()),
    }
}

async fn token(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = state.refused() {
        return refused;
    }
    let form = match form(&headers, &body) {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let grant = match field(&form, "grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            if let Err(why) = verify(field(&form, "assertion"), &format!("{}/token", state.url)) {
                return invalid_grant(&why);
            }
            "assertion"
        }
        "refresh_token" => {
            if (field(&form, "client_id"), field(&form, "client_secret")) != ("client-1", CLIENT_SECRET) {
                let body = json!({"error": "invalid_client", "error_description": "The OAuth client was not found."});
                return json_answer(401, &body);
            }
            if field(&form, "refresh_token") != REFRESH_TOKEN {
                return invalid_grant("Token has been expired or revoked.");
            }
            "refresh"
        }
        other => return json_answer(400, &json!({"error": "unsupported_grant_type", "error_description": other})),
    };
    let token = state.give(grant).await;
    let life = match state.token_life.load(Ordering::Relaxed) {
        0 => 3599,
        life => life,
    };
    json_answer(200, &json!({"access_token": token, "expires_in": life, "token_type": "Bearer", "scope": SCOPES}))
}

async fn metadata(State(state): State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return (StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.").into_response();
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    assert_eq!(field(&query, "scopes"), SCOPES.replace(' ', ","));
    let token = state.give("metadata").await;
    let mut answer = json_answer(200, &json!({"access_token": token, "expires_in": 1799, "token_type": "Bearer"}));
    if state.refusals.lock().unwrap().pop_front().is_none() {
        answer.headers_mut().insert("metadata-flavor", "Google".parse().unwrap());
    }
    answer
}

async fn exchange(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = match form(&headers, &body) {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", AUDIENCE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", SUBJECT_TOKEN),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ];
    for (name, value) in expected {
        if field(&form, name) != value {
            return json_answer(400, &json!({"error": "invalid_request", "error_description": format!("bad {name}")}));
        }
    }
    let token = state.give("exchange").await;
    json_answer(200, &json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}))
}

async fn impersonate(
    State(state): State<Arc<Shared>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!(account, format!("{EMAIL}:generateAccessToken"));
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !bearer.starts_with("Bearer ya29.CANARY-exchange-") {
        return json_answer(401, &refusal(401, "UNAUTHENTICATED", "bad federated token").1);
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["scope"], json!(SCOPES.split(' ').collect::<Vec<_>>()));
    let token = state.give("impersonated").await;
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    json_answer(200, &json!({"accessToken": token, "expireTime": ends.to_string()}))
}

/// Handles API requests: first checks that there is exactly one valid credential, and none in the URL.
async fn call(State(state): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let bytes = axum::body::to_bytes(body, 64 * 1024 * 1024).await.unwrap();
    let seen = Seen {
        method,
        path: percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy().into_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        headers,
        bytes,
    };
    state.seen.lock().unwrap().push(seen.clone());
    let bearer = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let allowed = match (seen.header("x-goog-api-key"), bearer) {
        (Some(key), None) => key == API_KEY || key == OTHER_KEY,
        (None, Some(token)) => state.live.lock().unwrap().contains(token),
        _ => false,
    };
    if seen.query.contains("key=") || !allowed {
        return json_answer(401, &refusal(401, "UNAUTHENTICATED", "Request had invalid credentials.").1);
    }
    if seen.path.contains("/projects/") && bearer.is_none() {
        return json_answer(401, &refusal(401, "UNAUTHENTICATED", "API keys are not supported by this API.").1);
    }
    if let Some((status, body)) = state.scripted(&seen.path) {
        let shown = seen.header("x-goog-api-key").or(bearer).unwrap_or_default();
        let body = body.to_string().replace("ECHO", shown);
        return json_answer(status, &serde_json::from_str(&body).unwrap());
    }
    api::answer(&state, &seen)
}
