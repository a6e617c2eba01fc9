//! Settings and environment variables: what is set, what a plugin daemon passes on, what is read and what is not.

use std::collections::HashMap;
use std::path::Path;

use url::Url;

use super::finding::Report;
use crate::config::{Config, DAEMON_LINE_LIMITS, InstallMethod, LINE_LIMIT, env_file, operator};
use crate::runtime::logs;
use crate::upstream::client::public_url;
use crate::upstream::recording::TrafficMode;

const CHECK: &str = "environment";

/// What matters to this runtime, is not on the short list of variables that newer daemons pass to a plugin, and where it
/// can be set instead. Source: `dify-plugin-daemon` pull request 799.
const NOT_PASSED_ON: &[(&str, &str)] = &[
    ("DIFY_PLUGIN_LOG_LEVEL", "Write it into .env in the plugin's folder, or use the credential field `log_level`."),
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
    ("SSL_CERT_DIR", "Use SSL_CERT_FILE, which is passed on, or the credential field `tls_ca`."),
    ("ALL_PROXY", "Use HTTP_PROXY and HTTPS_PROXY, which are passed on, or the credential field `proxy_url`."),
];

const IN_FILE: &str = "Put it into .env in the plugin's folder.";

const AS_LINE_LIMIT: &str = "Put DIFY_PLUGIN_LINE_LIMIT with the same value into .env in the plugin's folder.";

/// What the reference reads and this runtime does not need.
const WITHOUT_EFFECT: &[&str] = &[
    "MAX_REQUEST_TIMEOUT",
    "HTTPX_TIMEOUT",
    "SERVERLESS_WORKER_CLASS",
    "SERVERLESS_WORKER_CONNECTIONS",
    "SERVERLESS_WORKERS",
    "SERVERLESS_THREADS",
];

/// The names that both cases of exist.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

fn in_process(name: &str) -> Option<String> {
    [name.to_owned(), name.to_ascii_lowercase()]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|value| !value.trim().is_empty())
}

/// Reads every setting as serving would, and says which of them will not arrive or have no effect.
pub fn check(report: &mut Report, settings: &HashMap<String, String>, file: &Path) -> anyhow::Result<()> {
    let method = match Config::from_settings(settings) {
        Ok(config) => {
            let logging = config.log.filter.as_deref().unwrap_or("as by default");
            let method = format!("{:?}", config.install_method).to_lowercase();
            report.ok(
                CHECK,
                format!("transport {method}, {} sessions at once, log level {logging}", config.max_worker),
            )?;
            if let Some(problem) = config.log.filter.as_deref().and_then(logs::problem_of) {
                report.warning(
                    CHECK,
                    problem,
                    "Use error, warn, info, debug, trace, or a filter such as warn,dify_plugin_runtime=debug.",
                )?;
            }
            on_request(report, &config)?;
            config.install_method
        }
        Err(error) => {
            report.error(CHECK, error.to_string(), "Correct it in the environment or in .env.")?;
            InstallMethod::Local
        }
    };
    if method == InstallMethod::Local {
        let elsewhere = NOT_PASSED_ON.iter().map(|(name, instead)| (*name, (*instead).to_owned()));
        let operators = operator::NAMES.map(|name| (name, format!("Put it into {}.", operator::FILE)));
        for (name, instead) in elsewhere.chain(operators).filter(|(name, _)| in_process(name).is_some()) {
            report.warning(CHECK, format!("{name} is set, and newer plugin daemons do not pass it on"), instead)?;
        }
    }
    for line in env_file::read(file).unwrap_or_default().unreadable {
        let hint = "Write NAME=value there, and a value with blanks in quotes: it has no effect as it stands.";
        report.warning(CHECK, format!("line {line} of {} cannot be read", file.display()), hint)?;
    }
    for name in WITHOUT_EFFECT.iter().filter(|name| settings.contains_key(**name)) {
        report.warning(
            CHECK,
            format!("{name} is set and has no effect"),
            "Timeouts are credential fields; there are no workers to count.",
        )?;
    }
    for name in PROXIES.iter().chain(&["SSL_CERT_FILE", "SSL_CERT_DIR"]) {
        if settings.contains_key(*name) && in_process(name).is_none() {
            let found = format!("{name} stands in {} and is not read there", file.display());
            report.warning(
                CHECK,
                found,
                "Set it in the environment, or use the credential fields `proxy_url` and `tls_ca`.",
            )?;
        }
    }
    Ok(())
}

/// What is kept because somebody asked for it, and may have forgotten.
fn on_request(report: &mut Report, config: &Config) -> anyhow::Result<()> {
    if config.log.content {
        let hint = "Unset DIFY_PLUGIN_LOG_CONTENT when what you look for is found.";
        report.warning(CHECK, "prompts and answers are logged", hint)?;
    }
    match &config.traffic {
        None => Ok(()),
        Some(TrafficMode::Record { directory, .. }) => {
            let found =
                format!("upstream traffic is recorded to {}, prompts and answers included", directory.display());
            report.warning(CHECK, found, "Unset DIFY_PLUGIN_RECORD when the case is caught.")
        }
        Some(TrafficMode::Replay { directory, .. }) => {
            let found = format!("answers come from the recording in {}, no upstream is called", directory.display());
            report.warning(CHECK, found, "Unset DIFY_PLUGIN_REPLAY to call the upstreams again.")
        }
    }
}

/// The proxies that calls without a `proxy_url` use.
pub fn proxies(report: &mut Report, settings: &HashMap<String, String>) -> anyhow::Result<()> {
    const CHECK: &str = "proxy";
    let mut any = false;
    for name in &PROXIES[..3] {
        let Some(value) = in_process(name) else { continue };
        any = true;
        let with_scheme = if value.contains("://") { value } else { format!("http://{value}") };
        match Url::parse(&with_scheme) {
            Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => {
                report.ok(CHECK, format!("{name} is {}", public_url(&url)))?;
            }
            _ => report.error(CHECK, format!("{name} is not an address"), "Write it as http://host:port.")?,
        }
    }
    match (any, in_process("NO_PROXY")) {
        (true, Some(list)) => report.ok(CHECK, format!("NO_PROXY excepts {list}")),
        (true, None) => report.warning(
            CHECK,
            "NO_PROXY is not set, so calls to your own network go by the proxy too",
            "List hosts that are reached directly in NO_PROXY, or set `proxy_url` to `direct` in their credentials.",
        ),
        (false, _) if settings.contains_key("PROXY_URL") => report.warning(
            CHECK,
            "PROXY_URL is not a variable that anything reads",
            "It is the name of a credential field; the variables are HTTP_PROXY and HTTPS_PROXY.",
        ),
        (false, _) => report.ok(CHECK, "none in the environment: calls go directly, unless `proxy_url` is filled in"),
    }
}
