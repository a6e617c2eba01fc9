//! Logs go to standard error, one short line each: the daemon keeps the last of them for its own error messages, and
//! standard output belongs to the protocol.
//!
//! Why not protocol `log` events: they are discarded over TCP, and they would share the pipe with the answers. The daemon
//! takes each line of a child's standard error for a warning, so a child says warnings only unless asked for more.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Level of the daemon's child when nothing is set.
pub const QUIET: &str = "warn";

/// Level where a person or a platform reads along, when nothing is set.
pub const TALKATIVE: &str = "warn,dify_plugin_runtime=info";

/// A bare level is meant for this program; the libraries below it would say too much, and not in our words.
fn own(text: &str) -> String {
    match text.parse::<tracing::Level>() {
        Ok(level) => format!("warn,dify_plugin_runtime={level}"),
        Err(_) => text.to_owned(),
    }
}

/// What is wrong with a level or filter, if anything is.
pub fn problem_of(text: &str) -> Option<String> {
    EnvFilter::try_new(own(text)).err().map(|error| format!("log level `{text}` cannot be read: {error}"))
}

/// Starts logging by a level or filter; one that cannot be read is replaced by `default`. A second call changes nothing.
pub fn start(filter: Option<&str>, default: &str) {
    let filter = filter.and_then(|text| EnvFilter::try_new(own(text)).ok()).unwrap_or_else(|| EnvFilter::new(default));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}
