//! What a model is asked to write. The wording is this plugin's own; [`super::parser`] reads more than it asks for.

use dify_plugin::protocol::{PromptMessage, Tool};
use dify_plugin::serde_json::{self, Value, json};

use super::parser::Action;

/// At this text the model stops, because what follows it is the tool's.
pub(super) const STOP: &str = "Observation:";

/// The system message: the user's instruction, the tools and the format.
pub(super) fn system(instruction: &str, tools: &[Tool]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let tools = serde_json::to_string(tools).unwrap_or_default();
    let names = names.join(", ");
    format!(
        "{instruction}\n\n\
         You can use tools. These are their descriptions, as JSON:\n{tools}\n\n\
         To use a tool, write one thought and one action, and stop:\n\n\
         Thought: what you know, and what you need next\n\
         Action: {{\"action\": \"the name of one tool\", \"action_input\": {{\"a parameter\": \"its value\"}}}}\n\n\
         The name of the tool is one of: {names}. The action is one JSON object. You will get the result as an \
         observation, and can then use another tool.\n\n\
         Once you know the answer, or if no tool helps, write:\n\n\
         Thought: why you can answer\n\
         FinalAnswer: the answer to the user, in the user's language\n"
    )
}

/// What the model wrote in a round, in the form that it was asked for.
pub(super) fn turn(thought: &str, action: &Action) -> PromptMessage {
    let action: Value = json!({"action": action.name, "action_input": action.input});
    PromptMessage::assistant(format!("Thought: {thought}\nAction: {action}"))
}

/// What the model wrote in a round that could not be read.
pub(super) fn broken_turn(thought: &str, text: &str) -> PromptMessage {
    PromptMessage::assistant(format!("Thought: {thought}\nAction: {text}"))
}

/// What a tool returned.
pub(super) fn observation(text: &str) -> PromptMessage {
    PromptMessage::user(format!("Observation: {text}"))
}

/// What the model reads after an action that could not be read.
pub(super) const MALFORMED: &str = "The action is not a complete JSON object. Write it as \
                                    {\"action\": \"the name of one tool\", \"action_input\": {…}}, or write FinalAnswer.";
