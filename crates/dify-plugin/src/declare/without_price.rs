//! What is left of prices without the feature `models`: they are carried, and nothing is calculated.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::LlmUsage;

/// What a model costs, as declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pricing(Map<String, Value>);

/// Whether a text is a decimal number.
pub(super) fn is_decimal(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The usage of a call without a price.
pub(crate) fn llm_usage(_: Option<&Pricing>, prompt_tokens: u64, completion_tokens: u64) -> LlmUsage {
    let (total_tokens, currency) = (prompt_tokens.saturating_add(completion_tokens), "USD".to_owned());
    LlmUsage { prompt_tokens, completion_tokens, total_tokens, currency, ..LlmUsage::default() }
}
