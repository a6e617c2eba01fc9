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
}

/// A factor, written as text or number.
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
    /// The tier that really served, from the answer's header, else the one asked for.
    pub service_tier: Option<String>,
    /// The model that answered, as it says itself.
    pub model_version: Option<String>,
    /// The day of the call, UTC (`2026-11-20`).
    pub day: String,
}

fn of_modality(details: &[ModalityTokens], modality: &str) -> u64 {
    details.iter().filter(|entry| entry.modality == modality).map(|entry| entry.token_count).sum()
}

/// The prices that hold for one request.
struct Rates {
    input: Decimal,
    output: Decimal,
    cached: Decimal,
}

impl PriceList {
    /// The usage of an answer: of each request that it took, at its own prices.
    pub fn usage(&self, requests: &[UsageMetadata]) -> LlmUsage {
        let prompt: u64 = requests.iter().map(prompt_tokens).sum();
        let answer: u64 = requests.iter().map(answer_tokens).sum();
        let mut usage = price::llm_usage(self.pricing.as_ref(), prompt, answer);
        let Some(pricing) = &self.pricing else { return usage };
        let (mut prompt_exact, mut answer_exact) = (Decimal::ZERO, Decimal::ZERO);
        for tokens in requests {
            let (prompt, answer) = self.cost(pricing, tokens);
            prompt_exact += prompt;
            answer_exact += answer;
        }
        let (prompt_price, answer_price) = (rounded(prompt_exact), rounded(answer_exact));
        // What a token cost on average; for a plain call that is the list price.
        let average = |exact: Decimal, tokens: u64, list: Decimal| match Decimal::from(tokens) * pricing.unit {
            units if units.is_zero() => list,
            units => (exact / units).round_dp(7).normalize(),
        };
        usage.prompt_unit_price = price::text(average(prompt_exact, prompt, pricing.input));
        usage.completion_unit_price = price::text(average(answer_exact, answer, pricing.output.unwrap_or_default()));
        usage.prompt_price = price::text(prompt_price);
        usage.completion_price = price::text(answer_price);
        usage.total_price = price::text(prompt_price + answer_price);
        usage
    }

    /// Exact prices of prompt and answer of one request.
    fn cost(&self, pricing: &Pricing, tokens: &UsageMetadata) -> (Decimal, Decimal) {
        let (prompt, answer) = (prompt_tokens(tokens), answer_tokens(tokens));
        let rates = self.rates(pricing, tokens);
        let unit = pricing.unit * self.tier_factor(tokens);
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

    fn rates(&self, pricing: &Pricing, tokens: &UsageMetadata) -> Rates {
        let listed = Rates {
            input: pricing.input,
            output: pricing.output.unwrap_or_default(),
            cached: self.details.cached_input.unwrap_or(pricing.input),
        };
        let rates = |input, output, cached: Option<Decimal>| Rates { input, output, cached: cached.unwrap_or(input) };
        let of_version = || self.details.by_model_version.get(self.model_version.as_deref()?);
        let announced = || self.details.changes.range(..=self.day.clone()).next_back().map(|(_, price)| price);
        if let Some(price) = of_version().or_else(announced) {
            return rates(price.input, price.output, price.cached_input);
        }
        let long = self.details.long_context.as_ref();
        match long.filter(|long| tokens.prompt_token_count.unwrap_or_default() > long.above) {
            Some(long) => rates(long.input, long.output, long.cached_input),
            None => listed,
        }
    }

    /// Of the tier that served: as the header says, else as the usage says, else as it was asked for.
    fn tier_factor(&self, tokens: &UsageMetadata) -> Decimal {
        let told = tokens.service_tier.as_deref().map(|tier| tier.trim_start_matches("ON_DEMAND_"));
        let tier = self.service_tier.as_deref().or(told).unwrap_or_default().to_ascii_lowercase();
        self.details.service_tiers.get(&tier).map_or(Decimal::ONE, |factor| factor.0)
    }
}

fn prompt_tokens(tokens: &UsageMetadata) -> u64 {
    tokens.prompt_token_count.unwrap_or_default() + tokens.tool_use_prompt_token_count.unwrap_or_default()
}

fn answer_tokens(tokens: &UsageMetadata) -> u64 {
    tokens.candidates_token_count.unwrap_or_default() + tokens.thoughts_token_count.unwrap_or_default()
}

fn sum(shares: &[(u64, Decimal)], unit: Decimal) -> Decimal {
    shares.iter().map(|(tokens, price)| Decimal::from(*tokens) * price * unit).sum()
}

fn rounded(exact: Decimal) -> Decimal {
    let mut rounded = exact.round_dp_with_strategy(7, RoundingStrategy::MidpointAwayFromZero);
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
            model_version: None,
            day: "2026-11-30".to_owned(),
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
        let tokens = json!({"promptTokenCount": 1000, "cachedContentTokenCount": 500, "candidatesTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"});
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
}
