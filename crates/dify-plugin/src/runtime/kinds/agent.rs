//! Agent strategies: a run with its messages and, as the last one, what it used.

use super::drain::{Drain, Pace};
use super::{Session, not_served, unknown};
use crate::plugin::{AgentMessages, Messages, short_name};
use crate::protocol::agent::AgentRequest;
use crate::runtime::dispatch::Stop;

pub(super) async fn run(session: &mut Session<'_>, request: AgentRequest) -> Result<(), Stop> {
    let AgentRequest::Invoke(mut request) = request;
    let strategies = session.plugin.agents().cloned().ok_or_else(|| not_served("agent strategies"))?;
    let name = short_name(&request.provider);
    if name != strategies.name() {
        return Err(unknown("provider of agent strategies", name, &[strategies.name()]).into());
    }
    let strategy = strategies
        .get(&request.agent_strategy)
        .ok_or_else(|| unknown("agent strategy", &request.agent_strategy, &strategies.names()))?;
    let declared = session.declared.agent_strategy.as_ref();
    let declared = declared.and_then(|declared| declared.strategy(&request.agent_strategy));
    session.cast(declared.map(|strategy| &*strategy.parameters), &mut request.parameters);
    let call = session.call(&request.user_id);
    let (outbox, inbox) = session.queue();
    let mut messages = AgentMessages::new(Messages::new(outbox));
    let mut drain = Drain::new(session, inbox, Pace::AGENT);
    let usage = drain.run(strategy.run(call, request.parameters, &mut messages)).await?;
    drain.finish(&usage.into_message()).await
}
