//! What the plugin logs: the lines of its standard error and the `log` lines of the protocol, each with the sessions that it may belong
//! to. The frames of a session are in [`super::sessions`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::{Notice, Workbench};

/// Maximum number of lines that are kept.
const MAX_LINES: usize = 1000;

/// Maximum size of the text of a line, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4096;

/// The lines of a run, the newest last.
#[derive(Default)]
pub(super) struct Logs(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    count: u64,
    kept: VecDeque<Value>,
}

/// A `log` line of the protocol.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LogLine {
    session_id: Option<String>,
    data: LogData,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LogData {
    level: String,
    message: String,
}

/// Takes a `log` line of the protocol.
pub(super) fn take_line(workbench: &Workbench, line: &str) {
    let LogLine { session_id, data } = serde_json::from_str(line).unwrap_or_default();
    let text = &data.message[..data.message.floor_char_boundary(MAX_TEXT_BYTES)];
    let level = data.level.to_lowercase();
    let level = if level.is_empty() { "info" } else { level.as_str() };
    take(workbench, "protocol", level, &workbench.sessions.shown(text), session_id);
}

/// Takes a line of standard error, without secrets.
pub(super) fn take_error(workbench: &Workbench, text: &str) {
    take(workbench, "stderr", "stderr", text, None);
}

/// Keeps a line, and shows it. Without a session of its own it may belong to each that runs.
fn take(workbench: &Workbench, source: &str, level: &str, text: &str, session: Option<String>) {
    let sessions = session.map_or_else(|| workbench.sessions.present(), |session| vec![session]);
    let line = {
        let mut lines = workbench.logs.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.count += 1;
        let line = json!({
            "number": lines.count, "time": jiff::Timestamp::now().to_string(), "source": source,
            "level": level.chars().take(16).collect::<String>(), "text": text, "sessions": sessions,
        });
        lines.kept.push_back(line.clone());
        if lines.kept.len() > MAX_LINES {
            lines.kept.pop_front();
        }
        line
    };
    workbench.notify(Notice { event: "log", data: line });
}

/// `GET /api/logs`: the lines, the oldest first.
pub(super) async fn list(State(workbench): State<Arc<Workbench>>) -> Json<Value> {
    let lines = workbench.logs.0.lock().unwrap_or_else(PoisonError::into_inner);
    Json(lines.kept.iter().cloned().collect())
}
