//! Tools that a user has selected for an agent: what a model is offered, and how a tool is called.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::plugin::Dify;
use crate::plugin::dify::ToolCallback;
use crate::protocol::Tool;
use crate::protocol::backwards::ToolType;
use crate::protocol::lenient::{empty_string_as_none, lenient, null_default};

/// A tool that a user has selected. A list of them is the parameter `tools` of an agent strategy (`array[tools]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SelectedTool {
    /// Which tool.
    pub identity: ToolIdentity,
    /// What it does.
    #[serde(default, deserialize_with = "lenient")]
    pub description: ToolDescription,
    /// Its parameters, as its provider declares them.
    #[serde(default, deserialize_with = "null_default")]
    pub parameters: Vec<Map<String, Value>>,
    /// The values that the user has fixed, by parameter.
    #[serde(default, deserialize_with = "null_default")]
    pub runtime_parameters: Map<String, Value>,
    /// Where it comes from: `builtin`, `workflow`, `api` or `mcp`.
    #[serde(default, deserialize_with = "null_default")]
    pub provider_type: String,
    /// Whose credentials are used.
    #[serde(default, deserialize_with = "empty_string_as_none")]
    pub credential_id: Option<String>,
    /// JSON schema of its outputs.
    #[serde(default, deserialize_with = "lenient")]
    pub output_schema: Option<Map<String, Value>>,
}

/// Which tool of which provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolIdentity {
    /// The tool.
    pub name: String,
    /// Its provider, by the name that a call needs.
    #[serde(default, deserialize_with = "null_default")]
    pub provider: String,
}

/// What a tool does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDescription {
    /// For the model.
    #[serde(default, deserialize_with = "null_default")]
    pub llm: String,
}

impl SelectedTool {
    /// The tool as a model is offered it: the parameters that the model fills in, as a JSON schema.
    pub fn prompt_tool(&self) -> Tool {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in &self.parameters {
            let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
            let Some(mut schema) = argument_schema(parameter).filter(|_| text("form") == "llm") else { continue };
            schema.insert("description".to_owned(), json!(text("llm_description")));
            if parameter.get("required") == Some(&Value::Bool(true)) {
                required.push(text("name"));
            }
            properties.insert(text("name").to_owned(), Value::Object(schema));
        }
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let parameters = schema.as_object().cloned().unwrap_or_default();
        Tool { name: self.identity.name.clone(), description: self.description.llm.clone(), parameters }
    }

    /// A call of the tool with the model's arguments; what the user has fixed wins.
    pub fn invocation(&self, dify: &Dify, arguments: Map<String, Value>) -> ToolCallback {
        let tool_type = ToolType::of(&self.provider_type).unwrap_or(ToolType::Builtin);
        let call = dify.tool(tool_type, &self.identity.provider, &self.identity.name).parameters(arguments);
        let call = call.parameters(self.runtime_parameters.clone());
        match &self.credential_id {
            Some(id) => call.credential(id),
            None => call,
        }
    }
}

/// The schema of one argument; files are nothing that a model can fill in.
fn argument_schema(parameter: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut schema = Map::new();
    let kind = parameter.get("type").and_then(Value::as_str).unwrap_or_default();
    let json_type = match kind {
        "file" | "files" => return None,
        "number" | "boolean" | "array" | "object" => kind,
        "date-range" | "app-selector" | "model-selector" => "object",
        _ => "string",
    };
    schema.insert("type".to_owned(), json!(json_type));
    if json_type == "array" {
        schema.insert("items".to_owned(), json!({"type": "string"}));
    }
    let options = parameter.get("options").and_then(Value::as_array);
    if let Some(options) = options.filter(|options| kind == "select" && !options.is_empty()) {
        let values: Vec<&Value> = options.iter().filter_map(|option| option.get("value")).collect();
        schema.insert("enum".to_owned(), json!(values));
    }
    // MCP servers and workflows describe their parameters in more detail.
    if let Some(Value::Object(input)) = parameter.get("input_schema").filter(|_| json_type != "string") {
        schema.extend(input.clone());
    }
    Some(schema)
}
