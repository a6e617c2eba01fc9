//! The settings of the process, read once: from the environment, then from `.env` in the current directory, then the
//! default.
//!
//! Names and defaults are those of the Python SDK. Names are case-insensitive, and unknown ones are ignored. The
//! process's environment is never changed and never printed, because it contains secrets of the plugin daemon. An
//! invalid setting of another transport is ignored. Permissions that only the machine's operator can grant are read in
//! [`operator`]. Source: `dify-plugin-sdks: src/dify_plugin/config/config.py`.

pub mod env_file;
pub mod machine;
pub mod operator;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::upstream::recording::TrafficMode;

/// Transport to the plugin daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstallMethod {
    /// Standard input and output; the daemon starts the plugin as a child process.
    Local,
    /// TCP to the daemon's debugging port.
    Remote,
    /// HTTP server that the daemon calls.
    Serverless,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `INSTALL_METHOD`: `local`, `remote`, `serverless` (or its old name `aws_lambda`).
    pub install_method: InstallMethod,
    /// `REMOTE_INSTALL_URL`, or `REMOTE_INSTALL_HOST` and `REMOTE_INSTALL_PORT`.
    pub remote_host: String,
    /// Port of [`Config::remote_host`].
    pub remote_port: u16,
    /// `REMOTE_INSTALL_KEY`.
    pub remote_key: Option<SecretString>,
    /// [`REAL_IDS`]: whether plugins are registered for debugging under the IDs of the installed ones.
    pub real_ids: bool,
    /// `HEARTBEAT_INTERVAL`, seconds.
    pub heartbeat_interval: Duration,
    /// `MAX_WORKER`: maximum number of concurrent sessions.
    pub max_worker: usize,
    /// Maximum line length in bytes that the daemon accepts, if a setting gives it; see `line_limit`.
    pub line_limit: Option<usize>,
    /// `SERVERLESS_HOST` (or `AWS_LAMBDA_HOST`).
    pub serverless_host: String,
    /// `SERVERLESS_PORT` (or `AWS_LAMBDA_PORT`).
    pub serverless_port: u16,
    /// `DIFY_PLUGIN_SERVERLESS_SECRET`: the secret that requests to this port must contain.
    pub serverless_secret: Option<SecretString>,
    /// `DIFY_PLUGIN_DAEMON_URL`: URL for calls back into Dify that cannot use the caller's connection.
    pub daemon_url: Option<Url>,
    /// `MAX_INVOCATION_TIMEOUT`, seconds: timeout of calls back into Dify.
    pub invocation_timeout: Duration,
    /// Log settings.
    pub log: LogSettings,
    /// Whether upstream traffic is recorded or replayed.
    pub traffic: Option<TrafficMode>,
}

/// Log settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// `DIFY_PLUGIN_LOG_LEVEL`, else `RUST_LOG`: a level or a filter like `info,dify_plugin=debug`.
    pub filter: Option<String>,
    /// `DIFY_PLUGIN_LOG_FORMAT`.
    pub format: LogFormat,
    /// `DIFY_PLUGIN_LOG_CONTENT`: whether prompts and responses are logged too.
    pub content: bool,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people: `time level session{session_id=…}: message name=value …`.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {name} {problem}")]
pub struct ConfigError {
    /// Setting name.
    pub name: &'static str,
    /// Why the value is invalid.
    pub problem: String,
}

impl Config {
    /// Reads the process's environment and `.env` in a directory.
    pub fn read(directory: &Path) -> Result<Self, ConfigError> {
        Self::from_settings(&Self::settings(&directory.join(".env")))
    }

    /// Returns the settings by upper-case name: the process's environment takes precedence over a file. A missing file
    /// is treated as empty.
    pub fn settings(file: &Path) -> HashMap<String, String> {
        let mut settings: HashMap<String, String> =
            env_file::read(file).unwrap_or_default().settings.into_iter().collect();
        settings.extend(Self::environment());
        settings
    }

    /// Returns the process's environment by upper-case name.
    pub fn environment() -> HashMap<String, String> {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?.to_ascii_uppercase(), value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// Reads settings by upper-case name, for the transport in `INSTALL_METHOD`.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let method = match text(settings, "INSTALL_METHOD").unwrap_or("local") {
            "local" => InstallMethod::Local,
            "remote" => InstallMethod::Remote,
            "serverless" | "aws_lambda" => InstallMethod::Serverless,
            other => {
                return Err(invalid("INSTALL_METHOD", format!("must be local, remote or serverless, found `{other}`")));
            }
        };
        Self::for_method(settings, method)
    }

    /// Reads settings by upper-case name, for a transport. Invalid settings of other transports get their defaults.
    pub fn for_method(settings: &HashMap<String, String>, method: InstallMethod) -> Result<Self, ConfigError> {
        let text = |name: &str| text(settings, name);
        let remote = if method == InstallMethod::Remote { Remote::read(settings)? } else { Remote::default() };
        let (host_name, port_name) = match text("INSTALL_METHOD") {
            Some("aws_lambda") => ("AWS_LAMBDA_HOST", "AWS_LAMBDA_PORT"),
            _ => ("SERVERLESS_HOST", "SERVERLESS_PORT"),
        };
        let serverless = method == InstallMethod::Serverless;
        let heartbeat = used(!serverless, seconds(settings, "HEARTBEAT_INTERVAL", 10.0), Duration::from_secs(10))?;
        Ok(Self {
            install_method: method,
            remote_host: remote.host,
            remote_port: remote.port,
            remote_key: remote.key,
            real_ids: remote.real_ids,
            heartbeat_interval: heartbeat.min(MAX_HEARTBEAT_INTERVAL),
            max_worker: number(settings, "MAX_WORKER", 1000)?.min(MAX_SESSIONS),
            line_limit: line_limit(settings)?,
            serverless_host: text(host_name).unwrap_or("0.0.0.0").to_owned(),
            serverless_port: used(serverless, number(settings, port_name, 8080), 8080)?,
            serverless_secret: text("DIFY_PLUGIN_SERVERLESS_SECRET").map(SecretString::from),
            daemon_url: used(serverless, daemon_url(settings).map(Some), None)?,
            invocation_timeout: seconds(settings, "MAX_INVOCATION_TIMEOUT", INVOCATION_TIMEOUT.as_secs_f64())?
                .min(MAX_INVOCATION_TIMEOUT),
            log: LogSettings::from_settings(settings)?,
            traffic: traffic_mode(settings)?,
        })
    }
}

/// Maximum heartbeat interval. The daemon considers a plugin dead long before.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3600);

/// Default timeout of calls back into Dify, after which the daemon ends them too.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(240);

/// Maximum timeout of calls back into Dify. Every session ends long before.
const MAX_INVOCATION_TIMEOUT: Duration = Duration::from_secs(3600);

/// Maximum of `MAX_WORKER`; more sessions are equivalent to no limit.
const MAX_SESSIONS: usize = 1_000_000;

/// Returns the default for an invalid setting that the transport does not use.
fn used<T>(is_used: bool, value: Result<T, ConfigError>, default: T) -> Result<T, ConfigError> {
    if is_used { value } else { Ok(value.unwrap_or(default)) }
}

/// Setting that registers plugins for debugging under the IDs of the installed ones.
pub const REAL_IDS: &str = "DIFY_PLUGIN_DEBUG_REAL_IDS";

/// Setting that allows sending the debugging key unencrypted over a network.
pub const CLEAR_TEXT: &str = "DIFY_PLUGIN_DEBUG_CLEAR_TEXT";

/// Settings of remote debugging.
struct Remote {
    host: String,
    port: u16,
    key: Option<SecretString>,
    real_ids: bool,
}

impl Default for Remote {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: 5003, key: None, real_ids: false }
    }
}

impl Remote {
    fn read(settings: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let (host, port) = match text(settings, "REMOTE_INSTALL_URL") {
            Some(url) => host_and_port(url)?,
            None => (
                text(settings, "REMOTE_INSTALL_HOST").unwrap_or("localhost").to_owned(),
                number(settings, "REMOTE_INSTALL_PORT", 5003)?,
            ),
        };
        let key = text(settings, "REMOTE_INSTALL_KEY").map(SecretString::from);
        if key.is_some() && !flag(settings, CLEAR_TEXT)? && !is_loopback(&host) {
            return Err(invalid(
                "REMOTE_INSTALL_KEY",
                format!(
                    "would be sent unencrypted to {host}, and the credentials of the workspace after it. Forward the port \
                     through a tunnel (ssh -L {port}:127.0.0.1:{port} …) and connect to 127.0.0.1, or allow it with \
                     --clear-text or {CLEAR_TEXT}=true"
                ),
            ));
        }
        Ok(Self { host, port, key, real_ids: flag(settings, REAL_IDS)? })
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical().is_loopback());
    host.eq_ignore_ascii_case("localhost") || address.unwrap_or(false)
}

/// Reads `DIFY_PLUGIN_RECORD` and `DIFY_PLUGIN_REPLAY`, each a directory, from settings by upper-case name.
pub fn traffic_mode(settings: &HashMap<String, String>) -> Result<Option<TrafficMode>, ConfigError> {
    let directory = |name: &str| text(settings, name).map(PathBuf::from);
    match (directory("DIFY_PLUGIN_RECORD"), directory("DIFY_PLUGIN_REPLAY")) {
        (None, None) => Ok(None),
        (Some(directory), None) => Ok(Some(TrafficMode::Record { directory, shorten_files: false })),
        (None, Some(directory)) => Ok(Some(TrafficMode::Replay { directory, timed: false })),
        (Some(_), Some(_)) => {
            Err(invalid("DIFY_PLUGIN_REPLAY", "cannot be set together with DIFY_PLUGIN_RECORD".to_owned()))
        }
    }
}

/// The daemon's own settings of its maximum line length, the older name first. The older one takes precedence unless it
/// has the default value. The plugin sees them only if the daemon passes on its environment.
pub const DAEMON_LINE_LIMITS: [&str; 2] = ["PLUGIN_STDIO_MAX_BUFFER_SIZE", "PLUGIN_RUNTIME_MAX_BUFFER_SIZE"];

/// Setting of the daemon's maximum line length for the plugin, if the daemon does not pass on its environment.
pub const LINE_LIMIT: &str = "DIFY_PLUGIN_LINE_LIMIT";

/// The daemon's default for the maximum line length in bytes.
const DEFAULT_LINE_LIMIT: usize = 5 * 1024 * 1024;

/// Minimum of the line limit in bytes; an error message must fit into a line.
const MIN_LINE_LIMIT_BYTES: usize = 32 * 1024;

/// Reads the maximum line length in bytes that the daemon accepts. Invalid settings of the daemon are ignored.
fn line_limit(settings: &HashMap<String, String>) -> Result<Option<usize>, ConfigError> {
    let own = text(settings, LINE_LIMIT).map(|_| number(settings, LINE_LIMIT, 0)).transpose()?;
    if let Some(limit) = own.filter(|limit| *limit < MIN_LINE_LIMIT_BYTES) {
        return Err(invalid(LINE_LIMIT, format!("must be {MIN_LINE_LIMIT_BYTES} bytes or more, found `{limit}`")));
    }
    let of_daemon = |name: &str| text(settings, name)?.parse().ok().filter(|limit| *limit != 0);
    let [older, newer] = DAEMON_LINE_LIMITS.map(of_daemon);
    let from_daemon = older.filter(|limit| *limit != DEFAULT_LINE_LIMIT).or(newer).or(older);
    Ok(own.or(from_daemon.map(|limit: usize| limit.max(MIN_LINE_LIMIT_BYTES))))
}

impl LogSettings {
    /// Reads settings by upper-case name.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let text = |name: &str| text(settings, name);
        let format = match text("DIFY_PLUGIN_LOG_FORMAT") {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                return Err(invalid("DIFY_PLUGIN_LOG_FORMAT", format!("must be text or json, found `{other}`")));
            }
        };
        let content = flag(settings, "DIFY_PLUGIN_LOG_CONTENT")?;
        let filter = text("DIFY_PLUGIN_LOG_LEVEL").or(text("RUST_LOG")).map(str::to_owned);
        Ok(Self { filter, format, content })
    }
}

/// Returns a setting without surrounding whitespace, or `None` if nothing is left.
fn text<'a>(settings: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn invalid(name: &'static str, problem: String) -> ConfigError {
    ConfigError { name, problem }
}

fn flag(settings: &HashMap<String, String>, name: &'static str) -> Result<bool, ConfigError> {
    match text(settings, name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(invalid(name, format!("must be true or false, found `{other}`"))),
    }
}

fn number<T: FromStr>(settings: &HashMap<String, String>, name: &'static str, default: T) -> Result<T, ConfigError> {
    match text(settings, name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| invalid(name, format!("must be an integer in the allowed range, found `{text}`")))
        }
    }
}

fn seconds(settings: &HashMap<String, String>, name: &'static str, default: f64) -> Result<Duration, ConfigError> {
    let value = number(settings, name, default)?;
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(invalid(name, format!("must be a number of seconds greater than 0, found `{value}`"))),
    }
}

/// Reads the daemon's URL, for transports on which the daemon cannot be called back.
fn daemon_url(settings: &HashMap<String, String>) -> Result<Url, ConfigError> {
    const NAME: &str = "DIFY_PLUGIN_DAEMON_URL";
    let given = text(settings, NAME).unwrap_or("http://localhost:5002");
    let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The value is not quoted, because it may contain a password.
    url.ok_or_else(|| invalid(NAME, "must be a URL such as http://daemon:5002".to_owned()))
}

/// Parses `host:port`, `[::1]:port`, or a URL whose scheme implies the port.
fn host_and_port(text: &str) -> Result<(String, u16), ConfigError> {
    let found = if text.contains('@') { "a URL that contains a user name".to_owned() } else { format!("`{text}`") };
    let wrong =
        || invalid("REMOTE_INSTALL_URL", format!("must be host:port or a URL such as tcp://host:5003, found {found}"));
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| wrong())?;
    if matches!(url.scheme(), "https" | "tls" | "ssl" | "wss") {
        return Err(invalid(
            "REMOTE_INSTALL_URL",
            format!(
                "must not use TLS ({}://): Dify's debugging port does not support it, so the key and every credential would \
                 be sent unencrypted. Use host:port; to reach another machine, forward the port through a tunnel",
                url.scheme()
            ),
        ));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let port = url.port_or_known_default().ok_or_else(wrong)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_settings(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn has_the_defaults_of_the_python_sdk() {
        let config = read(&[]).unwrap();
        assert_eq!(config.install_method, InstallMethod::Local);
        assert_eq!((config.remote_host.as_str(), config.remote_port), ("localhost", 5003));
        assert_eq!((config.heartbeat_interval, config.max_worker), (Duration::from_secs(10), 1000));
        assert_eq!((config.serverless_host.as_str(), config.serverless_port), ("0.0.0.0", 8080));
        assert_eq!(config.line_limit, None);
        assert_eq!(config.invocation_timeout, Duration::from_secs(240));
        let serverless = read(&[("INSTALL_METHOD", "serverless")]).unwrap();
        assert_eq!(serverless.daemon_url.unwrap().as_str(), "http://localhost:5002/");
    }

    #[test]
    fn takes_the_line_limit_from_the_daemons_settings() {
        let older = "PLUGIN_STDIO_MAX_BUFFER_SIZE";
        let newer = "PLUGIN_RUNTIME_MAX_BUFFER_SIZE";
        for (pairs, limit) in [
            (&[(older, "20971520")][..], Some(20_971_520)),
            (&[(newer, "20971520")], Some(20_971_520)),
            (&[(older, "5242880"), (newer, "20971520")], Some(20_971_520)),
            (&[(older, "10485760"), (newer, "20971520")], Some(10_485_760)),
            (&[(older, "5242880")], Some(5_242_880)),
            (&[(older, "lots"), (newer, "")], None),
            (&[(older, "0")], None),
            (&[(older, "10")], Some(MIN_LINE_LIMIT_BYTES)),
            (&[(older, "10485760"), (LINE_LIMIT, "1048576")], Some(1_048_576)),
        ] {
            assert_eq!(read(pairs).unwrap().line_limit, limit, "{pairs:?}");
        }
        for wrong in ["0", "4096", "-1", "5 MiB"] {
            assert_eq!(read(&[(LINE_LIMIT, wrong)]).unwrap_err().name, LINE_LIMIT, "{wrong}");
        }
    }

    #[test]
    fn parses_every_form_of_the_debugging_address() {
        for (text, host, port) in [
            ("debug.dify.ai:5003", "debug.dify.ai", 5003),
            ("[::1]:5003", "::1", 5003),
            ("http://dify.example", "dify.example", 80),
            ("tcp://10.0.0.1:7000", "10.0.0.1", 7000),
        ] {
            let config = read(&[("INSTALL_METHOD", "remote"), ("REMOTE_INSTALL_URL", text)]).unwrap();
            assert_eq!((config.remote_host.as_str(), config.remote_port), (host, port), "{text}");
        }
    }

    #[test]
    fn reports_invalid_settings_only_for_transports_that_use_them() {
        use InstallMethod::{Local, Remote, Serverless};
        let all = [Local, Remote, Serverless];
        for (name, value, used) in [
            ("REMOTE_INSTALL_URL", "no-port", &[Remote][..]),
            ("REMOTE_INSTALL_URL", "https://dify.example", &[Remote]),
            ("REMOTE_INSTALL_URL", "TLS://dify.example:5003", &[Remote]),
            ("REMOTE_INSTALL_PORT", "70000", &[Remote]),
            (REAL_IDS, "perhaps", &[Remote]),
            ("HEARTBEAT_INTERVAL", "0", &[Local, Remote]),
            ("HEARTBEAT_INTERVAL", "soon", &[Local, Remote]),
            ("MAX_WORKER", "-1", &all),
            ("SERVERLESS_PORT", "x", &[Serverless]),
            ("DIFY_PLUGIN_LOG_FORMAT", "xml", &all),
            ("DIFY_PLUGIN_LOG_CONTENT", "perhaps", &all),
            ("MAX_REQUEST_TIMEOUT", "0", &[]),
            ("MAX_REQUEST_TIMEOUT", "none", &[]),
            ("MAX_INVOCATION_TIMEOUT", "x", &all),
            ("MAX_INVOCATION_TIMEOUT", "0", &all),
            ("DIFY_PLUGIN_DAEMON_URL", "daemon:5002", &[Serverless]),
            ("DIFY_PLUGIN_DAEMON_URL", "ftp://daemon", &[Serverless]),
            ("SERVERLESS_WORKERS", "x", &[]),
        ] {
            let settings = HashMap::from([(name.to_owned(), value.to_owned())]);
            for method in all {
                let rejected = Config::for_method(&settings, method).err().map(|error| error.name);
                assert_eq!(rejected, used.contains(&method).then_some(name), "{value} {method:?}");
            }
        }
        assert_eq!(read(&[("INSTALL_METHOD", "LOCAL")]).unwrap_err().name, "INSTALL_METHOD");
    }

    #[test]
    fn limits_huge_numbers() {
        let config = read(&[
            ("MAX_WORKER", "18446744073709551615"),
            ("HEARTBEAT_INTERVAL", "1e18"),
            ("MAX_INVOCATION_TIMEOUT", "1e18"),
        ])
        .unwrap();
        assert_eq!((config.max_worker, config.heartbeat_interval), (MAX_SESSIONS, MAX_HEARTBEAT_INTERVAL));
        assert_eq!(config.invocation_timeout, MAX_INVOCATION_TIMEOUT);
    }

    #[test]
    fn sends_the_debugging_key_to_this_machine_only_unless_allowed() {
        for (address, is_local) in [
            ("localhost:5003", true),
            ("LOCALHOST:5003", true),
            ("127.0.0.1:5003", true),
            ("127.9.9.9:5003", true),
            ("[::1]:5003", true),
            ("[::ffff:127.0.0.1]:5003", true),
            ("http://localhost:5003", true),
            ("10.0.0.1:5003", false),
            ("localhost.example:5003", false),
            ("127.0.0.1.example:5003", false),
            ("debug.dify.ai:5003", false),
            ("[::]:5003", false),
        ] {
            let url = ("REMOTE_INSTALL_URL", address);
            let pairs = [("INSTALL_METHOD", "remote"), url, ("REMOTE_INSTALL_KEY", "s3cret")];
            let problem = read(&pairs).err().map(|error| error.to_string());
            assert_eq!(problem.is_none(), is_local, "{address}");
            assert!(problem.is_none_or(|text| text.contains("tunnel") && !text.contains("s3cret")), "{address}");
            assert!(read(&[&pairs[..], &[(CLEAR_TEXT, "true")]].concat()).is_ok(), "{address}");
            assert!(read(&pairs[..2]).is_ok(), "{address}: allowed without a key");
        }
    }

    #[test]
    fn aws_lambda_has_its_own_settings() {
        let config = read(&[("INSTALL_METHOD", "aws_lambda"), ("AWS_LAMBDA_PORT", "9000")]).unwrap();
        assert_eq!((config.install_method, config.serverless_port), (InstallMethod::Serverless, 9000));
    }
}
