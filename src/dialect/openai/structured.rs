//! Structured output: `response_format` in the upstream's format, or the schema in the system message.
//!
//! `text` is the default of every server, so it is not sent; some servers reject the member. `JSON` and `XML` are the
//! options of Dify's template of the parameter: the first counts as `json_object`, the second is an instruction in the
//! system message, because no server has a format for it.

use serde_json::{Map, Value, json};

use super::profile::StructuredForm;
use dify_plugin::error::InvokeError;

/// Instruction for a model that must respond in JSON.
pub const JSON_INSTRUCTION: &str = "Answer with one valid JSON object and nothing else.";

/// Instruction for a model that must respond in XML.
const XML_INSTRUCTION: &str =
    "Answer with one well-formed XML document and nothing else: no explanation, no code fence.";

/// How a request asks for structured output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structured {
    /// The `response_format` member.
    pub response_format: Option<Value>,
    /// Text for the system message.
    pub instruction: Option<String>,
}

/// Takes `response_format` and `json_schema` out of the parameters. The request's own `schema` takes precedence.
pub fn structured(
    parameters: &mut Map<String, Value>,
    schema: Option<&Map<String, Value>>,
    form: StructuredForm,
) -> Result<Structured, InvokeError> {
    let requested = parameters.remove("response_format");
    let parameter = parameters.remove("json_schema");
    let kind = match (&requested, schema) {
        (_, Some(_)) => "json_schema".to_owned(),
        (Some(Value::Object(object)), None) => {
            return Ok(Structured { response_format: Some(Value::Object(object.clone())), instruction: None });
        }
        (Some(Value::String(text)), None) => text.trim().to_ascii_lowercase(),
        _ if parameter.as_ref().is_some_and(is_filled) => "json_schema".to_owned(),
        _ => return Ok(Structured::default()),
    };
    match kind.as_str() {
        "" | "text" => Ok(Structured::default()),
        "json" | "json_object" => Ok(json_object(form)),
        "xml" => Ok(Structured { response_format: None, instruction: Some(XML_INSTRUCTION.to_owned()) }),
        "json_schema" => {
            let schema = match schema {
                Some(schema) => schema.clone(),
                None => schema_of(parameter)?,
            };
            Ok(json_schema(schema, form))
        }
        other => Err(InvokeError::bad_request(format!(
            "parameter `response_format` must be text, json_object, json_schema or XML, found `{other}`"
        ))),
    }
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn schema_of(parameter: Option<Value>) -> Result<Map<String, Value>, InvokeError> {
    let wrong = |reason: &str| InvokeError::bad_request(format!("parameter `json_schema` {reason}"));
    match parameter {
        Some(Value::Object(map)) => Ok(map),
        Some(Value::String(text)) if !text.trim().is_empty() => {
            match serde_json::from_str(&text).map_err(|error| wrong(&format!("is not valid JSON: {error}")))? {
                Value::Object(map) => Ok(map),
                _ => Err(wrong("must be a JSON object")),
            }
        }
        None | Some(Value::Null | Value::String(_)) => Err(wrong("is required when `response_format` is json_schema")),
        Some(_) => Err(wrong("must be a JSON object")),
    }
}

fn json_object(form: StructuredForm) -> Structured {
    let instruction = JSON_INSTRUCTION.to_owned();
    match form {
        StructuredForm::Native | StructuredForm::JsonObject => {
            Structured { response_format: Some(json!({"type": "json_object"})), instruction: None }
        }
        StructuredForm::NativeAndPrompt => {
            Structured { response_format: Some(json!({"type": "json_object"})), instruction: Some(instruction) }
        }
        StructuredForm::Prompt => Structured { response_format: None, instruction: Some(instruction) },
    }
}

fn json_schema(schema: Map<String, Value>, form: StructuredForm) -> Structured {
    // Some users provide OpenAI's envelope, others the bare schema.
    let is_envelope = schema.get("schema").is_some_and(Value::is_object) && !schema.contains_key("type");
    let bare =
        if is_envelope { schema.get("schema").cloned().unwrap_or_default() } else { Value::Object(schema.clone()) };
    let instruction = format!(
        "Answer with one JSON object and nothing else: no explanation, no code fence. \
         The object must be valid against this JSON Schema:\n{bare}"
    );
    let native = || {
        let mut envelope =
            if is_envelope { schema.clone() } else { Map::from_iter([("schema".to_owned(), bare.clone())]) };
        if !envelope.contains_key("name") {
            envelope.insert("name".to_owned(), Value::from("answer"));
        }
        json!({"type": "json_schema", "json_schema": envelope})
    };
    match form {
        StructuredForm::Native => Structured { response_format: Some(native()), instruction: None },
        StructuredForm::NativeAndPrompt => {
            Structured { response_format: Some(native()), instruction: Some(instruction) }
        }
        StructuredForm::JsonObject => {
            Structured { response_format: Some(json!({"type": "json_object"})), instruction: Some(instruction) }
        }
        StructuredForm::Prompt => Structured { response_format: None, instruction: Some(instruction) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(parameters: Value, schema: Option<Value>, form: StructuredForm) -> Result<(Value, Option<String>), String> {
        let mut parameters = parameters.as_object().unwrap().clone();
        let schema = schema.map(|schema| schema.as_object().unwrap().clone());
        let result = structured(&mut parameters, schema.as_ref(), form).map_err(|error| error.message)?;
        assert!(!parameters.contains_key("response_format") && !parameters.contains_key("json_schema"));
        Ok((result.response_format.unwrap_or_default(), result.instruction))
    }

    #[test]
    fn requests_structured_output_in_every_form() {
        use StructuredForm::{JsonObject, Native, NativeAndPrompt, Prompt};
        let bare = json!({"type": "object"});
        let native = json!({"type": "json_schema", "json_schema": {"schema": {"type": "object"}, "name": "answer"}});
        let object = json!({"type": "json_object"});
        let cases = [
            (json!({}), None, Native, Value::Null, false),
            (json!({"response_format": "text", "json_schema": "{}"}), None, Native, Value::Null, false),
            (json!({"response_format": "json_object", "json_schema": "x"}), None, Native, object.clone(), false),
            (json!({"response_format": "JSON"}), None, NativeAndPrompt, object.clone(), true),
            (json!({"response_format": "JSON"}), None, Prompt, Value::Null, true),
            (json!({"response_format": "XML"}), None, Native, Value::Null, true),
            (json!({"response_format": "XML"}), Some(bare.clone()), Native, native.clone(), false),
            (
                json!({"response_format": "json_schema", "json_schema": bare.to_string()}),
                None,
                Native,
                native.clone(),
                false,
            ),
            (json!({"json_schema": bare}), None, NativeAndPrompt, native.clone(), true),
            (json!({}), Some(bare.clone()), Native, native.clone(), false),
            (json!({"response_format": "text"}), Some(bare.clone()), JsonObject, object.clone(), true),
            (json!({}), Some(bare.clone()), Prompt, Value::Null, true),
            (
                json!({"json_schema": {"name": "n", "schema": bare, "strict": true}}),
                None,
                Native,
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}}),
                false,
            ),
        ];
        for (parameters, schema, form, expected, instructed) in cases {
            let (format, instruction) = run(parameters.clone(), schema, form).unwrap();
            assert_eq!((format, instruction.is_some()), (expected, instructed), "{parameters} {form:?}");
        }
    }

    #[test]
    fn rejects_invalid_schemas() {
        for (parameters, expected) in [
            (json!({"response_format": "json_schema"}), "is required"),
            (json!({"response_format": "json_schema", "json_schema": "{"}), "is not valid JSON"),
            (json!({"response_format": "json_schema", "json_schema": "[]"}), "must be a JSON object"),
            (json!({"response_format": "yaml"}), "must be text, json_object"),
        ] {
            let error = run(parameters.clone(), None, StructuredForm::Native).unwrap_err();
            assert!(error.contains(expected), "{parameters}: {error}");
        }
    }
}
