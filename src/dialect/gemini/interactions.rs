//! Background agents (Deep Research) as the Interactions API writes them: a task is started, then looked at until it ends.
//!
//! Source: Gemini API, "Interactions API", "Deep Research".

use serde::Deserialize;
use serde_json::{Value, json};

use super::media_types::{self, media_type};
use super::research_report::Report;
use dify_plugin::codec::json::{list, or_default};
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, MAX_MESSAGE_BYTES, clip};
use dify_plugin::protocol::{Content, ContentPart, PromptMessage, Role, lenient};

/// Whether a name is an agent's, not a model's.
pub fn is_agent(name: &str) -> bool {
    let short = name.rsplit('/').next().unwrap_or(name);
    short.starts_with("deep-research-") || short.starts_with("antigravity-")
}

/// The body that starts a task.
pub fn start(agent: &str, messages: &[PromptMessage]) -> Result<Value, InvokeError> {
    let agent = agent.rsplit('/').next().unwrap_or(agent);
    Ok(json!({"agent": agent, "input": input(messages)?, "background": true, "store": true}))
}

/// The conversation as one text, an agent is given a task, not turns; and its files behind it.
fn input(messages: &[PromptMessage]) -> Result<Value, InvokeError> {
    let several = messages.iter().filter(|message| message.role != Role::System).count() > 1;
    let paragraphs = messages.iter().filter_map(|message| {
        let text = message.content.text();
        let speaker = match message.role {
            Role::User if several => "User: ",
            Role::Assistant => "Assistant: ",
            Role::Tool => "Result: ",
            Role::System | Role::User => "",
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

/// A file of the prompt: its bytes, or an address that Google reads.
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

/// Most pieces of a report.
const MAX_REPORT_PARTS: usize = 8192;

/// A task, in either of the API's forms (`outputs`, later `steps`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Interaction {
    /// Names the task.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "list::<MAX_REPORT_PARTS, _, _>")]
    pub(super) outputs: Vec<Value>,
    #[serde(deserialize_with = "list::<MAX_REPORT_PARTS, _, _>")]
    pub(super) steps: Vec<Value>,
    /// Tokens so far.
    #[serde(deserialize_with = "or_default")]
    pub usage: Usage,
    error: Value,
}

/// Tokens of a task.
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
    /// Tokens read: prompt and what tools found.
    pub fn prompt(self) -> u64 {
        self.total_input_tokens.unwrap_or_default() + self.total_tool_use_tokens.unwrap_or_default()
    }

    /// Tokens written: thoughts and answer.
    pub fn answer(self) -> u64 {
        self.total_output_tokens.unwrap_or_default() + self.total_thought_tokens.unwrap_or_default()
    }
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskState {
    /// Not done yet.
    Running,
    /// Done; or stopped early with what there was.
    Done {
        /// The report, with marks at its passages and its sources behind it.
        report: Content,
        /// Whether it is all of it.
        complete: bool,
    },
    /// Ended without an answer.
    Failed(String),
}

impl Interaction {
    /// Whether this is the state of a task at all.
    pub fn is_reported(&self) -> bool {
        !self.status.is_empty()
    }

    /// How the task stands.
    pub fn standing(&self) -> TaskState {
        let report = Report::of(self);
        match self.status.to_ascii_lowercase().as_str() {
            // An agent that idles has nothing to do: it is done where it has written something, else not yet begun.
            "idle" if !report.is_empty() => TaskState::Done { report: report.into_content(), complete: true },
            "in_progress" | "queued" | "idle" => TaskState::Running,
            // A word of the future: the task is paid for, and another look costs nothing.
            status if !status.is_empty() && !is_ending(status) => TaskState::Running,
            "completed" if !report.is_empty() => TaskState::Done { report: report.into_content(), complete: true },
            "incomplete" | "budget_exceeded" if !report.is_empty() => {
                TaskState::Done { report: report.into_content(), complete: false }
            }
            status => {
                let said = self.error["message"].as_str().or(self.error.as_str());
                let why = match status {
                    "completed" => "ended without an answer".to_owned(),
                    "requires_action" => "waits for the result of a function, which Dify cannot give".to_owned(),
                    "" => "has no status".to_owned(),
                    other => format!("ended as `{}`", clip(other, MAX_FIELD_BYTES)),
                };
                TaskState::Failed(match said {
                    Some(said) => format!("the agent's task {why}: {}", clip(said, MAX_MESSAGE_BYTES)),
                    None => format!("the agent's task {why}"),
                })
            }
        }
    }
}

/// Whether a status says that nothing more comes.
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

    fn standing(value: Value) -> TaskState {
        serde_json::from_value::<Interaction>(value).unwrap().standing()
    }

    #[test]
    fn tasks_are_read_in_both_forms() {
        let done = |complete| TaskState::Done { report: Content::Text("One.\n\nTwo.".to_owned()), complete };
        let outputs = json!([{"type": "thought", "text": "hm"}, {"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]);
        let steps = json!([
            {"type": "thought", "content": [{"type": "text", "text": "hm"}]},
            {"type": "model_output", "content": [{"type": "text", "text": "On"}, {"type": "text", "text": "e."}]},
            {"type": "model_output", "content": [{"type": "text", "text": "Two."}]},
        ]);
        assert_eq!(standing(json!({"status": "completed", "outputs": outputs.clone()})), done(true));
        assert_eq!(standing(json!({"status": "completed", "steps": steps})), done(true));
        assert_eq!(standing(json!({"status": "budget_exceeded", "outputs": outputs.clone()})), done(false));
        for status in ["in_progress", "queued"] {
            assert_eq!(standing(json!({"status": status, "outputs": outputs.clone()})), TaskState::Running);
        }
        assert_eq!(standing(json!({"status": "idle", "outputs": outputs.clone()})), done(true));
        assert_eq!(standing(json!({"status": "idle", "outputs": null, "usage": 7})), TaskState::Running);
        assert_eq!(standing(json!({"status": "warming_up", "outputs": outputs.clone()})), TaskState::Running);
        for (value, said) in [
            (json!({"status": "failed", "error": {"message": "no budget"}}), "ended as `failed`: no budget"),
            (json!({"status": "cancelled", "outputs": outputs}), "cancelled"),
            (json!({"status": "completed"}), "without an answer"),
            (json!({"status": "requires_action"}), "waits for the result"),
            (json!({}), "has no status"),
        ] {
            match standing(value) {
                TaskState::Failed(text) => assert!(text.contains(said), "{text}"),
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
