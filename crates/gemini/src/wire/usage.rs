//! Token counts of a response as reported by the service. `price` computes their price.

use serde::Deserialize;

use dify_plugin::codec::json;
use dify_plugin::protocol::lenient;

/// Token counts. `promptTokenCount` includes the cached tokens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageMetadata {
    /// Prompt tokens.
    #[serde(deserialize_with = "lenient::count")]
    pub prompt_token_count: Option<u64>,
    /// Prompt tokens that were read from a cache.
    #[serde(deserialize_with = "lenient::count")]
    pub cached_content_token_count: Option<u64>,
    /// Response tokens, without thoughts.
    #[serde(deserialize_with = "lenient::count")]
    pub candidates_token_count: Option<u64>,
    /// Thought tokens.
    #[serde(deserialize_with = "lenient::count")]
    pub thoughts_token_count: Option<u64>,
    /// Tokens in the results of Google tools.
    #[serde(deserialize_with = "lenient::count")]
    pub tool_use_prompt_token_count: Option<u64>,
    /// Total tokens.
    #[serde(deserialize_with = "lenient::count")]
    pub total_token_count: Option<u64>,
    /// Prompt tokens by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub prompt_tokens_details: Vec<ModalityTokens>,
    /// Response tokens by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub candidates_tokens_details: Vec<ModalityTokens>,
    /// Cached tokens by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub cache_tokens_details: Vec<ModalityTokens>,
    /// Service tier that was used, as reported by the Gemini Developer API.
    #[serde(deserialize_with = "json::fit")]
    pub service_tier: Option<String>,
    /// Service tier that was used, as reported by Vertex AI: `ON_DEMAND_FLEX` …
    #[serde(deserialize_with = "json::fit")]
    pub traffic_type: Option<String>,
}

impl UsageMetadata {
    /// Merges the counts of a later event. Each count is merged separately, because an event may report fewer counts
    /// than the previous one.
    pub fn update(&mut self, later: Self) {
        let counts = [
            (&mut self.prompt_token_count, later.prompt_token_count),
            (&mut self.cached_content_token_count, later.cached_content_token_count),
            (&mut self.candidates_token_count, later.candidates_token_count),
            (&mut self.thoughts_token_count, later.thoughts_token_count),
            (&mut self.tool_use_prompt_token_count, later.tool_use_prompt_token_count),
            (&mut self.total_token_count, later.total_token_count),
        ];
        for (known, reported) in counts {
            *known = reported.or(known.take());
        }
        for (known, reported) in [
            (&mut self.prompt_tokens_details, later.prompt_tokens_details),
            (&mut self.candidates_tokens_details, later.candidates_tokens_details),
            (&mut self.cache_tokens_details, later.cache_tokens_details),
        ] {
            if !reported.is_empty() {
                *known = reported;
            }
        }
        for (known, reported) in
            [(&mut self.service_tier, later.service_tier), (&mut self.traffic_type, later.traffic_type)]
        {
            *known = reported.or(known.take());
        }
    }

    /// Whether any count was reported.
    pub fn is_reported(&self) -> bool {
        let counts = [self.prompt_token_count, self.candidates_token_count, self.total_token_count];
        counts.iter().any(Option::is_some) || !self.prompt_tokens_details.is_empty()
    }
}

/// Tokens of one modality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModalityTokens {
    /// `TEXT`, `IMAGE`, `AUDIO` …
    #[serde(deserialize_with = "json::or_default")]
    pub modality: String,
    /// Number of tokens.
    #[serde(deserialize_with = "lenient::count")]
    pub token_count: Option<u64>,
}
