//! Logs go to standard error, one short line each: the daemon keeps the last of them for its own error messages, and
//! standard output belongs to the protocol.
//!
//! Why not protocol `log` events: they are discarded over TCP, and they would share the pipe with the answers. The daemon
//! takes each line of a child's standard error for a warning, so a child says warnings only unless asked for more.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::{Span, error_span, field};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};
use crate::protocol::Credentials;

/// Level of the daemon's child when nothing is set.
pub const DEFAULT_FILTER: &str = "warn";

/// Level where a person or a platform reads along, when nothing is set.
pub const DEFAULT_FILTER_INFO: &str = "warn,dify_plugin=info";

/// Credential field that lets the sessions of these credentials tell more than the filter does: `info` or `debug`.
const LEVEL: &str = "log_level";

/// The filter's part for that field, which stands on a session's span.
const RAISED: &str = "dify_plugin[session{log_level=info}]=info,dify_plugin[session{log_level=debug}]=debug";

/// Target of the events that show prompts and answers.
const CONTENT: &str = "dify_plugin::content";

/// Fields of requests that contain secrets: never shown.
const SECRET_FIELDS: [&str; 5] = ["credentials", "system_credentials", "settings", "subscription", "raw_http_request"];

/// Whether prompts and answers are shown. Only the setting of its own turns this on, never a level.
static SHOWS_CONTENT: AtomicBool = AtomicBool::new(false);

/// Longest content of one line; readers of log lines give up on longer ones.
const MAX_CONTENT_BYTES: usize = 16 * 1024;

/// A bare level is meant for this program; the libraries below it would say too much, and not in our words.
fn own(text: &str) -> String {
    match text.parse::<tracing::Level>() {
        Ok(level) => format!("warn,dify_plugin={level}"),
        Err(_) => text.to_owned(),
    }
}

/// What is wrong with a level or filter, if anything is.
pub fn problem_of(text: &str) -> Option<String> {
    EnvFilter::try_new(own(text)).err().map(|error| format!("log level `{text}` cannot be read: {error}"))
}

/// Starts logging; a filter that cannot be read is replaced by `default`. A second call changes nothing.
pub fn start(settings: &LogSettings, default: &str) {
    let asked = settings.filter.as_deref().filter(|text| problem_of(text).is_none()).map(own);
    SHOWS_CONTENT.store(settings.content, Ordering::Relaxed);
    let filter = EnvFilter::new(format!("{},{RAISED},{CONTENT}=info", asked.as_deref().unwrap_or(default)));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A full disk costs log lines; to complain of it on the same standard error would cost sessions.
        .log_internal_errors(false);
    let started = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}

/// Names the session in every line of the log, warnings included.
pub(super) fn session(session_id: &str) -> Span {
    error_span!("session", session_id, log_level = field::Empty)
}

/// Lets the current session tell as much as its credentials ask for.
pub(super) async fn raise(credentials: Option<&Credentials>) {
    if let Some(level) = credentials.and_then(|credentials| credentials.get(LEVEL)) {
        Span::current().record(LEVEL, level);
        // What stands on a span counts from its next entering on.
        tokio::task::yield_now().await;
    }
}

/// Whether prompts and answers are asked for.
pub(super) fn shows_content() -> bool {
    SHOWS_CONTENT.load(Ordering::Relaxed)
}

/// Tells a request without its credentials, when content is asked for.
pub(super) fn request(data: &str) {
    if !shows_content() {
        return;
    }
    let fields: Map<String, Value> = serde_json::from_str::<Map<String, Value>>(data).unwrap_or_default();
    let shown: Map<String, Value> =
        fields.into_iter().filter(|(name, _)| !SECRET_FIELDS.contains(&name.as_str())).collect();
    let text = Value::Object(shown).to_string();
    tracing::info!(target: CONTENT, request = clip(&text), "content");
}

/// Tells a result item, when content is asked for.
pub(super) fn item<T: serde::Serialize>(item: &T) {
    if !shows_content() {
        return;
    }
    let text = serde_json::to_string(item).unwrap_or_default();
    tracing::info!(target: CONTENT, item = clip(&text), "content");
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_CONTENT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_that_of_this_program() {
        for (text, filter) in [
            ("debug", "warn,dify_plugin=DEBUG"),
            ("WARN", "warn,dify_plugin=WARN"),
            ("info,hyper=trace", "info,hyper=trace"),
        ] {
            assert_eq!(own(text), filter);
            assert_eq!(problem_of(text), None);
        }
        assert!(problem_of("a=b=c").is_some());
    }

    #[test]
    fn long_content_is_clipped_at_a_letter() {
        let text = "é".repeat(MAX_CONTENT_BYTES);
        assert_eq!(clip(&text).len(), MAX_CONTENT_BYTES);
        assert_eq!(clip(&format!("a{text}")).len(), MAX_CONTENT_BYTES - 1);
    }
}
