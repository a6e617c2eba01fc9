//! An answer between Dify and the client: what models and apps send becomes pieces and an end ([`llm`], `apps::events`), and these
//! become OpenAI's JSON or server-sent events ([`chat`], [`text`]). State machines without I/O.

mod calls;
pub mod chat;
mod json_text;
pub mod llm;
pub mod text;
pub mod think;

use dify_plugin::protocol::LlmUsage;
use serde::Serialize;
use serde_json::Value;

/// A part of an answer, as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Reasoning(String),
    Call(CallPiece),
}

/// A part of a tool call: its ID and its name once, its arguments in any number of fragments.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPiece {
    pub index: usize,
    pub id: Option<String>,
    pub name: Option<String>,
    pub arguments: String,
}

/// What comes behind the last piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    pub finish_reason: Finish,
    pub usage: Usage,
    pub fingerprint: Option<String>,
    /// Of apps: the passages of knowledge bases that the answer is based on.
    pub citations: Vec<Value>,
    /// Of apps: the client's name of the conversation.
    pub conversation: Option<String>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    #[default]
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    /// The reason by the word of a provider; Dify passes it on as it is.
    fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Self::Length,
            "tool_calls" | "tool_use" | "function_call" | "tool_call" => Self::ToolCalls,
            "content_filter" | "safety" | "recitation" | "prohibited_content" | "refusal" => Self::ContentFilter,
            _ => Self::Stop,
        }
    }
}

/// Tokens of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
}

impl From<&LlmUsage> for Usage {
    fn from(usage: &LlmUsage) -> Self {
        let LlmUsage { prompt_tokens, completion_tokens, total_tokens, .. } = *usage;
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

/// What a response repeats of its request.
#[derive(Clone, Debug)]
pub struct Head {
    /// Of the response.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The name that the client used.
    pub model: String,
}

/// A server-sent event.
fn event(out: &mut Vec<u8>, data: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    // Strings, numbers and JSON values: nothing of it can fail.
    let _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}

/// Behind the last event of a complete stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// The event of a stream that fails; clients raise an exception.
pub fn error_event(error: &crate::error::ApiError) -> Vec<u8> {
    let mut out = Vec::new();
    event(&mut out, &error.body());
    out
}

#[cfg(test)]
mod tests;
