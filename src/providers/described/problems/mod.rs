//! What is wrong with facts although each value is valid: names that no form has, addresses that are none, patterns that
//! match nothing, combinations that cannot work. What it is not: unknown keys and types, which are found when the facts are
//! read.

mod chat;
mod names;

use serde_json::{Map, Value};
use url::Url;

use super::connection::WHOLE_PATH;
use super::custom_schema::{is_well_known, read_rule};
use super::facts::{Auth, AuthPlace, BaseUrl, Facts, Validate, WireName};
use super::merge::{is_exact, matches};
use super::template::{MODEL, Template};
use dify_plugin::declare::provider::ConfigurateMethod;
use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::model::FactProblem;
use dify_plugin::names::similar;
use dify_plugin::protocol::ModelType;

/// Fields of forms of other versions, and of this package's own forms, which stored credentials may hold.
const STORED: [&str; 12] = [
    "endpoint_url",
    "extra_headers",
    "openai_api_key",
    "openai_api_base",
    "stream_mode_delimiter",
    "request_timeout",
    "max_retries",
    "proxy_url",
    "tls_ca",
    "compatibility_mode",
    "token_param_name",
    "api_key",
];

/// The declaration that facts are about.
#[derive(Clone, Copy)]
pub struct Declared<'d> {
    /// The declaration.
    pub declaration: &'d ProviderDeclaration,
    /// Its models.
    pub models: &'d [ModelSchema],
}

impl Declared<'_> {
    fn fields(&self) -> impl Iterator<Item = &str> {
        let settings = self.declaration.settings();
        self.declaration.credential_fields().map(|field| field.variable.as_str()).chain(settings)
    }

    fn has_field(&self, name: &str) -> bool {
        self.fields().any(|field| field == name)
    }

    fn has(&self, method: ConfigurateMethod) -> bool {
        self.declaration.configurate_methods.contains(&method)
    }
}

/// Finds everything that is wrong with a provider's facts.
pub fn problems(facts: &Facts, declared: Declared<'_>) -> Vec<FactProblem> {
    let mut found = Found { problems: Vec::new(), facts, declared };
    found.provider();
    found.base_url();
    found.auth("auth", &facts.auth.resolve("auth", &|_: &str| None).unwrap_or_default());
    found.names("", facts);
    found.chat("", facts);
    found.paths();
    found.models();
    found.validate();
    found.custom();
    found.left_out();
    found.problems
}

/// Finds what is wrong with the names in a model's own block.
pub fn block_problems(block: &Map<String, Value>, facts: &Facts, declared: Declared<'_>) -> Vec<FactProblem> {
    let mut found = Found { problems: Vec::new(), facts, declared };
    found.block("", block);
    found.problems
}

struct Found<'f> {
    problems: Vec<FactProblem>,
    facts: &'f Facts,
    declared: Declared<'f>,
}

impl Found<'_> {
    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(FactProblem::error(path, message));
    }

    fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(FactProblem::warning(path, message));
    }

    /// Checks that a name is a field of a form, or one that stored credentials may hold.
    fn field(&mut self, path: &str, name: &str) {
        let custom = self.facts.custom.resolve("custom", &|_: &str| None).unwrap_or_default();
        let is_known = name == MODEL
            || self.declared.has_field(name)
            || custom.defaults.contains_key(name)
            || custom.fixed.contains_key(name)
            || self.facts.former_fields.iter().any(|(old, new)| old == name || new == name)
            || STORED.contains(&name)
            || is_well_known(name);
        if !is_known {
            let meant = similar(name, self.declared.fields()).map(|meant| format!("; did you mean `{meant}`?"));
            let meant = meant.unwrap_or_default();
            self.error(path, format!("names `{name}`, which is no credential of a form of this provider{meant}"));
        }
    }

    fn template(&mut self, path: &str, template: &Template) {
        for name in template.names() {
            self.field(path, name);
        }
    }

    fn provider(&mut self) {
        let name = &self.declared.declaration.provider;
        if let Some(provider) = self.facts.provider.clone().filter(|provider| provider != name) {
            self.error("provider", format!("is `{provider}`, but these facts are used for the provider `{name}`"));
        }
        for (old, new) in self.facts.former_fields.clone() {
            if old == new {
                self.error(format!("former_fields.{old}"), "is the name itself");
            }
        }
    }

    fn base_url(&mut self) {
        let facts = self.facts;
        if facts.base_url.is_none() {
            self.error("base_url", "is missing; it is the root of the API, as https://api.example.com/v1");
        }
        for (index, tail) in facts.base_strip.iter().enumerate() {
            if tail.trim_matches('/').is_empty() || (tail.contains('*') && tail != WHOLE_PATH) {
                self.error(
                    format!("base_strip.{index}"),
                    "must be the end of a path, as `v1`, or `*` for the whole path",
                );
            }
        }
        if facts
            .base_suffix
            .as_deref()
            .is_some_and(|suffix| suffix.trim_matches('/').is_empty() || suffix.contains("://"))
        {
            self.error("base_suffix", "must be the end of a path, as `v1`");
        }
        for (index, address) in facts.base_try.iter().enumerate() {
            if let Some(what) = not_a_url(address) {
                self.error(format!("base_try.{index}"), format!("`{address}` {what}"));
            }
        }
        if facts.base_try.is_empty() {
            return;
        }
        match &facts.base_url {
            Some(BaseUrl::Template(template)) if template.names().is_empty() => self.error(
                "base_try",
                "cannot be used with a fixed `base_url`: name the credential in which the address is stored, as \
                 `{endpoint_url|https://api.example.com/v1}`",
            ),
            Some(BaseUrl::Choice(_)) => {
                self.error("base_try", "cannot be used with a choice of `base_url`: the credential already decides");
            }
            _ => {}
        }
        if facts.validate == Validate::None {
            self.error("base_try", "needs a validation: `validate` is `none`");
        }
    }

    fn auth(&mut self, path: &str, auth: &Auth) {
        let names: Vec<String> = auth.credential.iter().flat_map(|names| names.0.clone()).collect();
        for name in &names {
            if !self.declared.has_field(name) {
                let fields: Vec<&str> = self.declared.fields().collect();
                let message =
                    format!("names `{name}`, which no form of this provider has; its fields are {}", fields.join(", "));
                self.error(format!("{path}.credential"), message);
            }
        }
        match auth.place {
            AuthPlace::Header | AuthPlace::Query if auth.name.as_deref().is_none_or(|name| name.trim().is_empty()) => {
                self.error(format!("{path}.name"), "is missing: the header or the query parameter needs a name");
            }
            AuthPlace::Header
                if auth.name.as_deref().is_some_and(|name| http::HeaderName::try_from(name.trim()).is_err()) =>
            {
                self.error(format!("{path}.name"), "is not a valid header name");
            }
            AuthPlace::Bearer if auth.name.is_some() => {
                self.error(format!("{path}.name"), "has no use for `in: bearer`; write `in: header` or `in: query`");
            }
            AuthPlace::None if !names.is_empty() || auth.fixed.is_some() => {
                self.error(path, "has a key, but `in: none` sends it nowhere");
            }
            _ => {}
        }
        let has_default = self.declared.has_field(super::connection::DEFAULT_KEY);
        if auth.credential.is_none() && auth.fixed.is_none() && auth.place != AuthPlace::None && !has_default {
            let message = "no form has the field `api_key`: name the credential with the key, or write `in: none`";
            self.warning(path, message);
        }
    }

    fn supports(&self, model_type: ModelType) -> bool {
        self.declared.declaration.supported_model_types.contains(&model_type)
    }

    fn paths(&mut self) {
        let facts = self.facts;
        for (key, _) in facts.paths.given() {
            let path = format!("paths.{key}");
            if let Some(model_type) = type_of(key)
                && !self.supports(model_type)
            {
                let message =
                    format!("is the path of {} models, which the provider does not have", model_type.as_str());
                self.error(&path, message);
            }
        }
        for (key, is_given, model_type) in [
            ("chat", facts.chat.is_given(), ModelType::Llm),
            ("embedding", facts.embedding.is_given(), ModelType::TextEmbedding),
            ("rerank", facts.rerank.is_given(), ModelType::Rerank),
            ("tts", facts.tts.is_given(), ModelType::Tts),
            ("speech2text", facts.speech2text.is_given(), ModelType::Speech2text),
            ("moderation", facts.moderation.is_given(), ModelType::Moderation),
        ] {
            if is_given && !self.supports(model_type) {
                self.warning(key, format!("has no use: the provider has no {} models", model_type.as_str()));
            }
        }
    }

    fn models(&mut self) {
        let facts = self.facts;
        for (pattern, block) in &facts.models.0 {
            let path = format!("models.{pattern}");
            self.block(&path, block);
            let matches_any = self.declared.models.iter().any(|model| matches(pattern, &model.model));
            if matches_any || self.declared.has(ConfigurateMethod::CustomizableModel) {
                continue;
            }
            let what = if is_exact(pattern) { "is no model" } else { "matches no model" };
            let meant = similar(pattern, self.declared.models.iter().map(|model| model.model.as_str()));
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            self.error(path, format!("{what} of this provider{meant}"));
        }
        if let Some(WireName::Map(names)) = &facts.model
            && !self.declared.has(ConfigurateMethod::CustomizableModel)
        {
            for name in names.keys() {
                if !self.declared.models.iter().any(|model| model.model == *name) {
                    self.error(format!("model.{name}"), "is no model of this provider");
                }
            }
        }
    }

    fn validate(&mut self) {
        let facts = self.facts;
        let has_form = self.declared.declaration.provider_credential_schema.is_some();
        let Validate::Call(call) = &facts.validate else {
            if facts.validate == Validate::None && self.declared.has(ConfigurateMethod::PredefinedModel) {
                self.warning("validate", "is `none`: wrong credentials are accepted and fail at the first call");
            }
            return;
        };
        let given: Vec<(&str, Option<ModelType>, &Template)> = [
            ("llm", Some(ModelType::Llm), &call.llm),
            ("text_embedding", Some(ModelType::TextEmbedding), &call.text_embedding),
            ("rerank", Some(ModelType::Rerank), &call.rerank),
            ("tts", Some(ModelType::Tts), &call.tts),
            ("speech2text", Some(ModelType::Speech2text), &call.speech2text),
            ("moderation", Some(ModelType::Moderation), &call.moderation),
            ("get", None, &call.get),
        ]
        .into_iter()
        .filter_map(|(key, kind, template)| Some((key, kind, template.as_ref()?)))
        .collect();
        if given.len() != 1 {
            let message = format!("must name one call, as `llm: MODEL` or `get: PATH`; it names {}", given.len());
            self.error("validate", message);
        }
        if !has_form {
            self.warning("validate", "has no use: the provider has no credential form of its own");
        }
        if call.max_tokens == Some(0) {
            self.error("validate.max_tokens", "must be at least 1");
        }
        for (key, model_type, template) in given {
            let path = format!("validate.{key}");
            self.template(&path, template);
            let Some(model_type) = model_type else { continue };
            if !self.supports(model_type) {
                self.error(&path, format!("calls a {} model, which the provider does not have", model_type.as_str()));
            } else if let Some(name) = template.as_text()
                && self.declared.has(ConfigurateMethod::PredefinedModel)
                && !self.declared.models.iter().any(|model| model.model == name && model.model_type == model_type)
            {
                let message =
                    format!("`{name}` is not among the provider's models; the call is made without its declaration");
                self.warning(&path, message);
            }
        }
    }

    fn custom(&mut self) {
        let facts = self.facts;
        if facts.custom.is_given() && !self.declared.has(ConfigurateMethod::CustomizableModel) {
            self.error(
                "custom",
                "has no use: users cannot add models (`configurate_methods` has no customizable-model)",
            );
        }
        let custom = facts.custom.resolve("custom", &|_: &str| None).unwrap_or_default();
        for (index, rule) in custom.rules.iter().flatten().enumerate() {
            for name in rule.when.keys() {
                self.field(&format!("custom.rules.{index}.when"), name);
            }
            let has_templates = rule.rule.values().any(|value| value.as_str().is_some_and(|text| text.contains('{')));
            if !has_templates && let Err(what) = read_rule(rule.rule.clone()) {
                self.error(format!("custom.rules.{index}"), what);
            }
        }
    }

    fn left_out(&mut self) {
        let facts = self.facts;
        for (field, refused) in &facts.refuse {
            self.field(&format!("refuse.{field}"), field);
            for (value, reason) in refused.iter().filter(|(_, reason)| reason.trim().is_empty()) {
                self.error(format!("refuse.{field}.{value}"), format!("needs a reason{reason}"));
            }
        }
        for (pattern, reason) in &facts.left_out.0 {
            let path = format!("left_out.{pattern}");
            let is_used = type_of(pattern).is_some_and(|model_type| self.supports(model_type))
                || self.declared.models.iter().any(|model| matches(pattern, &model.model));
            if !is_used {
                self.error(&path, "is neither a model type nor a model of this provider");
            }
            if reason.trim().is_empty() {
                self.error(&path, "needs a reason");
            }
        }
    }
}

/// Returns the model type of a key, as `text_embedding` or `text-embedding`.
pub fn type_of(key: &str) -> Option<ModelType> {
    match key {
        "completion" => Some(ModelType::Llm),
        key => ModelType::ALL.into_iter().find(|model_type| model_type.as_str() == key.replace('_', "-")),
    }
}

/// Returns why a text is no base URL.
fn not_a_url(text: &str) -> Option<String> {
    match Url::parse(text.trim()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Some("must start with https:// or http://".to_owned()),
        Ok(url) if !url.has_host() => Some("has no host".to_owned()),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some("must not contain a user".to_owned()),
        Ok(_) => None,
        Err(error) => Some(format!("is not a URL: {error}")),
    }
}
