//! Runs the built executable over real pipes: request lines in, frames and log out, collected as text.

use std::process::Stdio;
use std::time::Duration;

use dify_plugin::testing::Wire;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(180);

/// Log filter for all events, including those of libraries.
pub const EVERYTHING: &str = "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace";

/// Secret in the environment that must never be logged or returned.
pub const ENVIRONMENT: &str = "CANARY-environment-of-the-daemon-1";

/// Returns the command that runs the executable in the plugin directory and logs everything.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
    as_plugin(command.args(arguments));
    command
}

/// Configures a program as the executable is started: in the plugin directory, with pipes, logging everything.
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

/// Starts a serverless plugin and returns its URL. The caller reads its log.
pub async fn serverless(environment: &[(String, String)]) -> (Child, String) {
    let mut child = command(&[])
        .envs(environment.iter().cloned())
        .envs([("INSTALL_METHOD", "serverless"), ("SERVERLESS_PORT", "0"), ("SERVERLESS_HOST", "127.0.0.1")])
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, format!("{}/invoke", line.rsplit(' ').next().unwrap()))
}

/// A plugin process as the daemon starts it.
pub struct Process {
    child: Child,
    wire: Wire,
    log: JoinHandle<String>,
    sessions: usize,
    output: String,
}

impl Process {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it with additional environment variables.
    pub fn with(environment: &[(String, String)]) -> Self {
        Self::spawn(command(&[]).envs(environment.iter().cloned()))
    }

    /// Starts it with a command.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.env("INSTALL_METHOD", "local").spawn().unwrap();
        let wire = Wire::over(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        // Read the log like the daemon, because a full pipe would block the process.
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            errors.read_to_end(&mut log).await.unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        Self { child, wire, log, sessions: 0, output: String::new() }
    }

    /// Writes raw bytes.
    pub async fn write(&mut self, text: &str) {
        self.wire.write(text.as_bytes()).await;
    }

    /// Runs concurrent requests, each in its own session, and returns the error of each in order.
    pub async fn run(&mut self, requests: Vec<Value>) -> Vec<Option<Value>> {
        let first = self.sessions;
        for mut data in requests {
            data["user_id"] = json!("u");
            if data["type"].is_null() {
                data["type"] = json!("model");
            }
            self.wire.request(&format!("s{}", self.sessions), Value::Null, data).await;
            self.sessions += 1;
        }
        let mut errors = vec![None; self.sessions - first];
        let mut open = errors.len();
        while open > 0 {
            let line = timeout(TIMEOUT, self.wire.next_line()).await.expect("no line in time");
            let line = line.expect("the process ended");
            self.output.push_str(&line);
            self.output.push('\n');
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

    /// Ends the input, and returns all text of standard output and of the log.
    pub async fn finish(self) -> (String, String) {
        let Self { mut child, mut wire, log, mut output, .. } = self;
        wire.close_input().await;
        while let Some(line) = timeout(TIMEOUT, wire.next_line()).await.expect("no end in time") {
            output.push_str(&line);
            output.push('\n');
        }
        let log = timeout(TIMEOUT, log).await.unwrap().unwrap();
        assert!(timeout(TIMEOUT, child.wait()).await.unwrap().unwrap().success(), "{log}");
        (output, log)
    }
}
