//! Side by side in one run: our executable, a Python plugin on the reference SDK, and a bare relay as the floor.
//!
//! `bench` drives each plugin over pipes as the daemon does and prints a Markdown table, ratios to the floor first.
//! `bench relay` is the floor itself: raw sockets, no TLS, no typed decoding.

mod driver;
mod relay;
mod upstream;

use driver::{Plugin, Run};

/// Runs of each measurement unless `RUNS` says otherwise; medians are printed.
const RUNS: usize = 3;

struct Subject {
    name: &'static str,
    command: Vec<String>,
    directory: String,
    provider: &'static str,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "relay") {
        return relay::run();
    }
    let root = std::env::current_dir().unwrap();
    let own = std::env::current_exe().unwrap().display().to_string();
    let ours = std::env::var("PLUGIN")
        .unwrap_or_else(|_| root.join("target/release/dify-plugin-runtime").display().to_string());
    let mut subjects = vec![
        Subject {
            name: "floor",
            command: vec![own, "relay".into()],
            directory: root.display().to_string(),
            provider: "ai-gateway",
        },
        Subject { name: "ours", command: vec![ours], directory: root.display().to_string(), provider: "ai-gateway" },
    ];
    if let Ok(installed) = std::env::var("INSTALLED") {
        let python = format!("{installed}/.venv/bin/python");
        subjects.push(Subject {
            name: "ours, installed (launcher)",
            command: vec![python, "-m".into(), "main".into()],
            directory: installed,
            provider: "ai-gateway",
        });
    }
    if let Ok(python) = std::env::var("REFERENCE_PYTHON") {
        let directory = root.join("bench/python").display().to_string();
        subjects.push(Subject {
            name: "Python reference",
            command: vec![python, "-m".into(), "main".into()],
            directory,
            provider: "bench",
        });
    }
    let address = upstream::start();
    let results: Vec<(&str, Vec<f64>)> =
        subjects.iter().map(|subject| (subject.name, measure(subject, &address))).collect();
    print(&results);
}

/// What is measured: name, unit, and whether more is better.
const ROWS: [(&str, &str, bool); 15] = [
    ("cold start to first heartbeat", "ms", false),
    ("resident memory, idle", "MB", false),
    ("first chunk, one request", "ms", false),
    ("one stream of 20,000 chunks", "chunks/s", true),
    ("ten streams of 5,000 chunks", "chunks/s", true),
    ("CPU per 1,000 chunks", "ms", false),
    ("100 slow streams: first chunk p50", "ms", false),
    ("100 slow streams: first chunk p99", "ms", false),
    ("1,000 slow streams: first chunk p50", "ms", false),
    ("1,000 slow streams: first chunk p99", "ms", false),
    ("1,000 slow streams: wall (ideal 2,500)", "ms", false),
    ("1,000 slow streams: peak memory", "MB", false),
    ("1,000 slow streams: memory 15 s after", "MB", false),
    ("5,000 slow streams: first chunk p99", "ms", false),
    ("prompt of 10 MB: first chunk", "ms", false),
];

fn measure(subject: &Subject, address: &str) -> Vec<f64> {
    let count = std::env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let mut runs: Vec<Vec<f64>> = (0..count).map(|_| once(subject, address)).collect();
    (0..ROWS.len())
        .map(|row| {
            let mut values: Vec<f64> = runs.iter_mut().map(|run| run[row]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        })
        .collect()
}

fn once(subject: &Subject, address: &str) -> Vec<f64> {
    let start = || Plugin::start(&subject.command, &subject.directory);
    let run = |sessions, chunks, pause_ms, prompt| Run {
        provider: subject.provider,
        address,
        sessions,
        chunks,
        pause_ms,
        prompt,
    };
    let mut values = Vec::new();
    let mut plugin = start();
    values.push(plugin.cold_start_ms);
    std::thread::sleep(std::time::Duration::from_secs(1));
    values.push(plugin.memory().0);
    plugin.run(&run(1, 1, 0, 2));
    values.push(plugin.run(&run(1, 1, 0, 2)).first_chunk_ms[0]);
    let slow = subject.provider == "bench";
    let one = plugin.run(&run(1, if slow { 2_000 } else { 20_000 }, 0, 2));
    values.push(one.chunks_per_second());
    let ten = plugin.run(&run(10, if slow { 500 } else { 5_000 }, 0, 2));
    values.push(ten.chunks_per_second());
    values.push(ten.cpu_ms / (ten.chunks as f64 / 1000.0));
    drop(plugin);
    for (sessions, wall) in [(100, false), (1000, true)] {
        let mut plugin = start();
        plugin.run(&run(1, 1, 0, 2));
        let streams = plugin.run(&run(sessions, 50, 50, 2));
        values.push(streams.percentile(50));
        values.push(streams.percentile(99));
        if wall {
            values.push(streams.wall_ms);
            values.push(plugin.memory().1);
            std::thread::sleep(std::time::Duration::from_secs(15));
            values.push(plugin.memory().0);
        }
    }
    // The reference would take many minutes for these.
    let most = if slow { 0 } else { 5000 };
    let mut plugin = start();
    plugin.run(&run(1, 1, 0, 2));
    values.push(if most == 0 { f64::NAN } else { plugin.run(&run(most, 50, 50, 2)).percentile(99) });
    values.push(plugin.run(&run(1, 1, 0, 10_000_000)).first_chunk_ms[0]);
    values
}

fn print(results: &[(&str, Vec<f64>)]) {
    let names: Vec<&str> = results.iter().map(|(name, _)| *name).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (row, (what, unit, more)) in ROWS.iter().enumerate() {
        let floor = results[0].1[row];
        let cells: Vec<String> = results
            .iter()
            .enumerate()
            .map(|(column, (_, values))| {
                let value = values[row];
                if value.is_nan() {
                    return "–".to_owned();
                }
                let ratio = if *more { floor / value } else { value / floor };
                let shown = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
                if column == 0 { format!("{shown} {unit}") } else { format!("×{ratio:.1} ({shown})") }
            })
            .collect();
        println!("| {what} | {} |", cells.join(" | "));
    }
}
