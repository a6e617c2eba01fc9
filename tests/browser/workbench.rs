//! The command `workbench`, started on a directory: its address, its token, and calls of its API as the page makes them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Workbench {
    child: Child,
    runtime: Handle,
    client: reqwest::Client,
    /// What it printed, with the token.
    pub address: String,
    /// `http://127.0.0.1:port`
    pub origin: String,
    pub token: String,
    /// Keeps its standard output open.
    _lines: Receiver<String>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The example that is one plugin of each kind, which Cargo builds for all tests; none, with a reason, when only some are built.
pub fn conformance() -> Option<PathBuf> {
    let example = Path::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).with_file_name("examples").join("conformance");
    found(example.is_file(), "no example (cargo build --example conformance)").then_some(example)
}

/// Returns whether something that cases need is there. It must be when the browser's tests are required.
pub fn found(found: bool, reason: &str) -> bool {
    let is_required = std::env::var("DIFY_BROWSER_TESTS").is_ok_and(|value| value == "required");
    assert!(found || !is_required, "the browser's tests are required: {reason}");
    if !found {
        println!("skipped: {reason}");
    }
    found
}

/// Whether the executable has the command: it is a feature.
pub fn built() -> bool {
    let help = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).args(["workbench", "--help"]).output().unwrap();
    help.status.success()
}

impl Workbench {
    /// On a plugin of the executable itself.
    pub fn start(runtime: &Handle, directory: &Path) -> Self {
        Self::start_with(runtime, directory, &[], &[])
    }

    /// With options of the command line, or on a plugin that is any command.
    pub fn start_with(runtime: &Handle, directory: &Path, options: &[&str], command: &[&Path]) -> Self {
        let mut workbench = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
        workbench.arg("workbench").arg(directory).args(["--port", "0", "--no-open"]).args(options);
        if !command.is_empty() {
            workbench.arg("--").args(command);
        }
        workbench.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = workbench.spawn().expect("the workbench does not start");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let address = loop {
            let line = lines.recv_timeout(TIMEOUT).expect("the workbench printed no address");
            if let Some(address) = line.strip_prefix("workbench: ") {
                break address.to_owned();
            }
        };
        let (origin, token) = address.split_once("/#token=").expect("an address without a token");
        Self {
            child,
            runtime: runtime.clone(),
            client: crate::driver::loopback_client(),
            origin: origin.to_owned(),
            token: token.to_owned(),
            address,
            _lines: lines,
        }
    }

    /// A call of the API, as the page makes it.
    pub fn api(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.origin))
            .bearer_auth(&self.token)
            .header("origin", &self.origin)
            .header("sec-fetch-site", "same-origin");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let (status, text) = self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        });
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Drop for Workbench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a plugin's directory, which a test may change.
pub fn copied(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(from, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
