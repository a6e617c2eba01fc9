//! The kinds beside models: the same plugin on this library and on Dify's Python SDK, with the same declarations.

use std::time::Duration;

use serde_json::{Value, json};

use crate::calls;
use crate::driver::{self, Plugin};
use crate::table::{Cell, cell, print_medians, thousands};

/// A plugin twice: its tools with an endpoint, and its agent strategy. A package holds one of the two.
struct Subject {
    name: &'static str,
    tools: Program,
    /// None of the floor, which answers nothing but tools.
    agent: Option<Program>,
}

struct Program {
    command: Vec<String>,
    directory: String,
}

/// Prints the table.
pub fn run() {
    print_medians(&subjects(), |subject| subject.name, once);
}

/// From the environment: `KINDS` is the directory of our executables, `KINDS_INSTALLED` that of the installed packages, and
/// `REFERENCE_PYTHON` the interpreter with the SDK.
fn subjects() -> Vec<Subject> {
    let here = std::env::current_dir().unwrap().display().to_string();
    let declarations = |kind: &str| format!("{here}/bench/kinds/{kind}");
    let program = |command: &[String], directory: String| Program { command: command.to_vec(), directory };
    let interpreted =
        |python: String, directory: String| program(&[python, "-m".to_owned(), "main".to_owned()], directory);
    let executables = std::env::var("KINDS").expect("KINDS is the directory of the executables");
    let mut subjects = vec![Subject {
        name: "ours",
        tools: program(&[format!("{executables}/bench-tools")], declarations("tools")),
        agent: Some(program(&[format!("{executables}/bench-agent")], declarations("agent"))),
    }];
    if let Ok(installed) = std::env::var("KINDS_INSTALLED") {
        let launched = |kind: &str| {
            let directory = format!("{installed}/{kind}");
            interpreted(format!("{directory}/.venv/bin/python"), directory)
        };
        subjects.push(Subject {
            name: "ours, installed (launcher)",
            tools: launched("bench"),
            agent: Some(launched("bench_agent")),
        });
    }
    if let Ok(python) = std::env::var("REFERENCE_PYTHON") {
        subjects.push(Subject {
            name: "Python SDK",
            tools: interpreted(python.clone(), declarations("tools")),
            agent: Some(interpreted(python, declarations("agent"))),
        });
    }
    let own = std::env::current_exe().unwrap().display().to_string();
    let floor = program(&[own, "answer".to_owned()], here.clone());
    subjects.push(Subject { name: "floor", tools: floor, agent: None });
    subjects
}

fn start(program: &Program) -> Plugin {
    Plugin::start(&program.command, &program.directory)
}

fn once(subject: &Subject) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut plugin = start(&subject.tools);
    cells.push(cell("cold start to first heartbeat", "ms", plugin.cold_start_ms));
    std::thread::sleep(Duration::from_secs(1));
    cells.push(cell("resident memory, idle", "MB", plugin.memory().0));
    plugin.requests(&greet(), 10, 1);
    let single = driver::merged((0..200).map(|_| plugin.requests(&greet(), 1, 1)));
    cells.push(cell("one tool call: p50", "ms", single.ended_percentile(50)));
    cells.push(cell("one tool call: p99", "ms", single.ended_percentile(99)));
    for sessions in [100, 1_000] {
        let at_once = plugin.requests(&greet(), sessions, 1);
        let row = |what: &str| format!("{} tool calls at once: {what}", thousands(sessions));
        cells.push(cell(row("p50"), "ms", at_once.ended_percentile(50)));
        cells.push(cell(row("p99"), "ms", at_once.ended_percentile(99)));
        if sessions == 1_000 {
            cells.push(cell(row("CPU per call"), "µs", at_once.cpu_ms * 1000.0 / sessions as f64));
            cells.push(cell(row("the driver's CPU per call"), "µs", at_once.driver_cpu_ms * 1000.0 / sessions as f64));
        }
    }
    let endpoint = plugin.requests(&hello(), 1_000, 1);
    cells.push(cell("endpoint, 1,000 requests at once", "requests/s", endpoint.chunks_per_second()));
    cells.push(cell("peak memory of all these", "MB", plugin.memory().1));
    drop(plugin);

    let whole = subject.agent.as_ref();
    let [wall, peak] = whole.map_or([f64::NAN; 2], |_| file_of_20_mb(&subject.tools));
    cells.push(cell("file of 20 MB", "ms", wall));
    cells.push(cell("file of 20 MB: peak memory", "MB", peak));

    let [wall, cpu, peak] = whole.map_or([f64::NAN; 3], agent_runs);
    let row = |what: &str| format!("1,000 agent runs that call a model of {} chunks: {what}", calls::CHUNKS);
    cells.push(cell(row("wall"), "ms", wall));
    cells.push(cell(row("CPU"), "ms", cpu));
    cells.push(cell(row("peak memory"), "MB", peak));
    cells
}

/// Time in ms and peak memory in MB.
fn file_of_20_mb(tools: &Program) -> [f64; 2] {
    let mut plugin = start(tools);
    plugin.requests(&greet(), 1, 1);
    let file = plugin.requests(&file(20_000_000), 1, 1);
    [file.wall_ms, plugin.memory().1]
}

/// Time and CPU in ms, and peak memory in MB.
fn agent_runs(agent: &Program) -> [f64; 3] {
    let mut plugin = start(agent);
    plugin.requests(&ask(), 1, 1);
    let runs = plugin.requests(&ask(), 1_000, 1);
    [runs.wall_ms, runs.cpu_ms, plugin.memory().1]
}

fn tool(name: &str, parameters: Value) -> Value {
    json!({"user_id": "u", "type": "tool", "action": "invoke_tool", "provider": "bench", "tool": name,
        "credentials": {}, "credential_type": "api-key", "tool_parameters": parameters})
}

fn greet() -> Value {
    tool("greet", json!({"name": "Ada"}))
}

fn file(bytes: usize) -> Value {
    tool("file", json!({"bytes": bytes}))
}

fn hello() -> Value {
    let request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    json!({"user_id": "", "type": "endpoint", "action": "invoke_endpoint", "settings": {},
        "raw_http_request": request.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()})
}

fn ask() -> Value {
    json!({"user_id": "u", "type": "agent_strategy", "action": "invoke_agent_strategy",
        "agent_strategy_provider": "bench", "agent_strategy": "ask", "agent_strategy_params": {"query": "Hi"}})
}
