//! What the daemon asks of a trigger provider: subscriptions, HTTP requests to their URLs, and the events in them.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/trigger.go`, `dify-plugin-sdks: src/dify_plugin/entities/trigger.py`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Access;
use super::envelope::ErrorNames;
use super::flat::with_access;
use super::invocation::actions;
use super::lenient::{hex_bytes, lenient, null_default};

/// A subscription: the URL that the other service calls, and what belongs to it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subscription {
    /// When it expires, in seconds since the Unix epoch; -1 is never.
    #[serde(default = "never", deserialize_with = "expiry")]
    pub expires_at: i64,
    /// The URL.
    #[serde(default, deserialize_with = "lenient")]
    pub endpoint: String,
    /// What the user chose when the subscription was created by [`TriggerRequest::Subscribe`].
    #[serde(default, deserialize_with = "lenient")]
    pub parameters: Option<Map<String, Value>>,
    /// The fields of `subscription_schema`, secrets among them.
    #[serde(default, deserialize_with = "null_default")]
    pub properties: Map<String, Value>,
}

fn never() -> i64 {
    -1
}

fn expiry<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    // The daemon's numbers are floats.
    let found = Value::deserialize(deserializer)?;
    Ok(found.as_i64().or_else(|| found.as_f64().map(|number| number as i64)).unwrap_or(-1))
}

impl Subscription {
    /// A subscription that does not expire.
    pub fn new(endpoint: impl Into<String>, properties: Map<String, Value>) -> Self {
        Self { expires_at: -1, endpoint: endpoint.into(), parameters: None, properties }
    }

    /// Sets when it expires, in seconds since the Unix epoch.
    #[must_use]
    pub fn with_expiry(mut self, unix_seconds: i64) -> Self {
        self.expires_at = unix_seconds;
        self
    }

    /// A property that is a string.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        formatter
            .debug_struct("Subscription")
            .field("expires_at", &self.expires_at)
            .field("properties", &names)
            .finish_non_exhaustive()
    }
}

with_access! {
    /// `validate_trigger_credentials`.
    pub struct ValidateTriggerCredentialsRequest {}
}

with_access! {
    /// `subscribe_trigger`.
    pub struct SubscribeRequest {
        /// The URL that the other service is to call.
        pub endpoint: String,
        /// Values by parameter name of `subscription_constructor.parameters`.
        #[serde(default, deserialize_with = "null_default")]
        pub parameters: Map<String, Value>,
    }
}

with_access! {
    /// `unsubscribe_trigger` and `refresh_trigger`.
    pub struct SubscriptionRequest {
        /// Which subscription.
        pub subscription: Subscription,
    }
}

with_access! {
    /// `dispatch_trigger_event`.
    pub struct DispatchRequest {
        /// The subscription whose URL was called; while it is being set up it may have no properties yet.
        pub subscription: Subscription,
        /// An HTTP/1.1 request as it is on a connection; hexadecimal on the wire, bytes here.
        #[serde(deserialize_with = "hex_bytes")]
        pub raw_http_request: Vec<u8>,
    }
}

with_access! {
    /// `invoke_trigger_event`.
    pub struct InvokeEventRequest {
        /// Name of the event's declaration.
        pub event: String,
        /// The request that was dispatched; hexadecimal on the wire, bytes here.
        #[serde(deserialize_with = "hex_bytes")]
        pub raw_http_request: Vec<u8>,
        /// Values by parameter name, of one trigger node.
        #[serde(default, deserialize_with = "null_default")]
        pub parameters: Map<String, Value>,
        /// The subscription.
        pub subscription: Subscription,
        /// What the dispatch returned.
        #[serde(default, deserialize_with = "null_default")]
        pub payload: Map<String, Value>,
    }
}

/// Every action of a trigger provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TriggerRequest {
    /// `validate_trigger_credentials`
    ValidateCredentials(ValidateTriggerCredentialsRequest),
    /// `subscribe_trigger`
    Subscribe(SubscribeRequest),
    /// `dispatch_trigger_event`
    Dispatch(DispatchRequest),
    /// `invoke_trigger_event`
    InvokeEvent(InvokeEventRequest),
    /// `unsubscribe_trigger`
    Unsubscribe(SubscriptionRequest),
    /// `refresh_trigger`
    Refresh(SubscriptionRequest),
}

actions! { TriggerRequest:
    "validate_trigger_credentials" => ValidateCredentials,
    "subscribe_trigger" => Subscribe,
    "dispatch_trigger_event" => Dispatch,
    "invoke_trigger_event" => InvokeEvent,
    "unsubscribe_trigger" => Unsubscribe,
    "refresh_trigger" => Refresh,
}

impl TriggerRequest {
    /// Provider, credentials and user.
    pub fn access(&self) -> &Access {
        match self {
            Self::ValidateCredentials(request) => &request.access,
            Self::Subscribe(request) => &request.access,
            Self::Dispatch(request) => &request.access,
            Self::InvokeEvent(request) => &request.access,
            Self::Unsubscribe(request) | Self::Refresh(request) => &request.access,
        }
    }

    /// The names of this action's errors.
    pub fn error_names(&self) -> ErrorNames {
        const CREDENTIALS: &str = "TriggerProviderCredentialValidationError";
        match self {
            Self::ValidateCredentials(_) => ErrorNames::always(CREDENTIALS),
            Self::Subscribe(_) | Self::Refresh(_) => ErrorNames::always("SubscriptionError"),
            Self::Unsubscribe(_) => ErrorNames::always("UnsubscribeError"),
            Self::Dispatch(_) => {
                ErrorNames::with_credentials("TriggerValidationError").otherwise("TriggerDispatchError")
            }
            Self::InvokeEvent(_) => ErrorNames::with_credentials(CREDENTIALS).otherwise("TriggerInvokeError"),
        }
    }
}

/// The result of `dispatch_trigger_event`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DispatchResult {
    /// Who caused the events; may be empty.
    pub user_id: String,
    /// Names of events. One that the provider does not declare would fail the whole request.
    pub events: Vec<String>,
    /// What each of the events gets.
    pub payload: Map<String, Value>,
    /// The HTTP response to the caller: HTTP/1.1 as it is on a connection, hexadecimal.
    pub response: String,
}

/// The result of `invoke_trigger_event`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EventResult {
    /// What the trigger node offers to the workflow.
    pub variables: Map<String, Value>,
    /// Whether the workflow is not started.
    pub cancelled: bool,
}

/// The result of `subscribe_trigger`, `refresh_trigger` and `unsubscribe_trigger`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionResult<T> {
    /// The subscription, or how its end went.
    pub subscription: T,
}

/// How the end of a subscription went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsubscribed {
    /// Whether the other service no longer calls.
    pub success: bool,
    /// What happened.
    pub message: Option<String>,
}
