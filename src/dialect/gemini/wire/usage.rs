//! Tokens of an answer as the service counts them. What they cost is `price`'s.

use serde::Deserialize;

use dify_plugin::codec::json;
use dify_plugin::protocol::lenient;

/// Tokens. `promptTokenCount` includes cached ones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageMetadata {
    /// Tokens of the prompt.
    #[serde(deserialize_with = "lenient::count")]
    pub prompt_token_count: Option<u64>,
    /// Of these, read from a cache.
    #[serde(deserialize_with = "lenient::count")]
    pub cached_content_token_count: Option<u64>,
    /// Tokens of the answer, without thoughts.
    #[serde(deserialize_with = "lenient::count")]
    pub candidates_token_count: Option<u64>,
    /// Tokens of thoughts.
    #[serde(deserialize_with = "lenient::count")]
    pub thoughts_token_count: Option<u64>,
    /// Tokens of results of Google's own tools.
    #[serde(deserialize_with = "lenient::count")]
    pub tool_use_prompt_token_count: Option<u64>,
    /// All together.
    #[serde(deserialize_with = "lenient::count")]
    pub total_token_count: Option<u64>,
    /// The prompt by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub prompt_tokens_details: Vec<ModalityTokens>,
    /// The answer by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub candidates_tokens_details: Vec<ModalityTokens>,
    /// The cached share by modality.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub cache_tokens_details: Vec<ModalityTokens>,
    /// The tier that served, as the developer API says it.
    #[serde(deserialize_with = "json::fit")]
    pub service_tier: Option<String>,
    /// The tier that served, as Vertex says it: `ON_DEMAND_FLEX` …
    #[serde(deserialize_with = "json::fit")]
    pub traffic_type: Option<String>,
}

impl UsageMetadata {
    /// Takes what a later event tells, each count by itself: an event may tell less than the one before it.
    pub fn update(&mut self, later: Self) {
        let counts = [
            (&mut self.prompt_token_count, later.prompt_token_count),
            (&mut self.cached_content_token_count, later.cached_content_token_count),
            (&mut self.candidates_token_count, later.candidates_token_count),
            (&mut self.thoughts_token_count, later.thoughts_token_count),
            (&mut self.tool_use_prompt_token_count, later.tool_use_prompt_token_count),
            (&mut self.total_token_count, later.total_token_count),
        ];
        for (known, told) in counts {
            *known = told.or(known.take());
        }
        for (known, told) in [
            (&mut self.prompt_tokens_details, later.prompt_tokens_details),
            (&mut self.candidates_tokens_details, later.candidates_tokens_details),
            (&mut self.cache_tokens_details, later.cache_tokens_details),
        ] {
            if !told.is_empty() {
                *known = told;
            }
        }
        for (known, told) in
            [(&mut self.service_tier, later.service_tier), (&mut self.traffic_type, later.traffic_type)]
        {
            *known = told.or(known.take());
        }
    }

    /// Whether it tells a count.
    pub fn tells(&self) -> bool {
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
    /// How many.
    #[serde(deserialize_with = "lenient::count")]
    pub token_count: Option<u64>,
}
