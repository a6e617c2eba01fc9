//! Functions of the request: their declarations, which may or must be called, and Google's own tools beside them.
//!
//! Source: Gemini API, "Function calling", "Tool combination".

use serde_json::{Map, Value, json};

use super::profile::{ModelProfile, Surface};
use super::schema;
use super::wire::GenerateContentRequest;
use crate::error::InvokeError;
use crate::protocol::{Tool, ToolChoice, ToolChoiceMode};

/// Longest name of a function.
const LONGEST_NAME: usize = 64;

/// What decides about functions.
pub(super) struct Functions<'a> {
    pub(super) tools: &'a [Tool],
    pub(super) choice: Option<&'a ToolChoice>,
    pub(super) mode: Option<&'a str>,
    pub(super) profile: &'a ModelProfile,
    pub(super) surface: Surface,
}

impl Functions<'_> {
    /// Fills tools and their configuration into a request whose settings are already there.
    pub(super) fn fill(&self, request: &mut GenerateContentRequest) -> Result<(), InvokeError> {
        let json = request.generation_config.contains_key("responseMimeType");
        if json && !self.profile.combines_schema && !(self.tools.is_empty() && request.tools.is_empty()) {
            return Err(InvokeError::bad_request(
                "this model gives JSON answers or uses tools, not both in one request",
            )
            .with_hint("Remove the tools or the structured output, or choose a Gemini 3 model."));
        }
        if self.tools.is_empty() {
            return Ok(());
        }
        let declarations: Result<Vec<Value>, InvokeError> =
            self.tools.iter().map(|tool| declaration(tool, self.profile.full_schemas)).collect();
        if !request.tools.is_empty() && (!self.profile.combines_tools || self.surface.is_vertex()) {
            tracing::warn!("Google's tools are left out: they do not go together with functions here");
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

    fn calling(&self, combined: bool) -> Result<Option<Value>, InvokeError> {
        let auto = if combined { "VALIDATED" } else { "AUTO" };
        let Some(ToolChoice { mode, name }) = self.choice else {
            return Ok(match self.mode {
                Some(mode) if mode.eq_ignore_ascii_case("auto") => Some(json!({"mode": auto})),
                Some(mode) => Some(json!({"mode": mode.to_ascii_uppercase()})),
                None => combined.then(|| json!({"mode": auto})),
            });
        };
        Ok(Some(match mode {
            ToolChoiceMode::Auto => json!({"mode": auto}),
            ToolChoiceMode::None => json!({"mode": "NONE"}),
            ToolChoiceMode::Required => json!({"mode": "ANY"}),
            ToolChoiceMode::Tool => {
                let wanted = name.as_deref().unwrap_or_default();
                if !self.tools.iter().any(|tool| tool.name == wanted) {
                    return Err(InvokeError::bad_request(format!("`tool_choice` names the unknown tool `{wanted}`")));
                }
                json!({"mode": "ANY", "allowedFunctionNames": [wanted]})
            }
        }))
    }
}

/// A function without arguments has no schema at all.
fn declaration(tool: &Tool, full: bool) -> Result<Value, InvokeError> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "_.:-".contains(letter);
    let starts = tool.name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if !starts || !tool.name.chars().all(legal) || tool.name.len() > LONGEST_NAME {
        return Err(InvokeError::bad_request(format!(
            "the name of function `{}` must be at most {LONGEST_NAME} letters, digits, `_`, `.`, `:` or `-`, first a \
             letter or `_`",
            tool.name
        )));
    }
    let mut declaration = json!({"name": tool.name});
    if !tool.description.is_empty() {
        declaration["description"] = tool.description.clone().into();
    }
    if schema::is_empty(&tool.parameters) {
        return Ok(declaration);
    }
    if let Some(kind) = tool.parameters.get("type").filter(|kind| **kind != "object") {
        return Err(InvokeError::bad_request(format!(
            "the parameters of function `{}` must be of type object, found {kind}",
            tool.name
        )));
    }
    if full {
        declaration["parametersJsonSchema"] = schema::full(tool.parameters.clone());
    } else {
        declaration["parameters"] = schema::subset(&tool.parameters);
    }
    Ok(declaration)
}

/// Has calls held to their schema; for the repeat after a malformed call.
pub fn demand_valid_calls(request: &mut GenerateContentRequest) {
    let config = request.tool_config.get_or_insert_with(|| json!({"functionCallingConfig": {}}));
    let mode = &mut config["functionCallingConfig"]["mode"];
    if mode.is_null() || *mode == "AUTO" {
        *mode = json!("VALIDATED");
    }
}
