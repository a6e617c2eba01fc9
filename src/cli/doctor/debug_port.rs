//! Dify's debugging port: whether it is reached, and whether it takes the key. Nothing is registered.
//!
//! The daemon says nothing to a key that it knows and a line of text to any other, so the key alone is sent and a moment
//! waited. Source: `dify-plugin-daemon: internal/core/debugging_runtime/`.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;

use super::finding::Report;
use crate::config::{Config, InstallMethod};
use crate::protocol::registration::{Rejection, handshake};
use crate::transport::tcp;

const CHECK: &str = "debug port";

/// How long a refusal is waited for.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest refusal that is read.
const MAX_REJECTION_BYTES: u64 = 4096;

/// Whether an address was given at all.
pub fn is_set(settings: &HashMap<String, String>) -> bool {
    settings.contains_key("REMOTE_INSTALL_URL")
        || settings.contains_key("REMOTE_INSTALL_HOST")
        || settings.get("INSTALL_METHOD").is_some_and(|method| method == "remote")
}

/// Connects and shows the key.
pub async fn check(report: &mut Report, settings: &HashMap<String, String>) -> anyhow::Result<()> {
    let config = match Config::for_method(settings, InstallMethod::Remote) {
        Ok(config) => config,
        Err(error) => {
            let hint = "Address and key stand in Plugins → Debug in Dify; nothing was sent.";
            return report.error(CHECK, error.to_string(), hint);
        }
    };
    let address = format!("{}:{}", config.remote_host, config.remote_port);
    let key = config.remote_key.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    let greeting = if key.is_empty() { Vec::new() } else { handshake(key) };
    let (mut reader, writer) = match tcp::connect(&config.remote_host, config.remote_port, &greeting)
        .await
        .and_then(tcp::open)
    {
        Ok(halves) => halves,
        Err(error) => {
            let hint = "Check host and port (usually 5003), that PLUGIN_REMOTE_INSTALLING_ENABLED is true on the daemon, \
                        and that the port is published and not behind an HTTP proxy.";
            return report.error(CHECK, format!("cannot connect to {address}: {error}"), hint);
        }
    };
    if greeting.is_empty() {
        let hint = "Give --key, or REMOTE_INSTALL_KEY in the environment or in .env.";
        return report.warning(CHECK, format!("{address} is reached; there is no key to try"), hint);
    }
    let mut said = Vec::new();
    let mut limited = (&mut reader).take(MAX_REJECTION_BYTES);
    let heard = tokio::time::timeout(REJECTION_TIMEOUT, limited.read_to_end(&mut said)).await;
    drop(writer);
    let line = String::from_utf8_lossy(&said);
    match (line.lines().find(|line| !line.trim().is_empty()).map(|line| Rejection::of(line, key)), heard) {
        (Some(refusal), _) => {
            let hint = match refusal {
                Rejection::InvalidKey => "The key is that of one workspace; open Plugins → Debug there.",
                Rejection::Other(_) => "Is this the debugging port (usually 5003), not that of the web page or of the API?",
            };
            report.error(CHECK, format!("{address}: {refusal}"), hint)
        }
        (None, Err(_)) => report.ok(CHECK, format!("{address} is reached and does not refuse the key")),
        (None, Ok(_)) => report.error(
            CHECK,
            format!("{address} closed the connection without a word"),
            "Is this the debugging port (usually 5003)? A load balancer in front of a daemon that is down does this too.",
        ),
    }
}
