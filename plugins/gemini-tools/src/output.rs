//! What every tool sends: the text that people and models read, the outputs that later nodes use, and one JSON object
//! with everything.

use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::answer::Answer;
use dify_plugin_gemini::wire::UsageMetadata;

use crate::service::explained;

/// Sends the text, then each member of `everything` that `outputs` names as an output, then everything as JSON.
pub async fn send(
    out: &mut Messages,
    text: &str,
    everything: Map<String, Value>,
    outputs: &[&str],
) -> Result<(), PluginError> {
    if !text.is_empty() {
        out.text(text).await?;
    }
    for name in outputs {
        out.variable(name, everything.get(*name).unwrap_or(&Value::Null)).await?;
    }
    out.json(everything).await
}

/// Returns the members that every JSON object has: the model that answered, how its answer ended, its token counts.
pub fn common(model: &str, answer: &Answer) -> Map<String, Value> {
    let answered = answer.model.as_deref().unwrap_or(model);
    let mut members = Map::new();
    members.insert("model".to_owned(), answered.into());
    members.insert("finish_reason".to_owned(), answer.ended.reason.to_ascii_lowercase().into());
    members.insert("usage".to_owned(), usage(&answer.usage));
    members
}

/// Returns token counts: prompt, tools, thoughts, output and total.
pub fn usage(usage: &UsageMetadata) -> Value {
    json!({
        "prompt_tokens": usage.prompt_token_count.unwrap_or(0),
        "tool_tokens": usage.tool_use_prompt_token_count.unwrap_or(0),
        "thought_tokens": usage.thoughts_token_count.unwrap_or(0),
        "output_tokens": usage.candidates_token_count.unwrap_or(0),
        "total_tokens": usage.total_token_count.unwrap_or(0),
    })
}

/// Checks that an answer has text; the error says why it has none.
pub fn require_text(answer: Answer) -> Result<Answer, PluginError> {
    if answer.text().trim().is_empty() { Err(explained(answer.ended.no_output())) } else { Ok(answer) }
}

/// A note after a text that the model did not finish.
pub fn note_of_incomplete(answer: &Answer) -> Option<String> {
    let reason = &answer.ended.reason;
    (!answer.ended.is_whole()).then(|| format!("\n\n[The answer is incomplete: {reason}]"))
}

/// Checks that a text parameter is not blank.
pub fn require<'a>(name: &str, value: &'a str) -> Result<&'a str, PluginError> {
    match value.trim() {
        "" => Err(PluginError::bad_request(format!("parameter `{name}` is empty"))),
        text => Ok(text),
    }
}

/// Returns a text parameter that is not blank.
pub fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|text| !text.is_empty())
}
