//! What answers may cost: however long one is, whatever it keeps until its end, however many come at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/harness.rs"]
mod harness;
#[path = "support/scripted.rs"]
mod scripted;

use std::path::Path;

use dify_plugin_runtime::{declare, providers};
use futures_util::future::join_all;
use harness::{Outcome, Plugin};
use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};

const MEBIBYTE: usize = 1 << 20;

fn plugin() -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found = declared.providers.into_iter().find(|provider| provider.declaration.provider == "ai-gateway").unwrap();
    let code = providers::all(Default::default()).into_iter().find(|provider| provider.name() == "ai-gateway").unwrap();
    Plugin::of(vec![(found.declaration, found.models, code)])
}

fn call(url: &str, action: &str, fields: Value) -> Value {
    let mut call = json!({"action": action, "provider": "ai-gateway", "model": "m", "model_type": "llm",
        "credentials": {"auth_method": "api_key", "api_key": "k", "endpoint_url": format!("{url}/v1"), "max_retries": "0",
            "function_calling_type": "tool_call", "agent_though_support": "supported", "idle_timeout": "2", "first_byte_timeout": "2"}});
    call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    call
}

async fn ask(plugin: &Plugin, script: Vec<Step>, parameters: Value) -> Outcome {
    let server = Scripted::start(vec![script]).await;
    let fields = json!({"stream": true, "prompt_messages": [{"role": "user", "content": "Why?"}], "model_parameters": parameters,
        "tools": [{"name": "f", "description": "d", "parameters": {}}]});
    plugin.call(call(&server.url, "invoke_llm", fields)).await
}

fn said(outcome: &Outcome) -> String {
    outcome.error.as_ref().map(|error| error["message"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn what_an_answer_keeps_until_its_end_has_a_limit() {
    let plugin = plugin();
    let long = "x".repeat(MEBIBYTE);
    let event = |delta: Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]})).into_bytes();
    let arguments = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": long}}]});
    let cases = [
        ("arguments of a call", event(arguments), json!({})),
        ("text behind a tag", event(json!({"content": format!("<tool_call>{long}")})), json!({})),
        ("thoughts that are not shown", event(json!({"reasoning_content": long})), json!({"enable_thinking": false})),
    ];
    for (name, event, parameters) in cases {
        let outcome = ask(&plugin, vec![event_stream(), Step::Times(event, 40)], parameters).await;
        assert!(said(&outcome).contains("more than 32 MiB"), "{name}: {}", said(&outcome));
    }
}

#[tokio::test]
async fn events_that_do_not_end_share_the_room_of_all_answers() {
    let plugin = plugin();
    let endless =
        || vec![event_stream(), Step::Send(b"data: ".to_vec()), Step::Times(vec![b'a'; MEBIBYTE], 40), Step::Hang];
    let outcomes = join_all((0..4).map(|_| ask(&plugin, endless(), json!({})))).await;
    let refused = outcomes.iter().filter(|outcome| said(outcome).contains("no room")).count();
    assert!(refused >= 1, "{:?}", outcomes.iter().map(said).collect::<Vec<_>>());
    assert!(outcomes.iter().all(|outcome| outcome.error.is_some()));
    // What they held is given back.
    let large = json!({"choices": [{"delta": {"content": "x".repeat(8 * MEBIBYTE)}, "finish_reason": "stop"}]});
    let stream = format!("data: {large}\n\ndata: [DONE]\n\n").into_bytes();
    let outcome = ask(&plugin, vec![event_stream(), Step::Send(stream)], json!({})).await;
    assert_eq!((outcome.text().len(), &outcome.error), (8 * MEBIBYTE, &None));
}

#[tokio::test]
async fn vectors_that_nobody_asked_for_are_not_read() {
    let plugin = plugin();
    let body = format!("{{\"data\":[{}{{\"embedding\":[0]}}]}}", "{\"embedding\":[0]},".repeat(450_000));
    let server = Scripted::start(vec![answer("200 OK", "content-type: application/json\r\n", &body)]).await;
    let fields = json!({"model_type": "text-embedding", "texts": ["a"], "input_type": "document"});
    let outcome = plugin.call(call(&server.url, "invoke_text_embedding", fields)).await;
    assert!(said(&outcome).contains("longer than 2097152 bytes"), "{}", said(&outcome));
}
