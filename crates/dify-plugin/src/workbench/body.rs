//! The JSON body of a request to the workbench. What is wrong with it is an error that the page can read.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::limits::Limits;
use crate::transport::http_server;

/// A body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let limits = request.extensions().get::<Limits>().copied().unwrap_or_default();
        let read = http_server::read_body(request.into_body(), limits.http).await;
        let bytes = read.map_err(|(status, reason)| ApiError::new(status, reason))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            // The parser's own message may quote a secret.
            let place = format!("line {}, column {}", error.line(), error.column());
            ApiError::new(status, format!("the request's body is not what this route reads ({place})"))
        })
    }
}
