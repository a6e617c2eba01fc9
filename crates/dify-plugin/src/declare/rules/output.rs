//! The rules of `output_schema`: the variables that a part of a plugin gives to later nodes.
//!
//! Source: `langgenius/dify: api/core/schemas/builtin/schemas/v1/`, `api/core/tools/entities/tool_entities.py`.

use serde_json::{Map, Value};

use super::Rules;
use crate::declare::codes::Code;
use crate::declare::kind::PluginKind;

/// Outputs that every tool has; a variable of this name is refused.
const RESERVED: [&str; 3] = ["text", "files", "json"];

/// Where Dify's own schemas are, and their names.
const SCHEMAS: &str = "https://dify.ai/schemas/v1/";
const SCHEMA_NAMES: [&str; 6] = [
    "file",
    "general_structure",
    "parent_child_structure",
    "qa_structure",
    "multimodal_general_structure",
    "multimodal_parent_child_structure",
];

impl Rules<'_> {
    /// The schema of a part's variables.
    pub(super) fn output_schema(&mut self, part: &Map<String, Value>, prefix: &str, kind: PluginKind) {
        let Some(schema) = self.object(part, prefix, "output_schema", false) else { return };
        let path = format!("{prefix}output_schema");
        if !schema.is_empty() && schema.get("type").and_then(Value::as_str) != Some("object") {
            self.report(
                Code::OutputSchema,
                &format!("{path}.type"),
                "should be object; Dify shows the `properties` of an object",
            );
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let path = format!("{path}.properties.{name}");
            if kind == PluginKind::Tool && RESERVED.contains(&name.as_str()) {
                self.report(
                    Code::OutputSchema,
                    &path,
                    "is an output that every tool has; a variable of this name is refused",
                );
            }
            if let Some(reference) = property.get("$ref").and_then(Value::as_str)
                && let Some(name) = reference.strip_prefix(SCHEMAS)
                && !name.strip_suffix(".json").is_some_and(|name| SCHEMA_NAMES.contains(&name))
            {
                let message = format!("`{reference}` is none of Dify's schemas {}", SCHEMA_NAMES.join(", "));
                self.report(Code::OutputSchema, &format!("{path}.$ref"), message);
            }
        }
    }
}
