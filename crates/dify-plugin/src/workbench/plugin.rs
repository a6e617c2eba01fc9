//! The plugin as the page shows it: the view, its problems, its icons.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use super::safety::SANDBOX;
use super::state::Workbench;
use crate::declare::files;

/// Maximum size of an icon in bytes.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// `GET /api/plugin`
pub(super) async fn show(State(workbench): State<Arc<Workbench>>) -> Json<Value> {
    let read = workbench.read();
    let is_program = workbench.command.is_empty();
    let declared = (is_program && read.declarations.is_none()).then(|| "its declarations have errors".to_owned());
    let failure = declared.or_else(|| workbench.target.failure());
    Json(json!({
        "revision": read.revision,
        "view": read.view,
        "problems": read.diagnostics,
        "target": {
            "kind": if is_program { "program" } else { "command" },
            "command": Some(&workbench.command).filter(|command| !command.is_empty()),
            "directory": workbench.directory.display().to_string(),
            "state": if failure.is_none() { "ready" } else { "failed" },
            "message": failure,
        },
    }))
}

/// `GET /api/files/PATH`: an icon of the plugin. Only what a declaration names is served, and never as a page.
pub(super) async fn file(
    State(workbench): State<Arc<Workbench>>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("the plugin has no such file");
    if !path.strip_prefix("_assets/").is_some_and(|name| workbench.read().icons.contains(name)) {
        return Err(missing());
    }
    let media_type = media_type(&path).ok_or_else(missing)?;
    let bytes = files::read(&workbench.directory, &path, MAX_FILE_BYTES).map_err(|_| missing())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    Ok((headers, bytes).into_response())
}

/// The type of a file that is an image.
fn media_type(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        _ => return None,
    })
}
