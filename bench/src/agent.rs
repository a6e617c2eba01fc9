//! The plugin `agent` and Dify's own, side by side: conversations in which a scripted model calls tools. Dify's side answers
//! at once, or as late as a slow tool.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::driver::{Plugin, SILENCE};
use crate::table::{Cell, cell, print_medians};

/// Chunks of text of each response of the model.
const CHUNKS: usize = 20;

struct Subject {
    name: &'static str,
    command: Vec<String>,
    directory: String,
}

/// What the model does, and how long each tool takes.
#[derive(Clone, Copy)]
struct Script {
    /// Calls of each round.
    calls: usize,
    /// Rounds with calls.
    rounds: usize,
    tool: Duration,
}

/// Prints the table.
pub fn run() {
    print_medians(&subjects(), |subject| subject.name, once);
}

/// From the environment: `AGENT` is our executable, `OFFICIAL_AGENT` the directory of Dify's own plugin, which
/// `REFERENCE_PYTHON` runs.
fn subjects() -> Vec<Subject> {
    let here = std::env::current_dir().unwrap().display().to_string();
    let ours = std::env::var("AGENT").expect("AGENT is the executable of plugins/agent");
    let directory = format!("{here}/plugins/agent");
    let mut subjects = vec![Subject { name: "ours", command: vec![ours], directory }];
    if let (Ok(directory), Ok(python)) = (std::env::var("OFFICIAL_AGENT"), std::env::var("REFERENCE_PYTHON")) {
        assert!(Path::new(&directory).join("manifest.yaml").exists(), "OFFICIAL_AGENT is the directory of a plugin");
        let command = [&python, "-m", "main"].map(str::to_owned).to_vec();
        subjects.push(Subject { name: "Dify's own (Python)", command, directory });
    }
    subjects
}

fn once(subject: &Subject) -> Vec<Cell> {
    let mut cells = Vec::new();
    let five = Script { calls: 1, rounds: 5, tool: Duration::ZERO };
    let mut plugin = Plugin::start(&subject.command, &subject.directory);
    cells.push(cell("cold start to first heartbeat", "ms", plugin.cold_start_ms));
    std::thread::sleep(Duration::from_secs(1));
    cells.push(cell("resident memory, idle", "MB", plugin.memory().0));
    converse(&mut plugin, 1, five);
    cells.push(cell("one conversation of five tool calls: wall", "ms", converse(&mut plugin, 1, five).wall_ms));
    let outcome = converse(&mut plugin, 200, five);
    let row = |what: &str| format!("200 conversations of five tool calls: {what}");
    cells.push(cell(row("wall"), "ms", outcome.wall_ms));
    cells.push(cell(row("CPU"), "ms", outcome.cpu_ms));
    cells.push(cell(row("peak memory"), "MB", plugin.memory().1));
    let four = Script { calls: 4, rounds: 1, tool: Duration::from_secs(1) };
    cells.push(cell("one round of four tools of 1 s: wall", "ms", converse(&mut plugin, 1, four).wall_ms));
    let outcome = converse(&mut plugin, 200, four);
    cells.push(cell("200 rounds of four tools of 1 s: wall", "ms", outcome.wall_ms));
    cells
}

struct Outcome {
    wall_ms: f64,
    cpu_ms: f64,
}

/// So many equal conversations at once.
fn converse(plugin: &mut Plugin, sessions: usize, script: Script) -> Outcome {
    let data = request(script).to_string();
    let (cpu, started) = (plugin.cpu_ms(), Instant::now());
    let mut answered: HashMap<String, bool> = HashMap::with_capacity(sessions);
    for _ in 0..sessions {
        let session = plugin.next_session();
        plugin.write(format!("{{\"session_id\":\"{session}\",\"event\":\"request\",\"data\":{data}}}\n").as_bytes());
        answered.insert(session, false);
    }
    // What a tool answers later, by time: each takes as long as the others, so that the order is that of the calls.
    let mut late: std::collections::VecDeque<(Instant, Vec<u8>)> = std::collections::VecDeque::new();
    let (mut ended, mut last, mut heard) = (0, started, started);
    while ended < sessions {
        let wait = late.front().map_or(SILENCE, |(due, _)| due.saturating_duration_since(Instant::now()));
        let received = plugin.receive(wait);
        while late.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, lines) = late.pop_front().unwrap();
            plugin.write(&lines);
        }
        // Heartbeats are of no session.
        assert!(heard.elapsed() < SILENCE, "the plugin is silent: {ended} of {sessions} conversations ended");
        for (at, line) in received.unwrap_or_default() {
            // The SDK separates its lines by empty ones.
            let Ok(line) = serde_json::from_slice::<Value>(&line) else { continue };
            let Some(session) = line["session_id"].as_str() else { continue };
            let Some(has_answered) = answered.get_mut(session) else { continue };
            heard = at;
            match line["data"]["type"].as_str() {
                Some("end") => {
                    assert!(*has_answered, "a conversation ended without its answer");
                    (ended, last) = (ended + 1, at);
                }
                Some("error") => panic!("{line}"),
                Some("invoke") => match answer(&line, session, script) {
                    (lines, Duration::ZERO) => plugin.write(&lines),
                    (lines, delay) => late.push_back((Instant::now() + delay, lines)),
                },
                _ => {
                    *has_answered |=
                        line["data"]["data"]["message"]["text"].as_str().is_some_and(|text| text.contains("done"))
                }
            }
        }
    }
    Outcome { wall_ms: last.duration_since(started).as_secs_f64() * 1000.0, cpu_ms: plugin.cpu_ms() - cpu }
}

/// The lines that answer a call back, and when.
fn answer(line: &Value, session: &str, script: Script) -> (Vec<u8>, Duration) {
    let call = &line["data"]["data"];
    let mut lines = String::new();
    let mut write = |event: &str, data: Value| {
        let data = json!({"backwards_request_id": call["backwards_request_id"], "event": event, "message": "stream",
            "data": data});
        lines.push_str(&json!({"session_id": session, "event": "backwards_response", "data": data}).to_string());
        lines.push('\n');
    };
    let is_model = call["type"] == "llm";
    if is_model {
        let messages = call["request"]["prompt_messages"].as_array().unwrap();
        let results = messages.iter().filter(|message| message["role"] == "tool").count();
        let done = results >= script.calls * script.rounds;
        for index in 0..CHUNKS {
            write("response", chunk(if done { "done " } else { "word " }, json!([]), index, false));
        }
        let calls: Vec<Value> = (0..if done { 0 } else { script.calls })
            .map(|index| {
                json!({"id": format!("call-{results}-{index}"), "type": "function",
                    "function": {"name": "search", "arguments": "{\"query\": \"news\"}"}})
            })
            .collect();
        write("response", chunk("", json!(calls), CHUNKS, true));
    } else {
        let text = "A result of some words, as a tool returns it. ".repeat(20);
        write("response", json!({"type": "text", "message": {"text": text}, "meta": null}));
    }
    write("end", Value::Null);
    (lines.into_bytes(), if is_model { Duration::ZERO } else { script.tool })
}

fn chunk(text: &str, calls: Value, index: usize, is_last: bool) -> Value {
    let usage = json!({"prompt_tokens": 10, "prompt_unit_price": "0.001", "prompt_price_unit": "0.001",
        "prompt_price": "0.00001", "completion_tokens": 5, "completion_unit_price": "0.002",
        "completion_price_unit": "0.001", "completion_price": "0.00001", "total_tokens": 15,
        "total_price": "0.00002", "currency": "USD", "latency": 0.1});
    json!({"model": "m", "prompt_messages": [], "system_fingerprint": "",
        "delta": {"index": index, "message": {"role": "assistant", "content": text, "name": "", "tool_calls": calls},
            "usage": is_last.then_some(usage), "finish_reason": is_last.then_some("stop")}})
}

/// The request of an agent node.
fn request(script: Script) -> Value {
    let label = json!({"en_US": "m"});
    let entity = json!({"model": "m", "label": label, "model_type": "llm", "fetch_from": "predefined-model",
        "features": ["tool-call", "multi-tool-call", "stream-tool-call"], "deprecated": false, "pricing": null,
        "model_properties": {"mode": "chat", "context_size": 128_000}, "parameter_rules": []});
    let model = json!({"provider": "bench/bench/bench", "model": "m", "model_type": "llm", "mode": "chat",
        "completion_params": {}, "history_prompt_messages": [], "entity": entity});
    let parameter = json!({"name": "query", "label": label, "human_description": label, "type": "string", "form": "llm",
        "llm_description": "What to search for", "required": true});
    let tool = json!({"identity": {"author": "bench", "name": "search", "label": label, "provider": "bench/search/search"},
        "description": {"human": label, "llm": "Searches."}, "parameters": [parameter], "output_schema": null,
        "has_runtime_parameters": false, "provider_type": "builtin", "credential_id": null, "runtime_parameters": {}});
    json!({"user_id": "u", "type": "agent_strategy", "action": "invoke_agent_strategy", "agent_strategy_provider": "agent",
        "agent_strategy": "function_calling", "agent_strategy_params": {"model": model, "tools": [tool],
            "instruction": "Be brief.", "query": "What is new?", "maximum_iterations": script.rounds + 2}})
}
