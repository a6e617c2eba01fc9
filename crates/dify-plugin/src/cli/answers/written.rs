//! One answer from the terminal as responses of the wire. What is already written as on the wire stays as it is; text is
//! accepted where a response has one obvious member.

use serde_json::{Map, Value, json};

use crate::protocol::LlmUsage;
use crate::protocol::backwards::InvokeType;

/// Returns the responses to a call, or the error that the answer asks for with `{"error": "…"}`.
pub(crate) fn responses(
    invoke_type: InvokeType,
    answer: Value,
    request: &Map<String, Value>,
) -> Result<Vec<Value>, String> {
    if let Some(error) = answer.get("error").and_then(Value::as_str)
        && answer.as_object().is_some_and(|members| members.len() == 1)
    {
        return Err(error.to_owned());
    }
    let one = |data: Value| Ok(vec![data]);
    match (invoke_type, answer) {
        (InvokeType::Llm | InvokeType::LlmStructuredOutput, answer) => one(llm(invoke_type, answer, request)?),
        (InvokeType::Tool, Value::Array(messages)) => Ok(messages.into_iter().map(message).collect()),
        (InvokeType::Tool, answer) => one(message(answer)),
        (InvokeType::App, Value::Array(events)) => Ok(events),
        (InvokeType::App, answer @ Value::Object(_)) => one(answer),
        (InvokeType::App, answer) => {
            one(json!({"event": "message", "answer": text(answer), "conversation_id": "terminal"}))
        }
        (InvokeType::TextEmbedding | InvokeType::MultimodalEmbedding, embeddings @ Value::Array(_)) => {
            one(json!({"model": request.get("model"), "embeddings": embeddings, "usage": {}}))
        }
        (InvokeType::Rerank | InvokeType::MultimodalRerank, docs @ Value::Array(_)) => {
            one(json!({"model": request.get("model"), "docs": docs}))
        }
        (_, answer @ Value::Object(_)) => one(node(invoke_type, answer)),
        (InvokeType::SystemSummary, answer) => one(json!({"summary": text(answer)})),
        (InvokeType::UploadFile, answer) => one(json!({"url": text(answer)})),
        (InvokeType::Tts, answer) => one(json!({"result": hex::encode(text(answer))})),
        (InvokeType::Storage, answer) => one(json!({"data": answer})),
        (_, answer) => one(json!({"result": answer})),
    }
}

/// A text, or the JSON of anything else.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn message(answer: Value) -> Value {
    match answer {
        message @ Value::Object(_) => message,
        answer => json!({"type": "text", "message": {"text": text(answer)}}),
    }
}

/// The outputs of a node, in the object that has them.
fn node(invoke_type: InvokeType, answer: Value) -> Value {
    let is_node = matches!(invoke_type, InvokeType::NodeParameterExtractor | InvokeType::NodeQuestionClassifier);
    match is_node && answer.get("outputs").is_none() {
        true => json!({"process_data": {}, "inputs": {}, "outputs": answer}),
        false => answer,
    }
}

/// The whole response of a language model as its only chunk.
fn llm(invoke_type: InvokeType, answer: Value, request: &Map<String, Value>) -> Result<Value, String> {
    let mut members = match answer {
        Value::Object(members) if members.contains_key("delta") => return Ok(Value::Object(members)),
        Value::Object(members) => members,
        answer => Map::from_iter([("text".to_owned(), text(answer).into())]),
    };
    let is_described = ["text", "tool_calls", "structured_output"].iter().any(|name| members.contains_key(*name));
    if !is_described {
        let object = Value::Object(std::mem::take(&mut members));
        match invoke_type {
            InvokeType::LlmStructuredOutput => members.insert("structured_output".to_owned(), object),
            _ => members.insert("text".to_owned(), object.to_string().into()),
        };
    }
    let calls = members.remove("tool_calls").unwrap_or_default();
    let calls: Vec<Value> = calls.as_array().into_iter().flatten().enumerate().map(tool_call).collect();
    let content = members.remove("text").map(text).unwrap_or_default();
    let mut output = members.remove("structured_output");
    if invoke_type == InvokeType::LlmStructuredOutput && output.is_none() {
        // What a model writes.
        output = serde_json::from_str::<Value>(&content).ok().filter(Value::is_object);
    }
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    let usage = serde_json::to_value(LlmUsage::default()).map_err(|error| error.to_string())?;
    Ok(json!({
        "model": request.get("model"),
        "prompt_messages": [],
        "delta": {
            "index": 0,
            "message": {"role": "assistant", "content": content, "name": "", "tool_calls": calls},
            "usage": usage,
            "finish_reason": reason,
        },
        "structured_output": output,
    }))
}

/// `{name, arguments}`, or a call as on the wire.
fn tool_call((index, call): (usize, &Value)) -> Value {
    if call.get("function").is_some() {
        return call.clone();
    }
    let id = call["id"].as_str().map_or_else(|| format!("call-{}", index + 1), str::to_owned);
    let arguments = match &call["arguments"] {
        Value::Null => "{}".to_owned(),
        arguments => text(arguments.clone()),
    };
    json!({"id": id, "type": "function", "function": {"name": call["name"], "arguments": arguments}})
}
