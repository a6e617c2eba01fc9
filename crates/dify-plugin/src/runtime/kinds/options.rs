//! The choices of a parameter, of a tool, an event or a subscription.

use super::{Session, not_served, unknown};
use crate::plugin::short_name;
use crate::protocol::options::{Choices, OptionsRequest};
use crate::runtime::dispatch::Stop;

/// What `provider_action` is for the parameters of a subscription.
const SUBSCRIPTION: &str = "provider";

pub(super) async fn run(session: &mut Session<'_>, request: OptionsRequest) -> Result<(), Stop> {
    let OptionsRequest::Fetch(request) = request;
    let (provider, action) = (short_name(&request.access.provider).to_owned(), request.provider_action);
    let call = session.call_with(request.access);
    let options = if let Some(trigger) = session.plugin.triggers() {
        if provider != trigger.name() {
            return Err(unknown("trigger provider", &provider, &[trigger.name()]).into());
        }
        match trigger.events().get(&action) {
            Some(event) => event.options(call, &request.parameter).await?,
            None if action == SUBSCRIPTION => trigger.options(call, &request.parameter).await?,
            None => return Err(unknown("event", &action, &trigger.events().names()).into()),
        }
    } else if let Some(tools) = session.plugin.tools() {
        if provider != tools.name() {
            return Err(unknown("tool provider", &provider, &[tools.name()]).into());
        }
        let tool = tools.tools().get(&action).ok_or_else(|| unknown("tool", &action, &tools.tools().names()))?;
        tool.options(call, &request.parameter).await?
    } else {
        return Err(not_served("parameters with options").into());
    };
    session.push(&Choices { options })
}
