//! Remote debugging costs no company its plugins: under which ids plugins register, what a broken file does to them, and
//! where the key may go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/directories.rs"]
mod directories;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use directories::one_provider;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(180);

/// The daemon's debugging port: what each connection says, a line at a time, and a way to answer.
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
        self.connections.recv_timeout(TIMEOUT).expect("nobody connects")
    }
}

impl Connection {
    /// Reads up to the end of a registration: manifest and provider.
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

    /// Asks something of the plugin and gives the first message of the answer.
    fn ask(&mut self, data: &Value) -> Value {
        writeln!(self.stream, "{}", json!({"session_id": "s", "event": "request", "data": data})).unwrap();
        loop {
            let line = self.lines.recv_timeout(TIMEOUT).expect("no answer");
            if line["event"] == "session" {
                return line["data"].clone();
            }
        }
    }
}

/// A plugin that is killed when the test is over, and what it says.
struct Plugin {
    child: Child,
    said: Receiver<String>,
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
        let (sender, said) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, said }
    }

    /// Reads what it says up to this.
    fn says(&self, expected: &str) -> String {
        let mut all = String::new();
        while let Ok(line) = self.said.recv_timeout(TIMEOUT) {
            all.push_str(&line);
            all.push('\n');
            if line.contains(expected) {
                return all;
            }
        }
        panic!("`{expected}` is not said:\n{all}");
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both ways to start: the subcommand, and serving by settings.
const WAYS: [&[&str]; 2] = [&["debug"], &[]];

#[test]
fn plugins_register_beside_the_installed_ones_and_are_reached() {
    for way in WAYS {
        for real in [false, true] {
            let (directory, daemon) = (one_provider(), Daemon::start());
            let url = format!("127.0.0.1:{}", daemon.port);
            let mut settings =
                vec![("INSTALL_METHOD", "remote"), ("REMOTE_INSTALL_URL", url.as_str()), ("REMOTE_INSTALL_KEY", "key")];
            let mut arguments = way.to_vec();
            match (real, way.is_empty()) {
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
            let said = plugin.says(&format!("/{name}"));
            assert_eq!(said.contains("warning") && said.contains("uninstalls"), real, "{said}");
            // What comes back names the provider as it was registered.
            let answer = connection.ask(&json!({"user_id": "u", "type": "model", "provider": provider["provider"],
                "action": "validate_model_credentials", "model": "m", "model_type": "llm", "credentials": {}}));
            assert_eq!(answer["data"]["error_type"], "CredentialsValidateFailedError", "{answer}");
        }
    }
}

/// One provider that an older Dify cannot read makes it refuse all of the workspace, so that one is registered by name only.
#[test]
fn what_an_older_dify_cannot_read_is_registered_by_name_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (more, expected) in [
        (&[][..], &["ai-gateway-debug", "gemini-debug", "xinference-debug"][..]),
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
        let said = plugin.says("registering as");
        assert_eq!(
            said.contains("gemini-agents: not registered, because it needs Dify 1.15.0"),
            more.is_empty(),
            "{said}"
        );
    }
    let nobody = Plugin::start(root, &["debug", "--url", "127.0.0.1:1", "--key", "k", "--provider", "nobody"], &[]);
    nobody.says("no provider `nobody`; it has google, gemini-agents, ai-gateway, xinference");
}

#[test]
fn a_file_that_breaks_leaves_what_is_registered_alone() {
    let (directory, daemon) = (one_provider(), Daemon::start());
    let url = format!("127.0.0.1:{}", daemon.port);
    let arguments = ["debug", "--url", &url, "--key", "key"];
    let plugin = Plugin::start(directory.path(), &arguments, &[("HEARTBEAT_INTERVAL", "0.2")]);
    let first = daemon.next();
    first.registration();
    let file = directory.path().join("provider/xinference.yaml");
    let sound = std::fs::read_to_string(&file).unwrap();
    let icon = directory.path().join("_assets/icon.svg");
    for broken in ["provider: [\n", "[]\n", "label: {}\n", ""] {
        std::fs::write(&file, broken).unwrap();
        plugin.says("what is registered stays as it was until this is mended");
        let problem = plugin.said.recv_timeout(TIMEOUT).unwrap();
        assert!(problem.starts_with("provider/xinference.yaml: ") && !problem.contains(".: "), "{broken:?}: {problem}");
        while first.lines.try_recv().is_ok() {}
        assert_eq!(first.lines.recv_timeout(TIMEOUT).unwrap()["event"], "heartbeat", "{broken:?}");
        assert!(daemon.connections.try_recv().is_err(), "{broken:?}: it has connected again");
    }
    std::fs::write(&icon, "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    std::fs::write(&file, sound.replacen("en_US: Xinference", "en_US: Altered Inference", 1)).unwrap();
    let (_, provider) = daemon.next().registration();
    assert!(provider["label"]["en_US"].as_str().unwrap().starts_with("Altered"), "{}", provider["label"]);
}

#[test]
fn the_key_goes_where_it_was_asked_to_go_only() {
    let directory = one_provider();
    for way in [&["debug"][..], &[], &["doctor"]] {
        for scheme in ["https", "HTTPS", "tls", "wss"] {
            let daemon = Daemon::start();
            let url = format!("{scheme}://127.0.0.1:{}", daemon.port);
            let said = refused(directory.path(), way, &url);
            assert!(said.contains("does not speak") && said.contains("tunnel"), "{way:?} {said}");
            assert!(daemon.connections.try_recv().is_err(), "{way:?}: it has connected");
        }
        // An address for documentation, where nobody is.
        let said = refused(directory.path(), way, "192.0.2.1:5003");
        assert!(said.contains("in clear text") && said.contains("--clear-text"), "{way:?} {said}");
    }
}

/// What a start with this address says; the key is not in it.
fn refused(directory: &Path, arguments: &[&str], url: &str) -> String {
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
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!child.wait().unwrap().success(), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    said
}
