//! Calls back into Dify from a plugin's code: models, tools, apps, nodes, storage, files. One handle, [`Dify`], comes with
//! every call of the plugin and ends with its session.
//!
//! Calls may run at the same time, and their futures and streams may be dropped at any time. How a call gets to Dify is
//! behind [`Backwards`].
//!
//! ```
//! use dify_plugin::plugin::dify::{Dify, DifyError};
//! use dify_plugin::protocol::backwards::{ModelConfig, ToolType};
//!
//! /// Answers a question with the weather that a tool reports, and counts how often it was asked.
//! async fn answer(dify: &Dify, model: &ModelConfig, question: &str) -> Result<String, DifyError> {
//!     // A stored value, or `None`.
//!     let count = dify.storage().get("count").await?.map_or(0, |bytes| bytes[0]);
//!     dify.storage().set("count", [count.wrapping_add(1)]).await?;
//!
//!     // A tool of another plugin, whole.
//!     let tool = dify.tool(ToolType::Builtin, "acme/weather/weather", "forecast");
//!     let messages = tool.parameter("place", "Riga").whole().await?;
//!     let weather: String = messages.iter().filter_map(|message| message.as_text()).collect();
//!
//!     // A language model, as it responds.
//!     let mut chunks = dify.llm(model).system(weather).user(question).parameter("temperature", 0.2).stream().await?;
//!     let mut text = String::new();
//!     while let Some(chunk) = chunks.next().await {
//!         text.push_str(&chunk?.text());
//!     }
//!     Ok(text)
//! }
//! ```
//!
//! Every type of call needs a permission of the manifest; see [`permission::needed`].

mod app;
mod engine;
#[cfg(feature = "client")]
mod files;
mod llm;
mod models;
mod nodes;
pub mod permission;
mod storage;
mod tool;

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use app::{App, AppCall};
pub use engine::{Backwards, Invoke, Responses};
#[cfg(feature = "client")]
pub use files::Files;
pub use llm::{Llm, LlmStream};
pub use models::{Embedding, Rerank, Tts};
pub use nodes::{ParameterExtractor, QuestionClassifier};
pub use storage::Storage;
pub use tool::ToolCallback;

use crate::declare::permission::Permissions;
use crate::protocol::backwards::{BackwardsRequest, DifyErrorKind};
use crate::protocol::{Payload, lenient};
use crate::upstream::Upstream;

pub use crate::protocol::backwards::DifyError;

/// Calls back into Dify, for as long as the session lives. Cheap to clone.
#[derive(Clone)]
pub struct Dify {
    backwards: Arc<dyn Backwards>,
    facts: Arc<DifyFacts>,
    timeout: Option<Duration>,
}

/// What the handle knows of the session and of the plugin.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct DifyFacts {
    /// What the manifest grants; unknown where there is none, and then the daemon decides.
    pub permissions: Option<Arc<Permissions>>,
    /// The app that the session works for.
    pub app_id: Option<Arc<str>>,
    /// The credentials that the user chose for tools, by provider (`context.credentials.tool_credentials`).
    pub tool_credentials: Map<String, Value>,
    /// Sends uploads and downloads.
    pub upstream: Upstream,
}

impl Dify {
    /// A handle over what carries the calls of a session.
    pub fn new(backwards: Arc<dyn Backwards>, facts: DifyFacts) -> Self {
        Self { backwards, facts: Arc::new(facts), timeout: None }
    }

    /// What sends requests to Dify's file service.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.facts.upstream
    }

    /// The same handle with another timeout: for a call's first response, and from then on for its end. Dify's daemon ends
    /// a call 240 s after its response has begun (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT), and a session after 600 s.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.clone() }
    }

    /// Makes a call of any type. The other methods are shorter.
    pub async fn call<R: BackwardsRequest>(&self, request: R) -> Result<Calls<R::Response>, DifyError> {
        let invoke_type = request.invoke_type();
        let permission = permission::needed(invoke_type);
        if let (Some(permission), Some(granted)) = (permission, &self.facts.permissions)
            && !granted.has(permission)
        {
            return Err(permission::denied(permission));
        }
        let json = serde_json::value::to_raw_value(&request)
            .map_err(|error| DifyError::invalid(format!("cannot serialize the call: {error}")))?;
        // A long prompt is kept once.
        drop(request);
        let explain = move |error: DifyError| match (error.kind, permission) {
            (DifyErrorKind::PermissionDenied, Some(permission)) => permission::denied(permission),
            _ => error,
        };
        let invoke = Invoke { timeout: self.timeout, ..Invoke::new(invoke_type, json) };
        let responses = self.backwards.call(invoke).await.map_err(explain)?;
        Ok(Calls { responses: responses.map(move |response| response.map_err(explain)).boxed(), read: PhantomData })
    }

    /// Makes a call that has one response.
    pub async fn call_once<R: BackwardsRequest>(&self, request: R) -> Result<R::Response, DifyError> {
        self.call(request).await?.one().await
    }
}

/// The responses of a call, read as they come. The stream ends after an error.
pub struct Calls<T> {
    responses: Responses,
    read: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Calls<T> {
    /// The next response, once it is there; `None` once the call is complete.
    pub async fn next(&mut self) -> Option<Result<T, DifyError>> {
        StreamExt::next(self).await
    }

    /// The only response of a call that has one.
    pub async fn one(mut self) -> Result<T, DifyError> {
        self.next().await.unwrap_or_else(|| Err(DifyError::malformed("it ended without a result")))
    }

    /// All responses, once the call is complete.
    pub async fn all(mut self) -> Result<Vec<T>, DifyError> {
        let mut all = Vec::new();
        while let Some(response) = self.next().await {
            all.push(response?);
        }
        Ok(all)
    }
}

fn read<T: DeserializeOwned>(payload: &Payload) -> Result<T, DifyError> {
    lenient::read(payload.json()).map_err(DifyError::malformed)
}

impl<T: DeserializeOwned> Stream for Calls<T> {
    type Item = Result<T, DifyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let response = std::task::ready!(self.responses.poll_next_unpin(context));
        let item = response.map(|response| read(&response?));
        if let Some(Err(_)) = item {
            // What comes behind it is not waited for.
            self.responses = futures_util::stream::empty().boxed();
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests;
