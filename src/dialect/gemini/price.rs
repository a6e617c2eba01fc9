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
    /// Factor of each service tier other than `standard`.
    pub service_tiers: BTreeMap<String, Factor>,
}

/// A factor, written as text or number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Factor(#[serde(deserialize_with = "price::decimal")] pub Decimal);

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
}

fn of_modality(details: &[ModalityTokens], modality: &str) -> u64 {
    details.iter().filter(|entry| entry.modality == modality).map(|entry| entry.token_count).sum()
}

impl PriceList {
    /// The usage of a call.
    pub fn usage(&self, tokens: &UsageMetadata) -> LlmUsage {
        let prompt =
            tokens.prompt_token_count.unwrap_or_default() + tokens.tool_use_prompt_token_count.unwrap_or_default();
        let answer =
            tokens.candidates_token_count.unwrap_or_default() + tokens.thoughts_token_count.unwrap_or_default();
        let mut usage = price::llm_usage(self.pricing.as_ref(), prompt, answer);
        let Some(pricing) = &self.pricing else { return usage };

        let long = self
            .details
            .long_context
            .as_ref()
            .filter(|long| tokens.prompt_token_count.unwrap_or_default() > long.above);
        let input = long.map_or(pricing.input, |long| long.input);
        let output = long.map_or(pricing.output.unwrap_or_default(), |long| long.output);
        let cached_price = long.map_or(self.details.cached_input, |long| long.cached_input).unwrap_or(input);
        let factor = self
            .service_tier
            .as_ref()
            .and_then(|tier| self.details.service_tiers.get(tier))
            .map_or(Decimal::ONE, |factor| factor.0);

        let cached = tokens.cached_content_token_count.unwrap_or_default().min(prompt);
        let audio = of_modality(&tokens.prompt_tokens_details, "AUDIO").min(prompt - cached);
        let image_out = of_modality(&tokens.candidates_tokens_details, "IMAGE").min(answer);
        let audio_out = of_modality(&tokens.candidates_tokens_details, "AUDIO").min(answer - image_out);
        let prompt_price = sum(
            &[
                (prompt - cached - audio, input),
                (cached, cached_price),
                (audio, self.details.audio_input.unwrap_or(input)),
            ],
            pricing.unit * factor,
        );
        let answer_price = sum(
            &[
                (answer - image_out - audio_out, output),
                (image_out, self.details.image_output.unwrap_or(output)),
                (audio_out, self.details.audio_output.unwrap_or(output)),
            ],
            pricing.unit * factor,
        );
        usage.prompt_unit_price = price::text((input * factor).normalize());
        usage.completion_unit_price = price::text((output * factor).normalize());
        usage.prompt_price = price::text(prompt_price);
        usage.completion_price = price::text(answer_price);
        usage.total_price = price::text(prompt_price + answer_price);
        usage
    }
}

fn sum(shares: &[(u64, Decimal)], unit: Decimal) -> Decimal {
    let exact: Decimal = shares.iter().map(|(tokens, price)| Decimal::from(*tokens) * price * unit).sum();
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
        }
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
            let usage = list(tier).usage(&serde_json::from_value(tokens).unwrap());
            assert_eq!(usage.total_price.0, expected, "{name}");
        }
    }

    #[test]
    fn without_a_price_tokens_still_count() {
        let usage = PriceList::default()
            .usage(&serde_json::from_value(json!({"promptTokenCount": 3, "candidatesTokenCount": 2})).unwrap());
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 2, 5));
    }
}
