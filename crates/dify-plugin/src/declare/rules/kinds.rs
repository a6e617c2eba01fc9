//! The rules of the providers of every kind but models, and of their parts. What they share (identities, fields, parameters,
//! schemas) has a file of rules each.
//!
//! An error is what the daemon or the Dify API refuses. What the Python SDK alone refuses is a warning: no executable meets it.
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/*_declaration.go`,
//! `langgenius/dify: api/core/{tools,agent,datasource,trigger}/`.

use serde_json::{Map, Value};

use super::{Rules, show};
use crate::declare::codes::Code;
use crate::declare::endpoint::EndpointMethod;
use crate::declare::kind::PluginKind;
use crate::declare::versions::Kind;

impl Rules<'_> {
    /// The rules of a provider file of a kind, without its parts.
    pub fn kind_provider(&mut self, provider: &Map<String, Value>, kind: PluginKind) {
        if kind != PluginKind::Endpoint {
            self.provider_identity(provider, kind);
        }
        match kind {
            PluginKind::Tool => self.tool_provider(provider),
            PluginKind::Endpoint => self.settings(provider),
            PluginKind::Datasource => {
                self.fields(provider, "", "credentials_schema");
                self.oauth(provider, "");
                self.one_of(provider, "", "provider_type", Kind::DatasourceType, true);
            }
            PluginKind::Trigger => self.trigger_provider(provider),
            PluginKind::AgentStrategy | PluginKind::Model => {}
        }
        let parts = kind.parts_key();
        match provider.get(parts) {
            None | Some(Value::Null) => self.report(Code::Nothing, parts, "lists nothing"),
            Some(Value::Array(items)) if items.is_empty() => self.report(Code::Nothing, parts, "lists nothing"),
            Some(Value::Array(_)) => {}
            found => self.report(Code::WrongType, parts, format!("must be a list of paths, found {}", show(found))),
        }
    }

    fn tool_provider(&mut self, provider: &Map<String, Value>) {
        let is_empty = |key: &str| {
            provider.get(key).is_none_or(|fields| match fields {
                Value::Null => true,
                Value::Array(fields) => fields.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            })
        };
        let [own, other] = ["credentials_schema", "credentials_for_provider"];
        if !is_empty(own) && !is_empty(other) {
            self.report(Code::NoEffect, other, format!("has no effect beside {own}"));
        }
        self.fields(provider, "", own);
        self.fields(provider, "", other);
        self.oauth(provider, "");
    }

    fn trigger_provider(&mut self, provider: &Map<String, Value>) {
        self.fields(provider, "", "subscription_schema");
        for key in ["credentials_schema", "oauth_schema"] {
            if provider.get(key).is_some_and(|value| !value.is_null()) {
                self.report(Code::NoEffect, key, "has no effect here; write it into `subscription_constructor`");
            }
        }
        let Some(constructor) = self.object(provider, "", "subscription_constructor", false) else {
            let message = "is missing; Dify 1.10.0 then shows no button to subscribe. An empty object is enough";
            return self.report(Code::NoSubscription, "subscription_constructor", message);
        };
        let prefix = "subscription_constructor.";
        self.parameters(constructor, prefix, PluginKind::Trigger);
        self.fields(constructor, prefix, "credentials_schema");
        self.oauth(constructor, prefix);
    }

    /// The rules of a part: a tool, an endpoint, a strategy, a datasource, an event.
    pub fn part(&mut self, part: &Map<String, Value>, prefix: &str, kind: PluginKind) {
        if kind == PluginKind::Endpoint {
            return self.endpoint(part, prefix);
        }
        self.part_identity(part, prefix, kind);
        if kind == PluginKind::Tool {
            if let Some(description) = self.object(part, prefix, "description", true) {
                let path = format!("{prefix}description.");
                self.i18n(description, &path, "human", true);
                self.text(description, &path, "llm", usize::MAX, true);
            }
            self.flag(part, prefix, "has_runtime_parameters");
        } else {
            self.i18n(part, prefix, "description", true);
        }
        self.parameters(part, prefix, kind);
        self.output_schema(part, prefix, kind);
        if kind == PluginKind::AgentStrategy {
            self.names(part, prefix, "features", Kind::AgentFeature, usize::MAX);
            self.tools_parameter(part, prefix);
        }
    }

    /// Below this version of the manifest's format, Dify gives a strategy no tools of MCP servers.
    pub fn agent_meta(&mut self, manifest: &Map<String, Value>) {
        let version = manifest.get("meta").and_then(|meta| meta.get("version")).and_then(Value::as_str);
        if version == Some("0.0.1") {
            self.report(
                Code::OldMeta,
                "meta.version",
                "should be 0.0.2: Dify gives strategies of 0.0.1 no tools of MCP servers",
            );
        }
    }

    /// Dify sends the credentials of the tools in a parameter of this name only.
    fn tools_parameter(&mut self, strategy: &Map<String, Value>, prefix: &str) {
        let parameters = strategy.get("parameters").and_then(Value::as_array);
        for (index, parameter) in parameters.into_iter().flatten().enumerate() {
            let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("type") == "array[tools]" && text("name") != "tools" {
                let message =
                    "should be `tools`: Dify sends the credentials of the tools in a parameter of this name only";
                self.report(Code::ToolsName, &format!("{prefix}parameters[{index}].name"), message);
            }
        }
    }

    fn endpoint(&mut self, endpoint: &Map<String, Value>, prefix: &str) {
        self.text(endpoint, prefix, "path", usize::MAX, true);
        if endpoint.get("path").and_then(Value::as_str).is_some_and(|path| !path.is_empty() && !path.starts_with('/')) {
            self.report(
                Code::PythonSdk,
                &format!("{prefix}path"),
                "should start with `/`; the Python SDK refuses it without",
            );
        }
        match endpoint.get("method").and_then(Value::as_str) {
            Some(method) if EndpointMethod::NAMES.contains(&method) => {}
            _ => {
                let names = EndpointMethod::NAMES.join(", ");
                self.report(
                    Code::NotAllowed,
                    &format!("{prefix}method"),
                    format!("must be one of {names}, found {}", show(endpoint.get("method"))),
                );
                self.allow(EndpointMethod::NAMES);
            }
        }
        self.flag(endpoint, prefix, "hidden");
    }
}
