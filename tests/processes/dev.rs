//! `dev` with a real plugin and a daemon's debugging port; Cargo is a script. The rules of the loop are tested beside its code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::sample_plugins;
use serde_json::Value;

/// Set for the plugin, and absent for the test.
const PLUGIN: &str = "DEV_PLUGIN";

const TIMEOUT: Duration = Duration::from_secs(180);

/// Builds the executable that it is given, unless a source contains BROKEN.
const CARGO: &str = r#"#!/bin/sh
echo "$@" > arguments
grep -q BROKEN src/main.rs && echo "error: it does not compile" >&2 && exit 101
mkdir -p target
ln -f "$DEV_EXECUTABLE" "target/$DEV_NAME" 2>/dev/null || cp "$DEV_EXECUTABLE" "target/$DEV_NAME"
echo '{"reason":"compiler-artifact","package_id":"path+file:///x","manifest_path":"'$PWD'/Cargo.toml","target":{"name":"'$DEV_NAME'","kind":["bin"]},"executable":"'$PWD/target/$DEV_NAME'","fresh":false}'
"#;

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    std::env::var_os(PLUGIN)?;
    Some(sample_plugins::weather().run())
}

pub const TESTS: &[(&str, fn())] = &[(
    "a_saved_source_registers_again_and_a_broken_one_does_not",
    a_saved_source_registers_again_and_a_broken_one_does_not,
)];

/// A connection that registered: its manifest, and its further lines.
struct Registered {
    manifest: Value,
    lines: Receiver<Value>,
}

struct Daemon {
    port: u16,
    registrations: Receiver<Registered>,
}

impl Daemon {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, registrations) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { port, registrations }
    }

    fn next(&self) -> Registered {
        self.registrations.recv_timeout(TIMEOUT).expect("no registration in time")
    }
}

fn serve(stream: TcpStream, registered: &mpsc::Sender<Registered>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).map(|line| {
        let line: Value = serde_json::from_str(&line).unwrap();
        line
    });
    let mut manifest = Value::Null;
    for line in lines.by_ref() {
        match line["type"].as_str() {
            Some("manifest_declaration") => manifest = line["data"].clone(),
            Some("end") => break,
            _ => {}
        }
    }
    let (sender, further) = mpsc::channel();
    let _ = registered.send(Registered { manifest, lines: further });
    lines.for_each(|line| drop(sender.send(line)));
}

/// The command, which is ended as a user would.
struct Dev {
    child: Child,
    stderr: Receiver<String>,
}

impl Dev {
    fn start(directory: &Path, port: u16) -> Self {
        let executable = std::env::current_exe().unwrap();
        let name = executable.file_name().unwrap();
        let mut child = Command::new(&executable)
            .args(["dev", "--url", &format!("127.0.0.1:{port}"), "--key", "s3cret-key", "--", "--features", "fast"])
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs([(PLUGIN, "1"), ("HEARTBEAT_INTERVAL", "0.2")])
            .env("CARGO", directory.join("cargo.sh"))
            .env("CARGO_MANIFEST_DIR", directory)
            .env("DEV_EXECUTABLE", &executable)
            .env("DEV_NAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, stderr) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, stderr }
    }

    fn wait_for(&self, expected: &str) {
        let mut all = String::new();
        while let Ok(line) = self.stderr.recv_timeout(TIMEOUT) {
            assert!(!line.contains("s3cret-key"), "{line}");
            all.push_str(&line);
            all.push('\n');
            if line.contains(expected) {
                return;
            }
        }
        panic!("`{expected}` was not printed:\n{all}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn a_saved_source_registers_again_and_a_broken_one_does_not() {
    let project = tempfile::tempdir().unwrap();
    let directory = project.path();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather"), directory);
    fs::create_dir(directory.join("src")).unwrap();
    let save = |file: &str, text: &str| fs::write(directory.join(file), text).unwrap();
    save("Cargo.toml", "");
    save("src/main.rs", "1");
    // Another process makes it executable, so that no other thread can have it open for writing.
    save("cargo", CARGO);
    let script = "cp cargo cargo.sh && chmod +x cargo.sh";
    assert!(Command::new("sh").args(["-c", script]).current_dir(directory).status().unwrap().success());

    let daemon = Daemon::start();
    let mut dev = Dev::start(directory, daemon.port);
    let first = daemon.next();
    assert_eq!(first.manifest["name"], "weather-debug");
    let arguments = fs::read_to_string(directory.join("arguments")).unwrap();
    assert!(arguments.starts_with("build --manifest-path ") && arguments.contains("--bin processes-"), "{arguments}");
    assert!(arguments.trim_end().ends_with("--features fast"), "{arguments}");

    let is_registered = |registered: &Registered| {
        while registered.lines.try_recv().is_ok() {}
        registered.lines.recv_timeout(TIMEOUT).is_ok_and(|line| line["event"] == "heartbeat")
    };
    save("src/main.rs", "BROKEN");
    dev.wait_for("it does not compile");
    dev.wait_for("the last good build stays registered");
    assert!(is_registered(&first) && daemon.registrations.try_recv().is_err());

    save("src/main.rs", "fixed");
    let second = daemon.next();
    assert!(is_registered(&second));
    while first.lines.recv_timeout(TIMEOUT).is_ok() {}

    // A declaration that does not pass the check keeps the registration; one that does is registered without a build.
    let manifest = fs::read_to_string(directory.join("manifest.yaml")).unwrap();
    fs::remove_file(directory.join("arguments")).unwrap();
    save("tools/odd.yaml", "identity: [");
    dev.wait_for("the registered plugins stay unchanged until these problems are fixed");
    assert!(is_registered(&second));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather/tools"), &directory.join("tools"));
    save("manifest.yaml", &manifest.replace("en_US: Weather", "en_US: Changed weather"));
    let third = daemon.next();
    let label = third.manifest["label"]["en_US"].as_str().unwrap();
    assert!(label.starts_with("Changed weather"), "{label}");
    assert!(!directory.join("arguments").exists(), "a declaration was built");

    // The end of the command is the end of the plugin.
    let pid = dev.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(dev.child.wait().unwrap().success());
    while third.lines.recv_timeout(TIMEOUT).is_ok() {}
}
