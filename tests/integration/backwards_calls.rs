//! Every call back into Dify against what the Python SDK (`dify_plugin` 0.10.2) sends and reads: `sdk_calls.json` holds the
//! requests that it wrote, responses as the daemon sends them, and what it made of these.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::backwards_calls as calls;
use calls::{make, object};
use dify_plugin::plugin::dify::{Backwards, Dify, DifyError, DifyFacts, Invoke, Responses};
use dify_plugin::protocol::Payload;
use dify_plugin::protocol::backwards::InvokeType;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

/// Answers one call from a script, and keeps what was requested.
struct Scripted {
    responses: Vec<Value>,
    seen: Mutex<Option<(InvokeType, Value)>>,
}

impl Backwards for Scripted {
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        let request = serde_json::from_str(invoke.request.get()).unwrap();
        *self.seen.lock().unwrap() = Some((invoke.invoke_type, request));
        let responses: Vec<_> = self.responses.iter().map(|response| Ok(payload(response))).collect();
        async move { Ok(stream::iter(responses).boxed()) }.boxed()
    }
}

fn payload(response: &Value) -> Payload {
    let line = response.to_string().into_bytes();
    let length = line.len();
    Payload::new(line, 0..length)
}

/// What a whole result of the SDK is, in the form of [`make`].
fn whole_of_sdk(result: &Value) -> Value {
    json!({
        "text": result["message"]["content"], "tool_calls": result["message"]["tool_calls"],
        "tokens": result["usage"]["total_tokens"],
        "structured_output": result.get("structured_output").cloned().unwrap_or_default(),
    })
}

/// Without what is the same to the daemon as an absent member: null, and the empty values of Go.
fn trimmed(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let is_empty = |value: &Value| {
                *value == Value::Null || *value == json!("") || *value == json!({}) || *value == json!([])
            };
            members
                .iter()
                .map(|(name, value)| (name.clone(), trimmed(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect()
        }
        Value::Array(items) => items.iter().map(trimmed).collect(),
        other => other.clone(),
    }
}

/// Numbers as numbers, whether they were written as text or not.
fn numbered(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), numbered(value))).collect(),
        Value::Array(items) => items.iter().map(numbered).collect(),
        Value::String(text) => text.parse::<f64>().map_or_else(|_| value.clone(), |number| json!(number)),
        Value::Number(number) => json!(number.as_f64().map(|number| number as f32)),
        other => other.clone(),
    }
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../data/backwards/sdk_calls.json")).unwrap()
}

#[tokio::test]
async fn each_call_is_sent_and_read_as_by_the_python_sdk() {
    let credentials = object(json!({"acme/time/time": "cred-of-context"}));
    for vector in vectors() {
        let name = vector["name"].as_str().unwrap();
        let responses = vector["responses"].as_array().unwrap().clone();
        let engine = Arc::new(Scripted { responses, seen: Mutex::default() });
        let mut facts = DifyFacts::default();
        facts.app_id = Some(Arc::from("app-of-session"));
        facts.tool_credentials.clone_from(&credentials);
        let result =
            make(name, &Dify::new(engine.clone(), facts)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (invoke_type, request) = engine.seen.lock().unwrap().take().unwrap();
        assert_eq!(invoke_type.as_str(), vector["type"], "{name}");
        assert_eq!(trimmed(&request), trimmed(&vector["request"]), "{name}");
        let expected = match name {
            "llm_stream" => json!({"text": "Hello", "tool_calls": [], "tokens": 17, "structured_output": null}),
            "llm_whole" | "llm_structured_output" => whole_of_sdk(&vector["sdk_result"]),
            _ => vector["sdk_result"].clone(),
        };
        assert_eq!(numbered(&trimmed(&result)), numbered(&trimmed(&expected)), "{name}");
    }
}

#[test]
fn every_type_of_call_has_a_vector() {
    let known: BTreeMap<String, ()> =
        vectors().iter().map(|vector| (vector["type"].as_str().unwrap().to_owned(), ())).collect();
    for invoke_type in InvokeType::ALL {
        assert!(known.contains_key(invoke_type.as_str()), "{invoke_type:?}");
    }
    assert_eq!(known.len(), InvokeType::ALL.len());
}
