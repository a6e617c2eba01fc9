//! The loop of `ReAct`: asks the model for a thought and an action, calls the tool, and goes on until the model answers.

use dify_plugin::plugin::agent::{Model, Round, ToolSet};
use dify_plugin::prelude::*;
use dify_plugin::protocol::{PromptMessage, ToolCall};
use dify_plugin::serde_json::{Map, Value, json};

use super::parser::{Action, Outcome, Parser, Turn};
use super::prompt;
use crate::context::citations;
use crate::conversation::{Conversation, closing_request};
use crate::deadline::Deadline;
use crate::parameters::{self, ReActParameters, check_iterations, tool_names};
use crate::reply::{Piece, Reply, ReplyBuilder, send};

/// Serves `strategies/ReAct.yaml`.
pub(crate) struct ReAct;

/// What the model wrote, and what of it the user has seen.
struct Written {
    turn: Turn,
    /// The answer that was sent as it came.
    answer: String,
    reply: Reply,
}

impl AgentStrategy for ReAct {
    const NAME: &'static str = "ReAct";
    type Parameters = ReActParameters;

    async fn run(
        &self,
        call: Call,
        asked: ReActParameters,
        out: &mut AgentMessages,
    ) -> Result<AgentUsage, PluginError> {
        let deadline = Deadline::start();
        let maximum = check_iterations(asked.maximum_iterations)?;
        let allowed = tool_names(asked.allowed_tools.as_ref())?;
        let mut tools = ToolSet::new(&call.dify, asked.tools).only(&allowed);
        let model = model_of(&call, asked.model);
        let features = |name: &str| model.has_feature(name);
        let system = prompt::system(&asked.instruction, &tools.prompt_tools());
        let mut conversation = Conversation::new(&system, model.history(), PromptMessage::user(asked.query));
        let mut usage = AgentUsage::default();
        for number in 1.. {
            let closing = parameters::closing(number, maximum, deadline);
            let mut round = Round::start(out, number).await?;
            let messages = match &closing {
                Some(reason) => {
                    let request = format!("{} Begin with `FinalAnswer:`.", closing_request(reason));
                    conversation.closing_prompt(&request, &features)
                }
                None => conversation.prompt(&features),
            };
            let written = match ask(&round, &model, &tools, deadline, &messages, out).await {
                Ok(written) => written,
                Err(error) => {
                    round.fail(&error).await?;
                    return Err(error);
                }
            };
            usage.add(&written.reply.usage);
            round.set_usage(&written.reply.usage);
            let Turn { thought, outcome } = written.turn;
            let (message, observation, action) = match (outcome, &closing) {
                (Outcome::Answer(rest), _) => {
                    let is_empty = written.answer.is_empty() && rest.is_empty();
                    out.text(if is_empty { "The model gave no answer.".to_owned() } else { rest }).await?;
                    round.finish(shown(&thought, None, "", closing.as_deref())).await?;
                    break;
                }
                (outcome, Some(reason)) => {
                    let action = if let Outcome::Action(action) = &outcome { Some(action) } else { None };
                    let text = if thought.is_empty() {
                        format!("The model gave no answer. {reason}")
                    } else {
                        thought.clone()
                    };
                    out.text(text).await?;
                    round.finish(shown(&thought, action, "", Some(reason))).await?;
                    break;
                }
                (Outcome::Malformed(text), None) => {
                    (prompt::broken_turn(&thought, &text), prompt::MALFORMED.to_owned(), None)
                }
                (Outcome::Action(action), None) => {
                    tools.set_timeout(deadline.of_tools());
                    let requested = requested(&tools, &action, number);
                    let results = round.call(&tools, &[requested], out).await?;
                    let text = results.into_iter().map(|result| result.text).collect();
                    (prompt::turn(&thought, &action), text, Some(action))
                }
            };
            round.finish(shown(&thought, action.as_ref(), &observation, None)).await?;
            conversation.extend([message, prompt::observation(&observation)]);
        }
        let citations = citations(asked.context.as_ref());
        if !citations.is_empty() {
            out.citations(citations, "").await?;
        }
        Ok(usage)
    }
}

/// The model, which stops before it invents an observation. One provider rejects the stop word.
fn model_of(call: &Call, selector: ModelSelector) -> Model {
    let rejects_stop = selector.provider.rsplit('/').next() == Some("wenxin");
    let model = Model::new(&call.dify, selector);
    if rejects_stop { model } else { model.stop(prompt::STOP) }
}

/// The call of an action. A text is the only parameter that the model fills in, if there is one.
fn requested(tools: &ToolSet, action: &Action, round: u32) -> ToolCall {
    let arguments = match &action.input {
        Value::Object(_) => action.input.clone(),
        other => match only_parameter(tools, &action.name) {
            Some(name) => Value::Object(Map::from_iter([(name, other.clone())])),
            None => other.clone(),
        },
    };
    ToolCall::function(format!("call_{round}"), &action.name, arguments.to_string())
}

fn only_parameter(tools: &ToolSet, name: &str) -> Option<String> {
    let tool = tools.get(name)?.prompt_tool();
    let mut names = tool.parameters.get("properties")?.as_object()?.keys();
    let only = names.next()?.clone();
    names.next().is_none().then_some(only)
}

/// Calls the model, shows its answer as it comes, and logs it.
async fn ask(
    round: &Round,
    model: &Model,
    tools: &ToolSet,
    deadline: Deadline,
    messages: &[PromptMessage],
    out: &mut AgentMessages,
) -> Result<Written, PluginError> {
    let mut log = round.thought(model).await?;
    match deadline.limit(read(model, tools, messages, out)).await {
        Ok(written) => {
            log.set_usage(&written.reply.usage);
            let thought = &written.turn.thought;
            let mut data = match &written.turn.outcome {
                Outcome::Action(action) => {
                    json!({"thought": thought, "action": action.name, "action_input": action.input})
                }
                Outcome::Answer(rest) => json!({"thought": thought, "action": format!("{}{rest}", written.answer)}),
                Outcome::Malformed(text) => {
                    json!({"thought": thought, "action": text, "error": prompt::MALFORMED})
                }
            };
            if !written.reply.thoughts.is_empty() {
                data["reasoning"] = written.reply.thoughts.as_str().into();
            }
            log.finish(data).await?;
            Ok(written)
        }
        Err(error) => {
            log.fail(&error).await?;
            Err(error)
        }
    }
}

async fn read(
    model: &Model,
    tools: &ToolSet,
    messages: &[PromptMessage],
    out: &mut AgentMessages,
) -> Result<Written, PluginError> {
    let mut chunks = model.stream(messages, Vec::new()).await?;
    let (mut builder, mut parser) = (ReplyBuilder::default(), Parser::new(tools.names()));
    let mut answer = String::new();
    while let Some(chunk) = chunks.next().await {
        for piece in builder.push(chunk?) {
            show(piece, &mut parser, &mut answer, out).await?;
        }
    }
    let (rest, reply) = builder.finish();
    for piece in rest {
        show(piece, &mut parser, &mut answer, out).await?;
    }
    Ok(Written { turn: parser.finish(), answer, reply })
}

async fn show(
    piece: Piece,
    parser: &mut Parser,
    answer: &mut String,
    out: &mut AgentMessages,
) -> Result<(), PluginError> {
    match piece {
        Piece::Text(text) => {
            let more = parser.push(&text);
            answer.push_str(&more);
            out.text(more).await
        }
        Piece::Thought(_) => Ok(()),
        Piece::File(media) => send(media, out).await,
    }
}

/// A round as Dify's own plugin logs it.
fn shown(thought: &str, action: Option<&Action>, observation: &str, closing: Option<&str>) -> Value {
    let (name, input) = action.map_or(("", json!("")), |action| (action.name.as_str(), action.input.clone()));
    let mut data = json!({"action_name": name, "action_input": input, "thought": thought, "observation": observation});
    if let Some(reason) = closing {
        data["reason"] = reason.into();
    }
    data
}
