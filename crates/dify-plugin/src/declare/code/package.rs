//! The manifest, the providers and their parts: which of them the code has, and which are declared. Parameters are compared
//! in [`super::parameters`].

use serde_json::{Map, Value, json};

use super::files::Files;
use super::parameters::Place;
use super::{Code, CodePart, CodeProvider, Difference, Fix, texts};
use crate::declare::files::is_plain;
use crate::declare::kind::PluginKind;
use crate::declare::permission::Permission;
use crate::declare::problem::Severity;
use crate::declare::versions::{self, DifyVersion, Kind, Minimum};

const MANIFEST: &str = "manifest.yaml";

/// Where a manifest names the first Dify that it is for. Other checks name the same problem where it is caused.
pub(super) const VERSION: &str = "meta.minimum_dify_version";

/// Every difference. One that hides others comes alone: they are found once it is removed.
pub(super) fn differences(files: &mut Files<'_>, code: &Code, keep: bool) -> Vec<Difference> {
    let Some(manifest) = files.document(MANIFEST).map(|manifest| manifest.value().clone()) else { return Vec::new() };
    if code.providers.is_empty() {
        return Vec::new();
    }
    let mut comparison = Comparison { files, manifest, keep, needed: DifyVersion::OLDEST, found: Vec::new() };
    for kind in PluginKind::ALL.into_iter().filter(|kind| *kind != PluginKind::Model) {
        comparison.kind(kind, code.providers.iter().find(|provider| provider.kind == kind));
    }
    let endpoint = code.providers.iter().any(|provider| provider.kind == PluginKind::Endpoint);
    for permission in code.needs.iter().copied().chain(endpoint.then_some(Permission::Endpoint)) {
        comparison.permission(permission);
    }
    comparison.version();
    comparison.found
}

struct Comparison<'a, 'b> {
    files: &'a mut Files<'b>,
    manifest: Value,
    keep: bool,
    /// The first Dify that knows everything that the code needs.
    needed: DifyVersion,
    found: Vec<Difference>,
}

/// The directory in which parts of a kind are written.
fn directory(kind: PluginKind) -> &'static str {
    if kind == PluginKind::AgentStrategy { "strategies" } else { kind.parts_key() }
}

/// What a part of a kind is called.
fn noun(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Tool => "tool",
        PluginKind::AgentStrategy => "agent strategy",
        PluginKind::Datasource => "datasource",
        PluginKind::Trigger => "event",
        PluginKind::Endpoint => "endpoint",
        PluginKind::Model => "model",
    }
}

impl Comparison<'_, '_> {
    fn add(&mut self, file: &str, path: &str, message: String, change: String, fix: Fix) {
        let (file, path) = (file.to_owned(), path.to_owned());
        self.found.push(Difference { file, path, severity: Severity::Error, message, change, fix });
    }

    fn kind(&mut self, kind: PluginKind, code: Option<&CodeProvider>) {
        let path = format!("plugins.{}", kind.manifest_key());
        let listed = self.manifest.get("plugins").and_then(|plugins| plugins.get(kind.manifest_key()));
        // Dify uses the last one.
        let file = listed.and_then(Value::as_array).and_then(|files| files.last()?.as_str()).map(str::to_owned);
        match (code, file) {
            (None, None) => {}
            (None, Some(file)) if !self.keep => {
                let message =
                    format!("{file} is listed, but the plugin has no code for {}", kind.parts_key().replace('_', " "));
                let change = format!("{file} is no longer listed; the file itself stays");
                self.add(MANIFEST, &path, message, change, Fix::Remove);
            }
            (None, Some(_)) => {}
            (Some(code), None) => {
                let file = match kind {
                    PluginKind::Endpoint => "group/endpoints.yaml".to_owned(),
                    _ => format!("provider/{}.yaml", code.name),
                };
                let message = format!(
                    "the plugin has code for {}, but the manifest lists no file of them",
                    kind.parts_key().replace('_', " ")
                );
                if is_plain(&file) {
                    self.add(MANIFEST, &path, message, format!("{file} is listed"), Fix::Insert(0, json!(file)));
                } else {
                    self.add(MANIFEST, &path, message, String::new(), Fix::None);
                }
            }
            (Some(code), Some(file)) => {
                let since = versions::since(Kind::Extension, kind.manifest_key());
                self.needed = self.needed.max(since.unwrap_or(DifyVersion::OLDEST));
                self.provider(code, &file);
            }
        }
    }

    fn provider(&mut self, code: &CodeProvider, file: &str) {
        if self.files.is_missing(file) {
            let new = texts::provider(code, &self.manifest);
            return self.add(file, "", "does not exist".to_owned(), "written".to_owned(), Fix::Create(new));
        }
        let Some(provider) = self.files.document(file).map(|document| document.value().clone()) else { return };
        if code.kind == PluginKind::Endpoint {
            return;
        }
        let name = part_name(&provider).unwrap_or_default();
        if name != code.name {
            let message = format!("the code is for provider `{}`, found `{name}`", code.name);
            self.add(
                file,
                "identity.name",
                message,
                format!("`identity.name` is now `{}`", code.name),
                Fix::Set(json!(code.name)),
            );
        }
        if let Some(wanted) =
            code.provider_type.map(|kind| json!(kind)).filter(|wanted| provider.get("provider_type") != Some(wanted))
        {
            let message = format!("the code is for provider type {wanted}");
            self.add(file, "provider_type", message, format!("`provider_type` is now {wanted}"), Fix::Set(wanted));
        }
        let key = code.kind.parts_key();
        let items = provider.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut declared: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = format!("{key}[{index}]");
            match item {
                Value::String(path) => {
                    if let Some(name) = self.listed_part(code, path, (file, &place)) {
                        declared.push(name);
                    }
                }
                Value::Object(_) => {
                    if let Some(name) = self.part(code, file, &format!("{place}."), item, (file, &place)) {
                        declared.push(name);
                    }
                }
                _ => {}
            }
        }
        for part in code.parts.iter().filter(|part| !declared.contains(&part.name)) {
            self.unlisted_part(code.kind, part, file, items.len());
        }
    }

    /// A part whose file is listed; its name.
    fn listed_part(&mut self, code: &CodeProvider, path: &str, list: (&str, &str)) -> Option<String> {
        if self.files.is_missing(path) {
            let stem = path.rsplit('/').next()?.split('.').next()?;
            let part = code.parts.iter().find(|part| part.name == stem)?;
            let new = texts::part(code.kind, part, &self.manifest);
            self.add(path, "", "does not exist".to_owned(), "written".to_owned(), Fix::Create(new));
            return Some(part.name.clone());
        }
        let value = self.files.document(path)?.value().clone();
        self.part(code, path, "", &value, list)
    }

    /// A part that is declared; its name. `list` is where its provider lists it.
    fn part(
        &mut self,
        code: &CodeProvider,
        file: &str,
        prefix: &str,
        part: &Value,
        list: (&str, &str),
    ) -> Option<String> {
        let name = part_name(part)?.to_owned();
        match code.parts.iter().find(|known| known.name == name) {
            Some(known) => {
                let place = Place { kind: code.kind, file, prefix, part, keep: self.keep };
                if let Some(shape) = &known.parameters {
                    self.needed = self.needed.max(place.since(shape));
                    self.found.extend(place.compare(shape));
                }
            }
            None if !self.keep => {
                let noun = noun(code.kind);
                let message = format!("{noun} `{name}` is declared, but the plugin has no code for it");
                let change = match prefix {
                    "" => format!("{noun} `{name}` is no longer listed; {file} itself stays"),
                    _ => format!("{noun} `{name}` removed, with its texts"),
                };
                self.add(list.0, list.1, message, change, Fix::Remove);
            }
            None => {}
        }
        Some(name)
    }

    /// A part that the code has and that its provider does not list.
    fn unlisted_part(&mut self, kind: PluginKind, part: &CodePart, provider: &str, index: usize) {
        let (noun, name) = (noun(kind), &part.name);
        let file = format!("{}/{name}.yaml", directory(kind));
        let message = format!("the plugin has code for {noun} `{name}`, but does not declare it");
        let other = match self.files.is_missing(&file) {
            true => None,
            false => self.files.document(&file).map(|document| part_name(document.value()).map(str::to_owned)),
        };
        let fix = match other {
            _ if !is_plain(&file) => Fix::None,
            Some(other) if other.as_ref() != Some(name) => Fix::None,
            _ => Fix::Insert(index, json!(file)),
        };
        self.add(provider, kind.parts_key(), message, format!("{noun} `{name}` is listed"), fix);
    }

    /// An older Dify rejects what it does not know.
    fn version(&mut self) {
        let none = Map::new();
        let minimum = Minimum::of_manifest(self.manifest.as_object().unwrap_or(&none));
        if self.needed > minimum.version {
            let version = self.needed.to_string();
            let message = format!("the plugin needs Dify {version}");
            let change = format!("`minimum_dify_version` is now {version}");
            self.add(MANIFEST, VERSION, message, change, Fix::Set(json!(version)));
        }
    }

    fn permission(&mut self, permission: Permission) {
        let (block, _) = permission.keys();
        for member in permission.members() {
            let Some((key, value)) = member.split_once(": ") else { continue };
            let path = format!("resource.permission.{block}.{key}");
            let at = ["resource", "permission", block, key];
            let found = at.iter().try_fold(&self.manifest, |value, key| value.get(key));
            let value: Value = serde_json::from_str(value).unwrap_or_default();
            let is_granted = found.is_some_and(|found| *found == value || found.is_number() && value.is_number());
            if !is_granted && !self.found.iter().any(|known| known.path == path) {
                let message = format!("the plugin needs this permission: `{member}`");
                self.add(MANIFEST, &path, message, format!("permission `{block}`: `{member}`"), Fix::Set(value));
            }
        }
    }
}

fn part_name(part: &Value) -> Option<&str> {
    part.get("identity")?.get("name")?.as_str()
}
