//! Reads the providers of every kind but models: one file each, and the files of their parts. What the daemon fills in is
//! filled in here, so that the typed form holds what Dify shows.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Loader;
use crate::declare::KindDeclarations;
use crate::declare::codes::Code;
use crate::declare::files;
use crate::declare::kind::PluginKind;
use crate::declare::manifest::Manifest;
use crate::declare::permission::{Permission, Permissions};
use crate::declare::problem::Severity;
use crate::declare::rules::as_flag;

impl Loader<'_> {
    /// Everything that a package declares beside models.
    pub(super) fn kinds(&mut self, manifest: &Manifest) -> KindDeclarations {
        let mut kinds = KindDeclarations::default();
        for kind in PluginKind::ALL.into_iter().filter(|kind| *kind != PluginKind::Model) {
            let files = manifest.files_of(kind);
            if files.len() > 1 {
                let path = format!("plugins.{}", kind.manifest_key());
                let message = format!("lists {} files; Dify uses the last of them only, so name one", files.len());
                self.problem(Code::SeveralFiles, "manifest.yaml", &path, message);
            }
            for file in files {
                self.kind(kind, &file, manifest, &mut kinds);
            }
        }
        if !manifest.files_of(PluginKind::Endpoint).is_empty()
            && !Permissions::of_manifest(manifest).has(Permission::Endpoint)
        {
            self.rules("manifest.yaml", |rules| rules.endpoint_permission());
        }
        if !manifest.files_of(PluginKind::AgentStrategy).is_empty() {
            self.rules("manifest.yaml", |rules| rules.agent_meta(&manifest.0));
        }
        kinds
    }

    fn kind(&mut self, kind: PluginKind, file: &str, manifest: &Manifest, kinds: &mut KindDeclarations) {
        let Some(provider) = self.kind_provider(kind, file, manifest, kinds) else { return };
        match kind {
            PluginKind::Tool => kinds.tool = self.typed_kind(provider, file),
            PluginKind::Endpoint => kinds.endpoint = self.typed_kind(provider, file),
            PluginKind::AgentStrategy => kinds.agent_strategy = self.typed_kind(provider, file),
            PluginKind::Datasource => kinds.datasource = self.typed_kind(provider, file),
            PluginKind::Trigger => kinds.trigger = self.typed_kind(provider, file),
            PluginKind::Model => {}
        }
    }

    /// The provider with its parts written out, as far as it can be read.
    fn kind_provider(
        &mut self,
        kind: PluginKind,
        file: &str,
        manifest: &Manifest,
        kinds: &mut KindDeclarations,
    ) -> Option<Value> {
        let mut provider = self.object(file)?;
        kinds.files.push(file.to_owned());
        self.rules(file, |rules| rules.kind_provider(&provider, kind));
        self.icons(file, "identity", provider.get("identity"), &["icon", "icon_dark"]);
        let takes_tags = fill_identity(&mut provider, kind, manifest);
        if kind == PluginKind::Tool && takes_tags {
            self.rules("manifest.yaml", |rules| rules.inherited_tags(&manifest.0));
        }
        let key = kind.parts_key();
        let items = provider.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut parts: Vec<Value> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{key}[{index}]");
            let (part_file, prefix, mut part) = match item {
                Value::String(path) => {
                    if let Err(why) = files::find(self.directory, &path) {
                        self.problem(Code::MissingFile, file, &place, format!("{path} {why}"));
                        continue;
                    }
                    let Some(part) = self.object(&path) else { continue };
                    kinds.files.push(path.clone());
                    (path, String::new(), part)
                }
                Value::Object(part) => {
                    if kind != PluginKind::Endpoint {
                        let message = "is written out here; the Python SDK takes only the path of a file".to_owned();
                        self.problem(Code::PythonSdk, file, &place, message);
                    }
                    (file.to_owned(), format!("{place}."), part)
                }
                other => {
                    let message = format!("must be the path of a file, found {other}");
                    self.problem(Code::WrongType, file, &place, message);
                    continue;
                }
            };
            self.rules(&part_file, |rules| rules.part(&part, &prefix, kind));
            if kind == PluginKind::Datasource {
                self.icons(&part_file, &format!("{prefix}identity"), part.get("identity"), &["icon"]);
            }
            let name = part_name(&part);
            if let Some(name) = name
                .filter(|name| parts.iter().filter_map(Value::as_object).any(|known| part_name(known) == Some(name)))
            {
                let message = format!("`{name}` is declared more than once");
                self.problem(Code::RepeatedName, &part_file, &format!("{prefix}identity.name"), message);
            }
            fill_part(&mut part);
            parts.push(Value::Object(part));
        }
        provider.insert(key.to_owned(), parts.into());
        fill_provider(&mut provider, kind);
        Some(Value::Object(provider))
    }

    fn icons(&mut self, file: &str, path: &str, identity: Option<&Value>, keys: &[&str]) {
        for key in keys {
            if let Some(icon) =
                identity.and_then(|identity| identity.get(*key)?.as_str()).filter(|icon| !icon.is_empty())
            {
                self.asset(file, &format!("{path}.{key}"), icon);
            }
        }
    }

    /// The typed form. What is wrong with a part has been named under the part's file.
    fn typed_kind<T: DeserializeOwned>(&mut self, provider: Value, file: &str) -> Option<T> {
        if self.problems.iter().any(|problem| problem.severity == Severity::Error) {
            return serde_json::from_value(provider).ok();
        }
        self.typed(file, provider)
    }
}

fn part_name(part: &Map<String, Value>) -> Option<&str> {
    part.get("identity")?.get("name")?.as_str()
}

/// The daemon gives tools and triggers the manifest's description and tags; whether it does so with the tags.
fn fill_identity(provider: &mut Map<String, Value>, kind: PluginKind, manifest: &Manifest) -> bool {
    let Some(identity) = provider.get_mut("identity").and_then(Value::as_object_mut) else { return false };
    if !matches!(kind, PluginKind::Tool | PluginKind::Trigger) {
        return false;
    }
    let english = identity.get("description").and_then(|text| text.get("en_US")?.as_str());
    let has_text = english.is_some_and(|text| !text.is_empty());
    let has_tags = identity.get("tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty());
    for (key, is_there) in [("description", has_text), ("tags", has_tags)] {
        if let Some(value) = manifest.0.get(key).filter(|_| !is_there) {
            identity.insert(key.to_owned(), value.clone());
        }
    }
    !has_tags
}

/// Fields that are written as a map become a list, and what the daemon reads in several spellings gets one.
fn fill_provider(provider: &mut Map<String, Value>, kind: PluginKind) {
    if kind == PluginKind::Tool {
        let other = provider.shift_remove("credentials_for_provider");
        let own = provider.entry("credentials_schema").or_insert(Value::Null);
        if own.is_null() || own.as_array().is_some_and(Vec::is_empty) || own.as_object().is_some_and(Map::is_empty) {
            *own = other.unwrap_or(Value::Null);
        }
    }
    fill_identity_texts(provider);
    fill_fields(provider);
    if let Some(constructor) = provider.get_mut("subscription_constructor").and_then(Value::as_object_mut) {
        fill_fields(constructor);
        fill_parameters(constructor);
    }
}

/// A null is an omitted member.
fn fill_identity_texts(owner: &mut Map<String, Value>) {
    if let Some(identity) = owner.get_mut("identity").and_then(Value::as_object_mut) {
        identity.retain(|_, value| !value.is_null());
    }
}

fn fill_fields(owner: &mut Map<String, Value>) {
    for key in ["credentials_schema", "settings", "subscription_schema"] {
        fill_field_list(owner, key);
    }
    match owner.get_mut("oauth_schema") {
        Some(Value::Object(oauth)) => {
            for key in ["client_schema", "credentials_schema"] {
                fill_field_list(oauth, key);
            }
        }
        _ => {
            owner.shift_remove("oauth_schema");
        }
    }
}

fn fill_field_list(owner: &mut Map<String, Value>, key: &str) {
    let fields = match owner.get_mut(key).map(Value::take) {
        Some(Value::Object(fields)) => {
            let named = fields.into_iter().map(|(name, mut field)| {
                if let Some(field) = field.as_object_mut() {
                    field.insert("name".to_owned(), name.into());
                }
                field
            });
            named.collect()
        }
        Some(Value::Array(fields)) => fields,
        _ => {
            owner.shift_remove(key);
            return;
        }
    };
    let fields = fields.into_iter().map(|mut field| {
        if let Some(field) = field.as_object_mut() {
            fill_flags(field, &["required", "multiple"]);
            fill_texts(field, &["help", "placeholder"]);
            fill_options(field);
            field.retain(|_, value| !value.is_null());
        }
        field
    });
    let fields: Vec<Value> = fields.collect();
    owner.insert(key.to_owned(), json!(fields));
}

fn fill_part(part: &mut Map<String, Value>) {
    fill_identity_texts(part);
    fill_flags(part, &["hidden", "has_runtime_parameters"]);
    fill_parameters(part);
    part.retain(|_, value| !value.is_null());
}

fn fill_parameters(owner: &mut Map<String, Value>) {
    if owner.get("parameters").is_some_and(Value::is_null) {
        owner.shift_remove("parameters");
    }
    for parameter in owner.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(parameter) = parameter.as_object_mut() {
            fill_flags(parameter, &["required", "multiple"]);
            fill_texts(parameter, &["help", "description", "human_description"]);
            fill_options(parameter);
            if let Some(template) = parameter.get_mut("template").and_then(Value::as_object_mut) {
                fill_flags(template, &["enabled"]);
            }
            parameter.retain(|_, value| !value.is_null());
        }
    }
}

fn fill_flags(owner: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(flag) = owner.get(*key).and_then(Value::as_str).and_then(as_flag) {
            owner.insert((*key).to_owned(), flag.into());
        }
    }
}

/// A text without English is no text; the rules have reported it.
fn fill_texts(owner: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if owner.get(*key).is_some_and(|text| text.get("en_US").and_then(Value::as_str).is_none_or(str::is_empty)) {
            owner.shift_remove(*key);
        }
    }
}

/// Values that authors write bare are text.
fn fill_options(owner: &mut Map<String, Value>) {
    let Some(options) = owner.get_mut("options").and_then(Value::as_array_mut) else { return };
    for value in options.iter_mut().filter_map(|option| option.get_mut("value")) {
        if matches!(value, Value::Bool(_) | Value::Number(_)) {
            *value = value.to_string().into();
        }
    }
}
