//! Functions of a request: their declarations, which of them may or must be called, and their combination with Google
//! tools.
//!
//! Source: Gemini API, "Function calling", "Tool combination".

use serde_json::{Map, Value, json};

use super::json_schema::{self, Budget};
use crate::dialect::gemini::models::profile::{ModelProfile, Surface};
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::names::{FunctionNames, NameRule, distinct};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Tool, ToolChoice, ToolChoiceMode};

/// Function names that Google accepts. Source: Gemini API, `FunctionDeclaration`.
pub const NAMES: NameRule = NameRule { punctuation: ".:-", begins_with_any: false };

/// Number of functions that every model accepts; some models reject requests with more.
const MAX_PORTABLE_FUNCTIONS: usize = 128;

/// Inputs that determine the functions of a request.
pub(super) struct Functions<'a> {
    pub(super) tools: &'a [Tool],
    pub(super) names: &'a FunctionNames,
    pub(super) choice: Option<&'a ToolChoice>,
    pub(super) mode: Option<&'a str>,
    pub(super) profile: &'a ModelProfile,
    pub(super) surface: Surface,
}

impl Functions<'_> {
    /// Adds the tools and their configuration to a request whose other settings are complete.
    pub(super) fn fill(&self, request: &mut GenerateContentRequest) -> Result<(), InvokeError> {
        let json = request.generation_config.contains_key("responseMimeType");
        if json && !self.profile.combines_schema && !(self.tools.is_empty() && request.tools.is_empty()) {
            return Err(InvokeError::bad_request(
                "this model cannot combine structured output and tools in one request",
            )
            .with_hint("Remove the tools or the structured output, or choose a Gemini 3 model."));
        }
        if self.tools.is_empty() {
            return Ok(());
        }
        let mut budget = Budget::default();
        let distinct = distinct(self.tools)?;
        let declarations: Result<Vec<Value>, InvokeError> =
            distinct.into_iter().map(|tool| self.declaration(tool, &mut budget)).collect();
        if self.tools.len() > MAX_PORTABLE_FUNCTIONS {
            tracing::warn!(
                functions = self.tools.len(),
                "more functions than every model supports ({MAX_PORTABLE_FUNCTIONS})"
            );
        }
        if !request.tools.is_empty() && !self.combines(request) {
            tracing::warn!("Google tools dropped: this model cannot combine them with functions");
            request.tools.clear();
        }
        let combined = !request.tools.is_empty();
        request.tools.push(json!({"functionDeclarations": declarations?}));
        let mut config = Map::new();
        if let Some(mode) = self.calling(combined)? {
            config.insert("functionCallingConfig".to_owned(), mode);
        }
        if combined {
            config.insert("includeServerSideToolInvocations".to_owned(), true.into());
        }
        request.tool_config = (!config.is_empty()).then_some(Value::Object(config));
        Ok(())
    }

    /// Whether this request can combine functions and Google tools. The other settings must be complete.
    pub(super) fn combines(&self, request: &GenerateContentRequest) -> bool {
        !self.tools.is_empty() && !request.tools.is_empty() && self.profile.combines_tools && !self.surface.is_vertex()
    }

    /// Builds a function declaration. A function without parameters has no schema.
    fn declaration(&self, tool: &Tool, budget: &mut Budget) -> Result<Value, InvokeError> {
        let name = self.names.out(&tool.name);
        let mut declaration = json!({ "name": name });
        // The description tells the model the original name.
        let description = match (tool.description.is_empty(), name == tool.name) {
            (true, false) => &tool.name,
            _ => &tool.description,
        };
        if !description.is_empty() {
            declaration["description"] = description.clone().into();
        }
        if json_schema::is_empty(&tool.parameters) {
            return Ok(declaration);
        }
        let kind = tool.parameters.get("type").unwrap_or(&Value::Null);
        let is_object = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("object"));
        if !kind.is_null() && !is_object(kind) && !kind.as_array().is_some_and(|kinds| kinds.iter().any(is_object)) {
            return Err(InvokeError::bad_request(format!(
                "the parameters of function `{}` must be of type object, found {kind}",
                tool.name
            )));
        }
        if self.profile.full_schemas {
            declaration["parametersJsonSchema"] = json_schema::full(&tool.parameters, budget);
        } else {
            declaration["parameters"] = json_schema::subset(&tool.parameters, budget)
                .map_err(|error| error.of(&format!("function `{}`", tool.name)))?;
        }
        Ok(declaration)
    }

    fn calling(&self, combined: bool) -> Result<Option<Value>, InvokeError> {
        let auto = if combined { "VALIDATED" } else { "AUTO" };
        let Some(ToolChoice { mode, name, .. }) = self.choice else {
            return Ok(match self.mode {
                Some(mode) if mode.eq_ignore_ascii_case("auto") => Some(json!({"mode": auto})),
                Some(mode) => Some(json!({"mode": mode.to_ascii_uppercase()})),
                None => combined.then(|| json!({"mode": auto})),
            });
        };
        Ok(Some(match mode {
            ToolChoiceMode::None => json!({"mode": "NONE"}),
            ToolChoiceMode::Required => json!({"mode": "ANY"}),
            ToolChoiceMode::Tool => {
                let wanted = name.as_deref().unwrap_or_default();
                if !self.names.has(wanted) {
                    return Err(InvokeError::bad_request(format!(
                        "`tool_choice` requires the unknown tool `{wanted}`"
                    )));
                }
                json!({"mode": "ANY", "allowedFunctionNames": [self.names.out(wanted)]})
            }
            _ => json!({"mode": auto}),
        }))
    }
}

/// Requires calls to match their schema; used to retry after a malformed call.
pub fn require_valid_calls(request: &mut GenerateContentRequest) {
    let config = request.tool_config.get_or_insert_with(|| json!({"functionCallingConfig": {}}));
    let mode = &mut config["functionCallingConfig"]["mode"];
    if mode.is_null() || *mode == "AUTO" {
        *mode = json!("VALIDATED");
    }
}
