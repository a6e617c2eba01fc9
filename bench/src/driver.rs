//! The daemon's side: starts a plugin, writes requests, and looks at the lines that come back as little as it can.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::calls::{Model, Responses};

/// How long a plugin may be silent.
pub const SILENCE: Duration = Duration::from_secs(60);

/// A running plugin.
pub struct Plugin {
    /// The process, unless another value owns it.
    child: Option<Child>,
    id: u32,
    input: Box<dyn Write + Send>,
    /// What each read returned, and when.
    output: Receiver<(Instant, Vec<u8>)>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
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
    /// CPU time of this process meanwhile.
    pub driver_cpu_ms: f64,
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
        let input = Box::new(child.stdin.take().unwrap());
        let stdout = child.stdout.take().unwrap();
        let id = child.id();
        let mut plugin = Self::over(stdout, input, id);
        plugin.child = Some(child);
        plugin.ready(started, b"heartbeat");
        plugin
    }

    /// The connection of a process to the debugging port; with what it registered.
    pub fn connected(stream: TcpStream, id: u32, started: Instant) -> (Self, String) {
        let mut plugin = Self::over(stream.try_clone().unwrap(), Box::new(stream), id);
        let registration = plugin.ready(started, b"\"type\":\"end\"");
        (plugin, registration)
    }

    fn over(mut from: impl Read + Send + 'static, input: Box<dyn Write + Send>, id: u32) -> Self {
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            loop {
                match from.read(&mut buffer) {
                    Ok(count) if count > 0 => drop(sender.send((Instant::now(), buffer[..count].to_vec()))),
                    _ => return,
                }
            }
        });
        Self { child: None, id, input, output, rest: Vec::new(), cold_start_ms: f64::NAN, sessions: 0 }
    }

    /// Waits for the first line with this text; the lines until then.
    fn ready(&mut self, started: Instant, text: &[u8]) -> String {
        let mut before = String::new();
        while self.cold_start_ms.is_nan() {
            let ready = self.read(SILENCE, |at, line| {
                before.push_str(&String::from_utf8_lossy(line));
                memchr::memmem::find(line, text).map(|_| at)
            });
            let first = ready.expect("no first line").into_iter().flatten().next();
            self.cold_start_ms = first.map_or(f64::NAN, |at| milliseconds(at, started));
        }
        before
    }

    /// Passes the complete lines of the next read to `take`; `None` if the plugin is silent for this time.
    fn read<T>(&mut self, timeout: Duration, mut take: impl FnMut(Instant, &[u8]) -> T) -> Option<Vec<T>> {
        let (at, bytes) = self.output.recv_timeout(timeout).ok()?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| self.rest.len() + end + 1);
        self.rest.extend_from_slice(&bytes);
        let taken = self.rest[..whole].split_inclusive(|byte| *byte == b'\n').map(|line| take(at, line)).collect();
        self.rest.drain(..whole);
        Some(taken)
    }

    /// Resident memory now and at its peak, in MB.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (field("VmRSS"), field("VmHWM"))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// CPU time so far of the live threads, in ms.
    pub fn cpu_ms(&self) -> f64 {
        cpu_ms(self.id)
    }

    pub fn run(&mut self, run: &Run<'_>) -> Outcome {
        self.requests(&run.request(), run.sessions, run.chunks())
    }

    /// So many equal sessions at once, each of so many chunks. A call back into Dify is answered at once: see [`calls`].
    pub fn requests(&mut self, data: &Value, sessions: usize, chunks: usize) -> Outcome {
        self.requests_with(data, sessions, chunks, Model::default(), &mut |_| true)
    }

    /// The same with another pace of the model; `is_chunk` sees every item, and decides which of them count as the first chunk.
    pub fn requests_with(
        &mut self,
        data: &Value,
        sessions: usize,
        chunks: usize,
        model: Model,
        is_chunk: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Outcome {
        let data = data.to_string();
        let before = self.sessions;
        let lines: Vec<String> = (0..sessions)
            .map(|_| {
                let session = self.next_session();
                format!("{{\"session_id\":\"{session}\",\"event\":\"request\",\"data\":{data}}}\n")
            })
            .collect();
        let (cpu, driver_cpu) = (cpu_ms(self.id), cpu_ms(std::process::id()));
        let started = Instant::now();
        let mut asked = Vec::with_capacity(sessions);
        for line in &lines {
            asked.push(Instant::now());
            self.write(line.as_bytes());
        }
        let mut first: Vec<Option<Instant>> = vec![None; sessions];
        let mut ended_ms = Vec::with_capacity(sessions);
        let mut last = started;
        let mut responses = Responses::new(model);
        let mut heard = Instant::now();
        while ended_ms.len() < sessions {
            let lines = responses.lines();
            if !lines.is_empty() {
                self.write(lines.as_bytes());
            }
            let wait = responses.wait().unwrap_or(SILENCE).min(SILENCE);
            let read = self.read(wait, |at, line| {
                let Some(session) = text_after(line, b"\"session_id\":") else { return };
                let number = session[1..].parse::<usize>().unwrap() - before;
                if memchr::memmem::find(line, b"\"type\":\"end\"").is_some() {
                    ended_ms.push(milliseconds(at, asked[number]));
                    last = at;
                } else if memchr::memmem::find(line, b"\"type\":\"error\"").is_some() {
                    panic!("{}", String::from_utf8_lossy(line));
                } else if !responses.begin(line, session) && is_chunk(line) {
                    first[number].get_or_insert(at);
                }
            });
            if read.is_some() {
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE {
                let (ended, began) = (ended_ms.len(), first.iter().flatten().count());
                panic!("the plugin is silent: {ended} of {sessions} ended, {began} began");
            }
        }
        Outcome {
            first_chunk_ms: first
                .iter()
                .zip(&asked)
                .map(|(first, asked)| milliseconds(first.unwrap(), *asked))
                .collect(),
            ended_ms,
            wall_ms: milliseconds(last, started),
            chunks: sessions * chunks,
            cpu_ms: cpu_ms(self.id) - cpu,
            driver_cpu_ms: cpu_ms(std::process::id()) - driver_cpu,
        }
    }

    /// The ID of the next session.
    pub fn next_session(&mut self) -> String {
        self.sessions += 1;
        format!("s{}", self.sessions - 1)
    }

    /// The complete lines of the next read, and when they came; `None` if the plugin is silent for this time.
    pub fn receive(&mut self, timeout: Duration) -> Option<Vec<(Instant, Vec<u8>)>> {
        self.read(timeout, |at, line| (at, line.to_vec()))
    }

    /// Writes lines to the plugin.
    pub fn write(&mut self, lines: &[u8]) {
        self.input.write_all(lines).unwrap();
        self.input.flush().unwrap();
    }
}

fn milliseconds(later: Instant, earlier: Instant) -> f64 {
    later.duration_since(earlier).as_secs_f64() * 1000.0
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// CPU time so far of the live threads of a process, in ms; the kernel reports nanoseconds.
pub fn cpu_ms(process: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let spent = tasks.filter_map(|task| {
        let schedstat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<f64>().ok()
    });
    spent.sum::<f64>() / 1e6
}

/// The string that follows a key of a line, as it is written.
pub fn text_after<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = &line[memchr::memmem::find(line, key)? + key.len()..];
    let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}
