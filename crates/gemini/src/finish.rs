//! Maps Google's finish reasons to Dify's, and explains responses without content.

use super::wire::SafetyRating;
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, clip};
use dify_plugin::protocol::FinishReason;

/// Maximum bytes shown of Google's message.
const MAX_MESSAGE_BYTES: usize = 2000;

/// Maximum number of safety categories listed.
const MAX_CATEGORIES: usize = 8;

/// Maps Google's finish reason to Dify's. `calls`: whether the response contains function calls.
pub fn reason(reason_code: &str, calls: bool) -> FinishReason {
    match reason_code {
        "STOP" | "FINISH_REASON_UNSPECIFIED" if calls => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        _ if is_filter(reason_code) => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_ascii_lowercase()),
    }
}

/// Whether the finish reason is that of a filter.
pub fn is_filter(reason_code: &str) -> bool {
    matches!(
        reason_code,
        "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR"
            | "LANGUAGE"
            | "ESCALATION"
            | "JAILBREAK"
    )
}

/// Whether the finish reason reports malformed model output.
pub fn is_malformed(reason_code: &str) -> bool {
    matches!(
        reason_code,
        "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE"
    )
}

/// The finish reason for a malformed function call.
pub const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

/// Whether the same request often succeeds when it is retried.
pub fn retryable_by_class(reason_code: &str) -> bool {
    matches!(reason_code, "STOP" | MALFORMED_CALL | "UNEXPECTED_TOOL_CALL" | "MALFORMED_RESPONSE")
}

/// Returns the error for a function call that cannot be emitted, whatever the finish reason.
pub fn malformed_call(what: &str, reason_code: &str) -> InvokeError {
    InvokeError::server_unavailable(format!("{what} ({reason_code})"))
        .with_code(MALFORMED_CALL)
        .with_hint("Try again, or simplify the function schemas.")
}

/// Returns the error for a response that ends normally but is empty.
pub fn empty_response() -> InvokeError {
    InvokeError::server_unavailable("the model returned an empty response (STOP)")
        .with_code("STOP")
        .with_hint("Try again, or rephrase the prompt; this is usually temporary.")
}

/// Returns the error for malformed model output, with or without earlier output.
pub fn malformed_output(
    reason_code: &str,
    message: Option<&str>,
    ratings: &[SafetyRating],
    has_output: bool,
) -> InvokeError {
    match has_output {
        true => explain(format!("the model ended its response early ({reason_code})"), reason_code, message, ratings),
        false => no_output(reason_code, message, ratings),
    }
}

/// Returns the error for a blocked prompt.
pub fn prompt_blocked(reason_code: &str, message: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    explain(format!("the prompt was blocked ({reason_code})"), reason_code, message, ratings)
}

/// Returns the error for a response without content.
pub fn no_output(reason_code: &str, message: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    explain(format!("the model returned no content ({reason_code})"), reason_code, message, ratings)
}

fn explain(mut text: String, reason_code: &str, message: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    let highest_ratings = highest_ratings(ratings);
    if !highest_ratings.is_empty() {
        let names: Vec<String> = highest_ratings.iter().take(MAX_CATEGORIES).map(|rating| named(rating)).collect();
        text.push_str(&format!(" for {}", names.join(", ")));
    }
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        text.push_str(&format!(": {}", clip(message, MAX_MESSAGE_BYTES)));
    }
    let error = InvokeError::bad_request(text).with_code(reason_code);
    match (reason_code, highest_ratings.first().and_then(|rating| parameter(&rating.category))) {
        (_, Some(parameter)) => error.with_hint(format!("Relax the parameter `{parameter}`, or rephrase the prompt.")),
        ("SAFETY", None) => error.with_hint("Relax the `safety_…` parameters, or rephrase the prompt."),
        ("PROHIBITED_CONTENT" | "JAILBREAK", _) => error.with_hint("This protection cannot be turned off."),
        ("OTHER" | "BLOCKLIST" | "MODEL_ARMOR" | "SPII", _) => {
            error.with_hint("No parameter changes this. Rephrase the prompt, or ask Google support for the reason.")
        }
        ("RECITATION", _) => error.with_hint("The response would have recited existing text; ask for a paraphrase."),
        ("MAX_TOKENS", _) => {
            error.with_hint("Thinking used up `max_output_tokens`; raise it, or lower the thinking level.")
        }
        // Source: google-genai 3.6.1, `types.py`, `FinishReason`.
        ("PUP_LIMITED_DISABLED", _) => error.with_hint(
            "Google limits or has disabled this account for violations of its Prohibited Use Policy; its owner must \
             contact Google.",
        ),
        ("TOO_MANY_TOOL_CALLS", _) => {
            error.with_hint("The model called tools too often in one response; split the task, or offer fewer tools.")
        }
        ("MISSING_THOUGHT_SIGNATURE", _) => {
            error.with_hint("An earlier response was sent back without its signature; start a new conversation.")
        }
        _ if is_malformed(reason_code) => error.with_hint("Try again, or simplify the function schemas."),
        _ => error,
    }
}

/// Returns the ratings that caused the block, or else the high ones.
fn highest_ratings(ratings: &[SafetyRating]) -> Vec<&SafetyRating> {
    let blocked: Vec<_> = ratings.iter().filter(|rating| rating.blocked).collect();
    if blocked.is_empty() { ratings.iter().filter(|rating| rating.probability == "HIGH").collect() } else { blocked }
}

fn named(rating: &SafetyRating) -> String {
    let category = rating.category.strip_prefix("HARM_CATEGORY_").unwrap_or(&rating.category);
    format!("{} {}", clip(category, MAX_FIELD_BYTES), clip(&rating.probability, MAX_FIELD_BYTES))
}

/// Returns the parameter that sets the threshold of a category.
fn parameter(category: &str) -> Option<&'static str> {
    super::safety::SAFETY.iter().find(|(_, known)| *known == category).map(|(parameter, _)| *parameter)
}
