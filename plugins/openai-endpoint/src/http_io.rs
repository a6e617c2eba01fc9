//! HTTP beside the API's own JSON: routes, responses, CORS, and forms with files.

use dify_plugin::bytes::Bytes;
use dify_plugin::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use dify_plugin::prelude::Body;
use serde_json::Value;

use crate::audio::TranscriptionForm;
use crate::error::ApiError;

/// What a path and a method stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Models,
    Model(String),
    Chat,
    Completions,
    Embeddings,
    Rerank,
    Speech,
    Transcriptions,
    Moderations,
}

impl Route {
    /// Finds the route. Clients add their paths to a base URL with or without `/v1`, so that both exist.
    pub fn of(method: &Method, path: &str) -> Result<Self, ApiError> {
        let trimmed = path.trim_end_matches('/');
        let name = ["/v1/", "/v2/", "/"].iter().find_map(|prefix| trimmed.strip_prefix(prefix)).unwrap_or_default();
        let (route, is_get) = match name {
            "models" => (Self::Models, true),
            "chat/completions" => (Self::Chat, false),
            "completions" => (Self::Completions, false),
            "embeddings" => (Self::Embeddings, false),
            "rerank" => (Self::Rerank, false),
            "audio/speech" => (Self::Speech, false),
            "audio/transcriptions" => (Self::Transcriptions, false),
            "moderations" => (Self::Moderations, false),
            _ => match name.strip_prefix("models/") {
                Some(model) if !model.is_empty() => (Self::Model(decoded(model)), true),
                _ => return Err(ApiError::not_found("unknown_url", format!("Unknown request URL: {method} {path}."))),
            },
        };
        let is_allowed = if is_get { [Method::GET, Method::HEAD].contains(method) } else { method == Method::POST };
        if is_allowed {
            return Ok(route);
        }
        let allowed = if is_get { "GET" } else { "POST" };
        let message = format!("{path} takes {allowed}, not {method}.");
        Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", message))
    }
}

/// Decodes `%2F` and the like; what is malformed stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn json(value: &Value) -> Response<Body> {
    with_type(value.to_string(), HeaderValue::from_static("application/json"))
}

pub fn with_type(body: impl Into<Body>, content_type: HeaderValue) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Server-sent events. Proxies in front of Dify may neither keep nor gather them.
pub fn events(body: Body) -> Response<Body> {
    let mut response = with_type(body, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

pub fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(&error.body());
    *response.status_mut() = error.status;
    if error.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The response to a preflight request, without the headers of [`allow_origin`].
pub fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    let wanted = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let usual = HeaderValue::from_static("authorization, content-type");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(usual));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets a web page read the response, if its origin is among those that the operator allows.
pub fn allow_origin(allowed: &[String], request_origin: Option<&HeaderValue>, response: &mut Response<Body>) {
    if allowed.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = request_origin else { return };
    let is_allowed =
        allowed.iter().any(|entry| entry == "*" || origin.as_bytes().eq_ignore_ascii_case(entry.as_bytes()));
    if is_allowed {
        let value =
            if allowed.iter().any(|entry| entry == "*") { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id"));
    }
}

/// Reads the form of a transcription. Other fields are ignored.
pub async fn transcription_form(content_type: Option<&str>, body: Bytes) -> Result<TranscriptionForm, ApiError> {
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok()).ok_or_else(|| {
        ApiError::invalid("The body is not a form: send `multipart/form-data` with the fields `file` and `model`.")
    })?;
    let invalid = |error: multer::Error| ApiError::invalid(format!("The form is not valid: {error}."));
    let body = futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut parts = multer::Multipart::new(body, boundary);
    let mut form = TranscriptionForm::default();
    while let Some(field) = parts.next_field().await.map_err(invalid)? {
        match field.name() {
            Some("file") => form.file = Some(field.bytes().await.map_err(invalid)?),
            Some("model") => form.model = Some(field.text().await.map_err(invalid)?),
            Some("language") => form.language = Some(field.text().await.map_err(invalid)?),
            Some("response_format") => form.response_format = Some(field.text().await.map_err(invalid)?),
            _ => {}
        }
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_exist_with_and_without_a_version() {
        for (method, path, expected) in [
            (Method::GET, "/v1/models", Ok(Route::Models)),
            (Method::HEAD, "/models/", Ok(Route::Models)),
            (Method::GET, "/v1/models/meta%2Fllama", Ok(Route::Model("meta/llama".into()))),
            (Method::GET, "/v1/models/a/b%", Ok(Route::Model("a/b%".into()))),
            (Method::POST, "/v1/chat/completions", Ok(Route::Chat)),
            (Method::POST, "/chat/completions", Ok(Route::Chat)),
            (Method::POST, "/v2/rerank", Ok(Route::Rerank)),
            (Method::GET, "/v1/chat/completions", Err(405)),
            (Method::POST, "/v1/models", Err(405)),
            (Method::GET, "/", Err(404)),
            (Method::GET, "/v1/models//", Ok(Route::Models)),
            (Method::POST, "/v1/v1/chat/completions", Err(404)),
            (Method::POST, "/v1/images/generations", Err(404)),
        ] {
            let found = Route::of(&method, path).map_err(|error| error.status.as_u16());
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn only_allowed_origins_may_read() {
        let one = ["https://a.example".to_owned()];
        let all = ["*".to_owned()];
        for (allowed, origin, expected) in [
            (&one[..], Some("https://A.example"), Some("https://A.example")),
            (&one[..], Some("https://b.example"), None),
            (&one[..], None, None),
            (&all[..], Some("null"), Some("*")),
            (&[], Some("https://a.example"), None),
        ] {
            let mut response = json(&Value::Null);
            let origin = origin.map(|origin| HeaderValue::from_str(origin).unwrap());
            allow_origin(allowed, origin.as_ref(), &mut response);
            let found = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(found.map(|value| value.to_str().unwrap()), expected);
        }
    }
}
