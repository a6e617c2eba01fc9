//! The routes of sessions.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::calls::{self, Call, Typed};
use super::{copy, locked, opened};
use crate::workbench::body::Body;
use crate::workbench::error::ApiError;
use crate::workbench::state::{Notice, Workbench};

/// The routes below `/api`.
pub(in crate::workbench) fn routes() -> Router<Arc<Workbench>> {
    Router::new()
        .route("/calls", post(start))
        .route("/sessions", get(list))
        .route("/sessions/{id}", get(show))
        .route("/sessions/{id}/answers", post(answer))
        .route("/sessions/{id}/copy", get(copies))
        .route("/sessions/{id}/recording", get(recording))
        .route("/recordings", post(open))
}

async fn start(State(workbench): State<Arc<Workbench>>, Body(call): Body<Call>) -> Result<Response, ApiError> {
    Ok(calls::start(workbench, call)?.into_response())
}

async fn list(State(workbench): State<Arc<Workbench>>) -> Json<Value> {
    Json(workbench.sessions.all().iter().map(|record| locked(record).summary()).collect())
}

fn whole(workbench: &Workbench, id: &str) -> Result<Value, ApiError> {
    let record = workbench.sessions.record(id).ok_or_else(missing)?;
    let whole = locked(&record).whole();
    Ok(whole)
}

fn missing() -> ApiError {
    ApiError::not_found("the workbench does not remember this session")
}

/// All of a session, or with `?frames=COUNT&change=NUMBER` what is new since a page has read so much of it.
async fn show(
    State(workbench): State<Arc<Workbench>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let Some(query) = query else { return whole(&workbench, &id).map(Json) };
    let member = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(member, _)| member == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or_default()
    };
    let record = workbench.sessions.record(&id).ok_or_else(missing)?;
    let frames = usize::try_from(member("frames")).unwrap_or(usize::MAX);
    let new = locked(&record).since(frames, member("change"));
    Ok(Json(new))
}

async fn answer(
    State(workbench): State<Arc<Workbench>>,
    Path(id): Path<String>,
    Body(typed): Body<Typed>,
) -> Result<Json<Value>, ApiError> {
    calls::give_typed(&workbench, &id, &typed)?;
    Ok(Json(Value::Null))
}

async fn copies(State(workbench): State<Arc<Workbench>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let record = workbench.sessions.record(&id).ok_or_else(missing)?;
    let record = locked(&record);
    let curl: Vec<String> = record.exchanges().map(copy::curl).collect();
    let invoke = copy::invoke(workbench.program.name, &record.action, &record.request);
    Ok(Json(json!({"invoke": invoke, "curl": curl, "request": record.request})))
}

async fn recording(State(workbench): State<Arc<Workbench>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let mut document = whole(&workbench, &id)?;
    document["format"] = opened::FORMAT.into();
    let attachment = format!("attachment; filename=\"{id}.json\"");
    Ok(([(header::CONTENT_DISPOSITION, attachment)], Json(document)).into_response())
}

async fn open(State(workbench): State<Arc<Workbench>>, Body(given): Body<Value>) -> Result<Json<Value>, ApiError> {
    let record = opened::open(workbench.sessions.new_id(), given).map_err(|problem| {
        ApiError::bad_request(problem)
            .with_hint("Choose a saved session, the files of a recording, or one line of a log.")
    })?;
    let record = workbench.sessions.remember(record);
    let summary = locked(&record).summary();
    workbench.notify(Notice { event: "session", data: summary.clone() });
    Ok(Json(summary))
}
