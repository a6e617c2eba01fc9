//! Lines that claim to be responses of Dify, in sessions that wait for none: they end nothing and start nothing.

use std::sync::Arc;

use crate::support::harness;
use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::model::{CallContext, Chunks, Provider};
use dify_plugin::protocol::{LlmDelta, LlmRequest, ModelType};
use dify_plugin::runtime::ServeOptions;
use futures_util::{StreamExt, stream};
use harness::Plugin;
use serde_json::{Value, json};

/// Never responds.
struct Hanging;

impl Provider for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }

    fn invoke_llm(&self, _: CallContext, _: LlmRequest) -> Chunks<LlmDelta> {
        stream::pending().boxed()
    }
}

fn plugin() -> Plugin {
    let declaration: ProviderDeclaration = serde_json::from_value(json!({
        "provider": "hanging", "label": {"en_US": "Hanging"}, "supported_model_types": ["llm"],
        "configurate_methods": ["predefined-model"],
    }))
    .unwrap();
    Plugin::of(vec![(declaration, vec![ModelSchema::customizable("m", ModelType::Llm)], Arc::new(Hanging))])
}

fn llm() -> Value {
    json!({"action": "invoke_llm", "provider": "hanging", "model": "m", "model_type": "llm", "credentials": {},
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": "hi"}], "stream": true})
}

#[tokio::test]
async fn a_line_that_looks_like_a_response_ends_no_session() {
    let max_input_bytes = 64 * 1024;
    let options = ServeOptions::default().with_max_input_bytes(max_input_bytes);
    let mut connection = plugin().with_options(options).connect();
    connection.request("s", llm()).await;
    let event = |data: Value| json!({"session_id": "s", "event": "backwards_response", "data": data}).to_string();
    let unknown = json!({"backwards_request_id": "unknown", "event": "response", "message": "", "data": {}});
    let long = json!({"backwards_request_id": "unknown", "event": "response", "data": "x".repeat(2 * max_input_bytes)});
    let whole = event(unknown.clone());
    for line in [
        whole.clone(),
        event(json!(null)),
        event(json!([])),
        event(json!({"backwards_request_id": 5})),
        event(json!({"backwards_request_id": "unknown", "event": "end"})),
        r#"{"session_id":"s","event":"backwards_response"}"#.to_owned(),
        r#"{"event":"backwards_response","session_id":"s","data":{}}"#.to_owned(),
        // Cut at the end, and longer than what is read.
        whole[..whole.len() - 2].to_owned(),
        event(long),
    ] {
        connection.send(&line).await;
    }
    // What follows is read as ever.
    connection.send(r#"{"session_id":"t","event":"request","data":7}"#).await;
    assert!(connection.outcome("t").await.error.is_some());
    connection.send(r#"{"session_id":"s","event":"cancel"}"#).await;
    connection.close_input().await;
    let mut of_session = Vec::new();
    while let Some(line) = connection.next().await {
        if line["session_id"] == "s" {
            of_session.push(line["data"]["type"].clone());
        }
    }
    assert_eq!(of_session, ["end"], "one ending, and that of the cancel");
}
