//! One call back into Dify of every type, by the name of its vector in `tests/data/backwards/sdk_calls.json`.

use dify_plugin::plugin::dify::{Dify, DifyError};
use dify_plugin::protocol::backwards::{
    LlmResult, ModelConfig, ModelName, ParameterType, RequestedParameter, SummaryInvocation, ToolType, UploadInvocation,
};
use dify_plugin::protocol::{
    Content, ContentPart, EmbeddingInputType, MediaPart, MultimodalContent, MultimodalContentType, PromptMessage, Tool,
    ToolCall,
};
use serde_json::{Map, Value, json};

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn model() -> ModelConfig {
    ModelConfig::new("acme/models/acme", "acme-1").with_parameter("temperature", 0.2)
}

fn named(model: &str) -> ModelName {
    ModelName::new("acme/models/acme", model)
}

fn content(content: &str, content_type: MultimodalContentType) -> MultimodalContent {
    match content_type {
        MultimodalContentType::Image => MultimodalContent::image(content),
        _ => MultimodalContent::text(content),
    }
}

fn conversation() -> Vec<PromptMessage> {
    let mut image = MediaPart::base64("iVBORw0").with_mime_type("image/png").with_detail("high");
    // The daemon cannot read it in a call back.
    image.opaque_body = Some(json!({"signature": "x"}));
    let call = ToolCall::function("call_1", "lookup", r#"{"q":"x"}"#);
    let mut assistant = PromptMessage::assistant("");
    assistant.tool_calls.push(call.clone());
    assistant.opaque_body = Some(json!({"signature": "y"}));
    let parts = vec![ContentPart::text("What is this?"), ContentPart::Image(image)];
    vec![
        PromptMessage::system("Be brief."),
        PromptMessage::user(Content::Parts(parts)),
        assistant,
        PromptMessage::tool(&call, "42"),
    ]
}

fn lookup() -> Tool {
    let parameters = json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]});
    Tool::new("lookup", "find", object(parameters))
}

fn whole(result: LlmResult) -> Value {
    json!({
        "text": result.text(), "tool_calls": result.tool_calls, "tokens": result.usage.map(|usage| usage.total_tokens),
        "structured_output": result.structured_output,
    })
}

/// Makes the call of this name as the SDK's vector does. What was read, in the form of the SDK's result.
pub async fn make(name: &str, dify: &Dify) -> Result<Value, DifyError> {
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
            let request = SummaryInvocation::new("A long text", "in one line");
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
            let parameter = |name: &str, r#type, options: &[&str], description: &str, required| {
                let parameter = RequestedParameter::new(name, r#type, description);
                let parameter = parameter.with_options(options.iter().copied());
                if required { parameter.required() } else { parameter }
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
        "storage_get" => hex::encode(dify.storage().get("k").await?.unwrap_or_default()).into(),
        "storage_set" => json!(dify.storage().set("k", [0x00, 0xff]).await?),
        "storage_delete" => json!(dify.storage().delete("k").await?),
        "storage_exist" => dify.storage().exists("k").await?.into(),
        "upload_file" => {
            let request = UploadInvocation::new("a.pdf", "application/pdf");
            let _ = dify.call_once(request).await?.url;
            Value::Null
        }
        other => json!(format!("no call is named `{other}`")),
    })
}
