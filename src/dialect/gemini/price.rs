//! What an answer costs, from the server's numbers: long-context tier, cached share, audio and image shares, thinking
//! tokens, service tier. Exact decimals.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;

use super::wire::{ModalityTokens, UsageMetadata};
use crate::declare::{Pricing, price};
use crate::protocol::LlmUsage;

/// Prices beyond Dify's input and output, per the same unit; from the model's data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceDetails {
    /// Tokens read from a cache; the input price when absent.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Audio in the prompt.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_input: Option<Decimal>,
    /// Images in the answer.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub image_output: Option<Decimal>,
    /// Audio in the answer.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub audio_output: Option<Decimal>,
    /// Prices of a long prompt.
    pub long_context: Option<LongContext>,
    /// Announced prices by their first day, UTC (`2026-12-01`).
    pub changes: BTreeMap<String, Replacement>,
    /// Prices of the models that an alias stands for, by the version that answers.
    pub by_model_version: BTreeMap<String, Replacement>,
    /// Factor of each service tier other than `standard`.
    pub service_tiers: BTreeMap<String, Factor>,
    /// Tokens that an explicit cache keeps, per hour.
    #[serde(deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// What Google Search costs beside the tokens.
    pub search: Option<SearchPrice>,
}

/// The list price of Google Search in currency, beyond what is free in a month.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub enum SearchPrice {
    /// A thousand searches that the model made.
    #[serde(rename = "per_1000_queries")]
    Per1000Queries(Factor),
    /// A thousand prompts that were answered with searches.
    #[serde(rename = "per_1000_prompts")]
    Per1000Prompts(Factor),
}

impl SearchPrice {
    /// The price of an answer that took so many searches.
    pub fn of(self, queries: u64) -> Decimal {
        let (price, units) = match self {
            Self::Per1000Queries(price) => (price, queries),
            Self::Per1000Prompts(price) => (price, queries.min(1)),
        };
        price.0.saturating_mul(Decimal::from(units)) / Decimal::from(1000)
    }
}

/// A decimal, written as text or number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Factor(#[serde(deserialize_with = "price::decimal")] pub Decimal);

/// Prices that replace the listed ones.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// Input.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
    /// Tokens that an explicit cache keeps, per hour; as before when absent.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cache_storage: Option<Decimal>,
    /// Prices of a long prompt.
    #[serde(default)]
    pub long_context: Option<LongContext>,
    /// Announced prices by their first day, UTC.
    #[serde(default)]
    pub changes: BTreeMap<String, Replacement>,
}

/// Prices of a long prompt; they count for the whole call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Prompts of more tokens than this.
    pub above: u64,
    /// Input.
    #[serde(deserialize_with = "price::decimal")]
    pub input: Decimal,
    /// Output.
    #[serde(deserialize_with = "price::decimal")]
    pub output: Decimal,
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "price::optional_decimal")]
    pub cached_input: Option<Decimal>,
}

/// Everything that the price of a call depends on besides its tokens.
#[derive(Clone, Debug, Default)]
pub struct PriceList {
    /// Input and output.
    pub pricing: Option<Pricing>,
    /// The rest.
    pub details: PriceDetails,
    /// The tier that was asked for.
    pub service_tier: Option<String>,
    /// The tier that really served, from the answer's header.
    pub served_tier: Option<String>,
    /// The model that answered, as it says itself.
    pub model_version: Option<String>,
    /// The day of the call, UTC (`2026-11-20`).
    pub day: String,
    /// What this call put into an explicit cache.
    pub stored: Stored,
}

/// What a call put into an explicit cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Tokens that were read to make it.
    pub created: u64,
    /// Tokens kept × seconds that they are kept longer.
    pub token_seconds: u64,
}

fn of_modality(details: &[ModalityTokens], modality: &str) -> u64 {
    details
        .iter()
        .filter(|entry| entry.modality == modality)
        .filter_map(|entry| entry.token_count)
        .fold(0, u64::saturating_add)
}

/// The prices that hold for one request.
pub struct Rates {
    /// Input.
    pub input: Decimal,
    /// Output.
    pub output: Decimal,
    /// Input from a cache.
    pub cached: Decimal,
    /// Tokens kept in an explicit cache, per hour.
    pub storage: Option<Decimal>,
}

impl PriceList {
    /// The usage of an answer: of each request that it took, at its own prices.
    pub fn usage(&self, requests: &[UsageMetadata]) -> LlmUsage {
        let prompt = requests.iter().map(prompt_tokens).fold(0, u64::saturating_add);
        let answer = requests.iter().map(answer_tokens).fold(0, u64::saturating_add);
        let mut usage = price::llm_usage(self.pricing.as_ref(), prompt, answer);
        let Some(pricing) = &self.pricing else { return usage };
        let (mut prompt_exact, mut answer_exact) = (Decimal::ZERO, Decimal::ZERO);
        for tokens in requests {
            let (prompt, answer) = self.cost(pricing, tokens);
            prompt_exact = prompt_exact.saturating_add(prompt);
            answer_exact = answer_exact.saturating_add(answer);
        }
        prompt_exact = prompt_exact.saturating_add(self.price_of_stored(pricing));
        let (prompt_price, answer_price) = (rounded(prompt_exact), rounded(answer_exact));
        // What a token cost on average; for a plain call that is the list price.
        let average = |exact: Decimal, tokens: u64, list: Decimal| {
            let units = Decimal::from(tokens).checked_mul(pricing.unit);
            units.and_then(|units| exact.checked_div(units)).map_or(list, |price| price.round_dp(7).normalize())
        };
        usage.prompt_unit_price = price::text(average(prompt_exact, prompt, pricing.input));
        usage.completion_unit_price = price::text(average(answer_exact, answer, pricing.output.unwrap_or_default()));
        usage.prompt_price = price::text(prompt_price);
        usage.completion_price = price::text(answer_price);
        usage.total_price = price::text(prompt_price.saturating_add(answer_price));
        usage
    }

    /// Exact prices of prompt and answer of one request.
    fn cost(&self, pricing: &Pricing, tokens: &UsageMetadata) -> (Decimal, Decimal) {
        let (prompt, answer) = (prompt_tokens(tokens), answer_tokens(tokens));
        let rates = self.rates(pricing, tokens.prompt_token_count.unwrap_or_default());
        let unit = pricing.unit.saturating_mul(self.tier_factor(tokens));
        let cached = tokens.cached_content_token_count.unwrap_or_default().min(prompt);
        // Of the sound in the prompt, the cached share is already paid as cached.
        let audio = of_modality(&tokens.prompt_tokens_details, "AUDIO")
            .saturating_sub(of_modality(&tokens.cache_tokens_details, "AUDIO"))
            .min(prompt - cached);
        let image_out = of_modality(&tokens.candidates_tokens_details, "IMAGE").min(answer);
        let audio_out = of_modality(&tokens.candidates_tokens_details, "AUDIO").min(answer - image_out);
        let prompt_price = sum(
            &[
                (prompt - cached - audio, rates.input),
                (cached, rates.cached),
                (audio, self.details.audio_input.unwrap_or(rates.input)),
            ],
            unit,
        );
        let answer_price = sum(
            &[
                (answer - image_out - audio_out, rates.output),
                (image_out, self.details.image_output.unwrap_or(rates.output)),
                (audio_out, self.details.audio_output.unwrap_or(rates.output)),
            ],
            unit,
        );
        (prompt_price, answer_price)
    }

    /// Making a cache costs what reading the prompt costs; keeping it costs by the hour.
    fn price_of_stored(&self, pricing: &Pricing) -> Decimal {
        let Stored { created, token_seconds } = self.stored;
        let rates = self.rates(pricing, created);
        let hours = Decimal::from(token_seconds) / Decimal::from(3600);
        let kept = hours.saturating_mul(rates.storage.unwrap_or_default());
        Decimal::from(created).saturating_mul(rates.input).saturating_add(kept).saturating_mul(pricing.unit)
    }

    /// The prices of a prompt of so many tokens: of the version that answers, on that day.
    pub fn rates(&self, pricing: &Pricing, prompt: u64) -> Rates {
        let details = &self.details;
        let listed = Replacement {
            input: pricing.input,
            output: pricing.output.unwrap_or_default(),
            cached_input: details.cached_input,
            cache_storage: details.cache_storage,
            long_context: details.long_context.clone(),
            changes: BTreeMap::new(),
        };
        let version = self.model_version.as_deref().and_then(|version| details.by_model_version.get(version));
        let (basis, changes) = version.map_or((&listed, &details.changes), |version| (version, &version.changes));
        let price = changes.range(..=self.day.clone()).next_back().map_or(basis, |(_, price)| price);
        let storage = price.cache_storage.or(basis.cache_storage).or(listed.cache_storage);
        let rates =
            |input, output, cached: Option<Decimal>| Rates { input, output, cached: cached.unwrap_or(input), storage };
        match price.long_context.as_ref().filter(|long| prompt > long.above) {
            Some(long) => rates(long.input, long.output, long.cached_input),
            None => rates(price.input, price.output, price.cached_input),
        }
    }

    /// Of the tier that served: as the header says, else as the usage says, else as it was asked for.
    fn tier_factor(&self, tokens: &UsageMetadata) -> Decimal {
        let told = tokens.service_tier.as_deref().or(tokens.traffic_type.as_deref());
        let told = told.map(|tier| tier.trim_start_matches("ON_DEMAND_")).filter(|tier| !tier.is_empty());
        let tier = self.served_tier.as_deref().or(told).or(self.service_tier.as_deref());
        let tier = tier.unwrap_or_default().to_ascii_lowercase();
        self.details.service_tiers.get(&tier).map_or(Decimal::ONE, |factor| factor.0)
    }
}

fn prompt_tokens(tokens: &UsageMetadata) -> u64 {
    let told = tokens.prompt_token_count.unwrap_or_else(|| {
        let by_modality = tokens.prompt_tokens_details.iter().filter_map(|entry| entry.token_count);
        by_modality.fold(0, u64::saturating_add)
    });
    told.saturating_add(tokens.tool_use_prompt_token_count.unwrap_or_default())
}

fn answer_tokens(tokens: &UsageMetadata) -> u64 {
    let said = tokens.candidates_token_count.unwrap_or_default();
    // Some gateways leave the thoughts out and count them in the sum.
    let thoughts = tokens.thoughts_token_count.unwrap_or_else(|| {
        let rest =
            tokens.total_token_count.unwrap_or_default().saturating_sub(prompt_tokens(tokens)).saturating_sub(said);
        if tokens.prompt_token_count.is_some() && tokens.candidates_token_count.is_some() { rest } else { 0 }
    });
    said.saturating_add(thoughts)
}

fn sum(shares: &[(u64, Decimal)], unit: Decimal) -> Decimal {
    let share = |(tokens, price): &(u64, Decimal)| Decimal::from(*tokens).saturating_mul(*price).saturating_mul(unit);
    shares.iter().map(share).fold(Decimal::ZERO, Decimal::saturating_add)
}

fn rounded(exact: Decimal) -> Decimal {
    let mut rounded = exact.round_dp_with_strategy(7, RoundingStrategy::MidpointAwayFromZero);
    // A price that has no room for seven places stays as it is.
    rounded.rescale(7);
    rounded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list(tier: Option<&str>) -> PriceList {
        PriceList {
            pricing: serde_json::from_value(
                json!({"input": "2", "output": "12", "unit": "0.000001", "currency": "USD"}),
            )
            .unwrap(),
            details: serde_json::from_value(json!({
                "cached_input": "0.20", "audio_input": 3, "image_output": "120",
                "long_context": {"above": 200_000, "input": "4", "output": "18", "cached_input": "0.40"},
                "service_tiers": {"flex": "0.5"},
            }))
            .unwrap(),
            service_tier: tier.map(str::to_owned),
            day: "2026-11-30".to_owned(),
            ..PriceList::default()
        }
    }

    fn one(list: &PriceList, tokens: Value) -> LlmUsage {
        list.usage(&[serde_json::from_value(tokens).unwrap()])
    }

    /// Prices worked out by hand.
    #[test]
    fn every_share_has_its_price() {
        let cases: Vec<(&str, Value, Option<&str>, &str)> = vec![
            ("plain", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), None, "0.0032000"),
            (
                "thoughts are output",
                json!({"promptTokenCount": 1000, "candidatesTokenCount": 60, "thoughtsTokenCount": 40}),
                None,
                "0.0032000",
            ),
            (
                "tool results are input",
                json!({"promptTokenCount": 900, "toolUsePromptTokenCount": 100, "candidatesTokenCount": 100}),
                None,
                "0.0032000",
            ),
            ("cached", json!({"promptTokenCount": 1000, "cachedContentTokenCount": 500}), None, "0.0011000"),
            (
                "audio",
                json!({"promptTokenCount": 1000, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 400}]}),
                None,
                "0.0024000",
            ),
            (
                "image out",
                json!({"candidatesTokenCount": 1000, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 900}]}),
                None,
                "0.1092000",
            ),
            ("at the tier", json!({"promptTokenCount": 200_000}), None, "0.4000000"),
            ("above the tier", json!({"promptTokenCount": 200_001, "candidatesTokenCount": 1}), None, "0.8000220"),
            ("flex", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), Some("flex"), "0.0016000"),
            ("unknown tier", json!({"promptTokenCount": 1000, "candidatesTokenCount": 100}), Some("gold"), "0.0032000"),
            ("nothing", json!({}), None, "0E-7"),
        ];
        for (name, tokens, tier, expected) in cases {
            let usage = one(&list(tier), tokens);
            assert_eq!(usage.total_price.0, expected, "{name}");
        }
    }

    #[test]
    fn absurd_counts_overflow_nothing() {
        let tokens: UsageMetadata = serde_json::from_value(json!({"promptTokenCount": u64::MAX, "cachedContentTokenCount": u64::MAX,
            "candidatesTokenCount": "18446744073709551615", "thoughtsTokenCount": 1e300, "toolUsePromptTokenCount": -1}))
        .unwrap();
        let usage = list(None).usage(&vec![tokens; 64]);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (64 << 53, 128 << 53));
    }

    #[test]
    fn absurd_prices_overflow_nothing() {
        let most = json!({"input": "79228162514264337593543950335", "output": "79228162514264337593543950335", "unit": "1", "currency": "USD"});
        for (pricing, tier) in [(&most, None), (&most, Some("flex"))] {
            let list = PriceList { pricing: serde_json::from_value(pricing.clone()).unwrap(), ..list(tier) };
            let usage = one(
                &list,
                json!({"promptTokenCount": 1u64 << 53, "cachedContentTokenCount": 1u64 << 52, "candidatesTokenCount": 1u64 << 53}),
            );
            assert_eq!(usage.prompt_tokens, 1 << 53);
            assert!(!usage.total_price.0.starts_with('0'), "{}", usage.total_price.0);
        }
        let mut kept = PriceList { pricing: serde_json::from_value(most).unwrap(), ..list(None) };
        kept.details.cache_storage = Some(Decimal::MAX);
        kept.stored = Stored { created: u64::MAX, token_seconds: u64::MAX };
        assert!(!one(&kept, json!({"promptTokenCount": 1})).total_price.0.is_empty());
        assert_eq!(SearchPrice::Per1000Queries(Factor(Decimal::MAX)).of(u64::MAX), Decimal::MAX / Decimal::from(1000));
    }

    /// The header before the usage, and what was asked for only where neither tells.
    #[test]
    fn the_tier_that_served_has_its_price() {
        let tokens = |tier: Value| json!({"promptTokenCount": 1000, "candidatesTokenCount": 100, "serviceTier": tier});
        let (full, half) = ("0.0032000", "0.0016000");
        for (header, usage, asked, price) in [
            (None, json!("standard"), Some("flex"), full),
            (None, json!(null), Some("flex"), half),
            (None, json!("flex"), None, half),
            (Some("standard"), json!("flex"), Some("flex"), full),
            (Some("flex"), json!("standard"), None, half),
        ] {
            let list = PriceList { served_tier: header.map(str::to_owned), ..list(asked) };
            assert_eq!(one(&list, tokens(usage.clone())).total_price.0, price, "{header:?} {usage} {asked:?}");
        }
    }

    #[test]
    fn counts_that_are_not_told_follow_from_the_others() {
        for (tokens, expected) in [
            (json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 75}), (10, 65)),
            (
                json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 1, "totalTokenCount": 75}),
                (10, 6),
            ),
            (json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 1}), (10, 5)),
            (
                json!({"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}, {"modality": "IMAGE", "tokenCount": 3}]}),
                (10, 0),
            ),
            (json!({"candidatesTokenCount": 5, "totalTokenCount": 15}), (0, 5)),
        ] {
            let usage = one(&list(None), tokens.clone());
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), expected, "{tokens}");
        }
    }

    #[test]
    fn without_a_price_tokens_still_count() {
        let usage = one(&PriceList::default(), json!({"promptTokenCount": 3, "candidatesTokenCount": 2}));
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 2, 5));
    }

    #[test]
    fn each_request_of_a_long_answer_is_priced_by_itself() {
        let hop = |prompt: u64| {
            serde_json::from_value(json!({"promptTokenCount": prompt, "candidatesTokenCount": 10})).unwrap()
        };
        let usage = list(None).usage(&[hop(150_000), hop(150_000)]);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (300_000, 20));
        assert_eq!(usage.total_price.0, "0.6002400");
    }

    #[test]
    fn announced_prices_hold_from_their_day() {
        let mut list = list(None);
        list.details.changes = serde_json::from_value(json!({"2026-12-01": {"input": "4", "output": "20"}})).unwrap();
        let tokens = json!({"promptTokenCount": 1000, "candidatesTokenCount": 100});
        assert_eq!(one(&list, tokens.clone()).total_price.0, "0.0032000");
        list.day = "2026-12-01".to_owned();
        let usage = one(&list, tokens);
        assert_eq!((usage.total_price.0.as_str(), usage.prompt_unit_price.0.as_str()), ("0.0060000", "4"));
    }

    #[test]
    fn the_average_price_is_shown_and_vertex_names_its_tier() {
        let tokens = json!({"promptTokenCount": 1000, "cachedContentTokenCount": 500, "candidatesTokenCount": 1, "serviceTier": null, "trafficType": "ON_DEMAND_FLEX"});
        let usage = one(&list(None), tokens);
        assert_eq!(usage.prompt_unit_price.0, "0.55");
        assert_eq!(usage.completion_unit_price.0, "6");
        let plain = one(&list(None), json!({"promptTokenCount": 7, "candidatesTokenCount": 3}));
        assert_eq!((plain.prompt_unit_price.0.as_str(), plain.completion_unit_price.0.as_str()), ("2", "12"));
    }

    #[test]
    fn an_alias_costs_what_the_model_behind_it_costs() {
        let mut list = list(None);
        list.details.by_model_version =
            serde_json::from_value(json!({"gemini-9": {"input": "1", "output": "2"}})).unwrap();
        let tokens = json!({"promptTokenCount": 1000, "candidatesTokenCount": 100});
        for (version, price) in [("gemini-9", "0.0012000"), ("gemini-10", "0.0032000")] {
            list.model_version = Some(version.to_owned());
            assert_eq!(one(&list, tokens.clone()).total_price.0, price, "{version}");
        }
    }

    #[test]
    fn a_version_behind_an_alias_has_long_prompts_and_announced_prices_of_its_own() {
        let mut list = list(None);
        list.details.by_model_version = serde_json::from_value(json!({"gemini-9": {
            "input": "1", "output": "2", "long_context": {"above": 1000, "input": "3", "output": "4"},
            "changes": {"2027-01-01": {"input": "5", "output": "6"}},
        }}))
        .unwrap();
        list.model_version = Some("gemini-9".to_owned());
        for (day, prompt, price) in
            [("2026-12-31", 1000, "0.0010000"), ("2026-12-31", 1001, "0.0030030"), ("2027-01-01", 1001, "0.0050050")]
        {
            list.day = day.to_owned();
            assert_eq!(one(&list, json!({"promptTokenCount": prompt})).total_price.0, price, "{day} {prompt}");
        }
    }

    /// A cache of 100,000 tokens for six minutes at 4.50 an hour and million: 0.2 to read, 0.045 to keep.
    #[test]
    fn an_explicit_cache_is_paid_by_the_call_that_makes_or_prolongs_it() {
        let mut list = list(Some("flex"));
        list.details.cache_storage = Some("4.50".parse().unwrap());
        let hit = json!({"promptTokenCount": 100_100, "cachedContentTokenCount": 100_000});
        for (created, seconds, price) in [(0, 0, "0.0101000"), (100_000, 360, "0.2551000"), (0, 360, "0.0551000")] {
            list.stored = Stored { created, token_seconds: 100_000 * seconds };
            assert_eq!(one(&list, hit.clone()).total_price.0, price, "{created} {seconds}");
        }
    }

    #[test]
    fn searches_are_priced_by_query_or_by_prompt() {
        for (price, queries, expected) in [
            (json!({"per_1000_queries": "14"}), 3, "0.042"),
            (json!({"per_1000_prompts": 35}), 3, "0.035"),
            (json!({"per_1000_prompts": 35}), 0, "0"),
        ] {
            let price: SearchPrice = serde_json::from_value(price).unwrap();
            assert_eq!(price.of(queries).normalize().to_string(), expected);
        }
    }
}
