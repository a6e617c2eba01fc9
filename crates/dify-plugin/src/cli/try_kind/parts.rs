//! The parts of a plugin by name: tools, agent strategies, datasources and events. A package has one provider, so that a name
//! is enough to find a part and its kind.

use anyhow::{anyhow, bail};

use crate::declare::KindDeclarations;
use crate::declare::agent::AgentStrategyDeclaration;
use crate::declare::config::{ConfigField, OAuthSchema};
use crate::declare::datasource::DatasourceDeclaration;
use crate::declare::parameter::Parameter;
use crate::declare::tool::ToolDeclaration;
use crate::declare::trigger::EventDeclaration;
use crate::names::did_you_mean;

/// Something that `try` can call by its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Tool(&'a ToolDeclaration),
    Strategy(&'a AgentStrategyDeclaration),
    Datasource(&'a DatasourceDeclaration),
    Event(&'a EventDeclaration),
}

impl<'a> Part<'a> {
    pub fn name(self) -> &'a str {
        match self {
            Self::Tool(tool) => &tool.identity.name,
            Self::Strategy(strategy) => &strategy.identity.name,
            Self::Datasource(datasource) => &datasource.identity.name,
            Self::Event(event) => &event.identity.name,
        }
    }

    pub fn parameters(self) -> &'a [Parameter] {
        match self {
            Self::Tool(tool) => &tool.parameters,
            Self::Strategy(strategy) => &strategy.parameters,
            Self::Datasource(datasource) => &datasource.parameters,
            Self::Event(event) => &event.parameters,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Tool(_) => "tool",
            Self::Strategy(_) => "agent strategy",
            Self::Datasource(_) => "datasource",
            Self::Event(_) => "event",
        }
    }
}

fn parts(declared: &KindDeclarations) -> Vec<Part<'_>> {
    let tools = declared.tool.iter().flat_map(|provider| &provider.tools).map(Part::Tool);
    let strategies = declared.agent_strategy.iter().flat_map(|provider| &provider.strategies).map(Part::Strategy);
    let datasources = declared.datasource.iter().flat_map(|provider| &provider.datasources).map(Part::Datasource);
    let events = declared.trigger.iter().flat_map(|provider| &provider.events).map(Part::Event);
    tools.chain(strategies).chain(datasources).chain(events).collect()
}

/// Finds the part that is named, or the only one.
pub(super) fn find<'a>(declared: &'a KindDeclarations, name: Option<&str>) -> anyhow::Result<Part<'a>> {
    let parts = parts(declared);
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    let kind = parts.first().map_or("tool", |part| part.kind());
    match (name, parts.as_slice()) {
        (_, []) => bail!("the manifest lists only endpoints; call one with --request \"METHOD /path\""),
        (None, [only]) => Ok(*only),
        (None, _) => bail!("name the {kind} to call: {}", names.join(", ")),
        (Some(name), _) => parts.iter().find(|part| part.name() == name).copied().ok_or_else(|| {
            let suggestion = did_you_mean(name, names.iter().copied());
            anyhow!("unknown {kind} `{name}`{suggestion}; the provider lists {}", names.join(", "))
        }),
    }
}

/// The provider that has credentials: of tools, datasources or triggers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider<'a> {
    pub name: &'a str,
    /// Access type of its actions.
    pub access: &'static str,
    pub credentials: &'a [ConfigField],
    pub oauth: Option<&'a OAuthSchema>,
}

impl<'a> Provider<'a> {
    pub fn of(declared: &'a KindDeclarations) -> Option<Self> {
        if let Some(provider) = &declared.tool {
            let (name, credentials) = (&provider.identity.name, &provider.credentials_schema);
            return Some(Self { name, access: "tool", credentials, oauth: provider.oauth_schema.as_ref() });
        }
        if let Some(provider) = &declared.datasource {
            let (name, credentials) = (&provider.identity.name, &provider.credentials_schema);
            return Some(Self { name, access: "datasource", credentials, oauth: provider.oauth_schema.as_ref() });
        }
        let provider = declared.trigger.as_ref()?;
        let constructor = provider.subscription_constructor.as_ref();
        Some(Self {
            name: &provider.identity.name,
            access: "trigger",
            credentials: constructor.map_or(&[], |constructor| &constructor.credentials_schema),
            oauth: constructor.and_then(|constructor| constructor.oauth_schema.as_ref()),
        })
    }

    /// Every field of its credentials.
    pub fn fields(self) -> Vec<&'a ConfigField> {
        let oauth = self.oauth.map_or(&[][..], |oauth| &oauth.credentials_schema);
        self.credentials.iter().chain(oauth).collect()
    }
}
