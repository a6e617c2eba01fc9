//! How long a request may wait for its model. A model that thinks for a long time may send nothing for minutes, before
//! and after the headers of its response, because thoughts are streamed only if they are requested.

use std::time::Duration;

use crate::dialect::gemini::ModelProfile;
use crate::dialect::gemini::wire::GenerateContentRequest;

/// How long the plugin daemon waits for a session; the session's own limit is slightly shorter.
const SESSION_TIMEOUT: Duration = Duration::from_secs(600);

/// A thinking budget from which on a response may take minutes.
const LARGE_BUDGET: i64 = 16_384;

/// Returns the longer timeout of a request that needs one. A timeout set in the form takes precedence.
///
/// Sources: level `high` is the default of Gemini 4 Hydrogen and Neon (docs.laozhang.ai, November 2026); 15 minutes at
/// `xhigh` (dev.to/aihubmix, November 2026); flex requests wait 1 to 15 minutes (Gemini API, "Flex inference", as of 26
/// November 2026).
pub(super) fn of(request: &GenerateContentRequest, profile: &ModelProfile) -> Option<Duration> {
    let thinking = request.generation_config.get("thinkingConfig");
    let level = thinking.and_then(|thinking| thinking["thinkingLevel"].as_str());
    let budget = thinking.and_then(|thinking| thinking["thinkingBudget"].as_i64());
    let thinks_long = match (level, budget) {
        (Some("XHIGH"), _) => true,
        (Some("HIGH") | None, None) => profile.long_decode,
        (_, budget) => budget.is_some_and(|budget| budget >= LARGE_BUDGET),
    };
    (thinks_long || request.service_tier.as_deref() == Some("flex")).then_some(SESSION_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_thinking_gets_a_longer_timeout() {
        for (model, thinking, tier, is_long) in [
            ("gemini-4-neon", json!({"thinkingLevel": "XHIGH"}), None, true),
            ("gemini-4-carbon", json!({"thinkingLevel": "HIGH"}), None, true),
            ("gemini-4-hydrogen", json!({"includeThoughts": true}), None, true),
            ("gemini-4-carbon", json!({"thinkingLevel": "MEDIUM"}), None, false),
            ("gemini-3.8-flash", json!({"thinkingLevel": "HIGH"}), None, false),
            ("gemini-3.8-flash", json!({}), None, false),
            ("gemini-3.8-flash", json!({}), Some("flex"), true),
            ("gemini-3.8-flash", json!({}), Some("priority"), false),
            ("gemini-2.5-pro", json!({"thinkingBudget": 32_768}), None, true),
            ("gemini-2.5-pro", json!({"thinkingBudget": 1024}), None, false),
            ("gemini-2.5-pro", json!({"thinkingBudget": -1}), None, false),
        ] {
            let mut request = GenerateContentRequest { service_tier: tier.map(str::to_owned), ..Default::default() };
            request.generation_config.insert("thinkingConfig".to_owned(), thinking.clone());
            let profile = ModelProfile { long_decode: model.starts_with("gemini-4"), ..ModelProfile::default() };
            assert_eq!(of(&request, &profile).is_some(), is_long, "{model} {thinking} {tier:?}");
        }
    }
}
