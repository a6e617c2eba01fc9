//! The interface of wire dialects whose providers are configuration: facts in YAML, and no code for each provider. What it is
//! not: the facts themselves and what they mean, which only the dialect knows.

use std::sync::Arc;

use serde_json::Value;

use super::Provider;
use crate::declare::{ModelSchema, ProviderDeclaration, Severity};
use crate::protocol::ModelType;

/// A wire dialect whose providers are configuration. A declaration without code that has the dialect's facts gets its provider
/// from [`Self::provider`].
///
/// The facts are a block in the provider's YAML file under [`Self::key`], or a file of their own beside it,
/// `provider/NAME.KEY.yaml` next to `provider/NAME.yaml`. With both, the file is used.
pub trait Dialect: Send + Sync + 'static {
    /// Key of the block, and the middle of the file's name: `openai`.
    fn key(&self) -> &'static str;

    /// Makes the provider of a declaration, or names all that is wrong with its facts. No network and no files: it is called by
    /// `check` too.
    fn provider(&self, declared: &DeclaredProvider<'_>) -> Result<Served, Vec<FactProblem>>;

    /// The JSON Schema of the facts, from which the table of keys is made.
    fn schema(&self) -> Value {
        Value::Null
    }

    /// The JSON Schema of the block as it is written, for editors.
    fn editor_schema(&self) -> Value {
        self.schema()
    }

    /// Plugins that others publish, each with the facts that let this dialect serve its declarations unchanged, or the reason
    /// why it cannot.
    fn known(&self) -> &'static [KnownPlugin] {
        &[]
    }
}

/// A provider's declaration, and the facts about it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DeclaredProvider<'a> {
    /// The declaration.
    pub declaration: &'a ProviderDeclaration,
    /// Its models in Dify's display order. A model's own block is in [`ModelSchema::extra`].
    pub models: &'a [ModelSchema],
    /// The facts, shared blocks expanded.
    pub facts: &'a Value,
}

impl<'a> DeclaredProvider<'a> {
    /// Joins a declaration with facts about it.
    pub fn new(declaration: &'a ProviderDeclaration, models: &'a [ModelSchema], facts: &'a Value) -> Self {
        Self { declaration, models, facts }
    }
}

/// A provider that a dialect serves.
#[non_exhaustive]
pub struct Served {
    /// Its code.
    pub provider: Arc<dyn Provider>,
    /// What of the declaration is not served.
    pub left_out: Vec<LeftOut>,
    /// What is odd about the facts, but is no error.
    pub warnings: Vec<FactProblem>,
}

impl Served {
    /// A provider that serves its whole declaration.
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Self { provider, left_out: Vec::new(), warnings: Vec::new() }
    }

    /// Names what is not served.
    #[must_use]
    pub fn left_out(mut self, left_out: Vec<LeftOut>) -> Self {
        self.left_out = left_out;
        self
    }

    /// Adds warnings.
    #[must_use]
    pub fn warnings(mut self, warnings: Vec<FactProblem>) -> Self {
        self.warnings = warnings;
        self
    }
}

/// A part of a declaration that the facts leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The model type.
    pub model_type: ModelType,
    /// A declared model; `None` is the whole type, its customizable models included.
    pub model: Option<String>,
    /// Why it is not served.
    pub reason: String,
}

impl LeftOut {
    /// A model type that is not served.
    pub fn of_type(model_type: ModelType, reason: impl Into<String>) -> Self {
        Self { model_type, model: None, reason: reason.into() }
    }

    /// A declared model that is not served.
    pub fn of_model(model_type: ModelType, model: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { model_type, model: Some(model.into()), reason: reason.into() }
    }
}

/// Something that is wrong with facts. The library adds the file and the line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactProblem {
    /// An error stops the start of the plugin; a warning does not.
    pub severity: Severity,
    /// The place in the facts, as `chat.parameters.thinking.as` or `models.deepseek-*.chat`; empty for all of them.
    pub path: String,
    /// What was found, and what is expected.
    pub message: String,
    /// The model whose own block it is in; `None` for the provider's facts.
    pub model: Option<(ModelType, String)>,
}

impl FactProblem {
    /// An error in the provider's facts.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.into(), message: message.into(), model: None }
    }

    /// A warning about the provider's facts.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// Moves the problem to the block of a model.
    #[must_use]
    pub fn of_model(mut self, model: &ModelSchema) -> Self {
        self.model = Some((model.model_type, model.model.clone()));
        self
    }
}

/// A plugin that others publish, as `--from` looks it up.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KnownPlugin {
    /// The plugin's name in its manifest.
    pub plugin: &'static str,
    /// The `provider` of its declaration.
    pub provider: &'static str,
    /// Its displayed name; empty if it is that of the plugin.
    pub title: &'static str,
    /// Its models in words, as `llm 3, tts 1`; empty if they are unknown.
    pub models: &'static str,
    /// The facts as YAML, or the reason why the dialect cannot serve it.
    pub facts: Result<&'static str, &'static str>,
}

impl KnownPlugin {
    /// A plugin that the dialect serves with these facts.
    pub const fn served(plugin: &'static str, provider: &'static str, facts: &'static str) -> Self {
        Self { plugin, provider, title: "", models: "", facts: Ok(facts) }
    }

    /// A plugin that the dialect cannot serve.
    pub const fn unserved(plugin: &'static str, provider: &'static str, reason: &'static str) -> Self {
        Self { plugin, provider, title: "", models: "", facts: Err(reason) }
    }

    /// Adds what lists show: its displayed name, and its models in words.
    #[must_use]
    pub const fn about(self, title: &'static str, models: &'static str) -> Self {
        Self { title, models, ..self }
    }
}
