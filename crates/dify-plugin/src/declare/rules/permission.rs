//! The rules of `resource.permission` in a manifest.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go` (`PluginPermissionRequirement`),
//! `internal/service/setup_endpoint.go`.

use serde_json::{Map, Value};

use super::Rules;
use crate::declare::codes::Code;
use crate::declare::permission::Permission;

impl Rules<'_> {
    /// The permissions that a manifest asks for.
    pub(super) fn permission(&mut self, resource: &Map<String, Value>) {
        let Some(blocks) = self.object(resource, "resource.", "permission", false) else { return };
        for name in blocks.keys() {
            let path = format!("resource.permission.{name}");
            let known: Vec<_> = Permission::ALL.iter().map(|one| one.keys()).filter(|keys| keys.0 == name).collect();
            if known.is_empty() {
                let mut names: Vec<&str> = Permission::ALL.iter().map(|one| one.keys().0).collect();
                names.dedup();
                self.report(
                    Code::UnknownPermission,
                    &path,
                    format!("is unknown and gives nothing; allowed are {}", names.join(", ")),
                );
                self.allow(names);
                continue;
            }
            let keys: Vec<&str> = known.into_iter().filter_map(|keys| keys.1).collect();
            let Some(block) = self.object(blocks, "resource.permission.", name, false) else { continue };
            let prefix = format!("{path}.");
            self.flag(block, &prefix, "enabled");
            for key in block.keys().filter(|key| *key != "enabled" && (name != "storage" || *key != "size")) {
                match keys.contains(&key.as_str()) {
                    true => self.flag(block, &prefix, key),
                    false => {
                        self.report(Code::UnknownPermission, &format!("{prefix}{key}"), "is unknown and gives nothing");
                        self.allow(keys.iter().copied().chain(["enabled"]));
                    }
                }
            }
            let is_true = |key: &str| block.get(key) == Some(&Value::Bool(true));
            if !keys.is_empty() && is_true("enabled") != keys.iter().any(|key| is_true(key)) {
                let message = match is_true("enabled") {
                    true => format!("names no type of model, so it gives nothing; add one of {}", keys.join(", ")),
                    false => "gives nothing without `enabled: true`".to_owned(),
                };
                self.report(Code::UnknownPermission, &path, message);
            }
            if name == "storage" {
                let size = block.get("size").and_then(Value::as_u64).unwrap_or_default();
                if !(1024..=1_073_741_824).contains(&size) {
                    self.report(
                        Code::Memory,
                        &format!("{prefix}size"),
                        format!("must be 1024 to 1073741824 bytes, found {size}"),
                    );
                }
            }
        }
    }

    /// Without this permission Dify refuses to set an endpoint up.
    pub fn endpoint_permission(&mut self) {
        let message = "must be true for a plugin with endpoints: without it Dify refuses to set one up";
        self.report(Code::EndpointPermission, "resource.permission.endpoint.enabled", message);
    }
}
