//! JSON Schemas of the files of a plugin, for editors: what completes, what is explained, what is wrong. They are made of the tables
//! that `check` uses, so that both know the same names.
//!
//! A schema rejects what `check` rejects as an error, where a schema can express it, and accepts what `check` accepts: unknown members
//! too, because the daemon ignores them. It reads one file; what depends on another file or on the version of Dify is for `check`.

mod files;
mod kinds;
mod manifest;
mod model;
mod parts;

use serde_json::{Value, json};

pub use self::files::{SchemaFile, files_of};

/// A schema by name.
pub struct Schema {
    /// Name, such as `tool-provider`.
    pub name: &'static str,
    /// What it describes, in a few words.
    pub about: &'static str,
    /// The usual place of such files in a plugin.
    pub files: &'static str,
    make: fn() -> Value,
}

/// All schemas.
pub const SCHEMAS: &[Schema] = &[
    Schema { name: "manifest", about: "the manifest", files: "manifest.yaml", make: manifest::manifest },
    Schema { name: "model-provider", about: "a model provider", files: "provider/*.yaml", make: model::provider },
    Schema { name: "model", about: "a model", files: "models/*/*.yaml", make: model::model },
    Schema { name: "position", about: "the order of models", files: "models/*/_position.yaml", make: model::position },
    Schema {
        name: "tool-provider",
        about: "a provider of tools",
        files: "provider/*.yaml",
        make: kinds::tool_provider,
    },
    Schema { name: "tool", about: "a tool", files: "tools/*.yaml", make: kinds::tool },
    Schema {
        name: "endpoint-group",
        about: "a group of endpoints",
        files: "endpoints/*.yaml",
        make: kinds::endpoint_group,
    },
    Schema { name: "endpoint", about: "an endpoint", files: "endpoints/*.yaml", make: kinds::endpoint },
    Schema {
        name: "agent-provider",
        about: "a provider of agent strategies",
        files: "provider/*.yaml",
        make: kinds::agent_provider,
    },
    Schema {
        name: "agent-strategy",
        about: "an agent strategy",
        files: "strategies/*.yaml",
        make: kinds::agent_strategy,
    },
    Schema {
        name: "datasource-provider",
        about: "a provider of datasources",
        files: "provider/*.yaml",
        make: kinds::datasource_provider,
    },
    Schema { name: "datasource", about: "a datasource", files: "datasources/*.yaml", make: kinds::datasource },
    Schema {
        name: "trigger-provider",
        about: "a provider of triggers",
        files: "provider/*.yaml",
        make: kinds::trigger_provider,
    },
    Schema { name: "event", about: "an event of a trigger", files: "events/*.yaml", make: kinds::event },
];

impl Schema {
    /// Returns the schema of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        SCHEMAS.iter().find(|schema| schema.name == name)
    }

    /// Builds the schema, draft 7.
    pub fn build(&self) -> Value {
        let mut whole = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": format!("Dify plugin: {}", self.about),
        });
        let made = (self.make)();
        if let (Value::Object(whole), Value::Object(made)) = (&mut whole, made) {
            whole.extend(made);
        }
        whole
    }
}
