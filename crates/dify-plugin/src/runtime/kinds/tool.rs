//! Tools: a run with its messages, the check of credentials, parameters that are known only while Dify runs.

use super::drain::{Drain, Pace};
use super::{Session, not_served, unknown};
use crate::plugin::{Messages, PluginError, cast_parameters, short_name};
use crate::protocol::tool::{RuntimeParameters, ToolRequest, ValidationResult};
use crate::runtime::dispatch::Stop;

pub(super) async fn run(session: &mut Session<'_>, request: ToolRequest) -> Result<(), Stop> {
    let provider = session.plugin.tools().cloned().ok_or_else(|| not_served("tools"))?;
    let name = short_name(&request.access().provider);
    if name != provider.name() {
        return Err(unknown("tool provider", name, &[provider.name()]).into());
    }
    let tool = |name: &str| {
        let tools = provider.tools();
        tools.get(name).cloned().ok_or_else(|| unknown("tool", name, &tools.names()))
    };
    match request {
        ToolRequest::Invoke(mut request) => {
            let tool = tool(&request.tool)?;
            if let Some(declared) = session.declared.tool.as_ref().and_then(|known| known.tool(&request.tool)) {
                cast_parameters(&declared.parameters, &mut request.tool_parameters)?;
                session.register_secrets(&declared.parameters, &request.tool_parameters);
            }
            let call = session.call_with(request.access);
            let (outbox, inbox) = session.queue();
            let mut messages = Messages::new(outbox);
            Drain::new(session, inbox, Pace::TOOL).run(tool.invoke(call, request.tool_parameters, &mut messages)).await
        }
        ToolRequest::ValidateCredentials(request) => {
            let call = session.call_with(request.access);
            provider.validate(call).await.map_err(PluginError::into_credentials_failure)?;
            session.push(&ValidationResult::VALID)
        }
        ToolRequest::RuntimeParameters(request) => {
            let tool = tool(&request.tool)?;
            let parameters = tool.runtime_parameters(session.call_with(request.access)).await?;
            session.push(&RuntimeParameters { parameters })
        }
    }
}
