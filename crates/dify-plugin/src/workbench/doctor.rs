//! The findings of `doctor`, for the page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::error::ApiError;
use super::state::Workbench;
use crate::cli::doctor;

/// `GET /api/doctor?provider=NAME`, with the credentials that are stored for the provider.
pub(super) async fn findings(
    State(workbench): State<Arc<Workbench>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let query = query.unwrap_or_default();
    let mut members = form_urlencoded::parse(query.as_bytes());
    let provider =
        members.find(|(name, value)| name == "provider" && !value.is_empty()).map(|(_, value)| value.into_owned());
    let fields = provider.as_ref().map(|name| workbench.credentials.values(&format!("model/{name}")));
    let found =
        doctor::findings(&workbench.program, &workbench.directory, provider.as_deref(), fields.unwrap_or_default());
    match found.await {
        Ok(findings) => Ok(Json(json!({ "findings": findings }))),
        Err(error) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))),
    }
}
