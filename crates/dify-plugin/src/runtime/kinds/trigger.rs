//! Triggers: credentials and subscriptions, the dispatch of an HTTP request, one event of it.

use serde_json::Map;
use tracing::warn;

use super::{Session, http_request, not_served, unknown};
use crate::codec::http_message::write_response;
use crate::plugin::{EventOutcome, Incoming, PluginError, short_name};
use crate::protocol::tool::ValidationResult;
use crate::protocol::trigger::{DispatchResult, EventResult, SubscriptionResult, TriggerRequest, Unsubscribed};
use crate::runtime::dispatch::Stop;

pub(super) async fn run(session: &mut Session<'_>, request: TriggerRequest) -> Result<(), Stop> {
    let provider = session.plugin.triggers().cloned().ok_or_else(|| not_served("triggers"))?;
    let name = short_name(&request.access().provider);
    if name != provider.name() {
        return Err(unknown("trigger provider", name, &[provider.name()]).into());
    }
    let declared = session.declared.trigger.as_ref();
    match request {
        TriggerRequest::ValidateCredentials(request) => {
            let call = session.call_with(request.access);
            provider.validate(call).await.map_err(PluginError::into_credentials_failure)?;
            session.push(&ValidationResult::VALID)
        }
        TriggerRequest::Subscribe(mut request) => {
            session.shows_items = false;
            let constructor = declared.and_then(|declared| declared.subscription_constructor.as_ref());
            session.cast(constructor.map(|constructor| &*constructor.parameters), &mut request.parameters);
            let call = session.call_with(request.access);
            let subscription = provider.subscribe(call, request.endpoint, request.parameters).await?;
            session.push(&SubscriptionResult { subscription })
        }
        TriggerRequest::Refresh(request) => {
            session.shows_items = false;
            let call = session.call_with(request.access);
            let subscription = provider.refresh(call, request.subscription).await?;
            session.push(&SubscriptionResult { subscription })
        }
        TriggerRequest::Unsubscribe(request) => {
            let call = session.call_with(request.access);
            provider.unsubscribe(call, request.subscription).await?;
            let subscription = Unsubscribed { success: true, message: None };
            session.push(&SubscriptionResult { subscription })
        }
        TriggerRequest::Dispatch(request) => {
            let call = session.call_with(request.access);
            let http = http_request(request.raw_http_request)?;
            let dispatch = provider.dispatch(call, request.subscription, http).await?;
            let known = provider.events();
            // One name that Dify does not know would cost the others their workflows, and the caller its response.
            let (events, unknown): (Vec<_>, Vec<_>) =
                dispatch.events.into_iter().partition(|event| known.get(event).is_some());
            for event in unknown {
                warn!(event, known = known.names().join(", "), "unknown event; dropped");
            }
            session.push(&DispatchResult {
                user_id: dispatch.user,
                events,
                payload: dispatch.payload,
                response: hex::encode(write_response(&dispatch.response)),
            })
        }
        TriggerRequest::InvokeEvent(mut request) => {
            let events = provider.events();
            let event = events.get(&request.event).ok_or_else(|| unknown("event", &request.event, &events.names()))?;
            let parameters = declared.and_then(|declared| Some(&*declared.event(&request.event)?.parameters));
            session.cast(parameters, &mut request.parameters);
            let call = session.call_with(request.access);
            let incoming = Incoming {
                parameters: request.parameters,
                subscription: request.subscription,
                request: http_request(request.raw_http_request)?,
                payload: request.payload,
            };
            let (variables, cancelled) = match event.on_event(call, incoming).await? {
                EventOutcome::Start(variables) => (variables, false),
                EventOutcome::Ignore => (Map::new(), true),
            };
            session.push(&EventResult { variables, cancelled })
        }
    }
}
