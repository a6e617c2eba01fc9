//! A call of Dify before it is made: what the caller fills in, and how the result is read.

use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::calls::Kind;
use super::{Failure, Host, Session};

/// A call of the plugin. Awaiting it makes the call and returns its result; [`Invocation::start`] returns its items one by one.
#[must_use = "a call is made when it is awaited or started"]
pub struct Invocation<'h, T> {
    pub(super) host: &'h Host,
    pub(super) kind: Kind,
    /// The payload.
    pub(super) data: Map<String, Value>,
    /// The member of the payload for parameters.
    pub(super) parameters: &'static str,
    /// Members of the envelope.
    pub(super) origin: Map<String, Value>,
    pub(super) read: fn(Vec<Value>) -> Result<T, Failure>,
}

impl<'h, T: Send + 'static> Invocation<'h, T> {
    /// Fills in a parameter.
    pub fn parameter(self, name: &str, value: impl Into<Value>) -> Self {
        let parameters = self.parameters;
        self.member(parameters, name, value.into())
    }

    /// Fills in the members of an object as parameters.
    pub fn parameters(self, values: Value) -> Self {
        let parameters = self.parameters;
        self.members(parameters, values)
    }

    /// Fills in a field of the provider's credentials.
    pub fn credential(self, name: &str, value: impl Into<Value>) -> Self {
        self.member("credentials", name, value.into())
    }

    /// Fills in the members of an object as credentials.
    pub fn credentials(self, values: Value) -> Self {
        self.members("credentials", values)
    }

    /// Fills in a field of the OAuth client, such as `client_id`.
    pub fn system_credential(self, name: &str, value: impl Into<Value>) -> Self {
        self.member("system_credentials", name, value.into())
    }

    /// Fills in a setting of an endpoint.
    pub fn setting(self, name: &str, value: impl Into<Value>) -> Self {
        self.member("settings", name, value.into())
    }

    /// Fills in the members of an object as settings of an endpoint.
    pub fn settings(self, values: Value) -> Self {
        self.members("settings", values)
    }

    /// The payload of an event, which its dispatch returned.
    pub fn payload(self, values: Value) -> Self {
        self.field("payload", values)
    }

    /// The provider, where the host does not know it: of an executable.
    pub fn provider(self, name: &str) -> Self {
        let member = if self.kind == Kind::Agent { "agent_strategy_provider" } else { "provider" };
        self.field(member, name)
    }

    /// The user who calls, by an ID.
    pub fn user(self, id: &str) -> Self {
        self.field("user_id", id)
    }

    /// The app that calls, by its ID.
    pub fn app(mut self, id: &str) -> Self {
        self.origin.insert("app_id".to_owned(), id.into());
        self
    }

    /// The conversation of the app.
    pub fn conversation(mut self, id: &str) -> Self {
        self.origin.insert("conversation_id".to_owned(), id.into());
        self
    }

    /// The ID of the credentials that an agent is to use for the tools of a provider.
    pub fn tool_credential(mut self, provider: &str, id: &str) -> Self {
        let context = self.origin.entry("context").or_insert_with(|| json!({}));
        context["credentials"]["tool_credentials"][provider] = id.into();
        self
    }

    /// Sets any member of the request, as it is on the wire.
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Makes the call. The runtime of the test must be running.
    pub fn start(self) -> Session {
        self.host.start(self.kind, self.data, self.origin)
    }

    fn member(mut self, object: &str, name: &str, value: Value) -> Self {
        let members = self.data.entry(object).or_insert_with(|| json!({}));
        if let Some(members) = members.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        self
    }

    fn members(mut self, object: &str, values: Value) -> Self {
        let Value::Object(values) = values else { return self.field(object, values) };
        for (name, value) in values {
            self = self.member(object, &name, value);
        }
        self
    }
}

impl<'h, T: Send + 'static> IntoFuture for Invocation<'h, T> {
    type Output = Result<T, Failure>;
    type IntoFuture = BoxFuture<'h, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let read = self.read;
        let session = self.start();
        Box::pin(async move { read(session.collect().await?) })
    }
}
