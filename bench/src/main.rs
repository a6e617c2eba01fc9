//! Side by side in one run: our executable, a Python plugin on the reference SDK, and a bare relay as the floor.
//!
//! `bench` drives each plugin over pipes as the daemon does and prints a Markdown table, ratios to the floor first.
//! `bench relay` is the floor itself: raw sockets, no TLS, no typed decoding. `bench echo` calls no upstream and responds by
//! itself: what it reaches is what the driver can measure at most. `bench kinds` measures tools, endpoints and agents; its
//! floor is `bench answer`. `bench agent` and `bench endpoint` measure the plugins `agent` and `openai-endpoint` beside the
//! Python plugins that they replace; `bench providers` measures twenty model plugins that were taken over.

mod agent;
mod answer;
mod calls;
mod debug_port;
mod driver;
mod endpoint;
mod kinds;
mod providers;
mod relay;
mod table;
mod upstream;

use std::time::Duration;

use driver::{Ask, Plugin, Run};
use table::{Cell, cell, print_medians, thousands};

struct Subject {
    name: &'static str,
    command: Vec<String>,
    directory: String,
    provider: &'static str,
}

impl Subject {
    /// The Python plugin takes minutes where the others take seconds: it gets a tenth of the requests, or none.
    fn is_slow(&self) -> bool {
        self.provider == "bench"
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("relay") => return relay::run(true),
        Some("echo") => return relay::run(false),
        Some("answer") => return answer::run(),
        Some("kinds") => return kinds::run(),
        Some("agent") => return agent::run(),
        Some("endpoint") => return endpoint::run(),
        Some("providers") => return providers::run(),
        _ => {}
    }
    let subjects = subjects();
    let address = upstream::start();
    print_medians(&subjects, |subject| subject.name, |subject| once(subject, &address));
}

fn subjects() -> Vec<Subject> {
    let root = std::env::current_dir().unwrap();
    let own = std::env::current_exe().unwrap().display().to_string();
    let here = root.display().to_string();
    let ours = std::env::var("PLUGIN").unwrap_or_else(|_| format!("{here}/target/release/dify-plugin-runtime"));
    let subject = |name, command: &[&str], directory: &str, provider| Subject {
        name,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        directory: directory.to_owned(),
        provider,
    };
    let mut subjects = vec![
        subject("floor", &[&own, "relay"], &here, "ai-gateway"),
        subject("driver's limit", &[&own, "echo"], &here, "ai-gateway"),
        subject("ours", &[&ours], &here, "ai-gateway"),
    ];
    if let Ok(installed) = std::env::var("INSTALLED") {
        let python = format!("{installed}/.venv/bin/python");
        subjects.push(subject("ours, installed (launcher)", &[&python, "-m", "main"], &installed, "ai-gateway"));
    }
    if let Ok(python) = std::env::var("REFERENCE_PYTHON") {
        subjects.push(subject("Python reference", &[&python, "-m", "main"], &format!("{here}/bench/python"), "bench"));
    }
    subjects
}

fn once(subject: &Subject, address: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |what: &str, unit, value| cells.push(cell(what, unit, value));
    let run = |sessions, ask| Run { provider: subject.provider, address, sessions, ask };
    let start = || Plugin::start(&subject.command, &subject.directory);
    let warm = |mut plugin: Plugin| {
        plugin.run(&run(1, Ask::Chunks(1, 0)));
        plugin
    };
    let part = if subject.is_slow() { 10 } else { 1 };

    let mut plugin = start();
    add("cold start to first heartbeat", "ms", plugin.cold_start_ms);
    std::thread::sleep(Duration::from_secs(1));
    add("resident memory, idle", "MB", plugin.memory().0);
    plugin.run(&run(1, Ask::Chunks(1, 0)));
    let mut singles = driver::merged((0..100 / part).map(|_| plugin.run(&run(1, Ask::Chunks(1, 0)))));
    add("first chunk, one request: p50", "ms", singles.percentile(50));
    add("first chunk, one request: p99", "ms", singles.percentile(99));
    add(
        "one stream of 20,000 chunks",
        "chunks/s",
        plugin.run(&run(1, Ask::Chunks(20_000 / part, 0))).chunks_per_second(),
    );
    let ten = plugin.run(&run(10, Ask::Chunks(5_000 / part, 0)));
    add("ten streams of 5,000 chunks", "chunks/s", ten.chunks_per_second());
    add("CPU per 1,000 chunks", "ms", ten.cpu_ms / (ten.chunks as f64 / 1000.0));
    drop(plugin);

    for sessions in [100, 500, 1_000, 5_000] {
        if subject.is_slow() && sessions > 1_000 {
            add("5,000 slow streams: first chunk p99", "ms", f64::NAN);
            continue;
        }
        let mut plugin = warm(start());
        let streams = plugin.run(&run(sessions, Ask::Chunks(50, 50)));
        let row = |what: &str| format!("{} slow streams: {what}", thousands(sessions));
        if sessions < 5_000 {
            add(&row("first chunk p50"), "ms", streams.percentile(50));
        }
        add(&row("first chunk p99"), "ms", streams.percentile(99));
        if sessions == 1_000 {
            add(&row("wall (ideal 2,500)"), "ms", streams.wall_ms);
            add(&row("peak memory"), "MB", plugin.memory().1);
            std::thread::sleep(Duration::from_secs(15));
            add(&row("memory 15 s after"), "MB", plugin.memory().0);
        }
    }

    let mut plugin = warm(start());
    singles = plugin.run(&run(1, Ask::Prompt(10_000_000)));
    add("prompt of 10 MB: first chunk", "ms", singles.percentile(50));
    singles = plugin.run(&run(1, Ask::Image(10_000_000)));
    add("image of 10 MB: first chunk", "ms", singles.percentile(50));
    add("prompt and image of 10 MB: peak memory", "MB", plugin.memory().1);
    plugin.run(&run(1, Ask::Vectors(1)));
    add("vectors of 1,000 texts", "ms", plugin.run(&run(1, Ask::Vectors(1_000))).wall_ms);
    cells
}
