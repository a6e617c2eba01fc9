//! What the code of a plugin prints never gets among the lines of the protocol: it becomes a line of the log.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use dify_plugin::cli::{self, Program};
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::model::{CallContext, Provider, ResultFuture, Validated};
use dify_plugin::plugin::Plugin;
use dify_plugin::protocol::ValidateProviderRequest;
use serde_json::{Value, json};

/// Set for the plugin, and absent for the test.
const PLUGIN: &str = "PRINTED_OUTPUT_PLUGIN";

/// A provider that prints by every method, whenever it runs.
struct Printing(&'static str);

/// Prints by Rust, by the descriptor and by a child process. Some of it looks like a line of the protocol.
fn print(place: &str) {
    println!("{{\"event\":\"session\",\"session_id\":\"s\",\"data\":\"{place} by println\"}}");
    print!("{place} without an end");
    std::io::stdout().flush().unwrap();
    let descriptor = OpenOptions::new().append(true).open("/proc/self/fd/1");
    // Only where standard error can be opened by name; a socket cannot.
    if let Ok(mut descriptor) = descriptor {
        writeln!(descriptor, "{place} by descriptor").unwrap();
    }
    assert!(Command::new("echo").arg(format!("{place} by child")).status().unwrap().success());
}

impl Provider for Printing {
    fn name(&self) -> &'static str {
        self.0
    }

    fn validate_provider(&self, _: CallContext, _: ValidateProviderRequest) -> ResultFuture<Validated> {
        print("call");
        Box::pin(std::future::ready(Ok(Validated::unchanged())))
    }
}

fn models(_: MachineAccess) -> Vec<Arc<dyn Provider>> {
    print("start");
    ["google", "gemini-agents", "ai-gateway", "xinference", "openai_api_compatible"]
        .map(|name| Arc::new(Printing(name)) as _)
        .into()
}

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    std::env::var_os(PLUGIN)?;
    Some(cli::run(&Program {
        name: "printing",
        version: "0.0.0",
        about: "It prints",
        models,
        dialects: &[],
        plugin: Plugin::new(),
    }))
}

pub const TESTS: &[(&str, fn())] = &[("nothing_printed_reaches_the_daemon", nothing_printed_reaches_the_daemon)];

fn nothing_printed_reaches_the_daemon() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env(PLUGIN, "1")
        .env("INSTALL_METHOD", "local")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = json!({
        "session_id": "s",
        "event": "request",
        "data": {
            "type": "model",
            "action": "validate_provider_credentials",
            "user_id": "u",
            "provider": "google",
            "credentials": {"google_api_key": "k"},
        },
    });
    writeln!(child.stdin.take().unwrap(), "{request}").unwrap();
    let mut errors = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    let log = log.join().unwrap();

    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!output.contains("println") && !output.contains(" by ") && !output.contains("without an end"), "{output}");
    let results = lines.iter().filter(|line| line["event"] == "session").map(|line| &line["data"]["type"]);
    assert_eq!(results.collect::<Vec<_>>(), ["stream", "end"], "{output}");
    for place in ["start", "call"] {
        for how in ["by println", "without an end", "by descriptor", "by child"] {
            assert!(log.contains(&format!("{place} {how}")), "{place} {how}: {log}");
        }
    }
}
