//! Providers of tools, agent strategies, datasources and triggers with their parts, and groups of endpoints.

use serde_json::{Map, Value, json};

use super::credentials;
use super::field::{four, maybe};
use super::parameters::{Engine, form};
use super::place::Place;
use super::view::{icon, word};
use crate::declare::config::{ConfigField, OAuthSchema};
use crate::declare::identity::{Identity, ProviderIdentity};
use crate::declare::parameter::{Parameter, ParameterForm};
use crate::declare::problem::Problem;
use crate::declare::{Declarations, I18n, PluginKind, files, yaml};

/// A file of the plugin, as it is written.
struct Source<'s> {
    declarations: &'s Declarations,
    problems: &'s [Problem],
    kind: PluginKind,
    file: String,
    raw: Value,
}

impl<'s> Source<'s> {
    /// The file of the provider of a kind.
    fn of(declarations: &'s Declarations, problems: &'s [Problem], kind: PluginKind) -> Self {
        let file = declarations.manifest.files_of(kind).into_iter().next().unwrap_or_default();
        let raw = read(declarations, &file);
        Self { declarations, problems, kind, file, raw }
    }

    fn place<'f>(&'f self, file: &'f str) -> Place<'f> {
        Place::new(&self.declarations.directory, file, self.problems, false)
    }

    /// The paths of settings, which are a list, or an object by name.
    fn paths(&self, path: &str, fields: &[ConfigField]) -> Vec<String> {
        let at = path.split('.').fold(&self.raw, |value, key| &value[key]);
        let named = at.is_object();
        let paths = fields.iter().enumerate();
        paths
            .map(|(index, field)| if named { format!("{path}.{}", field.name) } else { format!("{path}[{index}]") })
            .collect()
    }

    /// The form of credentials, none when there are no fields.
    fn credentials(&self, path: &str, fields: &[ConfigField]) -> Value {
        if fields.is_empty() {
            return Value::Null;
        }
        json!(credentials::of_others(fields, true, &self.place(&self.file), &self.paths(path, fields)))
    }

    /// The form of an OAuth client.
    fn oauth(&self, path: &str, schema: Option<&OAuthSchema>) -> Value {
        let Some(schema) = schema.filter(|schema| !schema.client_schema.is_empty()) else { return Value::Null };
        let paths = self.paths(path, &schema.client_schema);
        json!(credentials::of_others(&schema.client_schema, false, &self.place(&self.file), &paths))
    }

    /// What all providers have.
    fn provider(&self, identity: &ProviderIdentity, parts: Vec<Value>) -> Map<String, Value> {
        let members = json!({
            "kind": word(self.kind),
            "name": identity.name,
            "label": four(&identity.label),
            "description": maybe(identity.description.as_ref(), four),
            "icon": icon(Some(&identity.icon)),
            "icon_dark": icon(identity.icon_dark.as_deref()),
            "credentials": null,
            "oauth": null,
            "subscription": null,
            "subscription_parameters": null,
            "parts": parts,
            "notes": self.place(&self.file).notes("identity", Vec::new()),
        });
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// A part with its file.
    fn part(
        &self,
        index: usize,
        identity: &Identity,
        description: &I18n,
        engine: Engine,
        parameters: &[Parameter],
    ) -> Part {
        let listed = &self.raw[self.kind.parts_key()][index];
        let file = listed.as_str().unwrap_or(&self.file).to_owned();
        let raw = if listed.is_string() { read(self.declarations, &file) } else { Value::Null };
        let place = self.place(&file);
        let is_input = |parameter: &Parameter| engine == Engine::Agent || parameter.form == Some(ParameterForm::Llm);
        let of = |inputs: bool, engine| {
            let chosen = parameters.iter().enumerate().filter(|(_, parameter)| is_input(parameter) == inputs);
            form(chosen, engine, &place, "parameters", &raw)
        };
        let members = json!({
            "name": identity.name,
            "label": four(&identity.label),
            "description": four(description),
            "inputs": of(true, engine),
            "settings": of(false, engine),
            "agent_form": (self.kind == PluginKind::Tool).then(|| of(false, Engine::Old)),
            "features": [],
            "provider_type": null,
            "file": file,
            "notes": place.notes("identity", Vec::new()),
        });
        Part(members)
    }
}

/// A part that is drawn.
struct Part(Value);

impl Part {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    /// Its outputs: those that Dify adds, and those of its schema.
    fn outputs(self, own: &[(&str, &str)], schema: Option<&Map<String, Value>>) -> Value {
        let declared = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        let own = own.iter().map(|(name, kind)| json!({"name": name, "type": kind}));
        let declared = declared.into_iter().flatten();
        let outputs: Vec<Value> = own
            .chain(
                declared.map(|(name, schema)| json!({"name": name, "type": schema["type"].as_str().unwrap_or("any")})),
            )
            .collect();
        self.with("outputs", outputs).with("output_schema", json!(schema)).0
    }
}

/// A file of the plugin as it is written; nothing if it cannot be read.
pub(super) fn read(declarations: &Declarations, file: &str) -> Value {
    let text = files::read(&declarations.directory, file, yaml::MAX_YAML_BYTES).ok();
    text.and_then(|text| yaml::parse(&String::from_utf8(text).ok()?).ok()).unwrap_or_default()
}

/// The providers of all kinds but models.
pub(super) fn providers(declarations: &Declarations, problems: &[Problem]) -> Vec<Value> {
    let all = [
        tools(declarations, problems),
        strategies(declarations, problems),
        datasources(declarations, problems),
        triggers(declarations, problems),
        endpoints(declarations, problems),
    ];
    all.into_iter().flatten().collect()
}

fn tools(declarations: &Declarations, problems: &[Problem]) -> Option<Value> {
    let declared = declarations.kinds.tool.as_ref()?;
    let source = Source::of(declarations, problems, PluginKind::Tool);
    let own = [("text", "string"), ("files", "array[file]"), ("json", "array[object]")];
    let parts = declared.tools.iter().enumerate().map(|(index, tool)| {
        let part = source.part(index, &tool.identity, &tool.description.human, Engine::Tool, &tool.parameters);
        part.outputs(&own, tool.output_schema.as_ref())
    });
    let mut provider = source.provider(&declared.identity, parts.collect());
    let path =
        if source.raw.get("credentials_schema").is_some() { "credentials_schema" } else { "credentials_for_provider" };
    provider["credentials"] = source.credentials(path, &declared.credentials_schema);
    provider["oauth"] = source.oauth("oauth_schema.client_schema", declared.oauth_schema.as_ref());
    Some(Value::Object(provider))
}

fn strategies(declarations: &Declarations, problems: &[Problem]) -> Option<Value> {
    let declared = declarations.kinds.agent_strategy.as_ref()?;
    let source = Source::of(declarations, problems, PluginKind::AgentStrategy);
    let own = [("text", "string"), ("usage", "object"), ("files", "array[file]"), ("json", "array[object]")];
    let parts = declared.strategies.iter().enumerate().map(|(index, strategy)| {
        let part = source.part(index, &strategy.identity, &strategy.description, Engine::Agent, &strategy.parameters);
        part.with("features", json!(strategy.features)).outputs(&own, strategy.output_schema.as_ref())
    });
    Some(Value::Object(source.provider(&declared.identity, parts.collect())))
}

fn datasources(declarations: &Declarations, problems: &[Problem]) -> Option<Value> {
    let declared = declarations.kinds.datasource.as_ref()?;
    let source = Source::of(declarations, problems, PluginKind::Datasource);
    let parts = declared.datasources.iter().enumerate().map(|(index, datasource)| {
        let part =
            source.part(index, &datasource.identity, &datasource.description, Engine::Tool, &datasource.parameters);
        part.with("provider_type", json!(declared.provider_type)).outputs(&[], datasource.output_schema.as_ref())
    });
    let mut provider = source.provider(&declared.identity, parts.collect());
    provider["credentials"] = source.credentials("credentials_schema", &declared.credentials_schema);
    provider["oauth"] = source.oauth("oauth_schema.client_schema", declared.oauth_schema.as_ref());
    Some(Value::Object(provider))
}

fn triggers(declarations: &Declarations, problems: &[Problem]) -> Option<Value> {
    let declared = declarations.kinds.trigger.as_ref()?;
    let source = Source::of(declarations, problems, PluginKind::Trigger);
    let parts = declared.events.iter().enumerate().map(|(index, event)| {
        let part = source.part(index, &event.identity, &event.description, Engine::Tool, &event.parameters);
        part.outputs(&[], event.output_schema.as_ref())
    });
    let mut provider = source.provider(&declared.identity, parts.collect());
    if let Some(constructor) = &declared.subscription_constructor {
        let path = "subscription_constructor";
        provider["credentials"] =
            source.credentials(&format!("{path}.credentials_schema"), &constructor.credentials_schema);
        provider["oauth"] =
            source.oauth(&format!("{path}.oauth_schema.client_schema"), constructor.oauth_schema.as_ref());
        if !constructor.parameters.is_empty() {
            let place = source.place(&source.file);
            let parameters = constructor.parameters.iter().enumerate();
            let path = format!("{path}.parameters");
            provider["subscription_parameters"] = json!(form(parameters, Engine::New, &place, &path, &Value::Null));
        }
    }
    if !declared.subscription_schema.is_empty() {
        let paths = source.paths("subscription_schema", &declared.subscription_schema);
        let place = source.place(&source.file);
        provider["subscription"] = json!(credentials::of_others(&declared.subscription_schema, false, &place, &paths));
    }
    Some(Value::Object(provider))
}

fn endpoints(declarations: &Declarations, problems: &[Problem]) -> Option<Value> {
    let declared = declarations.kinds.endpoint.as_ref()?;
    let source = Source::of(declarations, problems, PluginKind::Endpoint);
    let place = source.place(&source.file);
    let routes = declared.endpoints.iter();
    let routes = routes.map(|route| json!({"method": route.method, "path": route.path, "hidden": route.hidden}));
    Some(json!({
        "kind": "endpoint",
        "settings": credentials::of_endpoints(&declared.settings, &place, &source.paths("settings", &declared.settings)),
        "routes": routes.collect::<Vec<_>>(),
        "notes": place.notes("endpoints", Vec::new()),
    }))
}
