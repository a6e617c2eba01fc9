//! Logs go to standard error, one short line each: the daemon keeps the last of them for its own error messages, and
//! standard output belongs to the protocol.
//!
//! Why not protocol `log` events: they are discarded over TCP, and they would share the pipe with the answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Level when nothing is set.
const DEFAULT: &str = "warn,dify_plugin_runtime=info";

/// Starts logging; a second call changes nothing.
pub fn start(filter: Option<&str>) {
    let filter = filter.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(DEFAULT));
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
