//! The JSON body of a request to the workbench. What is wrong with it is an error that the page can read.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body.
pub(super) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.into_response().status();
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(status, "the request is too large"),
                _ => ApiError::new(status, "the request's body cannot be read"),
            }
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            // The parser's own message may quote a secret.
            let place = format!("line {}, column {}", error.line(), error.column());
            ApiError::new(status, format!("the request's body is not what this route reads ({place})"))
        })
    }
}
