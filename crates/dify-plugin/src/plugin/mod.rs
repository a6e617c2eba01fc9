//! What an author writes a plugin with: traits for each kind of plugin, what their hooks get and what they return. A
//! [`Plugin`] collects the code; what it declares to Dify is in the YAML files of its package.
//!
//! It knows neither transports nor sessions: those call it. Models have a trait of their own.
//!
//! # Parameters
//!
//! A tool, an agent strategy, a datasource or an event reads its parameters as a struct, which describes them to Dify, too:
//! `check` compares the YAML with it, and `declare` writes what is missing in the YAML. The code decides names, types, what is
//! required, options and ranges; texts and translations belong to the YAML.
//!
//! ```
//! use dify_plugin::prelude::*;
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// The weather of the next days.
//! #[derive(Deserialize, JsonSchema)]
//! struct Parameters {
//!     /// A city.
//!     place: String,
//!     /// How many days.
//!     #[schemars(range(min = 1, max = 7))]
//!     days: Option<u8>,
//!     #[serde(default)]
//!     unit: Unit,
//!     /// A language model that words the forecast.
//!     #[schemars(extend("x-dify-form" = "form", "x-dify-scope" = "llm"))]
//!     model: Option<ModelSelector>,
//! }
//!
//! #[derive(Default, Deserialize, JsonSchema)]
//! #[serde(rename_all = "snake_case")]
//! enum Unit {
//!     /// Degrees Celsius
//!     #[default]
//!     Metric,
//!     /// Degrees Fahrenheit
//!     Imperial,
//! }
//! ```
//!
//! | Rust | Parameter type of Dify |
//! |---|---|
//! | `String` | `string`; the YAML may also declare `secret-input`, `select`, `dynamic-select` |
//! | integers, floats | `number`, with `min` and `max` of `#[schemars(range(…))]` |
//! | `bool` | `boolean` |
//! | enum of unit variants, `Vec` of it | `select` with an option for each; with `multiple` |
//! | [`Secret`] | `secret-input` |
//! | [`File`], `Vec<File>` | `file`, `files` |
//! | [`ModelSelector`], [`AppSelector`] | `model-selector`, `app-selector` |
//! | `Vec<`[`SelectedTool`]`>` | `array[tools]`, of agent strategies |
//! | [`DynamicSelect`], `Vec` of it | `dynamic-select`; with `multiple` |
//! | [`Date`], [`DateRange`] | `date`, `date-range`; `string` and `object` where Dify does not have them |
//! | `Vec<T>` | `array`; of agent strategies `any` |
//! | struct, [`Map`](serde_json::Map) | `object`; of agent strategies `any` |
//! | [`serde_json::Value`] | `any`; the YAML may declare any type |
//!
//! | Attribute | Declaration |
//! |---|---|
//! | `Option`, `#[serde(default)]` | `required: false`; the value of the latter is the `default` of a new parameter |
//! | doc comment | description of a new parameter; label of a new option |
//! | doc comment of the struct | description of a new tool, strategy, datasource or event |
//! | `#[schemars(extend("x-dify-type" = "…"))]` | this type |
//! | `… "x-dify-form" = "llm"`, `"form"` or `"schema"` | `form`, of tools; `llm` for a new parameter without it |
//! | `… "x-dify-scope" = "…"`, `"x-dify-precision" = 2` | `scope`, `precision` |
//! | `… "x-dify-label" = "…"`, `"x-dify-llm-description" = "…"` | texts of a new parameter |
//!
//! A struct without fields has no parameters. A `Map` as the whole type takes everything and is not compared; so do fields
//! with `#[serde(flatten)]` that are maps.

pub mod agent;
mod blob;
mod call;
mod cast;
mod datasource;
mod declared;
pub mod dify;
mod endpoint;
mod erased;
mod messages;
mod oauth;
pub(crate) mod outgoing;
mod parameters;
mod renewals;
mod tool;
mod trigger;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::declare::permission::{Permission, Permissions};
use crate::declare::{Manifest, Problem};
use crate::model::Provider;

pub use agent::{AgentMessages, AgentStrategies, AgentStrategy, Span, SpanBuilder};
pub use blob::BlobMeta;
pub use call::Call;
pub use datasource::{
    Crawl, DatasourceProvider, Datasources, Download, OnlineDocument, OnlineDrive, PageContent, WebsiteCrawl,
};
pub use dify::{Dify, DifyError};
pub use endpoint::{Body, Endpoint};
pub use messages::{Messages, VariableWriter};
pub use oauth::{OAuth, RefreshRequest};
pub use tool::{Tool, ToolProvider, Tools};
pub use trigger::{Dispatch, Event, EventOutcome, Events, Incoming, TriggerProvider};
pub use values::{
    AppSelector, Date, DateRange, DynamicSelect, File, FileKind, ModelSelector, Secret, SelectedTool, ToolDescription,
    ToolIdentity,
};

pub(crate) use cast::{cast as cast_parameters, cast_leniently as cast_parameters_leniently};
pub(crate) use erased::{
    Contents, ErasedDatasourceProvider, ErasedEndpoint, ErasedOAuth, ErasedToolProvider, ErasedTriggerProvider,
};
pub(crate) use parameters::read as read_parameters;

pub use crate::error::InvokeError as PluginError;
pub use crate::protocol::access::CredentialType;
pub use crate::protocol::agent::AgentUsage;
pub use crate::protocol::credentials::Credentials;
pub use crate::protocol::datasource::{
    Browse, CrawledPage, DocumentPage, DriveFile, DriveFileKind, DriveFileRef, DriveListing, PageRef, Workspace,
};
pub use crate::protocol::oauth::OAuthCredentials;
pub use crate::protocol::options::Choice;
pub use crate::protocol::tool_message::Message;
pub use crate::protocol::trigger::Subscription;

/// The crate that a type is from, as events of its code name it.
fn crate_of<T>() -> Option<&'static str> {
    let name = std::any::type_name::<T>().split("::").next()?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// The code of a plugin: which value serves which declared provider. A package contains tools and endpoints together, or
/// one other kind alone, and one provider of each kind.
#[derive(Clone, Default)]
pub struct Plugin {
    tool: Option<Arc<dyn ErasedToolProvider>>,
    endpoint: Option<Arc<dyn ErasedEndpoint>>,
    agent: Option<Arc<AgentStrategies>>,
    datasource: Option<Arc<dyn ErasedDatasourceProvider>>,
    trigger: Option<Arc<dyn ErasedTriggerProvider>>,
    oauth: Option<Arc<dyn ErasedOAuth>>,
    models: Vec<Arc<dyn Provider>>,
    needs: Vec<Permission>,
    /// The crates that the code is from, for the levels of logs.
    crates: BTreeSet<&'static str>,
}

impl Plugin {
    /// A plugin without code.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the tools of a provider.
    #[must_use]
    pub fn tool_provider<P: ToolProvider>(mut self, provider: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.tool = Some(Arc::new(erased::OfTools::new(provider)));
        self
    }

    /// Serves the HTTP requests of all endpoints.
    #[must_use]
    pub fn endpoint<P: Endpoint>(mut self, endpoint: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.endpoint = Some(Arc::new(endpoint));
        self
    }

    /// Serves agent strategies.
    #[must_use]
    pub fn agent_strategies(mut self, strategies: AgentStrategies) -> Self {
        self.crates.extend(strategies.crates());
        self.agent = Some(Arc::new(strategies));
        self
    }

    /// Serves the datasources of a provider.
    #[must_use]
    pub fn datasource_provider<P: DatasourceProvider>(mut self, provider: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.datasource = Some(Arc::new(erased::OfDatasources::new(provider)));
        self
    }

    /// Serves the subscriptions and events of a provider.
    #[must_use]
    pub fn trigger_provider<P: TriggerProvider>(mut self, provider: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.trigger = Some(Arc::new(erased::OfTriggers::new(provider)));
        self
    }

    /// Serves the OAuth authorization of the tool, datasource or trigger provider.
    #[must_use]
    pub fn oauth<P: OAuth>(mut self, oauth: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.oauth = Some(Arc::new(renewals::Remembering::new(oauth)));
        self
    }

    /// Serves the models of a provider. A package contains one; `package` writes one package per provider.
    ///
    /// ```
    /// use dify_plugin::model::Provider;
    /// use dify_plugin::prelude::*;
    ///
    /// struct Small;
    ///
    /// impl Provider for Small {
    ///     fn name(&self) -> &'static str {
    ///         "small"
    ///     }
    /// }
    ///
    /// let plugin = Plugin::new().model_provider(Small);
    /// ```
    #[must_use]
    pub fn model_provider<P: Provider + 'static>(mut self, provider: P) -> Self {
        self.crates.extend(crate_of::<P>());
        self.models.push(Arc::new(provider));
        self
    }

    /// The crates that the code is from.
    pub(crate) fn crates(&self) -> Vec<&'static str> {
        self.crates.iter().copied().collect()
    }

    /// Names a permission that the plugin's calls back into Dify need, so that `check` compares it with the manifest.
    ///
    /// ```
    /// use dify_plugin::declare::permission::Permission;
    /// use dify_plugin::plugin::Plugin;
    ///
    /// let plugin = Plugin::new().needs(Permission::Llm).needs(Permission::Storage);
    /// ```
    #[must_use]
    pub fn needs(mut self, permission: Permission) -> Self {
        self.needs.push(permission);
        self
    }

    /// What differs between the permissions that the plugin needs and those that its manifest requests: a missing one is an
    /// error, a superfluous one a warning. A plugin that names none is not compared.
    pub fn check_permissions(&self, manifest: &Manifest) -> Vec<Problem> {
        dify::permission::compare(&self.needs, &Permissions::of_manifest(manifest))
    }

    pub(crate) fn tools(&self) -> Option<&Arc<dyn ErasedToolProvider>> {
        self.tool.as_ref()
    }

    pub(crate) fn endpoints(&self) -> Option<&Arc<dyn ErasedEndpoint>> {
        self.endpoint.as_ref()
    }

    pub(crate) fn agents(&self) -> Option<&Arc<AgentStrategies>> {
        self.agent.as_ref()
    }

    pub(crate) fn datasources(&self) -> Option<&Arc<dyn ErasedDatasourceProvider>> {
        self.datasource.as_ref()
    }

    pub(crate) fn triggers(&self) -> Option<&Arc<dyn ErasedTriggerProvider>> {
        self.trigger.as_ref()
    }

    pub(crate) fn models(&self) -> &[Arc<dyn Provider>] {
        &self.models
    }

    pub(crate) fn authorization(&self) -> Option<&Arc<dyn ErasedOAuth>> {
        self.oauth.as_ref()
    }
}

/// A name without what may precede it: `author/plugin/name` is `name`.
pub(crate) fn short_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What a hook without code of its own answers.
fn no_code<T: Send>(what: &str) -> impl Future<Output = Result<T, PluginError>> + Send + use<T> {
    std::future::ready(Err(PluginError::unsupported(format!("the plugin has no code for {what}"))))
}
