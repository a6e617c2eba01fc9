//! What the tests share: the plugin in its host, tools that a user has selected, and a model with a script.

use std::sync::atomic::{AtomicUsize, Ordering};

use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::{Answer, CallBack, Host};

pub(crate) fn host() -> Host {
    Host::load(env!("CARGO_MANIFEST_DIR"), agent::plugin()).unwrap()
}

/// A host whose model gives these answers, one for each call; the last one again and again.
pub(crate) fn host_with(answers: Vec<Answer>) -> Host {
    let next = AtomicUsize::new(0);
    host().on_llm(move |_| {
        let index = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        answers[index].clone()
    })
}

pub(crate) fn model() -> Value {
    json!({"provider": "acme/models/acme", "model": "small", "model_type": "llm", "mode": "chat",
        "completion_params": {}, "history_prompt_messages": [],
        "entity": {"features": ["tool-call", "stream-tool-call", "vision"], "model_properties": {"context_size": 8000}}})
}

/// A tool with parameters that the model fills in.
pub(crate) fn tool(name: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| json!({"name": name, "type": "string", "form": "llm", "required": true, "llm_description": name}))
        .collect();
    json!({
        "identity": {"author": "acme", "name": name, "label": {"en_US": name}, "provider": format!("acme/{name}/{name}")},
        "provider_type": "builtin", "description": {"human": {"en_US": name}, "llm": format!("Does {name}.")},
        "parameters": parameters, "runtime_parameters": {}, "credential_id": null,
    })
}

pub(crate) fn parameters() -> Value {
    json!({"model": model(), "tools": [tool("search", &["query"]), tool("weather", &["place"])],
        "instruction": "Be brief.", "query": "What is new?", "maximum_iterations": 3})
}

/// The messages of a request: role and text.
pub(crate) fn prompt(call: &CallBack) -> Vec<(String, String)> {
    let messages = call.request["prompt_messages"].as_array().unwrap();
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        parts => parts.as_array().unwrap().iter().map(|part| part["data"].as_str().unwrap_or("<file>")).collect(),
    };
    messages.iter().map(|message| (message["role"].as_str().unwrap().to_owned(), text(&message["content"]))).collect()
}

/// A chunk of a language model with these tool calls: ID, name, arguments.
pub(crate) fn chunk(text: &str, calls: &[(&str, &str, &str)], usage: Value) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    json!({"model": "small", "prompt_messages": [], "system_fingerprint": "",
        "delta": {"index": 0, "message": {"role": "assistant", "content": text, "name": "", "tool_calls": calls},
            "usage": usage, "finish_reason": null}})
}
