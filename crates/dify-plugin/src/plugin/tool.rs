//! Tools: what an author writes, and the list of them that a provider offers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::erased::ErasedTool;
use super::{Call, Messages, PluginError, no_code};
use crate::protocol::options::Choice;

/// One tool.
///
/// ```
/// use dify_plugin::prelude::*;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Serves `tools/shout.yaml`.
/// struct Shout;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Parameters {
///     /// The text to shout.
///     text: String,
/// }
///
/// impl Tool for Shout {
///     const NAME: &'static str = "shout";
///     type Parameters = Parameters;
///
///     async fn invoke(&self, _: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
///         out.text(parameters.text.to_uppercase()).await?;
///         out.variable("length", parameters.text.len()).await
///     }
/// }
/// ```
pub trait Tool: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// Its parameters, by name. What the user did not fill in is absent.
    type Parameters: DeserializeOwned + JsonSchema + Send + 'static;

    /// Does the work.
    fn invoke(
        &self,
        call: Call,
        parameters: Self::Parameters,
        out: &mut Messages,
    ) -> impl Future<Output = Result<(), PluginError>> + Send;

    /// The choices of a parameter of type `dynamic-select`.
    fn options(&self, call: Call, parameter: &str) -> impl Future<Output = Result<Vec<Choice>, PluginError>> + Send {
        let _ = call;
        no_code(&format!("the options of parameter `{parameter}` of tool `{}`", Self::NAME))
    }

    /// The parameters, in the form of the declaration, of a tool that declares `has_runtime_parameters`.
    fn runtime_parameters(&self, call: Call) -> impl Future<Output = Result<Vec<Value>, PluginError>> + Send {
        let _ = call;
        no_code(&format!("the runtime parameters of tool `{}`", Self::NAME))
    }
}

/// The provider of tools: its credentials, and which tools there are. It lives as long as the process, so that it can hold
/// connections.
pub trait ToolProvider: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// The tools.
    fn tools(&self) -> Tools;

    /// Checks credentials when they are saved; a provider without credentials needs no check.
    fn validate(&self, call: Call) -> impl Future<Output = Result<(), PluginError>> + Send {
        let _ = call;
        std::future::ready(Ok(()))
    }
}

/// A list of tools.
#[derive(Clone, Default)]
pub struct Tools(Vec<Arc<dyn ErasedTool>>);

impl Tools {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.0.push(Arc::new(tool));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn ErasedTool>> {
        self.0.iter().find(|tool| tool.name() == name)
    }

    pub(crate) fn all(&self) -> &[Arc<dyn ErasedTool>] {
        &self.0
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|tool| tool.name()).collect()
    }
}
