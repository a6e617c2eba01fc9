//! Triggers: subscriptions to another service, the HTTP requests that it sends, and the events in them.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::erased::ErasedEvent;
use super::{Call, PluginError, no_code};
use crate::protocol::options::Choice;
use crate::protocol::trigger::Subscription;

/// The provider of a trigger.
///
/// ```
/// use dify_plugin::prelude::*;
/// use dify_plugin::{bytes::Bytes, http, serde_json::json};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Serves `provider/forge.yaml`: a service that calls a URL when something happens.
/// struct Forge;
///
/// impl TriggerProvider for Forge {
///     const NAME: &'static str = "forge";
///
///     fn events(&self) -> Events {
///         Events::new().event(Push)
///     }
///
///     async fn dispatch(
///         &self,
///         _: Call,
///         subscription: Subscription,
///         request: http::Request<Bytes>,
///     ) -> Result<Dispatch, PluginError> {
///         let token = request.headers().get("x-token").and_then(|value| value.to_str().ok());
///         if token != subscription.property("token") {
///             return Err(PluginError::authorization("the token is wrong"));
///         }
///         Ok(Dispatch::new(http::Response::new("ok")).event("push"))
///     }
/// }
///
/// /// Serves `events/push.yaml`.
/// struct Push;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Parameters {
///     branch: Option<String>,
/// }
///
/// impl Event for Push {
///     const NAME: &'static str = "push";
///     type Parameters = Parameters;
///
///     async fn on_event(&self, _: Call, incoming: Incoming<Parameters>) -> Result<EventOutcome, PluginError> {
///         match incoming.parameters.branch.as_deref() {
///             None | Some("main") => EventOutcome::start(json!({"bytes": incoming.request.body().len()})),
///             Some(_) => Ok(EventOutcome::Ignore),
///         }
///     }
/// }
/// ```
pub trait TriggerProvider: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// The events.
    fn events(&self) -> Events;

    /// Answers a request to a subscription's URL and finds the events in it. This is the place to verify a signature, over
    /// the raw body; while a subscription is being set up it may have no properties yet.
    fn dispatch(
        &self,
        call: Call,
        subscription: Subscription,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<Dispatch, PluginError>> + Send;

    /// Checks credentials when they are saved.
    fn validate(&self, call: Call) -> impl Future<Output = Result<(), PluginError>> + Send {
        let _ = call;
        no_code("the credentials of a trigger")
    }

    /// Subscribes with the other service, which is to call `endpoint`.
    fn subscribe(
        &self,
        call: Call,
        endpoint: String,
        parameters: Map<String, Value>,
    ) -> impl Future<Output = Result<Subscription, PluginError>> + Send {
        let _ = (call, endpoint, parameters);
        no_code("subscribing")
    }

    /// Ends a subscription with the other service.
    fn unsubscribe(
        &self,
        call: Call,
        subscription: Subscription,
    ) -> impl Future<Output = Result<(), PluginError>> + Send {
        let _ = (call, subscription);
        no_code("unsubscribing")
    }

    /// Extends a subscription that expires.
    fn refresh(
        &self,
        call: Call,
        subscription: Subscription,
    ) -> impl Future<Output = Result<Subscription, PluginError>> + Send {
        let _ = (call, subscription);
        no_code("refreshing a subscription")
    }

    /// The choices of a parameter of a subscription whose type is `dynamic-select`.
    fn options(&self, call: Call, parameter: &str) -> impl Future<Output = Result<Vec<Choice>, PluginError>> + Send {
        let _ = call;
        no_code(&format!("the options of parameter `{parameter}`"))
    }
}

/// What a request to a subscription's URL led to.
#[derive(Debug)]
pub struct Dispatch {
    pub(crate) events: Vec<String>,
    pub(crate) payload: Map<String, Value>,
    pub(crate) user: String,
    pub(crate) response: http::Response<Bytes>,
}

impl Dispatch {
    /// No event; the caller gets this response.
    pub fn new(response: http::Response<impl Into<Bytes>>) -> Self {
        Self { events: Vec::new(), payload: Map::new(), user: String::new(), response: response.map(Into::into) }
    }

    /// An event, by the name of its declaration.
    #[must_use]
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.events.push(name.into());
        self
    }

    /// What each of the events gets.
    #[must_use]
    pub fn payload(mut self, payload: Map<String, Value>) -> Self {
        self.payload = payload;
        self
    }

    /// Who caused the events, by an ID of the other service.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }
}

/// One event.
pub trait Event: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// The parameters of a trigger node, by name.
    type Parameters: DeserializeOwned + JsonSchema + Send + 'static;

    /// Decides whether a workflow starts, and with which variables.
    fn on_event(
        &self,
        call: Call,
        incoming: Incoming<Self::Parameters>,
    ) -> impl Future<Output = Result<EventOutcome, PluginError>> + Send;

    /// The choices of a parameter of type `dynamic-select`.
    fn options(&self, call: Call, parameter: &str) -> impl Future<Output = Result<Vec<Choice>, PluginError>> + Send {
        let _ = call;
        no_code(&format!("the options of parameter `{parameter}` of event `{}`", Self::NAME))
    }
}

/// An event that was dispatched.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming<P> {
    /// The parameters of the trigger node.
    pub parameters: P,
    /// The subscription.
    pub subscription: Subscription,
    /// The request that was dispatched.
    pub request: http::Request<Bytes>,
    /// What the dispatch returned.
    pub payload: Map<String, Value>,
}

/// Whether a workflow starts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventOutcome {
    /// It starts with these variables.
    Start(Map<String, Value>),
    /// It does not: the event does not match the node's parameters.
    Ignore,
}

impl EventOutcome {
    /// Starts a workflow with the members of a struct, which `output_schema` declares.
    pub fn start(variables: impl Serialize) -> Result<Self, PluginError> {
        match serde_json::to_value(variables) {
            Ok(Value::Object(variables)) => Ok(Self::Start(variables)),
            Ok(_) => Err(PluginError::internal("the variables of an event must be an object")),
            Err(error) => Err(PluginError::internal(format!("cannot write the variables of an event: {error}"))),
        }
    }
}

/// A list of events.
#[derive(Clone, Default)]
pub struct Events(Vec<Arc<dyn ErasedEvent>>);

impl Events {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    #[must_use]
    pub fn event(mut self, event: impl Event) -> Self {
        self.0.push(Arc::new(event));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn ErasedEvent>> {
        self.0.iter().find(|event| event.name() == name)
    }

    pub(crate) fn all(&self) -> &[Arc<dyn ErasedEvent>] {
        &self.0
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|event| event.name()).collect()
    }
}
