//! Functions that a model may call, and whether it must.

use dify_plugin::protocol::{Tool, ToolChoice, ToolChoiceMode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::error::ApiError;

#[derive(Debug, Deserialize)]
pub struct Definition {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// `"auto"`, or an object that names a function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    Mode(String),
    Function { function: Named },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
pub struct Named {
    name: String,
}

/// The functions in Dify's form.
pub fn definitions(tools: Vec<Definition>) -> Result<Vec<Tool>, ApiError> {
    let tool = |(index, tool): (usize, Definition)| match (tool.kind.as_deref(), tool.function) {
        (None | Some("function"), Some(function)) => {
            // Models need a schema; a function without arguments may leave it out.
            let empty =
                || Map::from_iter([("type".to_owned(), "object".into()), ("properties".to_owned(), Map::new().into())]);
            let parameters = function.parameters.filter(|schema| !schema.is_empty()).unwrap_or_else(empty);
            Ok(Tool::new(function.name, function.description.unwrap_or_default(), parameters))
        }
        (kind, _) => {
            let kind = kind.unwrap_or("function");
            let message = format!("`tools[{index}]` is not a function with a name, but of the type `{kind}`.");
            Err(ApiError::invalid(message).with_param(format!("tools[{index}]")))
        }
    };
    tools.into_iter().enumerate().map(tool).collect()
}

/// The choice in Dify's form.
pub fn choice(choice: Choice, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    let invalid = |message: String| ApiError::invalid(message).with_param("tool_choice");
    match choice {
        Choice::Mode(mode) => match mode.as_str() {
            "auto" => Ok(ToolChoice::new(ToolChoiceMode::Auto)),
            "none" => Ok(ToolChoice::new(ToolChoiceMode::None)),
            "required" => Ok(ToolChoice::new(ToolChoiceMode::Required)),
            other => Err(invalid(format!("`{other}` is not `auto`, `none`, `required` or a function."))),
        },
        Choice::Function { function: Named { name } } => match tools.iter().any(|tool| tool.name == name) {
            true => Ok(ToolChoice::tool(name)),
            false => Err(invalid(format!("`{name}` is not one of `tools`."))),
        },
        Choice::Other(_) => Err(invalid("`tool_choice` is not a word or a function.".to_owned())),
    }
}
