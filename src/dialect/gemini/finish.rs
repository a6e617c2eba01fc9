//! Why an answer ended, and what to say when nothing came: Google's reasons in Dify's words.

use super::wire::SafetyRating;
use dify_plugin::error::{InvokeError, MAX_FIELD_BYTES, clip};
use dify_plugin::protocol::FinishReason;

/// Longest words of Google's that are shown.
const MAX_MESSAGE_BYTES: usize = 2000;

/// Most categories that are named.
const MAX_CATEGORIES: usize = 8;

/// Google's word in Dify's. `calls`: whether functions were called.
pub fn reason(word: &str, calls: bool) -> FinishReason {
    match word {
        "STOP" | "FINISH_REASON_UNSPECIFIED" if calls => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        _ if is_filter(word) => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_ascii_lowercase()),
    }
}

/// Reasons that are a filter's.
pub fn is_filter(word: &str) -> bool {
    matches!(
        word,
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

/// Reasons that mean that the model failed at its own form.
pub fn is_malformed(word: &str) -> bool {
    matches!(
        word,
        "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE"
    )
}

/// The model's own word for a call that it wrote wrongly.
pub const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

/// Endings that often do not come again when the same is asked once more.
pub fn retryable_by_class(word: &str) -> bool {
    matches!(word, "STOP" | MALFORMED_CALL | "UNEXPECTED_TOOL_CALL" | "MALFORMED_RESPONSE")
}

/// The error of a call that cannot be handed on, however the answer ended.
pub fn malformed_call(what: &str, word: &str) -> InvokeError {
    InvokeError::server_unavailable(format!("{what} ({word})"))
        .with_code(MALFORMED_CALL)
        .with_hint("Try again, or simplify the functions' schemas.")
}

/// The error of an answer that ends as if it were whole and holds nothing.
pub fn is_silent() -> InvokeError {
    InvokeError::server_unavailable("the model ended its answer without saying anything (STOP)")
        .with_code("STOP")
        .with_hint("Ask again, or word the prompt differently; this passes by itself.")
}

/// The error of an answer whose form failed the model, before or after it said something.
pub fn broke_off(word: &str, said: Option<&str>, ratings: &[SafetyRating], spoke: bool) -> InvokeError {
    match spoke {
        true => explain(format!("the model broke its answer off ({word})"), word, said, ratings),
        false => no_output(word, said, ratings),
    }
}

/// The error of a refused prompt.
pub fn prompt_blocked(word: &str, said: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    explain(format!("the prompt was blocked ({word})"), word, said, ratings)
}

/// The error of an answer that holds nothing.
pub fn no_output(word: &str, said: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    explain(format!("the model gave no answer ({word})"), word, said, ratings)
}

fn explain(mut text: String, word: &str, said: Option<&str>, ratings: &[SafetyRating]) -> InvokeError {
    let highest_ratings = highest_ratings(ratings);
    if !highest_ratings.is_empty() {
        let names: Vec<String> = highest_ratings.iter().take(MAX_CATEGORIES).map(|rating| named(rating)).collect();
        text.push_str(&format!(" for {}", names.join(", ")));
    }
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        text.push_str(&format!(": {}", clip(said, MAX_MESSAGE_BYTES)));
    }
    let error = InvokeError::bad_request(text).with_code(word);
    match (word, highest_ratings.first().and_then(|rating| parameter(&rating.category))) {
        (_, Some(parameter)) => {
            error.with_hint(format!("Loosen the parameter `{parameter}`, or word the prompt differently."))
        }
        ("SAFETY", None) => error.with_hint("Loosen the `safety_…` parameters, or word the prompt differently."),
        ("PROHIBITED_CONTENT" | "JAILBREAK", _) => error.with_hint("This protection cannot be changed by a parameter."),
        ("OTHER" | "BLOCKLIST" | "MODEL_ARMOR" | "SPII", _) => {
            error.with_hint("No parameter lifts this; word the prompt differently or ask Google's support why.")
        }
        ("RECITATION", _) => error.with_hint("The answer would have repeated existing text; ask for a free wording."),
        ("MAX_TOKENS", _) => error.with_hint("Thinking used up `max_output_tokens`; raise it or lower thinking."),
        // Source: google-genai 3.6.1, `types.py`, `FinishReason`.
        ("PUP_LIMITED_DISABLED", _) => error.with_hint(
            "Google limits or has disabled this account for violations of its Prohibited Use Policy; its owner must \
             contact Google.",
        ),
        ("TOO_MANY_TOOL_CALLS", _) => error
            .with_hint("The model called tools too often in one answer; ask for less at once, or offer fewer tools."),
        ("MISSING_THOUGHT_SIGNATURE", _) => {
            error.with_hint("An earlier answer came back without its signature; begin a new conversation.")
        }
        _ if is_malformed(word) => error.with_hint("Try again, or simplify the functions' schemas."),
        _ => error,
    }
}

/// The ratings that were the reason, else the high ones.
fn highest_ratings(ratings: &[SafetyRating]) -> Vec<&SafetyRating> {
    let blocked: Vec<_> = ratings.iter().filter(|rating| rating.blocked).collect();
    if blocked.is_empty() { ratings.iter().filter(|rating| rating.probability == "HIGH").collect() } else { blocked }
}

fn named(rating: &SafetyRating) -> String {
    let category = rating.category.strip_prefix("HARM_CATEGORY_").unwrap_or(&rating.category);
    format!("{} {}", clip(category, MAX_FIELD_BYTES), clip(&rating.probability, MAX_FIELD_BYTES))
}

/// The parameter that sets the threshold of a category.
fn parameter(category: &str) -> Option<&'static str> {
    super::parameters::SAFETY.iter().find(|(_, known)| *known == category).map(|(parameter, _)| *parameter)
}
