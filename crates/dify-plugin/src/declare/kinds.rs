//! What a package declares in addition to models, and how that is registered. Tools and endpoints can share a package; every
//! other type needs its own.

use serde::Serialize;
use serde_json::{Value, json};

use super::agent::AgentStrategyProviderDeclaration;
use super::datasource::DatasourceProviderDeclaration;
use super::endpoint::EndpointGroupDeclaration;
use super::identity::ProviderIdentity;
use super::kind::PluginKind;
use super::remote::fill_languages;
use super::tool::ToolProviderDeclaration;
use super::trigger::TriggerProviderDeclaration;

/// The declarations of every kind but models: one provider of a kind in a package.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KindDeclarations {
    /// Tools.
    pub tool: Option<ToolProviderDeclaration>,
    /// HTTP endpoints.
    pub endpoint: Option<EndpointGroupDeclaration>,
    /// Agent strategies.
    pub agent_strategy: Option<AgentStrategyProviderDeclaration>,
    /// Datasources.
    pub datasource: Option<DatasourceProviderDeclaration>,
    /// Triggers.
    pub trigger: Option<TriggerProviderDeclaration>,
    /// Their files, from the package's root.
    pub files: Vec<String>,
}

impl KindDeclarations {
    /// Whether the package declares models only.
    pub fn is_empty(&self) -> bool {
        self.kinds().next().is_none()
    }

    /// The kinds that it declares.
    pub fn kinds(&self) -> impl Iterator<Item = PluginKind> {
        let is_declared = [
            (PluginKind::Tool, self.tool.is_some()),
            (PluginKind::Endpoint, self.endpoint.is_some()),
            (PluginKind::AgentStrategy, self.agent_strategy.is_some()),
            (PluginKind::Datasource, self.datasource.is_some()),
            (PluginKind::Trigger, self.trigger.is_some()),
        ];
        is_declared.into_iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| kind)
    }

    /// How many parts a kind has: tools, endpoints, strategies, datasources, events.
    pub fn parts(&self, kind: PluginKind) -> usize {
        let count = match kind {
            PluginKind::Tool => self.tool.as_ref().map(|provider| provider.tools.len()),
            PluginKind::Endpoint => self.endpoint.as_ref().map(|group| group.endpoints.len()),
            PluginKind::AgentStrategy => self.agent_strategy.as_ref().map(|provider| provider.strategies.len()),
            PluginKind::Datasource => self.datasource.as_ref().map(|provider| provider.datasources.len()),
            PluginKind::Trigger => self.trigger.as_ref().map(|provider| provider.events.len()),
            PluginKind::Model => None,
        };
        count.unwrap_or_default()
    }

    /// The event that registers each kind at the debugging port, with its data: a list that holds the one provider.
    pub fn events(&self) -> Vec<(&'static str, Value)> {
        fn event(kind: PluginKind, declaration: Option<&impl Serialize>) -> Option<(&'static str, Value)> {
            let mut value = json!([declaration?]);
            fill_languages(&mut value);
            leave_out_empty_options(&mut value);
            Some((kind.registration_event(), value))
        }
        let events = [
            event(PluginKind::Tool, self.tool.as_ref()),
            event(PluginKind::Endpoint, self.endpoint.as_ref()),
            event(PluginKind::AgentStrategy, self.agent_strategy.as_ref()),
            event(PluginKind::Datasource, self.datasource.as_ref()),
            event(PluginKind::Trigger, self.trigger.as_ref()),
        ];
        events.into_iter().flatten().collect()
    }

    /// Whether a value of a credential is one of the options that the form offers for it, and so no secret.
    pub(crate) fn is_offered(&self, credential: &str, value: &str) -> bool {
        let constructor = self.trigger.as_ref().and_then(|provider| provider.subscription_constructor.as_ref());
        let forms = [
            self.tool.as_ref().map(|provider| &provider.credentials_schema),
            self.datasource.as_ref().map(|provider| &provider.credentials_schema),
            constructor.map(|constructor| &constructor.credentials_schema),
        ];
        let mut fields = forms.into_iter().flatten().flatten().filter(|field| field.name == credential);
        fields.any(|field| field.options.iter().any(|option| option.value == value))
    }

    /// Every icon file that an identity names.
    pub fn icons(&self) -> Vec<&str> {
        let identities: [Option<&ProviderIdentity>; 4] = [
            self.tool.as_ref().map(|provider| &provider.identity),
            self.agent_strategy.as_ref().map(|provider| &provider.identity),
            self.datasource.as_ref().map(|provider| &provider.identity),
            self.trigger.as_ref().map(|provider| &provider.identity),
        ];
        let dark = identities.iter().flatten().filter_map(|identity| identity.icon_dark.as_deref());
        let datasources = self.datasource.iter().flat_map(|provider| &provider.datasources);
        let parts = datasources.filter_map(|datasource| datasource.identity.icon.as_deref());
        let icons = identities.iter().flatten().map(|identity| identity.icon.as_str()).chain(dark).chain(parts);
        icons.filter(|icon| !icon.is_empty()).collect()
    }
}

/// The debugging port refuses an option whose value is empty, and the whole plugin with it.
fn leave_out_empty_options(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut().filter(|(key, _)| *key != "output_schema") {
                if let (true, Value::Array(options)) = (key == "options", &mut *value) {
                    options.retain(|option| option.get("value").and_then(Value::as_str) != Some(""));
                }
                leave_out_empty_options(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_empty_options),
        _ => {}
    }
}
