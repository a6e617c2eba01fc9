//! The kinds of plugin that Dify knows: where a manifest lists them, under which event they are registered for debugging, and
//! which of them one package may hold. What each declares is in the file of the kind.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go` (`ManifestValidate`), `remote_entities.go`.

/// A kind of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PluginKind {
    /// Tools for agents and workflows.
    Tool,
    /// Models.
    Model,
    /// HTTP endpoints.
    Endpoint,
    /// Strategies of the agent node.
    AgentStrategy,
    /// Sources of a knowledge pipeline.
    Datasource,
    /// Events that start workflows.
    Trigger,
}

impl PluginKind {
    /// All of them, in the order in which a manifest lists them.
    pub const ALL: [Self; 6] =
        [Self::Tool, Self::Model, Self::Endpoint, Self::AgentStrategy, Self::Datasource, Self::Trigger];

    /// Its key of `plugins` in a manifest.
    pub fn manifest_key(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Model => "models",
            Self::Endpoint => "endpoints",
            Self::AgentStrategy => "agent_strategies",
            Self::Datasource => "datasources",
            Self::Trigger => "triggers",
        }
    }

    /// The kind that a manifest lists under this key.
    pub fn of_manifest_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.manifest_key() == key)
    }

    /// The key of a provider's file that lists its parts: tools, events and so on; models are found by patterns instead.
    pub fn parts_key(self) -> &'static str {
        match self {
            Self::AgentStrategy => "strategies",
            Self::Trigger => "events",
            kind => kind.manifest_key(),
        }
    }

    /// The event that registers it at the daemon's debugging port.
    pub fn registration_event(self) -> &'static str {
        match self {
            Self::Tool => "tool_declaration",
            Self::Model => "model_declaration",
            Self::Endpoint => "endpoint_declaration",
            Self::AgentStrategy => "agent_strategy_declaration",
            Self::Datasource => "datasource_declaration",
            Self::Trigger => "trigger_declaration",
        }
    }

    /// Whether one package may hold both. Tools and endpoints share one; every other type needs its own package.
    pub fn may_share_with(self, other: Self) -> bool {
        let is_shared = |kind| matches!(kind, Self::Tool | Self::Endpoint);
        self == other || is_shared(self) && is_shared(other)
    }
}
