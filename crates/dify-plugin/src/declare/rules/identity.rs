//! The rules of identities and tags: who a provider or a part of one is.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/tool_declaration.go` (`ToolProviderIdentity`, `ToolIdentity`),
//! `langgenius/dify: api/core/tools/entities/tool_entities.py`, `api/models/provider_ids.py`.

use serde_json::{Map, Value};

use super::{Rules, show};
use crate::declare::codes::Code;
use crate::declare::kind::PluginKind;
use crate::declare::versions::{self, Kind};

impl Rules<'_> {
    /// The identity of a provider. The manifest's description and tags stand in for those of tools and triggers.
    pub(super) fn provider_identity(&mut self, provider: &Map<String, Value>, kind: PluginKind) {
        let Some(identity) = self.object(provider, "", "identity", true) else { return };
        let prefix = "identity.";
        self.text(identity, prefix, "author", usize::MAX, true);
        self.provider_name(identity, prefix);
        self.i18n(identity, prefix, "label", true);
        let takes_manifest = matches!(kind, PluginKind::Tool | PluginKind::Trigger);
        self.i18n(identity, prefix, "description", !takes_manifest);
        self.text(identity, prefix, "icon", usize::MAX, true);
        self.text(identity, prefix, "icon_dark", usize::MAX, false);
        let set = if kind == PluginKind::Trigger { Kind::Tag } else { Kind::ProviderTag };
        self.names(identity, prefix, "tags", set, usize::MAX);
        let has_tags = identity.get("tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty());
        if kind == PluginKind::Trigger && has_tags {
            self.report(
                Code::PythonSdk,
                "identity.tags",
                "is refused by the Python SDK for triggers; the manifest's tags are used without it",
            );
        }
    }

    /// Dify puts the name into an id, which has small letters only.
    fn provider_name(&mut self, identity: &Map<String, Value>, prefix: &str) {
        let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        match identity.get("name") {
            Some(Value::String(name)) if !name.is_empty() && name.bytes().all(is_legal) => {}
            found => self.report(
                Code::ProviderName,
                &format!("{prefix}name"),
                format!("must be of the characters a-z, 0-9, `_` and `-`, found {}", show(found)),
            ),
        }
    }

    /// The identity of a tool, a strategy, a datasource or an event.
    pub(super) fn part_identity(&mut self, part: &Map<String, Value>, prefix: &str, kind: PluginKind) {
        let Some(identity) = self.object(part, prefix, "identity", true) else { return };
        let prefix = &format!("{prefix}identity.");
        self.text(identity, prefix, "author", usize::MAX, true);
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match identity.get("name") {
            Some(Value::String(name)) if !name.is_empty() => {
                if kind != PluginKind::Datasource && !name.bytes().all(is_legal) {
                    let message = format!("must be of the characters a-z, A-Z, 0-9, `_` and `-`, found `{name}`");
                    self.report(Code::Identifier, &format!("{prefix}name"), message);
                }
            }
            found => {
                self.report(Code::Missing, &format!("{prefix}name"), format!("must be a name, found {}", show(found)))
            }
        }
        self.i18n(identity, prefix, "label", true);
        if kind == PluginKind::Datasource {
            self.text(identity, prefix, "icon", usize::MAX, false);
        }
    }

    /// The tags of a manifest that its tool provider takes because it has none of its own.
    pub fn inherited_tags(&mut self, manifest: &Map<String, Value>) {
        for (index, tag) in self.list(manifest, "", "tags", usize::MAX).iter().enumerate() {
            let Some(name) = tag.as_str().filter(|name| versions::since(Kind::Tag, name).is_some()) else { continue };
            if versions::since(Kind::ProviderTag, name).is_none() {
                let message = format!(
                    "`{name}` is taken over by the provider, where the Dify API refuses it and shows no tools at all; give \
                     the provider `identity.tags` of its own"
                );
                self.report(Code::InheritedTag, &format!("tags[{index}]"), message);
            }
        }
    }
}
