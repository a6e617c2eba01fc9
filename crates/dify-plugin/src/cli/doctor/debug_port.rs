//! Checks whether Dify's debugging port is reachable and accepts the key. Nothing is registered.
//!
//! The daemon sends no response to a valid key and a line of text to any other, so this check sends only the key and
//! waits for a rejection. Source: `dify-plugin-daemon: internal/core/debugging_runtime/`.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;

use super::finding::Report;
use crate::config::{Config, InstallMethod};
use crate::protocol::registration::{Rejection, handshake};
use crate::transport::tcp;

const CHECK: &str = "debug port";

/// How long to wait for a rejection.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum size of a rejection in bytes; the rest is not read.
const MAX_REJECTION_BYTES: u64 = 4096;

/// Whether the settings contain an address.
pub fn is_set(settings: &HashMap<String, String>) -> bool {
    settings.contains_key("REMOTE_INSTALL_URL")
        || settings.contains_key("REMOTE_INSTALL_HOST")
        || settings.get("INSTALL_METHOD").is_some_and(|method| method == "remote")
}

/// Connects and sends the key.
pub async fn check(report: &mut Report, settings: &HashMap<String, String>) -> anyhow::Result<()> {
    let config = match Config::for_method(settings, InstallMethod::Remote) {
        Ok(config) => config,
        Err(error) => {
            let hint = "Copy the address and the key from Plugins → Debug in Dify. Nothing was sent.";
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
        let hint = "Pass --key, or set REMOTE_INSTALL_KEY in the environment or in .env.";
        return report.warning(CHECK, format!("{address} is reachable; there is no key to test"), hint);
    }
    let mut text = Vec::new();
    let mut limited = (&mut reader).take(MAX_REJECTION_BYTES);
    let outcome = tokio::time::timeout(REJECTION_TIMEOUT, limited.read_to_end(&mut text)).await;
    drop(writer);
    let line = String::from_utf8_lossy(&text);
    match (line.lines().find(|line| !line.trim().is_empty()).map(|line| Rejection::of(line, key)), outcome) {
        (Some(rejection), _) => {
            let hint = match rejection {
                Rejection::InvalidKey => {
                    "A key belongs to one workspace; copy it from Plugins → Debug in that workspace."
                },
                Rejection::Other(_) => {
                    "Check that this is the debugging port (usually 5003), not the port of the web UI or the API."
                }
            };
            report.error(CHECK, format!("{address}: {rejection}"), hint)
        }
        (None, Err(_)) => report.ok(CHECK, format!("{address} is reachable and did not reject the key")),
        (None, Ok(_)) => report.error(
            CHECK,
            format!("{address} closed the connection without a response"),
            "Check that this is the debugging port (usually 5003). A load balancer in front of a stopped daemon behaves like \
             this too.",
        ),
    }
}
