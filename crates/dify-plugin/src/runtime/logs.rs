//! Logging to standard error, with one short line per event. The daemon uses the last lines in its own error messages.
//! Standard output is reserved for the protocol.
//!
//! The protocol's `log` events are not used: the daemon discards them over TCP, and they would share the pipe with the
//! responses. The daemon logs each line of a child's standard error as a warning, so by default a child logs warnings
//! only.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::{Span, error_span, field};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_filter::{LEVEL, LogFilter, SESSION};
use crate::config::{LogFormat, LogSettings};
use crate::protocol::Credentials;

/// Default log filter of a child process of the daemon.
pub const DEFAULT_FILTER: &str = "warn";

/// Default log filter when a user or a platform reads the log.
pub const DEFAULT_FILTER_INFO: &str = "info";

/// Crates whose events are the program's own: names that begin with this are of the library and of its providers.
const LIBRARY: &str = "dify_plugin";

/// Target of the events that contain prompts and responses.
const CONTENT: &str = "dify_plugin::content";

/// Fields of requests that contain secrets: never shown.
const SECRET_FIELDS: [&str; 5] = ["credentials", "system_credentials", "settings", "subscription", "raw_http_request"];

/// Whether prompts and responses are logged. Only its own setting turns this on, never a log level.
static SHOWS_CONTENT: AtomicBool = AtomicBool::new(false);

/// Maximum size of the content in a log line in bytes; log readers may reject longer lines.
const MAX_CONTENT_BYTES: usize = 16 * 1024;

/// Applies a bare level to the library and the plugin's own crates only, because other libraries would log too much.
fn own_filter(text: &str, crates: &[&str]) -> String {
    match text.parse::<tracing::Level>() {
        Ok(level) => {
            let own: String = own_crates(crates).map(|name| format!(",{name}={level}")).collect();
            format!("warn{own}")
        }
        Err(_) => text.to_owned(),
    }
}

fn own_crates<'a>(crates: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    std::iter::once(LIBRARY).chain(crates.iter().copied().filter(|name| !name.starts_with(LIBRARY)))
}

/// Returns why a level or filter is invalid.
pub fn problem_of(text: &str) -> Option<String> {
    own_filter(text, &[]).parse::<Targets>().err().map(|error| format!("invalid log level `{text}`: {error}"))
}

/// The directives of a setting, or else the default ones.
fn directives(setting: Option<&str>, default: &str, crates: &[&str]) -> String {
    let chosen = setting.filter(|text| problem_of(text).is_none()).unwrap_or(default);
    format!("{},{CONTENT}=info", own_filter(chosen, crates))
}

/// Starts logging with the level `default` if there is no valid filter. A level covers the library and these crates. A second
/// call has no effect.
pub fn start(settings: &LogSettings, default: &str, crates: &[&str]) {
    SHOWS_CONTENT.store(settings.content, Ordering::Relaxed);
    let selected = directives(settings.filter.as_deref(), default, crates).parse::<Targets>().unwrap_or_default();
    let filter = LogFilter::new(selected, own_crates(crates));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // On a full disk log lines are lost. Reporting that to the same standard error would fail the session.
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging is already initialized");
    }
}

/// Creates the span that adds the session ID to every log line, including warnings.
pub(super) fn session(session_id: &str) -> Span {
    error_span!(SESSION, session_id, log_level = field::Empty)
}

/// Raises the log level of the current session if its credentials request that.
pub(super) fn raise(credentials: Option<&Credentials>) {
    if let Some(level) = credentials.and_then(|credentials| credentials.get(LEVEL)) {
        Span::current().record(LEVEL, level);
    }
}

/// Whether prompts and responses are logged.
pub(super) fn shows_content() -> bool {
    SHOWS_CONTENT.load(Ordering::Relaxed)
}

/// Logs a request without its credentials, if content is logged.
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

/// Logs a result item, if content is logged.
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
    fn applies_a_bare_level_to_this_program_only() {
        for (text, filter) in [
            ("debug", "warn,dify_plugin=DEBUG"),
            ("WARN", "warn,dify_plugin=WARN"),
            ("info,hyper=trace", "info,hyper=trace"),
        ] {
            assert_eq!(own_filter(text, &[]), filter);
            assert_eq!(problem_of(text), None);
        }
        assert!(problem_of("a=b=c").is_some());
    }

    #[test]
    fn clips_long_content_at_a_character_boundary() {
        let text = "é".repeat(MAX_CONTENT_BYTES);
        assert_eq!(clip(&text).len(), MAX_CONTENT_BYTES);
        assert_eq!(clip(&format!("a{text}")).len(), MAX_CONTENT_BYTES - 1);
    }
    #[test]
    fn a_level_covers_the_crates_of_the_plugin() {
        let crates = ["dify_plugin_runtime", "weather"];
        for (setting, default, expected) in [
            (Some("debug"), "warn", "warn,dify_plugin=DEBUG,weather=DEBUG"),
            (None, DEFAULT_FILTER_INFO, "warn,dify_plugin=INFO,weather=INFO"),
            (None, DEFAULT_FILTER, "warn,dify_plugin=WARN,weather=WARN"),
            (Some("a=b=c"), DEFAULT_FILTER, "warn,dify_plugin=WARN,weather=WARN"),
            (Some("hyper=trace"), "warn", "hyper=trace"),
        ] {
            let all = directives(setting, default, &crates);
            assert_eq!(all, format!("{expected},dify_plugin::content=info"), "{setting:?}");
            assert!(all.parse::<Targets>().is_ok(), "{all}");
        }
    }
}
