//! Background agents (Deep Research) of the Interactions API: a task is started, then polled until it ends.
//!
//! Source: Gemini API, "Interactions API", "Deep Research".

use serde::Deserialize;
use serde_json::{Value, json};

use super::research_report::Report;
use crate::dialect::gemini::media_types::{self, media_type};
use dify_plugin::codec::json::{list, or_default};
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, MAX_MESSAGE_BYTES, clip};
use dify_plugin::protocol::{Content, ContentPart, PromptMessage, Role, lenient};

/// Whether a name is that of an agent rather than a model.
pub fn is_agent(name: &str) -> bool {
    let short = name.rsplit('/').next().unwrap_or(name);
    short.starts_with("deep-research-") || short.starts_with("antigravity-")
}

/// Builds the body that starts a task.
pub fn start(agent: &str, messages: &[PromptMessage]) -> Result<Value, InvokeError> {
    let agent = agent.rsplit('/').next().unwrap_or(agent);
    Ok(json!({"agent": agent, "input": input(messages)?, "background": true, "store": true}))
}

/// Flattens the conversation into one task description, followed by the files. Agents accept a task, not turns.
fn input(messages: &[PromptMessage]) -> Result<Value, InvokeError> {
    let several = messages.iter().filter(|message| message.role != Role::System).count() > 1;
    let paragraphs = messages.iter().filter_map(|message| {
        let text = message.content.text();
        let speaker = match message.role {
            Role::User if several => "User: ",
            Role::Assistant => "Assistant: ",
            Role::Tool => "Result: ",
            _ => "",
        };
        (!text.trim().is_empty()).then(|| format!("{speaker}{}", text.trim()))
    });
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    if text.is_empty() {
        return Err(InvokeError::bad_request("the prompt is empty"));
    }
    let parts = messages.iter().filter_map(|message| match &message.content {
        Content::Text(_) => None,
        Content::Parts(parts) => Some(parts),
    });
    let files: Vec<Value> = parts.flatten().filter_map(|part| file(part).transpose()).collect::<Result<_, _>>()?;
    if files.is_empty() {
        return Ok(text.into());
    }
    Ok(std::iter::once(json!({"type": "text", "text": text})).chain(files).collect())
}

/// Converts a file of the prompt: its data, or a URL that Google can read.
fn file(part: &ContentPart) -> Result<Option<Value>, InvokeError> {
    let Some(media) = part.media() else { return Ok(None) };
    let mut file = json!({"type": part.type_name()});
    if media_types::is_reported(media) {
        file["mime_type"] = media_type(part.type_name(), media, false)?.into();
    }
    match (&media.base64_data, &media.url) {
        (Some(data), _) => file["data"] = data.as_str().into(),
        (None, url) => file["uri"] = url.as_deref().unwrap_or_default().into(),
    }
    Ok(Some(file))
}

/// Maximum number of parts of a report.
const MAX_REPORT_PARTS: usize = 8192;

/// A task, in either of the API's forms (`outputs`, later `steps`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Interaction {
    /// Task ID.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "list::<MAX_REPORT_PARTS, _, _>")]
    pub(super) outputs: Vec<Value>,
    #[serde(deserialize_with = "list::<MAX_REPORT_PARTS, _, _>")]
    pub(super) steps: Vec<Value>,
    /// Token usage so far.
    #[serde(deserialize_with = "or_default")]
    pub usage: Usage,
    error: Value,
}

/// Token usage of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Usage {
    #[serde(deserialize_with = "lenient::count")]
    total_input_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient::count")]
    total_tool_use_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient::count")]
    total_output_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient::count")]
    total_thought_tokens: Option<u64>,
}

impl Usage {
    /// Returns the input tokens: the prompt and tool results.
    pub fn prompt(self) -> u64 {
        self.total_input_tokens.unwrap_or_default() + self.total_tool_use_tokens.unwrap_or_default()
    }

    /// Returns the output tokens: thoughts and the report.
    pub fn completion(self) -> u64 {
        self.total_output_tokens.unwrap_or_default() + self.total_thought_tokens.unwrap_or_default()
    }
}

/// State of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskState {
    /// Still running.
    Running,
    /// Completed, or stopped early with partial output.
    Done {
        /// The report with citation markers, followed by its sources.
        report: Content,
        /// Whether the report is complete.
        complete: bool,
    },
    /// Ended without output.
    Failed(String),
}

impl Interaction {
    /// Whether the response contains a task state at all.
    pub fn is_reported(&self) -> bool {
        !self.status.is_empty()
    }

    /// Returns the state of the task.
    pub fn state(&self) -> TaskState {
        let report = Report::of(self);
        match self.status.to_ascii_lowercase().as_str() {
            // An idle agent has finished if it has produced output; otherwise it has not started yet.
            "idle" if !report.is_empty() => TaskState::Done { report: report.into_content(), complete: true },
            "in_progress" | "queued" | "idle" => TaskState::Running,
            // An unknown status counts as running: the task is already paid for, and further polling is free.
            status if !status.is_empty() && !is_ending(status) => TaskState::Running,
            "completed" if !report.is_empty() => TaskState::Done { report: report.into_content(), complete: true },
            "incomplete" | "budget_exceeded" if !report.is_empty() => {
                TaskState::Done { report: report.into_content(), complete: false }
            }
            status => {
                let message = self.error["message"].as_str().or(self.error.as_str());
                let why = match status {
                    "completed" => "ended without output".to_owned(),
                    "requires_action" => "requires a function result, which Dify cannot provide".to_owned(),
                    "" => "has no status".to_owned(),
                    other => format!("ended with status `{}`", clip(other, MAX_FIELD_BYTES)),
                };
                TaskState::Failed(match message {
                    Some(message) => format!("the agent task {why}: {}", clip(message, MAX_MESSAGE_BYTES)),
                    None => format!("the agent task {why}"),
                })
            }
        }
    }
}

/// Whether a status means that the task has ended.
fn is_ending(status: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        "complete", "done", "succe", "finish", "fail", "error", "cancel", "abort", "expire", "reject", "budget",
        "requires", "delete", "timeout",
    ];
    ENDINGS.iter().any(|word| status.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(value: Value) -> TaskState {
        serde_json::from_value::<Interaction>(value).unwrap().state()
    }

    #[test]
    fn parses_tasks_in_both_forms() {
        let done = |complete| TaskState::Done { report: Content::Text("One.\n\nTwo.".to_owned()), complete };
        let outputs = json!([{"type": "thought", "text": "hm"}, {"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]);
        let steps = json!([
            {"type": "thought", "content": [{"type": "text", "text": "hm"}]},
            {"type": "model_output", "content": [{"type": "text", "text": "On"}, {"type": "text", "text": "e."}]},
            {"type": "model_output", "content": [{"type": "text", "text": "Two."}]},
        ]);
        assert_eq!(state(json!({"status": "completed", "outputs": outputs.clone()})), done(true));
        assert_eq!(state(json!({"status": "completed", "steps": steps})), done(true));
        assert_eq!(state(json!({"status": "budget_exceeded", "outputs": outputs.clone()})), done(false));
        for status in ["in_progress", "queued"] {
            assert_eq!(state(json!({"status": status, "outputs": outputs.clone()})), TaskState::Running);
        }
        assert_eq!(state(json!({"status": "idle", "outputs": outputs.clone()})), done(true));
        assert_eq!(state(json!({"status": "idle", "outputs": null, "usage": 7})), TaskState::Running);
        assert_eq!(state(json!({"status": "warming_up", "outputs": outputs.clone()})), TaskState::Running);
        for (value, message) in [
            (json!({"status": "failed", "error": {"message": "no budget"}}), "ended with status `failed`: no budget"),
            (json!({"status": "cancelled", "outputs": outputs}), "cancelled"),
            (json!({"status": "completed"}), "without output"),
            (json!({"status": "requires_action"}), "requires a function result"),
            (json!({}), "has no status"),
        ] {
            match state(value) {
                TaskState::Failed(text) => assert!(text.contains(message), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_conversation_becomes_one_task() {
        let read = |value: Value| serde_json::from_value::<Vec<PromptMessage>>(value).unwrap();
        let one = read(json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]));
        assert_eq!(
            start("agents/deep-research-x", &one).unwrap(),
            json!({"agent": "deep-research-x", "input": "Be brief.\n\nWhy?", "background": true, "store": true})
        );
        let turns = read(
            json!([{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}]),
        );
        assert_eq!(input(&turns).unwrap(), "User: A\n\nAssistant: B\n\nUser: C");
        assert!(input(&read(json!([{"role": "user", "content": " "}]))).is_err());
        let files = json!([{"type": "text", "data": "Read."}, {"type": "document", "format": "pdf", "base64_data": "AA=="},
            {"type": "video", "url": "https://www.youtube.com/watch?v=x"}]);
        assert_eq!(
            input(&read(json!([{"role": "user", "content": files}]))).unwrap(),
            json!([{"type": "text", "text": "Read."}, {"type": "document", "mime_type": "application/pdf", "data": "AA=="},
                {"type": "video", "uri": "https://www.youtube.com/watch?v=x"}])
        );
    }
}
