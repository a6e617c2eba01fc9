//! Sessions of a plugin that call Dify back, against a daemon that answers them, with further sessions of the same plugin
//! among them.

use std::sync::Arc;
use std::time::Duration;

use dify_plugin::declare::Manifest;
use dify_plugin::declare::permission::{Permission, Permissions};
use dify_plugin::plugin::dify::DifyError;
use dify_plugin::plugin::{Call, Messages, Plugin, PluginError, Tool, ToolProvider, Tools};
use dify_plugin::protocol::backwards::{DifyErrorKind, ModelConfig, ToolType};
use dify_plugin::runtime::{Registry, ServeOptions};
use dify_plugin::testing::{Answer, Failure, Host};
use futures_util::future;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
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
            let tool = call.dify.tool(ToolType::Builtin, Calling::NAME, Self::NAME);
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

type Outcomes = mpsc::UnboundedReceiver<Result<(), DifyError>>;

/// A plugin with so many places for sessions, and a Dify that answers its calls.
fn host(places: usize, permissions: Option<Value>) -> (Host, Outcomes) {
    let (sender, outcomes) = mpsc::unbounded_channel();
    let plugin = Plugin::new().tool_provider(Calling { lock: Arc::default(), outcomes: sender });
    let mut registry = Registry::default().with_plugin(plugin);
    if let Some(granted) = permissions {
        let manifest = json!({"resource": {"permission": granted}}).as_object().unwrap().clone();
        registry = registry.with_permissions(Permissions::of_manifest(&Manifest(manifest)));
    }
    let host = Host::of(registry)
        .serve_options(ServeOptions::default().with_max_sessions(places))
        .on_llm(|_| Answer::texts(["one ", "two ", "three"]))
        .on_storage(|call| match call.text("key") {
            "silent" => Answer::never(),
            _ => Answer::data(json!({"data": "ok"})),
        });
    (host, outcomes)
}

async fn run(host: &Host, parameters: Value) -> Result<String, Failure> {
    host.tool("deed").parameters(parameters).await.map(|outputs| outputs.text().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_with_one_place_can_call_its_own_tools() {
    let (host, _) = host(1, None);
    let nested = run(&host, json!({"deed": "nest", "depth": 5}));
    let spread = run(&host, json!({"deed": "spread", "width": 20}));
    let (nested, spread) = future::join(nested, spread).await;
    assert_eq!((nested.unwrap().as_str(), spread.unwrap().as_str()), ("bottom 1 2 3 4 5", "20"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_call_at_the_same_time() {
    let (host, _) = host(2, None);
    let nested = || run(&host, json!({"deed": "nest", "depth": 2}));
    let llm = || run(&host, json!({"deed": "llm"}));
    let all = future::join_all((0..50).map(|_| future::join(nested(), llm()))).await;
    for (nested, llm) in all {
        assert_eq!((nested.unwrap().as_str(), llm.unwrap().as_str()), ("bottom 1 2", "one two three"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_holds_a_lock_gets_on_though_its_place_is_taken() {
    let (host, _) = host(1, None);
    for outcome in future::join_all((0..10).map(|_| run(&host, json!({"deed": "lock"})))).await {
        assert_eq!(outcome.unwrap(), "stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_keep_their_order_around_a_call() {
    let (host, _) = host(1, None);
    assert_eq!(run(&host, json!({"deed": "surround"})).await.unwrap(), "before after");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_with_their_session() {
    let (host, mut outcomes) = host(1, None);
    run(&host, json!({"deed": "leave"})).await.unwrap();
    for _ in 0..2 {
        let outcome = timeout(TIMEOUT, outcomes.recv()).await.unwrap().unwrap();
        let error = outcome.unwrap_err();
        assert!(error.kind == DifyErrorKind::SessionEnded && error.to_string().contains("600 s"), "{error}");
    }
    // Nothing was written for it, and the place is free.
    assert_eq!(run(&host, json!({"deed": "surround"})).await.unwrap(), "before after");
    let calls = host.calls();
    let keys: Vec<_> = calls.iter().map(|call| call.text("key")).collect();
    assert!(keys.ends_with(&["k"]) && keys.len() <= 2, "{keys:?}");
    assert_eq!(host.dropped_lines(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cancelled_while_it_waits_ends_once() {
    let (host, _) = host(1, None);
    let session = host.tool("deed").parameters(json!({"deed": "wait"})).start();
    // Its call has come when this session, which takes its place, has ended.
    assert_eq!(run(&host, json!({"deed": "surround"})).await.unwrap(), "before after");
    session.cancel();
    assert_eq!(session.finish().await, (Vec::new(), Ok(())));
    assert_eq!(run(&host, json!({"deed": "surround"})).await.unwrap(), "before after");
    assert_eq!(host.dropped_lines(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_the_sessions_error_with_the_lines_to_add() {
    let (host, _) = host(1, Some(json!({"tool": {"enabled": true}})));
    let failure = run(&host, json!({"deed": "llm"})).await.unwrap_err();
    let lines = "    model:\n      enabled: true\n      llm: true";
    assert!(failure.message.contains("manifest.yaml") && failure.message.contains(lines), "{failure}");
    assert_eq!(run(&host, json!({"deed": "nest", "depth": 1})).await.unwrap(), "bottom 1");
    let calls = host.calls();
    let types: Vec<_> = calls.iter().map(|call| call.invoke_type.as_str()).collect();
    assert_eq!((types, calls[0].text("provider")), (vec!["tool"], "calling"));
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
