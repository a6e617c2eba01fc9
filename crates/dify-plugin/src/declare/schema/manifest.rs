//! The schema of `manifest.yaml`.

use serde_json::{Map, Value, json};

use super::parts::*;
use crate::declare::permission::Permission;
use crate::declare::versions::{self, Kind};

pub(super) fn manifest() -> Value {
    let identifier = |longest: usize| json!({"type": "string", "pattern": format!("^[a-z0-9_-]{{1,{longest}}}$")});
    object(vec![
        needed("version", version()),
        needed("type", json!({"type": "string", "enum": ["plugin"]})),
        needed("author", about(identifier(64), "part of the plugin's ID")),
        needed("name", about(identifier(128), "part of the plugin's ID")),
        needed("label", about(i18n(true), "the name on the plugin's card")),
        needed("description", about(i18n(true), "two lines on the card, one in the list of installed plugins")),
        needed("icon", about(text(Some(128)), "a file in _assets; 40 pixels on the card")),
        optional(
            "icon_dark",
            about(optional_text(Some(128)), "a file in _assets; without it the light icon is shown on a dark card"),
        ),
        needed(
            "created_at",
            about(json!({"type": "string"}), "a timestamp with a time zone, such as 2026-01-31T00:00:00Z"),
        ),
        optional("tags", names(Kind::Tag, Some(64))),
        needed("resource", resource()),
        needed("plugins", plugins()),
        needed("meta", meta()),
        optional("repo", about(json!({"type": "string"}), "URL of the source")),
        optional("privacy", about(json!({}), "a file with the privacy policy; the marketplace requires it")),
        optional("verified", flag()),
    ])
}

fn resource() -> Value {
    let memory = about(json!({"type": "integer", "not": {"const": 0}}), "bytes; Dify does not enforce it");
    object(vec![needed("memory", memory), optional("permission", permission())])
}

/// What a plugin may do in Dify. Unknown permissions give nothing, and are warnings.
fn permission() -> Value {
    let mut blocks: Map<String, Value> = Map::new();
    for permission in Permission::ALL {
        let (name, key) = permission.keys();
        let block = blocks
            .entry(name)
            .or_insert_with(|| json!({"type": ["object", "null"], "properties": {"enabled": nullable_flag()}}));
        if let Some(key) = key {
            block["properties"][key] = nullable_flag();
        }
        if name == "storage" {
            block["properties"]["size"] = json!({"description": "bytes"});
        }
    }
    json!({"type": "object", "properties": blocks})
}

fn nullable_flag() -> Value {
    let mut flag = flag();
    flag["type"] = json!(["boolean", "string", "null"]);
    if let Some(Value::Array(values)) = flag.get_mut("enum") {
        values.push(Value::Null);
    }
    flag
}

fn plugins() -> Value {
    let path = || list(json!({"type": "string", "maxLength": 128}), None);
    let lists = versions::names(Kind::Extension).map(|extension| optional(extension, path()));
    let mut plugins = object(lists.collect());
    plugins["minProperties"] = 1.into();
    about(plugins, "the files of providers by kind; tools and endpoints can share a package, everything else is alone")
}

fn meta() -> Value {
    let runner = object(vec![
        needed("language", one_of(Kind::Language)),
        needed("version", text(Some(128))),
        needed("entrypoint", about(text(Some(256)), "the Python module that the daemon starts")),
    ]);
    object(vec![
        needed("version", version()),
        optional("minimum_dify_version", dify_version()),
        optional("arch", names(Kind::Arch, Some(8))),
        needed("runner", runner),
    ])
}
