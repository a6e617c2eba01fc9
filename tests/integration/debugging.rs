//! Remote debugging: the IDs under which plugins register, the handling of invalid files, and where the key may be
//! sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::support::directories;
use directories::one_provider;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(180);

/// The daemon's debugging port: passes on the lines of each connection and can send requests.
struct Daemon {
    port: u16,
    connections: Receiver<Connection>,
}

struct Connection {
    lines: Receiver<Value>,
    stream: TcpStream,
}

impl Daemon {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, connections) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (line, lines) = mpsc::channel();
                let reader = BufReader::new(stream.try_clone().unwrap());
                thread::spawn(move || {
                    reader
                        .lines()
                        .map_while(Result::ok)
                        .try_for_each(|text| line.send(serde_json::from_str(&text).unwrap()))
                });
                let _ = sender.send(Connection { lines, stream });
            }
        });
        Self { port, connections }
    }

    fn next(&self) -> Connection {
        self.connections.recv_timeout(TIMEOUT).expect("no connection")
    }
}

impl Connection {
    /// Reads a registration and returns its manifest and provider.
    fn registration(&self) -> (Value, Value) {
        let (mut manifest, mut provider) = (Value::Null, Value::Null);
        loop {
            let line = self.lines.recv_timeout(TIMEOUT).expect("no registration");
            match line["type"].as_str().unwrap() {
                "manifest_declaration" => manifest = line["data"].clone(),
                "model_declaration" => provider = line["data"][0].clone(),
                "end" => return (manifest, provider),
                _ => {}
            }
        }
    }

    /// Sends a request to the plugin and returns the first message of the response.
    fn request(&mut self, data: &Value) -> Value {
        writeln!(self.stream, "{}", json!({"session_id": "s", "event": "request", "data": data})).unwrap();
        loop {
            let line = self.lines.recv_timeout(TIMEOUT).expect("no response");
            if line["event"] == "session" {
                return line["data"].clone();
            }
        }
    }
}

/// A plugin process that is killed when dropped, and the lines of its standard error.
struct Plugin {
    child: Child,
    stderr: Receiver<String>,
}

impl Plugin {
    fn start(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
            .current_dir(directory)
            .env_clear()
            .envs(settings.iter().copied())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, stderr: lines }
    }

    /// Reads standard error up to a line that contains `expected`.
    fn wait_for(&self, expected: &str) -> String {
        let mut all = String::new();
        while let Ok(line) = self.stderr.recv_timeout(TIMEOUT) {
            all.push_str(&line);
            all.push('\n');
            if line.contains(expected) {
                return all;
            }
        }
        panic!("`{expected}` was not printed:\n{all}");
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Arguments of both start modes: the subcommand, and serving by settings.
const START_MODES: [&[&str]; 2] = [&["debug"], &[]];

#[test]
fn registers_under_own_ids_unless_real_ids_are_requested() {
    for mode in START_MODES {
        for real in [false, true] {
            let (directory, daemon) = (one_provider(), Daemon::start());
            let url = format!("127.0.0.1:{}", daemon.port);
            let mut settings =
                vec![("INSTALL_METHOD", "remote"), ("REMOTE_INSTALL_URL", url.as_str()), ("REMOTE_INSTALL_KEY", "key")];
            let mut arguments = mode.to_vec();
            match (real, mode.is_empty()) {
                (true, true) => settings.push(("DIFY_PLUGIN_DEBUG_REAL_IDS", "true")),
                (true, false) => arguments.push("--real-ids"),
                (false, _) => {}
            }
            let plugin = Plugin::start(directory.path(), &arguments, &settings);
            let mut connection = daemon.next();
            let (manifest, provider) = connection.registration();
            let name = manifest["name"].as_str().unwrap();
            assert_eq!(name.ends_with("-debug"), !real, "{name}");
            for label in [&manifest["label"], &provider["label"]] {
                let texts: Vec<&str> = label.as_object().unwrap().values().map(|text| text.as_str().unwrap()).collect();
                assert_eq!(texts.len(), 4);
                assert!(texts.iter().all(|text| text.ends_with(" (debug)") != real), "{label}");
            }
            let log = plugin.wait_for(&format!("/{name}"));
            assert_eq!(log.contains("warning") && log.contains("uninstalls"), real, "{log}");
            // Requests contain the provider name of the registration.
            let response = connection
                .request(&json!({"user_id": "u", "type": "model", "provider": provider["provider"],
                "action": "validate_model_credentials", "model": "m", "model_type": "llm", "credentials": {}}));
            assert_eq!(response["data"]["error_type"], "CredentialsValidateFailedError", "{response}");
        }
    }
}

/// A provider that an older Dify cannot read makes it reject all providers of the workspace.
#[test]
fn registers_providers_for_newer_versions_of_dify_by_name_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (more, expected) in [
        (&[][..], &["ai-gateway-debug", "gemini-debug", "openai_api_compatible-debug", "xinference-debug"][..]),
        (&["--provider", "gemini-agents"], &["gemini-agents-debug"]),
        (&["--provider", "xinference", "--provider", "google"], &["gemini-debug", "xinference-debug"]),
    ] {
        let daemon = Daemon::start();
        let url = format!("127.0.0.1:{}", daemon.port);
        let arguments = [&["debug", "--url", &url, "--key", "key"], more].concat();
        let plugin = Plugin::start(root, &arguments, &[]);
        let mut names: Vec<String> =
            expected.iter().map(|_| daemon.next().registration().0["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, expected);
        let log = plugin.wait_for("registering as");
        assert_eq!(
            log.contains("gemini-agents: not registered, because it needs Dify 1.15.0"),
            more.is_empty(),
            "{log}"
        );
    }
    let unknown = Plugin::start(root, &["debug", "--url", "127.0.0.1:1", "--key", "k", "--provider", "unknown"], &[]);
    unknown.wait_for("unknown provider `unknown`; the manifest lists google, gemini-agents, ai-gateway, xinference, openai_api_compatible");
}

#[test]
fn keeps_the_registration_when_a_file_becomes_invalid() {
    let (directory, daemon) = (one_provider(), Daemon::start());
    let url = format!("127.0.0.1:{}", daemon.port);
    let arguments = ["debug", "--url", &url, "--key", "key"];
    let plugin = Plugin::start(directory.path(), &arguments, &[("HEARTBEAT_INTERVAL", "0.2")]);
    let first = daemon.next();
    first.registration();
    let file = directory.path().join("provider/xinference.yaml");
    let valid = std::fs::read_to_string(&file).unwrap();
    let icon = directory.path().join("_assets/icon.svg");
    for invalid in ["provider: [\n", "[]\n", "label: {}\n", ""] {
        std::fs::write(&file, invalid).unwrap();
        plugin.wait_for("the registered plugins stay unchanged until these problems are fixed");
        let problem = plugin.stderr.recv_timeout(TIMEOUT).unwrap();
        assert!(
            problem.starts_with("provider/xinference.yaml: ") && !problem.contains(".: "),
            "{invalid:?}: {problem}"
        );
        while first.lines.try_recv().is_ok() {}
        assert_eq!(first.lines.recv_timeout(TIMEOUT).unwrap()["event"], "heartbeat", "{invalid:?}");
        assert!(daemon.connections.try_recv().is_err(), "{invalid:?}: it reconnected");
    }
    std::fs::write(&icon, "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    std::fs::write(&file, valid.replacen("en_US: Xinference", "en_US: Altered Inference", 1)).unwrap();
    let (_, provider) = daemon.next().registration();
    assert!(provider["label"]["en_US"].as_str().unwrap().starts_with("Altered"), "{}", provider["label"]);
}

#[test]
fn sends_the_key_only_where_allowed() {
    let directory = one_provider();
    for mode in [&["debug"][..], &[], &["doctor"]] {
        for scheme in ["https", "HTTPS", "tls", "wss"] {
            let daemon = Daemon::start();
            let url = format!("{scheme}://127.0.0.1:{}", daemon.port);
            let message = rejection(directory.path(), mode, &url);
            assert!(message.contains("must not use TLS") && message.contains("tunnel"), "{mode:?} {message}");
            assert!(daemon.connections.try_recv().is_err(), "{mode:?}: it connected");
        }
        // An IP address reserved for documentation.
        let message = rejection(directory.path(), mode, "192.0.2.1:5003");
        assert!(message.contains("unencrypted") && message.contains("--clear-text"), "{mode:?} {message}");
    }
}

/// Returns the error of a start with this address. It must not contain the key.
fn rejection(directory: &Path, arguments: &[&str], url: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(directory)
        .env_clear()
        .envs([("INSTALL_METHOD", "remote"), ("REMOTE_INSTALL_URL", url), ("REMOTE_INSTALL_KEY", "s3cret-key")])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(!child.wait().unwrap().success(), "{output}");
    assert!(!output.contains("s3cret"), "{output}");
    output
}
