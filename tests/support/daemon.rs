//! A host that misbehaves, in this process: it asks, takes requests back, reads late or not at all, goes away, or ends the
//! plugin in the middle, by a list of steps. What it heard is kept by session.
//!
//! The plugin's sessions work on a runtime of their own, so that they can block every thread of it without the host's notice.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dify_plugin::declare::versions::DifyVersion;
use dify_plugin::declare::{LoadedProvider, ModelSchema, ProviderDeclaration};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture};
use dify_plugin::protocol::{FinishReason, LlmDelta, LlmRequest, ModelType, PollingResponse, ToolCall};
use dify_plugin::runtime::serve::{DaemonLine, ServeOptions};
use dify_plugin::runtime::{Connection, Registry};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(180);

/// Bytes that may wait between the two sides.
const PIPE: usize = 64 * 1024;

/// One step of a host.
#[derive(Clone, Debug)]
pub enum Do {
    /// Ask in a session; the prompt says what the provider does.
    Ask(&'static str, &'static str),
    /// Ask with other fields.
    AskWith(&'static str, &'static str, Value),
    /// Take a session's request back.
    Cancel(&'static str),
    /// Write a line as it is.
    Line(&'static str),
    /// Let time pass, reading nothing.
    Pause(u64),
    /// Wait until so many calls have reached the provider.
    Begun(usize),
    /// Let go on what waits at a gate or is held there.
    Release,
    /// Read until a session's first message.
    Hear(&'static str),
    /// Read until a session has ended.
    HearEnd(&'static str),
    /// Close the plugin's input.
    CloseInput,
    /// End the plugin: so many milliseconds of grace.
    Shutdown(u64),
    /// Drop the plugin's connection.
    Drop,
}

/// What a session was told.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Its messages' types, `stream` once however many there were.
    pub types: Vec<String>,
    pub text: String,
    /// `error_type` and text.
    pub error: Option<(String, String)>,
}

/// What the provider was asked to do and did.
#[derive(Default)]
pub struct Deeds {
    /// Calls that began.
    pub begun: AtomicUsize,
    /// Calls that have not ended: neither by themselves nor by being dropped.
    pub open: AtomicUsize,
    /// Whether what waits at a gate may go on.
    released: AtomicBool,
}

impl Deeds {
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Opens the gate.
    pub fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }
}

/// Does what the prompt says.
struct Obedient(Arc<Deeds>);

struct Open(Arc<Deeds>);

impl Open {
    fn new(deeds: &Arc<Deeds>) -> Self {
        deeds.begun.fetch_add(1, Ordering::SeqCst);
        deeds.open.fetch_add(1, Ordering::SeqCst);
        Self(deeds.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    /// Verbs, one after the other, between semicolons: `say TEXT`, `empty`, `call`, `wait MS`, `gate`, `hang`, `fail`,
    /// `panic`, `flood`; and what keeps its thread: `block MS`, `hold` until the gate is open.
    fn invoke_llm(&self, _context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let prompt = request.prompt_messages.last().map(|message| message.content.text()).unwrap_or_default();
        let deeds = self.0.clone();
        async_stream::stream! {
            let _open = Open::new(&deeds);
            for deed in prompt.split(';').map(str::trim) {
                let (verb, rest) = deed.split_once(' ').unwrap_or((deed, ""));
                let millis = Duration::from_millis(rest.parse().unwrap_or_default());
                match verb {
                    "say" => yield Ok(LlmDelta::text(rest)),
                    "empty" => yield Ok(LlmDelta::text("")),
                    "call" => yield Ok(LlmDelta { tool_calls: vec![call()], ..LlmDelta::default() }),
                    "wait" => tokio::time::sleep(millis).await,
                    "block" => std::thread::sleep(millis),
                    "gate" => while !deeds.is_released() {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    },
                    "hold" => while !deeds.is_released() {
                        std::thread::sleep(Duration::from_millis(2));
                    },
                    "fail" => yield Err(InvokeError::rate_limit("enough")),
                    "panic" => panic!("as told"),
                    "flood" => loop {
                        yield Ok(LlmDelta::text("x".repeat(1000)));
                        tokio::task::yield_now().await;
                    },
                    _ => std::future::pending::<()>().await,
                }
            }
            yield Ok(LlmDelta { finish_reason: Some(FinishReason::Stop), ..LlmDelta::default() });
        }
        .boxed()
    }

    fn start_polling(&self, _context: CallContext, _request: LlmRequest) -> ResultFuture<PollingResponse> {
        let deeds = self.0.clone();
        Box::pin(async move {
            let _open = Open::new(&deeds);
            std::future::pending().await
        })
    }
}

fn call() -> ToolCall {
    serde_json::from_value(json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}))
        .unwrap()
}

/// The plugin, and the runtime that its sessions work on.
pub struct Plugin {
    pub deeds: Arc<Deeds>,
    registry: Arc<Registry>,
    options: ServeOptions,
    workers: Option<tokio::runtime::Runtime>,
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.deeds.release();
        self.workers.take().unwrap().shutdown_background();
    }
}

impl Plugin {
    pub fn new(options: ServeOptions) -> Self {
        let declaration: ProviderDeclaration = serde_json::from_value(json!({
            "provider": "obedient", "label": {"en_US": "Obedient"}, "supported_model_types": ["llm"],
            "configurate_methods": ["predefined-model"],
        }))
        .unwrap();
        let models = vec![ModelSchema::customizable("m", ModelType::Llm)];
        let deeds = Arc::new(Deeds::default());
        let loaded = LoadedProvider {
            declaration,
            models,
            file: String::new(),
            model_files: Vec::new(),
            expanded: Default::default(),
            minimum: DifyVersion([99, 0, 0]),
        };
        let registry = Registry::new(vec![loaded], vec![Arc::new(Obedient(deeds.clone()))]).unwrap();
        let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { deeds, registry: Arc::new(registry), options, workers: Some(workers) }
    }

    /// A connection to it.
    pub fn connect(&self) -> Host {
        let (plugin, host) = tokio::io::duplex(PIPE);
        let _workers = self.workers.as_ref().unwrap().enter();
        let opened = Connection::open(
            move || Ok(tokio::io::split(plugin)),
            self.registry.clone(),
            self.options,
            Box::new(|_: DaemonLine<'_>| ()),
        );
        let (reader, writer) = tokio::io::split(host);
        Host {
            connection: Some(opened.unwrap()),
            lines: BufReader::new(reader).lines(),
            writer: Some(writer),
            deeds: self.deeds.clone(),
            told: BTreeMap::new(),
            beats: 0,
        }
    }

    /// Does the steps, then reads until every session that was asked in has ended, and a moment more.
    pub async fn host(&self, steps: &[Do]) -> BTreeMap<&'static str, Told> {
        let mut host = self.connect();
        for step in steps {
            host.step(step.clone()).await;
        }
        host.read_all().await;
        host.told
    }

    /// Waits until no call is open, and says how long that took.
    pub async fn idle(&self) -> Duration {
        let start = Instant::now();
        until(|| self.deeds.open() == 0).await;
        start.elapsed()
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The host's side of a connection.
pub struct Host {
    pub connection: Option<Connection>,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: Option<WriteHalf<DuplexStream>>,
    deeds: Arc<Deeds>,
    pub told: BTreeMap<&'static str, Told>,
    /// Heartbeats that came.
    pub beats: usize,
}

impl Host {
    pub async fn step(&mut self, step: Do) {
        match step {
            Do::Ask(session, prompt) => self.ask(session, prompt, json!({})).await,
            Do::AskWith(session, prompt, fields) => self.ask(session, prompt, fields).await,
            Do::Cancel(session) => self.write(&json!({"session_id": session, "event": "cancel"}).to_string()).await,
            Do::Line(line) => self.write(line).await,
            Do::Pause(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Do::Begun(calls) => until(|| self.deeds.begun() >= calls).await,
            Do::Release => self.deeds.release(),
            Do::Hear(session) => while self.told[session].types.is_empty() && self.read().await {},
            Do::HearEnd(session) => while !self.has_ended(session) && self.read().await {},
            Do::CloseInput => self.writer.take().unwrap().shutdown().await.unwrap(),
            Do::Shutdown(millis) => {
                let connection = self.connection.take().unwrap();
                let deadline = tokio::time::Instant::now() + Duration::from_millis(millis);
                let mut ending = Box::pin(connection.shutdown(deadline));
                // The first look gives the order.
                if futures_util::poll!(&mut ending).is_pending() {
                    tokio::spawn(ending);
                }
            }
            Do::Drop => drop(self.connection.take()),
        }
    }

    async fn ask(&mut self, session: &'static str, prompt: &str, fields: Value) {
        let mut data = json!({"user_id": "u", "type": "model", "action": "invoke_llm", "provider": "obedient",
            "model": "m", "model_type": "llm", "credentials": {}, "model_parameters": {}, "stream": true,
            "prompt_messages": [{"role": "user", "content": prompt}]});
        for (name, value) in fields.as_object().unwrap() {
            data[name] = value.clone();
        }
        self.told.entry(session).or_default();
        self.write(&json!({"session_id": session, "event": "request", "data": data}).to_string()).await;
    }

    async fn write(&mut self, line: &str) {
        // A plugin that has gone hears nothing.
        let _ = self.writer.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await;
    }

    fn has_ended(&self, session: &str) -> bool {
        self.told[session].types.iter().any(|kind| kind == "end")
    }

    /// Reads a line; whether there was one.
    pub async fn read(&mut self) -> bool {
        let line = timeout(TIMEOUT, self.lines.next_line()).await.expect("no line in time").unwrap();
        line.map(|line| self.hear(&line)).is_some()
    }

    async fn read_all(&mut self) {
        while !self.told.keys().all(|session| self.has_ended(session)) {
            if !self.read().await {
                return;
            }
        }
        // Nothing more may come.
        let more = async { while self.read().await {} };
        let _ = timeout(Duration::from_millis(150), more).await;
    }

    fn hear(&mut self, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["event"] == "heartbeat" {
            self.beats += 1;
            return;
        }
        let name = line["session_id"].as_str().unwrap();
        let told = self.told.iter_mut().find(|(session, _)| **session == name);
        let (_, told) = told.unwrap_or_else(|| panic!("nobody asked in session {name}: {line}"));
        let kind = line["data"]["type"].as_str().unwrap();
        if kind != "stream" || told.types.last().is_none_or(|last| last != "stream") {
            told.types.push(kind.to_owned());
        }
        let data = &line["data"]["data"];
        match kind {
            "stream" => told.text.push_str(data["delta"]["message"]["content"].as_str().unwrap_or_default()),
            "error" => {
                let text = |name: &str| data[name].as_str().unwrap().to_owned();
                told.error = Some((text("error_type"), text("message")));
            }
            _ => {}
        }
    }
}
