//! Agent strategies: messages as a tool has them, and a log of what the agent does. What a run used is returned, so that
//! it is sent exactly once, as the last message.
//!
//! What every strategy does is here, too: it calls the model that the user selected ([`Model`]), offers and calls the tools
//! that the user selected ([`ToolSet`]), and logs both in rounds ([`Round`]). When it stops, and what the model is asked, is
//! the strategy's own.

mod log;
mod model;
mod observation;
mod round;
mod tool_set;

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use log::{Span, SpanBuilder};
pub use model::Model;
pub use round::Round;
pub use tool_set::{ToolResult, ToolSet};

use super::erased::ErasedStrategy;
use super::{Call, Messages, PluginError, crate_of};
use crate::protocol::agent::AgentUsage;
use crate::protocol::tool_message::{Content, Message, RetrieverResources};

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

#[cfg(test)]
mod tests;
