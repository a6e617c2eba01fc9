//! Sessions of a plugin that call Dify back, against a daemon that answers them, with further sessions of the same plugin
//! among them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dify_plugin::declare::Manifest;
use dify_plugin::declare::permission::{Permission, Permissions};
use dify_plugin::plugin::dify::DifyError;
use dify_plugin::plugin::{Call, Messages, Plugin, PluginError, Tool, ToolProvider, Tools};
use dify_plugin::protocol::backwards::{DifyErrorKind, ModelConfig, ToolType};
use dify_plugin::runtime::{Connection, Registry, ServeOptions};
use futures_util::future;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(120);

/// A provider whose one tool does as its parameters say.
struct Calling {
    lock: Arc<Mutex<()>>,
    outcomes: mpsc::UnboundedSender<Result<(), DifyError>>,
}

impl ToolProvider for Calling {
    const NAME: &'static str = "calling";

    fn tools(&self) -> Tools {
        Tools::new().tool(Deed { lock: self.lock.clone(), outcomes: self.outcomes.clone() })
    }
}

struct Deed {
    lock: Arc<Mutex<()>>,
    outcomes: mpsc::UnboundedSender<Result<(), DifyError>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "deed", rename_all = "snake_case")]
enum Parameters {
    /// Calls itself, so deep.
    Nest { depth: u64 },
    /// Calls itself, so often at the same time.
    Spread { width: u64 },
    /// Holds a lock of the process while it calls Dify.
    Lock,
    /// Sends text before and after a call.
    Surround,
    /// Streams a language model.
    Llm,
    /// Leaves a task behind that calls Dify once the session has ended.
    Leave,
    /// Reads a key that is not answered.
    Wait,
}

impl Tool for Deed {
    const NAME: &'static str = "deed";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let nested = |depth: u64| {
            let tool = call.dify.tool(ToolType::Builtin, Self::NAME, Self::NAME);
            tool.parameter("deed", "nest").parameter("depth", depth).whole()
        };
        match parameters {
            Parameters::Nest { depth: 0 } => out.text("bottom").await,
            Parameters::Nest { depth } => {
                for message in nested(depth - 1).await? {
                    out.forward(message).await?;
                }
                out.text(format!(" {depth}")).await
            }
            Parameters::Spread { width } => {
                let results = future::join_all((0..width).map(|_| nested(1))).await;
                let count =
                    results.into_iter().filter(|result| result.as_ref().is_ok_and(|all| !all.is_empty())).count();
                out.text(count.to_string()).await
            }
            Parameters::Lock => {
                let _held = self.lock.lock().await;
                call.dify.storage().set("k", "v").await?;
                out.text("stored").await
            }
            Parameters::Surround => {
                out.text("before ").await?;
                call.dify.storage().set("k", "v").await?;
                out.text("after").await
            }
            Parameters::Llm => {
                let model = ModelConfig::new("acme/models/acme", "acme-1");
                let mut chunks = call.dify.llm(&model).user("hi").stream().await?;
                while let Some(chunk) = chunks.next().await {
                    out.text(chunk?.text()).await?;
                }
                Ok(())
            }
            Parameters::Leave => {
                let (dify, cancel, outcomes) = (call.dify, call.cancel, self.outcomes.clone());
                tokio::spawn(async move {
                    // This one waits while the session ends.
                    let waits = dify.storage().get("silent").await.map(drop);
                    cancel.cancelled().await;
                    let _ = outcomes.send(waits);
                    let _ = outcomes.send(dify.storage().set("k", "v").await);
                });
                out.text("left").await
            }
            Parameters::Wait => call.dify.storage().get("silent").await.map(drop).map_err(PluginError::from),
        }
    }
}

/// The daemon's side of a connection.
struct Daemon {
    _connection: Connection,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    next: usize,
    /// The call that a session was started for, with its session.
    callers: HashMap<String, (String, String)>,
    /// What each session that Dify called has sent.
    texts: HashMap<String, String>,
    errors: HashMap<String, String>,
    invokes: Vec<Value>,
    outcomes: mpsc::UnboundedReceiver<Result<(), DifyError>>,
}

impl Daemon {
    fn connect(places: usize, permissions: Option<Value>) -> Self {
        let (sender, outcomes) = mpsc::unbounded_channel();
        let plugin = Plugin::new().tool_provider(Calling { lock: Arc::default(), outcomes: sender });
        let mut registry = Registry::new(Vec::new(), Vec::new()).unwrap().with_plugin(plugin);
        if let Some(granted) = permissions {
            let manifest = json!({"resource": {"permission": granted}}).as_object().unwrap().clone();
            registry = registry.with_permissions(Permissions::of_manifest(&Manifest(manifest)));
        }
        let options = ServeOptions { max_sessions: places, ..ServeOptions::default() };
        let (ours, daemon) = tokio::io::duplex(64 * 1024);
        let connection =
            Connection::open(move || Ok(tokio::io::split(ours)), Arc::new(registry), options, Box::new(|_| ()));
        let (reader, writer) = tokio::io::split(daemon);
        Self {
            _connection: connection.unwrap(),
            lines: BufReader::new(reader).lines(),
            writer,
            next: 0,
            callers: HashMap::new(),
            texts: HashMap::new(),
            errors: HashMap::new(),
            invokes: Vec::new(),
            outcomes,
        }
    }

    async fn send(&mut self, line: Value) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Starts a session; its ID.
    async fn start(&mut self, parameters: Value) -> String {
        self.next += 1;
        let session_id = format!("session-{}", self.next);
        let data = json!({"user_id": "user", "type": "tool", "action": "invoke_tool", "provider": "calling",
            "tool": "deed", "tool_parameters": parameters, "credentials": {}});
        self.send(json!({"session_id": session_id, "event": "request", "data": data})).await;
        session_id
    }

    async fn event(&mut self, (session_id, id): &(String, String), event: &str, message: &str, data: Value) {
        let data = json!({"backwards_request_id": id, "event": event, "message": message, "data": data});
        self.send(json!({"session_id": session_id, "event": "backwards_response", "data": data})).await;
    }

    /// Reads and answers until so many sessions have ended that Dify has not called for one of them.
    async fn serve(&mut self, mut sessions: usize) {
        while sessions > 0 {
            let line = timeout(TIMEOUT, self.lines.next_line()).await.expect("no line in time").unwrap().unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["event"] == "heartbeat" {
                continue;
            }
            let session_id = line["session_id"].as_str().unwrap().to_owned();
            let caller = self.callers.get(&session_id).cloned();
            let data = &line["data"]["data"];
            match (line["data"]["type"].as_str().unwrap(), &caller) {
                ("stream", None) => {
                    let text = data["message"]["text"].as_str().unwrap();
                    self.texts.entry(session_id).or_default().push_str(text);
                }
                ("stream", Some(caller)) => self.event(caller, "response", "stream", data.clone()).await,
                ("error", None) => {
                    self.errors.insert(session_id, data["message"].as_str().unwrap().to_owned());
                }
                ("error", Some(caller)) => {
                    let text = format!("invoke tool failed: {}", data["message"].as_str().unwrap());
                    self.event(caller, "error", &text, Value::Null).await;
                }
                ("end", None) => sessions -= 1,
                ("end", Some(caller)) => self.event(caller, "end", "", Value::Null).await,
                ("invoke", _) => self.invoked(session_id, data.clone()).await,
                (other, _) => panic!("unknown message {other}"),
            }
        }
    }

    async fn invoked(&mut self, session_id: String, invoke: Value) {
        let caller = (session_id, invoke["backwards_request_id"].as_str().unwrap().to_owned());
        let request = &invoke["request"];
        match invoke["type"].as_str().unwrap() {
            "tool" => {
                let inner = self.start(request["tool_parameters"].clone()).await;
                self.callers.insert(inner, caller);
            }
            "storage" if request["key"] == "silent" => {}
            "storage" => {
                self.event(&caller, "response", "struct", json!({"data": "ok"})).await;
                self.event(&caller, "end", "", Value::Null).await;
            }
            "llm" => {
                for word in ["one ", "two ", "three"] {
                    let delta =
                        json!({"index": 0, "message": {"role": "assistant", "content": word, "tool_calls": null}});
                    self.event(&caller, "response", "stream", json!({"model": "acme-1", "delta": delta})).await;
                }
                self.event(&caller, "end", "", Value::Null).await;
            }
            other => panic!("unknown call {other}"),
        }
        self.invokes.push(invoke);
    }
}

#[tokio::test]
async fn a_plugin_with_one_place_can_call_its_own_tools() {
    let mut daemon = Daemon::connect(1, None);
    let nested = daemon.start(json!({"deed": "nest", "depth": 5})).await;
    let spread = daemon.start(json!({"deed": "spread", "width": 20})).await;
    daemon.serve(2).await;
    assert_eq!(daemon.errors, HashMap::new());
    assert_eq!(daemon.texts[&nested], "bottom 1 2 3 4 5");
    assert_eq!(daemon.texts[&spread], "20");
}

#[tokio::test]
async fn many_sessions_call_at_the_same_time() {
    let mut daemon = Daemon::connect(2, None);
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push((daemon.start(json!({"deed": "nest", "depth": 2})).await, "bottom 1 2"));
        sessions.push((daemon.start(json!({"deed": "llm"})).await, "one two three"));
    }
    daemon.serve(100).await;
    assert_eq!(daemon.errors, HashMap::new());
    for (session, text) in sessions {
        assert_eq!(daemon.texts[&session], text);
    }
}

#[tokio::test]
async fn a_session_that_holds_a_lock_gets_on_though_its_place_is_taken() {
    let mut daemon = Daemon::connect(1, None);
    for _ in 0..10 {
        daemon.start(json!({"deed": "lock"})).await;
    }
    daemon.serve(10).await;
    assert_eq!(daemon.errors, HashMap::new());
    assert!(daemon.texts.len() == 10 && daemon.texts.values().all(|text| text == "stored"));
}

#[tokio::test]
async fn messages_keep_their_order_around_a_call() {
    let mut daemon = Daemon::connect(1, None);
    let session = daemon.start(json!({"deed": "surround"})).await;
    daemon.serve(1).await;
    assert_eq!(daemon.texts[&session], "before after");
}

#[tokio::test]
async fn calls_end_with_their_session() {
    let mut daemon = Daemon::connect(1, None);
    daemon.start(json!({"deed": "leave"})).await;
    daemon.serve(1).await;
    for _ in 0..2 {
        let outcome = timeout(TIMEOUT, daemon.outcomes.recv()).await.unwrap().unwrap();
        let error = outcome.unwrap_err();
        assert!(error.kind == DifyErrorKind::SessionEnded && error.to_string().contains("600 s"), "{error}");
    }
    // Nothing was written for it, and the place is free.
    let session = daemon.start(json!({"deed": "surround"})).await;
    daemon.serve(1).await;
    assert_eq!(daemon.texts[&session], "before after");
    let keys: Vec<_> = daemon.invokes.iter().map(|invoke| invoke["request"]["key"].as_str().unwrap()).collect();
    assert!(keys.ends_with(&["k"]) && keys.len() <= 2, "{keys:?}");
}

#[tokio::test]
async fn a_session_that_is_cancelled_while_it_waits_ends_once() {
    let mut daemon = Daemon::connect(1, None);
    let session = daemon.start(json!({"deed": "wait"})).await;
    // Its call has come when this session, which takes its place, has ended.
    daemon.start(json!({"deed": "surround"})).await;
    daemon.serve(1).await;
    daemon.send(json!({"session_id": session, "event": "cancel"})).await;
    daemon.serve(1).await;
    assert!(!daemon.errors.contains_key(&session) && !daemon.texts.contains_key(&session));
    let silent = daemon.invokes.iter().find(|invoke| invoke["request"]["key"] == "silent").unwrap();
    let caller = (session.clone(), silent["backwards_request_id"].as_str().unwrap().to_owned());
    daemon.event(&caller, "response", "struct", json!({"data": "00"})).await;
    daemon.event(&caller, "end", "", Value::Null).await;
    let next = daemon.start(json!({"deed": "surround"})).await;
    daemon.serve(1).await;
    assert_eq!(daemon.texts[&next], "before after");
}

#[tokio::test]
async fn a_missing_permission_is_the_sessions_error_with_the_lines_to_add() {
    let mut daemon = Daemon::connect(1, Some(json!({"tool": {"enabled": true}})));
    let denied = daemon.start(json!({"deed": "llm"})).await;
    let allowed = daemon.start(json!({"deed": "nest", "depth": 1})).await;
    daemon.serve(2).await;
    let error = &daemon.errors[&denied];
    assert!(
        error.contains("manifest.yaml") && error.contains("    model:\n      enabled: true\n      llm: true"),
        "{error}"
    );
    assert_eq!(daemon.texts[&allowed], "bottom 1");
    let types: Vec<_> = daemon.invokes.iter().map(|invoke| invoke["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["tool"]);
    let fields: Map<String, Value> = daemon.invokes[0]["request"].as_object().unwrap().clone();
    assert_eq!(fields["provider"], "deed");
}

#[test]
fn a_plugin_is_compared_with_its_manifest() {
    let manifest = |granted: Value| Manifest(json!({"resource": {"permission": granted}}).as_object().unwrap().clone());
    let plugin = Plugin::new().needs(Permission::Llm).needs(Permission::Tool);
    let whole = json!({"model": {"enabled": true, "llm": true}, "tool": {"enabled": true}});
    assert_eq!(plugin.check_permissions(&manifest(whole)), []);
    let problems = plugin.check_permissions(&manifest(json!({"tool": {"enabled": true}, "app": {"enabled": true}})));
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].starts_with("manifest.yaml: resource.permission.model.llm: ")
            && shown[0].contains("`model: {enabled: true, llm: true}`")
    );
    assert!(shown[1].starts_with("warning: manifest.yaml: resource.permission.app.enabled: "), "{shown:?}");
}
