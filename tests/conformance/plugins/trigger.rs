//! A trigger with subscriptions and an event.

use bytes::Bytes;
use dify_plugin::declare::permission::Permission;
use dify_plugin::plugin::{
    Call, Choice, Dispatch, Event, EventOutcome, Events, Incoming, Plugin, PluginError, Subscription, TriggerProvider,
};
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::oauth::Authorization;
use super::{calls, script, tools};

pub fn plugin() -> Plugin {
    Plugin::new().trigger_provider(Forge).oauth(Authorization).needs(Permission::Llm)
}

struct Forge;

impl TriggerProvider for Forge {
    const NAME: &'static str = "conformance_trigger";

    fn events(&self) -> Events {
        Events::new().event(Push)
    }

    async fn dispatch(
        &self,
        _: Call,
        subscription: Subscription,
        request: Request<Bytes>,
    ) -> Result<Dispatch, PluginError> {
        if subscription.property("secret").is_none() {
            return Err(script::failure("authorization", "the signature is invalid"));
        }
        let response = Response::builder().status(202).header("x-b", "1").body("accepted");
        let response = response.map_err(|error| PluginError::internal(error.to_string()))?;
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let payload = Map::from_iter([("text".to_owned(), json!(text))]);
        let events = if text.is_empty() { Vec::new() } else { vec!["push", "unknown"] };
        Ok(events.into_iter().fold(Dispatch::new(response), Dispatch::event).payload(payload).user("octocat"))
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        tools::validate(&call)
    }

    async fn subscribe(
        &self,
        _: Call,
        endpoint: String,
        parameters: Map<String, Value>,
    ) -> Result<Subscription, PluginError> {
        if !parameters.contains_key("repository") {
            return Err(script::failure("bad_request", "parameter `repository` is required"));
        }
        let properties = [("hook_id", "7"), ("secret", "secret of the hook 7")];
        let properties = properties.map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect();
        let mut subscription = Subscription::new(endpoint, properties);
        subscription.expires_at = 1_900_000_000;
        subscription.parameters = Some(parameters);
        Ok(subscription)
    }

    async fn unsubscribe(&self, _: Call, subscription: Subscription) -> Result<(), PluginError> {
        match subscription.property("hook_id") {
            Some(_) => Ok(()),
            None => Err(script::failure("not_found", "no such hook")),
        }
    }

    async fn refresh(&self, _: Call, mut subscription: Subscription) -> Result<Subscription, PluginError> {
        subscription.expires_at = 1_950_000_000;
        Ok(subscription)
    }

    async fn options(&self, _: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        Ok(vec![Choice::new("acme/weather", parameter)])
    }
}

struct Push;

impl Event for Push {
    const NAME: &'static str = "push";
    type Parameters = Map<String, Value>;

    async fn on_event(&self, call: Call, incoming: Incoming<Map<String, Value>>) -> Result<EventOutcome, PluginError> {
        match incoming.parameters.get("branch").and_then(Value::as_str) {
            Some("other") => Ok(EventOutcome::Ignore),
            Some("broken") => Err(script::failure("bad_request", "the payload has no branch")),
            Some(branch) if branch.starts_with("call:") => {
                let result = calls::make(&branch["call:".len()..], &call.dify).await?;
                EventOutcome::start(json!({"text": result.to_string(), "length": 0}))
            }
            _ => EventOutcome::start(json!({
                "text": incoming.payload.get("text"), "length": incoming.request.body().len(),
            })),
        }
    }

    async fn options(&self, _: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        Ok(vec![Choice::new("main", parameter)])
    }
}
