//! The daemon's side: starts a plugin, writes requests, and looks at the lines that come back as little as it can.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::json;

/// A running plugin.
pub struct Plugin {
    child: Child,
    input: ChildStdin,
    lines: Receiver<(Instant, Vec<u8>)>,
    /// From start to the first line.
    pub cold_start_ms: f64,
    sessions: usize,
}

/// A number of equal sessions.
pub struct Run<'a> {
    pub provider: &'a str,
    pub address: &'a str,
    pub sessions: usize,
    pub chunks: usize,
    pub pause_ms: u64,
    pub prompt: usize,
}

/// What came back.
pub struct Outcome {
    pub first_chunk_ms: Vec<f64>,
    pub wall_ms: f64,
    pub chunks: usize,
    pub cpu_ms: f64,
}

impl Outcome {
    pub fn chunks_per_second(&self) -> f64 {
        self.chunks as f64 / (self.wall_ms / 1000.0)
    }

    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.first_chunk_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }
}

impl Plugin {
    pub fn start(command: &[String], directory: &str) -> Self {
        let started = Instant::now();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(directory)
            .env("INSTALL_METHOD", "local")
            .env("MAX_WORKER", "10000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::with_capacity(1 << 20, child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match output.read_until(b'\n', &mut line) {
                    Ok(count) if count > 0 => drop(sender.send((Instant::now(), line))),
                    _ => return,
                }
            }
        });
        let ready = loop {
            let (at, line) = lines.recv_timeout(Duration::from_secs(60)).expect("no first line");
            if memchr::memmem::find(&line, b"heartbeat").is_some() {
                break at;
            }
        };
        Self { child, input, lines, cold_start_ms: ready.duration_since(started).as_secs_f64() * 1000.0, sessions: 0 }
    }

    /// Resident memory now and at its peak, in MB.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (field("VmRSS"), field("VmHWM"))
    }

    /// CPU time so far, in ms.
    fn cpu_ms(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
    }

    pub fn run(&mut self, run: &Run<'_>) -> Outcome {
        let prompt = "x".repeat(run.prompt);
        let cpu = self.cpu_ms();
        let started = Instant::now();
        let mut asked = HashMap::new();
        for _ in 0..run.sessions {
            self.sessions += 1;
            let session = format!("s{}", self.sessions);
            let line = json!({"session_id": session, "event": "request", "data": {
                "user_id": "u", "type": "model", "action": "invoke_llm", "provider": run.provider,
                "model": format!("chunks-{}-{}", run.chunks, run.pause_ms), "model_type": "llm",
                "credentials": {"endpoint_url": run.address, "auth_method": "api_key", "api_key": "k", "mode": "chat",
                    "context_size": "20000000", "max_tokens_to_sample": "4096"},
                "model_parameters": {}, "tools": [], "stop": [], "stream": true,
                "prompt_messages": [{"role": "user", "content": prompt, "name": "", "tool_calls": [], "tool_call_id": ""}],
            }});
            asked.insert(session, Instant::now());
            self.input.write_all(format!("{line}\n").as_bytes()).unwrap();
            self.input.flush().unwrap();
        }
        let mut first = HashMap::with_capacity(run.sessions);
        let (mut ended, mut last) = (0, started);
        while ended < run.sessions {
            let (at, line) = self.lines.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| {
                panic!(
                    "the plugin is silent: {ended} of {} ended, {} began, chunks {}",
                    run.sessions,
                    first.len(),
                    run.chunks
                )
            });
            let Some(session) = session_of(&line) else { continue };
            if memchr::memmem::find(&line, b"\"type\":\"end\"").is_some() {
                ended += 1;
                last = at;
            } else if memchr::memmem::find(&line, b"\"type\":\"error\"").is_some() {
                panic!("{}", String::from_utf8_lossy(&line));
            } else if !first.contains_key(session) {
                first.insert(session.to_owned(), at);
            }
        }
        let first_chunk_ms =
            asked.iter().map(|(session, asked)| first[session].duration_since(*asked).as_secs_f64() * 1000.0).collect();
        Outcome {
            first_chunk_ms,
            wall_ms: last.duration_since(started).as_secs_f64() * 1000.0,
            chunks: run.sessions * run.chunks,
            cpu_ms: self.cpu_ms() - cpu,
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn session_of(line: &[u8]) -> Option<&str> {
    let key = b"\"session_id\":";
    let at = memchr::memmem::find(line, key)? + key.len();
    let rest = line[at..].trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}
