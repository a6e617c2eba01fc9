//! The routes of the workbench. What a route does is in the module of its subject.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;

use super::error::{self, ApiError};
use super::safety::{self, Safety};
use super::state::Workbench;
use super::{assets, credentials, doctor, events, logs, plugin, sessions};

/// Builds the routes behind the checks of [`safety`].
pub(super) fn router(workbench: Arc<Workbench>, safety: Arc<Safety>) -> Router {
    let api = Router::new()
        .route("/plugin", get(plugin::show))
        .route("/files/{*path}", get(plugin::file))
        .route("/events", get(events::stream))
        .route("/credentials", get(credentials::list))
        .route("/credentials/{*key}", axum::routing::put(credentials::put).delete(credentials::delete))
        .route("/logs", get(logs::list))
        .route("/doctor", get(doctor::findings))
        .merge(sessions::routes())
        .fallback(async || ApiError::not_found("the workbench has no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this route has no such method")
        })
        .layer(middleware::map_response(error::as_json));
    Router::new()
        .nest("/api", api)
        .fallback(assets::serve)
        .layer(middleware::from_fn_with_state(safety, safety::guard))
        .with_state(workbench)
}
