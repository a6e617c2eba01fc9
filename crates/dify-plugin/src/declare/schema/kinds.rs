//! The schemas of tools, endpoints, agent strategies, datasources and triggers.

use serde_json::{Value, json};

use super::parts::*;
use crate::declare::endpoint::EndpointMethod;
use crate::declare::kind::PluginKind;
use crate::declare::rules::{explanation_key, parameter_types};
use crate::declare::versions::Kind;

fn provider_identity(kind: PluginKind) -> Value {
    let takes_manifest = matches!(kind, PluginKind::Tool | PluginKind::Trigger);
    let description =
        if takes_manifest { optional("description", i18n(false)) } else { needed("description", i18n(true)) };
    let tags = if kind == PluginKind::Trigger { Kind::Tag } else { Kind::ProviderTag };
    object(vec![
        needed("author", text(None)),
        needed("name", json!({"type": "string", "pattern": "^[a-z0-9_-]+$", "description": "part of an ID"})),
        needed("label", i18n(true)),
        description,
        needed("icon", about(text(None), "a file in _assets")),
        optional("icon_dark", optional_text(None)),
        optional("tags", names(tags, None)),
    ])
}

fn part_identity(kind: PluginKind) -> Value {
    let name = match kind {
        PluginKind::Datasource => text(None),
        _ => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}),
    };
    let mut members = vec![needed("author", text(None)), needed("name", name), needed("label", i18n(true))];
    if kind == PluginKind::Datasource {
        members.push(optional("icon", optional_text(None)));
    }
    object(members)
}

/// Fields of a form as a list, or as a map by their names.
fn fields() -> Value {
    json!({"oneOf": [field_list(), {"type": "object", "additionalProperties": field(false)}, {"type": "null"}]})
}

fn field_list() -> Value {
    list(field(true), None)
}

fn field(has_name: bool) -> Value {
    let option = object(vec![
        needed("value", json!({"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 255})),
        needed("label", i18n(true)),
    ]);
    let mut members = vec![
        needed("type", one_of(Kind::ConfigFieldType)),
        needed("label", i18n(true)),
        optional("required", flag()),
        optional("default", plain()),
        optional("placeholder", i18n(false)),
        optional("help", about(i18n(false), "shown only together with `url`, as a link with this text")),
        optional("url", about(json!({"type": "string"}), "the address of `help`")),
        optional("options", list(option, Some(127))),
        optional("multiple", flag()),
        optional("scope", json!({"type": "string", "description": "of an app-selector or a model-selector"})),
    ];
    if has_name {
        members.insert(0, needed("name", text(Some(1023))));
    }
    object(members)
}

fn oauth() -> Value {
    object(vec![needed("client_schema", field_list()), needed("credentials_schema", field_list())])
}

fn parameters(kind: PluginKind) -> Value {
    list(parameter(kind), None)
}

fn parameter(kind: PluginKind) -> Value {
    let number = || json!({"type": "number"});
    let (explanation, is_required) = explanation_key(kind);
    let option = object(vec![
        needed("value", json!({"type": ["string", "number", "boolean"]})),
        needed("label", i18n(true)),
        optional("icon", optional_text(None)),
    ]);
    let default = match kind {
        PluginKind::Tool => json!({}),
        PluginKind::Trigger => json!({"type": ["string", "number", "boolean", "array"]}),
        _ => plain(),
    };
    let mut members = vec![
        needed("name", text(Some(1023))),
        needed("label", i18n(true)),
        needed("type", one_of(parameter_types(kind))),
        if is_required { needed(explanation, i18n(true)) } else { optional(explanation, i18n(false)) },
        optional("required", flag()),
        optional("default", default),
        optional("min", about(number(), "not checked by Dify's page for tools")),
        optional("max", about(number(), "not checked by Dify's page for tools")),
        optional("precision", json!({"type": "integer"})),
        optional("options", list(option, None)),
        optional("multiple", flag()),
        optional("auto_generate", object(vec![needed("type", one_of(Kind::AutoGenerate))])),
        optional("template", object(vec![optional("enabled", flag())])),
    ];
    if matches!(kind, PluginKind::Tool | PluginKind::AgentStrategy) {
        let scope = about(optional_text(Some(1024)), "of an app-selector, a model-selector or any; joined by `&`");
        members.push(optional("scope", scope));
    }
    if kind == PluginKind::Tool {
        let form =
            about(one_of(Kind::ParameterForm), "llm: the model or the node gives it; form: a setting of the tool");
        members.insert(3, needed("form", form));
        members.push(optional("llm_description", about(optional_text(None), "what a model reads about the parameter")));
    }
    object(members)
}

/// What a part gives to later nodes: a JSON Schema of an object.
fn output_schema() -> Value {
    json!({"type": "object", "description": "a JSON Schema; Dify lists its properties as outputs of the node"})
}

fn parts(key: &'static str) -> super::parts::Member {
    optional(key, about(json!({"type": "array"}), "files of the parts"))
}

pub(super) fn tool_provider() -> Value {
    object(vec![
        needed("identity", provider_identity(PluginKind::Tool)),
        optional("credentials_schema", fields()),
        optional("credentials_for_provider", fields()),
        optional("oauth_schema", oauth()),
        parts(PluginKind::Tool.parts_key()),
    ])
}

pub(super) fn tool() -> Value {
    let description = object(vec![
        needed("human", i18n(true)),
        needed("llm", about(text(None), "what a model reads to choose the tool")),
    ]);
    object(vec![
        needed("identity", part_identity(PluginKind::Tool)),
        needed("description", description),
        optional("parameters", parameters(PluginKind::Tool)),
        optional("output_schema", output_schema()),
        optional("has_runtime_parameters", flag()),
    ])
}

pub(super) fn endpoint_group() -> Value {
    object(vec![
        needed("settings", about(field_list(), "a required boolean cannot be saved as false, nor a number as 0")),
        parts(PluginKind::Endpoint.parts_key()),
    ])
}

pub(super) fn endpoint() -> Value {
    object(vec![
        needed("path", about(text(None), "begins with `/`; `<name>` is a part that the plugin reads")),
        needed("method", json!({"type": "string", "enum": EndpointMethod::NAMES})),
        optional("hidden", about(flag(), "not shown on the endpoint's card")),
    ])
}

pub(super) fn agent_provider() -> Value {
    object(vec![
        needed("identity", provider_identity(PluginKind::AgentStrategy)),
        parts(PluginKind::AgentStrategy.parts_key()),
    ])
}

pub(super) fn agent_strategy() -> Value {
    object(vec![
        needed("identity", part_identity(PluginKind::AgentStrategy)),
        needed("description", i18n(true)),
        optional("parameters", parameters(PluginKind::AgentStrategy)),
        optional("output_schema", output_schema()),
        optional("features", about(names(Kind::AgentFeature, None), "history-messages adds the memory to chat flows")),
    ])
}

pub(super) fn datasource_provider() -> Value {
    object(vec![
        needed("identity", provider_identity(PluginKind::Datasource)),
        optional("credentials_schema", fields()),
        optional("oauth_schema", oauth()),
        needed("provider_type", one_of(Kind::DatasourceType)),
        parts(PluginKind::Datasource.parts_key()),
    ])
}

pub(super) fn datasource() -> Value {
    object(vec![
        needed("identity", part_identity(PluginKind::Datasource)),
        needed("description", i18n(true)),
        optional("parameters", parameters(PluginKind::Datasource)),
        optional("output_schema", output_schema()),
    ])
}

pub(super) fn trigger_provider() -> Value {
    let constructor = object(vec![
        optional("parameters", parameters(PluginKind::Trigger)),
        optional("credentials_schema", fields()),
        optional("oauth_schema", oauth()),
    ]);
    object(vec![
        needed("identity", provider_identity(PluginKind::Trigger)),
        optional("subscription_schema", fields()),
        optional("subscription_constructor", about(constructor, "without it Dify 1.10.0 shows no button to subscribe")),
        parts(PluginKind::Trigger.parts_key()),
    ])
}

pub(super) fn event() -> Value {
    object(vec![
        needed("identity", part_identity(PluginKind::Trigger)),
        needed("description", i18n(true)),
        optional("parameters", parameters(PluginKind::Trigger)),
        optional("output_schema", output_schema()),
    ])
}
