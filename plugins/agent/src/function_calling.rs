//! The strategy `function_calling`: the model calls tools until it answers without one. After the last round with tools it
//! has to answer with what it knows.

use dify_plugin::plugin::agent::{Model, Round, ToolResult, ToolSet};
use dify_plugin::prelude::*;
use dify_plugin::protocol::{PromptMessage, Tool as PromptTool};
use dify_plugin::serde_json::{Value, json};

use crate::context::citations;
use crate::conversation::{Conversation, answered, closing_request};
use crate::deadline::Deadline;
use crate::parameters::{FunctionCallingParameters, check_iterations, tool_names};
use crate::reply::{Display, Piece, Reply, ReplyBuilder, send};
use crate::{files, parameters};

/// Bytes of all results in the log of a round; the log of a call has all of its own.
const MAX_LOGGED_BYTES: usize = 256 * 1024;

/// Serves `strategies/function_calling.yaml`.
pub(crate) struct FunctionCalling;

impl AgentStrategy for FunctionCalling {
    const NAME: &'static str = "function_calling";
    type Parameters = FunctionCallingParameters;

    async fn run(
        &self,
        call: Call,
        asked: FunctionCallingParameters,
        out: &mut AgentMessages,
    ) -> Result<AgentUsage, PluginError> {
        let deadline = Deadline::start();
        let maximum = check_iterations(asked.maximum_iterations)?;
        let allowed = tool_names(asked.allowed_tools.as_ref())?;
        let files = files::read(asked.files.as_ref())?;
        let query = deadline.limit(files::query(&call, &asked.query, &files, &asked.model)).await?;
        let model = Model::new(&call.dify, asked.model);
        let mut tools = ToolSet::new(&call.dify, asked.tools).only(&allowed);
        let features = |name: &str| model.has_feature(name);
        let mut conversation = Conversation::new(&asked.instruction, model.history(), query);
        let mut usage = AgentUsage::default();
        for number in 1.. {
            let closing = parameters::closing(number, maximum, deadline);
            let mut round = Round::start(out, number).await?;
            let (messages, offered) = match &closing {
                Some(reason) => (conversation.closing_prompt(&closing_request(reason), &features), Vec::new()),
                None => (conversation.prompt(&features), tools.prompt_tools()),
            };
            let reply = match ask(&round, &model, deadline, &messages, offered, out).await {
                Ok(reply) => reply,
                Err(error) => {
                    round.fail(&error).await?;
                    return Err(error);
                }
            };
            usage.add(&reply.usage);
            round.set_usage(&reply.usage);
            if closing.is_some() || reply.calls.is_empty() {
                if reply.text.trim().is_empty()
                    && let Some(reason) = &closing
                {
                    out.text(format!("The model gave no answer. {reason}")).await?;
                }
                round.finish(shown(&reply, &[], closing.as_deref())).await?;
                break;
            }
            tools.set_timeout(deadline.of_tools());
            let results = round.call(&tools, &reply.calls, out).await?;
            if !reply.text.is_empty() || !reply.thoughts.is_empty() {
                // What the model says next begins on a line of its own.
                out.text("\n").await?;
            }
            round.finish(shown(&reply, &results, None)).await?;
            conversation.extend([answered(&reply.text, &reply.calls)]);
            conversation.extend(results.iter().map(ToolResult::message));
        }
        let citations = citations(asked.context.as_ref());
        if !citations.is_empty() {
            out.citations(citations, "").await?;
        }
        Ok(usage)
    }
}

/// Calls the model, shows what it says as it comes, and logs it.
async fn ask(
    round: &Round,
    model: &Model,
    deadline: Deadline,
    messages: &[PromptMessage],
    offered: Vec<PromptTool>,
    out: &mut AgentMessages,
) -> Result<Reply, PluginError> {
    let mut thought = round.thought(model).await?;
    match deadline.limit(read(model, messages, offered, out)).await {
        Ok(reply) => {
            thought.set_usage(&reply.usage);
            let names: Vec<&str> = reply.calls.iter().map(|call| call.function.name.as_str()).collect();
            let inputs: Vec<Value> = reply
                .calls
                .iter()
                .map(|call| json!({"name": call.function.name, "args": parameters::json_or_text(&call.function.arguments)}))
                .collect();
            let mut data = json!({"output": reply.text, "tool_name": names.join(";"), "tool_input": inputs});
            if !reply.thoughts.is_empty() {
                data["thought"] = reply.thoughts.as_str().into();
            }
            thought.finish(data).await?;
            Ok(reply)
        }
        Err(error) => {
            thought.fail(&error).await?;
            Err(error)
        }
    }
}

async fn read(
    model: &Model,
    messages: &[PromptMessage],
    offered: Vec<PromptTool>,
    out: &mut AgentMessages,
) -> Result<Reply, PluginError> {
    let mut chunks = model.stream(messages, offered).await?;
    let (mut builder, mut display) = (ReplyBuilder::default(), Display::default());
    while let Some(chunk) = chunks.next().await {
        for piece in builder.push(chunk?) {
            show(piece, &mut display, out).await?;
        }
    }
    let (rest, reply) = builder.finish();
    for piece in rest {
        show(piece, &mut display, out).await?;
    }
    if let Some(tag) = display.finish() {
        out.text(tag).await?;
    }
    Ok(reply)
}

async fn show(piece: Piece, display: &mut Display, out: &mut AgentMessages) -> Result<(), PluginError> {
    match (display.text_of(&piece), piece) {
        (Some(text), _) => out.text(text).await,
        (None, Piece::File(media)) => send(media, out).await,
        (None, _) => Ok(()),
    }
}

/// A round as Dify's own plugin logs it.
fn shown(reply: &Reply, results: &[ToolResult], closing: Option<&str>) -> Value {
    let each = MAX_LOGGED_BYTES / results.len().max(1);
    let responses: Vec<Value> = results
        .iter()
        .map(|result| {
            let text = &result.text[..result.text.floor_char_boundary(each)];
            json!({
                "tool_call_id": result.call.id,
                "tool_call_name": result.call.function.name,
                "tool_call_input": result.arguments,
                "tool_response": text,
            })
        })
        .collect();
    let mut data = json!({"output": {"llm_response": reply.text, "tool_responses": responses}});
    if let Some(reason) = closing {
        data["reason"] = reason.into();
    }
    data
}
