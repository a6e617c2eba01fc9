//! What follows from credentials is worked out once: the second call with the same ones gets the same values, and what may
//! change is asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::harness;
use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture};
use dify_plugin::protocol::{FinishReason, LlmDelta, LlmRequest, ModelRequest, ModelType};
use futures_util::{StreamExt, stream};
use harness::Plugin;
use serde_json::{Value, json};

/// Responds with the credentials that reach it, and counts what is asked of it.
#[derive(Default)]
struct Counting {
    follows: bool,
    schemas: AtomicUsize,
    connections: Arc<AtomicUsize>,
}

impl Provider for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn invoke_llm(&self, context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        let credentials = &request.target.credentials;
        let connection = context.kept.get_or_make(&request.target, ModelType::Llm, || {
            self.connections.fetch_add(1, Ordering::SeqCst);
            Ok::<_, InvokeError>(format!("connection of {}", credentials.get("api_key").unwrap()))
        });
        let fields: Vec<String> =
            credentials.names().map(|name| format!("{name}={}", credentials.get(name).unwrap())).collect();
        let number = &context.model.as_ref().unwrap().model_properties["number"];
        let text = format!("{} {}; {number}; {}", request.target.model, fields.join(" "), connection.unwrap());
        let usage = dify_plugin::declare::price::llm_usage(None, 1, 1);
        stream::iter([Ok(LlmDelta::text(text)), Ok(LlmDelta::end(FinishReason::Stop, usage))]).boxed()
    }

    fn model_schema(&self, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        let number = self.schemas.fetch_add(1, Ordering::SeqCst);
        let mut schema = ModelSchema::customizable(request.target.model, request.model_type);
        schema.model_properties.insert("number".to_owned(), number.into());
        Box::pin(async move {
            match request.target.credentials.get("api_key") {
                Some("wrong") => Err(InvokeError::credentials("wrong key")),
                _ => Ok(schema),
            }
        })
    }

    fn schemas_follow_from_credentials(&self) -> bool {
        self.follows
    }
}

fn plugin(provider: Counting, size: &str) -> Plugin {
    let declaration: ProviderDeclaration = serde_json::from_value(json!({
        "provider": "counting", "label": {"en_US": "Counting"}, "supported_model_types": ["llm"],
        "configurate_methods": ["customizable-model"],
        "model_credential_schema": {"model": {"label": {"en_US": "Model"}}, "credential_form_schemas": [
            {"variable": "api_key", "label": {"en_US": "Key"}, "type": "secret-input", "required": true},
            {"variable": "size", "label": {"en_US": "Size"}, "type": "text-input", "required": true, "default": size},
        ]},
    }))
    .unwrap();
    Plugin::of(vec![(declaration, Vec::new(), Arc::new(provider))])
}

fn chat(model: &str, credentials: Value) -> Value {
    json!({"action": "invoke_llm", "provider": "counting", "model": model, "model_type": "llm", "credentials": credentials,
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": "Hi"}], "stream": true})
}

#[tokio::test]
async fn a_call_with_the_same_credentials_gets_the_same_form_and_schema() {
    let provider = Counting { follows: true, ..Counting::default() };
    let connections = provider.connections.clone();
    let plugin = plugin(provider, "8");
    for (model, credentials, expected) in [
        ("m", json!({"api_key": "k"}), "m api_key=k size=8; 0; connection of k"),
        ("m", json!({"api_key": "k"}), "m api_key=k size=8; 0; connection of k"),
        ("m", json!({"api_key": "l"}), "m api_key=l size=8; 1; connection of l"),
        ("m", json!({"api_key": "k", "size": "9"}), "m api_key=k size=9; 2; connection of k"),
        ("n", json!({"api_key": "k"}), "n api_key=k size=8; 3; connection of k"),
        ("m", json!({"api_key": "k"}), "m api_key=k size=8; 0; connection of k"),
        ("m", json!({"api_key": "l"}), "m api_key=l size=8; 1; connection of l"),
    ] {
        assert_eq!(plugin.call(chat(model, credentials)).await.text(), expected);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 4, "one for each form");
}

#[tokio::test]
async fn a_schema_that_a_server_may_change_is_asked_for_before_each_call() {
    let plugin = plugin(Counting::default(), "8");
    for number in 0..3 {
        let text = plugin.call(chat("m", json!({"api_key": "k"}))).await.text();
        assert_eq!(text, format!("m api_key=k size=8; {number}; connection of k"));
    }
}

#[tokio::test]
async fn an_invalid_form_is_checked_again() {
    let plugin = plugin(Counting { follows: true, ..Counting::default() }, "8");
    for (credentials, expected) in [(json!({}), "`api_key` is required"), (json!({"api_key": "wrong"}), "wrong key")] {
        for _ in 0..2 {
            let outcome = plugin.call(chat("m", credentials.clone())).await;
            assert!(outcome.failure().1.contains(expected), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn another_declaration_starts_with_nothing() {
    for size in ["8", "16"] {
        let text = plugin(Counting { follows: true, ..Counting::default() }, size)
            .call(chat("m", json!({"api_key": "k"})))
            .await
            .text();
        assert_eq!(text, format!("m api_key=k size={size}; 0; connection of k"));
    }
}
