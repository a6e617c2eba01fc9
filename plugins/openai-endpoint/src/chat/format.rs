//! `response_format`: JSON mode is a parameter of the model; a schema is a structured call of Dify, which uses what the model
//! offers and repairs the rest.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Parameters;
use crate::error::ApiError;

/// A JSON schema.
pub type Schema = Map<String, Value>;

#[derive(Debug, Deserialize)]
pub struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    json_schema: Option<JsonSchema>,
}

#[derive(Debug, Deserialize)]
struct JsonSchema {
    #[serde(default)]
    schema: Option<Schema>,
}

impl ResponseFormat {
    pub fn is_text(&self) -> bool {
        self.kind == "text"
    }

    /// Sets the parameter of JSON mode, or returns the schema of a structured call. A structured call of Dify fails when the model
    /// calls a tool, so that with tools the schema is a parameter, too, for the models that have it.
    pub fn apply(self, parameters: &mut Parameters, has_tools: bool) -> Result<Option<Schema>, ApiError> {
        match self.kind.as_str() {
            "text" => Ok(None),
            "json_object" => {
                parameters.set("response_format", Some("json_object"));
                Ok(None)
            }
            "json_schema" => {
                let schema = self.json_schema.and_then(|format| format.schema);
                let schema = crate::read::required(schema, "response_format.json_schema.schema")?;
                if !has_tools {
                    return Ok(Some(schema));
                }
                parameters.set("response_format", Some("json_schema"));
                parameters.set("json_schema", Some(Value::Object(schema).to_string()));
                Ok(None)
            }
            other => {
                let message = format!("`{other}` is not supported; use `text`, `json_object` or `json_schema`.");
                Err(ApiError::invalid(message).with_param("response_format.type"))
            }
        }
    }
}
