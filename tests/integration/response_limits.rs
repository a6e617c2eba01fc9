//! What answers may cost: however long one is, whatever it keeps until its end, however many come at once.

use std::path::Path;

use crate::support::{harness, scripted, waits};
use dify_plugin::declare;
use dify_plugin_runtime::providers;
use harness::{Outcome, Plugin};
use scripted::{Scripted, Step, answer, event_stream};
use serde_json::{Value, json};
use waits::until;

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
            "function_calling_type": "tool_call", "agent_though_support": "supported", "idle_timeout": "600", "first_byte_timeout": "600"}});
    call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    call
}

fn chat(server: &Scripted, parameters: Value) -> Value {
    let fields = json!({"stream": true, "prompt_messages": [{"role": "user", "content": "Why?"}], "model_parameters": parameters,
        "tools": [{"name": "f", "description": "d", "parameters": {}}]});
    call(&server.url, "invoke_llm", fields)
}

async fn ask(plugin: &Plugin, script: Vec<Step>, parameters: Value) -> Outcome {
    plugin.call(chat(&Scripted::start(vec![script]).await, parameters)).await
}

fn failure(outcome: &Outcome) -> String {
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
        assert!(failure(&outcome).contains("more than 32 MiB"), "{name}: {}", failure(&outcome));
    }
}

#[tokio::test]
async fn events_that_do_not_end_share_the_room_of_all_answers() {
    let plugin = plugin();
    let endless =
        vec![event_stream(), Step::Send(b"data: ".to_vec()), Step::Times(vec![b'a'; MEBIBYTE], 40), Step::Hang];
    let server = Scripted::start(vec![endless]).await;
    let mut connection = plugin.connect();
    for number in 0..4 {
        connection.request(&format!("s{number}"), chat(&server, json!({}))).await;
    }
    // Nothing else ends one of them.
    let first = loop {
        let line = connection.next().await.unwrap();
        if line["event"] == "session" {
            break line;
        }
    };
    assert!(first["data"]["data"]["message"].as_str().unwrap().contains("too many large responses"), "{first}");
    for number in 0..4 {
        connection.send(&json!({"session_id": format!("s{number}"), "event": "cancel"}).to_string()).await;
    }
    // What they held is given back.
    let large = json!({"choices": [{"delta": {"content": "x".repeat(8 * MEBIBYTE)}, "finish_reason": "stop"}]});
    let stream = format!("data: {large}\n\ndata: [DONE]\n\n").into_bytes();
    until(|| server.open_connections() == 0).await;
    let outcome = ask(&plugin, vec![event_stream(), Step::Send(stream)], json!({})).await;
    assert_eq!((outcome.text().len(), &outcome.error), (8 * MEBIBYTE, &None));
}

#[tokio::test]
async fn rejects_unrequested_embeddings() {
    let plugin = plugin();
    let body = format!("{{\"data\":[{}{{\"embedding\":[0]}}]}}", "{\"embedding\":[0]},".repeat(450_000));
    let server = Scripted::start(vec![answer("200 OK", "content-type: application/json\r\n", &body)]).await;
    let fields = json!({"model_type": "text-embedding", "texts": ["a"], "input_type": "document"});
    let outcome = plugin.call(call(&server.url, "invoke_text_embedding", fields)).await;
    assert!(failure(&outcome).contains("larger than 2097152 bytes"), "{}", failure(&outcome));
}
