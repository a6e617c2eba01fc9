//! What is left of prices without the feature `models`: they are carried, and nothing is calculated.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::protocol::LlmUsage;

/// What a model costs, as declared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Pricing(Map<String, Value>);

impl Serialize for Pricing {
    /// Without the prices that Dify does not know.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = self.0.iter().filter(|(key, _)| ["input", "output", "unit", "currency"].contains(&key.as_str()));
        serializer.collect_map(known)
    }
}

/// Whether a text is a decimal number.
pub(super) fn is_decimal(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The usage of a call without a price.
pub(crate) fn llm_usage(_: Option<&Pricing>, prompt_tokens: u64, completion_tokens: u64) -> LlmUsage {
    let (total_tokens, currency) = (prompt_tokens.saturating_add(completion_tokens), "USD".to_owned());
    LlmUsage { prompt_tokens, completion_tokens, total_tokens, currency, ..LlmUsage::default() }
}
