//! Agent strategies: messages as a tool has them, and a log of what the agent does. What a run used is returned, so that
//! it is sent exactly once, as the last message.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::erased::ErasedStrategy;
use super::outgoing::Outbox;
use super::{Call, Messages, PluginError, crate_of};
use crate::protocol::agent::AgentUsage;
use crate::protocol::tool_message::{Content, Log, LogStatus, Message, RetrieverResources};

/// One strategy.
///
/// ```
/// use dify_plugin::plugin::ModelSelector;
/// use dify_plugin::prelude::*;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Serves `strategies/answer.yaml`: asks the model once.
/// struct Answer;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Parameters {
///     model: ModelSelector,
///     query: String,
/// }
///
/// impl AgentStrategy for Answer {
///     const NAME: &'static str = "answer";
///     type Parameters = Parameters;
///
///     async fn run(&self, call: Call, asked: Parameters, out: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
///         let round = out.log("ROUND 1").start().await?;
///         let mut chunks = call.dify.llm(&asked.model).user(asked.query).stream().await?;
///         while let Some(chunk) = chunks.next().await {
///             out.text(chunk?.text()).await?;
///         }
///         round.finish(()).await?;
///         Ok(AgentUsage::default())
///     }
/// }
/// ```
pub trait AgentStrategy: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// Its parameters, by name.
    type Parameters: DeserializeOwned + JsonSchema + Send + 'static;

    /// Does the work, and returns what it used.
    fn run(
        &self,
        call: Call,
        parameters: Self::Parameters,
        out: &mut AgentMessages,
    ) -> impl Future<Output = Result<AgentUsage, PluginError>> + Send;
}

/// The strategies of a provider.
#[derive(Clone)]
pub struct AgentStrategies {
    name: String,
    strategies: Vec<Arc<dyn ErasedStrategy>>,
    /// The crates that they are from.
    crates: BTreeSet<&'static str>,
}

impl AgentStrategies {
    /// An empty list; `name` is `identity.name` of the provider's declaration.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), strategies: Vec::new(), crates: BTreeSet::new() }
    }

    /// Adds a strategy.
    #[must_use]
    pub fn strategy<S: AgentStrategy>(mut self, strategy: S) -> Self {
        self.crates.extend(crate_of::<S>());
        self.strategies.push(Arc::new(strategy));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn crates(&self) -> &BTreeSet<&'static str> {
        &self.crates
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn ErasedStrategy>> {
        self.strategies.iter().find(|strategy| strategy.name() == name)
    }

    pub(crate) fn all(&self) -> &[Arc<dyn ErasedStrategy>] {
        &self.strategies
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.strategies.iter().map(|strategy| strategy.name()).collect()
    }
}

/// Sends the messages of one run: those of a tool, and a log.
pub struct AgentMessages(Messages);

impl Deref for AgentMessages {
    type Target = Messages;

    fn deref(&self) -> &Messages {
        &self.0
    }
}

impl DerefMut for AgentMessages {
    fn deref_mut(&mut self) -> &mut Messages {
        &mut self.0
    }
}

impl AgentMessages {
    pub(crate) fn new(messages: Messages) -> Self {
        Self(messages.of_agent())
    }

    /// Begins an entry of the log, such as `ROUND 1`.
    pub fn log(&self, label: impl Into<String>) -> SpanBuilder {
        SpanBuilder::new(self.0.outbox().clone(), None, label.into())
    }

    /// Sends citations. Dify 1.14 shows them nowhere: put what matters into the text too.
    pub async fn citations(
        &mut self,
        resources: Vec<Map<String, Value>>,
        context: impl Into<String>,
    ) -> Result<(), PluginError> {
        let resources = RetrieverResources { retriever_resources: resources, context: context.into() };
        self.0.outbox().item(&Message::new(Content::RetrieverResources(resources))).await
    }
}

/// An entry of the log before it is sent.
pub struct SpanBuilder {
    outbox: Outbox,
    entry: Log,
}

impl SpanBuilder {
    fn new(outbox: Outbox, parent_id: Option<String>, label: String) -> Self {
        let entry = Log {
            id: uuid::Uuid::new_v4().to_string(),
            label,
            parent_id,
            error: None,
            status: LogStatus::Start,
            data: Map::new(),
            metadata: Map::new(),
        };
        Self { outbox, entry }
    }

    /// Adds details.
    #[must_use]
    pub fn data(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.entry.data, name, value);
        self
    }

    /// Adds one of the members that Dify understands: `provider`, `total_tokens`, `total_price`, `currency`.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: impl Serialize) -> Self {
        insert(&mut self.entry.metadata, name, value);
        self
    }

    /// Sends the entry. It is sent once more when it is finished.
    pub async fn start(mut self) -> Result<Span, PluginError> {
        insert(&mut self.entry.metadata, "started_at", unix_seconds());
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await?;
        Ok(Span { outbox: self.outbox, entry: self.entry, started: Instant::now(), is_open: true })
    }
}

/// An entry of the log whose work goes on. One that is dropped unfinished is shown as failed.
pub struct Span {
    outbox: Outbox,
    entry: Log,
    started: Instant,
    is_open: bool,
}

impl Span {
    /// Begins an entry below this one.
    pub fn child(&self, label: impl Into<String>) -> SpanBuilder {
        SpanBuilder::new(self.outbox.clone(), Some(self.entry.id.clone()), label.into())
    }

    /// Adds one of the members that Dify understands, to be sent with the end.
    pub fn set_metadata(&mut self, name: &str, value: impl Serialize) {
        insert(&mut self.entry.metadata, name, value);
    }

    /// The work is done; `data` is shown.
    pub async fn finish(mut self, data: impl Serialize) -> Result<(), PluginError> {
        if let Ok(Value::Object(data)) = serde_json::to_value(data) {
            self.entry.data = data;
        }
        self.close(LogStatus::Success, None);
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await
    }

    /// The work failed.
    pub async fn fail(mut self, error: impl std::fmt::Display) -> Result<(), PluginError> {
        self.close(LogStatus::Error, Some(error.to_string()));
        self.outbox.item(&Message::new(Content::Log(self.entry.clone()))).await
    }

    fn close(&mut self, status: LogStatus, error: Option<String>) {
        self.is_open = false;
        self.entry.status = status;
        self.entry.error = error;
        insert(&mut self.entry.metadata, "finished_at", unix_seconds());
        insert(&mut self.entry.metadata, "elapsed_time", self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_open {
            self.close(LogStatus::Error, Some("given up".to_owned()));
            self.outbox.item_now(&Message::new(Content::Log(self.entry.clone())));
        }
    }
}

fn insert(members: &mut Map<String, Value>, name: &str, value: impl Serialize) {
    if let Ok(value) = serde_json::to_value(value) {
        members.insert(name.to_owned(), value);
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
