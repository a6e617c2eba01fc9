//! The daemon's side: starts a plugin, writes requests, and looks at the lines that come back as little as it can.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::calls;

/// A running plugin.
pub struct Plugin {
    child: Child,
    input: ChildStdin,
    lines: Receiver<(Instant, Vec<u8>)>,
    /// From start to the first line.
    pub cold_start_ms: f64,
    sessions: usize,
}

/// What every session of a run asks for.
#[derive(Clone, Copy)]
pub enum Ask {
    /// So many chunks, so many milliseconds apart.
    Chunks(usize, u64),
    /// One chunk about a prompt of so many bytes.
    Prompt(usize),
    /// One chunk about an image of this many bytes.
    Image(usize),
    /// Vectors of so many texts.
    Vectors(usize),
}

/// Marks each text to be embedded, so that the upstream can count them.
pub const TEXT: &[u8] = b"a text of some hundred letters";

/// A number of equal sessions.
pub struct Run<'a> {
    pub provider: &'a str,
    pub address: &'a str,
    pub sessions: usize,
    pub ask: Ask,
}

impl Run<'_> {
    fn chunks(&self) -> usize {
        if let Ask::Chunks(chunks, _) = self.ask { chunks } else { 1 }
    }

    /// The `data` of a request.
    fn request(&self) -> Value {
        let (chunks, pause) = if let Ask::Chunks(chunks, pause) = self.ask { (chunks, pause) } else { (1, 0) };
        let mut data = json!({"user_id": "u", "type": "model", "action": "invoke_llm", "provider": self.provider,
            "model": format!("chunks-{chunks}-{pause}"), "model_type": "llm",
            "credentials": {"endpoint_url": self.address, "auth_method": "api_key", "api_key": "k", "mode": "chat",
                "context_size": "20000000", "max_tokens_to_sample": "4096", "vision_support": "support", "max_chunks": "32"},
            "model_parameters": {}, "tools": [], "stop": [], "stream": true});
        let content = match self.ask {
            Ask::Chunks(..) => json!("Hi"),
            Ask::Prompt(bytes) => json!("x".repeat(bytes)),
            Ask::Image(bytes) => json!([
                {"type": "text", "data": "What is this?"},
                {"type": "image", "format": "png", "mime_type": "image/png", "url": "", "detail": "low",
                    "base64_data": "AAAA".repeat(bytes / 3)},
            ]),
            Ask::Vectors(texts) => {
                data["action"] = json!("invoke_text_embedding");
                data["model_type"] = json!("text-embedding");
                data["texts"] = (0..texts).map(|text| format!("{} {text}", String::from_utf8_lossy(TEXT))).collect();
                data["input_type"] = json!("document");
                return data;
            }
        };
        data["prompt_messages"] =
            json!([{"role": "user", "content": content, "name": "", "tool_calls": [], "tool_call_id": ""}]);
        data
    }
}

/// What came back.
pub struct Outcome {
    pub first_chunk_ms: Vec<f64>,
    /// From each request to the end of its session.
    pub ended_ms: Vec<f64>,
    pub wall_ms: f64,
    pub chunks: usize,
    pub cpu_ms: f64,
}

impl Outcome {
    pub fn chunks_per_second(&self) -> f64 {
        self.chunks as f64 / (self.wall_ms / 1000.0)
    }

    pub fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.first_chunk_ms, percent)
    }

    /// The same of the whole sessions.
    pub fn ended_percentile(&self, percent: usize) -> f64 {
        percentile(&self.ended_ms, percent)
    }
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The times of several runs together.
pub fn merged(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    outcomes
        .reduce(|mut all, more| {
            all.first_chunk_ms.extend(more.first_chunk_ms);
            all.ended_ms.extend(more.ended_ms);
            all
        })
        .unwrap()
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

    /// CPU time so far of the live threads, in ms; the kernel reports nanoseconds.
    fn cpu_ms(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let spent = tasks.filter_map(|task| {
            let schedstat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split_whitespace().next()?.parse::<f64>().ok()
        });
        spent.sum::<f64>() / 1e6
    }

    pub fn run(&mut self, run: &Run<'_>) -> Outcome {
        self.requests(&run.request(), run.sessions, run.chunks())
    }

    /// So many equal sessions at once, each of so many chunks. A call back into Dify is answered at once: see [`calls`].
    pub fn requests(&mut self, data: &Value, sessions: usize, chunks: usize) -> Outcome {
        let data = data.to_string();
        let cpu = self.cpu_ms();
        let started = Instant::now();
        let mut asked = HashMap::new();
        for _ in 0..sessions {
            self.sessions += 1;
            let session = format!("s{}", self.sessions);
            let line = format!("{{\"session_id\":\"{session}\",\"event\":\"request\",\"data\":{data}}}\n");
            asked.insert(session, Instant::now());
            self.write(line.as_bytes());
        }
        let mut first = HashMap::with_capacity(sessions);
        let mut ended_ms = Vec::with_capacity(sessions);
        let mut last = started;
        while ended_ms.len() < sessions {
            let (at, line) = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| {
                panic!(
                    "the plugin is silent: {} of {sessions} ended, {} began, chunks {chunks}",
                    ended_ms.len(),
                    first.len()
                )
            });
            let Some(session) = session_of(&line) else { continue };
            if memchr::memmem::find(&line, b"\"type\":\"end\"").is_some() {
                ended_ms.push(milliseconds(at, asked[session]));
                last = at;
            } else if memchr::memmem::find(&line, b"\"type\":\"error\"").is_some() {
                panic!("{}", String::from_utf8_lossy(&line));
            } else if let Some(lines) = calls::answer(&line, session) {
                self.write(&lines);
            } else if !first.contains_key(session) {
                first.insert(session.to_owned(), at);
            }
        }
        Outcome {
            first_chunk_ms: asked.iter().map(|(session, asked)| milliseconds(first[session], *asked)).collect(),
            ended_ms,
            wall_ms: milliseconds(last, started),
            chunks: sessions * chunks,
            cpu_ms: self.cpu_ms() - cpu,
        }
    }

    fn write(&mut self, lines: &[u8]) {
        self.input.write_all(lines).unwrap();
        self.input.flush().unwrap();
    }
}

fn milliseconds(later: Instant, earlier: Instant) -> f64 {
    later.duration_since(earlier).as_secs_f64() * 1000.0
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn session_of(line: &[u8]) -> Option<&str> {
    text_after(line, b"\"session_id\":")
}

/// The string that follows a key of a line, as it is written.
pub fn text_after<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = &line[memchr::memmem::find(line, key)? + key.len()..];
    let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}
