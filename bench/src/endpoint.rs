//! The plugin `openai-endpoint` and the Python plugin that is installed for the same purpose, with the same requests: chats that
//! clients stream. The model is played by the driver: 100 chunks per answer, 20 ms apart, the first one at once.
//!
//! The first item with a part of the answer counts, not one with headers alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::{Model, WORD};
use crate::driver::{self, Outcome, Plugin};
use crate::table::{Cell, cell, print_medians};

const KEY: &str = "sk-0123456789abcdef";

const PACED: Model = Model { chunks: 100, pause: Duration::from_millis(20) };

struct Subject {
    name: &'static str,
    command: Vec<String>,
    directory: String,
}

/// Prints the table.
pub fn run() {
    print_medians(&subjects(), |subject| subject.name, once);
}

/// From the environment: `ENDPOINT` is our executable, `ENDPOINT_INSTALLED` the directory of the installed package, and
/// `ENDPOINT_PYTHON` the directory of the Python plugin, which runs with `REFERENCE_PYTHON`.
fn subjects() -> Vec<Subject> {
    let interpreted = |name, python: String, directory: String| Subject {
        name,
        command: vec![python, "-m".to_owned(), "main".to_owned()],
        directory,
    };
    let executable = std::env::var("ENDPOINT").expect("ENDPOINT is our executable");
    let directory = format!("{}/plugins/openai-endpoint", std::env::current_dir().unwrap().display());
    let mut subjects = vec![Subject { name: "ours", command: vec![executable], directory }];
    if let Ok(installed) = std::env::var("ENDPOINT_INSTALLED") {
        let python = format!("{installed}/.venv/bin/python");
        subjects.push(interpreted("ours, installed (launcher)", python, installed));
    }
    if let (Ok(directory), Ok(python)) = (std::env::var("ENDPOINT_PYTHON"), std::env::var("REFERENCE_PYTHON")) {
        subjects.push(interpreted("oaicompat_dify_model", python, directory));
    }
    subjects
}

fn once(subject: &Subject) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut plugin = Plugin::start(&subject.command, &subject.directory);
    cells.push(cell("cold start to first heartbeat", "ms", plugin.cold_start_ms));
    std::thread::sleep(Duration::from_secs(1));
    cells.push(cell("resident memory, idle", "MB", plugin.memory().0));
    let short = Model { chunks: 5, ..PACED };
    streams(&mut plugin, 1, short);
    let single = driver::merged((0..50).map(|_| streams(&mut plugin, 1, short)));
    cells.push(cell("one stream: first chunk p50", "ms", single.percentile(50)));
    cells.push(cell("one stream: first chunk p99", "ms", single.percentile(99)));
    let at_once = Model { chunks: 5_000, pause: Duration::ZERO };
    cells.push(cell("one stream, not paced", "chunks/s", streams(&mut plugin, 1, at_once).chunks_per_second()));
    drop(plugin);
    for sessions in [100, 500] {
        let mut plugin = Plugin::start(&subject.command, &subject.directory);
        streams(&mut plugin, 1, short);
        let all = streams(&mut plugin, sessions, PACED);
        let row = |what: &str| format!("{sessions} streams: {what}");
        cells.push(cell(row("first chunk p50"), "ms", all.percentile(50)));
        cells.push(cell(row("first chunk p99"), "ms", all.percentile(99)));
        cells.push(cell(row("chunks/s"), "chunks/s", all.chunks_per_second()));
        cells.push(cell(row("wall (ideal 2,000)"), "ms", all.wall_ms));
        cells.push(cell(row("CPU"), "ms", all.cpu_ms));
        cells.push(cell(row("peak memory"), "MB", plugin.memory().1));
    }
    cells
}

/// Streams at once, each with all of its chunks.
fn streams(plugin: &mut Plugin, sessions: usize, model: Model) -> Outcome {
    let word: String = hex(WORD);
    let mut words = 0;
    let is_chunk = &mut |line: &[u8]| {
        let found = memchr::memmem::find_iter(line, word.as_bytes()).count();
        words += found;
        found > 0
    };
    let outcome = plugin.requests_with(&request(), sessions, model.chunks, model, is_chunk);
    assert_eq!(words, sessions * model.chunks, "chunks were lost");
    outcome
}

fn request() -> Value {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let model = json!({"provider": "acme/models/acme", "model": "m", "model_type": "llm", "mode": "chat", "completion_params": {}});
    json!({"user_id": "", "type": "endpoint", "action": "invoke_endpoint", "settings": {"api_key": KEY, "llm": model},
        "raw_http_request": hex(&request)})
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
