//! The files of the page, part of the executable. A development build reads them from the crate instead, so that a change of the
//! page needs no build.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// A file of the page.
struct Asset {
    path: &'static str,
    text: &'static str,
}

/// Embeds files of `workbench/`.
macro_rules! assets {
    ($($path:literal,)+) => {
        [$(Asset { path: $path, text: include_str!(concat!("../../workbench/", $path)) },)+]
    };
}

/// All files of the page.
const ASSETS: &[Asset] = &assets![
    "index.html",
    "app/api.js",
    "app/dom.js",
    "app/forms.js",
    "app/logs.js",
    "app/main.js",
    "app/plugin.js",
    "app/route.js",
    "app/settings.js",
    "app/shell.js",
    "app/store.js",
    "app/stream.js",
    "app/text.js",
    "app/token.js",
    "app/types.js",
    "parts/code.js",
    "parts/controls-more.js",
    "parts/controls.js",
    "parts/dialog.js",
    "parts/field.js",
    "parts/form.js",
    "parts/icon.js",
    "parts/json.js",
    "parts/markdown.js",
    "parts/note.js",
    "parts/status.js",
    "parts/table.js",
    "parts/tabs.js",
    "style/base.css",
    "style/forms.css",
    "style/parts.css",
    "style/play.css",
    "style/shell.css",
    "style/show.css",
    "vendor/hooks.js",
    "vendor/htm.js",
    "vendor/marked.js",
    "vendor/preact.js",
    "views/happened.js",
    "views/happened/charts.js",
    "views/happened/copy_as.js",
    "views/happened/doctor.js",
    "views/happened/exchanges.js",
    "views/happened/filter.js",
    "views/happened/frames.js",
    "views/happened/growth.js",
    "views/happened/lanes.js",
    "views/happened/log.js",
    "views/happened/numbers.js",
    "views/happened/open_recording.js",
    "views/happened/recording.js",
    "views/happened/session_detail.js",
    "views/happened/session_list.js",
    "views/happened/timeline.js",
    "views/happened/virtual_list.js",
    "views/problems.js",
    "views/show.js",
    "views/show/card.js",
    "views/show/endpoint.js",
    "views/show/frame.js",
    "views/show/model-provider.js",
    "views/show/models.js",
    "views/show/outline.js",
    "views/show/parameters.js",
    "views/show/part.js",
    "views/show/parts-page.js",
    "views/try.js",
    "views/try/answer.js",
    "views/try/answers.js",
    "views/try/bytes.js",
    "views/try/call.js",
    "views/try/callbacks.js",
    "views/try/chat.js",
    "views/try/chat_column.js",
    "views/try/chat_setup.js",
    "views/try/chat_turns.js",
    "views/try/collect.js",
    "views/try/comparison.js",
    "views/try/credentials.js",
    "views/try/datasource.js",
    "views/try/endpoint.js",
    "views/try/files.js",
    "views/try/http_form.js",
    "views/try/long_text.js",
    "views/try/media.js",
    "views/try/media_drawn.js",
    "views/try/messages.js",
    "views/try/messages_drawn.js",
    "views/try/model_picker.js",
    "views/try/model_setup.js",
    "views/try/models.js",
    "views/try/oauth.js",
    "views/try/other_models.js",
    "views/try/outcome.js",
    "views/try/parts.js",
    "views/try/polling.js",
    "views/try/polling_line.js",
    "views/try/raw_http.js",
    "views/try/requests.js",
    "views/try/rules_form.js",
    "views/try/strategy.js",
    "views/try/think.js",
    "views/try/tool.js",
    "views/try/tool_messages.js",
    "views/try/transcribe.js",
    "views/try/trigger.js",
    "views/try/values.js",
    "views/try/vectors.js",
];

/// Serves a file of the page.
pub(super) async fn serve(request: Request) -> Result<Response, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "files of the page are only read"));
    }
    let path = match request.uri().path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let found = ASSETS.iter().find(|asset| asset.path == path);
    let asset = found.ok_or_else(|| ApiError::not_found("the workbench has no such file"))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    Ok((headers, current(asset)).into_response())
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    }
}

/// The text of a file: in a development build that of the crate's directory, if it is still there.
fn current(asset: &Asset) -> String {
    let from_crate = cfg!(debug_assertions)
        .then(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("workbench").join(asset.path))
        .and_then(|path| std::fs::read_to_string(path).ok());
    from_crate.unwrap_or_else(|| asset.text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(directory: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("workbench");
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_part_of_the_executable() {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("workbench"), &mut found);
        found.retain(|path| [".html", ".css", ".js"].iter().any(|end| path.ends_with(end)));
        found.sort();
        let mut embedded: Vec<&str> = ASSETS.iter().map(|asset| asset.path).collect();
        embedded.sort_unstable();
        assert_eq!(embedded, found);
    }
}
