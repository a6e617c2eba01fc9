//! The rules of the daemon and the stricter ones of the Dify API, applied to the YAML as written.
//!
//! Works on JSON values and collects all problems, so that users see them together; it builds no types.
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/*.go`, `pkg/entities/manifest_entities/*.go`,
//! `langgenius/graphon: src/graphon/model_runtime/entities/`.

mod config;
mod identity;
mod kinds;
mod output;
mod parameter;
mod permission;

pub(super) use parameter::{explanation_key, parameter_types};

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::codes::Code;
use super::drawn;
use super::kind::PluginKind;
use super::price::is_decimal;
use super::problem::Problem;
use super::versions::{self, DifyVersion, Kind, Minimum};
use crate::protocol::lenient::kind_of;

/// Maximum number of fields of one form that the debugging port accepts.
pub const MAX_REMOTE_FORM_FIELDS: usize = 32;

/// Checks one file and collects its problems.
pub struct Rules<'a> {
    file: &'a str,
    minimum: &'a Minimum,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Rules<'a> {
    /// Creates rules for a file of a package for this Dify version.
    pub fn new(file: &'a str, minimum: &'a Minimum, problems: &'a mut Vec<Problem>) -> Self {
        Self { file, minimum, problems }
    }

    /// Adds a problem.
    pub fn report(&mut self, code: Code, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(code, self.file, path, message.into()));
    }

    /// Adds what is allowed to the last problem.
    fn allow<'b>(&mut self, names: impl IntoIterator<Item = &'b str>) {
        if let Some(problem) = self.problems.last_mut() {
            problem.allow(names);
        }
    }

    /// Warns about a name that an earlier item of a list has.
    fn repeated_name(
        &mut self,
        seen: &mut HashMap<String, usize>,
        list: &str,
        index: usize,
        item: &Map<String, Value>,
    ) {
        let Some(name) = item.get("name").and_then(Value::as_str) else { return };
        if let Some(first) = seen.get(name) {
            let message = format!("`{name}` is declared more than once");
            self.report(Code::RepeatedName, &format!("{list}[{index}].name"), message);
            self.relate(&format!("{list}[{first}].name"), "the first one");
        } else {
            seen.insert(name.to_owned(), index);
        }
    }

    /// Adds another place of the file to the last problem.
    fn relate(&mut self, path: &str, message: &str) {
        if let Some(problem) = self.problems.pop() {
            self.problems.push(problem.with_related(self.file, path, message));
        }
    }

    /// Checks `manifest.yaml`.
    pub fn manifest(&mut self, manifest: &Map<String, Value>) {
        self.version(manifest, "", "version");
        match manifest.get("type") {
            Some(Value::String(kind)) if kind == "plugin" => {}
            found => {
                self.report(Code::NotAllowed, "type", format!("must be one of plugin, found {}", show(found)));
                self.allow(["plugin"]);
            }
        }
        self.identifier(manifest, "author", 64);
        self.identifier(manifest, "name", 128);
        self.i18n(manifest, "", "label", true);
        self.i18n(manifest, "", "description", true);
        self.text(manifest, "", "icon", 128, true);
        self.text(manifest, "", "icon_dark", 128, false);
        self.created_at(manifest.get("created_at"));
        self.names(manifest, "", "tags", Kind::Tag, 64);
        if let Some(resource) = self.object(manifest, "", "resource", true) {
            match resource.get("memory").and_then(Value::as_i64) {
                Some(memory) if memory != 0 => {}
                _ => self.report(Code::Memory, "resource.memory", "must be a nonzero number of bytes"),
            }
            self.permission(resource);
        }
        self.plugins(manifest);
        if let Some(meta) = self.object(manifest, "", "meta", true) {
            self.version(meta, "meta.", "version");
            self.minimum_dify_version(meta, "meta.");
            self.names(meta, "meta.", "arch", Kind::Arch, 8);
            if let Some(runner) = self.object(meta, "meta.", "runner", true) {
                self.one_of(runner, "meta.runner.", "language", Kind::Language, true);
                self.text(runner, "meta.runner.", "version", 128, true);
                self.text(runner, "meta.runner.", "entrypoint", 256, true);
            }
        }
        if let Some(repo) = manifest.get("repo").filter(|repo| !repo.is_null())
            && repo.as_str().and_then(|repo| url::Url::parse(repo).ok()).is_none()
        {
            self.report(Code::Address, "repo", format!("must be a URL such as https://…, or be omitted; found {repo}"));
        }
    }

    fn plugins(&mut self, manifest: &Map<String, Value>) {
        let Some(plugins) = self.object(manifest, "", "plugins", true) else { return };
        let mut present = Vec::new();
        for extension in versions::names(Kind::Extension) {
            let paths = self.list(plugins, "plugins.", extension, usize::MAX);
            for (index, path) in paths.iter().enumerate() {
                match path.as_str() {
                    Some(path) if path.len() <= 128 => {}
                    _ => self.report(
                        Code::Length,
                        &format!("plugins.{extension}[{index}]"),
                        "must be a path of at most 128 characters",
                    ),
                }
            }
            if !paths.is_empty() {
                present.push(extension);
                self.readable(extension, &format!("plugins.{extension}"), Kind::Extension);
            }
        }
        if present.is_empty() {
            self.report(
                Code::Together,
                "plugins",
                format!("must not be empty; expected any of {}", listed(Kind::Extension)),
            );
        }
        let kinds: Vec<PluginKind> = present.iter().filter_map(|key| PluginKind::of_manifest_key(key)).collect();
        let is_alone = |kind: &&PluginKind| kinds.iter().any(|other| !kind.may_share_with(*other));
        if let Some(kind) = kinds.iter().find(is_alone) {
            let held = match kinds.contains(&PluginKind::Model) {
                true => "a model plugin cannot contain other plugin types".to_owned(),
                false => format!(
                    "{} can be in no package with others (tools and endpoints can share one)",
                    kind.manifest_key()
                ),
            };
            self.report(Code::Together, "plugins", format!("{held}; found {}", present.join(", ")));
        }
    }

    /// Names the texts of a model provider that are never shown.
    fn lost_texts(&mut self, document: &Map<String, Value>) {
        for path in drawn::texts::never_shown(document) {
            let message = "is never shown: the texts of model providers reach the page in English and Chinese only";
            self.report(Code::LostText, &path, message);
        }
    }

    /// Checks a provider file.
    pub fn provider(&mut self, provider: &Map<String, Value>) {
        self.lost_texts(provider);
        self.text(provider, "", "provider", 255, true);
        self.i18n(provider, "", "label", true);
        for key in ["description", "icon_small", "icon_large", "icon_small_dark", "icon_large_dark"] {
            self.i18n(provider, "", key, false);
        }
        if let Some(help) = self.object(provider, "", "help", false) {
            self.i18n(help, "help.", "title", true);
            self.i18n(help, "help.", "url", true);
        }
        self.names(provider, "", "supported_model_types", Kind::ModelType, 16);
        self.names(provider, "", "configurate_methods", Kind::Method, 16);
        if let Some(package) = self.object(provider, "", "package", false) {
            self.names(package, "package.", "tags", Kind::Tag, 64);
            self.minimum_dify_version(package, "package.");
        }
        if let Some(form) = self.object(provider, "", "provider_credential_schema", false) {
            self.form(form, "provider_credential_schema.");
        }
        if let Some(form) = self.object(provider, "", "model_credential_schema", false) {
            if let Some(model) = self.object(form, "model_credential_schema.", "model", true) {
                self.i18n(model, "model_credential_schema.model.", "label", true);
                self.i18n(model, "model_credential_schema.model.", "placeholder", false);
            }
            self.form(form, "model_credential_schema.");
        }
    }

    fn form(&mut self, form: &Map<String, Value>, prefix: &str) {
        let fields = self.list(form, prefix, "credential_form_schemas", usize::MAX);
        if fields.len() > MAX_REMOTE_FORM_FIELDS {
            let message = format!(
                "has {} entries; remote debugging takes {MAX_REMOTE_FORM_FIELDS} and leaves the last optional ones out",
                fields.len()
            );
            self.report(Code::RemoteLimit, &format!("{prefix}credential_form_schemas"), message);
        }
        for (index, field) in fields.iter().enumerate() {
            let path = format!("{prefix}credential_form_schemas[{index}].");
            let Some(field) = self.item(field, &path) else { continue };
            self.text(field, &path, "variable", 255, true);
            self.i18n(field, &path, "label", true);
            self.i18n(field, &path, "placeholder", false);
            self.i18n(field, &path, "help", false);
            self.one_of(field, &path, "type", Kind::FieldType, true);
            if let Some(default) = field.get("default").filter(|default| !default.is_null()) {
                match default {
                    Value::String(text) if text.len() < 256 => {}
                    Value::String(_) => {
                        self.report(Code::Length, &format!("{path}default"), "must be shorter than 256 characters")
                    }
                    other => self.report(
                        Code::Unquoted,
                        &format!("{path}default"),
                        format!("should be a string, found {}", kind_of(other)),
                    ),
                }
            }
            for (code, place, message) in drawn::notes(field, fields, index, prefix.starts_with("model_")) {
                self.report(code, &format!("{path}{place}"), message);
                if let Some((other, what)) = drawn::related(field, fields, code, &place) {
                    self.relate(&format!("{prefix}credential_form_schemas[{other}].variable"), &what);
                }
            }
            let options = self.list(field, &path, "options", 128);
            let needs_options = matches!(field.get("type").and_then(Value::as_str), Some("select" | "radio"));
            if needs_options && options.is_empty() {
                self.report(
                    Code::NoOptions,
                    &format!("{path}options"),
                    "a select or radio field needs at least one option",
                );
            }
            for (index, option) in options.iter().enumerate() {
                let path = format!("{path}options[{index}].");
                let Some(option) = self.item(option, &path) else { continue };
                self.i18n(option, &path, "label", true);
                match option.get("value") {
                    Some(Value::String(text)) if !text.is_empty() && text.len() < 256 => {}
                    Some(Value::Bool(_) | Value::Number(_)) => {
                        self.report(Code::Unquoted, &format!("{path}value"), "should be a quoted string")
                    }
                    _ => self.report(Code::Length, &format!("{path}value"), "must be a string of 1 to 255 characters"),
                }
                self.conditions(option, &path);
            }
            self.conditions(field, &path);
        }
    }

    fn conditions(&mut self, owner: &Map<String, Value>, prefix: &str) {
        for (index, condition) in self.list(owner, prefix, "show_on", 16).iter().enumerate() {
            let path = format!("{prefix}show_on[{index}].");
            let Some(condition) = self.item(condition, &path) else { continue };
            self.text(condition, &path, "variable", 255, true);
            if !condition.get("value").is_some_and(Value::is_string) {
                self.report(Code::Unquoted, &format!("{path}value"), "should be a quoted string");
            }
        }
    }

    /// Checks a model file, with or without templates filled in.
    pub fn model(&mut self, model: &Map<String, Value>) {
        self.lost_texts(model);
        self.text(model, "", "model", 255, true);
        self.i18n(model, "", "label", false);
        self.one_of(model, "", "model_type", Kind::ModelType, true);
        self.names(model, "", "features", Kind::Feature, 256);
        self.one_of(model, "", "fetch_from", Kind::Method, false);
        if let Some(properties) = self.object(model, "", "model_properties", true) {
            for key in properties.keys() {
                let path = format!("model_properties.{key}");
                if versions::since(Kind::Property, key).is_some() {
                    self.readable(key, &path, Kind::Property);
                } else {
                    self.report(
                        Code::NotAllowed,
                        &path,
                        format!("is unknown; expected one of {}", listed(Kind::Property)),
                    );
                    self.allow(versions::names(Kind::Property));
                }
            }
        }
        let mut seen = HashMap::new();
        for (index, rule) in self.list(model, "", "parameter_rules", 128).iter().enumerate() {
            let path = format!("parameter_rules[{index}].");
            let Some(rule) = self.item(rule, &path) else { continue };
            self.rule(rule, &path);
            self.repeated_name(&mut seen, "parameter_rules", index, rule);
        }
        if let Some(pricing) = self.object(model, "", "pricing", false) {
            self.prices(pricing, "pricing.", &[("input", true), ("output", false), ("unit", true), ("cached", false)]);
            self.text(pricing, "pricing.", "currency", 255, true);
            self.price_tiers(pricing);
        }
    }

    fn prices(&mut self, pricing: &Map<String, Value>, path: &str, keys: &[(&str, bool)]) {
        for (key, required) in keys {
            match pricing.get(*key) {
                None | Some(Value::Null) if !required => {}
                Some(Value::Number(_)) => {}
                Some(Value::String(text)) if is_decimal(text.trim()) => {}
                found => self.report(
                    Code::Decimal,
                    &format!("{path}{key}"),
                    format!("must be a decimal number, found {}", show(found)),
                ),
            }
        }
    }

    /// Checks prices by the length of the input. Dify does not read them.
    fn price_tiers(&mut self, pricing: &Map<String, Value>) {
        let tiers = self.list(pricing, "pricing.", "tiered_pricing", 64);
        let mut before = Some(0);
        for (index, tier) in tiers.iter().enumerate() {
            let path = format!("pricing.tiered_pricing[{index}].");
            let Some(tier) = self.item(tier, &path) else { continue };
            self.prices(tier, &path, &[("input", true), ("output", false), ("cached", false)]);
            let limit = tier.get("max_tokens").filter(|limit| !limit.is_null());
            let number = limit.and_then(Value::as_u64);
            if limit.is_some() && number.is_none() {
                self.report(
                    Code::Decimal,
                    &format!("{path}max_tokens"),
                    format!("must be a number of tokens, found {}", show(limit)),
                );
            }
            match before {
                None => self.report(
                    Code::PriceTier,
                    &path[..path.len() - 1],
                    "is never used: the one before has no max_tokens",
                ),
                Some(before) if number.is_some_and(|number| number <= before) => {
                    self.report(
                        Code::PriceTier,
                        &format!("{path}max_tokens"),
                        "must be larger than that of the one before",
                    );
                }
                Some(_) => {}
            }
            before = number;
        }
    }

    fn rule(&mut self, rule: &Map<String, Value>, path: &str) {
        self.text(rule, path, "name", 255, true);
        self.i18n(rule, path, "label", false);
        self.i18n(rule, path, "help", false);
        let template = rule.get("use_template").filter(|name| !name.is_null());
        if let Some(name) = template {
            self.name(name, &format!("{path}use_template"), Kind::Template);
        }
        self.one_of(rule, path, "type", Kind::ParameterType, template.is_none());
        if template.is_none() && !rule.contains_key("label") {
            self.report(Code::NoLabel, &format!("{path}label"), "is missing; Dify shows the parameter name instead");
        }
        if let Some(default @ (Value::Array(_) | Value::Object(_))) = rule.get("default") {
            self.report(
                Code::PlainDefault,
                &format!("{path}default"),
                format!("must be a number, a string or a boolean; found {}", kind_of(default)),
            );
        }
        for key in ["min", "max", "precision"] {
            if let Some(value) = rule.get(key).filter(|value| !value.is_null() && !value.is_number()) {
                self.report(
                    Code::WrongType,
                    &format!("{path}{key}"),
                    format!("must be a number, found {}", kind_of(value)),
                );
            }
        }
        if let (Some(min), Some(max)) =
            (rule.get("min").and_then(Value::as_f64), rule.get("max").and_then(Value::as_f64))
            && min > max
        {
            self.report(Code::Range, &format!("{path}min"), format!("{min} is greater than max {max}"));
        }
        for (index, option) in self.list(rule, path, "options", 128).iter().enumerate() {
            match option {
                Value::String(text) if text.len() < 256 => {}
                Value::String(_) => {
                    self.report(Code::Length, &format!("{path}options[{index}]"), "must be shorter than 256 characters")
                }
                other => self.report(
                    Code::Unquoted,
                    &format!("{path}options[{index}]"),
                    format!("should be a string, found {}", kind_of(other)),
                ),
            }
        }
    }

    /// Returns an object of an array.
    fn item<'v>(&mut self, value: &'v Value, path: &str) -> Option<&'v Map<String, Value>> {
        match value {
            Value::Object(map) => Some(map),
            other => {
                self.report(
                    Code::WrongType,
                    path.trim_end_matches('.'),
                    format!("must be an object, found {}", kind_of(other)),
                );
                None
            }
        }
    }

    fn object<'v>(
        &mut self,
        owner: &'v Map<String, Value>,
        prefix: &str,
        key: &str,
        required: bool,
    ) -> Option<&'v Map<String, Value>> {
        match owner.get(key) {
            Some(Value::Object(map)) => Some(map),
            None | Some(Value::Null) if !required => None,
            None | Some(Value::Null) => {
                self.report(Code::Missing, &format!("{prefix}{key}"), "is required but missing");
                None
            }
            Some(other) => {
                self.report(
                    Code::WrongType,
                    &format!("{prefix}{key}"),
                    format!("must be an object, found {}", kind_of(other)),
                );
                None
            }
        }
    }

    fn list<'v>(&mut self, owner: &'v Map<String, Value>, prefix: &str, key: &str, most: usize) -> &'v [Value] {
        match owner.get(key) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => {
                if items.len() > most {
                    self.report(
                        Code::TooMany,
                        &format!("{prefix}{key}"),
                        format!("has {} entries; at most {most} are allowed", items.len()),
                    );
                }
                items
            }
            Some(other) => {
                self.report(
                    Code::WrongType,
                    &format!("{prefix}{key}"),
                    format!("must be a list, found {}", kind_of(other)),
                );
                &[]
            }
        }
    }

    fn text(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str, longest: usize, required: bool) {
        let path = format!("{prefix}{key}");
        match owner.get(key) {
            None | Some(Value::Null) if !required => {}
            None | Some(Value::Null) => self.report(Code::Missing, &path, "is required but missing"),
            Some(Value::String(text)) if text.is_empty() && required => {
                self.report(Code::Length, &path, "must not be empty")
            }
            Some(Value::String(text)) if text.chars().count() > longest => {
                self.report(
                    Code::Length,
                    &path,
                    format!("has {} characters, at most {longest} are allowed", text.chars().count()),
                );
            }
            Some(Value::String(_)) => {}
            Some(other) => self.report(Code::WrongType, &path, format!("must be a string, found {}", kind_of(other))),
        }
    }

    fn i18n(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str, required: bool) {
        let Some(texts) = self.object(owner, prefix, key, required) else { return };
        match texts.get("en_US") {
            Some(Value::String(text)) if !text.is_empty() && text.chars().count() < 1024 => {}
            found => {
                let code = if required { Code::English } else { Code::OptionalEnglish };
                let message = format!("must be a string of 1 to 1023 characters, found {}", show(found));
                self.report(code, &format!("{prefix}{key}.en_US"), message);
            }
        }
        for language in ["zh_Hans", "ja_JP", "pt_BR"] {
            if let Some(text) = texts.get(language).and_then(Value::as_str)
                && text.chars().count() >= 1024
            {
                self.report(Code::Length, &format!("{prefix}{key}.{language}"), "must be shorter than 1024 characters");
            }
        }
    }

    /// Checks a boolean. YAML before 1.2 also has yes, no, on and off, which the daemon accepts.
    fn flag(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str) {
        match owner.get(key) {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(Value::String(text)) if as_flag(text).is_some() => {}
            Some(other) => {
                self.report(Code::WrongType, &format!("{prefix}{key}"), format!("must be true or false, found {other}"))
            }
        }
    }

    /// Warns about a member that an older Dify ignores: the package works there with fewer features.
    fn used_from(&mut self, field: &str, path: &str) {
        if let Some(why) = self.minimum.ignores(field) {
            self.report(Code::OldDifyIgnores, path, why);
        }
    }

    fn one_of(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str, kind: Kind, required: bool) {
        let path = format!("{prefix}{key}");
        match owner.get(key) {
            None | Some(Value::Null) if !required => {}
            None | Some(Value::Null) => {
                self.report(Code::Missing, &path, format!("is required but missing; expected one of {}", listed(kind)))
            }
            Some(value) => self.name(value, &path, kind),
        }
    }

    /// Checks an array of names.
    fn names(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str, kind: Kind, most: usize) {
        for (index, name) in self.list(owner, prefix, key, most).iter().enumerate() {
            self.name(name, &format!("{prefix}{key}[{index}]"), kind);
        }
    }

    /// Checks a name of a closed set, which the Dify version of the package must know.
    fn name(&mut self, value: &Value, path: &str, kind: Kind) {
        match value.as_str().filter(|name| versions::since(kind, name).is_some()) {
            Some(name) => self.readable(name, path, kind),
            None => {
                self.report(Code::NotAllowed, path, format!("must be one of {}, found {value}", listed(kind)));
                self.allow(versions::names(kind));
            }
        }
    }

    fn readable(&mut self, name: &str, path: &str, kind: Kind) {
        if let Some(why) = self.minimum.refuses(kind, name) {
            self.report(Code::OldDify, path, why);
        }
    }

    fn minimum_dify_version(&mut self, owner: &Map<String, Value>, prefix: &str) {
        let path = format!("{prefix}minimum_dify_version");
        let Some(value) = owner.get("minimum_dify_version").filter(|value| !value.is_null()) else { return };
        match value.as_str().map(str::parse::<DifyVersion>) {
            Some(Ok(version)) if version < DifyVersion::OLDEST => self.report(
                Code::TooOld,
                &path,
                format!("{version} runs no plugins; the first that does is {}", DifyVersion::OLDEST),
            ),
            Some(Ok(_)) => {}
            _ => self.report(
                Code::Version,
                &path,
                format!("must be a version of Dify like 1.3.0, as text, found {value}"),
            ),
        }
    }

    fn identifier(&mut self, owner: &Map<String, Value>, key: &str, longest: usize) {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        match owner.get(key) {
            Some(Value::String(text)) if !text.is_empty() && text.len() <= longest && text.bytes().all(legal) => {}
            found => self.report(
                Code::Identifier,
                key,
                format!("must consist of 1 to {longest} characters from a-z, 0-9, `_` and `-`; found {}", show(found)),
            ),
        }
    }

    /// Checks a version: `1.2.3`, each part up to four digits, with a suffix of Python's version rules.
    fn version(&mut self, owner: &Map<String, Value>, prefix: &str, key: &str) {
        let legal = owner.get(key).and_then(Value::as_str).is_some_and(|text| {
            let (numbers, suffix) =
                text.split_once('-').map_or((text, None), |(numbers, suffix)| (numbers, Some(suffix)));
            let parts: Vec<&str> = numbers.split('.').collect();
            let number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let word = |suffix: &str| {
                (1..=16).contains(&suffix.len())
                    && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            parts.len() == 3 && parts.iter().all(number) && suffix.is_none_or(word)
        });
        if !legal {
            self.report(
                Code::Version,
                &format!("{prefix}{key}"),
                format!("must be a version such as 1.2.3, found {}", show(owner.get(key))),
            );
        }
    }

    fn created_at(&mut self, value: Option<&Value>) {
        // Unquoted YAML timestamps arrive as strings; a bare date is valid only unquoted, which cannot be detected
        // here.
        let legal = value.and_then(Value::as_str).is_some_and(|text| {
            text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::Date>().is_ok() && !text.contains('T')
        });
        if !legal {
            self.report(
                Code::Timestamp,
                "created_at",
                format!("must be a timestamp with a time zone, such as 2026-01-31T00:00:00Z, found {}", show(value)),
            );
        }
    }
}

/// Booleans of the daemon in addition to those of YAML 1.2.
pub(super) fn as_flag(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "on" => Some(true),
        "n" | "N" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn listed(kind: Kind) -> String {
    versions::names(kind).collect::<Vec<_>>().join(", ")
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}
