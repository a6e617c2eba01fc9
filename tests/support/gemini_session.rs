//! Shared code of tests with the strict Gemini mock: the declared provider in a plugin, and requests for it.

use std::path::Path;

use dify_plugin::declare::{self, LoadedProvider};
use dify_plugin_runtime::providers;
use serde_json::{Value, json};

use super::gemini::{Gemini, KEY, Reply, end, text};
use super::harness::{Outcome, Plugin};

/// Returns the provider as declared in the repository.
pub fn declared() -> LoadedProvider {
    let all = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().providers;
    all.into_iter().find(|provider| provider.declaration.provider == "google").unwrap()
}

pub fn plugin() -> Plugin {
    let LoadedProvider { declaration, models, .. } = declared();
    let provider = providers::all(Default::default()).into_iter().find(|provider| provider.name() == "google").unwrap();
    Plugin::of(vec![(declaration, models, provider)])
}

/// Returns a short prompt without retries; object fields are merged into the request.
pub fn ask(upstream: &Gemini, model: &str, fields: Value) -> Value {
    let mut request = json!({
        "action": "invoke_llm", "provider": "google", "model": model, "stream": true,
        "credentials": {"google_api_key": KEY, "google_base_url": upstream.url, "max_retries": "0"},
        "prompt_messages": [{"role": "user", "content": "Why is the sky blue?"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        match (request.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            _ => request[key] = value.clone(),
        }
    }
    request
}

/// Sends one prompt to a separate mock server.
pub async fn one(script: Vec<Reply>, model: &str, fields: Value) -> (Gemini, Outcome) {
    let upstream = Gemini::start(script).await;
    let outcome = plugin().call(ask(&upstream, model, fields)).await;
    (upstream, outcome)
}

/// Returns a short response.
pub fn hello() -> Vec<Reply> {
    vec![Reply::Events(vec![text("Hel"), text("lo"), end("STOP")])]
}

/// Returns a Google error with these details.
pub fn refusal(status: u16, word: &str, message: &str, details: Value) -> Reply {
    let error = json!({"error": {"code": status, "status": word, "message": message, "details": details}});
    Reply::Refuse(status, "application/json", error.to_string())
}
