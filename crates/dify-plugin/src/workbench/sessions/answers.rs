//! Answers to the calls back of plugins: plausible ones by the script, which knows what each type of call asks for, and those that
//! are typed into the page. The storage is kept for the run.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::answers::{Answers, responses};
use crate::daemon::{Invoke, Replies};
use crate::protocol::backwards::InvokeType;

/// Maximum depth of an example for a JSON Schema.
const MAX_DEPTH: usize = 8;

/// The script, and what plugins have stored.
#[derive(Default)]
pub(super) struct Script(Answers);

impl Script {
    /// The responses to a call as on the wire, or the error that it gets.
    pub(super) fn responses(&mut self, call: &Invoke) -> Result<Vec<Value>, String> {
        let Some(invoke_type) = InvokeType::of_name(&call.invoke_type) else {
            return Err(format!("unsupported invoke type: {}", call.invoke_type));
        };
        match invoke_type {
            InvokeType::Storage => self.0.stored(&call.request).map(|data| vec![data]),
            _ => responses(invoke_type, plausible(invoke_type, &call.request), &call.request),
        }
    }
}

/// An event of an answer that was typed.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum TypedEvent {
    Response { data: Value },
    Error { message: String },
    End,
}

/// The lines of an answer, as they go to the plugin.
pub(super) fn write(replies: &Replies, events: &[TypedEvent]) {
    for event in events {
        match event {
            TypedEvent::Response { data } => replies.response(data),
            TypedEvent::Error { message } => replies.error(message),
            TypedEvent::End => {}
        }
    }
    // Every answer has one end.
    replies.end();
}

/// An answer that fits the request.
fn plausible(invoke_type: InvokeType, request: &Map<String, Value>) -> Value {
    let list = |name: &str| request.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let vectors = |count: usize| -> Value {
        (0..count.max(1)).map(|index| json!([0.1 * (index + 1) as f64, 0.2, 0.3])).collect::<Vec<_>>().into()
    };
    match invoke_type {
        InvokeType::Llm => {
            let is_answered = list("prompt_messages").last().is_some_and(|message| message["role"] == "tool");
            match list("tools").first().filter(|_| !is_answered) {
                Some(tool) => {
                    json!({"tool_calls": [{"name": tool["name"], "arguments": example(&tool["parameters"], 0)}]})
                }
                None => json!({"text": "This is an answer of the workbench's script."}),
            }
        }
        InvokeType::LlmStructuredOutput => {
            let schema = request.get("structured_output_schema").unwrap_or(&Value::Null);
            json!({ "structured_output": example(schema, 0) })
        }
        InvokeType::SystemSummary => "A short summary.".into(),
        InvokeType::TextEmbedding => vectors(list("texts").len()),
        InvokeType::MultimodalEmbedding => vectors(list("documents").len()),
        InvokeType::Rerank | InvokeType::MultimodalRerank => {
            let ranked = list("docs").iter().enumerate().map(|(index, document)| {
                let text = document.as_str().or_else(|| document["content"].as_str()).unwrap_or_default();
                json!({"index": index, "text": text, "score": 0.9 / (index + 1) as f64})
            });
            ranked.collect::<Vec<_>>().into()
        }
        InvokeType::Tts => "ID3".into(),
        InvokeType::Speech2text => "Spoken words.".into(),
        InvokeType::Moderation => false.into(),
        InvokeType::Tool => "A result of the tool.".into(),
        InvokeType::App => "An answer of the app.".into(),
        InvokeType::FetchApp => json!({"opening_statement": "", "suggested_questions": [], "user_input_form": []}),
        InvokeType::NodeParameterExtractor => {
            let values = list("parameters").iter().filter_map(|parameter| {
                let value = match parameter["type"].as_str().unwrap_or_default() {
                    "number" => json!(1),
                    "bool" => json!(true),
                    "select" => parameter["options"][0].clone(),
                    kind if kind.starts_with("array") => json!([]),
                    _ => json!("text"),
                };
                Some((parameter["name"].as_str()?.to_owned(), value))
            });
            Value::Object(values.collect())
        }
        InvokeType::NodeQuestionClassifier => match list("classes").first() {
            Some(class) => json!({"class_id": class["id"], "class_name": class["name"]}),
            None => json!({"class_id": "1", "class_name": ""}),
        },
        InvokeType::UploadFile => "http://127.0.0.1:9/upload".into(),
        InvokeType::Storage => Value::Null,
    }
}

/// A value that fits a JSON Schema, as small as possible.
fn example(schema: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let given = [&schema["default"], &schema["const"], &schema["enum"][0]].into_iter().find(|value| !value.is_null());
    if let Some(value) = given {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => "text".into(),
        Some("number" | "integer") => {
            Some(&schema["minimum"]).filter(|least| least.is_number()).cloned().unwrap_or(json!(1))
        }
        Some("boolean") => true.into(),
        Some("array") if schema["items"].is_object() => json!([example(&schema["items"], depth + 1)]),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(members.map(|(name, inner)| (name.clone(), example(inner, depth + 1))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_call_gets_an_answer_that_fits() {
        let call = |name: &str, request: Value| Invoke {
            invoke_type: name.to_owned(),
            request_id: "r".to_owned(),
            request: request.as_object().cloned().unwrap(),
        };
        let mut script = Script::default();
        let tool = json!({"name": "forecast", "parameters": {"type": "object", "properties": {
            "place": {"type": "string"}, "days": {"type": "integer", "minimum": 2}, "unit": {"enum": ["c", "f"]},
        }}});
        for (name, request, path, expected) in [
            (
                "llm",
                json!({"model": "m"}),
                "/delta/message/content",
                json!("This is an answer of the workbench's script."),
            ),
            (
                "llm",
                json!({"tools": [tool]}),
                "/delta/message/tool_calls/0/function/arguments",
                json!("{\"place\":\"text\",\"days\":2,\"unit\":\"c\"}"),
            ),
            (
                "llm",
                json!({"tools": [tool], "prompt_messages": [{"role": "tool"}]}),
                "/delta/finish_reason",
                json!("stop"),
            ),
            (
                "llm_structured_output",
                json!({"structured_output_schema": {"type": "object",
                "properties": {"a": {"type": ["null", "boolean"]}}}}),
                "/structured_output",
                json!({"a": true}),
            ),
            ("system_summary", json!({}), "/summary", json!("A short summary.")),
            ("text_embedding", json!({"texts": ["a", "b"]}), "/embeddings/1/1", json!(0.2)),
            ("multimodal_embedding", json!({"documents": [{}]}), "/embeddings/0/2", json!(0.3)),
            ("rerank", json!({"docs": ["a", "b"]}), "/docs/1/text", json!("b")),
            ("multimodal_rerank", json!({"docs": [{"content": "c"}]}), "/docs/0/text", json!("c")),
            ("tts", json!({}), "/result", json!("494433")),
            ("speech2text", json!({}), "/result", json!("Spoken words.")),
            ("moderation", json!({}), "/result", json!(false)),
            ("tool", json!({}), "/message/text", json!("A result of the tool.")),
            ("app", json!({}), "/answer", json!("An answer of the app.")),
            ("fetch_app", json!({}), "/user_input_form", json!([])),
            (
                "node_parameter_extractor",
                json!({"parameters": [{"name": "n", "type": "number"}]}),
                "/outputs/n",
                json!(1),
            ),
            (
                "node_question_classifier",
                json!({"classes": [{"id": "7", "name": "x"}]}),
                "/outputs/class_id",
                json!("7"),
            ),
            ("upload_file", json!({}), "/url", json!("http://127.0.0.1:9/upload")),
            ("storage", json!({"opt": "set", "key": "k", "value": "v"}), "/data", json!("ok")),
            ("storage", json!({"opt": "get", "key": "k"}), "/data", json!("v")),
        ] {
            let responses = script.responses(&call(name, request)).unwrap();
            assert_eq!(responses[0].pointer(path), Some(&expected), "{name}: {responses:?}");
        }
        assert!(script.responses(&call("other", json!({}))).unwrap_err().contains("unsupported"));
    }
}
