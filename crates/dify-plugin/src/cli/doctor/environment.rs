//! Checks settings and environment variables, including whether the plugin daemon passes them on and whether they are
//! read.

use std::collections::HashMap;
use std::path::Path;

use url::Url;

use super::finding::Report;
use crate::config::{Config, DAEMON_LINE_LIMITS, InstallMethod, LINE_LIMIT, env_file, operator};
use crate::runtime::logs;
use crate::upstream::client::public_url;
use crate::upstream::recording::TrafficMode;

const CHECK: &str = "environment";

/// Settings that newer daemons do not pass on to plugins, with the alternative to suggest. Source: `dify-plugin-daemon`
/// pull request 799.
const NOT_PASSED_ON: &[(&str, &str)] = &[
    ("DIFY_PLUGIN_LOG_LEVEL", "Set it in .env in the plugin directory, or use the credential field `log_level`."),
    ("DIFY_PLUGIN_LOG_FORMAT", IN_FILE),
    ("DIFY_PLUGIN_LOG_CONTENT", IN_FILE),
    ("DIFY_PLUGIN_RECORD", IN_FILE),
    ("DIFY_PLUGIN_REPLAY", IN_FILE),
    ("RUST_LOG", IN_FILE),
    ("HEARTBEAT_INTERVAL", IN_FILE),
    ("MAX_WORKER", IN_FILE),
    ("MAX_INVOCATION_TIMEOUT", IN_FILE),
    (LINE_LIMIT, IN_FILE),
    (DAEMON_LINE_LIMITS[0], AS_LINE_LIMIT),
    (DAEMON_LINE_LIMITS[1], AS_LINE_LIMIT),
    ("SSL_CERT_DIR", "Use SSL_CERT_FILE, which the daemon passes on, or the credential field `tls_ca`."),
    ("ALL_PROXY", "Use HTTP_PROXY and HTTPS_PROXY, which the daemon passes on, or the credential field `proxy_url`."),
];

const IN_FILE: &str = "Set it in .env in the plugin directory.";

const AS_LINE_LIMIT: &str = "Set DIFY_PLUGIN_LINE_LIMIT to the same value in .env in the plugin directory.";

/// Settings of the Python SDK that this runtime ignores.
const WITHOUT_EFFECT: &[&str] = &[
    "MAX_REQUEST_TIMEOUT",
    "HTTPX_TIMEOUT",
    "SERVERLESS_WORKER_CLASS",
    "SERVERLESS_WORKER_CONNECTIONS",
    "SERVERLESS_WORKERS",
    "SERVERLESS_THREADS",
];

/// Proxy variables, which are read in upper and lower case.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

fn in_process(name: &str) -> Option<String> {
    [name.to_owned(), name.to_ascii_lowercase()]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|value| !value.trim().is_empty())
}

/// Reads every setting as when serving, and reports those that are not passed on or ignored.
pub fn check(report: &mut Report, settings: &HashMap<String, String>, file: &Path) -> anyhow::Result<()> {
    let method = match Config::from_settings(settings) {
        Ok(config) => {
            let logging = config.log.filter.as_deref().unwrap_or("default");
            let method = format!("{:?}", config.install_method).to_lowercase();
            report.ok(
                CHECK,
                format!("transport {method}, at most {} concurrent sessions, log level {logging}", config.max_worker),
            )?;
            if let Some(problem) = config.log.filter.as_deref().and_then(logs::problem_of) {
                report.warning(
                    CHECK,
                    problem,
                    "Use error, warn, info, debug, trace, or a filter such as warn,dify_plugin=debug.",
                )?;
            }
            check_diagnostics(report, &config)?;
            config.install_method
        }
        Err(error) => {
            report.error(CHECK, error.to_string(), "Correct it in the environment or in .env.")?;
            InstallMethod::Local
        }
    };
    if method == InstallMethod::Local {
        let elsewhere = NOT_PASSED_ON.iter().map(|(name, instead)| (*name, (*instead).to_owned()));
        let operators = operator::NAMES.map(|name| (name, format!("Set it in {}.", operator::FILE)));
        for (name, instead) in elsewhere.chain(operators).filter(|(name, _)| in_process(name).is_some()) {
            report.warning(CHECK, format!("{name} is set, but newer plugin daemons do not pass it on"), instead)?;
        }
    }
    for line in env_file::read(file).unwrap_or_default().invalid_lines {
        let hint = "Write NAME=value, with a value that contains spaces in quotes. The line is ignored.";
        report.warning(CHECK, format!("line {line} of {} is invalid", file.display()), hint)?;
    }
    for name in WITHOUT_EFFECT.iter().filter(|name| settings.contains_key(**name)) {
        report.warning(
            CHECK,
            format!("{name} is set but has no effect"),
            "Set timeouts in the credential fields. This runtime has no worker processes.",
        )?;
    }
    for name in PROXIES.iter().chain(&["SSL_CERT_FILE", "SSL_CERT_DIR"]) {
        if settings.contains_key(*name) && in_process(name).is_none() {
            let found = format!("{name} is set in {}, but only the environment is read for it", file.display());
            report.warning(
                CHECK,
                found,
                "Set it in the environment, or use the credential fields `proxy_url` and `tls_ca`.",
            )?;
        }
    }
    Ok(())
}

/// Warns about content logging and traffic recording that may have been left on by mistake.
fn check_diagnostics(report: &mut Report, config: &Config) -> anyhow::Result<()> {
    if config.log.content {
        let hint = "Unset DIFY_PLUGIN_LOG_CONTENT when you have finished troubleshooting.";
        report.warning(CHECK, "prompts and responses are logged", hint)?;
    }
    match &config.traffic {
        None => Ok(()),
        Some(TrafficMode::Record { directory, .. }) => {
            let found =
                format!("upstream traffic, including prompts and responses, is recorded to {}", directory.display());
            report.warning(CHECK, found, "Unset DIFY_PLUGIN_RECORD when you have captured the problem.")
        }
        Some(TrafficMode::Replay { directory, .. }) => {
            let found = format!("responses are replayed from {}; no upstream is called", directory.display());
            report.warning(CHECK, found, "Unset DIFY_PLUGIN_REPLAY to send real requests again.")
        }
    }
}

/// Checks the proxies that are used by requests without a `proxy_url`.
pub fn proxies(report: &mut Report, settings: &HashMap<String, String>) -> anyhow::Result<()> {
    const CHECK: &str = "proxy";
    let mut is_set = false;
    for name in &PROXIES[..3] {
        let Some(value) = in_process(name) else { continue };
        is_set = true;
        let with_scheme = if value.contains("://") { value } else { format!("http://{value}") };
        match Url::parse(&with_scheme) {
            Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => {
                report.ok(CHECK, format!("{name} is {}", public_url(&url)))?;
            }
            _ => report.error(CHECK, format!("{name} is not a valid URL"), "Use the form http://host:port.")?,
        }
    }
    match (is_set, in_process("NO_PROXY")) {
        (true, Some(list)) => report.ok(CHECK, format!("NO_PROXY bypasses the proxy for {list}")),
        (true, None) => report.warning(
            CHECK,
            "NO_PROXY is not set, so requests to your own network also go through the proxy",
            "List the hosts to reach directly in NO_PROXY, or set `proxy_url` to `direct` in their credentials.",
        ),
        (false, _) if settings.contains_key("PROXY_URL") => report.warning(
            CHECK,
            "PROXY_URL is set, but nothing reads it",
            "`proxy_url` is a credential field; the environment variables are HTTP_PROXY and HTTPS_PROXY.",
        ),
        (false, _) => report.ok(CHECK, "none in the environment: requests go direct unless `proxy_url` is set"),
    }
}
