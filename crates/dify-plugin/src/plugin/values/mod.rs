//! Types of parameters that the standard library has no type for: files, selectors, secrets, dates. Each names Dify's
//! parameter type in its JSON schema (`x-dify-type`), so that `check` and `declare` know it.
//!
//! How a parameter is declared is in [`crate::declare::parameter`].

mod agent_tool;
mod dates;
#[cfg(feature = "client")]
mod download;
mod file;
mod selector;
mod text;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

pub use agent_tool::{SelectedTool, ToolDescription, ToolIdentity};
pub use dates::{Date, DateRange};
pub use file::{File, FileKind};
pub use selector::{AppSelector, ModelSelector};
pub use text::{DynamicSelect, Secret};

use crate::declare::parameter::ParameterKind;
use crate::declare::shape::TYPE_KEY;

/// The schema of a type for one of Dify's parameter types; `json_type` is what is on the wire.
fn schema_of(kind: ParameterKind, json_type: &str) -> Schema {
    let mut schema = Schema::default();
    schema.insert("type".to_owned(), json!(json_type));
    schema.insert(TYPE_KEY.to_owned(), json!(kind.name()));
    schema
}

/// Implements [`JsonSchema`] for types with such a schema.
macro_rules! parameter_types {
    ($($type:ty: $kind:ident as $json:literal),* $(,)?) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema_of(ParameterKind::$kind, $json)
            }
        }
    )*};
}

parameter_types! {
    File: File as "object",
    ModelSelector: ModelSelector as "object",
    AppSelector: AppSelector as "object",
    SelectedTool: ToolsSelector as "object",
    Secret: SecretInput as "string",
    DynamicSelect: DynamicSelect as "string",
    Date: Date as "string",
    DateRange: DateRange as "object",
}

#[cfg(test)]
mod tests;
