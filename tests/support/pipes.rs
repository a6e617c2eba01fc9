//! The built executable over real pipes: request lines in, frames and log out, everything kept as text.
#![allow(dead_code)]

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(180);

/// A log filter that lets everything through, of the libraries below as well.
pub const EVERYTHING: &str = "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace";

/// A secret of the environment, of which nothing is ever told.
pub const ENVIRONMENT: &str = "CANARY-environment-of-the-daemon-1";

/// The executable in the plugin's folder, logging everything.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
    as_plugin(command.args(arguments));
    command
}

/// A program as the executable is started: in the plugin's folder, by pipes, logging everything.
pub fn as_plugin(command: &mut Command) -> &mut Command {
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("DIFY_PLUGIN_LOG_LEVEL", EVERYTHING)
        .env("SECRET_OF_THE_DAEMON", ENVIRONMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
}

/// A plugin that is called over HTTP, and where; its log is for the caller to read.
pub async fn serverless(environment: &[(String, String)]) -> (Child, String) {
    let mut child = command(&[])
        .envs(environment.iter().cloned())
        .envs([("INSTALL_METHOD", "serverless"), ("SERVERLESS_PORT", "0"), ("SERVERLESS_HOST", "127.0.0.1")])
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, format!("{}/invoke", line.rsplit(' ').next().unwrap()))
}

/// A plugin as the daemon starts it.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: JoinHandle<String>,
    sessions: usize,
    said: String,
}

impl Process {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more in its environment.
    pub fn with(environment: &[(String, String)]) -> Self {
        Self::spawn(command(&[]).envs(environment.iter().cloned()))
    }

    /// A plugin that a command starts.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.env("INSTALL_METHOD", "local").spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = child.stderr.take().unwrap();
        // Read along like the daemon: a full pipe would hold the process up.
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            errors.read_to_end(&mut log).await.unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        Self { child, input, lines, log, sessions: 0, said: String::new() }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
    }

    /// Runs requests side by side, each in a session of its own; gives each one's error, in their order.
    pub async fn run(&mut self, requests: Vec<Value>) -> Vec<Option<Value>> {
        let first = self.sessions;
        for mut data in requests {
            data["user_id"] = json!("u");
            if data["type"].is_null() {
                data["type"] = json!("model");
            }
            let line = json!({"session_id": format!("s{}", self.sessions), "event": "request", "data": data});
            self.write(&format!("{line}\n")).await;
            self.sessions += 1;
        }
        let mut errors = vec![None; self.sessions - first];
        let mut open = errors.len();
        while open > 0 {
            let line = timeout(TIMEOUT, self.lines.next_line()).await.expect("no line in time").unwrap();
            let line = line.expect("the process ended");
            self.said.push_str(&line);
            self.said.push('\n');
            let line: Value = serde_json::from_str(&line).unwrap();
            let place = line["session_id"].as_str().and_then(|name| name[1..].parse::<usize>().ok());
            let Some(place) = place.and_then(|place| place.checked_sub(first)) else { continue };
            match line["data"]["type"].as_str() {
                Some("error") => errors[place] = Some(line["data"]["data"].clone()),
                Some("end") => open -= 1,
                _ => {}
            }
        }
        errors
    }

    /// Ends the input; gives everything that was written to standard output and to the log.
    pub async fn finish(self) -> (String, String) {
        let Self { mut child, input, mut lines, log, mut said, .. } = self;
        drop(input);
        while let Some(line) = timeout(TIMEOUT, lines.next_line()).await.expect("no end in time").unwrap() {
            said.push_str(&line);
            said.push('\n');
        }
        let log = timeout(TIMEOUT, log).await.unwrap().unwrap();
        assert!(timeout(TIMEOUT, child.wait()).await.unwrap().unwrap().success(), "{log}");
        (said, log)
    }
}
