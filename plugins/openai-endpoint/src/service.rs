//! The endpoint: finds the route, checks the key, calls the handler, and turns every failure into OpenAI's error object.

use dify_plugin::bytes::Bytes;
use dify_plugin::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use dify_plugin::prelude::*;
use tracing::warn;

use crate::error::ApiError;
use crate::http_io::{self, Route};
use crate::settings::{self, Catalog, Key};
use crate::{handlers, read};

/// Serves `endpoints/openai.yaml`.
pub struct Api;

/// A request whose key was accepted.
pub struct Caller {
    pub call: Call,
    pub key: Key,
    pub catalog: Catalog,
    pub request: Request<Bytes>,
}

impl Endpoint for Api {
    async fn handle(&self, call: Call, request: Request<Bytes>) -> Result<Response<Body>, PluginError> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let origins = settings::origins(&call.settings);
        let id = HeaderValue::from_str(&call.session_id);
        let mut response = match serve(call, request).await {
            Ok(response) => response,
            Err(error) => http_io::error(&logged(error)),
        };
        match origins {
            Ok(origins) => http_io::allow_origin(&origins, origin.as_ref(), &mut response),
            Err(error) => response = http_io::error(&logged(error)),
        }
        if let Ok(id) = id {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
        }
        Ok(response)
    }

    /// What does not get as far as a route: a request that is malformed, or a body that Dify has cut off.
    fn error_response(&self, error: PluginError) -> Response<Body> {
        let error = match error.status {
            Some(413) => {
                let message = "The body is too large: Dify passes on 10 MiB. Send images and files as URLs.";
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                ApiError::new(status, "invalid_request_error", "request_too_large", message)
            }
            _ => ApiError::invalid(error.detail()),
        };
        http_io::error(&logged(error))
    }
}

/// A failure that is not the client's is in the log, too, without its message, which may quote a prompt.
fn logged(error: ApiError) -> ApiError {
    if error.status.is_server_error() {
        warn!(status = error.status.as_u16(), code = error.code, "a request failed");
    }
    error
}

async fn serve(call: Call, request: Request<Bytes>) -> Result<Response<Body>, ApiError> {
    if request.method() == Method::OPTIONS {
        return Ok(http_io::preflight(request.headers()));
    }
    let route = Route::of(request.method(), request.uri().path())?;
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = settings::authenticate(&call.settings, authorization)?;
    let catalog = Catalog::of(&call.settings, &key)?;
    let caller = Caller { call, key, catalog, request };
    match route {
        Route::Models => Ok(http_io::json(&caller.catalog.list())),
        Route::Model(name) => Ok(http_io::json(&caller.catalog.describe(&name)?)),
        Route::Chat => handlers::chat(caller).await,
        Route::Completions => handlers::completions(caller).await,
        Route::Embeddings => handlers::embeddings(caller).await,
        Route::Rerank => handlers::rerank(caller).await,
        Route::Speech => handlers::speech(caller).await,
        Route::Transcriptions => handlers::transcriptions(caller).await,
        Route::Moderations => handlers::moderations(caller).await,
    }
}

impl Caller {
    /// Parses the body.
    pub fn body<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        read::json(self.request.body())
    }

    /// The ID of the response.
    pub fn id(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.call.session_id)
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }
}
