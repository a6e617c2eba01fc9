//! Twenty published model plugins, taken over into native packages and as they are in Python, installed as a daemon has them:
//! what it takes to start all of them and to keep all of them in memory, idle and while each streams ten responses; and the
//! same of one native process that serves all twenty. What it is not: a measurement of single providers, which `bench` makes.
//!
//! Memory is the proportional set size: a page that several processes share counts once.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::debug_port::{self, Process};
use crate::driver::{self, Outcome, Plugin, merged};
use crate::table::{Cell, cell, print_medians};
use crate::upstream;

/// Chunks of each response and the milliseconds between two, as the prompt asks the upstream for them.
const CHUNKS: usize = 50;
const PAUSE: u64 = 50;
const STREAMS: usize = 10;

/// Plugins that are measured together.
struct Subject {
    name: &'static str,
    /// The directories of the installed plugins.
    root: String,
    /// The executable that serves all of them in one process, for debugging. Otherwise each has a process of its own.
    executable: Option<String>,
    plugins: Vec<Value>,
    address: String,
}

/// Plugins that run.
struct Fleet {
    plugins: Vec<Plugin>,
    processes: Vec<u32>,
    /// The only process, if one serves all.
    _process: Option<Process>,
}

/// Prints the table. From the environment: `NATIVE` is the directory of the staged and installed packages, `EXECUTABLE` ours,
/// and `PYTHON_PLUGINS` the directory of the installed Python plugins. Their files are changed: each address of a public
/// service becomes one of the mock upstream.
pub fn run() {
    let address = upstream::start();
    let plugins: Vec<Value> = serde_json::from_str(include_str!("../providers.json")).unwrap();
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let subject = |name, root: &str, executable| {
        redirect(Path::new(root), &address);
        Subject { name, root: root.to_owned(), executable, plugins: plugins.clone(), address: address.clone() }
    };
    let native = variable("NATIVE");
    let mut subjects = vec![
        subject("ours, installed (20 processes)", &native, None),
        subject("ours, one process that debugs all", &native, Some(variable("EXECUTABLE"))),
    ];
    if let Ok(python) = std::env::var("PYTHON_PLUGINS") {
        subjects.push(subject("Python (20 processes)", &python, None));
    }
    print_medians(&subjects, |subject| subject.name, once);
}

impl Subject {
    fn directory(&self, plugin: &Value) -> String {
        format!("{}/{}", self.root, plugin["directory"].as_str().unwrap())
    }

    /// Starts one plugin as the daemon does: with the interpreter of its own environment.
    fn start(&self, plugin: &Value) -> Plugin {
        let directory = self.directory(plugin);
        let command = [format!("{directory}/.venv/bin/python"), "-m".to_owned(), "main".to_owned()];
        Plugin::start(&command, &directory)
    }

    /// Starts all at once.
    fn start_all(&self) -> Fleet {
        if let Some(executable) = &self.executable {
            let mut command = vec![executable.clone(), "debug".to_owned()];
            command.extend(self.plugins.iter().flat_map(|plugin| ["--from".to_owned(), self.directory(plugin)]));
            let names: Vec<String> =
                self.plugins.iter().map(|plugin| plugin["provider"].as_str().unwrap().to_owned()).collect();
            let (process, plugins) = debug_port::start(&command, &names);
            return Fleet { plugins, processes: vec![process.id()], _process: Some(process) };
        }
        let plugins: Vec<Plugin> = std::thread::scope(|scope| {
            let starts: Vec<_> = self.plugins.iter().map(|plugin| scope.spawn(|| self.start(plugin))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let processes = plugins.iter().map(Plugin::id).collect();
        Fleet { plugins, processes, _process: None }
    }

    /// The chat that each plugin is asked for.
    fn request(&self, plugin: &Value) -> Value {
        let mut credentials = plugin["credentials"].clone();
        for value in credentials.as_object_mut().unwrap().values_mut() {
            *value = json!(value.as_str().unwrap().replace("{address}", &self.address));
        }
        json!({"user_id": "u", "type": "model", "action": "invoke_llm", "provider": plugin["provider"],
            "model": plugin["model"], "model_type": "llm", "credentials": credentials, "model_parameters": {}, "tools": [],
            "stop": [], "stream": true, "prompt_messages": [{"role": "user", "content": format!("chunks-{CHUNKS}-{PAUSE}"),
                "name": "", "tool_calls": [], "tool_call_id": ""}]})
    }
}

/// Lets code and declarations call the mock upstream: every `https://HOST/PATH` becomes `http://UPSTREAM/HOST/PATH`.
fn redirect(directory: &Path, address: &str) {
    let upstream = format!("{}/", address.trim_end_matches("/v1"));
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != ".venv" {
                redirect(&path, address);
            }
        } else if name.ends_with(".py") || (name.ends_with(".yaml") && name != "manifest.yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("https://") {
                std::fs::write(&path, text.replace("https://", &upstream)).unwrap();
            }
        }
    }
}

fn once(subject: &Subject) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |what: &str, unit, value| cells.push(cell(what, unit, value));
    let one_by_one = match subject.executable {
        Some(_) => f64::NAN,
        None => subject.plugins.iter().map(|plugin| subject.start(plugin).cold_start_ms).sum(),
    };
    let begun = Instant::now();
    let mut fleet = subject.start_all();
    add("start, all at once", "ms", milliseconds(begun));
    add("start, one after the other", "ms", one_by_one);
    std::thread::sleep(Duration::from_secs(3));
    add("start, all at once: CPU", "ms", fleet.cpu_ms());
    add("memory, idle", "MB", fleet.memory());
    add("memory, idle, without pages of files", "MB", memory(&fleet.processes, "Pss_Anon:"));

    fleet.ask(subject, 1);
    std::thread::sleep(Duration::from_secs(3));
    add("memory, after one response of each", "MB", fleet.memory());
    let (outcome, peak) = fleet.ask(subject, STREAMS);
    add("ten streams of each: memory", "MB", peak);
    add("ten streams of each: first chunk p50", "ms", outcome.percentile(50));
    add("ten streams of each: first chunk p99", "ms", outcome.percentile(99));
    add("ten streams of each: wall (ideal 2,500)", "ms", outcome.wall_ms);
    add("ten streams of each: CPU", "ms", outcome.cpu_ms);
    std::thread::sleep(Duration::from_secs(15));
    add("memory 15 s after", "MB", fleet.memory());
    add("memory 15 s after, without pages of files", "MB", memory(&fleet.processes, "Pss_Anon:"));
    cells
}

impl Fleet {
    /// So many streams of each plugin, all at once; with the peak of the memory meanwhile.
    fn ask(&mut self, subject: &Subject, each: usize) -> (Outcome, f64) {
        let cpu = self.cpu_ms();
        let begun = Instant::now();
        let processes = self.processes.clone();
        let (outcome, peak) = std::thread::scope(|scope| {
            let asked: Vec<_> = self
                .plugins
                .iter_mut()
                .zip(&subject.plugins)
                .map(|(plugin, about)| {
                    let data = subject.request(about);
                    scope.spawn(move || plugin.requests(&data, each, CHUNKS))
                })
                .collect();
            let mut peak = 0_f64;
            while asked.iter().any(|asked| !asked.is_finished()) {
                peak = peak.max(memory(&processes, "Pss:"));
                std::thread::sleep(Duration::from_millis(250));
            }
            (merged(asked.into_iter().map(|asked| asked.join().unwrap())), peak)
        });
        (Outcome { wall_ms: milliseconds(begun), cpu_ms: self.cpu_ms() - cpu, ..outcome }, peak)
    }

    fn cpu_ms(&self) -> f64 {
        self.processes.iter().map(|process| driver::cpu_ms(*process)).sum()
    }

    fn memory(&self) -> f64 {
        memory(&self.processes, "Pss:")
    }
}

/// A field of the proportional set sizes of processes, added up in MB.
fn memory(processes: &[u32], field: &str) -> f64 {
    let kilobytes = processes.iter().map(|process| {
        let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
        let line = rollup.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    });
    kilobytes.sum::<f64>() / 1024.0
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
