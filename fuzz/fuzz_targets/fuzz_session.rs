//! Whole sessions of every kind of plugin but models: a request, and what Dify answers the calls back that it leads to.
//! Each session ends once, a failure has words, and the plugin serves the next request.
#![no_main]
#![allow(clippy::field_reassign_with_default)]

#[path = "../../tests/conformance/plugins/agent.rs"]
mod agent;
#[path = "../../tests/support/backwards_calls.rs"]
#[allow(dead_code)]
mod calls;
#[path = "../../tests/conformance/plugins/datasources.rs"]
mod datasources;
#[path = "../../tests/conformance/plugins/oauth.rs"]
mod oauth;
#[path = "../../tests/conformance/plugins/script.rs"]
mod script;
#[path = "../../tests/conformance/plugins/tools.rs"]
mod tools;
#[path = "../../tests/conformance/plugins/trigger.rs"]
mod trigger;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dify_plugin::plugin::Plugin;
use dify_plugin::protocol::backwards::InvokeType;
use dify_plugin::testing::{Answer, Host};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The plugin that a request is for.
fn plugin(data: &Value) -> Plugin {
    let action = data["action"].as_str().unwrap_or_default();
    match data["type"].as_str().unwrap_or_default() {
        "agent_strategy" => agent::plugin(),
        "datasource" if action.contains("online_drive") => datasources::drive(),
        "datasource" if action.contains("online_document") => datasources::documents(),
        "datasource" => datasources::crawl(),
        "trigger" => trigger::plugin(),
        _ => tools::plugin(),
    }
}

/// One line: an array is a stream, anything else that is JSON one response, and the rest an error.
fn answer(line: &str) -> Answer {
    match serde_json::from_str(line) {
        Ok(Value::Array(responses)) => Answer::stream(responses),
        Ok(response) => Answer::data(response),
        Err(_) => Answer::error(line),
    }
}

// The request on the first line, and the answers to its calls back on the next ones.
fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let Some(Ok(data @ Value::Object(_))) = lines.next().map(serde_json::from_str::<Value>) else { return };
    let answers: Arc<[Answer]> = lines.map(answer).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let host = InvokeType::ALL.iter().fold(Host::new(plugin(&data)), |host, invoke_type| {
            let (answers, next) = (answers.clone(), next.clone());
            host.on(*invoke_type, move |_| {
                answers.get(next.fetch_add(1, Ordering::Relaxed)).cloned().unwrap_or_else(|| Answer::error("no answer"))
            })
        });
        if let Err(failure) = host.request(data).await {
            assert!(!failure.message.is_empty() && !failure.kind.is_empty(), "a failure without words");
        }
        let unknown = host.request(json!({"type": "tool", "action": "nothing"})).await;
        assert!(unknown.is_err_and(|failure| !failure.is_of_dify()), "the plugin serves no further request");
    });
});
