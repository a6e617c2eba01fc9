//! Every call back into Dify against what the Python SDK (`dify_plugin` 0.10.2) sends and reads: `sdk_calls.json` holds the
//! requests that it wrote, responses as the daemon sends them, and what it made of these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dify_plugin::plugin::dify::{Backwards, Dify, DifyError, DifyFacts, Invoke, Responses};
use dify_plugin::protocol::backwards::{
    InvokeType, LlmResult, ModelConfig, ModelName, ParameterType, RequestedParameter, SummaryInvocation, ToolType,
    UploadInvocation,
};
use dify_plugin::protocol::{
    ContentPart, EmbeddingInputType, MediaPart, MultimodalContent, MultimodalContentType, Payload, PromptMessage, Tool,
    ToolCall,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};

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

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn model() -> ModelConfig {
    ModelConfig::new("acme/models/acme", "acme-1").with_parameter("temperature", 0.2)
}

fn named(model: &str) -> ModelName {
    ModelName::new("acme/models/acme", model)
}

fn content(content: &str, content_type: MultimodalContentType) -> MultimodalContent {
    MultimodalContent { content: content.to_owned(), content_type }
}

fn conversation() -> Vec<PromptMessage> {
    let image = MediaPart {
        format: "png".to_owned(),
        mime_type: "image/png".to_owned(),
        base64_data: Some("iVBORw0".to_owned()),
        detail: Some("high".to_owned()),
        // The daemon cannot read it in a call back.
        opaque_body: Some(json!({"signature": "x"})),
        ..MediaPart::default()
    };
    let call = ToolCall::function("call_1", "lookup", r#"{"q":"x"}"#);
    let parts = vec![ContentPart::text("What is this?"), ContentPart::Image(image)];
    vec![
        PromptMessage::system("Be brief."),
        PromptMessage::user(dify_plugin::protocol::Content::Parts(parts)),
        PromptMessage {
            tool_calls: vec![call.clone()],
            opaque_body: Some(json!({"signature": "y"})),
            ..PromptMessage::assistant("")
        },
        PromptMessage::tool(&call, "42"),
    ]
}

fn lookup() -> Tool {
    let parameters = json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]});
    Tool { name: "lookup".to_owned(), description: "find".to_owned(), parameters: object(parameters) }
}

fn whole(result: LlmResult) -> Value {
    json!({
        "text": result.text(), "tool_calls": result.tool_calls, "tokens": result.usage.map(|usage| usage.total_tokens),
        "structured_output": result.structured_output,
    })
}

/// The same of a result of the SDK.
fn whole_of_sdk(result: &Value) -> Value {
    json!({
        "text": result["message"]["content"], "tool_calls": result["message"]["tool_calls"],
        "tokens": result["usage"]["total_tokens"],
        "structured_output": result.get("structured_output").cloned().unwrap_or_default(),
    })
}

/// Makes the call of this name as the SDK's vector does. What was read, in the form of the SDK's result.
async fn make(name: &str, dify: &Dify) -> Result<Value, DifyError> {
    let city = object(json!({"city": "Riga"}));
    Ok(match name {
        "llm_stream" => {
            let call = dify.llm(&model()).messages(conversation()).tools([lookup()]).stop("END");
            whole(call.stream().await?.whole().await?)
        }
        "llm_whole" => whole(dify.llm(&model()).user("hi").whole().await?),
        "llm_structured_output" => {
            let schema = object(json!({"type": "object", "properties": {"city": {"type": "string"}}}));
            whole(dify.llm(&model()).user("hi").structured(schema).whole().await?)
        }
        "summary" => {
            let request = SummaryInvocation { text: "A long text".to_owned(), instruction: "in one line".to_owned() };
            dify.call_once(request).await?.summary.into()
        }
        "text_embedding" => {
            let call = dify.embedding(named("embed")).input_type(EmbeddingInputType::Document);
            json!(call.texts(["a", "b"]).await?)
        }
        "multimodal_embedding" => {
            let documents = [content("a", MultimodalContentType::Text), content("QUJD", MultimodalContentType::Image)];
            json!(dify.embedding(named("embed")).documents(documents).await?)
        }
        "rerank" => {
            let call = dify.rerank(named("rank")).score_threshold(0.5).top_n(2);
            json!(call.texts("q", ["a", "b"]).await?)
        }
        "multimodal_rerank" => {
            let call = dify.rerank(named("rank")).score_threshold(0.5).top_n(2);
            let query = content("q", MultimodalContentType::Text);
            json!(call.contents(query, [content("QUJD", MultimodalContentType::Image)]).await?)
        }
        "tts" => {
            let chunks = dify.tts(named("say"), "alloy").stream("Hello").await?.all().await?;
            chunks.iter().map(|chunk| hex::encode(&chunk.bytes)).collect()
        }
        "speech2text" => dify.speech2text(named("hear"), &b"RIFF\x00\xff"[..]).await?.into(),
        "moderation" => dify.moderation(named("mod"), "text").await?.into(),
        "tool" => {
            let call = dify.tool(ToolType::Mcp, "server", "look").parameter("q", 1).credential("cred-1");
            json!(call.whole().await?)
        }
        "tool_of_context" => json!(dify.tool(ToolType::Builtin, "acme/time/time", "now").whole().await?),
        "tool_workflow" => json!(dify.tool(ToolType::Workflow, "w", "t").parameter("a", "b").whole().await?),
        "tool_api" => {
            json!(dify.tool(ToolType::Api, "p", "t").parameters(object(json!({"a": "b"}))).whole().await?)
        }
        "chat_stream" => {
            let call = dify.app("app-1").inputs(city).chat("How is it?").conversation("conv-1");
            json!(call.stream().await?.all().await?)
        }
        "chat_whole" => json!(dify.app("app-1").chat("How is it?").whole().await?),
        "completion_whole" => json!(dify.app("app-1").input("q", "a").completion().user("u").whole().await?),
        "workflow_stream" => json!(dify.app("app-1").input("q", "a").workflow().stream().await?.all().await?),
        "fetch_app" => {
            let info = dify.app_info("app-1").await?;
            json!({"opening_statement": info.opening_statement, "suggested_questions": info.suggested_questions,
                "user_input_form": info.user_input_form})
        }
        "parameter_extractor" => {
            let model = ModelConfig::new("acme/models/acme", "acme-1").with_parameter("temperature", 0);
            let parameter = |name: &str, r#type, options: &[&str], description: &str, required| RequestedParameter {
                name: name.to_owned(),
                r#type,
                options: options.iter().map(|option| (*option).to_owned()).collect(),
                description: description.to_owned(),
                required,
            };
            let call = dify
                .parameter_extractor(&model, "Weather in Riga")
                .with(parameter("city", ParameterType::String, &[], "the city", true))
                .with(parameter("unit", ParameterType::Select, &["C", "F"], "", false))
                .instruction("be exact");
            let result = call.run().await?;
            json!({"process_data": result.process_data, "inputs": result.inputs, "outputs": result.outputs})
        }
        "question_classifier" => {
            let model = ModelConfig::new("acme/models/acme", "acme-1");
            let call = dify.question_classifier(&model, "Weather?").class("1", "weather").class("2", "other");
            let result = call.run().await?;
            json!({"process_data": result.process_data, "inputs": result.inputs, "outputs": result.outputs})
        }
        "storage_get" => hex::encode(dify.storage().get("k").await?.unwrap()).into(),
        "storage_set" => json!(dify.storage().set("k", [0x00, 0xff]).await?),
        "storage_delete" => json!(dify.storage().delete("k").await?),
        "storage_exist" => dify.storage().exists("k").await?.into(),
        "upload_file" => {
            let request = UploadInvocation { filename: "a.pdf".to_owned(), mimetype: "application/pdf".to_owned() };
            let _ = dify.call_once(request).await?.url;
            Value::Null
        }
        other => panic!("no call is made for `{other}`"),
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
    serde_json::from_str(include_str!("data/backwards/sdk_calls.json")).unwrap()
}

#[tokio::test]
async fn each_call_is_sent_and_read_as_by_the_python_sdk() {
    let credentials = object(json!({"acme/time/time": "cred-of-context"}));
    for vector in vectors() {
        let name = vector["name"].as_str().unwrap();
        let responses = vector["responses"].as_array().unwrap().clone();
        let engine = Arc::new(Scripted { responses, seen: Mutex::default() });
        let facts = DifyFacts {
            app_id: Some(Arc::from("app-of-session")),
            tool_credentials: credentials.clone(),
            ..DifyFacts::default()
        };
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
