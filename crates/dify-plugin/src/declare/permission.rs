//! What a manifest asks the workspace's permission for. Dify refuses calls back, endpoints and storage without it. Who makes
//! such calls is not known here.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go` (`PluginPermissionRequirement`),
//! `internal/core/io_tunnel/backwards_invocation/task.go`.

use serde_json::Value;

use super::manifest::Manifest;

/// Something that needs permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// Calls of tools.
    Tool,
    /// Calls of language models; structured output and summaries too.
    Llm,
    /// Calls of embedding models.
    TextEmbedding,
    /// Calls of rerank models.
    Rerank,
    /// Calls of models that speak.
    Tts,
    /// Calls of models that transcribe.
    Speech2text,
    /// Calls of models that moderate.
    Moderation,
    /// Calls of workflow nodes.
    Node,
    /// Calls of apps.
    App,
    /// Endpoints of its own.
    Endpoint,
    /// Storage of its own.
    Storage,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Tool,
        Self::Llm,
        Self::TextEmbedding,
        Self::Rerank,
        Self::Tts,
        Self::Speech2text,
        Self::Moderation,
        Self::Node,
        Self::App,
        Self::Endpoint,
        Self::Storage,
    ];

    /// Its block in `resource.permission`, and the key beside `enabled` that must be true, too.
    pub fn keys(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Tool => ("tool", None),
            Self::Llm => ("model", Some("llm")),
            Self::TextEmbedding => ("model", Some("text_embedding")),
            Self::Rerank => ("model", Some("rerank")),
            Self::Tts => ("model", Some("tts")),
            Self::Speech2text => ("model", Some("speech2text")),
            Self::Moderation => ("model", Some("moderation")),
            Self::Node => ("node", None),
            Self::App => ("app", None),
            Self::Endpoint => ("endpoint", None),
            Self::Storage => ("storage", None),
        }
    }

    /// The members of its block in `manifest.yaml` that give it.
    pub(crate) fn members(self) -> Vec<String> {
        let (_, key) = self.keys();
        let switches = ["enabled"].into_iter().chain(key).map(|switch| format!("{switch}: true"));
        switches.chain((self == Self::Storage).then(|| "size: 1048576".to_owned())).collect()
    }

    /// The lines of `manifest.yaml` that give it.
    pub fn yaml(self) -> String {
        let (block, _) = self.keys();
        format!("resource:\n  permission:\n    {block}:\n      {}", self.members().join("\n      "))
    }
}

/// What a manifest has permission for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    allowed: Vec<Permission>,
    storage: Option<u64>,
}

impl Permissions {
    /// Those of a manifest. What it does not name is not allowed.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        let permission = manifest.0.get("resource").and_then(|resource| resource.get("permission"));
        let member = |block: &str, key: &str| permission.and_then(|blocks| blocks.get(block)?.get(key));
        let is_true = |block: &str, key: &str| member(block, key).and_then(Value::as_bool).unwrap_or_default();
        let is_allowed = |permission: &Permission| {
            let (block, key) = permission.keys();
            is_true(block, "enabled") && key.is_none_or(|key| is_true(block, key))
        };
        let allowed: Vec<Permission> = Permission::ALL.into_iter().filter(is_allowed).collect();
        let storage = allowed.contains(&Permission::Storage).then(|| member("storage", "size")?.as_u64());
        Self { allowed, storage: storage.flatten() }
    }

    /// Whether this is allowed.
    pub fn has(&self, permission: Permission) -> bool {
        self.allowed.contains(&permission)
    }

    /// Bytes of storage that are allowed.
    pub fn storage_size(&self) -> Option<u64> {
        self.storage
    }
}
