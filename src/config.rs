//! Every setting of the process, read once: the environment, then `.env` in the current directory, then the default.
//!
//! Names and defaults are those of the reference. Names are case-insensitive; unknown ones are ignored. The process's
//! environment is never changed, and never printed: the daemon hands its own secrets down in it. A setting of another
//! transport, or one without effect, stops nothing. What the operator allows outside of every plugin's folder is read in
//! [`operator`].
//! Source: `dify-plugin-sdks: src/dify_plugin/config/config.py`.

pub mod env_file;
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

/// How the host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallMethod {
    /// Standard input and output of the daemon's child.
    Local,
    /// TCP to the daemon's debugging port.
    Remote,
    /// HTTP, called by the daemon.
    Serverless,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// `INSTALL_METHOD`: `local`, `remote`, `serverless` (or its old name `aws_lambda`).
    pub install_method: InstallMethod,
    /// `REMOTE_INSTALL_URL`, or `REMOTE_INSTALL_HOST` and `REMOTE_INSTALL_PORT`.
    pub remote_host: String,
    /// See [`Config::remote_host`].
    pub remote_port: u16,
    /// `REMOTE_INSTALL_KEY`.
    pub remote_key: Option<SecretString>,
    /// [`REAL_IDS`]: whether plugins are registered for debugging under the ids of the installed ones.
    pub real_ids: bool,
    /// `HEARTBEAT_INTERVAL`, seconds.
    pub heartbeat_interval: Duration,
    /// `MAX_WORKER`: sessions at once.
    pub max_worker: usize,
    /// The longest line that the daemon takes, where a setting tells it; see `line_limit`.
    pub line_limit: Option<usize>,
    /// `SERVERLESS_HOST` (or `AWS_LAMBDA_HOST`).
    pub serverless_host: String,
    /// `SERVERLESS_PORT` (or `AWS_LAMBDA_PORT`).
    pub serverless_port: u16,
    /// `DIFY_PLUGIN_SERVERLESS_SECRET`: what a caller of that port must know.
    pub serverless_secret: Option<SecretString>,
    /// `DIFY_PLUGIN_DAEMON_URL`: where calls back into Dify go that cannot go by the caller's connection.
    pub daemon_url: Option<Url>,
    /// `MAX_INVOCATION_TIMEOUT`, seconds: of calls back into Dify.
    pub invocation_timeout: Duration,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Whether upstream traffic is recorded or replayed.
    pub traffic: Option<TrafficMode>,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// `DIFY_PLUGIN_LOG_LEVEL`, else `RUST_LOG`: a level or a filter like `info,dify_plugin_runtime=debug`.
    pub filter: Option<String>,
    /// `DIFY_PLUGIN_LOG_FORMAT`.
    pub format: LogFormat,
    /// `DIFY_PLUGIN_LOG_CONTENT`: prompts and answers too.
    pub content: bool,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: `time level session{session_id=…}: message name=value …`.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {name} {problem}")]
pub struct ConfigError {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Config {
    /// Reads the process's environment and `.env` in a folder.
    pub fn read(directory: &Path) -> Result<Self, ConfigError> {
        Self::from_settings(&Self::settings(&directory.join(".env")))
    }

    /// The process's environment over a file of settings, by upper-case name. A file that is not there is empty.
    pub fn settings(file: &Path) -> HashMap<String, String> {
        let mut settings: HashMap<String, String> =
            env_file::read(file).unwrap_or_default().settings.into_iter().collect();
        settings.extend(Self::environment());
        settings
    }

    /// The process's environment alone, by upper-case name.
    pub fn environment() -> HashMap<String, String> {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?.to_ascii_uppercase(), value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// Reads settings by upper-case name, for the transport that `INSTALL_METHOD` names.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let method = match text(settings, "INSTALL_METHOD").unwrap_or("local") {
            "local" => InstallMethod::Local,
            "remote" => InstallMethod::Remote,
            "serverless" | "aws_lambda" => InstallMethod::Serverless,
            other => {
                return Err(refuse("INSTALL_METHOD", format!("must be local, remote or serverless, found `{other}`")));
            }
        };
        Self::for_method(settings, method)
    }

    /// Reads settings by upper-case name, for a transport. What only others use has its default where it cannot be read.
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

/// The daemon gives up on a plugin long before.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3600);

/// Dify's daemon ends a call back into Dify after this time.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(240);

/// Every session ends long before.
const MAX_INVOCATION_TIMEOUT: Duration = Duration::from_secs(3600);

/// More sessions than this are no limit.
const MAX_SESSIONS: usize = 1_000_000;

/// A setting that counts only where it is used.
fn used<T>(is_used: bool, read: Result<T, ConfigError>, default: T) -> Result<T, ConfigError> {
    if is_used { read } else { Ok(read.unwrap_or(default)) }
}

/// Whether plugins are registered for debugging under the ids of the installed ones.
pub const REAL_IDS: &str = "DIFY_PLUGIN_DEBUG_REAL_IDS";

/// Whether the debugging key may cross a network that anyone on it can read.
pub const CLEAR_TEXT: &str = "DIFY_PLUGIN_DEBUG_CLEAR_TEXT";

/// What only remote debugging uses.
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
            return Err(refuse(
                "REMOTE_INSTALL_KEY",
                format!(
                    "would cross the network to {host} in clear text, and every credential of the workspace behind it: lead \
                     the port through a tunnel (ssh -L {port}:127.0.0.1:{port} …) and connect to 127.0.0.1, or allow it with \
                     --clear-text or {CLEAR_TEXT}=true"
                ),
            ));
        }
        Ok(Self { host, port, key, real_ids: flag(settings, REAL_IDS)? })
    }
}

/// Whether what is sent to a host stays on this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical().is_loopback());
    host.eq_ignore_ascii_case("localhost") || address.unwrap_or(false)
}

/// Reads `DIFY_PLUGIN_RECORD` and `DIFY_PLUGIN_REPLAY`, each a folder, from settings by upper-case name.
pub fn traffic_mode(settings: &HashMap<String, String>) -> Result<Option<TrafficMode>, ConfigError> {
    let directory = |name: &str| text(settings, name).map(PathBuf::from);
    match (directory("DIFY_PLUGIN_RECORD"), directory("DIFY_PLUGIN_REPLAY")) {
        (None, None) => Ok(None),
        (Some(directory), None) => Ok(Some(TrafficMode::Record { directory, shorten_files: false })),
        (None, Some(directory)) => Ok(Some(TrafficMode::Replay { directory, timed: false })),
        (Some(_), Some(_)) => {
            Err(refuse("DIFY_PLUGIN_REPLAY", "cannot be set together with DIFY_PLUGIN_RECORD".to_owned()))
        }
    }
}

/// The daemon's own settings of its longest line, the older one first, which goes before where it is not the default. A
/// daemon that passes its environment on tells them to the plugin.
pub const DAEMON_LINE_LIMITS: [&str; 2] = ["PLUGIN_STDIO_MAX_BUFFER_SIZE", "PLUGIN_RUNTIME_MAX_BUFFER_SIZE"];

/// The same for the plugin alone, where the daemon passes nothing on.
pub const LINE_LIMIT: &str = "DIFY_PLUGIN_LINE_LIMIT";

/// What the daemon takes when nothing is set.
const DEFAULT_LINE_LIMIT: usize = 5 * 1024 * 1024;

/// Below this no error would fit.
const MIN_LINE_LIMIT_BYTES: usize = 32 * 1024;

/// Reads the longest line that the daemon takes, in bytes. A setting of the daemon's that cannot be read stopped the daemon,
/// not us.
fn line_limit(settings: &HashMap<String, String>) -> Result<Option<usize>, ConfigError> {
    let own = text(settings, LINE_LIMIT).map(|_| number(settings, LINE_LIMIT, 0)).transpose()?;
    if let Some(limit) = own.filter(|limit| *limit < MIN_LINE_LIMIT_BYTES) {
        return Err(refuse(LINE_LIMIT, format!("must be {MIN_LINE_LIMIT_BYTES} bytes or more, found `{limit}`")));
    }
    let of_daemon = |name: &str| text(settings, name)?.parse().ok().filter(|limit| *limit != 0);
    let [older, newer] = DAEMON_LINE_LIMITS.map(of_daemon);
    let told = older.filter(|limit| *limit != DEFAULT_LINE_LIMIT).or(newer).or(older);
    Ok(own.or(told.map(|limit: usize| limit.max(MIN_LINE_LIMIT_BYTES))))
}

impl LogSettings {
    /// Reads settings by upper-case name.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let text = |name: &str| text(settings, name);
        let format = match text("DIFY_PLUGIN_LOG_FORMAT") {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                return Err(refuse("DIFY_PLUGIN_LOG_FORMAT", format!("must be text or json, found `{other}`")));
            }
        };
        let content = flag(settings, "DIFY_PLUGIN_LOG_CONTENT")?;
        let filter = text("DIFY_PLUGIN_LOG_LEVEL").or(text("RUST_LOG")).map(str::to_owned);
        Ok(Self { filter, format, content })
    }
}

/// A setting without blanks around it; one of nothing else is none.
fn text<'a>(settings: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn refuse(name: &'static str, problem: String) -> ConfigError {
    ConfigError { name, problem }
}

fn flag(settings: &HashMap<String, String>, name: &'static str) -> Result<bool, ConfigError> {
    match text(settings, name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(refuse(name, format!("must be true or false, found `{other}`"))),
    }
}

fn number<T: FromStr>(settings: &HashMap<String, String>, name: &'static str, default: T) -> Result<T, ConfigError> {
    match text(settings, name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| refuse(name, format!("must be a whole number in range, found `{text}`")))
        }
    }
}

fn seconds(settings: &HashMap<String, String>, name: &'static str, default: f64) -> Result<Duration, ConfigError> {
    let value = number(settings, name, default)?;
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(refuse(name, format!("must be a number of seconds above 0, found `{value}`"))),
    }
}

/// Where the daemon is, for who cannot be called back by it.
fn daemon_url(settings: &HashMap<String, String>) -> Result<Url, ConfigError> {
    const NAME: &str = "DIFY_PLUGIN_DAEMON_URL";
    let given = text(settings, NAME).unwrap_or("http://localhost:5002");
    let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // It is not repeated: it may have a password in it.
    url.ok_or_else(|| refuse(NAME, "must be a URL like http://daemon:5002".to_owned()))
}

/// `host:port`, `[::1]:port`, or an address whose scheme gives the port.
fn host_and_port(text: &str) -> Result<(String, u16), ConfigError> {
    let found = if text.contains('@') { "one with a user".to_owned() } else { format!("`{text}`") };
    let wrong =
        || refuse("REMOTE_INSTALL_URL", format!("must be host:port or an address like tcp://host:5003, found {found}"));
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| wrong())?;
    if matches!(url.scheme(), "https" | "tls" | "ssl" | "wss") {
        return Err(refuse(
            "REMOTE_INSTALL_URL",
            format!(
                "promises TLS ({}://), which Dify's debugging port does not speak: the key and every credential would go out in \
                 clear text all the same. Write host:port; beyond this machine, lead the port through a tunnel",
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
    fn defaults_are_the_references() {
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
    fn the_longest_line_is_that_of_the_daemon() {
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
    fn remote_addresses_in_every_form() {
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
    fn wrong_settings_are_named_where_they_are_used() {
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
                let refused = Config::for_method(&settings, method).err().map(|error| error.name);
                assert_eq!(refused, used.contains(&method).then_some(name), "{value} {method:?}");
            }
        }
        assert_eq!(read(&[("INSTALL_METHOD", "LOCAL")]).unwrap_err().name, "INSTALL_METHOD");
    }

    #[test]
    fn numbers_beyond_sense_are_no_panic() {
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
    fn the_debugging_key_stays_on_this_machine_unless_asked() {
        for (address, stays) in [
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
            let refused = read(&pairs).err().map(|error| error.to_string());
            assert_eq!(refused.is_none(), stays, "{address}");
            assert!(refused.is_none_or(|text| text.contains("tunnel") && !text.contains("s3cret")), "{address}");
            assert!(read(&[&pairs[..], &[(CLEAR_TEXT, "true")]].concat()).is_ok(), "{address}");
            assert!(read(&pairs[..2]).is_ok(), "{address}: without a key there is nothing to keep");
        }
    }

    #[test]
    fn the_old_name_of_serverless_has_its_own_settings() {
        let config = read(&[("INSTALL_METHOD", "aws_lambda"), ("AWS_LAMBDA_PORT", "9000")]).unwrap();
        assert_eq!((config.install_method, config.serverless_port), (InstallMethod::Serverless, 9000));
    }
}
