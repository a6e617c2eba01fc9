//! An in-process daemon that follows a list of steps: it sends and cancels requests, reads late or not at all,
//! disconnects, or stops the plugin. The output is collected by session.
//!
//! The plugin's sessions run on a separate runtime, so that they can block all of its threads without blocking the
//! daemon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dify_plugin::declare::{LoadedProvider, ModelSchema, ProviderDeclaration};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture};
use dify_plugin::protocol::{FinishReason, LlmDelta, LlmRequest, ModelType, PollingResponse, ToolCall};
use dify_plugin::runtime::{Registry, ServeOptions};
use dify_plugin::testing::Wire;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(180);

/// A step of the daemon.
#[derive(Clone, Debug)]
pub enum Do {
    /// Send a request in a session; the prompt is a script for the provider.
    Ask(&'static str, &'static str),
    /// Send a request with other fields.
    AskWith(&'static str, &'static str, Value),
    /// Cancel a session's request.
    Cancel(&'static str),
    /// Write a raw line.
    Line(&'static str),
    /// Wait without reading.
    Pause(u64),
    /// Wait until this many calls have reached the provider.
    Started(usize),
    /// Let calls that wait at the gate continue.
    Release,
    /// Read until a session's first message.
    Read(&'static str),
    /// Read until a session has ended.
    ReadEnd(&'static str),
    /// Close the plugin's input.
    CloseInput,
    /// Stop the plugin with a grace period in milliseconds.
    Shutdown(u64),
    /// Drop the plugin's connection.
    Drop,
}

/// Messages of a session.
#[derive(Debug, Default, PartialEq)]
pub struct SessionMessages {
    /// Types of its messages; consecutive `stream` messages are one entry.
    pub types: Vec<String>,
    pub text: String,
    /// `error_type` and text.
    pub error: Option<(String, String)>,
}

/// Progress of the provider's calls.
#[derive(Default)]
pub struct Progress {
    /// Number of started calls.
    pub started: AtomicUsize,
    /// Number of calls that have neither ended nor been dropped.
    pub open: AtomicUsize,
    /// Whether the gate is open.
    released: AtomicBool,
}

impl Progress {
    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
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

/// Provider that executes the script in the prompt.
struct ScriptedProvider(Arc<Progress>);

struct Open(Arc<Progress>);

impl Open {
    fn new(progress: &Arc<Progress>) -> Self {
        progress.started.fetch_add(1, Ordering::SeqCst);
        progress.open.fetch_add(1, Ordering::SeqCst);
        Self(progress.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider for ScriptedProvider {
    fn name(&self) -> &'static str {
        "obedient"
    }

    /// Executes commands that are separated by semicolons: `say TEXT`, `empty`, `call`, `wait MS`, `gate`, `hang`,
    /// `fail`, `panic`, `flood`; and commands that block the thread: `block MS`, and `hold` until the gate is open.
    fn invoke_llm(&self, _context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let prompt = request.prompt_messages.last().map(|message| message.content.text()).unwrap_or_default();
        let progress = self.0.clone();
        async_stream::stream! {
            let _open = Open::new(&progress);
            for command in prompt.split(';').map(str::trim) {
                let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
                let millis = Duration::from_millis(rest.parse().unwrap_or_default());
                match verb {
                    "say" => yield Ok(LlmDelta::text(rest)),
                    "empty" => yield Ok(LlmDelta::text("")),
                    "call" => yield Ok(LlmDelta::calls(vec![call()])),
                    "wait" => tokio::time::sleep(millis).await,
                    "block" => std::thread::sleep(millis),
                    "gate" => while !progress.is_released() {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    },
                    "hold" => while !progress.is_released() {
                        std::thread::sleep(Duration::from_millis(2));
                    },
                    "fail" => yield Err(InvokeError::rate_limit("enough")),
                    "panic" => panic!("by script"),
                    "flood" => loop {
                        yield Ok(LlmDelta::text("x".repeat(1000)));
                        tokio::task::yield_now().await;
                    },
                    _ => std::future::pending::<()>().await,
                }
            }
            let mut end = LlmDelta::default();
            end.finish_reason = Some(FinishReason::Stop);
            yield Ok(end);
        }
        .boxed()
    }

    fn start_polling(&self, _context: CallContext, _request: LlmRequest) -> ResultFuture<PollingResponse> {
        let progress = self.0.clone();
        Box::pin(async move {
            let _open = Open::new(&progress);
            std::future::pending().await
        })
    }
}

fn call() -> ToolCall {
    serde_json::from_value(json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}))
        .unwrap()
}

/// The plugin, and the runtime of its sessions.
pub struct Plugin {
    pub progress: Arc<Progress>,
    registry: Arc<Registry>,
    options: ServeOptions,
    workers: Option<tokio::runtime::Runtime>,
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.progress.release();
        self.workers.take().unwrap().shutdown_background();
    }
}

impl Plugin {
    pub fn new(options: ServeOptions) -> Self {
        let declaration: ProviderDeclaration = serde_json::from_value(json!({
            "provider": "obedient", "label": {"en_US": "ScriptedProvider"}, "supported_model_types": ["llm"],
            "configurate_methods": ["predefined-model"],
        }))
        .unwrap();
        let models = vec![ModelSchema::customizable("m", ModelType::Llm)];
        let progress = Arc::new(Progress::default());
        let loaded = LoadedProvider::new(declaration, models);
        let registry = Registry::new(vec![loaded], vec![Arc::new(ScriptedProvider(progress.clone()))]).unwrap();
        let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { progress, registry: Arc::new(registry), options, workers: Some(workers) }
    }

    /// Opens a connection.
    pub fn connect(&self) -> Daemon {
        let _workers = self.workers.as_ref().unwrap().enter();
        let wire = Wire::serve(self.registry.clone(), self.options).unwrap();
        Daemon { wire, progress: self.progress.clone(), sessions: BTreeMap::new(), heartbeats: 0 }
    }

    /// Executes the steps, and then reads until every session has ended and no more output arrives.
    pub async fn run(&self, steps: &[Do]) -> BTreeMap<&'static str, SessionMessages> {
        let mut daemon = self.connect();
        for step in steps {
            daemon.step(step.clone()).await;
        }
        daemon.read_all().await;
        daemon.sessions
    }

    /// Waits until no call is open, and returns how long that took.
    pub async fn idle(&self) -> Duration {
        let start = Instant::now();
        until(|| self.progress.open() == 0).await;
        start.elapsed()
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "timed out");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The daemon's side of a connection.
pub struct Daemon {
    pub wire: Wire,
    progress: Arc<Progress>,
    pub sessions: BTreeMap<&'static str, SessionMessages>,
    /// Number of heartbeats.
    pub heartbeats: usize,
}

impl Daemon {
    pub async fn step(&mut self, step: Do) {
        match step {
            Do::Ask(session, prompt) => self.ask(session, prompt, json!({})).await,
            Do::AskWith(session, prompt, fields) => self.ask(session, prompt, fields).await,
            Do::Cancel(session) => self.wire.cancel(session).await,
            Do::Line(line) => self.wire.send(line).await,
            Do::Pause(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Do::Started(calls) => until(|| self.progress.started() >= calls).await,
            Do::Release => self.progress.release(),
            Do::Read(session) => while self.sessions[session].types.is_empty() && self.read().await {},
            Do::ReadEnd(session) => while !self.has_ended(session) && self.read().await {},
            Do::CloseInput => self.wire.close_input().await,
            Do::Shutdown(millis) => {
                let connection = self.wire.take_connection().unwrap();
                let deadline = tokio::time::Instant::now() + Duration::from_millis(millis);
                let mut ending = Box::pin(connection.shutdown(deadline));
                // The first poll orders the shutdown.
                if futures_util::poll!(&mut ending).is_pending() {
                    tokio::spawn(ending);
                }
            }
            Do::Drop => drop(self.wire.take_connection()),
        }
    }

    async fn ask(&mut self, session: &'static str, prompt: &str, fields: Value) {
        let mut data = json!({"user_id": "u", "type": "model", "action": "invoke_llm", "provider": "obedient",
            "model": "m", "model_type": "llm", "credentials": {}, "model_parameters": {}, "stream": true,
            "prompt_messages": [{"role": "user", "content": prompt}]});
        for (name, value) in fields.as_object().unwrap() {
            data[name] = value.clone();
        }
        self.sessions.entry(session).or_default();
        self.wire.request(session, Value::Null, data).await;
    }

    fn has_ended(&self, session: &str) -> bool {
        self.sessions[session].types.iter().any(|kind| kind == "end")
    }

    /// Reads a line. Returns false at the end of the output.
    pub async fn read(&mut self) -> bool {
        let line = timeout(TIMEOUT, self.wire.next()).await.expect("no line in time");
        line.map(|line| self.handle(&line)).is_some()
    }

    async fn read_all(&mut self) {
        while !self.sessions.keys().all(|session| self.has_ended(session)) {
            if !self.read().await {
                return;
            }
        }
        // No more output may arrive.
        let more = async { while self.read().await {} };
        let _ = timeout(Duration::from_millis(150), more).await;
    }

    fn handle(&mut self, line: &Value) {
        if line["event"] == "heartbeat" {
            self.heartbeats += 1;
            return;
        }
        let name = line["session_id"].as_str().unwrap();
        let messages = self.sessions.iter_mut().find(|(session, _)| **session == name);
        let (_, messages) = messages.unwrap_or_else(|| panic!("unknown session {name}: {line}"));
        let kind = line["data"]["type"].as_str().unwrap();
        if kind != "stream" || messages.types.last().is_none_or(|last| last != "stream") {
            messages.types.push(kind.to_owned());
        }
        let data = &line["data"]["data"];
        match kind {
            "stream" => messages.text.push_str(data["delta"]["message"]["content"].as_str().unwrap_or_default()),
            "error" => {
                let text = |name: &str| data[name].as_str().unwrap().to_owned();
                messages.error = Some((text("error_type"), text("message")));
            }
            _ => {}
        }
    }
}
