//! Runs whole sessions: a request goes in as the daemon's line, and the session's messages come out parsed.
//!
//! ```ignore
//! let plugin = Plugin::of(vec![(declaration, models, Arc::new(MyProvider::default()))]);
//! let outcome = plugin.call(json!({"action": "invoke_llm", "provider": "p", "model": "m", …})).await;
//! assert_eq!(outcome.text(), "Hello");
//! ```
//! Everything between the bytes is the real thing: framer, dispatcher, provider, upstream client, writer.

use std::sync::Arc;
use std::time::Duration;

use dify_plugin::declare::{LoadedProvider, ModelSchema, ProviderDeclaration};
use dify_plugin::model::Provider;
use dify_plugin::runtime::serve::ServeOptions;
use dify_plugin::runtime::{Registry, serve_io};
use dify_plugin::testing::{Host, Wire};
use serde_json::{Value, json};

/// How long a line is waited for: longer than any machine takes.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A plugin in this process, behind an in-memory pipe for each connection.
pub struct Plugin {
    registry: Arc<Registry>,
    options: ServeOptions,
}

/// What a session sent before its end.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The result items.
    pub items: Vec<Value>,
    /// The error payload.
    pub error: Option<Value>,
}

impl Plugin {
    /// A plugin of these declarations and providers.
    pub fn of(parts: Vec<(ProviderDeclaration, Vec<ModelSchema>, Arc<dyn Provider>)>) -> Self {
        let (declared, code) = parts
            .into_iter()
            .map(|(declaration, models, provider)| (LoadedProvider::new(declaration, models), provider))
            .unzip();
        Self { registry: Arc::new(Registry::new(declared, code).unwrap()), options: ServeOptions::default() }
    }

    /// Other serving options.
    pub fn with_options(mut self, options: ServeOptions) -> Self {
        self.options = options;
        self
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        let (plugin, daemon) = tokio::io::duplex(1 << 20);
        let (reader, writer) = tokio::io::split(plugin);
        tokio::spawn(serve_io(reader, writer, self.registry.clone(), self.options));
        let (reader, writer) = tokio::io::split(daemon);
        Connection(Wire::over(reader, writer))
    }

    /// One request on a connection of its own.
    pub async fn call(&self, data: Value) -> Outcome {
        let host = Host::of(self.registry.clone()).serve_options(self.options);
        let (items, ending) = host.request(of_user(data)).start().finish().await;
        let error = ending.err().map(|failure| {
            assert!(!failure.is_of_dify(), "{failure}");
            json!({"error_type": failure.kind, "message": failure.message, "args": failure.args})
        });
        assert_eq!(host.dropped_lines(), [] as [String; 0]);
        Outcome { items, error }
    }
}

fn of_user(mut data: Value) -> Value {
    data["user_id"] = json!("user-1");
    if data["type"].is_null() {
        data["type"] = json!("model");
    }
    data
}

/// The host's side of a connection.
pub struct Connection(Wire);

impl Connection {
    /// Sends a request; `user_id` and `type` are added.
    pub async fn request(&mut self, session_id: &str, data: Value) {
        self.request_of(Value::Null, session_id, data).await;
    }

    /// Sends a request of an app.
    pub async fn request_of(&mut self, app_id: Value, session_id: &str, data: Value) {
        self.0.request(session_id, json!({"app_id": app_id}), of_user(data)).await;
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &str) {
        self.0.send(line).await;
    }

    /// The next line, parsed; `None` when the plugin closed.
    pub async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(TIMEOUT, self.0.next()).await.expect("no line in time")
    }

    /// Reads until the session's end; lines of other sessions are passed over.
    pub async fn outcome(&mut self, session_id: &str) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(line) = self.next().await {
            if line["session_id"] != session_id || line["event"] != "session" {
                continue;
            }
            assert!(outcome.error.is_none() || line["data"]["type"] == "end", "a message after the error: {line}");
            match line["data"]["type"].as_str().unwrap() {
                "stream" => outcome.items.push(line["data"]["data"].clone()),
                "error" => outcome.error = Some(line["data"]["data"].clone()),
                "end" => return outcome,
                other => panic!("unknown message type {other}"),
            }
        }
        panic!("the connection closed before the session ended: {outcome:?}");
    }

    /// Closes the host's writing side.
    pub async fn close_input(&mut self) {
        self.0.close_input().await;
    }
}

impl Outcome {
    /// The only item of an action with one result.
    pub fn item(&self) -> &Value {
        assert!(self.error.is_none(), "{:?}", self.error);
        assert_eq!(self.items.len(), 1, "{:?}", self.items);
        &self.items[0]
    }

    /// The text of an LLM answer.
    pub fn text(&self) -> String {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.items.iter().filter_map(|item| item["delta"]["message"]["content"].as_str()).collect()
    }

    /// All tool calls of an LLM answer.
    pub fn tool_calls(&self) -> Vec<Value> {
        let calls = self.items.iter().filter_map(|item| item["delta"]["message"]["tool_calls"].as_array());
        calls.flatten().cloned().collect()
    }

    /// The usage of an LLM answer.
    pub fn usage(&self) -> &Value {
        let usages: Vec<&Value> =
            self.items.iter().map(|item| &item["delta"]["usage"]).filter(|usage| !usage.is_null()).collect();
        assert_eq!(usages.len(), 1, "usage comes once");
        usages[0]
    }

    /// The finish reason of an LLM answer.
    pub fn finish_reason(&self) -> Option<&str> {
        self.items.iter().filter_map(|item| item["delta"]["finish_reason"].as_str()).next_back()
    }

    /// `error_type` and text of the failure.
    pub fn failure(&self) -> (&str, &str) {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("the call succeeded: {:?}", self.items));
        (error["error_type"].as_str().unwrap(), error["message"].as_str().unwrap())
    }
}
